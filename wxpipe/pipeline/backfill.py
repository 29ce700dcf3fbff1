"""The whole job as plain functions: scan, plan, run every stage, promote, reconcile. Flows and the CLI call these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from wxpipe.config import DataSettings
from wxpipe.errors import NotFoundError, UsageError
from wxpipe.pipeline.events import Result
from wxpipe.pipeline.execute import execute
from wxpipe.pipeline.logs import log_event
from wxpipe.pipeline.plan import Plan, Range, make_plan
from wxpipe.pipeline.reconcile import Difference, reconcile
from wxpipe.pipeline.run import Workers, run_stage, single_handed
from wxpipe.pipeline.runs import registered
from wxpipe.pipeline.stages import chosen
from wxpipe.store.objects import check_url
from wxpipe.store.root import Root, init_root, require_root
from wxpipe.store.stage import Context, Partition, ignore_progress


@dataclass(frozen=True)
class Job:
    """What a run is asked to do; plain values, so that Prefect can show and store them.

    Attributes:
        settings: what a new root is made with, and an old one must have; None takes the defaults, or what is there.
        site: a file or folder of satellite TOML files of the site's own.
        options: for stages, e.g. ``{"train_epochs": 20}``.
        verb: under which the run is registered.
        wait: for source-months that another run holds; else they are left to it.
    """

    root: str
    archive: str = ""
    site: str = ""
    wanted: Range = field(default_factory=Range)
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: DataSettings | None = None
    verb: str = "backfill"
    wait: bool = True

    def __post_init__(self) -> None:
        for url in (self.root, self.archive):
            check_url(url)  # before Prefect, a log or the ledger writes it down

    def context(self) -> Context:
        return Context(require_root(self.root), self.archive, options={**self.options, "satellites": self.site})

    def parameters(self) -> dict[str, Any]:
        """What the job was asked, in words that a person reads in the registry of runs."""
        wanted = self.wanted
        said: dict[str, Any] = {
            "archive": self.archive,
            "sources": list(wanted.sources),
            "from": wanted.first,
            "to": wanted.last,
            "stages": list(wanted.stages),
            "days": sorted(f"{source}/{day}" for source, day in wanted.days),
            "options": dict(self.options),
        }
        return {name: value for name, value in said.items() if value}


@dataclass(frozen=True)
class Report:
    """What a run came to.

    Attributes:
        quarantined: inputs that are put aside in the root now, whenever that happened.
    """

    results: tuple[Result, ...]
    quarantined: int
    differences: tuple[Difference, ...]
    promoted: int | None

    @property
    def failed(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.state != "done")

    @property
    def exit_code(self) -> int:
        """0 clean, 1 failed, 3 done, and something was quarantined or does not reconcile."""
        if self.failed:
            return 1
        return 3 if self.quarantined or self.differences else 0


def scan(job: Job, progress: Any = ignore_progress) -> Result:
    """Makes the root where there is none, and lists the archive into its inventory.

    Raises:
        UsageError: no archive was named, or an unknown stage; nothing was made then.
    """
    chosen(job.wanted.stages)
    if not job.archive:
        require_root(job.root)
        raise UsageError("no archive was named; give --archive")
    root = init_root(job.root, job.settings)
    options = {**job.options, "satellites": job.site}
    with single_handed(root, "scan") as lease:
        context = Context(root, job.archive, lease, options, progress)
        result = execute("scan", Partition("", name="archive"), context)
        log_event(result)
        return result


def plan(job: Job) -> Plan:
    """What is due now, and why."""
    return make_plan(job.context(), check_range(job))


def check_range(job: Job) -> Range:
    """The range with its sources resolved.

    Raises:
        UsageError: an unknown source or stage.
    """
    root = require_root(job.root)
    sources = tuple(root.source(name).id for name in job.wanted.sources)
    if job.wanted.first and job.wanted.last and job.wanted.first > job.wanted.last:
        raise UsageError(f"the range begins on {job.wanted.first} and ends before that, on {job.wanted.last}")
    return replace(job.wanted, sources=sources, stages=chosen(job.wanted.stages))


def run(job: Job, workers: Workers) -> Report:
    """Runs every stage that is due, in order, in this process or on its workers, without Prefect.

    Raises:
        Cancelled: the run was asked to stop.
    """
    wanted = check_range(job)
    results: list[Result] = []
    with registered(require_root(job.root), job.verb, job.parameters()):
        for name in wanted.stages:
            if name != "scan":
                results += run_stage(name, job.context(), wanted, workers, wait=job.wait)
            if any(result.state == "failed" and result.stops for result in results):
                break
        return finish(job, results)


def finish(job: Job, results: Sequence[Result]) -> Report:
    """Promotes what was built, and accounts for everything."""
    root = Root(job.root)
    promoted = promote_newest(root) if _releases(job) and not any(r.state == "failed" for r in results) else None
    return Report(tuple(results), count_quarantined(root), tuple(reconcile(root)), promoted)


def _releases(job: Job) -> bool:
    return "release" in chosen(job.wanted.stages)


def promote_newest(root: Root) -> int | None:
    """Makes the newest release the current one, unless it is already, or there is none."""
    from wxpipe.vectors.records import release_numbers
    from wxpipe.vectors.release import current_number, promote

    numbers = release_numbers(root)
    if not numbers or current_number(root) == numbers[-1]:
        return None
    with single_handed(root, "release/promotion"):
        return promote(root).number


def count_quarantined(root: Root) -> int:
    """Inputs that are put aside in a root, by any stage."""
    try:
        return sum(record.kind == "quarantined" for *_, record in root.quarantine.all())
    except NotFoundError:
        return 0
