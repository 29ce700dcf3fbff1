"""What a search compares: presets of bands, chosen by day and night, over part of a vector and part of the channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vectors.tiny_root import SOURCE, TinyRoot
from wxpipe.embedding.cards import ClipCard, InputCard, ModelCard
from wxpipe.errors import UsageError
from wxpipe.satellites.catalog import Source, shipped_satellites
from wxpipe.similarity.clip_ks import clip_similarities
from wxpipe.similarity.histograms import histogram_store
from wxpipe.store.root import Root, init_root
from wxpipe.vectors import ground_truth
from wxpipe.vectors.answers import SearchRequest
from wxpipe.vectors.bands import BANDS, NIGHT, Bands, chosen_bands, is_dark
from wxpipe.vectors.memory import MemorySearchers
from wxpipe.vectors.records import require_current
from wxpipe.vectors.search import search
from wxpipe.vectors.tables import SPECS

At = Callable[..., datetime]
SHIPPED = shipped_satellites()["coms"]
COMS = ("ir01", "ir02", "swir", "wv")
NOON, MIDNIGHT = datetime(2011, 6, 21, 3, tzinfo=UTC), datetime(2011, 6, 21, 15, tzinfo=UTC)
"""In Korea."""


@pytest.fixture
def coms(tmp_path: Path) -> Root:
    root = init_root(str(tmp_path / "root"))
    root.adopt({"coms": SHIPPED})
    put_card(root, "linear-0123456789ab", {name: (32 * n, 32 * n + 32) for n, name in enumerate(COMS)})
    put_card(root, "whole-0123456789ab", {"all": (0, 128)})
    return root


def put_card(root: Root, model: str, blocks: dict[str, tuple[int, int]]) -> None:
    name, _, fingerprint = model.rpartition("-")
    card = ModelCard(
        name=name, kind="channel-linear", trained=True, source="coms-ea", channels=COMS, width=128, blocks=blocks,
        input=InputCard(reduced=(300, 375), crop=(100, 1300, 0, 1500)), seed=1, code_version="0",
        clip=ClipCard(frames=20, hours=6, choice="even"), created=datetime.now(UTC),
    )  # fmt: skip
    root.objects.put(f"models/{name}/{fingerprint}/card.json", card.model_dump_json().encode())


def test_channels_that_show_sunlight_are_compared_by_day_alone(coms: Root) -> None:
    source, model = coms.source("coms-ea"), "linear-0123456789ab"
    day = chosen_bands(coms, source, model, "auto", NOON - timedelta(hours=3), NOON + timedelta(hours=3))
    night = chosen_bands(coms, source, model, "auto", MIDNIGHT, MIDNIGHT + timedelta(hours=6))
    dusk = chosen_bands(coms, source, model, "auto", NOON, NOON + timedelta(hours=9))
    assert (day.preset, day.channels, day.columns, day.why) == ("all", COMS, None, "")
    assert (night.preset, night.channels, night.why) == ("ir+wv", ("ir01", "ir02", "wv"), NIGHT)
    assert night.columns == ((0, 64), (96, 128))
    assert dusk == night
    vectors = np.arange(3 * 128, dtype=np.float32).reshape(3, 128)
    assert (night.of(vectors) == vectors[:, [*range(64), *range(96, 128)]]).all()


def test_presets_are_asked_for_by_name(coms: Root) -> None:
    source, model = coms.source("coms-ea"), "linear-0123456789ab"
    chosen = {name: chosen_bands(coms, source, model, name, NOON, None) for name in BANDS}
    assert {name: bands.columns for name, bands in chosen.items()} == {
        "ir+wv": ((0, 64), (96, 128)), "ir": ((0, 64),), "swir": ((64, 96),), "wv": ((96, 128),),
    }  # fmt: skip
    assert all(bands.why == "" and bands.preset == name for name, bands in chosen.items())
    with pytest.raises(UsageError, match="choose one of auto, all, ir"):
        chosen_bands(coms, source, model, "vis", NOON, None)


def test_an_encoder_of_one_block_is_compared_whole(coms: Root) -> None:
    source, model = coms.source("coms-ea"), "whole-0123456789ab"
    assert chosen_bands(coms, source, model, "auto", MIDNIGHT, None).columns is None
    assert chosen_bands(coms, source, model, "auto", MIDNIGHT, None).channels == COMS
    with pytest.raises(UsageError, match="whole-0123456789ab does not work by channel"):
        chosen_bands(coms, source, model, "ir", MIDNIGHT, None)


def test_a_query_without_a_time_is_compared_whole(coms: Root) -> None:
    assert chosen_bands(coms, coms.source("coms-ea"), "linear-0123456789ab", "auto", None, None).preset == "all"


@settings(deadline=None)
@given(st.datetimes(datetime(2010, 1, 1), datetime(2020, 12, 31)))
def test_by_night_in_korea_the_middle_is_dark(moment: datetime) -> None:
    """15 UTC is midnight there, 3 UTC noon, in every season; an area whose middle is unknown is never dark."""
    source = Source(SHIPPED, "ea")
    midnight = moment.replace(hour=15, minute=0, second=0, microsecond=0, tzinfo=UTC)
    assert is_dark(source, midnight, midnight)
    assert not is_dark(source, midnight.replace(hour=3), midnight.replace(hour=3))
    elsewhere = Source(SHIPPED.model_copy(update={"name": "unheard_of", "geography": {}}), "ea")
    assert not is_dark(elsewhere, midnight, midnight)
    before = Source(SHIPPED.model_copy(update={"geography": {}}), "ea")
    assert is_dark(before, midnight, midnight), "a root that was made before has what is shipped"


@pytest.mark.parametrize("unit", ["clip", "frame"])
def test_distance_and_similarity_are_of_the_bands_that_were_asked_for(served: TinyRoot, at: At, unit: str) -> None:
    root, source = served.root, served.source
    request = SearchRequest(SOURCE, at(3, 8), unit=unit, k=4, bands="wv", exclude_hours=1)  # type: ignore[arg-type]
    searchers = MemorySearchers()
    answers = search(root, request), search(root, request, searchers)
    documents = [answer.document() for answer in answers]
    for document in documents:
        assert (document["bands"], document["channels"], document["index"]) == ("wv", ["wv"], "exact")
    part = require_current(root).part(SOURCE)
    searcher = searchers(root, part, source, SPECS[unit])  # type: ignore[index]
    rows, starts = searcher.vectors.vectors, searcher.vectors.starts.tolist()
    query = rows[starts.index(int(at(3, 8).timestamp()))]
    half = rows.shape[1] // 2
    for answer in answers:
        for analog in answer.analogs:
            apart = rows[starts.index(int(analog.start.timestamp()))][half:] - query[half:]
            assert analog.distance == pytest.approx(float(np.sqrt((apart.astype(np.float64) ** 2).sum())), rel=1e-5)
    best = answers[0].analogs[0]
    names = {best.id: int(best.start.timestamp()), str(answers[0].query.id): int(at(3, 8).timestamp())}
    slots = ground_truth.slots_of(root, source, answers[0].unit, names)
    cdfs = histogram_store(root, source).read(np.concatenate(list(slots.values())))[:, 1:2]
    frames = np.arange(len(cdfs)).reshape(2, -1)
    true = clip_similarities(cdfs, frames, np.array([[0, 1]]), histogram_store(root, source).cell_sizes())
    assert best.similarity == pytest.approx(float(true[0]), abs=1e-9)
    whole = search(root, replace(request, bands="all"))
    assert [analog.distance for analog in whole.analogs] != [analog.distance for analog in answers[0].analogs]


def test_few_bands_stay_in_memory(served: TinyRoot, at: At) -> None:
    searchers = MemorySearchers()
    for bands in ("wv", "ir", "all", "wv", "auto", "ir+wv"):
        search(served.root, SearchRequest(SOURCE, at(3, 8), bands=bands), searchers)
    searcher = searchers(served.root, require_current(served.root).part(SOURCE), served.source, SPECS["clip"])
    assert list(searcher._by_bands) == [((0, 4),), ((4, 8),)], "all, auto and ir+wv are the whole vector of this one"
    assert searcher.planner_of(Bands("wv", ("wv",), ((4, 8),))) is searcher.planner_of(Bands("wv", ("wv",), ((4, 8),)))


def test_by_bands_a_filter_may_leave_nothing(served: TinyRoot, at: At) -> None:
    request = SearchRequest(SOURCE, at(3, 8), bands="wv", where="year = 1999")
    for answer in (search(served.root, request), search(served.root, request, MemorySearchers())):
        assert (answer.analogs, answer.matching, answer.bands) == ((), 0, "wv")
