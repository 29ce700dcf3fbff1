"""`wxpipe sql`: questions about everything that a root holds."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Root


def command(
    query: Annotated[str, typer.Argument(help="One SELECT.")],
    root: Root = DEFAULT_ROOT,
    output: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
) -> None:
    """Run one SELECT over clips, frames, pictures, ledger, quarantine, inventory, pairs, releases. Read only."""
    from wxpipe.errors import UsageError
    from wxpipe.store.root import require_root
    from wxpipe.vectors.sql import format_rows, run_sql

    if output not in ("table", "csv", "json"):
        raise UsageError(f"--format {output}: choose one of table, csv, json")
    text = format_rows(run_sql(require_root(root), query), output)  # type: ignore[arg-type]
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
