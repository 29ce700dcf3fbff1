"""Search from SQL: `analogs(...)` in FROM finds what `search` finds, can be joined, and tells what it does not take."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.vectors.tiny_root import SOURCE, TinyRoot
from wxpipe.errors import UsageError
from wxpipe.vectors.answers import SearchRequest
from wxpipe.vectors.search import search
from wxpipe.vectors.sql import explain_sql, run_sql

At = Callable[..., datetime]
CLIP = f"{SOURCE}/20110304T0800Z/6h20"
FRAME = f"{SOURCE}/20110304T0800Z"


def rows(tiny: TinyRoot, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in run_sql(tiny.root, query).to_pylist()]


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        (f"analogs('{CLIP}')", {}),
        (f"analogs('{CLIP}', 3)", {"k": 3}),
        (f"Analogs('{CLIP}', k := 30, episodes := false)", {"k": 30, "episodes": False}),
        (f"analogs('{CLIP}', 5, exclude_hours := 0.5, episodes => FALSE)",
         {"k": 5, "exclude_hours": 0.5, "episodes": False}),
        (f"analogs(id := '{CLIP}', \"where\" := 'hour = 7 AND source <> ''x''')",
         {"where": "hour = 7 AND source <> 'x'"}),
        (f"analogs('{CLIP}', 4, rerank := 'ground-truth')", {"k": 4, "rerank": "ground-truth"}),
        (f"analogs('{FRAME}', 5, episodes := false)", {"k": 5, "episodes": False, "unit": "frame"}),
    ],
)  # fmt: skip
def test_analogs_are_those_of_a_search(served: TinyRoot, at: At, call: str, asked: dict[str, Any]) -> None:
    expected = search(served.root, SearchRequest(SOURCE, at(4, 8), **asked))
    assert len(expected.analogs) >= 2
    found = run_sql(served.root, f"SELECT * FROM {call} ORDER BY rank").to_pylist()
    key = f"{expected.unit}_id"
    assert list(found[0]) == ["rank", "id", key, "start", "end", "distance", "similarity", "overlapping"]
    assert [(row["rank"], row["id"], row[key], row["start"], row["end"]) for row in found] == [
        (analog.rank, analog.id, analog.id, analog.start, analog.end) for analog in expected.analogs
    ]
    for row, analog in zip(found, expected.analogs, strict=True):
        assert (row["distance"], row["similarity"]) == (analog.distance, analog.similarity)
        assert row["overlapping"] == len(analog.episode)


def test_analogs_join_the_views(served: TinyRoot) -> None:
    joined = f"analogs('{CLIP}', 20, episodes := false) a JOIN clips c USING (clip_id)"
    assert rows(served, f"SELECT count(*), bool_and(a.start = c.start) FROM {joined}") == [(20, True)]
    frames = f"analogs('{FRAME}', 5, episodes := false) JOIN frames USING (frame_id)"
    assert rows(served, f"SELECT count(*), max(analogs.rank) FROM {frames}") == [(5, 5)]
    both = (
        f"SELECT a.id FROM analogs('{CLIP}', 2) a WHERE a.id NOT IN (SELECT id FROM analogs('{CLIP}', 1)) AND rank < 9"
    )
    assert len(rows(served, both)) == 1
    renamed = f"WITH near AS (FROM analogs('{CLIP}', 2) t(n, name)) SELECT n, name FROM near ORDER BY n LIMIT 1"
    assert rows(served, renamed)[0][0] == 1


def test_the_distance_is_that_of_the_vectors(served: TinyRoot) -> None:
    query = f"""SELECT max(abs(a.distance - array_distance(c.vector, q.vector)))
        FROM analogs('{CLIP}', 20, episodes := false) a
        JOIN clips c USING (clip_id) JOIN clips q ON q.clip_id = '{CLIP}'"""
    ((difference,),) = rows(served, query)
    assert difference < 1e-5


def test_an_explanation_names_the_search(served: TinyRoot) -> None:
    found = explain_sql(
        served.root, f"SELECT c.hour FROM analogs('{CLIP}', 7, episodes := false) JOIN clips c USING (clip_id)"
    )
    assert found.views == {f"analogs('{CLIP}')": 7, "clips": 87}
    assert found.columns == {"clips": ("clip_id", "hour")}


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("analogs()", "what is looked for is missing"),
        ("analogs('nobody')", r"analogs\('nobody'\): 'nobody' names no frame"),
        ("analogs('tiny-ea/20110304T0800Z/6h')", "names no clip"),
        ("analogs('moon-ea/20110304T0800Z/6h20')", "moon"),
        ("analogs('tiny-ea/20110304T0800Z/7h20')", "the one that begins then is tiny-ea/20110304T0800Z/6h20"),
        ("analogs('tiny-ea/20110304T0807Z')", "no such frame; the one"),
        ("analogs('tiny-ea/20110304T0000Z/6h20')", r"no clip of tiny-ea begins at .*; the nearest begin at"),
        (f"analogs('{CLIP}', 0)", "k is 0; expected a whole number, 1 to 1,000"),
        (f"analogs('{CLIP}', -3)", "k is -3; expected a whole number"),
        (f"analogs('{CLIP}', 1001)", "k is 1001; expected a whole number, 1 to 1,000"),
        (f"analogs('{CLIP}', 1e30)", "k is 1e30; expected a whole number"),
        (f"analogs('{CLIP}', 99999999999999999999999999)", "k is 9{26}; expected"),
        (f"analogs('{CLIP}', '10')", "k is 10; expected a whole number"),
        (f"analogs('{CLIP}', NULL)", "k is .*; expected a whole number"),
        ("analogs(10)", "id is 10; expected an identity such as"),
        (f"analogs('{CLIP}', 5 + 5)", r"k is not a constant \(function\)"),
        (f"analogs('{CLIP}', (SELECT 5))", r"k is not a constant \(subquery\)"),
        ("analogs(upper('x'))", r"id is not a constant \(function\)"),
        (f"analogs('{CLIP}', 5, 6)", "argument 3 is not known; expected analogs"),
        (f"analogs('{CLIP}', depth := 6)", "depth is not known; expected analogs"),
        (f"analogs('{CLIP}', 5, k := 6)", "k is given twice"),
        (f"analogs('{CLIP}', episodes := 1)", "episodes is 1; expected true or false"),
        (f"analogs('{CLIP}', exclude_hours := -1)", "exclude_hours is -1"),
        (f"analogs('{CLIP}', rerank := 'beauty')", "no measure is called 'beauty'; known measures: ground-truth"),
        (f"analogs('{CLIP}', \"where\" := '1=1) OR (1=1')", "brackets do not match"),
        (f"analogs('{CLIP}', \"where\" := 'colour = 1')", "colour"),
        (f"analogs('{CLIP}', where := 'month = 3')", 'its name is quoted: "where" :='),
        (f"analogs('{CLIP}') WITH ORDINALITY", "its column rank counts them"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_named(served: TinyRoot, call: str, reason: str) -> None:
    with pytest.raises(UsageError, match=rf"^SQL: (.|\n)*{reason}"):
        run_sql(served.root, f"SELECT * FROM {call}")


def test_a_search_depends_on_no_column(served: TinyRoot) -> None:
    with pytest.raises(UsageError, match=r"id is not a constant \(column ref\); expected an identity such as"):
        run_sql(served.root, "SELECT * FROM clips c, analogs(c.clip_id, 3)")
    many = ", ".join(f"analogs('{CLIP}') a{n}" for n in range(17))
    with pytest.raises(UsageError, match="17 calls of analogs"):
        run_sql(served.root, f"SELECT count(*) FROM {many}")


def test_without_a_release_there_is_nothing_to_search(tiny: TinyRoot) -> None:
    with pytest.raises(UsageError, match=r"view analogs\(\): .* no current release"):
        run_sql(tiny.root, f"SELECT * FROM analogs('{CLIP}')")
