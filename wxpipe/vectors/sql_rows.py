"""The rows of an answer to SQL, written for persons, spreadsheets and programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

from wxpipe.errors import UsageError

Format = Literal["table", "csv", "json"]
FORMATS: tuple[Format, ...] = ("table", "csv", "json")


def format_rows(result: Any, how: Format = "table") -> str:
    """Writes an Arrow table for a person (``table``), a spreadsheet (``csv``), or a program (``json``).

    Raises:
        UsageError: an unknown format.
    """
    if how not in FORMATS:
        raise UsageError(f"format is {how!r}; choose one of {', '.join(FORMATS)}")
    rows = [{name: _plain(value) for name, value in row.items()} for row in _rows(result)]
    if how == "json":
        return json.dumps([{name: _finite(value) for name, value in row.items()} for row in rows], indent=1,
                          ensure_ascii=False)  # fmt: skip
    if how == "csv":
        return _csv(result.schema.names, rows)
    return _table(result.schema.names, rows)


def _rows(result: Any) -> Iterator[dict[str, Any]]:
    """Rows by name; DuckDB allows a name twice, and the last one would win: the schema's order decides instead."""
    names = _unique(result.schema.names)
    for batch in result.rename_columns(names).to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()


def _unique(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return unique


def _plain(value: Any) -> Any:
    """JSON's own kinds of value; times as ISO 8601, UTC."""
    from datetime import date, datetime
    from datetime import time as clock
    from decimal import Decimal

    if isinstance(value, datetime):
        text = value.isoformat(timespec="seconds" if not value.microsecond else "microseconds")
        return text.replace("+00:00", "Z")
    if isinstance(value, date | clock):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return None if isinstance(value, float) and value != value else value
    return str(value)


def _finite(value: Any) -> Any:
    """JSON knows no infinite numbers."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and value in (float("inf"), float("-inf")) else value


def _csv(names: list[str], rows: list[dict[str, Any]]) -> str:
    import csv
    import io

    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(_unique(names))
    for row in rows:
        writer.writerow([json.dumps(cell) if isinstance(cell, list | dict) else cell for cell in row.values()])
    return sink.getvalue()


def _table(names: list[str], rows: list[dict[str, Any]]) -> str:
    import io

    from rich.console import Console
    from rich.table import Table

    table = Table(*_unique(names))
    for row in rows:
        table.add_row(*(_cell(cell) for cell in row.values()))
    sink = io.StringIO()
    # A width that nothing is folded at; who prints it decides what to do with long lines.
    Console(file=sink, width=max(80, *(40 * len(names),)), no_color=True).print(table)
    return sink.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, list) and len(value) > 4:
        return f"[{', '.join(_cell(item) for item in value[:4])}, ... {len(value)}]"
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value).replace("[", "\\[")
