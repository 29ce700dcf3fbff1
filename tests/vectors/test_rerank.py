"""Candidates are ordered anew by any registered measure, whose score is in the answer beside the ground truth."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from tests.vectors.tiny_root import DAYS, FIRST_GOOD, LAST_GOOD, SOURCE, TinyRoot
from wxpipe.similarity.clip_stage import find_clip
from wxpipe.similarity.histograms import histogram_store
from wxpipe.similarity.measures import get_measure, measure_names
from wxpipe.store.frames import frame_store
from wxpipe.vectors import rerank
from wxpipe.vectors.answers import SearchRequest
from wxpipe.vectors.examples import Example
from wxpipe.vectors.release import build, promote
from wxpipe.vectors.search import search

At = Callable[..., datetime]


def slots_of(tiny: TinyRoot, unit: str, start: datetime) -> list[int]:
    if unit == "clip":
        return find_clip(tiny.root, SOURCE, start)
    return [tiny.source.satellite.axis.slot(start)]


def scores_of(tiny: TinyRoot, name: str, own: list[int]) -> dict[tuple[int, int], float]:
    """Of each frame of a query with each frame that is stored, over the channels."""
    measure, store = get_measure(name), frame_store(tiny.root, SOURCE)
    every = [slot for day in DAYS for slot in store.axis.day_slots(day)[FIRST_GOOD : LAST_GOOD + 1]]
    pairs = [(a, b) for a in own for b in every]
    places = np.searchsorted(every, pairs)
    if measure.needs == "pictures":
        found = measure.score(store.reduced(np.array(every), store.channels), places)
    else:
        histograms = histogram_store(tiny.root, SOURCE)
        found = measure.score(histograms.read(np.array(every)), places, histograms.cell_sizes())
    return dict(zip(pairs, found.mean(axis=1).tolist(), strict=True))


def mean_of(scores: dict[tuple[int, int], float], own: list[int], other: list[int]) -> float:
    return float(np.mean([scores[pair] for pair in zip(own, other, strict=True)]))


@pytest.mark.parametrize("unit", ["clip", "frame"])
@pytest.mark.parametrize("name", measure_names())
def test_analogs_come_in_the_order_of_the_measure(served: TinyRoot, at: At, name: str, unit: Any) -> None:
    asked = {"unit": unit, "exclude_hours": 1, "episodes": False}
    answer = search(served.root, SearchRequest(SOURCE, at(3, 8), k=8, rerank=name, **asked))  # type: ignore[arg-type]
    plain = search(served.root, SearchRequest(SOURCE, at(3, 8), k=answer.candidates, **asked))  # type: ignore[arg-type]
    own, measure = slots_of(served, unit, at(3, 8)), get_measure(name)
    scores = scores_of(served, name, own)
    by_id = {a.id: mean_of(scores, own, slots_of(served, unit, a.start)) for a in plain.analogs}
    assert len(by_id) == answer.candidates > 50
    found = [analog.score for analog in answer.analogs]
    assert found == pytest.approx([by_id[analog.id] for analog in answer.analogs], abs=1e-9)
    best = sorted(measure.best_first(score) for score in by_id.values())[:8]
    assert [measure.best_first(score) for score in found] == pytest.approx(best, abs=1e-9)
    truth = {analog.id: analog.similarity for analog in plain.analogs}
    assert [analog.similarity for analog in answer.analogs] == [truth[analog.id] for analog in answer.analogs]


def test_the_score_is_in_the_document_where_it_was_asked_for(served: TinyRoot, at: At) -> None:
    document = search(served.root, SearchRequest(SOURCE, at(3, 8), k=2, rerank="mse")).document()
    assert document["rerank"] == "mse"
    assert all(analog["score"] > 0 and 0 <= analog["similarity"] <= 1 for analog in document["analogs"])
    plain = search(served.root, SearchRequest(SOURCE, at(3, 8), k=2)).document()
    assert all("score" not in analog for analog in plain["analogs"])


def test_blocks_change_nothing(served: TinyRoot, at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    request = SearchRequest(SOURCE, at(3, 8), k=30, exclude_hours=0, episodes=False, rerank="psnr")
    whole = search(served.root, request)
    monkeypatch.setattr(rerank, "SLOTS_AT_ONCE", {"cdfs": 60, "pictures": 60})
    assert search(served.root, request).document() == whole.document()


def test_pictures_of_the_nearest_alone_are_read(served: TinyRoot, at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others follow in the order of their distances, and it is said."""
    from wxpipe.vectors import search as searching

    for module in (rerank, searching):
        monkeypatch.setattr(module, "MOST_PICTURED", 12)
    request = SearchRequest(SOURCE, at(3, 8), k=30, exclude_hours=0, episodes=False, rerank="mse")
    answer = search(served.root, request)
    scores = [analog.score for analog in answer.analogs]
    assert None not in scores[:12]
    assert set(scores[12:]) == {None}
    distances = [analog.distance for analog in answer.analogs]
    assert distances[12:] == sorted(distances[12:])
    assert max(distances[:12]) <= distances[12]
    assert f"only the nearest 12 of {answer.candidates} candidates were scored by mse" in answer.warning


def test_each_pair_of_frames_is_compared_once(served: TinyRoot, at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    from wxpipe.similarity.measures import pixels

    seen: list[tuple[int, ...]] = []
    plain = pixels.mse

    def watched(material: Any, pairs: Any, sizes: Any = None) -> Any:
        seen.extend(map(tuple, pairs.tolist()))
        return plain(material, pairs, sizes)

    monkeypatch.setattr(pixels, "mse", watched)
    answer = search(served.root, SearchRequest(SOURCE, at(3, 8), k=5, exclude_hours=0, episodes=False, rerank="mse"))
    assert answer.candidates > 49
    assert len(seen) == len(set(seen)) < 20 * answer.candidates


def test_only_the_bands_that_are_compared_count(served: TinyRoot, at: At) -> None:
    frames = frame_store(served.root, SOURCE)
    request = SearchRequest(SOURCE, at(3, 8), unit="frame", k=1, episodes=False, rerank="mse")
    aim = rerank.targets(served.root, served.source, search(served.root, request).query)
    found = rerank.Candidates([f"{SOURCE}/20110304T0900Z"], *(np.array([int(at(4, 9).timestamp())]),) * 2, np.zeros(1))
    query = search(served.root, request).query
    one = rerank.scored(served.root, served.source, get_measure("mse"), query, found, [1])
    both = frames.reduced(
        np.array([*slots_of(served, "frame", at(3, 8)), *slots_of(served, "frame", at(4, 9))]), ["wv"]
    )
    assert list(one.values()) == pytest.approx([float(((both[0].astype(float) - both[1]) ** 2).mean())])
    assert len(aim) == 1


def test_of_several_examples_it_is_the_weighed_mean(served: TinyRoot, at: At) -> None:
    more = (Example(at(4, 9), 3.0), Example(at(6, 10), -0.5))
    request = SearchRequest(SOURCE, at(3, 8), k=6, exclude_hours=0, episodes=False, rerank="mse", more=more)
    scores = {t: scores_of(served, "mse", slots_of(served, "clip", t)) for t in (at(3, 8), at(4, 9))}
    for analog in search(served.root, request).analogs:
        slots = slots_of(served, "clip", analog.start)
        one, other = (mean_of(scores[t], slots_of(served, "clip", t), slots) for t in scores)
        assert analog.score == pytest.approx((one + 3 * other) / 4)


def test_what_is_not_there_has_no_score_and_comes_last(tiny: TinyRoot, at: At) -> None:
    build(tiny.root)
    promote(tiny.root)
    store = histogram_store(tiny.root, SOURCE)
    spec = store.array_spec
    store.write_day(DAYS[1], np.zeros((96, *spec.shape[1:]), spec.dtype))
    asked = {"k": 90, "exclude_hours": 0, "episodes": False}
    answer = search(tiny.root, SearchRequest(SOURCE, at(3, 8), rerank="hist-chi-square", **asked))  # type: ignore[arg-type]
    days = [analog.start.day for analog in answer.analogs if analog.score is None]
    assert set(days) == {4}
    assert all(analog.score is None for analog in answer.analogs[-len(days) :])
    pictures = search(tiny.root, SearchRequest(SOURCE, at(3, 8), rerank="mse", **asked))  # type: ignore[arg-type]
    assert all(analog.score is not None for analog in pictures.analogs)
    shutil.rmtree(f"{tiny.root.url}/histograms")
    answer = search(tiny.root, SearchRequest(SOURCE, at(3, 8), rerank="hist-correlation", **asked))  # type: ignore[arg-type]
    assert {analog.score for analog in answer.analogs} == {None}
