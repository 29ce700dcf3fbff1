"""What people ask to be made again: a range of stages, or the days whose inputs were put aside or whose work failed.

Asking records a request (see `store.requests`); what it covers is then due, and any run does it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from wxpipe.errors import UsageError
from wxpipe.pipeline.backfill import Job, check_range
from wxpipe.pipeline.plan import Plan, Range, make_plan
from wxpipe.pipeline.stages import NAMES, get_stage
from wxpipe.store.requests import Kind, Request
from wxpipe.store.root import Root

BY_DAY = ("ingest", "histograms", "clips", "embed")
"""What is made again where no stage is named. Models and their pairs are frozen: they are asked for by name."""


@dataclass(frozen=True)
class Troubled:
    """A source-day that holds inputs in quarantine, or whose work failed.

    Attributes:
        reasons: of inputs that were put aside, by how many; or the error of what failed.
    """

    stage: str
    source: str
    day: date
    reasons: tuple[tuple[str, int], ...]

    @property
    def key(self) -> str:
        return f"{self.source}/{self.day}"


def reprocess_request(job: Job, why: str) -> Request:
    """The request to make the job's stages of its range anew, not recorded yet.

    Raises:
        UsageError: no reason was given, an unknown source or stage, or a stage that every run does anyway.
    """
    if not why.strip():
        raise UsageError("reprocessing is recorded with its reason; give --reason")
    wanted = check_range(replace(job, wanted=replace(job.wanted, stages=job.wanted.stages or BY_DAY)))
    always = [name for name in wanted.stages if get_stage(name).trigger == "every run"]
    if always:
        known = ", ".join(name for name in NAMES if get_stage(name).trigger != "every run")
        raise UsageError(f"{', '.join(always)} is done in every run and cannot be asked for; there are {known}")
    return Request("reprocess", why.strip(), wanted.stages, wanted.sources, wanted.first, wanted.last)


def ask(job: Job, why: str, kind: Kind = "reprocess") -> Request:
    """Records that the job's stages of its range are to be made anew; a run over the range then does it.

    Raises:
        UsageError: see `reprocess_request`.
    """
    return _root(job).requests.record(replace(reprocess_request(job, why), kind=kind))


def plan_of(job: Job, request: Request) -> Plan:
    """What would be due in the job's range if the request were recorded; writes nothing."""
    context = job.context()
    context.root.requests.assume(request)
    return make_plan(context, replace(check_range(job), stages=NAMES))


def troubled_days(
    root: Root, wanted: Range, reasons: tuple[str, ...] = (), quarantined: bool = True, failed: bool = True
) -> list[Troubled]:
    """Source-days in a range that a retry may mend, in order.

    Args:
        reasons: words of the quarantine, e.g. ``truncated``; all by default. Failed work has none.
        quarantined, failed: which kinds of trouble.
    """
    found: list[Troubled] = []
    if quarantined:
        counts: dict[tuple[str, str, date], dict[str, int]] = {}
        for stage, source, day, record in root.quarantine.all():
            if stage in NAMES and get_stage(stage).trigger == "by day" and record.kind == "quarantined":
                of_day = counts.setdefault((stage, source, day), {})
                of_day[record.reason] = of_day.get(record.reason, 0) + 1
        found += [Troubled(*key, tuple(sorted(said.items()))) for key, said in counts.items()]
        found = [t for t in found if not reasons or {reason for reason, _ in t.reasons} & set(reasons)]
    if failed and not reasons:
        for name in BY_DAY:
            for entry in root.ledger.entries(name).values():
                source, _, text = entry.partition.rpartition("/")
                if entry.state == "failed":
                    found.append(Troubled(name, source, date.fromisoformat(text), ((entry.error, 1),)))
    return sorted((t for t in found if _within(t, wanted)), key=lambda t: (t.source, t.day, NAMES.index(t.stage)))


def retry_request(days: list[Troubled], why: str) -> Request:
    """The request to read these days' inputs again, not recorded yet."""
    stages = tuple(name for name in BY_DAY if any(day.stage == name for day in days))
    return Request("retry", why, stages, partitions=tuple(sorted({day.key for day in days})))


def range_of(days: list[Troubled]) -> Range:
    """The range of a run that does these days, and whatever follows from them, and no others."""
    return Range(days=frozenset((day.source, day.day) for day in days))


def _within(found: Troubled, wanted: Range) -> bool:
    within = (wanted.first is None or found.day >= wanted.first) and (wanted.last is None or found.day <= wanted.last)
    return within and (not wanted.sources or found.source in wanted.sources)


def _root(job: Job) -> Root:
    return job.context().root
