"""What came next, as an ensemble: shares of cells with cold cloud, told from pictures."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.vectors.tiny_root import SOURCE, TinyRoot
from wxpipe.errors import NotFoundError, UsageError
from wxpipe.similarity.histograms import histogram_store
from wxpipe.store.frames import frame_store
from wxpipe.vectors.ahead import COLD_SHARE, what_came_next
from wxpipe.vectors.ahead_picture import draw_ahead, sentence
from wxpipe.vectors.answers import Answer, SearchRequest
from wxpipe.vectors.search import search

At = Callable[..., datetime]


def ask(tiny: TinyRoot, at: datetime, **more: object) -> Answer:
    return search(tiny.root, SearchRequest(SOURCE, at, **more))  # type: ignore[arg-type]


def cold_by_picture(tiny: TinyRoot, when: datetime, grey: int) -> np.ndarray | None:
    """Of each cell, from the stored picture, whether half of its pixels are as white."""
    store, spec = frame_store(tiny.root, SOURCE), histogram_store(tiny.root, SOURCE).spec
    slot = store.axis.slot(when)
    if not store.slots("status", slot, slot + 1)[0, 0]:
        return None
    picture = store.picture(slot, "ir01")
    rows, columns = picture.shape
    edges = [[i * size // spec.grid for i in range(spec.grid + 1)] for size in (rows, columns)]
    return np.array([
        (picture[edges[0][i] : edges[0][i + 1], edges[1][j] : edges[1][j + 1]] >= grey).mean() >= COLD_SHARE
        for i in range(spec.grid) for j in range(spec.grid)
    ])  # fmt: skip


@pytest.mark.parametrize("unit", ["clip", "frame"])
def test_shares_are_those_of_the_pictures_that_came(served: TinyRoot, at: At, unit: str) -> None:
    answer = ask(served, at(3, 8), k=6, unit=unit, episodes=False, exclude_hours=1)
    found = what_came_next(served.root, answer, hours=3, step=1)
    assert [moment.hours for moment in found.moments] == [1, 2, 3]
    assert found.grey % 256 >= 204
    told = 0
    for moment in found.moments:
        hours = timedelta(hours=moment.hours)
        pictures = [cold_by_picture(served, (a.end or a.start) + hours, found.grey) for a in answer.analogs]
        there = [picture for picture in pictures if picture is not None]
        own = cold_by_picture(served, (answer.query.end or at(3, 8)) + hours, found.grey)
        assert (moment.came is None) == (own is None)
        if own is not None:
            assert (moment.came == own).all()
        if there:
            told += moment.analogs == len(there) and bool((moment.share == np.mean(there, axis=0)).all())
    assert told >= 2, "all frames of these hours are there: no slot beside them is looked at"


def test_a_frame_that_is_not_there_is_no_vote(served: TinyRoot, at: At) -> None:
    """Frames end at 17:45: what comes 24 hours after an evening is there, what comes 9 hours after it is not."""
    answer = ask(served, at(3, 8), exclude_hours=1, episodes=False, k=5)
    found = what_came_next(served.root, answer, hours=12, step=3)
    late = found.moments[-1]
    assert (late.analogs, late.share, late.came) == (0, None, None)
    document = found.document()
    assert document["steps"][-1]["share"] is None
    assert document["cold"] == {"grey": found.grey, "kelvin": None, "calibrated": False, "share": 0.5}


def test_nonsense_is_refused(served: TinyRoot, at: At) -> None:
    answer = ask(served, at(3, 8), k=1)
    for hours, step in ((0, 1), (25, 1), (3, 4), (3, 0)):
        with pytest.raises(UsageError, match="choose 1 to 24 hours"):
            what_came_next(served.root, answer, hours, step)


def test_without_histograms_it_is_said(tiny: TinyRoot, at: At) -> None:
    from wxpipe.vectors.release import build, promote

    build(tiny.root)
    promote(tiny.root)
    answer = ask(tiny, at(3, 8), k=1)
    for info in list(tiny.root.objects.walk("histograms")):
        tiny.root.objects.delete(info.key)
    tiny.root.memo.clear()
    with pytest.raises(NotFoundError, match="no histograms; `wxpipe backfill` makes them"):
        what_came_next(tiny.root, answer)


def test_it_is_drawn(served: TinyRoot, at: At, tmp_path: Path) -> None:
    answer = ask(served, at(3, 8), exclude_hours=1, episodes=False)
    found = what_came_next(served.root, answer, hours=12, step=2)
    draw_ahead(answer, found, tmp_path / "ahead.png")
    with Image.open(tmp_path / "ahead.png") as picture:
        shades = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
    assert len(shades) > 100, "maps, not one empty sheet"
    assert "+2 h " in sentence(found)
