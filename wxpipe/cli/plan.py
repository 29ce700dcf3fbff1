"""`wxpipe plan`: what a backfill would do, and why."""

from __future__ import annotations

from wxpipe.cli.options import DEFAULT_ROOT, From, Json, Root, Satellite, Stage, To, parse_day, print_json


def command(
    root: Root = DEFAULT_ROOT,
    satellite: Satellite = None,
    first: From = "",
    last: To = "",
    stage: Stage = None,
    as_json: Json = False,
) -> None:
    """Show what is due, stage by stage. Writes nothing; a new file is seen after the next scan."""
    from wxpipe.cli.show import show_notes, show_plan
    from wxpipe.pipeline.backfill import Job, plan
    from wxpipe.pipeline.plan import Range

    wanted = Range(tuple(satellite or ()), parse_day(first, "--from"), parse_day(last, "--to"), tuple(stage or ()))
    job = Job(root, wanted=wanted)
    due = plan(job)
    if as_json:
        work = [{"stage": s.stage, "partition": s.partition.key, "reason": s.reason} for s in due.work]
        print_json({"root": root, "counts": due.counts(), "work": work})
    else:
        show_plan(due)
        show_notes(job)
