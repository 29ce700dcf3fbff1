"""`wxpipe retry`: gives inputs in quarantine, and work that failed, another chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wxpipe.cli.options import (
    DEFAULT_ROOT,
    Archive,
    Direct,
    DryRun,
    From,
    Root,
    Satellite,
    Satellites,
    Scheduler,
    To,
    Workers,
    parse_day,
)

if TYPE_CHECKING:
    from wxpipe.pipeline.reprocess import Troubled

MOST_SHOWN = 30


def command(
    root: Root = DEFAULT_ROOT,
    archive: Archive = "",
    satellite: Satellite = None,
    first: From = "",
    last: To = "",
    reason: Annotated[
        list[str] | None,
        typer.Option("--reason", help="Only inputs that were put aside for it, e.g. truncated; may be repeated."),
    ] = None,
    quarantined: Annotated[bool, typer.Option("--quarantined/--no-quarantined", help="Inputs in quarantine.")] = True,
    failed: Annotated[bool, typer.Option("--failed/--no-failed", help="Work that failed.")] = True,
    dry_run: DryRun = False,
    workers: Workers = 0,
    scheduler: Scheduler = "",
    satellites: Satellites = "",
    direct: Direct = False,
) -> None:
    """Read again what was put aside, and do again what failed, of a range; then what follows from it.

    A file that changed is read again by every backfill: this is for what changed outside the file.
    """
    from wxpipe.cli.backfill import list_archive, run_due
    from wxpipe.cli.show import console
    from wxpipe.pipeline.backfill import Job, check_range
    from wxpipe.pipeline.plan import Range
    from wxpipe.pipeline.reprocess import range_of, retry_request, troubled_days

    wanted = Range(tuple(satellite or ()), parse_day(first, "--from"), parse_day(last, "--to"))
    opened = Job(root, archive, satellites, wanted).context().root
    days = troubled_days(
        opened, check_range(Job(root, wanted=wanted)), tuple(reason or ()), quarantined=quarantined, failed=failed
    )
    _show(days)
    if dry_run or not days:
        return
    job = Job(root, archive, satellites, range_of(days), verb="retry")
    if archive:
        list_archive(job)
    made = opened.requests.record(retry_request(days, "retry of " + (", ".join(reason or ()) or "all trouble")))
    console.print(f"request {made.number}: {len(made.partitions)} days again", highlight=False)
    run_due(job, scheduler, workers, direct)


def _show(days: list[Troubled]) -> None:
    from rich.table import Table

    from wxpipe.cli.show import console

    table = Table("day", "stage", "reason", title=f"{len(days)} days to do again", title_justify="left")
    for day in days[:MOST_SHOWN]:
        table.add_row(day.key, day.stage, ", ".join(f"{reason} ({count})" for reason, count in day.reasons))
    if len(days) > MOST_SHOWN:
        table.add_row(f"and {len(days) - MOST_SHOWN} more", "", "")
    console.print(table)
