"""What a query may say: reads DuckDB's own syntax tree of it, refuses what is not offered, and tells what it names.

This is the first line. The second is the engine itself (`sql_engine`): it has no access to files or network, its
configuration is locked, and it holds nothing but copies of the views.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from wxpipe.errors import UsageError

LONGEST = 50_000
"""Characters of a query."""
TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series", "json_each", "json_tree"})
"""Functions that may stand in FROM: they make rows out of their arguments and read nothing."""
ANALOGS = "analogs"
"""And the one that is ours (`sql_analogs`)."""
NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE", "VALUES_NODE"})
"""Queries within queries; a DELETE can stand in WITH, and is none of these."""
SHOWN = frozenset({"DESCRIBE", "SUMMARY", "SHOW"})
LIST_OF_VIEWS = '"tables"'
"""How the tree spells SHOW TABLES."""
REFUSED_FUNCTIONS = re.compile(
    r"read_|write_|glob$|sniff_|parquet_|getenv$|query$|query_table$|duckdb_|pragma_|(force_)?checkpoint"
    r"|current_setting$|set_config$|which_secret$|.*_scan$|add_parquet_key|enable_|disable_|getvariable$|nextval$"
    r"|currval$|setval$|in_search_path$|json_(de)?serialize_|json_execute_serialized_sql$|from_substrait|.*sleep"
    r"|.*external_resource|inet_|pg_get_|current_query"
)


@dataclass(frozen=True)
class Named:
    """What a query names.

    Attributes:
        views: by name, sorted.
        calls: the nodes of the tree that call ``analogs``; `sql_analogs` puts tables in their place.
        lists_views: it has SHOW TABLES in it.
        tree: the syntax tree of the query.
    """

    views: tuple[str, ...]
    calls: tuple[dict[str, Any], ...]
    lists_views: bool
    tree: dict[str, Any]


def check_length(query: str) -> None:
    """Before anything else reads it.

    Raises:
        UsageError: longer than any question.
    """
    if len(query) > LONGEST:
        raise UsageError(f"SQL: the query has {len(query):,} characters; at most {LONGEST:,} are taken")
    if "\0" in query:
        raise UsageError("SQL: the query has a zero character in it; expected text")


def check_statements(kinds: list[str], known: Collection[str]) -> None:
    """The statements that the parser found, by their kinds.

    Raises:
        UsageError: not one SELECT.
    """
    if len(kinds) != 1:
        raise UsageError(f"SQL: expected one statement, found {len(kinds)}")
    (kind,) = kinds
    if kind == "EXPLAIN":
        raise UsageError("SQL: EXPLAIN is not offered; `wxpipe sql --explain` tells what a query reads, and the plan")
    if kind == "MULTI":
        raise UsageError("SQL: PIVOT needs its values, e.g. PIVOT clips ON year IN (2011, 2012) USING count(*)")
    if kind != "SELECT":
        views = ", ".join(known)
        raise UsageError(f"SQL: {kind} is not offered; expected one SELECT, the views are read only; views: {views}")


def check_tree(text: str, known: Collection[str]) -> Named:
    """Reads the syntax tree, as JSON, of one SELECT statement.

    Args:
        text: what ``json_serialize_sql`` makes.
        known: the views that there are.

    Raises:
        UsageError: an unknown table, a function that is not offered, or anything else that is not a question.
    """
    try:
        tree = json.loads(text)
    except RecursionError:
        raise UsageError("SQL: the query is nested too deeply") from None
    if tree["error"]:
        raise UsageError(f"SQL: {tree['error_message']}; expected one SELECT, the views are read only")
    views: set[str] = set()
    calls: list[dict[str, Any]] = []
    lists_views = False
    for node, made in _nodes(tree):
        kind = str(node.get("type", ""))
        if kind.endswith("_NODE") and kind not in NODES:
            raise UsageError(f"SQL: {kind.partition('_')[0]} is not offered; the views are read only")
        if kind == "BASE_TABLE":
            views |= _table(node, made, known)
        elif kind == "SHOW_REF":
            lists_views |= _shown(node, views, known)
        elif kind == "TABLE_FUNCTION":
            calls += _table_function(node, known)
        if node.get("class") == "PARAMETER":
            raise UsageError("SQL: parameters ($1, ?) are not offered; write the values")
        _refuse_function(node)
    return Named(tuple(sorted(views)), tuple(calls), lists_views, tree)


def _nodes(tree: Any) -> Iterator[tuple[dict[str, Any], frozenset[str]]]:
    """Every object of the syntax tree, with the names that WITH gives around it."""
    stack: list[tuple[Any, frozenset[str]]] = [(tree, frozenset())]
    while stack:
        node, made = stack.pop()
        if isinstance(node, dict):
            here = made | {entry["key"].lower() for entry in (node.get("cte_map") or {}).get("map", [])}
            if node.get("type") == "RECURSIVE_CTE_NODE":
                here |= {str(node.get("cte_name", "")).lower()}
            yield node, here
            stack += ((value, here) for value in node.values())
        elif isinstance(node, list):
            stack += ((value, made) for value in node)


def _table(node: dict[str, Any], made: frozenset[str], known: Collection[str]) -> set[str]:
    """The view that a name in FROM stands for, if it stands for one."""
    name = str(node["table_name"]).lower()
    if node.get("catalog_name") or node.get("schema_name") or len(node["qualified_name"]["path"]) != 1:
        raise UsageError(f"SQL: name views alone, without catalog or schema; views: {', '.join(known)}")
    if node.get("at_clause") is not None:
        raise UsageError(f"SQL: AT is not offered; {name} is what the root holds now")
    # A name that is both: let it be loaded, too; the query decides which one it means.
    if name in known:
        return {name}
    if name not in made:
        raise UsageError(f"SQL: there is no view {name!r}; views: {', '.join(known)}")
    return set()


def _shown(node: dict[str, Any], views: set[str], known: Collection[str]) -> bool:
    """Whether SHOW, DESCRIBE or SUMMARIZE asks for the list of views; adds the view that it asks for."""
    name = str(node.get("table_name", ""))
    if node["show_type"] == "SHOW_SPECIAL" and name == LIST_OF_VIEWS:
        return True
    if node["show_type"] not in SHOWN or node.get("catalog_name") or node.get("schema_name"):
        raise UsageError("SQL: of SHOW, SHOW TABLES is offered, and DESCRIBE and SUMMARIZE of a view or a SELECT")
    if not node.get("query"):
        if name.lower() not in known:
            raise UsageError(f"SQL: there is no view {name!r}; views: {', '.join(known)}")
        views.add(name.lower())
    return False


def _table_function(node: dict[str, Any], known: Collection[str]) -> list[dict[str, Any]]:
    function = node.get("function") or {}
    name = str(function.get("function_name", "?")).lower()
    if function.get("schema") or function.get("catalog"):
        raise UsageError(f"SQL: {name}(): functions are named alone, without catalog or schema")
    if name == ANALOGS:
        return [node]
    if name not in TABLE_FUNCTIONS:
        offered = ", ".join([ANALOGS, *sorted(TABLE_FUNCTIONS)])
        raise UsageError(f"SQL: {name}() is not offered in FROM; offered: {offered}; views: {', '.join(known)}")
    return []


def _refuse_function(node: dict[str, Any]) -> None:
    name = str(node.get("function_name", "")).lower()
    if REFUSED_FUNCTIONS.match(name):
        raise UsageError(f"SQL: {name}() is not offered; the views are all that a query reads")
