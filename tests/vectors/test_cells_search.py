"""Searches by region and by cells: what they find that whole pictures do not, and what they say they left out."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.vectors.cells_root import CellsRoot, make_cells_root, patched, sky
from tests.vectors.tiny_root import MODEL, SOURCE
from wxpipe.cli.app import app
from wxpipe.errors import NotFoundError, UsageError
from wxpipe.similarity.cell_copy import Month, open_store
from wxpipe.similarity.cell_months import read_records
from wxpipe.similarity.ks import frame_pair_channel_similarities
from wxpipe.store.root import Root
from wxpipe.vectors import cells_asked, cells_search
from wxpipe.vectors.answer_picture import draw_answer
from wxpipe.vectors.answers import SearchRequest
from wxpipe.vectors.candidates import Opener
from wxpipe.vectors.ground_truth import slots_of
from wxpipe.vectors.lance_searcher import open_lance
from wxpipe.vectors.memory import MemorySearchers
from wxpipe.vectors.release import build, promote
from wxpipe.vectors.search import search
from wxpipe.vectors.times import TimeFilter

QUERY, SHIFTED, SAME_BAY, ALIKE, OTHER = (
    date(2011, 3, 7), date(2011, 2, 28), date(2011, 3, 1), date(2011, 3, 4), date(2011, 2, 25)
)  # fmt: skip
AT = datetime(2011, 3, 7, 8, tzinfo=UTC)
A_DAY = 29
"""Clips that begin on a day: 20 of their 25 slots must have come."""
BAY = (slice(2, 4), slice(2, 4))


def faded(seed: int, other: int) -> Any:
    """Mostly one sky, and a little of another."""
    one, two = sky(seed), sky(other)
    return lambda slot, channel: (0.7 * one(slot, channel) + 0.3 * two(slot, channel)).astype(np.uint8)


@pytest.fixture(scope="session")
def planted_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The query's weather 1 cell down and 2 right; over the bay alone; and nearly so everywhere."""
    folder = tmp_path_factory.mktemp("planted") / "root"
    tiny = make_cells_root(folder, {
        QUERY: sky(1),
        SHIFTED: sky(1, moved=(1, 2)),
        SAME_BAY: patched(sky(2), sky(1), *BAY),
        ALIKE: faded(1, 3),
        OTHER: sky(4),
    })  # fmt: skip
    tiny.copy()
    build(tiny.root)
    promote(tiny.root)
    return folder


@pytest.fixture(scope="session")
def planted(planted_template: Path) -> CellsRoot:
    """To be read only."""
    return CellsRoot(Root(str(planted_template)))


@pytest.fixture
def own(planted_template: Path, tmp_path: Path) -> CellsRoot:
    shutil.copytree(planted_template, tmp_path / "root")
    return CellsRoot(Root(str(tmp_path / "root")))


def ask(tiny: CellsRoot, opener: Opener = open_lance, **words: Any) -> Any:
    return search(tiny.root, SearchRequest(SOURCE, AT, **{"k": 3, "bands": "all", **words}), opener)


def test_a_region_finds_weather_that_was_alike_there_alone(planted: CellsRoot) -> None:
    answer = ask(planted, region="bay")
    assert [analog.start.date() for analog in answer.analogs][:2] == [SAME_BAY, ALIKE]
    best = answer.analogs[0]
    assert (best.start.hour, best.start.minute, best.similarity) == (8, 0, 1.0)
    whole = ask(planted, rerank="ground-truth", exact=True)
    assert whole.analogs[0].start.date() == ALIKE
    document = answer.document()
    assert (document["index"], document["region"], document["cells"]) == ("exact", "bay", 4)
    assert document["analogs"][0]["shift"] == [0, 0]
    assert "whole pictures" in document["quality"]["why"]
    assert document["warning"].startswith("an untrained")
    assert not {"region", "cells"} & whole.document().keys()
    json.dumps(document)


def test_a_field_that_was_elsewhere_is_found_with_its_arrow_and_not_without(planted: CellsRoot) -> None:
    cells = "1.1-3.2"
    still = ask(planted, cells=cells)
    assert still.analogs[0].start.date() == ALIKE
    answer = ask(planted, cells=cells, shift=2)
    best = answer.analogs[0]
    assert (best.start.date(), best.shift, best.similarity) == (SHIFTED, (1, 2), 1.0)
    near = ask(planted, cells=cells, shift=1)
    assert near.analogs[0].similarity < 0.99
    assert all(max(map(abs, analog.shift)) <= 1 for analog in near.analogs)


def test_cells_and_a_region_of_the_same_cells_answer_the_same(planted: CellsRoot) -> None:
    region, cells = ask(planted, region="bay"), ask(planted, cells="2.2-3.2 2.3-3.3")
    assert region.analogs == cells.analogs
    assert region.cells == cells.cells == ((2, 2), (2, 3), (3, 2), (3, 3))


def brute(tiny: CellsRoot, at: datetime, cells: list[int], channels: list[int]) -> dict[str, float]:
    """Exact similarity over some cells of every clip, by the ground truth's function over those cells' counts."""
    release = tiny.expected_ids("clip")
    epochs = {name: int(datetime.strptime(name.split("/")[1], "%Y%m%dT%H%MZ").replace(tzinfo=UTC).timestamp())
              for name in release}  # fmt: skip
    store, slots = open_store(tiny.root, tiny.source), slots_of(tiny.root, tiny.source, "clip", epochs)
    query = slots[f"{SOURCE}/{at:%Y%m%dT%H%MZ}/6h20"]
    every = np.unique(np.concatenate(list(slots.values())))
    counts = np.ascontiguousarray(store.read(every)[:, channels][..., cells])
    own, found = np.searchsorted(every, query), {}
    for name, other in slots.items():
        pairs = np.stack([own, np.searchsorted(every, other)], axis=1)
        found[name] = float(frame_pair_channel_similarities(counts, pairs, store.cell_sizes()[cells]).mean())
    return found


@pytest.mark.parametrize(("memory", "bands"), [(False, "all"), (True, "wv")])
def test_every_clip_is_where_the_ground_truth_puts_it(planted: CellsRoot, memory: bool, bands: str) -> None:
    opener: Opener = MemorySearchers() if memory else open_lance
    words: dict[str, Any] = {"cells": "0.1-2.2", "k": 1000, "episodes": False, "exclude_hours": 0, "bands": bands}
    answer = ask(planted, opener, **words)
    expected = brute(planted, AT, [1, 2, 7, 8, 13, 14], [0, 1] if bands == "all" else [1])
    own = f"{SOURCE}/20110307T0800Z/6h20"
    assert {analog.id for analog in answer.analogs} == expected.keys() - {own}
    for analog in answer.analogs:
        assert analog.similarity == pytest.approx(expected[analog.id], abs=1e-12)
        assert abs(1 - analog.distance - analog.similarity) <= cells_search.ROUNDING
    assert [a.similarity for a in answer.analogs] == sorted((a.similarity for a in answer.analogs), reverse=True)


def test_candidates_grow_until_there_are_enough_episodes(planted: CellsRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = ask(planted, region="west", k=6, shift=1)
    monkeypatch.setattr(cells_search, "FIRST_LIMIT", 1)
    monkeypatch.setattr("wxpipe.vectors.search.LEAST_CANDIDATES", 2)
    answer = ask(planted, region="west", k=6, shift=1)
    found = [(analog.id, analog.shift) for analog in answer.analogs]
    assert found == [(analog.id, analog.shift) for analog in everything.analogs]
    assert len({analog.start.date() for analog in answer.analogs}) >= 4


def test_filters_leave_what_they_leave(planted: CellsRoot) -> None:
    words: dict[str, Any] = {"region": "bay", "k": 200, "episodes": False}
    everything = {analog.id for analog in ask(planted, **words).analogs}
    assert all("/20110307" not in name for name in everything)  # the query's own day
    assert len(everything) == 4 * A_DAY
    march = ask(planted, **words, where="month = 3")
    assert {analog.id for analog in march.analogs} == {name for name in everything if "/201103" in name}
    hours = ask(planted, **words, times=TimeFilter(hours=(9, 10)))
    assert {analog.start.hour for analog in hours.analogs} == {9}
    assert ask(planted, **words, where="year = 1999").analogs == ()


def test_frames_are_found_by_cells_too(planted: CellsRoot) -> None:
    answer = ask(planted, unit="frame", cells="1.1-3.2", shift=2)
    assert (answer.analogs[0].start, answer.analogs[0].shift) == (datetime(2011, 2, 28, 8, tzinfo=UTC), (1, 2))


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ({"region": "atlantis"}, "known regions: bay, west"),
        ({"cells": "9.9"}, "0 to 5"),
        ({"cells": "2.2-1.1"}, "upper left"),
        ({"cells": "x"}, "expected row.column"),
        ({"cells": "," * 3}, "no cells are named"),
        ({"cells": "1.1", "region": "bay"}, "one of the two"),
        ({"cells": "1.1", "shift": 3}, "0 to 2"),
        ({"shift": 1}, "name a region"),
        ({"cells": "1.1", "rerank": "ground-truth"}, "leave re-ranking out"),
    ],
)
def test_what_cannot_be_understood_is_refused(planted: CellsRoot, words: dict[str, Any], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        ask(planted, **words)


def test_a_vector_has_no_cells() -> None:
    with pytest.raises(UsageError, match="by its time"):
        SearchRequest(SOURCE, vector=[1.0], cells="1.1")


def test_too_many_cells_are_refused(planted: CellsRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells_asked, "MOST_CELLS", 3)
    with pytest.raises(UsageError, match="at most 3"):
        ask(planted, region="bay")
    monkeypatch.setattr(cells_asked, "MOST_CELLS", 4)
    monkeypatch.setattr(cells_asked, "MOST_SHIFTED_CELLS", 3)
    assert ask(planted, region="bay").analogs
    with pytest.raises(UsageError, match="with a shift at most 3"):
        ask(planted, region="bay", shift=1)


def test_cells_at_the_edge_stay_mostly_on_the_grid(planted: CellsRoot) -> None:
    answer = ask(planted, cells="0.0-0.3", shift=2, k=50, episodes=False)
    shifts = {analog.shift for analog in answer.analogs}
    assert all(down >= 0 and right >= -1 for down, right in shifts)
    assert len(shifts) > 1


def test_without_a_copy_the_verb_that_makes_it_is_named(own: CellsRoot) -> None:
    shutil.rmtree(Path(own.root.url) / "cells")
    with pytest.raises(NotFoundError, match="wxpipe cells build --satellite tiny-ea"):
        ask(own, region="bay")


def test_a_month_that_is_not_in_the_copy_is_told(own: CellsRoot) -> None:
    shutil.rmtree(Path(own.root.url) / f"cells/{SOURCE}/6x20-exact/2011-02")
    answer = ask(own, cells="1.1-3.2", shift=2)
    assert "cells of 2011-02: 58 clips left out: not in the copy" in answer.warning
    assert "wxpipe cells update" in answer.warning
    assert all(analog.start.month == 3 for analog in answer.analogs)


def test_a_damaged_month_is_told(own: CellsRoot) -> None:
    record = read_records(own.root, own.source)[0]["2011-02"]
    shard = Path(own.root.url, record.folder, "cdf/c/0/0/0/0")
    shard.write_bytes(shard.read_bytes()[:-9])
    answer = ask(own, cells="1.1-3.2", shift=2)
    assert "cells of 2011-02: 58 clips left out" in answer.warning
    assert "shorter" in answer.warning or "index" in answer.warning


def test_a_day_that_was_counted_anew_is_left_out_until_it_is_copied(own: CellsRoot) -> None:
    own.put_day(SAME_BAY, patched(sky(2), sky(1), *BAY))
    own.done("histograms", SAME_BAY, "other counts", {"pictures": 96})
    answer = ask(own, region="bay")
    assert "2011-03: 29 clips of days that are new or were counted anew left out" in answer.warning
    assert all(analog.start.date() != SAME_BAY for analog in answer.analogs)
    own.copy()
    assert ask(CellsRoot(Root(own.root.url)), region="bay").analogs[0].start.date() == SAME_BAY


def test_clips_with_a_picture_missing_in_what_is_compared_are_told(own: CellsRoot) -> None:
    own.put_day(SAME_BAY, patched(sky(2), sky(1), *BAY), without=((40, 1),))
    own.copy()
    own = CellsRoot(Root(own.root.url))
    assert "clips have pictures missing" in ask(own, region="bay").warning
    assert ask(own, region="bay", bands="ir").analogs[0].start.date() == SAME_BAY


def test_a_clip_that_runs_into_the_next_month_is_found(tmp_path: Path) -> None:
    """From 18:00 on clips reach into the next day; here that is another month of the copy."""
    days = (date(2011, 2, 28), date(2011, 3, 1), date(2011, 3, 4), date(2011, 3, 5))
    import tests.vectors.cells_root as module

    with pytest.MonkeyPatch.context() as patch:
        for name, slot in (("FIRST_GOOD", 0), ("LAST_GOOD", 95)):
            patch.setattr(module, name, slot)
            patch.setattr(f"tests.vectors.tiny_root.{name}", slot)
        tiny = make_cells_root(tmp_path / "root", {day: sky(n % 2 + 10) for n, day in enumerate(days)})
        for n, day in enumerate(days):
            tiny.put_day(day, sky(n % 2 + 10))  # once more: clips of a day know the next one now
    tiny.copy()
    build(tiny.root)
    promote(tiny.root)
    at = datetime(2011, 3, 4, 21, tzinfo=UTC)
    answer = search(tiny.root, SearchRequest(SOURCE, at, cells="1.1-3.3", k=1, bands="all"))
    assert (answer.analogs[0].start, answer.analogs[0].similarity) == (datetime(2011, 2, 28, 21, tzinfo=UTC), 1.0)
    assert "left out" not in answer.warning


def test_the_picture_shows_the_cells_and_the_arrow(planted: CellsRoot, tmp_path: Path) -> None:
    answer = ask(planted, cells="1.1-3.2", shift=2)
    draw_answer(planted.root, answer, tmp_path / "answer.png")
    shown = np.asarray(Image.open(tmp_path / "answer.png").convert("RGB")).astype(int)

    def share(colour: tuple[int, int, int]) -> int:
        return int((np.abs(shown - np.array(colour)).sum(axis=2) < 60).sum())

    assert share((0xFF, 0xD2, 0x3F)) > 300
    assert share((0xFF, 0x5A, 0x36)) > 100
    whole = ask(planted)
    draw_answer(planted.root, whole, tmp_path / "whole.png")
    shown = np.asarray(Image.open(tmp_path / "whole.png").convert("RGB")).astype(int)
    assert share((0xFF, 0xD2, 0x3F)) == share((0xFF, 0x5A, 0x36)) == 0


def test_the_model_is_named_though_its_vectors_are_not_compared(planted: CellsRoot) -> None:
    assert ask(planted, region="bay").model == MODEL
    assert Month.of(planted.source, "2011-02").days == 9


def test_the_command_line_searches_and_tells_what_is_copied(own: CellsRoot, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(app, [*words, "--root", own.root.url], env={"COLUMNS": "160"})
        assert done.exit_code == 0, done.output
        return done.output

    at = ("search", "--satellite", "tiny", "--at", "2011-03-07T08:00Z", "--bands", "all", "--k", "1")
    said = run(*at, "--cells", "1.1-3.2", "--shift", "2", "--picture", str(tmp_path / "answer.png"))
    assert "2011-02-28 08:00" in said
    assert "1 down, 2 right" in said
    assert "compared over 6 cells of the grid alone" in said
    assert "compared over bay, 4 cells" in run(*at, "--region", "bay")
    assert "shifted" not in run(*at)
    own.put_day(OTHER, sky(5))
    stats = json.loads(run("cells", "stats", "--satellite", "tiny", "--json"))
    assert (stats["months"], stats["stale"], stats["missing"]) == (2, ["2011-02"], [])
    assert stats["regions"]["bay"] == {"title": "A bay", "cells": 4}
    assert "2011-02" in run("cells", "stats", "--satellite", "tiny")
    assert json.loads(run("cells", "update", "--json"))[SOURCE]["made"] == ["2011-02"]
    assert "0 months made, 2 were as they should be" in run("cells", "build", "--satellite", "tiny")
