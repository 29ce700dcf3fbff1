"""`wxpipe gc`: removes what nobody needs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Json, Root, print_json


def command(
    root: Root = DEFAULT_ROOT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    grace: Annotated[
        float, typer.Option("--grace", min=0, help="Hours for which half-written files are left alone.")
    ] = 1.0,
    models: Annotated[
        bool, typer.Option("--models", help="Also models, vectors and pairs that nothing refers to.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove half-written files of dead runs, results without an entry, spent leases and checkpoints.

    Nothing that a run may be writing is touched: it can run beside anything, at any time. Tables that no release
    names are the business of `wxpipe release maintain`.
    """
    from rich.console import Console

    from wxpipe.pipeline.gc import HOUR, Wanted, collect
    from wxpipe.store.root import require_root

    done = collect(require_root(root), Wanted(dry_run, grace * HOUR, models))
    sizes = done.sizes()
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "objects": sum(count for count, _ in sizes.values()),
                "bytes": sum(size for _, size in sizes.values()),
                "removed": [asdict(waste) for waste in done.removed],
                "kept": done.kept,
            }
        )
        return
    console = Console()
    for kind, (count, size) in sizes.items():
        why = next(waste.why for waste in done.removed if waste.kind == kind)
        console.print(f"{kind}: {count} objects, {size:,} bytes ({why})", highlight=False)
    for told in done.kept:
        console.print(f"[yellow]left alone[/] {told}", highlight=False)
    word = "would be removed" if dry_run else "removed"
    console.print(f"{sum(c for c, _ in sizes.values())} objects {word}, {sum(s for _, s in sizes.values()):,} bytes")
