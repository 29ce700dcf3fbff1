"""Event odds: counted as by hand, and as sure as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wxpipe.vectors.event_odds import (
    Comparable,
    Ints,
    Kind,
    binomial_p,
    count,
    effective_number,
    holm,
    merged_spans,
    occurs,
    odds,
    wilson,
    within_record,
)

HOUR, DAY = 3600, 86_400
NONE = Comparable(np.zeros(0, np.int64), "nothing")
QUIETLY = settings(max_examples=200, deadline=None)
TIMES = st.integers(0, 60)


def ints(*values: int) -> Ints:
    return np.array(values, np.int64)


def kind(events: list[tuple[int, int]], spans: list[tuple[int, int]], lasting: float = 0) -> Kind:
    pairs = np.array(events, np.int64).reshape(-1, 2)
    return Kind("rain", None, pairs[:, 0], pairs[:, 1], merged_spans(spans), lasting)


def is_known(anchor: int, seconds: int, spans: list[tuple[int, int]]) -> bool:
    """Second by second: every moment of the window is inside the record."""
    recorded = {t for a, b in spans for t in range(a, b + 1)}
    joined = all(any(a <= t and t + 1 <= b for a, b in spans) for t in range(anchor, anchor + seconds))
    return joined and anchor in recorded


def happens(anchor: int, seconds: int, events: list[tuple[int, int]]) -> bool:
    return any(begin <= anchor + seconds and end > anchor for begin, end in events)


@QUIETLY
@given(
    events=st.lists(st.tuples(TIMES, st.integers(0, 9)), max_size=8),
    spans=st.lists(st.tuples(TIMES, st.integers(1, 30)), max_size=4),
    anchors=st.lists(TIMES, max_size=20),
    seconds=st.integers(1, 15),
)
def test_counts_are_those_of_a_loop(
    events: list[tuple[int, int]], spans: list[tuple[int, int]], anchors: list[int], seconds: int
) -> None:
    intervals = [(begin, begin + lasting) for begin, lasting in events]
    periods = [(first, first + length) for first, length in spans]
    this, at = kind(intervals, periods), np.array(sorted(anchors), np.int64)
    known = [is_known(anchor, seconds, periods) for anchor in at.tolist()]
    seen = [happens(anchor, seconds, intervals) for anchor in at.tolist()]
    assert within_record(this.spans, at, seconds).tolist() == known
    assert occurs(this, at, seconds).tolist() == seen
    assert count(this, at, seconds) == (sum(known), sum(a and b for a, b in zip(known, seen, strict=True)))


@QUIETLY
@given(st.lists(TIMES, min_size=1, max_size=15), st.integers(1, 40))
def test_the_effective_number_is_that_of_all_pairs(anchors: list[int], length: int) -> None:
    at = np.array(sorted(anchors), np.int64)
    overlap = np.maximum(0, 1 - np.abs(at[:, None] - at[None, :]) / length)
    assert effective_number(at, length) == pytest.approx(len(at) ** 2 / overlap.sum())


def test_the_edges_of_a_window() -> None:
    """After the analog means after its end; what goes on at its end happens; what begins at the window's end, too."""
    anchor = ints(100)
    for event, seen in [((90, 100), False), ((100, 100), False), ((90, 101), True), ((101, 101), True),
                        ((110, 110), True), ((111, 120), False), ((50, 200), True)]:  # fmt: skip
        assert occurs(kind([event], []), anchor, 10).tolist() == [seen], event


def test_what_lies_outside_the_record_is_unknown() -> None:
    this = kind([(150, 150), (500, 500)], [(100, 200), (400, 600)])
    (told,) = odds([this], ints(140, 195, 300, 495, 90), NONE, 10 / 3600)
    assert (told.analogs, told.unknown, told.occurred, told.ranks) == (2, 3, 2, (1, 4))
    assert told.climatology is None
    assert told.p_value is None
    (nothing,) = odds([this], ints(300), NONE, 10 / 3600)
    assert (nothing.analogs, nothing.interval) == (0, None)
    assert nothing.document()["interval"] is None


def test_the_sentence_of_the_answer() -> None:
    days = np.arange(1000) * DAY
    rainy = [(d + HOUR, d + 2 * HOUR) for d in days[:140].tolist()]
    this = kind(rainy, [(0, 1001 * DAY)], HOUR)
    anchors = np.concatenate([days[:60:10], days[500:900:100]])
    (told,) = odds([this], anchors, Comparable(days, "all clips"), 12)
    assert told.sentence() == "rain within 12 h after 6 of 10 analogs; climatology 1.4 of 10"
    assert told.ratio == pytest.approx(6 / 1.4)
    assert told.distinct
    assert told.interval == pytest.approx((0.3127, 0.8318), abs=1e-4)  # Wilson's for 6 of 10, as printed in tables
    assert told.p_value == pytest.approx(2 * stats.binom.sf(5, 10, 140.5 / 1001))


@pytest.mark.parametrize("n", [1, 7, 10, 100, 3000])
@pytest.mark.parametrize("rate", [0.003, 0.14, 0.5, 0.97])
def test_the_p_value_is_the_exact_binomial_one(n: int, rate: float) -> None:
    for k in {0, n // 3, n // 2, n}:
        tails = stats.binom.sf(k - 1, n, rate), stats.binom.cdf(k, n, rate)
        assert binomial_p(k / n, n, rate) == pytest.approx(min(1, 2 * min(tails)), rel=1e-6, abs=1e-300)


def test_holm_is_holm() -> None:
    assert holm([0.04, None, 0.01, 0.03]) == pytest.approx([0.06, None, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_nothing_planted_is_seldom_called_unlikely() -> None:
    """Where analogs are times like any other, p < .05 comes in at most 5 % of the queries (and Monte Carlo's error)."""
    rng = np.random.default_rng(7)
    trials, low = 400, 0
    windows = np.arange(4000) * DAY
    for _ in range(trials):
        events = np.sort(rng.integers(0, 4000 * DAY, rng.integers(200, 3000)))
        this = kind([(t, t) for t in events.tolist()], [(0, 4001 * DAY)])
        (told,) = odds([this], rng.choice(windows, 10, replace=False), Comparable(windows, "all"), 12)
        low += told.p_value is not None and told.p_value < 0.05
    assert low / trials <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / trials)


def expected_coverage(n: int, probability: float) -> float:
    """How often Wilson's interval of n trials holds the probability: a sum over all outcomes."""
    outcomes = np.arange(n + 1)
    inside = [low <= probability <= high for low, high in (wilson(k / n, n) for k in outcomes.tolist())]
    return float(stats.binom.pmf(outcomes, n, probability)[inside].sum())


def test_intervals_hold_a_planted_probability_95_times_in_100() -> None:
    """Queries whose analogs are followed by an event with a probability that is planted and known."""
    rng = np.random.default_rng(20110303)
    trials, held, expected = 3000, 0, []
    for _ in range(trials):
        n, probability = int(rng.choice([5, 10, 20, 50])), rng.uniform(0.02, 0.98)
        anchors = rng.permutation(n) * 5 * DAY + DAY
        after = anchors[rng.random(n) < probability]
        planted = [(int(t + rng.integers(1, 12 * HOUR)), 0) for t in after.tolist()]
        this = kind([(begin, begin) for begin, _ in planted], [(0, 5 * DAY * (n + 1))])
        (told,) = odds([this], anchors, NONE, 12)
        assert told.interval is not None
        assert told.distinct
        held += told.interval[0] <= probability <= told.interval[1]
        expected.append(expected_coverage(n, probability))
    nominal = float(np.mean(expected))
    assert 0.94 <= nominal <= 0.96
    error = math.sqrt(nominal * (1 - nominal) / trials)
    assert held / trials == pytest.approx(nominal, abs=4 * error)
    print(f"{held / trials:.3f} of {trials} intervals hold the truth; exact expectation {nominal:.3f}")


def test_intervals_hold_it_where_analogs_overlap() -> None:
    """Storms that come at random and last; analogs in bunches. Counted as independent ones, they would be too sure."""
    rng = np.random.default_rng(20121027)
    trials, held, naive = 1500, 0, 0
    window, lasting = 12 * HOUR, 6 * HOUR
    for _ in range(trials):
        probability = rng.uniform(0.1, 0.9)
        rate = -math.log(1 - probability) / (window + lasting)  # storms a second
        bunches = np.arange(8) * 10 * DAY + 2 * DAY
        anchors = np.concatenate([b + rng.integers(0, 9 * HOUR, rng.integers(1, 5)) for b in bunches.tolist()])
        storms = rng.uniform(0, 90 * DAY, rng.poisson(rate * 90 * DAY)).astype(np.int64)
        this = kind([(t, t + lasting) for t in storms.tolist()], [(-DAY, 91 * DAY)], lasting)
        (told,) = odds([this], anchors, NONE, 12)
        assert told.interval is not None
        assert told.effective < len(anchors)
        held += told.interval[0] <= probability <= told.interval[1]
        low, high = wilson(told.occurred / told.analogs, told.analogs)
        naive += low <= probability <= high
    error = math.sqrt(0.95 * 0.05 / trials)
    print(f"{held / trials:.3f} of {trials} hold the truth; counted as independent {naive / trials:.3f}")
    assert held / trials >= 0.95 - 4 * error
    assert naive / trials < 0.9
