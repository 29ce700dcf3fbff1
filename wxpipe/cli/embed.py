"""`wxpipe embed`: the vectors that are due."""

from __future__ import annotations

import typer

from wxpipe.cli.options import DEFAULT_ROOT, From, Root, Satellite, Scheduler, To, Workers, parse_day


def command(
    root: Root = DEFAULT_ROOT,
    satellite: Satellite = None,
    first: From = "",
    last: To = "",
    workers: Workers = 0,
    scheduler: Scheduler = "",
) -> None:
    """Embed frames and clips of every day that is due, with each source's latest model."""
    from wxpipe.cli.backfill import run_job
    from wxpipe.cli.show import show_report
    from wxpipe.pipeline.backfill import Job
    from wxpipe.pipeline.plan import Range

    days = (parse_day(first, "--from"), parse_day(last, "--to"))
    report = run_job(
        Job(root, wanted=Range(tuple(satellite or ()), *days, ("embed",))), scheduler, workers, direct=True
    )
    show_report(report, root)
    raise typer.Exit(report.exit_code)
