"""`wxpipe reprocess`: makes a range anew, on request, with who asked, when and why on record."""

from __future__ import annotations

from typing import Annotated

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

Reason = Annotated[str, typer.Option("--reason", help="Why; it is recorded with who asked, and when.")]


def command(
    root: Root = DEFAULT_ROOT,
    archive: Archive = "",
    satellite: Satellite = None,
    first: From = "",
    last: To = "",
    stage: Annotated[
        list[str] | None,
        typer.Option("--stage", help="A stage; may be repeated. By default every stage that goes by day."),
    ] = None,
    reason: Reason = "",
    dry_run: DryRun = False,
    workers: Workers = 0,
    scheduler: Scheduler = "",
    satellites: Satellites = "",
    direct: Direct = False,
) -> None:
    """Make stages of a range anew, and whatever follows from them.

    The request is recorded first, at once for the whole range: a run that is killed, or another one, does the rest.
    What comes out as it was changes nothing after it.
    """
    from dataclasses import replace

    from wxpipe.cli.backfill import run_due
    from wxpipe.cli.show import console, show_plan
    from wxpipe.pipeline.backfill import Job
    from wxpipe.pipeline.plan import Range
    from wxpipe.pipeline.reprocess import ask, plan_of, reprocess_request

    asked = Range(tuple(satellite or ()), parse_day(first, "--from"), parse_day(last, "--to"), tuple(stage or ()))
    job = Job(root, archive, satellites, asked, verb="reprocess")
    request = reprocess_request(job, reason)
    if dry_run:
        show_plan(plan_of(job, request))
        console.print(f"nothing was recorded; without --dry-run {', '.join(request.stages)} would be made anew")
        return
    made = ask(job, reason)
    console.print(f"request {made.number}: {', '.join(made.stages)} by {made.who}: {made.why}", highlight=False)
    run_due(replace(job, wanted=replace(asked, stages=())), scheduler, workers, direct)
