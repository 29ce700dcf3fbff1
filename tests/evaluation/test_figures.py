"""Figures kept as sums by event are those of the pairs themselves, and resampled sums those of resampled pairs."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, rankdata, spearmanr

from wxpipe.evaluation.bootstrap import estimate, gain, multiplicities
from wxpipe.evaluation.events import Events, apart
from wxpipe.evaluation.figures import COLUMNS, Correlation, Pairs, Task, average_ranks, nearest, point
from wxpipe.evaluation.rows import Vectors

HOUR = 3600


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def matrix(seed: int, clips: int, noise: float = 0.0, truth: Any = None) -> Any:
    """Symmetric distances, float32, of points that move in time; or those of `truth` with noise."""
    draw = rng(seed)
    if truth is None:
        points = draw.normal(size=(clips, 3)).cumsum(axis=0)
        truth = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2))
        truth /= truth.max()
    noisy = truth + noise * np.triu(draw.normal(size=(clips, clips)), 1)
    return np.triu(noisy, 1).astype(np.float32) + np.triu(noisy, 1).T.astype(np.float32)


def small_task(seed: int = 1, clips: int = 60, events: int = 12) -> tuple[Task, Any]:
    """Clips 3 hours apart, in events of unequal length."""
    starts = np.arange(clips, dtype=np.int64) * 3 * HOUR
    edges = np.sort(rng(seed).choice(np.arange(1, clips), events - 1, replace=False))
    of = np.searchsorted(edges, np.arange(clips), side="right").astype(np.int64)
    found = Events("visit", of, None)
    allowed = apart(starts)
    distant = allowed & (of[:, None] % 3 != of[None, :] % 3)
    return Task(matrix(seed, clips), found, allowed, distant), distant


def literal_pairs(wanted: Any, size: int) -> tuple[Any, Any]:
    pairs = [(a, b) for a, b in combinations(range(size), 2) if wanted[a, b]]
    return np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_the_explicit_pairs(seed: int) -> None:
    task, distant = small_task(seed)
    row = matrix(seed + 9, 60, 0.1, task.truth.astype(float))
    figures = task.figures(row)
    values = dict(zip(figures, point(list(figures.values()), 12), strict=True))
    for scope, wanted in (("all", np.ones((60, 60), bool)), ("distant", distant)):
        x, y = (m[literal_pairs(wanted, 60)] for m in (row, task.truth))
        assert values[f"pearson_{scope}"] == pytest.approx(pearsonr(x.astype(float), y.astype(float))[0], abs=1e-9)
        assert values[f"spearman_{scope}"] == pytest.approx(spearmanr(x, y)[0], abs=1e-9)
    hits, alike, best = [], 0.0, 0.0
    for query in range(60):
        others = [c for c in range(60) if abs(c - query) * 3 >= 24]
        truly = sorted(others, key=lambda c: (task.truth[query, c], c))[:10]
        found = sorted(others, key=lambda c: (row[query, c], c))[:10]
        hits.append(len(set(truly) & set(found)) / 10)
        alike += float(np.mean([1 - task.truth[query, c] for c in found]))
        best += float(np.mean([1 - task.truth[query, c] for c in truly]))
    assert values["recall_at_10"] == pytest.approx(np.mean(hits), abs=1e-9)
    assert values["top_10_similarity"] == pytest.approx(alike / best, abs=1e-6)
    assert task.recall_curve(row)[9] == pytest.approx(np.mean(hits), abs=1e-9)


def test_the_truth_judged_by_itself_is_exactly_perfect() -> None:
    task, _ = small_task()
    weights = multiplicities(12, 50, 1)
    for figure in task.figures(task.truth).values():
        found = estimate(figure, weights)
        assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)
    np.testing.assert_array_equal(task.recall_curve(task.truth), 1.0)


def test_answers_leave_the_queries_own_day_out_and_ties_go_to_the_earlier() -> None:
    task, _ = small_task()
    level = np.zeros((60, 60), np.float32)
    answers = task.answers(level)
    for query, found in zip(task.queries.tolist(), answers.tolist(), strict=True):
        others = [c for c in range(60) if abs(c - query) * 3 >= 24]
        assert found == others[: len(found)]
    figures = task.figures(level)
    assert np.isnan(point([figures["pearson_all"], figures["spearman_distant"]], 12)).all(), "nothing to correlate"


def test_nearest_of_few() -> None:
    distances = np.array([[3, 1, 2, 1]], np.float32)
    allowed = np.array([[True, True, True, True]])
    assert nearest(distances, allowed, 3).tolist() == [[1, 3, 2]]
    allowed[0, 1] = False
    assert nearest(distances, allowed, 3).tolist() == [[3, 2, 0]]


def literal_resample(events: Events, drawn: list[int], wanted: Any, x: Any, y: Any) -> float:
    """Pearson over the pairs of a resample, written out: each copy of an event is an event of its own."""
    clips = [(copy, clip) for copy, event in enumerate(drawn) for clip in np.flatnonzero(events.of == event).tolist()]
    first, second = [], []
    for (copy, a), (other, b) in combinations(clips, 2):
        if (copy != other and drawn[copy] == drawn[other]) or not wanted[min(a, b), max(a, b)]:
            continue
        first.append(x[min(a, b), max(a, b)])
        second.append(y[min(a, b), max(a, b)])
    return float(pearsonr(first, second)[0]) if len(set(first)) > 1 else float("nan")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scope", ["all", "distant"])
def test_a_resample_by_sums_is_the_resample_written_out(seed: int, scope: str) -> None:
    task, distant = small_task(seed, 24, 6)
    row = matrix(seed + 3, 24, 0.2, task.truth.astype(float))
    weights = multiplicities(6, 8, seed)
    assert weights.max() > 1
    assert (weights.sum(axis=1) == 6).all()
    wanted = np.ones((24, 24), bool) if scope == "all" else distant
    places = literal_pairs(wanted, 24)
    ranks = []
    for values in (row, task.truth):
        ranked = np.zeros((24, 24))
        ranked[places] = rankdata(values[places])
        ranks.append(ranked)
    figures = task.figures(row)
    pearson, spearman = (figures[f"{name}_{scope}"].of(weights) for name in ("pearson", "spearman"))
    for n, counts in enumerate(weights.astype(int).tolist()):
        drawn = [event for event, count in enumerate(counts) for _ in range(count)]
        literal = literal_resample(task.events, drawn, wanted, row.astype(float), task.truth.astype(float))
        assert pearson[n] == pytest.approx(literal, abs=1e-9, nan_ok=True)
        literal = literal_resample(task.events, drawn, wanted, *ranks)
        assert spearman[n] == pytest.approx(literal, abs=1e-9, nan_ok=True)
    assert np.isfinite(pearson).sum() >= 4


def test_a_resample_of_queries_is_the_resample_written_out() -> None:
    task, _ = small_task(4)
    row = matrix(5, 60, 0.2, task.truth.astype(float))
    weights = multiplicities(12, 6, 3)
    recall = task.figures(row)["recall_at_10"].of(weights)
    answers, best = task.answers(row)[:, :10].tolist(), task.answers(task.truth)[:, :10].tolist()
    single = [len(set(a) & set(b)) / 10 for a, b in zip(answers, best, strict=True)]
    for n, counts in enumerate(weights.astype(int).tolist()):
        copies = [value for value, event in zip(single, task.events.of.tolist(), strict=True)
                  for _ in range(counts[event])]  # fmt: skip
        assert recall[n] == pytest.approx(np.mean(copies), abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(
    clips=st.integers(4, 14),
    scale=st.sampled_from([1e-6, 1.0, 1e4]),
    offset=st.sampled_from([0.0, -3.0, 1e4]),
    seed=st.integers(0, 10**6),
)
def test_correlation_by_sums_is_numpys(clips: int, scale: float, offset: float, seed: int) -> None:
    draw = rng(seed)
    events = Events("visit", np.sort(np.unique(draw.integers(0, 4, clips), return_inverse=True)[1]), None)
    pairs = Pairs.where(np.ones((clips, clips), bool), events)
    x = (offset + scale * draw.normal(size=(clips, clips))).astype(np.float32)
    y = draw.normal(size=(clips, clips)).astype(np.float32)
    found = Correlation(pairs, pairs.values(x), pairs.values(y)).of(np.ones((1, events.count)))[0]
    above = np.triu_indices(clips, 1)
    mine = x[above].astype(float)
    if np.ptp(mine) == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(np.corrcoef(mine, y[above].astype(float))[0, 1], abs=1e-7)


@given(st.lists(st.sampled_from([0.0, 0.5, 1.5, 7.0]), max_size=30))
def test_equal_values_share_their_ranks(values: list[float]) -> None:
    np.testing.assert_array_equal(average_ranks(np.array(values)), rankdata(values))


def planted(noise: float, seed: int) -> Vectors:
    """Vectors whose distances are the truth's of `weather`, more or less."""
    points = weather() + noise * rng(seed).normal(size=weather().shape)
    return Vectors(points.astype(np.float32))


def weather() -> Any:
    """Points (clip, 3) of 40 events of 8 clips that have little to do with each other."""
    centres = np.repeat(rng(0).normal(size=(40, 3)), 8, axis=0)
    return centres + 0.2 * rng(1).normal(size=centres.shape)


def judged(*rows: Vectors) -> list[Any]:
    every = np.arange(320)
    starts = every * 3 * HOUR
    events = Events("UTC day", (every // 8).astype(np.int64), None)
    allowed = apart(starts)
    task = Task(Vectors(weather().astype(np.float32)).distances(every), events, allowed, allowed)
    return [task.figures(row.distances(every)) for row in rows]


def test_a_better_encoder_is_told_from_a_worse_one_and_not_from_its_equal() -> None:
    good, equal, bad = judged(planted(0.3, 2), planted(0.3, 3), planted(0.9, 4))
    weights = multiplicities(40, 200, 1)
    for column in COLUMNS:
        name = column.name
        won, same, lost = (gain(good[name], other[name], weights) for other in (bad, equal, good))
        assert won.verdict == "better", column.head
        assert gain(bad[name], good[name], weights).verdict == "worse"
        assert won.value is not None
        assert won.low is not None
        assert 0 < won.low <= won.value
        assert same.verdict == "no measurable gain", column.head
        assert (lost.value, lost.verdict) == (0.0, "no measurable gain")


def test_both_sides_of_a_gain_are_resampled_together() -> None:
    """What two rows share of luck cancels: of nearly equal rows the gain is far surer than either."""
    base, near = judged(planted(0.5, 2), planted(0.502, 2))
    weights = multiplicities(40, 200, 1)
    for column in COLUMNS:
        alone, found = estimate(base[column.name], weights), gain(near[column.name], base[column.name], weights)
        literal = np.percentile(near[column.name].of(weights) - base[column.name].of(weights), (2.5, 97.5))
        assert [found.low, found.high] == literal.tolist()
        assert alone.high is not None
        assert alone.low is not None
        assert literal[1] - literal[0] < 0.5 * (alone.high - alone.low), column.head


def test_an_interval_holds_its_figure_and_widens_with_fewer_events() -> None:
    (figures,) = judged(planted(0.5, 2))
    for figure in figures.values():
        found = estimate(figure, multiplicities(40, 200, 1))
        assert found.low is not None
        assert found.value is not None
        assert found.high is not None
        assert found.low < found.value < found.high
    wide, narrow = (
        estimate(Correlation(p, p.values(a), p.values(b)), multiplicities(count, 200, 1))
        for count in (8, 64)
        for p, a, b in [few_events(count)]
    )
    assert wide.high is not None
    assert wide.low is not None
    assert narrow.high is not None
    assert narrow.low is not None
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def few_events(count: int) -> tuple[Pairs, Any, Any]:
    events = Events("visit", np.repeat(np.arange(count), 4), None)
    truth = matrix(1, 4 * count)
    return Pairs.where(np.ones(truth.shape, bool), events), truth, matrix(2, 4 * count, 0.2, truth.astype(float))


def test_without_resamples_there_is_no_interval() -> None:
    (figures,) = judged(planted(0.5, 2))
    found = estimate(figures["recall_at_10"], multiplicities(40, 0, 1))
    assert found.value is not None
    assert (found.low, found.high) == (None, None)
    assert gain(figures["recall_at_10"], figures["recall_at_10"], np.ones((0, 40))).verdict == "not told"


def test_resamples_are_drawn_by_the_seed() -> None:
    np.testing.assert_array_equal(multiplicities(9, 30, 4), multiplicities(9, 30, 4))
    assert (multiplicities(9, 30, 4) != multiplicities(9, 30, 5)).any()
