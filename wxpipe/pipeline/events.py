"""What the runner tells whoever watches: small events, by a list of listeners in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from wxpipe.store.stage import Partition

State = Literal["done", "failed", "lost"]


@dataclass(frozen=True)
class Result:
    """What became of one partition; ``error`` is a message for a person, ``trace`` for who mends the bug.

    Attributes:
        seconds: that it took where it was done; 0 where that was not measured.
        bytes_written: that it put into the root.
        reasons: inputs that it put into quarantine, by reason.
        unwritable: the root could not be written, and so no other partition can be done.
    """

    stage: str
    partition: Partition
    state: State
    counts: dict[str, int]
    quarantined: int = 0
    error: str = ""
    trace: str = ""
    seconds: float = 0.0
    bytes_written: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    unwritable: bool = False

    @property
    def stops(self) -> bool:
        """Whether its stage ends with it: a bug, or a root that cannot be written."""
        return bool(self.trace) or self.unwritable


@dataclass(frozen=True)
class StageStarted:
    """A stage begins, with so many partitions to do, of so many each source."""

    stage: str
    partitions: int
    by_source: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Waiting:
    """Another run holds what this one needs next.

    Attributes:
        left: it is not waited for; what is due of it is left to the other run.
    """

    lease: str
    holder: str
    left: bool = False


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


def is_listening(listener: Callable[[Event], None]) -> bool:
    return listener in _listeners


def tell(event: Event) -> None:
    for listener in _listeners:
        listener(event)
