"""The `backfill` flow: scan, then every stage that is due, then promotion and reconciliation."""

from __future__ import annotations

from typing import Any

from prefect import State, flow

from flows.outages import patiently
from flows.parameters import Archive, Count, Day, Options, Root, Satellites, Scheduler, Site, Stages
from flows.stages import run_job, run_scan
from wxpipe.pipeline.backfill import Job
from wxpipe.pipeline.plan import Range


@flow(name="backfill", flow_run_name="backfill {root}", validate_parameters=True)
def backfill(
    archive: Archive,
    root: Root,
    satellites: Satellites = (),
    first: Day = None,
    last: Day = None,
    stages: Stages = (),
    site: Site = "",
    scheduler: Scheduler = "",
    workers: Count = 0,
    options: Options = None,
) -> dict[str, Any] | State[Any]:
    """Does everything that is due of an archive.

    What is done already is never done again, so a run may be repeated, cancelled and started anew at any time.

    Args:
        archive: Folder or s3:// URL of the raw pictures.
        root: Folder or s3:// URL of the root; it is made where there is none.
        satellites: Satellites or sources, e.g. coms or coms-ea; all by default.
        first: First UTC day; the archive's first by default.
        last: Last UTC day, included; the archive's last by default.
        stages: Names of stages; all by default.
        site: File or folder of the site's own satellite TOML.
        scheduler: Address of a Dask scheduler; a local cluster by default.
        workers: Workers of the local cluster; 0 means one a core.
        options: Of stages, e.g. {"train_epochs": 20}.
    """
    job = Job(root, archive, site, Range(satellites, first, last, stages), options or {})
    patiently(lambda: run_scan(job))
    return run_job(job, scheduler, workers)
