"""Several examples: more like these times, less like those, by weights that mean what they say."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.vectors.test_bands import COMS, MIDNIGHT, NOON, put_card
from tests.vectors.tiny_root import SOURCE, TinyRoot, vector
from wxpipe.errors import NotFoundError, UsageError
from wxpipe.satellites.catalog import shipped_satellites
from wxpipe.store.root import init_root
from wxpipe.vectors.answers import ExampleFound, Query, SearchRequest
from wxpipe.vectors.cases import add_case, get_case
from wxpipe.vectors.examples import LEAST_SHARE, Example, combined, parse_examples
from wxpipe.vectors.memory import MemorySearchers
from wxpipe.vectors.records import Part
from wxpipe.vectors.search import _bands, search
from wxpipe.vectors.tables import SPECS

At = Callable[..., datetime]
Numbers = st.floats(-100, 100, width=32)
Weights = st.one_of(st.floats(0.01, 100), st.floats(-100, -0.01))
Weighed = st.lists(st.tuples(Weights, st.lists(Numbers, min_size=3, max_size=3)), min_size=1, max_size=6)
Vector = npt.NDArray[np.float32]


def parts(weighed: list[tuple[float, list[float]]]) -> tuple[list[Vector], list[float]]:
    weights = [weight for weight, _ in weighed]
    assume(math.fsum(weights) > 2 * LEAST_SHARE * math.fsum(abs(weight) for weight in weights))
    return [np.array(numbers, np.float32) for _, numbers in weighed], weights


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 100), st.lists(Numbers, min_size=1, max_size=8))
def test_one_example_is_itself(weight: float, numbers: list[float]) -> None:
    one = np.array(numbers, np.float32)
    assert np.array_equal(combined([one], [weight]), one)


@settings(max_examples=50, deadline=None)
@given(Weighed, st.floats(0.01, 100))
def test_weights_mean_shares(weighed: list[tuple[float, list[float]]], scale: float) -> None:
    vectors, weights = parts(weighed)
    found = combined(vectors, [scale * weight for weight in weights])
    assert found == pytest.approx(combined(vectors, weights), rel=1e-4, abs=1e-3)


@settings(max_examples=50, deadline=None)
@given(Weighed, st.lists(Numbers, min_size=3, max_size=3), st.lists(Numbers, min_size=3, max_size=3))
def test_the_nearest_is_of_the_least_weighed_distances(
    weighed: list[tuple[float, list[float]]], first: list[float], second: list[float]
) -> None:
    """Whichever of two points is nearer to the combined one has the smaller sum of w |x - v|^2."""
    vectors, weights = parts(weighed)
    middle = combined(vectors, weights).astype(np.float64)

    def cost(point: list[float]) -> float:
        apart = np.array(point) - np.array(vectors, np.float64)
        return math.fsum(np.array(weights) * (apart**2).sum(axis=1))

    left = math.fsum(weights)
    gap = left * (float(((np.array(first) - middle) ** 2).sum()) - float(((np.array(second) - middle) ** 2).sum()))
    scale = math.fsum(abs(weight) for weight in weights) * 1e5
    assert cost(first) - cost(second) == pytest.approx(gap, abs=scale * max(1, float(np.abs(middle).max())) * 1e-6)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 100), st.lists(Numbers, min_size=1, max_size=4))
def test_plus_and_minus_of_the_same_cancel(weight: float, numbers: list[float]) -> None:
    one = np.array(numbers, np.float32)
    with pytest.raises(UsageError, match="must outweigh"):
        combined([one, one], [weight, -weight])
    with pytest.raises(UsageError, match="must outweigh"):
        combined([one, one, one], [1.0, -0.3, -0.7])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2011-03-03T08:00Z*", "expected a time and perhaps its weight"),
        ("2011-03-03T08:00Z*heavy", "expected a time and perhaps its weight"),
        ("2011-03-03T08:00Z*0", "choose above 0"),
        ("2011-03-03T08:00Z*-2", "choose above 0"),
        ("2011-03-03T08:00Z*nan", "choose above 0"),
        ("2011-03-03T08:00Z*inf", "choose above 0"),
        ("2011-03-03T08:00Z*1e9", "at most 1e+06"),
        ("2*2011-03-03T08:00Z", "expected a time and perhaps its weight"),
        ("yesterday", "expected a time such as"),
        ("", "expected a time such as"),
    ],
)
def test_what_is_no_example_is_refused(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told.replace("+", r"\+")):
        parse_examples([text], [])
    with pytest.raises(UsageError):
        parse_examples([], [text])


def test_examples_are_read_as_people_write_them() -> None:
    found = parse_examples(["2011-03-03T17:00+09:00*2.5", "2011-03-04"], ["2011-03-06T08:00 * .5"])
    eight = datetime(2011, 3, 3, 8, tzinfo=UTC)
    midnight = datetime(2011, 3, 4, tzinfo=UTC)
    assert found == (Example(eight, 2.5), Example(midnight, 1), Example(datetime(2011, 3, 6, 8, tzinfo=UTC), -0.5))


@pytest.mark.parametrize("opener", ["lance", "memory"])
@pytest.mark.parametrize("unit", ["clip", "frame"])
def test_analogs_are_the_nearest_to_the_weighed_point(served: TinyRoot, at: At, unit: Any, opener: str) -> None:
    more = (Example(at(4, 9), 2.0), Example(at(6, 10), -0.5))
    request = SearchRequest(SOURCE, at(3, 8), unit=unit, more=more, k=60, exclude_hours=1, episodes=False)
    answer = search(served.root, request, **({"opener": MemorySearchers()} if opener == "memory" else {}))
    suffix = "/6h20" if unit == "clip" else ""
    names = [f"{SOURCE}/201103{day:02}T{hour:02}00Z{suffix}" for day, hour in ((3, 8), (4, 9), (6, 10))]
    v = [np.array(vector(name, 0)) for name in names]
    point = (v[0] + 2 * v[1] - 0.5 * v[2]) / 2.5
    spec = SPECS[request.unit]
    from wxpipe.vectors.records import require_current

    rows = require_current(served.root).part(SOURCE).open(served.root, spec).to_arrow().to_pylist()
    own = [at(3, 8), at(4, 9), at(6, 10)]
    kept = [row for row in rows if all(abs((row[spec.time] - one).total_seconds()) > 3600 for one in own)]
    expected = sorted((float(np.linalg.norm(np.array(row["vector"]) - point)), row[spec.key]) for row in kept)
    assert [analog.id for analog in answer.analogs] == [name for _, name in expected[:60]]
    assert [analog.distance for analog in answer.analogs] == pytest.approx([d for d, _ in expected[:60]], rel=1e-5)
    assert answer.document()["query"]["examples"] == [
        {"id": name, "weight": weight} for name, weight in zip(names, (1, 2, -0.5), strict=True)
    ]
    assert "several examples" in answer.quality.why


def test_similarity_is_the_weighed_mean_to_what_is_asked_for(served: TinyRoot, at: At) -> None:
    """What analogs are to be unlike has no part in it."""
    asked = {"exclude_hours": 0, "episodes": False, "k": 300, "unit": "frame"}
    more = (Example(at(4, 9), 3.0), Example(at(6, 10), -0.5))
    answer = search(served.root, SearchRequest(SOURCE, at(3, 8), more=more, **asked))  # type: ignore[arg-type]
    single = [search(served.root, SearchRequest(SOURCE, one, **asked)) for one in (at(3, 8), at(4, 9))]  # type: ignore[arg-type]
    first, second = ({analog.id: analog.similarity for analog in one.analogs} for one in single)
    both = [analog for analog in answer.analogs if analog.id in first and analog.id in second]
    assert len(both) > 100
    for analog in both:
        one, other = first[analog.id], second[analog.id]
        assert one is not None
        assert other is not None
        assert analog.similarity == pytest.approx((one + 3 * other) / 4)


def test_the_same_time_again_changes_nothing_but_the_words(served: TinyRoot, at: At) -> None:
    once = search(served.root, SearchRequest(SOURCE, at(3, 8), k=20))
    twice = search(served.root, SearchRequest(SOURCE, at(3, 8), k=20, more=(Example(at(3, 8), 4.0),)))
    assert [(a.id, a.similarity) for a in once.analogs] == [(a.id, a.similarity) for a in twice.analogs]


def test_one_example_by_night_leaves_out_what_shows_sunlight(tmp_path: Path) -> None:
    """All of them are compared by the same channels."""
    coms = init_root(str(tmp_path / "root"))
    coms.adopt({"coms": shipped_satellites()["coms"]})
    put_card(coms, "linear-0123456789ab", {name: (32 * n, 32 * n + 32) for n, name in enumerate(COMS)})
    part = Part("linear-0123456789ab", True, ("coms-ea",), {})
    found = [ExampleFound("a", NOON, NOON, 1), ExampleFound("b", MIDNIGHT, MIDNIGHT, -0.5)]
    for asked, preset in (("auto", "ir+wv"), ("all", "all"), ("swir", "swir")):
        request = SearchRequest("coms-ea", NOON, bands=asked)
        query = Query("clip", "a", NOON, NOON, tuple(found))
        assert _bands(coms, coms.source("coms-ea"), part, request, query).preset == preset
        assert _bands(coms, coms.source("coms-ea"), part, request, replace(query, examples=())).preset in ("all", asked)


def test_what_cannot_be_asked_is_refused(served: TinyRoot, at: At) -> None:
    with pytest.raises(UsageError, match="must outweigh"):
        SearchRequest(SOURCE, at(3, 8), more=(Example(at(3, 8), -1.0),))
    with pytest.raises(UsageError, match="join a time"):
        SearchRequest(SOURCE, vector=vector("x", 0), more=(Example(at(3, 8)),))
    with pytest.raises(UsageError, match="at most 32"):
        SearchRequest(SOURCE, at(3, 8), more=(Example(at(3, 8)),) * 32)
    with pytest.raises(UsageError, match="no time zone"):
        Example(datetime(2011, 3, 3, 8))
    with pytest.raises(NotFoundError, match="the nearest begin"):
        search(served.root, SearchRequest(SOURCE, at(3, 8), more=(Example(at(3, 2)),)))


def test_a_case_keeps_its_examples(tiny: TinyRoot, at: At) -> None:
    from wxpipe.vectors.release import build, promote

    build(tiny.root)
    promote(tiny.root)
    request = SearchRequest(SOURCE, at(3, 8), more=(Example(at(4, 9), 2.0), Example(at(6, 10), -0.5)), k=3)
    add_case(tiny.root, "two storms", request, search(tiny.root, request))
    case = get_case(tiny.root, 1)
    assert case.search_request() == request
