"""Search: the true nearest of what the filter leaves, one an episode, each with its ground truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from tests.vectors.tiny_root import DAYS, MODEL, SOURCE, TinyRoot, vector
from wxpipe.errors import NotFoundError, UsageError
from wxpipe.similarity.clip_ks import clip_similarities
from wxpipe.similarity.clip_stage import find_clip
from wxpipe.similarity.histograms import histogram_store
from wxpipe.vectors.answers import SearchRequest
from wxpipe.vectors.candidates import Candidates
from wxpipe.vectors.release import build, promote
from wxpipe.vectors.search import _grow, group, search
from wxpipe.vectors.tables import SPECS, Unit
from wxpipe.vectors.where import checked_where

At = Callable[..., datetime]


def rows_of(tiny: TinyRoot, unit: Unit) -> list[dict[str, Any]]:
    from wxpipe.vectors.records import require_current

    rows: list[dict[str, Any]] = (
        require_current(tiny.root).part(SOURCE).open(tiny.root, SPECS[unit]).to_arrow().to_pylist()
    )
    return rows


def brute_force(
    tiny: TinyRoot, unit: Unit, query: str, keep: Callable[[dict[str, Any]], bool]
) -> list[tuple[str, float]]:
    """(id, distance) of everything that is kept, nearest first, by numpy."""
    spec = SPECS[unit]
    rows = rows_of(tiny, unit)
    own = np.array(next(row for row in rows if row[spec.key] == query)["vector"])
    found = [(row[spec.key], float(np.linalg.norm(np.array(row["vector"]) - own))) for row in rows if keep(row)]
    return sorted(found, key=lambda pair: pair[1])


@pytest.mark.parametrize("unit", ["clip", "frame"])
@pytest.mark.parametrize(
    ("where", "test"),
    [
        ("", lambda _: True),
        ("hour >= 9 AND coverage > 0.8", lambda row: row["hour"] >= 9 and row.get("coverage", 1) > 0.8),
        ("hour = 8 OR hour = 10", lambda row: row["hour"] in (8, 10)),
        (
            "{time} > TIMESTAMP '2011-03-06 07:00:00'",
            lambda row: row["t"] > datetime.fromisoformat("2011-03-06T07:00Z"),
        ),
        ("{key} LIKE 'tiny-ea/20110304%' OR model = ')'", lambda row: row["t"].day == 4),
    ],
)
@pytest.mark.parametrize("exclude", [0, 3, 24])
def test_the_nearest_by_brute_force(
    served: TinyRoot, at: At, unit: Unit, where: str, test: Callable[[dict[str, Any]], bool], exclude: float
) -> None:
    spec = SPECS[unit]
    if unit == "frame":
        where = where.replace(" AND coverage > 0.8", "")
    where = where.format(time=spec.time, key=spec.key)
    asked = at(3, 8)
    answer = search(
        served.root,
        SearchRequest("tiny", asked, unit=unit, k=12, where=where, exclude_hours=exclude, episodes=False),
    )

    def keep(row: dict[str, Any]) -> bool:
        hours = abs((row[spec.time] - asked).total_seconds()) / 3600
        return hours > exclude and test({**row, "t": row[spec.time]})

    assert answer.query.id is not None
    expected = brute_force(served, unit, answer.query.id, keep)
    assert answer.matching == len(expected)
    assert [a.id for a in answer.analogs] == [name for name, _ in expected[:12]]
    assert [a.distance for a in answer.analogs] == pytest.approx([d for _, d in expected[:12]], rel=1e-5)
    assert answer.query.id not in [a.id for a in answer.analogs]


def test_the_answer_is_the_contract(served: TinyRoot, at: At) -> None:
    answer = search(served.root, SearchRequest(SOURCE, at(3, 8), k=2)).document()
    assert json.loads(json.dumps(answer)) == answer
    assert answer["query"] == {
        "clip_id": "tiny-ea/20110303T0800Z/6h20", "start": "2011-03-03T08:00:00Z", "end": "2011-03-03T14:00:00Z",
    }  # fmt: skip
    assert (answer["release"], answer["model"], answer["trained"], answer["index"]) == (1, MODEL, False, "exact")
    assert answer["excluded_hours"] == 24
    assert (answer["quality"]["percentile"], answer["quality"]["good"]) == (None, None)
    first = answer["analogs"][0]
    assert list(first)[:7] == ["rank", "clip_id", "start", "end", "distance", "similarity", "episode"]
    assert first["rank"] == 1
    assert "untrained" in answer["warning"]


def test_a_frame_answers_by_frame(served: TinyRoot, at: At) -> None:
    answer = search(served.root, SearchRequest(SOURCE, at(3, 8), unit="frame", k=3)).document()
    assert answer["query"] == {"frame_id": "tiny-ea/20110303T0800Z", "time": "2011-03-03T08:00:00Z"}
    assert all("time" in analog and "start" not in analog for analog in answer["analogs"])
    assert answer["analogs"][0]["similarity"] is not None


def test_a_time_between_slots_is_its_slot(served: TinyRoot, at: At) -> None:
    answer = search(served.root, SearchRequest(SOURCE, at(3, 8, 7), k=1))
    assert answer.query.id == "tiny-ea/20110303T0800Z/6h20"


def test_overlapping_clips_are_one_answer(served: TinyRoot, at: At) -> None:
    answer = search(served.root, SearchRequest(SOURCE, at(3, 8), k=10))
    spans = [(a.start, a.end) for a in answer.analogs]
    for n, (start, end) in enumerate(spans):
        assert end is not None
        assert not any(s <= end and start <= e for s, e in spans[n + 1 :] if e is not None)
    members = [name for analog in answer.analogs for name in analog.episode]
    assert len(members) == len(set(members))
    assert all(analog.id in analog.episode for analog in answer.analogs)
    # All 29 clips of 6 March and those 20 of 4 March that begin more than 24 hours after the query.
    assert len(answer.analogs) < 10
    assert "of 10 episodes" in answer.warning
    assert len(members) == answer.candidates == answer.matching == 49


def test_candidates_grow_until_there_are_enough_episodes(at: At) -> None:
    """The nearest 100 clips are one episode; the others lie beyond the first 64 candidates."""
    starts = np.r_[np.arange(100) % 20, 1000 * np.arange(1, 901)].astype(np.int64) * 900
    asked = []

    def look(limit: int) -> Candidates:
        asked.append(limit)
        names = [str(n) for n in range(limit)]
        return Candidates(names, starts[:limit], starts[:limit] + 6 * 3600, np.arange(float(limit)))

    found, groups = _grow(look, SearchRequest(SOURCE, at(3, 8), k=5), 1000, 0)
    assert asked == [64, 256]
    assert [members[0] for members in groups] == [0, 100, 101, 102, 103]
    assert len(found) == 256
    _grow(look, SearchRequest(SOURCE, at(3, 8), k=5, episodes=False), 1000, 0)
    assert asked[2:] == [5]
    found, groups = _grow(look, SearchRequest(SOURCE, at(3, 8), k=1000), 300, 0)
    assert (len(found), len(groups)) == (300, 201)


def test_an_episode_is_around_its_best_and_does_not_run_on() -> None:
    starts = np.arange(0, 48, dtype=np.int64) * 900
    found = Candidates([str(n) for n in range(48)], starts, starts + 6 * 3600, np.arange(48.0))
    groups = group(found, 10, episodes=True)
    assert [members[0] for members in groups] == [0, 25]
    assert len(groups[0]) == 25
    assert group(found, 3, episodes=False) == [[0], [1], [2]]


def test_similarity_is_the_ground_truth(served: TinyRoot, at: At) -> None:
    answer = search(served.root, SearchRequest(SOURCE, at(3, 8), k=3, episodes=False))
    store = histogram_store(served.root, SOURCE)
    assert answer.query.start is not None
    for analog in answer.analogs:
        frames = np.array([find_clip(served.root, SOURCE, t) for t in (answer.query.start, analog.start)])
        cdfs = store.read(frames.reshape(-1))
        value = clip_similarities(cdfs, np.arange(40).reshape(2, 20), np.array([[0, 1]]), store.cell_sizes())
        assert analog.similarity == value[0]


def test_reranking_orders_by_the_ground_truth(served: TinyRoot, at: At) -> None:
    answer = search(served.root, SearchRequest(SOURCE, at(3, 8), k=5, episodes=False, rerank="ground-truth"))
    similarities = [a.similarity for a in answer.analogs]
    assert None not in similarities
    assert similarities == sorted(similarities, key=lambda s: -(s or 0))
    assert [a.distance for a in answer.analogs] != sorted(a.distance for a in answer.analogs)
    assert answer.document()["rerank"] == "ground-truth"


def test_without_histograms_similarity_is_unknown(tiny: TinyRoot, at: At) -> None:
    import shutil

    build(tiny.root)
    promote(tiny.root)
    shutil.rmtree(f"{tiny.root.url}/histograms")
    answer = search(tiny.root, SearchRequest(SOURCE, at(3, 8), k=2))
    assert [analog.similarity for analog in answer.analogs] == [None, None]


def test_a_day_without_histograms_is_unknown_and_the_others_are_not(tiny: TinyRoot, at: At) -> None:
    build(tiny.root)
    promote(tiny.root)
    store = histogram_store(tiny.root, SOURCE)
    spec = store.array_spec
    store.write_day(DAYS[1], np.zeros((96, *spec.shape[1:]), spec.dtype))
    request = SearchRequest(SOURCE, at(3, 8), k=50, exclude_hours=0, episodes=False, rerank="ground-truth")
    answer = search(tiny.root, request)
    unknown = {analog.start.day for analog in answer.analogs if analog.similarity is None}
    assert unknown <= {4}
    assert {analog.start.day for analog in answer.analogs if analog.similarity is not None} == {3, 6}


def test_a_vector_is_a_query(served: TinyRoot) -> None:
    name = "tiny-ea/20110304T0800Z/6h20"
    answer = search(served.root, SearchRequest(SOURCE, vector=vector(name, 0), k=1))
    assert answer.analogs[0].id == name
    assert answer.analogs[0].distance == pytest.approx(0, abs=1e-6)
    assert answer.document()["query"]["clip_id"] is None
    with pytest.raises(UsageError, match="expected 8 finite numbers"):
        search(served.root, SearchRequest(SOURCE, vector=[1.0, 2.0]))


def test_an_index_answers_and_says_so(tiny: TinyRoot, at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    from wxpipe.vectors import index

    monkeypatch.setattr(index, "NARROW_ROWS", 10)
    build(tiny.root, exact_below=50)
    promote(tiny.root)
    wide = search(tiny.root, SearchRequest(SOURCE, at(3, 8), k=5, episodes=False))
    assert wide.index == "ivf_flat"
    narrow = search(tiny.root, SearchRequest(SOURCE, at(3, 8), k=5, episodes=False, where="hour = 9"))
    assert (narrow.index, narrow.matching) == ("exact", 8)
    assert wide.query.id is not None
    expected = brute_force(tiny, "clip", wide.query.id, lambda row: row["start"] > at(4, 8))
    assert [a.id for a in wide.analogs] == [name for name, _ in expected[:5]]


def test_an_older_release_can_be_asked_again(tiny: TinyRoot, at: At) -> None:
    build(tiny.root)
    promote(tiny.root)
    request = SearchRequest(SOURCE, at(3, 8), k=3, release=1)
    before = search(tiny.root, request)
    tiny.write_vectors(DAYS[1], seed=4)
    build(tiny.root)
    promote(tiny.root)
    assert search(tiny.root, request) == before
    assert search(tiny.root, SearchRequest(SOURCE, at(3, 8), k=3)).release == 2


def test_a_clip_that_is_not_there_names_its_neighbours(served: TinyRoot, at: At) -> None:
    with pytest.raises(
        NotFoundError, match=r"no clip of tiny-ea begins at 2011-03-03T02:00:00Z; .* 2011-03-03T06:00:00Z"
    ):
        search(served.root, SearchRequest(SOURCE, at(3, 2)))
    with pytest.raises(UsageError, match="lies outside"):
        search(served.root, SearchRequest(SOURCE, datetime.fromisoformat("2012-01-01T00:00Z")))


def test_a_root_without_release_says_what_makes_one(tiny: TinyRoot, at: At) -> None:
    with pytest.raises(NotFoundError, match="no current release"):
        search(tiny.root, SearchRequest(SOURCE, at(3, 8)))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("nope = 3", "No field named nope; columns: clip_id, source"),
        ("hour >", "Expected: an expression"),
        ("1=1) OR (1=1", "brackets do not match"),
        ("1=1 OR (1=1", "brackets do not match"),
        ("1=1 -- ", "'--' is not allowed"),
        ("1=1 /* x */", r"'/\*' is not allowed"),
        ("1=1; DROP TABLE clips", "';' is not allowed"),
        ("source = 'x", "is not allowed"),
        ("month = $1", r"'\$' is not allowed"),
        ("month = ?", r"'\?' is not allowed"),
        ("hour = 3 garbage here", "hour = 3 garbage"),
        ("x" * 5000, "at most 4000"),
    ],
)
def test_a_bad_filter_is_told_in_a_line(served: TinyRoot, at: At, where: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        search(served.root, SearchRequest(SOURCE, at(3, 8), where=where))
    assert "\n" not in str(caught.value)
    assert "cargo" not in str(caught.value)


def test_a_filter_cannot_reach_past_its_brackets(served: TinyRoot, at: At) -> None:
    answer = search(served.root, SearchRequest(SOURCE, at(3, 8), k=50, where="1=1 OR 1=1", episodes=False))
    assert {analog.start.day for analog in answer.analogs} <= {4, 6}
    assert checked_where("source = 'a -- b; (' AND hour IN (1, 2)")


def test_requests_are_checked(at: At) -> None:
    for wrong, message in [
        ({"at": None}, "one of the two"),
        ({"at": datetime(2011, 3, 3)}, "no time zone"),
        ({"k": 0}, "k is 0"),
        ({"exclude_hours": -1}, "exclude_hours"),
        ({"unit": "hour"}, "choose one of clip, frame"),
    ]:
        with pytest.raises(UsageError, match=message):
            SearchRequest(**{"source": SOURCE, "at": at(3, 8), **wrong})  # type: ignore[arg-type]


def test_an_unknown_measure_names_the_known_ones(served: TinyRoot, at: At) -> None:
    with pytest.raises(UsageError, match="no measure is called 'vibes'; known measures: ground-truth"):
        search(served.root, SearchRequest(SOURCE, at(3, 8), rerank="vibes"))


def test_a_filter_that_leaves_nothing_is_an_empty_answer(served: TinyRoot, at: At) -> None:
    answer = search(served.root, SearchRequest(SOURCE, at(3, 8), where="year = 1999"))
    assert answer.analogs == ()
    assert "only 0 of 10" in answer.warning
