"""For whoever runs the service: is it there, does it serve, how is it?"""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from wxpipe.service.examples import METRICS, answers
from wxpipe.service.problems import busy
from wxpipe.service.state import Here, json_answer

router = APIRouter()


@router.get("/health/live", tags=["health"], summary="Is it there?", responses=answers({"live": True}, "Yes."))
async def live() -> Response:
    """Answered as long as the process answers at all; without a token."""
    return json_answer({"live": True})


@router.get("/health/ready", tags=["health"], summary="Does it serve?",
            responses=answers({"ready": True}, "A release is open."))  # fmt: skip
async def ready(here: Here) -> Response:
    """503 as long as no release is open; without a token."""
    if not here.follower.ready:
        raise busy("no release is open")
    return json_answer({"ready": True})


@router.get("/metrics", tags=["health"], summary="Metrics for Prometheus", response_class=PlainTextResponse,
            responses=answers(METRICS, "Requests, and the root.", "text/plain", "string"))  # fmt: skip
async def metrics(here: Here) -> Response:
    """Counts and durations of requests; of the root what was counted last, which is looked at again when it is old."""
    here.surveys.refresh()
    registries = (here.watch.registry, here.surveys.registry)
    text = await here.searching.do(lambda: b"".join(generate_latest(registry) for registry in registries))
    return Response(text, media_type=CONTENT_TYPE_LATEST)
