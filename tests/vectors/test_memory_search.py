"""Search in memory answers what LanceDB answers, whatever is asked; what was loaded is what the release says."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import lance
import lancedb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.vectors.tiny_root import DAYS, SOURCE, TinyRoot, vector
from wxpipe.errors import DamagedError, NotFoundError, UsageError
from wxpipe.vectors.answers import Answer, SearchRequest
from wxpipe.vectors.memory import MemorySearchers, load_vectors
from wxpipe.vectors.records import require_current
from wxpipe.vectors.release import build, promote
from wxpipe.vectors.search import search
from wxpipe.vectors.tables import SPECS
from wxpipe.vectors.times import TimeFilter

At = Callable[..., datetime]


@pytest.fixture(scope="module")
def searchers() -> MemorySearchers:
    return MemorySearchers()


requests = st.fixed_dictionaries(
    {
        "unit": st.sampled_from(["clip", "frame"]),
        "k": st.sampled_from([1, 3, 10, 40]),
        "where": st.sampled_from(["", "hour IN (8, 9, 14)", "year = 1999", "month = 3 AND model LIKE 'untrained%'"]),
        "exclude_hours": st.sampled_from([0, 1.5, 24, 100]),
        "episodes": st.booleans(),
        "rerank": st.sampled_from([None, None, None, "ground-truth"]),
        "times": st.builds(
            TimeFilter,
            season=st.sampled_from([None, (3, 4), (4, 18), (9, 1)]),
            season_days=st.sampled_from([0, 45]),
            years=st.sampled_from([None, (2011, 2011), (2012, 2013)]),
            hours=st.sampled_from([None, (8, 12), (16.5, 7), (23, 1)]),
        ),
    }
)


def same(one: Answer, other: Answer) -> None:
    """Equal but for the last digits of distances."""
    left, right = one.document(), other.document()
    for first, second in zip(left["analogs"], right["analogs"], strict=True):
        assert first.pop("distance") == pytest.approx(second.pop("distance"), rel=1e-5, abs=1e-6)
    assert left == right


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=requests, minutes=st.sampled_from([0, 30, 115]), by_vector=st.booleans(), coverage=st.booleans())
def test_memory_and_lance_answer_alike(
    served: TinyRoot, at: At, searchers: MemorySearchers, asked: dict[str, object], minutes: int, by_vector: bool,
    coverage: bool,
) -> None:  # fmt: skip
    query: dict[str, object] = {"at": at(3, 8) + timedelta(minutes=minutes)}
    if by_vector:
        query = {"vector": vector("another", minutes)}
    if coverage and asked["unit"] == "clip":
        query["coverage"] = 0.9
    request = SearchRequest(SOURCE, **query, **asked)  # type: ignore[arg-type]
    same(search(served.root, request, searchers), search(served.root, request))


def test_what_cannot_be_asked_is_refused_alike(served: TinyRoot, at: At, searchers: MemorySearchers) -> None:
    for wrong in ({"at": at(3, 2)}, {"at": at(3, 8), "where": "nope = 3"}, {"vector": [1.0]},
                  {"at": at(3, 8), "where": "1=1) OR (1=1"}):  # fmt: skip
        messages = []
        for opener in ({}, {"opener": searchers}):
            with pytest.raises((UsageError, NotFoundError)) as caught:
                search(served.root, SearchRequest(SOURCE, **wrong), **opener)  # type: ignore[arg-type]
            messages.append(str(caught.value))
        assert messages[0] == messages[1]


def test_filters_are_in_the_answer(served: TinyRoot, at: At, searchers: MemorySearchers) -> None:
    times = TimeFilter(season=(3, 1), years=(2011, 2012), hours=(6, 12))
    answer = search(served.root, SearchRequest(SOURCE, at(3, 8), times=times, coverage=0.5), searchers).document()
    assert answer["filters"] == {
        "season": "03-01", "season_days": 45, "years": [2011, 2012], "hours": [6, 12], "coverage": 0.5,
    }  # fmt: skip
    with pytest.raises(UsageError, match="frames have no coverage"):
        SearchRequest(SOURCE, at(3, 8), unit="frame", coverage=0.5)


def test_a_new_release_is_loaded_and_the_old_one_can_be_asked(tiny: TinyRoot, at: At) -> None:
    build(tiny.root)
    promote(tiny.root)
    searchers = MemorySearchers(keep=1)
    before = search(tiny.root, SearchRequest(SOURCE, at(3, 8), k=3), searchers)
    tiny.write_vectors(DAYS[1], seed=4)
    build(tiny.root)
    promote(tiny.root)
    after = search(tiny.root, SearchRequest(SOURCE, at(3, 8), k=3), searchers)
    assert after.release == 2
    assert after.analogs != before.analogs
    assert search(tiny.root, SearchRequest(SOURCE, at(3, 8), k=3, release=1), searchers) == before


def test_threads_ask_one_searcher(served: TinyRoot, at: At) -> None:
    searchers = MemorySearchers()
    request = [
        SearchRequest(SOURCE, at(3, 8) + timedelta(minutes=15 * n), k=3, where=f"hour > {n % 5}") for n in range(12)
    ]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda r: search(served.root, r, searchers), request))
    assert found == [search(served.root, r, searchers) for r in request]


def test_rows_that_are_not_what_the_release_says_are_refused(served: TinyRoot) -> None:
    spec = SPECS["clip"]
    part = require_current(served.root).part(SOURCE)
    table, rows = part.open(served.root, spec), part.tables["clips"].rows
    loaded = load_vectors(table, spec, SOURCE, rows)
    assert (np.diff(loaded.starts) > 0).all()
    assert loaded.vectors.flags.c_contiguous
    with pytest.raises(DamagedError, match=f"{rows} rows, expected {rows + 1}"):
        load_vectors(table, spec, SOURCE, rows + 1)


def test_a_vector_that_is_not_finite_is_refused(served: TinyRoot, tmp_path: Path) -> None:
    spec = SPECS["clip"]
    rows = require_current(served.root).part(SOURCE).open(served.root, spec).to_arrow()
    vectors = np.array(rows["vector"].to_pylist(), np.float32)
    vectors[3, 2] = np.nan
    place = rows.schema.get_field_index("vector")
    field = rows.schema.field("vector")
    broken = rows.set_column(place, field, pa.array(list(vectors), field.type))
    lance.write_dataset(broken, tmp_path / "broken.lance")
    with pytest.raises(DamagedError, match="table broken, tiny-ea: a vector that is not finite"):
        load_vectors(lancedb.connect(str(tmp_path)).open_table("broken"), spec, SOURCE)
