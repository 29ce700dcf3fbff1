"""`wxpipe sql`: questions about everything that a root holds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Root

if TYPE_CHECKING:
    from wxpipe.vectors.sql import Explanation


def command(
    query: Annotated[str, typer.Argument(help="One SELECT; or SHOW TABLES, DESCRIBE clips, SUMMARIZE clips.")],
    root: Root = DEFAULT_ROOT,
    output: Annotated[
        Literal["table", "csv", "json"],
        typer.Option("--format", help="How rows are printed: for persons, spreadsheets, or programs."),
    ] = "table",
    explain: Annotated[
        bool, typer.Option("--explain", help="Tell what the query reads, and DuckDB's plan; do not run it.")
    ] = False,
) -> None:
    """Ask anything of a root, in DuckDB's SQL. Read only.

    Views: clips and frames (vectors of the current release), pictures (what became of each), ledger, quarantine,
    inventory (raw files), pairs (of trainings), releases; neighbours and novelty (of the current release's graph);
    events, cases and verdicts (what people added). Times are UTC; start AT TIME ZONE 'Asia/Seoul' is local.

    analogs('coms-ea/20110303T0800Z/6h20', 10) in FROM is a search: rank, id, start, end, distance, similarity, ...;
    "where" := 'month = 3', exclude_hours := 24, episodes := true, rerank := 'ground-truth' may follow.

    A query that needs more than its memory, time or rows is ended, and says so: WXPIPE_SQL_MEMORY (bytes, 4 GiB),
    WXPIPE_SQL_SECONDS (120), WXPIPE_SQL_ROWS (1,000,000).
    """
    from wxpipe.store.root import require_root
    from wxpipe.vectors.sql import explain_sql, run_sql
    from wxpipe.vectors.sql_rows import format_rows

    opened = require_root(root)
    text = _told(explain_sql(opened, query)) if explain else format_rows(run_sql(opened, query), output)
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def _told(explanation: Explanation) -> str:
    lines = []
    for name, rows in explanation.views.items():
        columns = explanation.columns.get(name)
        which = "all columns" if columns is None else f"columns: {', '.join(columns) or 'none, a count'}"
        lines.append(f"{name}: {rows:,} rows, {which}" if rows or columns is not None else f"{name}: nothing is read")
    lines.append(f"vectors: {'read' if explanation.vectors else 'not read'}")
    return "\n".join([*lines, "", explanation.plan])
