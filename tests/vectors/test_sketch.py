"""Sketches pass over rows without reading them: with full care never over one of the nearest, with less seldom."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.vectors import planner as planner_module
from wxpipe.vectors.exact_scan import by_sorting, scan
from wxpipe.vectors.planner import SMALLEST, Planner, least_care
from wxpipe.vectors.ranges import Ranges
from wxpipe.vectors.sketch import EXACT, TILE_ROWS, Care, make_sketch

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
    count, width = data.draw(st.sampled_from([0, 1, 9, 250, 2_000])), data.draw(st.sampled_from([3, 32, 45, 64, 128]))
    spread = data.draw(st.sampled_from([1e-3, 1.0, 1e4]))
    vectors = weather(count, width, data.draw(st.integers(0, 9)), spread)
    query = weather(40, width, 77, spread)[-1]
    mask = np.random.default_rng(data.draw(st.integers(0, 9))).random(count) < data.draw(
        st.sampled_from([0.01, 0.5, 1])
    )
    k = data.draw(st.integers(1, 30))
    expected = true_nearest(vectors, query, mask, k)
    for squared, rows in (
        make_sketch(vectors).nearest(query, Ranges.from_mask(mask), k),
        scan(vectors, query, Ranges.from_mask(mask), k),
    ):
        assert squared == pytest.approx(expected, rel=1e-4, abs=1e-5 * spread**2)
        assert mask[rows].all()
        assert len(set(rows.tolist())) == len(rows)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_the_care_only_rows_of_the_filter_are_found_each_once_and_in_order(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 900))
    vectors = weather(count, 40, data.draw(st.integers(0, 9)))
    mask = np.random.default_rng(data.draw(st.integers(0, 9))).random(count) < data.draw(st.sampled_from([0.02, 0.7]))
    k, care = data.draw(st.integers(1, 60)), Care(*(data.draw(st.floats(0, 1)) for _ in range(3)))
    query = vectors[data.draw(st.integers(0, count - 1))] + np.float32(0.1)
    squared, rows = make_sketch(vectors).nearest(query, Ranges.from_mask(mask), k, care)
    assert len(rows) == min(k, mask.sum()) == len(set(rows.tolist()))
    assert mask[rows].all()
    assert squared == pytest.approx(((vectors[rows].astype(np.float64) - query) ** 2).sum(axis=1), rel=1e-4)
    assert (np.diff(squared) >= 0).all()


@pytest.mark.parametrize("vectors", [
    np.zeros((50, 32), np.float32),
    np.repeat(weather(10, 32, 1), 5, axis=0),
    np.ascontiguousarray(weather(50, 1, 2) * np.eye(1, 32, dtype=np.float32)),
])  # fmt: skip
def test_series_without_much_in_them_are_searched_too(vectors: Array) -> None:
    squared, rows = make_sketch(vectors).nearest(vectors[20], Ranges.one(0, 50), 3)
    expected = np.lexsort((np.arange(50), ((vectors - vectors[20]) ** 2).sum(axis=1)))
    assert rows.tolist() == expected[:3].tolist()
    assert squared[0] == 0


def test_of_rows_that_are_alike_the_earlier_ones_are_found() -> None:
    vectors = np.tile(weather(300, 32, 1), (9, 1))
    rows = Ranges.of([5, 1_700], [1_300, 2_700])
    for found in (make_sketch(vectors).nearest(vectors[40], rows, 5)[1], scan(vectors, vectors[40], rows, 5)[1]):
        assert found[:5].tolist() == [40, 340, 640, 940, 1_240]


def test_rows_that_are_far_are_not_read() -> None:
    vectors = weather(40 * TILE_ROWS, 64, 5)
    query = vectors[100] + np.float32(0.01)
    sketch, rows = make_sketch(vectors), Ranges.one(0, len(vectors))
    _, _, exactly = sketch.nearest_and_read(query, rows, 5)
    _, _, quickly = sketch.nearest_and_read(query, rows, 5, Care(0.2, 0, 0.3))
    assert quickly <= exactly < 0.05 * len(vectors)


def test_less_care_still_finds_nearly_all_of_the_nearest() -> None:
    """Of queries that calibration did not see, over all rows, a window and scattered ones."""
    whole = weather(24_400, 48, 8)
    vectors, queries = np.ascontiguousarray(whole[:24_000]), whole[24_100::10]
    planner = Planner(vectors, make_sketch(vectors))
    care = least_care(planner.sketch)
    assert care != EXACT
    scattered = np.random.default_rng(3).random(24_000) < 0.05
    for rows in (Ranges.one(0, 24_000), Ranges.one(9_000, 12_000), Ranges.from_mask(scattered)):
        for k in (10, 100):
            true = [planner.sketch.nearest(query, rows, k)[1] for query in queries]
            found = [planner.sketch.nearest(query, rows, k, care)[1] for query in queries]
            assert np.mean([np.isin(a, b).mean() for a, b in zip(true, found, strict=True)]) >= 0.99


def test_where_no_care_is_enough_searches_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows without any likeness to those beside them: middles of blocks tell nothing."""
    vectors = np.random.default_rng(0).normal(size=(SMALLEST, 64)).astype(np.float32)
    monkeypatch.setattr(planner_module, "CARES", (Care(0, 0, 0),))
    planner = Planner.over(vectors)
    query, rows = -vectors[7], Ranges.one(0, SMALLEST)
    _, found, name = planner.nearest(query, rows, 10)
    assert (planner.care, name) == (EXACT, "exact")
    assert found.tolist() == scan(vectors, query, rows, 10)[1].tolist()


def test_a_planner_answers_the_same_whichever_exact_way_it_takes() -> None:
    vectors = weather(9_000, 32, 6)
    planner = Planner.over(vectors)
    query = weather(50, 32, 7)[-1]
    rows = Ranges.of([0, 5_000], [3_000, 9_000])
    answers = [
        Planner(vectors, planner.sketch, planner.care, sketch_from).nearest(query, rows, 20, exact=True)
        for sketch_from in (0, planner.sketch_from, 10**9)
    ]
    for squared, found, name in answers:
        assert found.tolist() == answers[0][1].tolist()
        assert squared == pytest.approx(answers[0][0])
        assert name == "exact"
    assert Planner(vectors, planner.sketch, Care(0.2, 0, 0.3), 0).nearest(query, rows, 20)[2] == "sketch"


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_many_of_few_rows_are_what_reading_them_gives(data: st.DataObject) -> None:
    """Equal vectors too, in order."""
    seed, count = data.draw(st.integers(0, 1_000)), data.draw(st.integers(1, 400))
    rng = np.random.default_rng(seed)
    vectors = (rng.normal(size=(count, 24)) + data.draw(st.sampled_from([0, 50]))).astype(np.float32)
    vectors[rng.integers(0, count, count // 5)] = vectors[0]
    rows = Ranges.from_mask(rng.random(count) < data.draw(st.sampled_from([0.3, 1.0])))
    k = data.draw(st.integers(1, 500))
    squared, found = by_sorting(vectors, vectors[-1] + np.float32(0.1), rows, k)
    expected = scan(vectors, vectors[-1] + np.float32(0.1), rows, k)
    assert found.tolist() == expected[1].tolist()
    assert squared.tolist() == expected[0].tolist()
