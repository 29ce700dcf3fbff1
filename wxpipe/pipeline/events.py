"""What the runner tells whoever watches: small events, by a list of listeners in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from wxpipe.store.stage import Partition

State = Literal["done", "failed", "lost"]


@dataclass(frozen=True)
class Result:
    """What became of one partition; ``error`` is a message for a person, ``trace`` for who mends the bug."""

    stage: str
    partition: Partition
    state: State
    counts: dict[str, int]
    quarantined: int = 0
    error: str = ""
    trace: str = ""


@dataclass(frozen=True)
class StageStarted:
    """A stage begins, with so many partitions to do."""

    stage: str
    partitions: int


@dataclass(frozen=True)
class Waiting:
    """Another run holds what this one needs next."""

    lease: str
    holder: str


@dataclass(frozen=True)
class Note:
    """What a stage says of a partition while it goes on: an event of its own, that reads as a sentence."""

    stage: str
    partition: Partition
    what: object

    @property
    def fleeting(self) -> bool:
        """Whether it says something at every step: for a progress bar, and not for a log."""
        return bool(getattr(self.what, "fleeting", False))


Event = Result | StageStarted | Waiting | Note

_listeners: list[Callable[[Event], None]] = []


@contextmanager
def listening(listener: Callable[[Event], None]) -> Iterator[None]:
    """Tells a listener of everything that runs in this process while the block lasts, whatever thread it runs in."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def tell(event: Event) -> None:
    for listener in _listeners:
        listener(event)
