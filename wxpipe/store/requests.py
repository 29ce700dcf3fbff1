"""What people asked to be made again: who, when, why, and which partitions. Numbered objects that are never changed.

A request takes hold by being there: a partition that it covers is stale until it was done under a number at least as
high. So one put-if-absent marks any number of partitions at once, whole or not at all, and no ledger entry is touched.
"""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Literal

from wxpipe.errors import WxpipeError
from wxpipe.store.objects import Objects

Kind = Literal["reprocess", "retry", "repair"]
"""``reprocess``: a person wants it anew; ``retry``: inputs in quarantine get another chance; ``repair``: what was
stored is damaged."""

FOLDER = "requests"


@dataclass(frozen=True)
class Request:
    """One request; empty fields mean everything.

    Attributes:
        number: of the request; 0 before it is recorded.
        why: in the words of who asked.
        stages: names of stages.
        sources: ids, e.g. ``coms-ea``.
        first, last: UTC days, both included.
        partitions: keys, e.g. ``coms-ea/2011-03-03``; where there are any, these alone.
    """

    kind: Kind
    why: str
    stages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None
    partitions: tuple[str, ...] = ()
    number: int = 0
    who: str = ""
    when: str = ""

    def covers(self, stage: str, source: str, day: date | None, key: str) -> bool:
        """Whether a partition is asked for: of a source-day its source and day, of a named thing its name."""
        if self.stages and stage not in self.stages:
            return False
        if self.partitions:
            return key in self.partitions
        if self.sources and (source or key) not in self.sources:
            return False
        if day is None:
            return True
        return (self.first is None or day >= self.first) and (self.last is None or day <= self.last)


class Requests:
    """The requests of a root, read once and then kept until `forget`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._loaded: list[Request] | None = None
        self._assumed: list[Request] = []

    def record(self, request: Request) -> Request:
        """Takes the next number for a request, with who asks and when."""
        who, when = whoami(), now()
        number = self._highest() + 1
        while True:
            numbered = replace(request, number=number, who=who, when=when)
            data = json.dumps(asdict(numbered), indent=1, default=str, ensure_ascii=False).encode()
            if self._objects.put_if_absent(f"{FOLDER}/{number:08d}.json", data):
                self.forget()
                return numbered
            number += 1

    def all(self) -> Sequence[Request]:
        """Every request, the oldest first."""
        if self._loaded is None:
            names = self._objects.names(FOLDER)
            keys = [f"{FOLDER}/{name}" for name in names if name.endswith(".json")]
            found = zip(keys, self._objects.get_many(keys), strict=True)
            self._loaded = [_parse(key, data) for key, data in found if data is not None]
        return [*self._loaded, *self._assumed]

    def assume(self, request: Request) -> None:
        """Answers from now on as if a request had been recorded; nothing is written. For what would be due then."""
        self._assumed.append(replace(request, number=self._highest() + 1))

    def latest(self, stage: str, source: str, day: date | None, key: str) -> int:
        """Number of the newest request that covers a partition; 0 if none does."""
        covering = (r.number for r in reversed(self.all()) if r.covers(stage, source, day, key))
        return next(covering, 0)

    def forget(self) -> None:
        self._loaded = None

    def _highest(self) -> int:
        self.forget()
        return max((request.number for request in self.all()), default=0)


def _parse(key: str, data: bytes) -> Request:
    try:
        fields: dict[str, Any] = json.loads(data)
        days = {name: date.fromisoformat(fields[name]) if fields[name] else None for name in ("first", "last")}
        lists = {name: tuple(fields[name]) for name in ("stages", "sources", "partitions")}
        return Request(**{**fields, **days, **lists})
    except (ValueError, TypeError, KeyError) as error:
        raise WxpipeError(f"{key}: not a request ({error!r}); delete it and ask again") from error


def whoami() -> str:
    """Who runs this process, as ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def now() -> str:
    """The time by this host's clock, for people to read: ``2011-03-03T08:00:00Z``."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
