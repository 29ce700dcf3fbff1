"""Search from SQL: each ``analogs('coms-ea/20110303T0800Z/6h20', 10)`` in FROM becomes a table of what it finds.

Its arguments are constants: what is looked for is known before the query runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wxpipe.errors import NotFoundError, UsageError
from wxpipe.similarity.identity import CLIP_EXAMPLE, FRAME_EXAMPLE, parse_clip_id, parse_frame_id
from wxpipe.store.root import Root
from wxpipe.vectors.answers import Answer, SearchRequest
from wxpipe.vectors.records import ReleaseRecord
from wxpipe.vectors.search import search
from wxpipe.vectors.sql_check import ANALOGS
from wxpipe.vectors.tables import SPECS, Unit

MOST_CALLS = 16
MOST_ANALOGS = 1_000
"""Of one call: the ground truth of each is read from histograms, and no limit of SQL ends that."""
MOST_HOURS = 1_000_000
POSITIONS = ("id", "k")
KINDS: dict[str, tuple[str, str]] = {
    "id": ("STRING", f"an identity such as '{CLIP_EXAMPLE}' or, for frames, '{FRAME_EXAMPLE}'"),
    "k": ("INTEGER", f"a whole number, 1 to {MOST_ANALOGS:,}"),
    "where": ("STRING", "a condition such as 'month IN (6, 7)'"),
    "exclude_hours": ("NUMERIC", f"a number of hours, 0 to {MOST_HOURS:,}"),
    "episodes": ("BOOLEAN", "true or false"),
    "rerank": ("STRING", "the name of a measure, such as 'ground-truth'"),
}
"""What may be given, by name: the kind of constant, and how it is told."""
CALL = f"{ANALOGS}('{CLIP_EXAMPLE}', 10, \"where\" := 'month = 3', exclude_hours := 24, episodes := true)"


@dataclass(frozen=True)
class Found:
    """What one call found.

    Attributes:
        name: of the table that takes the call's place.
        told: the call, as explanations name it.
        table: rank, id, clip_id (frame_id), start, end, distance, similarity, overlapping; best first.
    """

    name: str
    told: str
    table: Any


def find_analogs(root: Root, calls: Sequence[dict[str, Any]], release: ReleaseRecord | None) -> list[Found]:
    """Runs the search of each call, over one release.

    Raises:
        UsageError: an argument that is not understood, or names nothing in the release.
    """
    if len(calls) > MOST_CALLS:
        raise UsageError(f"SQL: {len(calls)} calls of {ANALOGS}(); at most {MOST_CALLS} are taken")
    number = None if release is None else release.number
    return [_found(root, place, _arguments(call), number) for place, call in enumerate(calls, 1)]


def put_tables(call: dict[str, Any], name: str) -> None:
    """Puts a table in the place of a call, in the syntax tree; without an alias it is called as the function is."""
    kept = {key: call[key] for key in ("sample", "query_location", "query_location_length", "column_name_alias")}
    alias = call["alias"] or ANALOGS
    call.clear()
    call |= {
        **kept,
        "type": "BASE_TABLE",
        "alias": alias,
        "schema_name": "",
        "table_name": name,
        "catalog_name": "",
        "at_clause": None,
        "qualified_name": {"path": [name]},
    }


def _found(root: Root, place: int, arguments: dict[str, Any], release: int | None) -> Found:
    name = arguments.pop("id")
    told = f"{ANALOGS}('{name}')"
    try:
        identity = parse_clip_id(name) if name.count("/") > 1 else parse_frame_id(name)
        unit: Unit = "clip" if name.count("/") > 1 else "frame"
        request = SearchRequest(identity.source, identity.time, unit=unit, release=release, **arguments)
        answer = search(root, request)
    except (UsageError, NotFoundError) as error:
        raise UsageError(f"SQL: {told}: {str(error).replace('--where', 'where')}") from error
    if answer.query.id != name:
        raise UsageError(f"SQL: {told}: the release has no such {unit}; the one that begins then is {answer.query.id}")
    return Found(f"wxpipe_analogs_{place}", told, _table(answer))


def _arguments(call: dict[str, Any]) -> dict[str, Any]:
    """Values by name."""
    if call.get("with_ordinality", "WITHOUT_ORDINALITY") != "WITHOUT_ORDINALITY":
        raise UsageError(f"SQL: {ANALOGS}() WITH ORDINALITY is not offered; its column rank counts them")
    values: dict[str, Any] = {}
    for place, argument in enumerate(call["function"]["arguments"]):
        name = argument["name"].lower() or (POSITIONS[place] if place < len(POSITIONS) else f"argument {place + 1}")
        if name not in KINDS or name in values:
            problem = "is given twice" if name in values else "is not known"
            raise UsageError(f"SQL: {ANALOGS}(): {name} {problem}; expected {CALL}")
        values[name] = _constant(name, argument["expression"])
    if "id" not in values:
        raise UsageError(f"SQL: {ANALOGS}(): what is looked for is missing; expected {CALL}")
    return values


def _constant(name: str, expression: dict[str, Any]) -> Any:
    kind, expected = KINDS[name]
    literal = expression.get("literal") or {}
    found, text = literal.get("kind"), str(literal.get("text", ""))
    if expression.get("class") != "CONSTANT":
        what = str(expression.get("class", "something else")).lower().replace("_", " ")
        raise UsageError(f"SQL: {ANALOGS}(): {name} is not a constant ({what}); expected {expected}")
    if found != kind and not (kind == "NUMERIC" and found == "INTEGER"):
        raise UsageError(f"SQL: {ANALOGS}(): {name} is {text or found}; expected {expected}")
    if kind == "INTEGER":
        number = int(text)
        if not 1 <= number <= MOST_ANALOGS:
            raise UsageError(f"SQL: {ANALOGS}(): {name} is {text}; expected {expected}")
        return number
    if kind == "BOOLEAN":
        return text.lower() == "true"
    if kind == "NUMERIC" and not 0 <= float(text) <= MOST_HOURS:
        raise UsageError(f"SQL: {ANALOGS}(): {name} is {text}; expected {expected}")
    return float(text) if kind == "NUMERIC" else text


def _table(answer: Answer) -> Any:
    import pyarrow as pa

    moment = pa.timestamp("us", "UTC")
    analogs = answer.analogs
    ids = pa.array([analog.id for analog in analogs], pa.string())
    return pa.table(
        {
            "rank": pa.array([analog.rank for analog in analogs], pa.int32()),
            "id": ids,
            SPECS[answer.unit].key: ids,
            "start": pa.array([analog.start for analog in analogs], moment),
            "end": pa.array([analog.end for analog in analogs], moment),
            "distance": pa.array([analog.distance for analog in analogs], pa.float64()),
            "similarity": pa.array([analog.similarity for analog in analogs], pa.float64()),
            "overlapping": pa.array([len(analog.episode) for analog in analogs], pa.int32()),
        }
    )
