"""The `update` flow: new files and whatever is open, from the archive's newest folders; tells of data that is late."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect import State, flow, get_run_logger
from prefect.events import emit_event

from flows.outages import patiently
from flows.parameters import Archive, Count, Hours, Listing, Options, Root, Satellites, Scheduler, Site
from flows.stages import run_job, run_scan
from wxpipe.pipeline.backfill import Job, check_range
from wxpipe.pipeline.lag import lags
from wxpipe.pipeline.plan import Range

LATE = "wxpipe.data.late"
"""The event of a source whose newest picture is older than it should be; `deploy/automations` react to it."""


@flow(name="update", flow_run_name="update {root}", validate_parameters=True)
def update(
    archive: Archive,
    root: Root,
    satellites: Satellites = (),
    site: Site = "",
    scheduler: Scheduler = "",
    workers: Count = 0,
    listing: Listing = "recent",
    late_after_hours: Hours = 0,
    options: Options = None,
) -> dict[str, Any] | State[Any]:
    """Takes in what has come since, and whatever the ledger holds open; nothing new means nothing is done.

    Args:
        archive: Folder or s3:// URL of the raw pictures.
        root: Folder or s3:// URL of the root.
        satellites: Satellites or sources, e.g. coms or coms-ea; all by default.
        site: File or folder of the site's own satellite TOML.
        scheduler: Address of a Dask scheduler; a local cluster by default, begun only where something is due.
        workers: Workers of the local cluster; 0 means one a core.
        listing: recent lists the newest days' folders, and all of them once a week; all lists everything now.
        late_after_hours: How old a source's newest picture may be before it counts as late; 0 means never.
        options: Of stages, e.g. {"train_epochs": 20}.
    """
    chosen = {**(options or {}), **({"listing": "recent"} if listing == "recent" else {})}
    job = Job(root, archive, site, Range(satellites), chosen, verb="update", wait=False)
    patiently(lambda: run_scan(job))
    late = tell_late(job, late_after_hours, listing) if late_after_hours else 0
    return run_job(job, scheduler, workers, lambda _: {"late": late})


def tell_late(job: Job, hours: float, listing: Listing) -> int:
    """Emits an event for each source whose newest picture is older than so many hours; how many there are."""
    wanted = check_range(job)
    late = [lag for lag in lags(job.context().root, datetime.now(UTC), wanted.sources) if lag.hours > hours]
    for lag in late:
        newest = f"{lag.newest:%Y-%m-%dT%H:%MZ}"
        get_run_logger().warning("%s is late: its newest picture is of %s, %.1f h ago", lag.source, newest, lag.hours)
        emit_event(
            LATE,
            resource={"prefect.resource.id": f"wxpipe.source.{lag.source}", "prefect.resource.name": lag.source,
                      "wxpipe.root": job.root, "wxpipe.listing": listing},
            payload={"newest": newest, "hours": round(lag.hours, 2), "limit": hours},
        )  # fmt: skip
    return len(late)
