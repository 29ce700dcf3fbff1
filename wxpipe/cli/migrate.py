"""`wxpipe migrate`: a root that an older version made becomes one that this version reads."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Json, Root, print_json


def command(
    root: Root = DEFAULT_ROOT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be written.")] = False,
    as_json: Json = False,
) -> None:
    """Bring a root to this version's format; nothing becomes due by it. Killed, the same command goes on from there.

    Runs are waited for. Readers of the older version go on until the last write, and must be updated then.
    """
    from wxpipe.cli.show import console
    from wxpipe.pipeline.migrate import migrate

    with console.status("looking") as status:
        done = migrate(root, dry_run, status.update)
    if as_json:
        print_json({"root": root, "dry_run": dry_run, **asdict(done)})
    elif done.found == done.to:
        console.print(f"nothing to do: {root} has format {done.to}")
    else:
        said = "would lead" if dry_run else "led"
        console.print(
            f"{said} {root} from format {done.found} to {done.to}: {done.renamed:,} records renamed, "
            f"{done.kept:,} kept as they are, being due anyway"
        )
