"""`wxpipe sql`: questions about everything that a root holds."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Root


def command(
    query: Annotated[str, typer.Argument(help="One SELECT.")],
    root: Root = DEFAULT_ROOT,
    output: Annotated[
        Literal["table", "csv", "json"], typer.Option("--format", help="How rows are printed.")
    ] = "table",
) -> None:
    """Run one SELECT over clips, frames, pictures, ledger, quarantine, inventory, events, cases, ... Read only."""
    from wxpipe.store.root import require_root
    from wxpipe.vectors.sql import format_rows, run_sql

    text = format_rows(run_sql(require_root(root), query), output)
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
