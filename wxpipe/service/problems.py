"""What a client is told when it does not get what it asked for: problem JSON (RFC 9457), in words, without secrets.

Exceptions are the policy here too: which class was raised decides the status; a bug is told as such and no more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Response
from starlette.exceptions import HTTPException

from wxpipe.errors import NotFoundError, RefusedError, Retry, UsageError, WxpipeError

MEDIA_TYPE = "application/problem+json"
LONGEST_FOUND = 120
SOON = 5
"""Seconds after which a client may try again what failed for a reason of the moment."""
_OPTION = re.compile(r"`[^`]*`|(?<!\w)--([a-z][a-z-]*)")
_PATH = re.compile(r"(?<![\w:/.])/(?:[\w.+@-]+/)+[\w.+@-]*")


class Problem(HTTPException):
    """A request that is answered with an error.

    Args:
        status: of HTTP.
        detail: what was expected, what was found, what to do.
        headers: beside those of every answer.
        more: members of the JSON beside the standard ones.
    """

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, more: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.more = dict(more or {})

    def response(self, request_id: str = "") -> Response:
        document = {
            "type": "about:blank",
            "title": HTTPStatus(self.status_code).phrase,
            "status": self.status_code,
            "detail": self.detail,
            **self.more,
            **({"request": request_id} if request_id else {}),
        }
        return Response(json.dumps(document), self.status_code, self.headers, MEDIA_TYPE)


def busy(detail: str, seconds: int = SOON) -> Problem:
    """503, and when to come again."""
    return Problem(503, detail, {"Retry-After": str(seconds)})


def problem_of(error: Exception, url: str) -> Problem:
    """What a client is told of an exception.

    Args:
        url: the root's, which no answer names.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return Problem(error.status_code, _of_http(error), error.headers)
    if isinstance(error, NotFoundError):
        return Problem(404, told(error, url))
    if isinstance(error, UsageError):
        return Problem(400, told(error, url))
    if isinstance(error, RefusedError):
        return Problem(409, told(error, url))
    if isinstance(error, Retry):
        return busy("the store cannot be read at the moment; ask again")
    if isinstance(error, WxpipeError):
        return Problem(500, "what is stored cannot be read as it was written; whoever runs this service can find out "
                       "why: its log has this request, and `wxpipe validate` tells what to do")  # fmt: skip
    return Problem(500, "a fault of this service; its log has this request")


def invalid(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """422: parameters that are not of their kind, each with what was expected and what was found."""
    faults = [
        {
            "where": ".".join(str(part) for part in error["loc"]),
            "expected": str(error["msg"]).removeprefix("Value error, "),
            "found": repr(error.get("input"))[:LONGEST_FOUND],
        }
        for error in errors
    ]
    words = "; ".join(f"{fault['where']}: {fault['expected']}, found {fault['found']}" for fault in faults[:3])
    return Problem(422, f"{words}; /v1/openapi.json tells what is taken", more={"errors": faults})


def told(error: Exception, url: str) -> str:
    """An error's words for a client: its own names of parameters, and no place on this machine."""
    text = _OPTION.sub(lambda m: m[0] if m[1] is None else m[1].replace("-", "_"), str(error))
    return without_places(text, url)


def without_places(text: str, url: str) -> str:
    """A text without the root's URL and without paths of files."""
    return _PATH.sub("(a path)", text.replace(url, "ROOT"))


def _of_http(error: HTTPException) -> str:
    if error.status_code == 404:
        return "nothing is here; /v1/openapi.json lists what is"
    if error.status_code == 405:
        return "this address does not take this method; /v1/openapi.json lists what it takes"
    return str(error.detail)
