"""The types that every stage of the pipeline is made of, and the fingerprint that tells whether a result is stale."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, Protocol

from wxpipe.store.leases import Lease
from wxpipe.store.ledger import Entry
from wxpipe.store.quarantine import Record
from wxpipe.store.root import Root

Trigger = Literal["every run", "by day", "on request", "single-handed"]


@dataclass(frozen=True, order=True)
class Partition:
    """The piece that a stage does at once: a source and a UTC day; or a named thing, of one source or of none."""

    source: str
    day: date | None = None
    name: str = ""

    @property
    def key(self) -> str:
        return f"{self.source}/{self.day}" if self.day is not None else self.name

    @property
    def lease_key(self) -> str:
        """What a run holds while it writes this: the source-month, or the named thing."""
        return f"{self.source}/{self.day:%Y-%m}" if self.day is not None else self.name


@dataclass(frozen=True)
class Outcome:
    """What a run of one partition came to: small, never arrays.

    Attributes:
        output: digest of what was made, as read back.
        inputs: digest of the raw content, where the stage can tell it.
        records: what was put aside or doubted, with reasons.
        obsolete: objects that are of no use once the ledger has this; the runner removes them then.
    """

    counts: Mapping[str, int]
    output: str
    inputs: str = ""
    records: tuple[Record, ...] = ()
    obsolete: tuple[str, ...] = ()


def ignore_progress(count: int) -> None:
    """Tells nobody."""


def say_nothing(event: object) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class Context:
    """What a stage works in: the root, the archive (only `scan` and `ingest` need it), and the range asked for."""

    root: Root
    archive: str = ""
    lease: Lease | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    progress: Callable[[int], None] = ignore_progress
    mapper: Callable[[Callable[..., Any], Sequence[Any]], Iterable[Any]] = map
    """How a stage that runs as one partition spreads its blocks: `map` here, Dask workers in a cluster."""
    previous: Entry | None = None
    """What the ledger had of this partition, where its result was whole when this run began."""
    request: int = 0
    """Number of the newest request that covers this partition; 0 if none does."""
    anew: bool = False
    """A person asked for this partition since it was made: nothing of what is there may be taken over."""
    say: Callable[[Any], None] = say_nothing
    """Where a stage that runs as one partition says how it goes: a small event of its own, that reads as a sentence."""

    def check_lease(self) -> None:
        """Raises LeaseLostError where another run has taken this one's lease: it must not write any more."""
        if self.lease is not None:
            self.root.leases.check(self.lease)


def done_partitions(context: Context, stage: str) -> list[Partition]:
    """The source-days that a stage has done, in order: what the stages after it can start from."""
    keys = sorted(key for key, entry in context.root.ledger.entries(stage).items() if entry.state == "done")
    return [Partition(source, date.fromisoformat(day)) for source, _, day in (key.partition("/") for key in keys)]


class Stage(Protocol):
    """A step of the pipeline. ``run`` is a plain function of its partition: no Prefect, no Dask."""

    name: str
    trigger: Trigger
    needs: tuple[str, ...]

    def partitions(self, context: Context) -> Iterable[Partition]:
        """Everything this stage could do now, given what earlier stages have done."""

    def fingerprint(self, partition: Partition, context: Context) -> str:
        """Digest of the inputs' digests, the parameters, and the version of this stage's contract."""

    def prepare(self, partitions: list[Partition], context: Context) -> None:
        """What must happen once, in the runner, before these partitions go to workers."""

    def run(self, partition: Partition, context: Context) -> Outcome:
        """Makes the result, reads it back, and says what came of it."""

    def read_back(self, partition: Partition, context: Context) -> str:
        """Reads a stored result through, every byte of it, and returns the digest that `Outcome.output` should be.

        Raises:
            WxpipeError: something of it is damaged or gone; names it.
        """


def fingerprint_of(**parts: object) -> str:
    """Digest of named JSON values, independent of their order."""
    digest = _digest(parts)
    noted = _noted.get()
    if noted is not None:
        noted[digest] = {name: _digest(part)[:8] for name, part in parts.items()}
    return digest


_noted: ContextVar[dict[str, dict[str, str]] | None] = ContextVar("noted", default=None)


@contextmanager
def noting_parts() -> Iterator[Mapping[str, Mapping[str, str]]]:
    """While the block lasts, what each fingerprint is made of is noted: short digests of its parts, by fingerprint.

    The ledger keeps those of what it records, and a plan tells by them what has changed since.
    """
    noted: dict[str, dict[str, str]] = {}
    token = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(token)


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
