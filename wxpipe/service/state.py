"""What the routes share: settings, what is open, threads to work in; put together once, when the service starts."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from wxpipe.config import RunSettings
from wxpipe.service.opened import Follower, Opened
from wxpipe.service.surveys import Surveys
from wxpipe.service.watch import Watch
from wxpipe.service.work import Kept, Work

ASKING_THREADS = 2
"""SQL queries, and looks at much of the root, at once: each may take gigabytes."""
PICTURES_KEPT = 64 << 20


@dataclass(frozen=True)
class Service:
    """The service's parts.

    Attributes:
        url: the root's.
        searching: threads for searches and pictures, which are short.
        asking: threads for SQL and for what reads much.
        pictures: encoded ones, by ETag.
    """

    url: str
    settings: RunSettings
    follower: Follower
    surveys: Surveys
    watch: Watch
    searching: Work
    asking: Work
    pictures: Kept

    @classmethod
    def of(cls, url: str, settings: RunSettings) -> Service:
        threads = settings.service_threads or max(2, os.cpu_count() or 1)
        seconds, queue = settings.service_seconds, settings.service_queue
        return cls(
            url,
            settings,
            Follower(url, settings.service_memory, settings.service_follow_seconds),
            Surveys(url, settings.service_survey_seconds),
            Watch(),
            Work("search", threads, queue, seconds),
            Work("ask", ASKING_THREADS, queue, seconds),
            Kept(PICTURES_KEPT),
        )

    def stop(self) -> None:
        """Ends every thread, as soon as it has ended what it does."""
        self.follower.stop()
        self.surveys.stop()
        self.searching.stop()
        self.asking.stop()


async def _service(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


async def _opened(request: Request) -> Opened:
    """What is open as the request begins; the answer's header names its release."""
    service: Service = request.app.state.service
    opened = service.follower.opened
    if opened.release is not None:
        request.state.release = opened.release.number
    return opened


Here = Annotated[Service, Depends(_service)]
Open = Annotated[Opened, Depends(_opened)]


def json_answer(document: Any) -> Response:
    """A document as the command line's ``--json`` has it."""
    text = json.dumps(document, ensure_ascii=False, default=str)
    return Response(text.encode("utf-8", "backslashreplace"), media_type="application/json")
