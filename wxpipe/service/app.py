"""The application: routes, what becomes of errors, and the gate around it all."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from wxpipe.errors import WxpipeError
from wxpipe.service.access import Hosts, Rates, required_token
from wxpipe.service.gate import Gate, Rules
from wxpipe.service.problems import invalid, problem_of
from wxpipe.service.routes import briefing, health, holdings, imagery, pages, search
from wxpipe.service.state import Service

ABOUT = (
    "Which past weather looked like this, and what came next? Analogs of a time in an archive of satellite pictures, "
    "their imagery, and everything that the archive's root holds. Read only. Times are UTC."
)


def make_app(service: Service) -> ASGIApp:
    """The whole service as ASGI.

    Raises:
        UsageError: it would be open to others without a token, or the token is none.
    """
    settings = service.settings
    rules = Rules(
        service.url,
        required_token(settings),
        Hosts.of(settings),
        Rates(settings.service_rate, settings.service_burst),
        settings.service_body_bytes,
        settings.service_slow_seconds,
    )
    return Gate(make_api(service), rules, service.watch)


def make_api(service: Service) -> FastAPI:
    """The routes alone, for clients that are trusted."""
    api = FastAPI(
        title="wxpipe", version="1", description=ABOUT, openapi_url="/v1/openapi.json", docs_url=None,
        redoc_url=None, redirect_slashes=False,
    )  # fmt: skip
    api.state.service = service
    for routes in (search, briefing, imagery, holdings):
        api.include_router(routes.router)
    api.include_router(health.router)
    api.include_router(pages.router, include_in_schema=False)

    def told(request: Request, error: Exception) -> Response:
        problem = problem_of(error, service.url)
        if problem.status_code == 500:
            raise error  # what the gate logs
        return problem.response(request.state.request_id)

    def failed(request: Request, error: Exception) -> Response:
        return problem_of(error, service.url).response(request.state.request_id)

    def malformed(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return invalid(error.errors()).response(request.state.request_id)

    api.add_exception_handler(HTTPException, told)
    api.add_exception_handler(WxpipeError, told)
    api.add_exception_handler(RequestValidationError, malformed)
    api.add_exception_handler(Exception, failed)
    _describe_token(api)
    return api


def _describe_token(api: FastAPI) -> None:
    """Says in the OpenAPI document that a token may be asked for."""
    plain = api.openapi

    def described() -> dict[str, Any]:
        document = plain()
        schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes["token"] = {"type": "http", "scheme": "bearer", "description": "Where the service has a token."}
        document["security"] = [{}, {"token": []}]
        return document

    api.openapi = described  # type: ignore[method-assign]
