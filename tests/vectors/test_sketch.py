"""Sketches pass over rows without reading them, and never over one of the nearest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.vectors.planner import Planner
from wxpipe.vectors.ranges import Ranges
from wxpipe.vectors.sketch import Sketch, make_sketch, scan

Array = npt.NDArray[np.float32]


def weather(count: int, width: int, seed: int, spread: float = 1.0) -> Array:
    """A series in which neighbours are alike."""
    steps = np.random.default_rng(seed).normal(size=(count, width))
    for n in range(1, count):
        steps[n] = 0.95 * steps[n - 1] + 0.3 * steps[n]
    return np.ascontiguousarray(spread * steps + 3, np.float32)


def true_nearest(vectors: Array, query: Array, mask: npt.NDArray[np.bool_], k: int) -> npt.NDArray[np.float64]:
    """Squared distances in float64, nearest first."""
    return np.sort(((vectors[mask].astype(np.float64) - query) ** 2).sum(axis=1))[:k]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_nearest_are_those_of_reading_everything(data: st.DataObject) -> None:
    count, width = data.draw(st.sampled_from([0, 1, 9, 250, 2_000])), data.draw(st.sampled_from([3, 32, 45, 128]))
    spread = data.draw(st.sampled_from([1e-3, 1.0, 1e4]))
    vectors = weather(count, width, data.draw(st.integers(0, 9)), spread)
    query = weather(40, width, 77, spread)[-1]
    mask = np.random.default_rng(data.draw(st.integers(0, 9))).random(count) < data.draw(
        st.sampled_from([0.01, 0.5, 1])
    )
    k = data.draw(st.integers(1, 30))
    sketch = make_sketch(vectors, data.draw(st.sampled_from([32, 64, 128])), data.draw(st.sampled_from([1, 4, 7])))
    expected = true_nearest(vectors, query, mask, k)
    for squared, rows in (
        sketch.nearest(query, Ranges.from_mask(mask), k),
        scan(vectors, query, Ranges.from_mask(mask), k),
    ):
        assert squared == pytest.approx(expected, rel=1e-4, abs=1e-5 * spread**2)
        assert mask[rows].all()
        assert len(set(rows.tolist())) == len(rows)


@pytest.mark.parametrize("vectors", [
    np.zeros((50, 32), np.float32),
    np.repeat(weather(10, 32, 1), 5, axis=0),
    np.ascontiguousarray(weather(50, 1, 2) * np.eye(1, 32, dtype=np.float32)),
])  # fmt: skip
def test_series_without_much_in_them_are_searched_too(vectors: Array) -> None:
    sketch = make_sketch(vectors)
    squared, rows = sketch.nearest(vectors[20], Ranges.one(0, 50), 3)
    assert squared == pytest.approx([0, 0, 0], abs=1e-6) if len(np.unique(vectors, axis=0)) < 11 else squared[0] < 1e-6
    assert len(rows) == 3


def test_rows_that_are_far_are_not_read() -> None:
    """Vectors of rows that sketches tell to be far are made unreadable: the answer stays."""
    vectors = weather(4_000, 64, 5)
    query = vectors[100] + np.float32(0.01)
    sketch = make_sketch(vectors)
    expected = sketch.nearest(query, Ranges.one(0, 4_000), 5)
    hidden = vectors.copy()
    apart = ((vectors - query) ** 2).sum(axis=1)
    hidden[apart > np.median(apart)] = np.nan
    blind = Sketch(hidden, *(getattr(sketch, name) for name in
                             ("middle", "turn", "head", "block", "rows", "blocks", "longest")))  # fmt: skip
    # The first rows are read before anything is known: they lie near the query.
    found = blind.nearest(query, Ranges.one(95, 4_000), 5)
    assert found[1].tolist() == expected[1].tolist()


def test_a_planner_answers_the_same_whichever_way_it_takes() -> None:
    vectors = weather(9_000, 32, 6)
    planner = Planner.over(vectors)
    query = weather(50, 32, 7)[-1]
    rows = Ranges.of([0, 5_000], [3_000, 9_000])
    answers = [
        Planner(vectors, planner.sketch, sketch_from).nearest(query, rows, 20)
        for sketch_from in (0, planner.sketch_from, 10**9)
    ]
    for squared, found, name in answers:
        assert found.tolist() == answers[0][1].tolist()
        assert squared == pytest.approx(answers[0][0])
        assert name == "exact"
