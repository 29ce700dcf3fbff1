"""Edges are those that `search` would answer with; rare rows are judged by themselves; an update keeps what it can."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.weather_series import series
from wxpipe.errors import RefusedError
from wxpipe.vectors import graph_join
from wxpipe.vectors.candidates import Candidates
from wxpipe.vectors.graph_blocks import LONGEST, make_blocks
from wxpipe.vectors.graph_episodes import NONE, EdgeRule, Edges, exact_edges
from wxpipe.vectors.graph_join import Reach, join, measure_reach, rejoin
from wxpipe.vectors.graph_recall import RARE, STRANGE, Strata, found_share, measure_recall, stratify
from wxpipe.vectors.memory import TimeVectors
from wxpipe.vectors.search import group

DAY, CADENCE, HOURS = 86_400, 900, 6
RULE = EdgeRule(k=8)
EVERYTHING = Reach(0.0, np.inf)


def archive(vectors: np.ndarray[Any, np.dtype[np.float32]], slots: Any = None, hours: int = HOURS) -> TimeVectors:
    """Clips of consecutive slots, or of some."""
    starts = CADENCE * np.asarray(np.arange(len(vectors)) if slots is None else slots, np.int64)
    return TimeVectors(starts, starts, starts + hours * 3600, np.ascontiguousarray(vectors, np.float32))


def oracle(rows: TimeVectors, rule: EdgeRule, row: int) -> tuple[list[int], list[float]]:
    """What `search` would answer: its own grouping over a sorted list of everything, in double precision."""
    apart = np.sqrt(((rows.vectors.astype(np.float64) - rows.vectors[row]) ** 2).sum(axis=1))
    away = np.flatnonzero(np.abs(rows.starts - rows.starts[row]) > rule.exclude)
    order = away[np.lexsort((away, apart[away]))]
    found = Candidates([str(n) for n in order], rows.starts[order], rows.ends[order], apart[order])
    best = [members[0] for members in group(found, rule.k, True, rule.window)]
    return [int(order[n]) for n in best], [float(apart[order[n]]) for n in best]


def true_edges(rows: TimeVectors, rule: EdgeRule) -> Edges:
    found = Edges.empty(len(rows), rule.k)
    for row in range(len(rows)):
        targets, distances = oracle(rows, rule, row)
        found.targets[row, : len(targets)], found.distances[row, : len(targets)] = targets, distances
    return found


def usual_reach(rows: TimeVectors, rule: EdgeRule = RULE) -> Reach:
    sample = np.unique(np.linspace(0, len(rows) - 1, 150).astype(np.int64))
    return measure_reach(rows, sample, exact_edges(rows, sample, rule))


@pytest.fixture(scope="module")
def weather() -> TimeVectors:
    """Forty days."""
    return archive(series(3_840, width=16))


@pytest.fixture(scope="module")
def true(weather: TimeVectors) -> Edges:
    return exact_edges(weather, np.arange(len(weather)), RULE)


def test_edges_are_what_search_answers(weather: TimeVectors, true: Edges) -> None:
    for row in range(0, len(weather), 97):
        targets, distances = oracle(weather, RULE, row)
        assert true.targets[row].tolist() == targets
        np.testing.assert_allclose(true.distances[row], distances, rtol=1e-5)


def test_the_window_makes_frames_episodes() -> None:
    frames = archive(series(900, width=8), hours=0)
    rule = EdgeRule(k=5, exclude=3_600, window=HOURS * 3600)
    exact = exact_edges(frames, np.arange(0, 900, 7), rule)
    for n, row in enumerate(range(0, 900, 7)):
        targets, _ = oracle(frames, rule, row)
        assert exact.targets[n].tolist() == targets + [NONE] * (5 - len(targets))


def test_a_join_finds_nearly_all_and_what_it_finds_obeys_the_rule(
    weather: TimeVectors, true: Edges, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach = usual_reach(weather)
    edges = join(weather, RULE, reach)
    assert found_share(edges, true) >= 0.985
    assert (np.diff(edges.distances, axis=1) >= 0).all()
    apart = np.abs(weather.starts[edges.targets] - weather.starts[:, np.newaxis])
    assert apart.min() > RULE.exclude
    between = np.abs(weather.starts[edges.targets][:, :, np.newaxis] - weather.starts[edges.targets][:, np.newaxis])
    between[:, np.arange(8), np.arange(8)] = DAY
    assert between.min() > HOURS * 3600
    assert found_share(join(weather, RULE, EVERYTHING), true) == 1.0
    monkeypatch.setattr(graph_join, "FIRST_BLOCKS", 1)
    near = found_share(join(weather, RULE, Reach(reach.radius, 0.0)), true)
    assert near < 0.98  # the reach that was measured is what does it


days = st.lists(st.integers(0, 700), min_size=1, max_size=70, unique=True).map(sorted)


@settings(max_examples=40, deadline=None)
@given(slots=days, k=st.integers(1, 6), exclude=st.sampled_from([0, 3_600, DAY]), hours=st.sampled_from([0, 6]),
       window=st.sampled_from([0, 7_200]), levels=st.sampled_from([1, 3, 1_000]),
       radius=st.sampled_from([0.0, 0.5, 9.0]), seed=st.integers(0, 99))  # fmt: skip
def test_whatever_the_rows_are_reading_everything_is_exact(
    slots: list[int], k: int, exclude: int, hours: int, window: int, levels: int, radius: float, seed: int
) -> None:
    """With gaps, ties (few levels), no neighbour at all, and blocks of any length."""
    drawn = np.random.default_rng(seed).integers(0, levels, (len(slots), 3)).astype(np.float32)
    rows, rule = archive(drawn, slots, hours), EdgeRule(k, exclude, window)
    expected = true_edges(rows, rule)
    found = join(rows, rule, Reach(radius, np.inf))
    assert found.targets.tolist() == expected.targets.tolist()
    np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-5)


def test_vectors_that_are_all_the_same_have_edges_of_no_length() -> None:
    rows = archive(np.ones((400, 8), np.float32))
    edges = join(rows, RULE, usual_reach(rows))
    assert found_share(edges, exact_edges(rows, np.arange(400), RULE)) == 1.0
    assert edges.targets[399, 0] == 0


def test_rows_in_no_order_are_found_as_well() -> None:
    """Nothing is alike that is near in time: every row is a block, and the join is one of all with all."""
    shuffled = series(1_500, width=16)[np.random.default_rng(0).permutation(1_500)]
    rows = archive(shuffled)
    reach = usual_reach(rows)
    assert make_blocks(rows.vectors, reach.radius).count > 1_200
    assert found_share(join(rows, RULE, reach), exact_edges(rows, np.arange(1_500), RULE)) >= 0.985


def test_blocks_are_runs_and_a_strange_row_is_one_of_its_own(weather: TimeVectors) -> None:
    vectors = weather.vectors.copy()
    vectors[1_000] += 50
    blocks = make_blocks(vectors, usual_reach(weather).radius)
    sizes = np.diff(blocks.edges)
    assert (blocks.edges[0], blocks.edges[-1]) == (0, len(vectors))
    assert sizes.min() >= 1
    assert sizes.max() <= LONGEST
    assert {1_000, 1_001} <= set(blocks.edges.tolist())
    assert blocks.of_rows(np.array([999, 1_000, 1_001])).tolist() == [
        (at := int(blocks.of_rows(np.array([1_000]))[0])) - 1, at, at + 1
    ]  # fmt: skip


def planted(weather: TimeVectors) -> tuple[TimeVectors, np.ndarray[Any, np.dtype[np.int64]]]:
    """Six kinds of weather that come five times each, a moment long, far from all else; and six moments like none."""
    rng = np.random.default_rng(1)
    vectors = weather.vectors.copy()
    places = np.sort(rng.choice(np.arange(50, len(vectors) - 50, 101), 36, replace=False))
    kinds = np.concatenate([np.repeat(np.arange(6), 5), np.arange(6, 12)])
    far = 12 * rng.standard_normal((12, vectors.shape[1])).astype(np.float32)
    vectors[places] = far[kinds] + 0.01 * rng.standard_normal((36, vectors.shape[1]))
    return archive(vectors), places


def test_clusters_smaller_than_k_and_lone_rows_have_their_true_edges(weather: TimeVectors) -> None:
    rows, places = planted(weather)
    edges = join(rows, RULE, usual_reach(rows))
    assert found_share(edges.take(places), exact_edges(rows, places, RULE)) >= 0.99
    for member in places[:30]:
        others = set(places[:30].tolist()) & set(edges.targets[member, :4].tolist())
        assert len(others) == 4  # the other four of its kind come before all weather that is usual
        assert edges.distances[member, 3] < 1 < edges.distances[member, 4]


def test_a_graph_that_misses_only_rare_rows_is_refused_in_words(weather: TimeVectors) -> None:
    """One row in a hundred has wrong edges: a recall over all rows would let it pass."""
    rows, places = planted(weather)
    edges = join(rows, RULE, EVERYTHING)
    assert measure_recall(rows, RULE, edges, stratify(rows.vectors), 3).faults() == []
    edges.targets[places], edges.distances[places] = NONE, np.inf
    strata = stratify(rows.vectors)
    assert len(np.intersect1d(places, np.concatenate([strata.rows[RARE], strata.rows[STRANGE]]))) == len(places)
    everything = np.arange(len(rows))
    assert found_share(edges, exact_edges(rows, everything, RULE)) > 0.985
    recall = measure_recall(rows, RULE, edges, strata, 3)
    assert recall.overall > 0.98
    with pytest.raises(
        RefusedError, match=r"too few of the true edges were found \((rare|strange) rows: 0\.\d+ of \d+"
    ):
        recall.check("graph of tiny-ea (clips), release 7")


def test_a_graph_that_misses_everywhere_is_refused(weather: TimeVectors, true: Edges) -> None:
    worse = Edges(true.targets.copy(), true.distances.copy())
    worse.targets[::20], worse.distances[::20] = NONE, np.inf
    recall = measure_recall(weather, RULE, worse, stratify(weather.vectors), 3)
    with pytest.raises(RefusedError, match=r"all rows: 0\.9\d+, expected 0\.98.*nothing was published"):
        recall.check("a graph")


def test_every_row_is_in_one_stratum_and_other_seeds_draw_others(weather: TimeVectors) -> None:
    strata = stratify(weather.vectors)
    together = np.concatenate(list(strata.rows.values()))
    assert np.array_equal(np.sort(together), np.arange(len(weather)))
    assert strata.draw(1)["common"].tolist() == strata.draw(1)["common"].tolist() != strata.draw(2)["common"].tolist()
    few = Strata({"common": np.arange(3), "rare": np.arange(0), "strange": np.arange(0)})
    recall = measure_recall(weather, RULE, Edges.empty(len(weather), 8), few, 0)
    assert (recall.drawn, recall.overall) == ({"common": 3}, 0.0)


def test_recall_counts_edges_once_and_forgives_ties() -> None:
    def edges(*distances: float) -> Edges:
        return Edges(np.arange(len(distances), dtype=np.int32)[np.newaxis], np.array([distances], np.float32))

    true = edges(1, 2, 2, 3)
    assert found_share(edges(1, 2, 2, 3), true) == 1
    assert found_share(edges(1, 2, 3, 3), true) == 0.75  # a second 2 was missed
    assert found_share(edges(1, 1.5, 2, 2), true) == 0.75  # what is no true edge does not count, however near
    assert found_share(edges(2, 2, 3, 4), true) == 0.75
    assert found_share(edges(np.inf, np.inf, np.inf, np.inf), true) == 0


def carried(old: Edges, rows_then: TimeVectors, rows_now: TimeVectors, changed: Any) -> Edges:
    """The old edges by the rows of now; those of changed rows, and those that lead to one, are gone."""
    place = np.searchsorted(rows_now.starts, rows_then.starts)
    there = np.isin(rows_then.starts, rows_now.starts)
    new = np.where(there, place, NONE)
    new[there] = np.where(changed[place[there]], NONE, place[there])
    mapped = Edges.empty(len(rows_now), old.targets.shape[1])
    kept = np.flatnonzero(new != NONE)
    targets = np.where(old.targets[kept] == NONE, NONE, new[old.targets[kept]])
    mapped.targets[new[kept]] = targets
    mapped.distances[new[kept]] = np.where(targets == NONE, np.inf, old.distances[kept])
    return mapped


@pytest.mark.parametrize("what", ["a day comes", "days change", "a day goes", "nothing"])
def test_an_update_is_as_good_as_a_rebuild_and_looks_at_less(weather: TimeVectors, true: Edges, what: str) -> None:
    count = len(weather)
    vectors, kept, changed = weather.vectors.copy(), np.ones(count, np.bool_), np.zeros(count, np.bool_)
    before = np.ones(count, np.bool_)
    if what == "a day comes":
        before[-96:], changed[-96:] = False, True
    elif what == "days change":
        changed[480:576] = changed[2_000:2_030] = True
        vectors[changed] = series(300, width=16, seed=8)[: int(changed.sum())]
    elif what == "a day goes":
        kept[960:1_056] = False
    rows_then = archive(weather.vectors[before], np.flatnonzero(before))
    rows_now = archive(vectors[kept], np.flatnonzero(kept))
    old = join(rows_then, RULE, EVERYTHING) if what == "a day comes" else true
    done = rejoin(rows_now, RULE, usual_reach(weather), carried(old, rows_then, rows_now, changed[kept]), changed[kept])
    expected = join(rows_now, RULE, EVERYTHING)
    assert found_share(done.edges, expected) >= found_share(join(rows_now, RULE, usual_reach(weather)), expected) - 0.01
    assert done.searched < {"a day comes": 0.25, "days change": 0.8, "a day goes": 0.6, "nothing": 1e-9}[what] * count
