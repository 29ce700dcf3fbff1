"""How far each source's newest picture is behind now: whether data is late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from wxpipe.archive.inventory import inventory_of
from wxpipe.store.root import Root


@dataclass(frozen=True)
class Lag:
    """The newest slot of a source that any file was listed for, and its age."""

    source: str
    newest: datetime
    age: timedelta

    @property
    def hours(self) -> float:
        return self.age / timedelta(hours=1)


def lags(root: Root, now: datetime, sources: tuple[str, ...] = ()) -> list[Lag]:
    """The lag of every source that should still be sending: its satellite's planned days hold today.

    Args:
        now: timezone-aware.
        sources: ids; all by default.
    """
    found = []
    for source in root.sources:
        span = inventory_of(root, source.id).span()
        axis = source.satellite.axis
        if span is None or (sources and source.id not in sources) or not axis.has_day(now.date()):
            continue
        newest = axis.time(span[1])
        found.append(Lag(source.id, newest, now - newest))
    return found
