"""What runs, as lines of JSON: time, level, satellite, source, day, stage, state, seconds, run, error. Never a secret.

The process that runs a stage logs what became of each partition; a worker logs where it began and what it had to try
again. All of them append to one file, a line a write. ``WXPIPE_LOG`` names it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from wxpipe.config import RunSettings
from wxpipe.errors import WxpipeError
from wxpipe.pipeline.events import Event, Result, StageStarted, Waiting, is_listening, listening
from wxpipe.pipeline.runs import current_run
from wxpipe.store.stage import Partition

LOGGER = logging.getLogger("wxpipe.run")
SECRET_NAME = re.compile(r"SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|(^|_)KEY", re.IGNORECASE)
"""Environment variables with such names hold what no log may show."""
SHORTEST_SECRET = 6
_USER_OF_URL = re.compile(r"://[^/\s@\"']+@")
LEVELS = {"done": logging.INFO, "lost": logging.WARNING, "failed": logging.ERROR}


@contextmanager
def logged() -> Iterator[None]:
    """Logs what runs in this process while the block lasts, where the settings name a log; once, however nested."""
    if not _ready() or is_listening(log_event):
        yield
        return
    with listening(log_event):
        yield


def log_work(event: str, stage: str, partition: Partition, error: Exception | None = None) -> None:
    """Logs what a worker does with a partition, from whatever process it does it in."""
    if _ready():
        level = logging.DEBUG if error is None else logging.WARNING
        LOGGER.log(level, event, extra=_place(stage, partition) | ({"error": str(error)} if error else {}))


def log_event(event: Event) -> None:
    """Logs one event, where the settings name a log."""
    if not _ready():
        return
    if isinstance(event, Result):
        said: dict[str, Any] = {"state": event.state, "seconds": event.seconds, "bytes_written": event.bytes_written}
        if event.reasons:
            said["quarantined"] = dict(event.reasons)
        if event.error:
            said["error"] = event.error
        if event.trace:
            said["trace"] = event.trace
        LOGGER.log(LEVELS[event.state], "partition", extra=_place(event.stage, event.partition) | said)
    elif isinstance(event, StageStarted):
        LOGGER.info("stage", extra={"stage": event.stage, "partitions": event.partitions})
    elif isinstance(event, Waiting):
        LOGGER.info("waiting", extra={"lease": event.lease, "holder": event.holder})
    elif not event.fleeting:
        LOGGER.info("note", extra=_place(event.stage, event.partition) | {"says": str(event.what)})


def log_line(event: str, level: int = logging.INFO, **facts: Any) -> None:
    """Logs something that is no event of a run, such as a request to the service."""
    if _ready():
        LOGGER.log(level, event, extra=facts)


def _place(stage: str, partition: Partition) -> dict[str, Any]:
    if partition.day is None:
        return {"stage": stage, "partition": partition.key}
    satellite = partition.source.rsplit("-", 1)[0]
    return {"satellite": satellite, "source": partition.source, "day": str(partition.day), "stage": stage}


class _Lines(logging.Handler):
    """Appends each record with one write, so that lines of several processes do not mingle.

    Raises:
        WxpipeError: the file cannot be opened.
    """

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target, self._silent = target, False
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._file = sys.__stderr__.fileno() if target == "-" and sys.__stderr__ else os.open(target, flags, 0o640)
        except OSError as error:
            raise WxpipeError(f"WXPIPE_LOG={target}: cannot be written ({error.strerror})") from error

    def emit(self, record: logging.LogRecord) -> None:
        run = current_run()
        if run is not None:
            record.run = run
        try:
            os.write(self._file, (without_secrets(self.format(record)) + "\n").encode("utf-8", "backslashreplace"))
        except OSError as error:  # a full disk stops the work, where it must; never its log
            if not self._silent:
                self._silent = True
                print(f"wxpipe: WXPIPE_LOG={self.target}: {error.strerror}; lines are lost", file=sys.stderr)

    def close(self) -> None:
        if self.target != "-":
            os.close(self._file)
        super().close()


def without_secrets(text: str) -> str:
    """A text without users and passwords of URLs, and without what secret environment variables hold."""
    text = _USER_OF_URL.sub("://***@", text)
    for name, value in os.environ.items():
        if len(value) >= SHORTEST_SECRET and SECRET_NAME.search(name):
            text = text.replace(value, "***").replace(json.dumps(value)[1:-1], "***")
    return text


def _ready() -> bool:
    """Opens the log that the settings name, once; tells whether there is one."""
    settings = _settings(os.environ.get("WXPIPE_LOG"), os.environ.get("WXPIPE_LOG_LEVEL"))
    with _opening:
        return _opened(settings)


_opening = threading.Lock()


def _opened(settings: RunSettings) -> bool:
    known = next((handler for handler in LOGGER.handlers if isinstance(handler, _Lines)), None)
    if known is not None and known.target != settings.log:
        LOGGER.removeHandler(known)
        known.close()
        known = None
    if not settings.log:
        return False
    if known is None:
        handler = _Lines(settings.log)
        handler.setFormatter(
            JsonFormatter("%(levelname)s %(message)s %(process)d", timestamp="time", json_ensure_ascii=False,
                          rename_fields={"levelname": "level", "message": "event"})
        )  # fmt: skip
        LOGGER.addHandler(handler)
        LOGGER.propagate = False
    LOGGER.setLevel(settings.log_level.upper())
    return True


@cache
def _settings(*environment: str | None) -> RunSettings:  # noqa: ARG001 - what the cache tells apart
    """The settings, read again where the environment is another: reading them costs more than a line of log."""
    return RunSettings()
