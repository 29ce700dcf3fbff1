"""`wxpipe release`: build, promote, roll back, list and maintain what is searched."""

from __future__ import annotations

from typing import Annotated

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Json, Root, print_json

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
def maintain(root: Root = DEFAULT_ROOT) -> None:
    """Compact the tables, bring their indexes up to date, and clear what no release needs."""
    from wxpipe.pipeline.run import single_handed
    from wxpipe.store.root import require_root
    from wxpipe.vectors import release

    opened = require_root(root)
    with single_handed(opened, "release/default") as lease:
        print(release.maintain(opened, lease=lease))
