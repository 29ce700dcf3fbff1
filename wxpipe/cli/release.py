"""`wxpipe release`: build, promote, roll back, list and maintain what is searched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Json, Root, print_json

if TYPE_CHECKING:
    from wxpipe.vectors.upkeep import Upkeep

app = typer.Typer(help="What is searched: model, tables at fixed versions, index.", no_args_is_help=True)


@app.command("build")
def build(root: Root = DEFAULT_ROOT) -> None:
    """Build and check a release of everything that is embedded; nothing changed means no new one."""
    from wxpipe.cli.show import console
    from wxpipe.pipeline.backfill import Job
    from wxpipe.pipeline.plan import Range
    from wxpipe.pipeline.run import Workers, run_stage
    from wxpipe.vectors.release import list_releases

    job = Job(root, wanted=Range(stages=("release",)))
    results = run_stage("release", job.context(), job.wanted, Workers())
    for result in results:
        if result.state != "done":
            console.print(f"[red]{result.state}[/] {result.error}\n{result.trace}")
    releases = list_releases(job.context().root)
    console.print(f"newest release: {releases[-1].number}" if releases else "there is no release")
    raise typer.Exit(1 if any(result.state != "done" for result in results) else 0)


@app.command("promote")
def promote(
    number: Annotated[int, typer.Argument(help="0: the newest.")] = 0,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Make a release the current one."""
    from wxpipe.pipeline.run import single_handed
    from wxpipe.store.root import require_root
    from wxpipe.vectors import release

    opened = require_root(root)
    with single_handed(opened, "release/promotion"):
        print(f"release {release.promote(opened, number or None).number} is current")


@app.command("rollback")
def rollback(root: Root = DEFAULT_ROOT) -> None:
    """Promote the release that served before."""
    from wxpipe.pipeline.run import single_handed
    from wxpipe.store.root import require_root
    from wxpipe.vectors import release

    opened = require_root(root)
    with single_handed(opened, "release/promotion"):
        print(f"release {release.rollback(opened).number} is current")


@app.command("list")
def list_all(root: Root = DEFAULT_ROOT, as_json: Json = False) -> None:
    """List releases, the current one marked."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from wxpipe.store.root import require_root
    from wxpipe.vectors import release

    opened = require_root(root)
    current, releases = release.current_number(opened), release.list_releases(opened)
    if as_json:
        print_json({"current": current, "releases": [asdict(r) for r in releases]})
        return
    table = Table("release", "current", "created", "models", "frames", "clips")
    for r in releases:
        rows = [str(r.rows("frame")), str(r.rows("clip"))]
        table.add_row(
            str(r.number),
            "yes" if r.number == current else "",
            r.created,
            ", ".join(sorted(set(r.models.values()))),
            *rows,
        )
    Console().print(table)


@app.command("maintain")
def maintain(
    root: Root = DEFAULT_ROOT,
    reindex: Annotated[bool, typer.Option("--reindex", help="Learn the partitions of indexes again.")] = False,
    as_json: Json = False,
) -> None:
    """Compact the tables, bring indexes up to date, clear what no release needs; exit 3 where an index falls behind."""
    from dataclasses import asdict

    from wxpipe.pipeline.run import single_handed
    from wxpipe.store.root import require_root
    from wxpipe.vectors import release

    opened = require_root(root)
    with single_handed(opened, "release/default") as lease:
        done = release.maintain(opened, lease=lease, reindex=reindex)
    if as_json:
        print_json(asdict(done))
    else:
        _show_upkeep(done)
    raise typer.Exit(3 if done.alarms else 0)


def _show_upkeep(done: Upkeep) -> None:
    from rich.console import Console
    from rich.table import Table

    from wxpipe.vectors.index import FILTERS

    console = Console()
    table = Table("table", "rows", "fragments", "outside the index", *(f"recall, {name}" for name in FILTERS))
    for one in done.tables:
        for when, figures in (("before", one.before), ("after", one.after)):
            outside = "no index" if figures.unindexed is None else str(figures.unindexed)
            shares = [str(figures.recalls[name]) if name in figures.recalls else "1 (exact)" for name in FILTERS]
            table.add_row(f"{one.table}, {when}", str(one.rows), str(figures.fragments), outside, *shares)
    console.print(table)
    made = f"release {done.release} has the same rows in order" if done.release else "nothing had to be put in order"
    console.print(f"{made}; {done.versions_removed} versions removed, {done.bytes_removed} bytes", highlight=False)
    for alarm in done.alarms:
        console.print(f"[red]alarm[/] {alarm}", highlight=False)
