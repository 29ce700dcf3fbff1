"""SQL over a root: one SELECT over the views and ``analogs(...)``, read only, within limits.

The query's own syntax tree says what it names (`sql_check`), DuckDB's plan which columns it reads; those are read from
the root here and sent to a process of its own (`sql_engine`), where the query runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wxpipe.errors import NotFoundError, UsageError
from wxpipe.store.root import Root
from wxpipe.vectors.records import ReleaseRecord, require_current
from wxpipe.vectors.sql_analogs import find_analogs, put_tables
from wxpipe.vectors.sql_check import ANALOGS, Named, check_length, check_statements, check_tree
from wxpipe.vectors.sql_link import Asking, Limits, asking
from wxpipe.vectors.views import DEFINITIONS, LOADERS, NEEDS, OF_RELEASE, SCHEMAS, Reading


@dataclass(frozen=True)
class Explanation:
    """What a query would read, and how.

    Attributes:
        views: rows that are loaded, by view and by ``analogs(...)``; 0 where its columns alone are needed.
        columns: those that are loaded, by view, where it is not all of them.
        vectors: whether the column ``vector`` is.
        plan: DuckDB's.
    """

    views: Mapping[str, int]
    columns: Mapping[str, tuple[str, ...]]
    vectors: bool
    plan: str


def run_sql(root: Root, query: str, limits: Limits | None = None, release: ReleaseRecord | None = None) -> Any:
    """Runs one SELECT; returns an Arrow table. Times are UTC, with or without a zone in the query.

    Args:
        release: the one whose vectors are read, where the caller has one open; else the current one.

    Raises:
        UsageError: not one SELECT, one over something else than the views, what DuckDB says is wrong with it, or a
            limit that was reached: which, what it is, and what to do.
    """
    check_length(query)
    with asking(limits or Limits.of_settings()) as engine:
        query, _ = _prepare(engine, root, query, release)
        return engine.rows(query)


def explain_sql(root: Root, query: str, limits: Limits | None = None) -> Explanation:
    """Tells what `run_sql` would read, and how; loads the views, and runs nothing of the query but its ``analogs``.

    Raises:
        UsageError: as `run_sql`.
    """
    check_length(query)
    with asking(limits or Limits.of_settings()) as engine:
        query, loaded = _prepare(engine, root, query)
        plan = str(engine.ask("explain", query=query)["plan"])
    vectors = any("vector" in columns for columns in loaded.columns.values())
    return Explanation(loaded.rows, {name: tuple(sorted(c)) for name, c in loaded.columns.items()}, vectors, plan)


def read_names(query: str) -> Named:
    """What a query names, and whether it is one that may be asked.

    Raises:
        UsageError: not one SELECT statement, an unknown table, or a function that is not offered.
    """
    check_length(query)
    with asking(Limits.of_settings()) as engine:
        return _names(engine, query)


@dataclass
class _Loaded:
    """What has been sent to the engine: rows by name, and columns of views that were asked for some."""

    rows: dict[str, int]
    columns: dict[str, tuple[str, ...]]


def _names(engine: Asking, query: str) -> Named:
    try:
        found = engine.ask("parse", query=query)
    except UsageError as error:
        if ANALOGS in query.lower() and 'near "where"' in str(error):
            raise UsageError(f"{error}; in {ANALOGS}(...) its name is quoted: \"where\" := 'month = 6'") from error
        raise
    check_statements(found["kinds"], LOADERS)
    return check_tree(found["tree"], LOADERS)


def _prepare(engine: Asking, root: Root, query: str, release: ReleaseRecord | None = None) -> tuple[str, _Loaded]:
    """Sends everything that a query reads; returns it as the engine shall run it."""
    named = _names(engine, query)
    loaded = _Loaded({}, {})
    reading = Reading(release or _release(root, named))
    if named.calls:
        found = find_analogs(root, named.calls, reading.release)
        for place, call in enumerate(found):
            loaded.rows[call.told] = engine.give("table", call.table, name=call.name)
            put_tables(named.calls[place], call.name)
        query = str(engine.ask("spell", tree=json.dumps(named.tree))["query"])
    for view in LOADERS if named.lists_views else named.views:
        _declare(engine, root, view, reading, loaded, view in named.views)
    scans: dict[str, list[str]] = engine.ask("plan", query=query)["scans"]
    for view in named.views:
        if view in SCHEMAS and view in scans:
            loaded.columns[view] = tuple(scans[view])
            table = LOADERS[view](root, Reading(reading.release, frozenset(scans[view])))
            loaded.rows[view] = engine.give("fill", table, name=view)
    return query, loaded


def _release(root: Root, named: Named) -> ReleaseRecord | None:
    needing = sorted({*named.views} & OF_RELEASE) + ([f"{ANALOGS}()"] if named.calls else [])
    if not needing:
        return None
    try:
        return require_current(root)
    except NotFoundError as error:
        raise UsageError(f"view {needing[0]}: {error}") from error


def _declare(engine: Asking, root: Root, view: str, reading: Reading, loaded: _Loaded, wanted: bool) -> None:
    """Sends a view's columns, for the plan; or all of it, where it cannot be had by columns.

    It is copied: filters on times, pushed down into Arrow or Lance instead, have found nothing.
    """
    import pyarrow as pa

    if view in loaded.rows:
        return
    if not wanted:  # its name alone is listed
        engine.give("table", pa.table({view: pa.array([], pa.int8())}), name=view)
    elif view in SCHEMAS:
        engine.give("table", SCHEMAS[view](root, reading).empty_table(), name=view)
        loaded.rows[view] = 0
    else:
        for needed in NEEDS.get(view, ()):
            _declare(engine, root, needed, reading, loaded, True)
        definition = DEFINITIONS.get(view, "")
        loaded.rows[view] = engine.give("table", LOADERS[view](root, reading), name=view, definition=definition)
