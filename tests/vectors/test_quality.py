"""The quality of an answer: its percentile among other times, what such analogs were followed by, "no good analog"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vectors.tiny_root import SOURCE, TinyRoot, copy_of
from wxpipe.vectors import ground_truth
from wxpipe.vectors.answers import SearchRequest
from wxpipe.vectors.quality import GOOD, LEAST, quality_of, reliability
from wxpipe.vectors.quality_sample import LEADS, Sample, measure, read_sample
from wxpipe.vectors.records import require_current
from wxpipe.vectors.search import search

DAY = 86_400
BEGIN = 1_262_304_000
"""2010-01-01T00:00Z."""


def sample_of(similarity: Any, starts: Any = None, after: Any = None) -> Sample:
    """Searches of one a day at midnight, if nothing else is said; the weather after is as similar as the analog was."""
    values = np.asarray(similarity, np.float64)
    times = BEGIN + DAY * np.arange(len(values)) if starts is None else np.asarray(starts, np.int64)
    came = np.repeat(values[:, None], len(LEADS), axis=1) if after is None else np.asarray(after, np.float64)
    return Sample(times, times + 30 * DAY, values, came, np.full_like(came, 0.4))


def test_a_percentile_is_the_share_of_times_of_the_season_and_hour_with_a_worse_analog() -> None:
    days = np.arange(4 * 365)
    january = (days % 365) < 45
    sample = sample_of(np.where(january, 0.9, 0.5) + days * 1e-6)
    new_year = BEGIN + 2 * 365 * DAY
    judged = quality_of(sample, new_year, 0.7)
    of_season = np.abs((sample.starts - new_year + 182.6 * DAY) % (365.2425 * DAY) - 182.6 * DAY) <= 45 * DAY
    others = sample.similarity[of_season & (np.abs(sample.starts - new_year) > DAY)]
    assert judged.percentile == pytest.approx((others < 0.7).mean(), abs=0.01)
    assert judged.compared == pytest.approx(len(others), abs=4)
    assert "45 days of the season and 3 h" in judged.are


def test_weather_without_precedent_has_no_good_analog() -> None:
    sample = sample_of(0.7 + 0.1 * np.sin(np.arange(400)))
    judged = quality_of(sample, BEGIN + 200 * DAY, 0.3)
    assert (judged.percentile, judged.good) == (0, False)
    assert judged.sentence().startswith("no good analog: 100%")
    assert quality_of(sample, BEGIN + 200 * DAY, 0.8).good


@given(st.lists(st.floats(0, 1), min_size=LEAST + 3, max_size=80), st.floats(0, 1))
def test_more_similar_is_never_a_lower_percentile(values: list[float], similarity: float) -> None:
    sample = sample_of(values)
    low, high = (quality_of(sample, BEGIN, s) for s in sorted((similarity, 1 - similarity)))
    assert low.percentile is not None
    assert high.percentile is not None
    assert 0 <= low.percentile <= high.percentile <= 1
    assert low.good == (low.percentile >= GOOD)


def test_few_past_answers_are_no_ground_for_a_percentile() -> None:
    judged = quality_of(sample_of(np.linspace(0, 1, LEAST)), BEGIN + 400 * DAY, 0.5)
    assert judged.percentile == 0.5
    judged = quality_of(sample_of(np.linspace(0, 1, LEAST - 1)), BEGIN + 400 * DAY, 0.5)
    assert judged.percentile is None
    assert f"at least {LEAST}" in judged.why


def test_at_an_hour_that_was_never_asked_for_the_season_is_compared_with() -> None:
    judged = quality_of(sample_of(np.full(365, 0.5)), BEGIN + 12 * 3600, 0.6)
    assert judged.are == "within 45 days of the season"
    assert 40 <= judged.compared <= 92


def test_the_own_day_of_a_query_is_not_among_those_that_it_is_compared_with() -> None:
    hours = BEGIN + 3600 * np.arange(24 * 10)
    own = np.abs(hours - hours[120]) <= DAY
    judged = quality_of(sample_of(np.where(own, 1.0, 0.5), hours), int(hours[120]), 0.6)
    assert judged.percentile == 1


def test_the_table_tells_what_came_of_such_analogs_and_of_chance() -> None:
    draw = np.random.default_rng(3)
    similarity = np.sort(draw.uniform(0.4, 0.9, 1_000))
    after = similarity[:, None] * [0.9, 0.8, 0.7, 0.6] + draw.normal(0, 0.02, (1_000, 4))
    after[::7, 3] = np.nan  # nobody knows what came
    rows = reliability(sample_of(similarity, after=after))
    assert [row.count for row in rows] == [100] * 10
    assert all(a.high <= b.low for a, b in pairwise(rows))
    for row in rows:
        middle = (row.low + row.high) / 2
        for coming, share in zip(row.after, (0.9, 0.8, 0.7, 0.6), strict=True):
            assert coming.mean == pytest.approx(share * middle, abs=0.01)
            assert coming.low < coming.mean < coming.high  # type: ignore[operator]
            assert coming.by_chance == pytest.approx(0.4)


def test_what_never_came_is_unknown_and_not_a_number() -> None:
    nothing = np.full((50, len(LEADS)), np.nan)
    (row, _) = reliability(sample_of(np.linspace(0, 1, 50), after=nothing))
    assert [one.document()["similarity"] for one in row.after] == [None] * len(LEADS)


@pytest.fixture(scope="module")
def measured(served: TinyRoot, tmp_path_factory: pytest.TempPathFactory) -> TinyRoot:
    tiny = copy_of(Path(served.root.url), tmp_path_factory.mktemp("quality") / "root")
    measure(tiny.root, "tiny", samples=60)
    return tiny


def test_a_sample_says_what_searches_find_and_what_the_store_has(measured: TinyRoot) -> None:
    root, source = measured.root, measured.source
    sample = read_sample(root, require_current(root).part(SOURCE), SOURCE, "clip")
    assert sample is not None
    assert len(sample) == 60
    assert (np.diff(sample.starts) > 0).all()
    for n in (0, 17, 59):
        at = datetime.fromtimestamp(int(sample.starts[n])).astimezone()
        answer = search(root, SearchRequest(SOURCE, at=at, k=1))
        (best,) = answer.analogs
        assert int(best.start.timestamp()) == sample.analogs[n]
        assert best.similarity == pytest.approx(sample.similarity[n], abs=1e-12)
        assert answer.query.end is not None
        assert best.end is not None
        for place, lead in enumerate(LEADS):
            slots = [source.satellite.axis.slot(end) + lead * 4 for end in (answer.query.end, best.end)]
            (truth,) = ground_truth.pair_similarities(root, source, np.array(slots)[:, None], [(0, 1)])
            assert sample.after[n, place] == pytest.approx(np.nan if truth is None else truth, nan_ok=True)


def test_an_answer_tells_its_quality(measured: TinyRoot, at: Callable[[int, int, int], datetime]) -> None:
    answer = search(measured.root, SearchRequest(SOURCE, at=at(3, 8, 0))).document()
    assert 0 <= answer["quality"]["percentile"] <= 1
    assert isinstance(answer["quality"]["good"], bool)
    assert answer["quality"]["compared"] >= LEAST
    assert [one["hours"] for one in answer["quality"]["after"]] == list(LEADS)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"exclude_hours": 0}, "24 hours are not left out"),
        ({"rerank": "ground-truth"}, "without re-ranking"),
        ({"at": None, "vector": [0.5] * 8}, "is a vector"),
        ({"where": "year = 1999"}, "there is no analog"),
    ],
)
def test_where_quality_cannot_be_known_an_answer_says_why(
    measured: TinyRoot, at: Callable[[int, int, int], datetime], change: dict[str, Any], why: str
) -> None:
    request = replace(SearchRequest(SOURCE, at=at(3, 8, 0)), **change)
    quality = search(measured.root, request).quality
    assert (quality.percentile, quality.good) == (None, None)
    assert why in quality.why


def test_before_anything_was_measured_an_answer_says_how_to(
    served: TinyRoot, at: Callable[[int, int, int], datetime]
) -> None:
    quality = search(served.root, SearchRequest(SOURCE, at=at(3, 8, 0))).quality
    assert "wxpipe quality measure" in quality.why


def test_a_damaged_sample_is_named_and_the_analogs_are_told_all_the_same(
    measured: TinyRoot, tmp_path: Path, at: Callable[[int, int, int], datetime]
) -> None:
    broken = copy_of(Path(measured.root.url), tmp_path / "root").root
    (key,) = [info.key for info in broken.objects.walk("quality")]
    broken.objects.put(key, broken.objects.get(key)[:100])
    answer = search(broken, SearchRequest(SOURCE, at=at(3, 8, 0)))
    assert answer.analogs
    assert answer.quality.percentile is None
    assert key in answer.quality.why
    assert "wxpipe quality measure" in answer.quality.why


def test_measuring_again_adds_a_newer_sample(measured: TinyRoot, tmp_path: Path) -> None:
    tiny = copy_of(Path(measured.root.url), tmp_path / "root")
    again = measure(tiny.root, "tiny", samples=30)
    found = read_sample(tiny.root, require_current(tiny.root).part(SOURCE), SOURCE, "clip")
    assert found is not None
    assert (found.number, len(found)) == (again.number, 30) == (2, 30)
