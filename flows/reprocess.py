"""The `reprocess` flow: records that a range is to be made anew, and why; then does what is due in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prefect import State, flow, get_run_logger
from prefect.runtime import flow_run

from flows.parameters import Archive, Count, Day, Options, Reason, Root, Satellites, Scheduler, Site, Stages
from flows.stages import run_job
from wxpipe.pipeline.backfill import Job
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.reprocess import ask
from wxpipe.store.requests import Request
from wxpipe.store.root import require_root


@flow(name="reprocess", flow_run_name="reprocess {root}", validate_parameters=True)
def reprocess(
    archive: Archive,
    root: Root,
    reason: Reason,
    satellites: Satellites = (),
    first: Day = None,
    last: Day = None,
    stages: Stages = (),
    site: Site = "",
    scheduler: Scheduler = "",
    workers: Count = 0,
    options: Options = None,
) -> dict[str, Any] | State[Any]:
    """Makes stages of a range anew, and whatever follows from them; who asked, when and why is recorded.

    The request is recorded first and whole: a run that is killed or cancelled leaves it, and any other run does it.
    What comes out as it was changes nothing after it.

    Args:
        archive: Folder or s3:// URL of the raw pictures.
        root: Folder or s3:// URL of the root.
        reason: Why, in words that are understood in a year.
        satellites: Satellites or sources, e.g. coms or coms-ea; all by default.
        first: First UTC day; the archive's first by default.
        last: Last UTC day, included; the archive's last by default.
        stages: Names of stages; by default those that go by day (ingest, histograms, clips, embed).
        site: File or folder of the site's own satellite TOML.
        scheduler: Address of a Dask scheduler; a local cluster by default.
        workers: Workers of the local cluster; 0 means one a core.
        options: Of stages, e.g. {"train_epochs": 20}.
    """
    job = Job(root, archive, site, Range(satellites, first, last, stages), options or {}, verb="reprocess")
    request = ask_once(job, f"{reason} (flow run {flow_run.id})")
    anew = replace(job, wanted=Range(satellites, first, last))
    return run_job(anew, scheduler, workers, lambda _: {"request": request.number})


def ask_once(job: Job, why: str) -> Request:
    """Records the request, unless an earlier attempt of this flow run did: a retry goes on, and begins nothing anew."""
    there = (request for request in require_root(job.root).requests.all() if request.why == why)
    request = next(there, None) or ask(job, why)
    get_run_logger().info("request %d: %s by %s: %s", request.number, ", ".join(request.stages), request.who, why)
    return request
