"""`wxpipe update`: new files of recent days, and whatever is still open; what a scheduler runs again and again."""

from __future__ import annotations

from typing import Annotated

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Archive, Direct, Root, Satellite, Satellites, Scheduler, Workers


def command(
    archive: Archive = "",
    root: Root = DEFAULT_ROOT,
    satellite: Satellite = None,
    everything: Annotated[bool, typer.Option("--list-all", help="List the whole archive.")] = False,
    workers: Workers = 0,
    scheduler: Scheduler = "",
    satellites: Satellites = "",
    direct: Direct = False,
) -> None:
    """Take in new files, and do whatever is open, of any age: late, changed, failed.

    Lists the folders of recent days, and once a week all of them. What another run holds is left to it.
    """
    from wxpipe.cli.backfill import list_archive, run_due
    from wxpipe.pipeline.backfill import Job
    from wxpipe.pipeline.plan import Range

    options = {} if everything else {"listing": "recent"}
    wanted = Range(tuple(satellite or ()))
    job = Job(root, archive, satellites, wanted, options, verb="update", wait=False)
    list_archive(job)
    run_due(job, scheduler, workers, direct)
