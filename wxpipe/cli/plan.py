"""`wxpipe plan`: what a backfill would do, why, and what that costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wxpipe.cli.options import DEFAULT_ROOT, From, Json, Root, Satellite, Stage, To, Workers, parse_day, print_json

if TYPE_CHECKING:
    from wxpipe.pipeline.costs import Costs


def command(
    root: Root = DEFAULT_ROOT,
    satellite: Satellite = None,
    first: From = "",
    last: To = "",
    stage: Stage = None,
    workers: Workers = 0,
    as_json: Json = False,
) -> None:
    """Show what is due, stage by stage, why, and what it costs. Writes nothing; a new file is seen after a scan."""
    from wxpipe.cli.show import show_notes, show_plan
    from wxpipe.cli.show_costs import show_costs, show_reasons
    from wxpipe.pipeline.backfill import Job, check_range
    from wxpipe.pipeline.costs import plan_with_costs
    from wxpipe.pipeline.plan import Range

    wanted = Range(tuple(satellite or ()), parse_day(first, "--from"), parse_day(last, "--to"), tuple(stage or ()))
    job = Job(root, wanted=wanted)
    due, costs = plan_with_costs(job.context(), check_range(job), workers)
    if as_json:
        work = [
            {"stage": s.stage, "partition": s.partition.key, "reason": s.reason, **({"why": s.why} if s.why else {})}
            for s in due.work
        ]
        print_json({"root": root, "counts": due.counts(), "work": work, "costs": document(costs)})
    else:
        show_plan(due)
        show_reasons(due)
        show_costs(costs)
        show_notes(job)


def document(costs: Costs) -> dict[str, Any]:
    """Costs as JSON: bytes, seconds and requests, whole numbers."""
    stages = {
        name: {
            "partitions": stage.partitions,
            "projected": stage.projected,
            "units": round(stage.units),
            "bytes_read": round(stage.bytes_read),
            "bytes_written": round(stage.bytes_written),
            "core_seconds": round(stage.seconds, 1),
            "processor_seconds": round(stage.processor, 1),
            "reads": round(stage.reads),
            "writes": round(stage.writes),
            "rates": stage.origins,
        }
        for name, stage in costs.stages.items()
    }
    return {
        "pictures": costs.pictures,
        "core_seconds": round(costs.seconds, 1),
        "wall_seconds": round(costs.wall_seconds, 1),
        "workers": costs.workers,
        "requests": round(costs.requests),
        "storage": {kind: round(size) for kind, size in costs.storage.items()},
        "keep_pictures": {"yes": round(costs.kept(True)), "no": round(costs.kept(False))},
        "stages": stages,
    }
