"""Real imagery: one day of 2011 and frames of eight other events in one root, asked for what was like that day."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.mini import wxpipe
from wxpipe.store.root import Root
from wxpipe.vectors.answers import Answer, SearchRequest
from wxpipe.vectors.search import search

pytestmark = pytest.mark.slow
AT = datetime(2011, 3, 3, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def root(real_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Root:
    """Both folders of pictures as one archive, untrained: there is no second event to hold out."""
    folder = tmp_path_factory.mktemp("real-search")
    (folder / "archive").mkdir()
    for name in ("coms", "coms_events"):
        (folder / "archive" / name).symlink_to(real_archive / name)
    status, said = wxpipe("backfill", "--archive", str(folder / "archive"), "--root", str(folder / "root"), "--direct")
    assert status == 0, said
    return Root(str(folder / "root"))


def ask(root: Root, **more: object) -> Answer:
    return search(root, SearchRequest("coms", AT, exclude_hours=0, episodes=False, **more))  # type: ignore[arg-type]


def agreement(answer: Answer) -> float:
    """Rank correlation of nearness and ground truth."""
    return float(spearmanr([-a.distance for a in answer.analogs], [a.similarity for a in answer.analogs])[0])


def test_the_clips_of_the_day_come_in_the_order_of_the_ground_truth(root: Root) -> None:
    answer = ask(root)
    assert [f"{a.start:%H%M}" for a in answer.analogs] == ["0745", "0730", "0715", "0700", "0645"], "the sixth asks"
    assert answer.rerank is None
    assert answer.bands == "ir+wv", "it is night before the clip ends"
    assert agreement(answer) == pytest.approx(1)


@pytest.mark.parametrize("bands", ["auto", "ir+wv", "ir", "wv"])
def test_every_frame_of_another_event_is_further_than_every_frame_of_the_day(root: Root, bands: str) -> None:
    answer = ask(root, unit="frame", k=500, bands=bands)
    own = [a.distance for a in answer.analogs if a.start.date() == AT.date()]
    others = [a.distance for a in answer.analogs if a.start.date() != AT.date()]
    assert len(own) == 24
    assert len(others) >= 10
    assert max(own) < min(others)
    assert agreement(answer) > 0.9
    assert np.isfinite(answer.analogs[-1].distance)
