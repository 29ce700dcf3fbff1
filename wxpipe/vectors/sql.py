"""SQL over a root: DuckDB in memory, read only, over copies of the views that a query names.

The query's own syntax tree says which those are. Nothing outside is reached: one SELECT over known views, no table
functions, external access off, configuration locked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from wxpipe.errors import UsageError
from wxpipe.store.root import Root
from wxpipe.vectors.views import DEFINITIONS, LOADERS, NEEDS

Format = Literal["table", "csv", "json"]
FORMATS: tuple[Format, ...] = ("table", "csv", "json")
TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})
"""Functions that may stand in FROM: they make rows out of their arguments and read nothing."""
REFUSED_FUNCTIONS = re.compile(
    r"read_|write_|glob$|sniff_|parquet_|getenv$|query$|query_table$|duckdb_|pragma_|(force_)?checkpoint|current_setting$"
    r"|set_config$|which_secret$|.*_scan$|add_parquet_key|enable_|disable_|getvariable$|nextval$|currval$|in_search_path$"
    r"|json_execute_serialized_sql$|from_substrait"
)
SETTINGS = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "memory_limit": "4GB",
    "temp_directory": "",
}


@dataclass(frozen=True)
class Named:
    """What a query reads.

    Attributes:
        views: known views, by name.
        vectors: whether it may read the column ``vector``, by name or by a star; else that stays on disk.
    """

    views: tuple[str, ...]
    vectors: bool


def run_sql(root: Root, query: str) -> Any:
    """Runs one SELECT; returns an Arrow table. Times are UTC, with or without a zone in the query.

    Raises:
        UsageError: not one SELECT, or one over something else than the views; or what DuckDB says is wrong with it.
    """
    import duckdb

    # Two connections: the tree is made by one that holds nothing, and the query runs in one that is locked.
    named = read_names(query)
    connection = duckdb.connect(":memory:", config=SETTINGS)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        for view in named.views:
            _load(connection, root, view, named.vectors)
        connection.execute("SET lock_configuration = true")
        return connection.sql(query).to_arrow_table()
    except duckdb.Error as error:
        raise UsageError(f"SQL: {_short(error)}") from error
    finally:
        connection.close()


def read_names(query: str) -> Named:
    """Which views a query names, by DuckDB's own parser.

    Raises:
        UsageError: not one SELECT statement, an unknown table, or a function that is not offered.
    """
    import duckdb

    with duckdb.connect(":memory:", config=SETTINGS) as connection:
        try:
            statements = connection.extract_statements(query)
        except duckdb.Error as error:
            raise UsageError(f"SQL: {_short(error)}") from error
        if len(statements) != 1:
            raise UsageError(f"SQL: expected one statement, found {len(statements)}")
        text = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchone()[0]
    tree = json.loads(text)
    if tree["error"] or not _begins_with_select(query):
        raise UsageError("SQL: expected one SELECT (or WITH ... SELECT); the views are read only")
    nodes = list(_nodes(tree))
    tables = _tables(nodes)
    _refuse_functions(nodes)
    unknown = sorted(tables - set(LOADERS))
    if unknown:
        raise UsageError(f"SQL: there is no view {unknown[0]!r}; views: {', '.join(LOADERS)}")
    return Named(tuple(sorted(tables)), _reads_vectors(nodes, tables))


def format_rows(result: Any, how: Format = "table") -> str:
    """Writes an Arrow table for a person (``table``), a spreadsheet (``csv``), or a program (``json``).

    Raises:
        UsageError: an unknown format.
    """
    if how not in FORMATS:
        raise UsageError(f"format is {how!r}; choose one of {', '.join(FORMATS)}")
    rows = [{name: _plain(value) for name, value in row.items()} for row in _rows(result)]
    if how == "json":
        return json.dumps(rows, indent=1, ensure_ascii=False)
    if how == "csv":
        return _csv(result.schema.names, rows)
    return _table(result.schema.names, rows)


def _load(connection: Any, root: Root, view: str, vectors: bool) -> None:
    """Copies a view into DuckDB: filters on times, pushed down into Arrow or Lance instead, have found nothing."""
    present = {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if view in present:
        return
    for needed in NEEDS.get(view, ()):
        _load(connection, root, needed, vectors)
    connection.register("loaded", LOADERS[view](root, vectors))
    connection.execute(f"CREATE TABLE {view} AS {DEFINITIONS.get(view, 'SELECT * FROM loaded')}")
    connection.unregister("loaded")


def _begins_with_select(query: str) -> bool:
    bare = re.sub(r"--[^\n]*(\n|$)|/\*.*?\*/", " ", query, flags=re.DOTALL).lstrip(" \t\r\n(")
    return re.match(r"(select|with)\b", bare, re.IGNORECASE) is not None


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of the syntax tree."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield node
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


def _tables(nodes: list[dict[str, Any]]) -> set[str]:
    """Tables that are read and not made by the query itself."""
    made = {entry["key"].lower() for node in nodes for entry in (node.get("cte_map") or {}).get("map", [])}
    found: set[str] = set()
    for node in nodes:
        kind = node.get("type")
        if kind == "BASE_TABLE":
            if node.get("catalog_name") or node.get("schema_name"):
                raise UsageError(f"SQL: name views alone, without catalog or schema; views: {', '.join(LOADERS)}")
            found.add(node["table_name"].lower())
        elif kind == "SHOW_REF":
            raise UsageError(f"SQL: SHOW and DESCRIBE are not offered; views: {', '.join(LOADERS)}")
    # A name that is both: let it be loaded, too; the query decides which one it means.
    return {name for name in found if name not in made or name in LOADERS}


def _refuse_functions(nodes: list[dict[str, Any]]) -> None:
    for node in nodes:
        if node.get("type") == "TABLE_FUNCTION":
            name = (node.get("function") or {}).get("function_name", "?").lower()
            if name not in TABLE_FUNCTIONS:
                raise UsageError(f"SQL: {name}() is not offered in FROM; views: {', '.join(LOADERS)}")
        name = str(node.get("function_name", "")).lower()
        if REFUSED_FUNCTIONS.match(name):
            raise UsageError(f"SQL: {name}() is not offered; the views are all that a query reads")


def _reads_vectors(nodes: list[dict[str, Any]], tables: set[str]) -> bool:
    names = {*tables, *(str(node["alias"]).lower() for node in nodes if node.get("alias")), "vector"}
    for node in nodes:
        if node.get("class") == "STAR":
            return True
        if node.get("class") == "COLUMN_REF" and {part.lower() for part in node["column_names"][-1:]} & names:
            return True
        if "vector" in [str(name).lower() for name in node.get("using_columns") or []]:
            return True
    return False


def _short(error: Exception) -> str:
    return str(error).split("\n\nLINE", 1)[0].strip()[:400]


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
