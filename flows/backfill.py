"""The `backfill` flow: scan, then every stage that is due, then promotion and reconciliation."""

from __future__ import annotations

from datetime import date
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.stages import cluster_address, publish_report, run_stages
from wxpipe.errors import WxpipeError
from wxpipe.pipeline.backfill import Job, finish, scan
from wxpipe.pipeline.events import Result
from wxpipe.pipeline.plan import Range


@task(name="scan", cache_policy=NO_CACHE)
def run_scan(job: Job) -> None:
    """Lists the archive into the inventory."""
    result = scan(job)
    if result.state != "done":
        raise WxpipeError(f"scan failed: {result.error}\n{result.trace}")


@flow(name="backfill", flow_run_name="backfill {root}", validate_parameters=True)
def backfill(
    archive: str,
    root: str,
    satellites: list[str] | None = None,
    first: date | None = None,
    last: date | None = None,
    stages: list[str] | None = None,
    site: str = "",
    scheduler: str = "",
    workers: int = 0,
    options: dict[str, Any] | None = None,
) -> dict[str, int]:
    """Does everything that is due of an archive.

    Args:
        archive: folder or s3:// URL of the raw pictures.
        root: folder or s3:// URL of the root.
        satellites: satellites or sources; all by default.
        first: first UTC day; the archive's first by default.
        last: last UTC day; the archive's last by default.
        stages: names of stages; all by default.
        site: file or folder of the site's own satellite TOML.
        scheduler: address of a Dask scheduler; a local cluster by default.
        workers: workers of the local cluster; one a core by default.
        options: of stages, e.g. {"train_epochs": 20}.
    """
    job = Job(root, archive, site, Range(tuple(satellites or ()), first, last, tuple(stages or ())), options or {})
    run_scan(job)
    results: list[Result] = []
    try:
        with cluster_address(scheduler, workers) as address:
            run_stages(job, address, results)
    finally:
        report = finish(job, results)
        publish_report(report)
    return {
        "promoted": report.promoted or 0,
        "quarantined": report.quarantined,
        "differences": len(report.differences),
    }
