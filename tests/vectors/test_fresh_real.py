"""Real imagery as fresh pictures: what is made of them is what the archive holds of the same files."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wxpipe.errors import NotFoundError
from wxpipe.pipeline.backfill import Job, run, scan
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers
from wxpipe.similarity.clip_stage import find_clip
from wxpipe.similarity.histograms import histogram_store
from wxpipe.store.frames import frame_store
from wxpipe.store.root import Root
from wxpipe.vectors.answers import SearchRequest
from wxpipe.vectors.fresh import read_fresh
from wxpipe.vectors.fresh_choice import Folder, named_pictures
from wxpipe.vectors.search import search

EIGHT = datetime(2011, 3, 3, 8, tzinfo=UTC)
CLIP = pytest.param("clip", marks=pytest.mark.slow)


def asked(root: Root, folder: Path, unit: Any) -> Folder:
    source = root.source("coms")
    counter = histogram_store(root, source)
    return Folder(root, source, folder, unit, lambda made, rgb: counter.count_pixels(made.picture, rgb))


@pytest.mark.parametrize("unit", ["frame", CLIP])
def test_real_pictures_are_read_as_ingest_read_them(real_root: Root, real_archive: Path, unit: Any) -> None:
    """Overlay off, filled, reduced, counted: bit for bit."""
    folder = asked(real_root, real_archive / "coms", unit)
    chosen = named_pictures(folder, EIGHT)
    assert chosen.checked.records == ()
    frames, source = frame_store(real_root, folder.source), folder.source
    slots = find_clip(real_root, source.id, EIGHT) if unit == "clip" else [frames.axis.slot(EIGHT)]
    reduced = np.stack([[one.reduced for one in row if one is not None] for row in chosen.pictures])
    counts = np.stack([[one.counts for one in row if one is not None] for row in chosen.pictures])
    assert np.array_equal(reduced, frames.reduced(slots, frames.channels))
    assert np.array_equal(counts, histogram_store(real_root, source).read(np.array(slots)))


def test_a_real_event_of_five_pictures_is_no_clip(real_root: Root, real_archive: Path, tmp_path: Path) -> None:
    """A frame of it is one; of a picture that is cut off, the frame before."""
    for path in real_archive.joinpath("coms_events").rglob("*20121027*.png"):
        shutil.copyfile(path, tmp_path / path.name)
    (tmp_path / "coms_mi_le1b_wv_ea040ps_201210272200.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    chosen = named_pictures(asked(real_root, tmp_path, "frame"), None)
    assert chosen.query.id == "coms-ea/20121027T2015Z"
    assert [(one.reason, one.channel) for one in chosen.checked.of("quarantined")] == [("truncated", "wv")]
    with pytest.raises(NotFoundError, match=r"of the 20 slots .* 4 are complete.*2012-10-27T16:45Z on"):
        named_pictures(asked(real_root, tmp_path, "clip"), None)


@pytest.mark.slow
def test_a_real_folder_asks_what_its_archive_asks(real_archive: Path, tmp_path: Path) -> None:
    job = Job(str(tmp_path / "root"), str(real_archive / "coms"), "", Range())
    assert scan(job).state == "done"
    assert not run(job, Workers()).failed
    root = Root(job.root)
    for unit in ("clip", "frame"):
        fresh = read_fresh(root, "coms", real_archive / "coms", unit, EIGHT)  # type: ignore[arg-type]
        plain = SearchRequest("coms", EIGHT, unit=unit, exclude_hours=0, episodes=False, k=30, rerank="ssim")  # type: ignore[arg-type]
        expected, found = search(root, plain), search(root, replace(plain, at=None, like=fresh))
        assert [(a.id, a.distance, a.score) for a in found.analogs] == [
            (a.id, a.distance, a.score) for a in expected.analogs
        ]
        assert [a.similarity for a in found.analogs] == pytest.approx([a.similarity for a in expected.analogs])
