"""`wxpipe validate`: whether every count agrees with the next, from listed files to rows of the release."""

from __future__ import annotations

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Json, Root, print_json


def command(root: Root = DEFAULT_ROOT, as_json: Json = False) -> None:
    """Reconcile a root's counts; exit 3 where something differs or is in quarantine."""
    from rich.console import Console

    from wxpipe.pipeline.backfill import count_quarantined
    from wxpipe.pipeline.reconcile import reconcile
    from wxpipe.store.root import require_root

    opened = require_root(root)
    differences, quarantined = reconcile(opened), count_quarantined(opened)
    if as_json:
        print_json(
            {"reconciled": not differences, "differences": [str(d) for d in differences], "quarantined": quarantined}
        )
    else:
        console = Console()
        for difference in differences:
            console.print(f"[red]does not reconcile[/] {difference}")
        console.print(f"{len(differences)} differences, {quarantined} files in quarantine")
    raise typer.Exit(3 if differences or quarantined else 0)
