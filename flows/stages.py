"""What the flows share: a stage as a handful of Prefect tasks, each over as many months as keeps a run small."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, cast

import prefect.states
from prefect import State, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.outages import patiently
from flows.reports import publish_coverage, publish_report
from flows.stopping import on_record
from wxpipe.errors import Cancelled, WxpipeError
from wxpipe.pipeline.backfill import Job, check_range, finish, scan
from wxpipe.pipeline.cluster import open_cluster, open_workers
from wxpipe.pipeline.events import Event, Note, Result, Waiting, listening
from wxpipe.pipeline.logs import logged
from wxpipe.pipeline.metrics import measured
from wxpipe.pipeline.plan import in_parcels
from wxpipe.pipeline.run import due_by_lease, run_stage
from wxpipe.pipeline.stages import get_stage
from wxpipe.store.stage import Partition

MOST_TASKS = 280
"""Task runs that a flow run may come to; an API call each, and a server holds up well below a thousand."""

MOST_OF_A_STAGE = 90
"""Task runs that one stage may come to, also where it is the only one."""


class ParcelFailedError(WxpipeError):
    """Some partitions failed; the ledger holds them open, and the others are done."""

    def __init__(self, message: str, results: Sequence[Result]) -> None:
        super().__init__(message)
        self.results = results
        self.bug = any(result.stops for result in results)

    @classmethod
    def of(cls, stage: str, results: Sequence[Result]) -> ParcelFailedError:
        failed = [result for result in results if result.state != "done"]
        lines = "\n".join(f"{r.partition.key}: {r.error}\n{r.trace}".rstrip() for r in failed[:20])
        return cls(f"{len(failed)} of {len(results)} partitions of {stage} failed:\n{lines}", results)

    @classmethod
    def joined(cls, faults: Sequence[ParcelFailedError]) -> ParcelFailedError:
        return cls("\n".join(map(str, faults)), [result for fault in faults for result in fault.results])


@task(name="scan", cache_policy=NO_CACHE)
def run_scan(job: Job) -> None:
    """Lists the archive into the inventory."""
    result = scan(job)
    if result.state != "done":
        raise WxpipeError(f"scan failed: {result.error}\n{result.trace}".rstrip())
    get_run_logger().info("scan %s: %s", job.archive, _counted(result))


@task(name="stage", task_run_name="{stage} {label}", cache_policy=NO_CACHE)
def run_parcel(
    stage: str,
    label: str,  # noqa: ARG001 - it is the task run's name
    job: Job,
    leases: Sequence[str],
    address: str,
) -> list[Result]:
    """Runs one stage over some source-months (or named things) on Dask workers; what becomes of each is logged.

    Raises:
        ParcelFailedError: some of them failed.
    """
    with listening(_log), open_workers(address) as workers:
        results = run_stage(stage, job.context(), check_range(job), workers, leases, job.wait)
    if any(result.state != "done" for result in results):
        raise ParcelFailedError.of(stage, results)
    return results


def run_job(
    job: Job,
    scheduler: str | None,
    workers: int,
    also: Callable[[Sequence[Result]], dict[str, Any]] = lambda _: {},
) -> dict[str, Any] | State[Any]:
    """Runs every stage that is due of a job, promotes what was built, accounts for everything and publishes it.

    Args:
        scheduler: address of a Dask scheduler; an empty one is a local cluster's, None this process.
        also: publishes, and answers, what else there is to tell of the results.

    Returns:
        What a flow returns: what the run came to, or the state Cancelled, with who asked for it.

    Raises:
        ParcelFailedError: something failed; it is in the report that was published.
    """
    try:
        with on_record(job):
            return _run_job(job, scheduler, workers, also)
    except Cancelled as error:
        return prefect.states.Cancelled(message=str(error))


def _run_job(
    job: Job, scheduler: str | None, workers: int, also: Callable[[Sequence[Result]], dict[str, Any]]
) -> dict[str, Any]:
    results: list[Result] = []
    fault: ParcelFailedError | None = None
    try:
        with cluster_when_needed(scheduler, workers) as address:
            run_stages(job, address, results)
    except ParcelFailedError as error:
        fault = error
    report = finish(job, results)
    patiently(lambda: publish_report(report))
    patiently(lambda: publish_coverage(job))
    told = patiently(lambda: also(results))
    if fault is not None:
        raise fault
    return {
        "promoted": report.promoted or 0,
        "quarantined": report.quarantined,
        "differences": len(report.differences),
        **told,
    }


def run_stages(job: Job, address: Callable[[], str], results: list[Result]) -> None:
    """Runs every stage of a job, each planned when its turn comes.

    A partition that fails stays open and the rest goes on; after a bug no further stage begins.

    Args:
        address: tells the scheduler's address; asked for only where there is work.
        results: is given what became of each partition, also where this raises.

    Raises:
        ParcelFailedError: something failed; raised at the end.
    """
    wanted = check_range(job)
    names = [name for name in wanted.stages if get_stage(name).trigger != "every run"]
    faults: list[ParcelFailedError] = []
    for name in names:
        leases = list(due_by_lease(name, job.context(), wanted))
        for parcel in in_parcels(leases, min(MOST_OF_A_STAGE, MOST_TASKS // len(names))):
            found, fault = submit_parcel(name, job, parcel, address())
            results += found
            faults += [fault] if fault is not None else []
        if any(fault.bug for fault in faults):
            break
    if faults:
        raise ParcelFailedError.joined(faults)


def submit_parcel(
    stage: str, job: Job, parcel: Sequence[str], address: str
) -> tuple[list[Result], ParcelFailedError | None]:
    """Runs a parcel as a task run; what became of each partition, and the error where some failed.

    Where the server was away at the end of it the parcel is run again, and finds nothing due: what it came to is what
    was heard of it the first time.
    """
    heard: dict[Partition, Result] = {}

    def hear(event: Event) -> None:
        if isinstance(event, Result) and event.state != "lost":
            heard[event.partition] = event

    tagged = run_parcel.with_options(tags=[f"wxpipe-{stage}"])
    with listening(hear):
        state = patiently(lambda: tagged(stage, _label(parcel), job, parcel, address, return_state=True))
    found = state.result(raise_on_failure=False)
    fault = found if isinstance(found, ParcelFailedError) else None
    if fault is None and isinstance(found, BaseException):
        raise found
    results = fault.results if fault is not None else cast(Sequence[Result], found)
    return list({**heard, **{result.partition: result for result in results}}.values()), fault


@contextmanager
def cluster_when_needed(scheduler: str | None, workers: int) -> Iterator[Callable[[], str]]:
    """Tells the address of a scheduler; a local cluster begins when it is first asked for.

    What its tasks do is logged and measured meanwhile.
    """
    with logged(), measured(), ExitStack() as stack:
        yield cache(lambda: "" if scheduler is None else stack.enter_context(open_cluster(scheduler, workers)))


def _log(event: Event) -> None:
    """Says in the run's log what became of each source-day, and for whom this run waits."""
    logger = get_run_logger()
    if isinstance(event, Result) and event.state == "done":
        logger.info("%s %s: %s", event.stage, event.partition.key, _counted(event))
    elif isinstance(event, Result):
        logger.error("%s %s: %s: %s", event.stage, event.partition.key, event.state, event.error)
    elif isinstance(event, Waiting):
        logger.warning("%s is held by %s: %s", event.lease, event.holder, "left to it" if event.left else "waiting")
    elif isinstance(event, Note) and not event.fleeting:
        logger.info("%s %s: %s", event.stage, event.partition.key, event.what)


def _counted(result: Result) -> str:
    """The counts of a result, those that are not zero."""
    return ", ".join(f"{name} {count}" for name, count in result.counts.items() if count) or "nothing"


def _label(parcel: Sequence[str]) -> str:
    return parcel[0] if len(parcel) == 1 else f"{parcel[0]} .. {parcel[-1]}"
