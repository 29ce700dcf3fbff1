"""What the flows share: a stage as a handful of Prefect tasks, each over as many months as keeps a run small."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from wxpipe.errors import WxpipeError
from wxpipe.pipeline.backfill import Job, Report, check_range
from wxpipe.pipeline.cluster import open_cluster, open_workers
from wxpipe.pipeline.events import Event, Note, Result, listening
from wxpipe.pipeline.logs import logged
from wxpipe.pipeline.metrics import measured
from wxpipe.pipeline.plan import in_parcels
from wxpipe.pipeline.run import due_by_lease, run_stage
from wxpipe.pipeline.stages import get_stage

MOST_TASKS = 280
"""Task runs that a flow run may come to; an API call each, and a server holds up well below a thousand."""


class ParcelFailedError(WxpipeError):
    """Some partitions of a parcel failed; the ledger holds them open, and the others are done."""

    def __init__(self, stage: str, results: Sequence[Result]) -> None:
        self.results = results
        self.bug = any(result.stops for result in results)
        failed = [result for result in results if result.state != "done"]
        lines = "\n".join(f"{r.partition.key}: {r.error}\n{r.trace}".rstrip() for r in failed[:20])
        super().__init__(f"{len(failed)} of {len(results)} partitions of {stage} failed:\n{lines}")


@task(name="stage", task_run_name="{stage} {label}", cache_policy=NO_CACHE)
def run_parcel(
    stage: str,
    label: str,  # noqa: ARG001 - it is the task run's name
    job: Job,
    leases: Sequence[str],
    address: str,
) -> list[Result]:
    """Runs one stage over some source-months (or named things) on Dask workers; what it says is logged.

    Raises:
        ParcelFailedError: some of them failed.
    """
    logger = get_run_logger()

    def log(event: Event) -> None:
        if isinstance(event, Note) and not event.fleeting:
            logger.info("%s %s: %s", event.stage, event.partition.key, event.what)

    with listening(log), open_workers(address) as workers:
        results = run_stage(stage, job.context(), check_range(job), workers, leases, job.wait)
    if any(result.state != "done" for result in results):
        raise ParcelFailedError(stage, results)
    return results


def run_stages(job: Job, address: str, results: list[Result]) -> None:
    """Runs every stage of a job, each planned when its turn comes.

    A partition that fails stays open and the rest goes on; after a bug no further stage begins.

    Args:
        results: is given what became of each partition, also where this raises.

    Raises:
        WxpipeError: something failed; raised at the end.
    """
    wanted = check_range(job)
    names = [name for name in wanted.stages if get_stage(name).trigger != "every run"]
    faults: list[ParcelFailedError] = []
    for name in names:
        leases = list(due_by_lease(name, job.context(), wanted))
        for parcel in in_parcels(leases, MOST_TASKS // len(names)):
            state = run_parcel(name, _label(parcel), job, parcel, address, return_state=True)
            found = state.result(raise_on_failure=False)
            if isinstance(found, ParcelFailedError):
                faults.append(found)
                results += found.results
            elif isinstance(found, BaseException):
                raise found
            else:
                results += found
        if any(fault.bug for fault in faults):
            break
    if faults:
        raise WxpipeError("\n".join(str(fault) for fault in faults))


@contextmanager
def cluster_address(scheduler: str, workers: int) -> Iterator[str]:
    """The scheduler that a flow's tasks connect to; what they do is logged and measured meanwhile."""
    with logged(), measured(), open_cluster(scheduler, workers) as address:
        yield address


def publish_report(report: Report) -> None:
    """Counts, failures and differences as an artifact of the flow run."""
    rows = [{"what": "partitions done", "count": sum(r.state == "done" for r in report.results), "detail": ""}]
    rows.append({"what": "files in quarantine", "count": report.quarantined, "detail": ""})
    rows += [
        {"what": f"failed {r.stage}", "count": 1, "detail": f"{r.partition.key}: {r.error}"} for r in report.failed
    ]
    rows += [{"what": "does not reconcile", "count": 1, "detail": str(d)} for d in report.differences]
    create_table_artifact(table=rows, key="wxpipe-report", description="What the run came to")


def _label(parcel: Sequence[str]) -> str:
    return parcel[0] if len(parcel) == 1 else f"{parcel[0]} .. {parcel[-1]}"
