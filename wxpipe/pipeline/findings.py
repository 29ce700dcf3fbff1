"""What a validation finds: where, what was expected, what is there, and what to do; and what a check is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.stages import NAMES, get_stage
from wxpipe.store.root import Root
from wxpipe.store.stage import Partition

REPAIR = "`wxpipe validate --repair`, then `wxpipe backfill`"

Due = tuple[str, str]
"""A stage, and the key of its partition that has to be made again."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        check: which check found it.
        where: the partition, or the object of the root.
        remedy: what a person does about it.
        again: what a repair asks to be made again.
        remove: damaged objects that stand in the way of that; a repair removes them.
        lay_out: the source whose Zarr documents a repair writes again.
    """

    check: str
    where: str
    expected: str
    found: str
    remedy: str = REPAIR
    again: tuple[Due, ...] = ()
    remove: tuple[str, ...] = ()
    lay_out: str = ""

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, found {self.found}; {self.remedy}"

    def document(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in ("check", "where", "expected", "found", "remedy")}


@dataclass(frozen=True)
class Check:
    """One kind of look at a root.

    Attributes:
        looks_at: in words, for whoever asks what was checked.
        how: in words.
        stages: whose results it looks at; it is left out where none of them was asked for.
    """

    name: str
    looks_at: str
    how: str
    stages: tuple[str, ...]


@dataclass(frozen=True)
class PartitionCheck(Check):
    """Looks at one partition that the ledger calls done: a stage's name and a key; runs on workers."""

    look: Callable[[Root, str, str], Iterable[Finding]]


@dataclass(frozen=True)
class RootCheck(Check):
    """Looks at what lies between partitions; runs where the validation runs."""

    look: Callable[[Root, Range], Iterable[Finding]]


def partition_of(root: Root, stage: str, key: str) -> Partition:
    """The partition of a ledger key: a source and a day, or a named thing."""
    from datetime import date

    if get_stage(stage).trigger == "by day":
        source, _, day = key.rpartition("/")
        return Partition(source, date.fromisoformat(day))
    return Partition(key if key in {source.id for source in root.sources} else "", name=key)


def in_range(root: Root, wanted: Range, stage: str, key: str) -> bool:
    """Whether a ledger key is asked for; one that names no day of a stage by day never is."""
    if wanted.stages and stage not in wanted.stages:
        return False
    try:
        return wanted.covers(partition_of(root, stage, key))
    except ValueError:
        return False


def known_stages(names: Sequence[str]) -> tuple[str, ...]:
    """Those of some stages that this version has, in the pipeline's order."""
    return tuple(name for name in NAMES if name in names)
