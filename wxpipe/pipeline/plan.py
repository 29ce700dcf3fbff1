"""The plan: what would run, and why. Pure: it reads the root and writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from wxpipe.pipeline.stages import chosen, get_stage
from wxpipe.store.ledger import Entry
from wxpipe.store.stage import Context, Partition, Stage, noting_parts

Reason = Literal["done", "missing", "stale", "failed"]
REASONS: tuple[Reason, ...] = ("done", "stale", "missing", "failed")


@dataclass(frozen=True)
class Range:
    """Which part of the archive a run is about; empty fields mean everything.

    Attributes:
        sources: ids, e.g. ``coms-ea``.
        first, last: UTC days, both included.
        days: source-days; where there are any, these alone, and of a later stage also the days before them, whose
            clips reach into them.
    """

    sources: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None
    stages: tuple[str, ...] = ()
    days: frozenset[tuple[str, date]] = frozenset()

    def covers(self, partition: Partition) -> bool:
        if self.sources and partition.source and partition.source not in self.sources:
            return False
        if partition.day is None:
            return True
        if self.days and not self.days & {(partition.source, partition.day + timedelta(days=n)) for n in (0, 1)}:
            return False
        return (self.first is None or partition.day >= self.first) and (self.last is None or partition.day <= self.last)


@dataclass(frozen=True)
class Step:
    """One partition of one stage, and why it would run (or not).

    Attributes:
        why: of what is stale or failed, in words, where it is known.
    """

    stage: str
    partition: Partition
    reason: Reason
    why: str = ""


@dataclass(frozen=True)
class Plan:
    """Every partition in the range, stage by stage."""

    steps: tuple[Step, ...]

    @property
    def work(self) -> tuple[Step, ...]:
        """What is to be done."""
        return tuple(step for step in self.steps if step.reason != "done")

    def of(self, stage: str) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.stage == stage)

    def counts(self) -> dict[str, dict[Reason, int]]:
        """Partitions by stage and reason."""
        found: dict[str, Counter[Reason]] = {}
        for step in self.steps:
            found.setdefault(step.stage, Counter())[step.reason] += 1
        return {stage: {reason: counter[reason] for reason in REASONS} for stage, counter in found.items()}


def make_plan(context: Context, wanted: Range) -> Plan:
    """Compares every partition's fingerprint with the ledger.

    Only what earlier stages have already done is seen: a stage's plan is made again when its turn comes. The first
    plan tells whether there is any work at all, since a stage that has none leaves nothing new for the next.
    """
    names = tuple(name for name in chosen(wanted.stages) if get_stage(name).trigger != "every run")
    context.root.requests.forget()
    with context.root.ledger.holding(*names, *(need for name in names for need in get_stage(name).needs)):
        return Plan(tuple(step for name in names for step in plan_stage(get_stage(name), context, wanted)))


def notes(context: Context) -> list[str]:
    """What a plan leaves alone on purpose: models that were made before newer days came."""
    from wxpipe.similarity.pairs import newer_days

    found = []
    for source in context.root.sources:
        newer = newer_days(context.root, source.id)
        if newer:
            found.append(f"{source.id}: {newer} days are newer than its model; `wxpipe train` learns from them too")
    return found


def plan_stage(stage: Stage, context: Context, wanted: Range) -> list[Step]:
    """The steps of one stage, in the order of their partitions."""
    entries = context.root.ledger.entries(stage.name)
    return [
        Step(stage.name, partition, *reason_and_why(stage, partition, context, entries.get(partition.key)))
        for partition in stage.partitions(context)
        if wanted.covers(partition)
    ]


def reason_of(stage: Stage, partition: Partition, context: Context, entry: Entry | None) -> Reason:
    """Why a partition is due: never run, failed, or made of something that has changed since."""
    return reason_and_why(stage, partition, context, entry)[0]


def reason_and_why(stage: Stage, partition: Partition, context: Context, entry: Entry | None) -> tuple[Reason, str]:
    """`reason_of`, and what is known of it: what failed, who asked, what has changed."""
    if entry is None:
        return "missing", ""
    if entry.state != "done":
        return ("failed", entry.error) if entry.state == "failed" else ("stale", "its remaking was broken off")
    request = request_of(stage.name, partition, context)
    if entry.request < request:
        return "stale", f"asked for by request {request}"
    if stage.trigger == "on request":
        # Frozen: never stale because of newer data, only by request.
        return ("stale", "asked for") if stage.name in context.options.get("anew", ()) else ("done", "")
    if entry.fingerprint == stage.fingerprint(partition, context):
        return "done", ""
    return "stale", _changed(stage, partition, context, entry)


CHANGES = {
    "files": "files changed",
    "before": "files of the day before changed",
    "expected": "the source's first or last file is another",
    "satellite": "the satellite's definition changed",
    "pictures": "pictures changed",
    "clips": "clips changed",
    "embed": "vectors changed",
    "model": "the model is another",
    "models": "the model is another",
    "layouts": "parameters changed: the histograms that are kept",
    "rule": "parameters changed: what a clip is",
    "contract": "the stage makes something else now",
}
"""What it means that a part of a fingerprint is another; a part that is not here is told by its name."""


def _changed(stage: Stage, partition: Partition, context: Context, entry: Entry) -> str:
    """What differs from what a recorded result was made of; empty where that was not recorded."""
    if not entry.parts:
        return "files that could not be read can be now" if not entry.fingerprint else ""
    with noting_parts() as noted:
        parts = noted.get(stage.fingerprint(partition, context), {})
    names = [name for name in (*CHANGES, *sorted(parts.keys() | entry.parts.keys()))
             if parts.get(name) != entry.parts.get(name)]  # fmt: skip
    return "; ".join(dict.fromkeys(CHANGES.get(name, f"{name} changed") for name in names))


def request_of(stage_name: str, partition: Partition, context: Context) -> int:
    """Number of the newest request that asks for a partition anew; 0 if none does."""
    return context.root.requests.latest(stage_name, partition.source, partition.day, partition.key)


def by_lease(steps: Iterable[Step]) -> dict[str, list[Step]]:
    """Steps by the lease under which they are written: a source-month, or a named thing."""
    groups: dict[str, list[Step]] = {}
    for step in steps:
        groups.setdefault(step.partition.lease_key, []).append(step)
    return groups


def in_parcels(groups: Sequence[str], most: int) -> list[list[str]]:
    """Neighbouring leases put together, so that there are at most so many parcels."""
    size = -(-len(groups) // most) if groups else 1
    return [list(groups[at : at + size]) for at in range(0, len(groups), size)]
