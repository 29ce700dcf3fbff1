"""Why things are due and what they cost, as people read it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.table import Table

from wxpipe.cli.show import console

if TYPE_CHECKING:
    from wxpipe.pipeline.costs import Costs
    from wxpipe.pipeline.plan import Plan

MOST_REASONS = 12


def show_reasons(plan: Plan) -> None:
    """The reasons that are known, the most frequent first, each with an example."""
    found: Counter[tuple[str, str, str]] = Counter()
    example: dict[tuple[str, str, str], str] = {}
    for step in plan.work:
        if step.why:
            key = (step.stage, step.reason, step.why.partition("\n")[0])
            found[key] += 1
            example.setdefault(key, step.partition.key)
    for (stage, reason, why), count in found.most_common(MOST_REASONS):
        console.print(
            f"{stage}: {count:,} {reason}, {why} (such as {example[stage, reason, why]})", markup=False, highlight=False
        )
    if len(found) > MOST_REASONS:
        console.print(f"{len(found) - MOST_REASONS} more reasons: --json lists every partition with its own")


def show_costs(costs: Costs) -> None:
    """What is due, by stage, and what the root grows by."""
    if not any(stage.partitions for stage in costs.stages.values()):
        return
    table = Table("stage", "partitions", "projected", "read", "written", "core-hours", "requests", "rates",
                  title="costs", title_justify="left")  # fmt: skip
    for name, stage in costs.stages.items():
        if stage.partitions:
            table.add_row(
                name, f"{stage.partitions:,}", f"{stage.projected:,}", size(stage.bytes_read),
                size(stage.bytes_written), f"{stage.seconds / 3600:,.2f}", f"{stage.reads + stage.writes:,.0f}",
                "; ".join(f"{source} {origin}" for source, origin in sorted(stage.origins.items())),
            )  # fmt: skip
    console.print(table)
    stored = ", ".join(
        f"{kind} {size(amount)}" for kind, amount in costs.storage.items()
        if abs(amount) >= 1 and (costs.keeps_pictures or kind != "pictures")
    )  # fmt: skip
    grows = size(costs.kept(costs.keeps_pictures))
    console.print(f"{costs.pictures:,} pictures to read; the root grows by {grows}: {stored}")
    console.print(
        f"keeping pictures stores {size(costs.kept(True))}, --keep-pictures no {size(costs.kept(False))}: reduced "
        "frames, histograms, clips and vectors"
    )
    console.print(
        f"{costs.seconds / 3600:,.2f} core-hours, about {duration(costs.wall_seconds)} on {costs.workers} workers; "
        "a model's training and the building of a release are not in it"
    )


def size(amount: float) -> str:
    """Bytes as people say them."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(amount) >= factor:
            return f"{amount / factor:,.1f} {unit}"
    return f"{amount:,.0f} B"


def duration(seconds: float) -> str:
    for unit, factor in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * factor:
            return f"{seconds / factor:,.1f} {unit}"
    return f"{seconds:,.0f} seconds"
