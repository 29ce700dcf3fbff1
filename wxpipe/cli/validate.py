"""`wxpipe validate`: whether what is stored is what was written, and every count agrees with the next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wxpipe.cli.options import (
    DEFAULT_ROOT,
    From,
    Json,
    Root,
    Satellite,
    Scheduler,
    Stage,
    To,
    parse_day,
    print_json,
)

if TYPE_CHECKING:
    from wxpipe.pipeline.validate import Repair, Validation, Wanted

Sample = Annotated[int, typer.Option("--sample", min=0, help="Look at so many partitions of each stage; 0: at all.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Of the sample; drawn and told where none is given.")]
Mend = Annotated[bool, typer.Option("--repair", help="Ask for what is damaged; the next backfill makes it again.")]
Page = Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Write the report as Markdown, too.")]
Team = Annotated[int, typer.Option("--workers", min=0, help="Local Dask workers; 0: in this process.")]


def command(
    root: Root = DEFAULT_ROOT,
    satellite: Satellite = None,
    first: From = "",
    last: To = "",
    stage: Stage = None,
    sample: Sample = 0,
    seed: Seed = None,
    workers: Team = 0,
    scheduler: Scheduler = "",
    repair: Mend = False,
    report: Page = None,
    as_json: Json = False,
) -> None:
    """Read a root through, every byte, and say what is damaged, lost, doubled or does not add up.

    Exit 3 where anything was found or is in quarantine. With --repair, a backfill makes again what was found.
    """
    from secrets import randbelow

    from wxpipe.cli.report import validation_page
    from wxpipe.pipeline.plan import Range
    from wxpipe.pipeline.validate import Wanted, check_range
    from wxpipe.pipeline.validate import repair as mend
    from wxpipe.store.root import require_root

    opened = require_root(root)
    asked = Range(tuple(satellite or ()), parse_day(first, "--from"), parse_day(last, "--to"), tuple(stage or ()))
    seed = randbelow(1 << 32) if seed is None else seed
    wanted = Wanted(check_range(opened, asked), sample, seed if sample else 0)
    found = _validate(root, wanted, workers, scheduler)
    done = mend(opened, found.findings) if repair else None
    if report is not None:
        report.write_text(validation_page(root, found))
    if as_json:
        print_json({**found.document(), **({"repair": vars(done)} if done else {})})
    else:
        _show(found)
        _show_repair(found, done)
    raise typer.Exit(found.exit_code)


def _validate(root: str, wanted: Wanted, workers: int, scheduler: str) -> Validation:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from wxpipe.cli.show import console
    from wxpipe.pipeline.cluster import open_cluster, open_workers
    from wxpipe.pipeline.run import Workers
    from wxpipe.pipeline.validate import validate
    from wxpipe.store.root import require_root

    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task("reading", total=None)

        def show(done: int, total: int, what: str) -> None:
            bars.update(bar, completed=done, total=total, description=what)

        if not scheduler and not workers:
            return validate(require_root(root), wanted, Workers(), show)
        with open_cluster(scheduler, workers) as address, open_workers(address) as team:
            return validate(require_root(root), wanted, team, show)


def _show(found: Validation) -> None:
    from rich.console import Console

    console = Console()
    for finding in found.findings:
        word = "does not reconcile" if finding.check == "counts" else f"{finding.check}:"
        console.print(f"[red]{word}[/] {finding}", highlight=False)
    drawn = f", drawn with --seed {found.wanted.seed}" if found.wanted.sample else ""
    looked, there = sum(found.looked_at.values()), sum(found.there.values())
    console.print(
        f"{looked} of {there} partitions read{drawn}; {len(found.checks)} checks, {len(found.findings)} findings, "
        f"{len(found.differences)} differences, {found.quarantined} files in quarantine",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def _show_repair(found: Validation, done: Repair | None) -> None:
    from wxpipe.cli.show import console

    if done is None:
        if any(f.again or f.remove or f.lay_out for f in found.findings):
            console.print("`wxpipe validate --repair` asks for what is damaged", highlight=False)
        return
    for key in done.restored:
        console.print(f"written again: {key}", highlight=False)
    for key in done.removed:
        console.print(f"removed: {key}", highlight=False)
    for (stage, keys), number in zip(done.asked.items(), done.requests, strict=True):
        console.print(f"request {number}: {stage}, {len(keys)} partitions", highlight=False)
    if found.findings:
        console.print("now run `wxpipe backfill`, with the archive, and then `wxpipe validate`", highlight=False)
