"""Pictures of other archives come in through a site's TOML alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wxpipe.archive.decode import decode
from wxpipe.archive.source_pictures import source_picture
from wxpipe.errors import NotFoundError
from wxpipe.pipeline.backfill import Job, run, scan
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.reconcile import reconcile
from wxpipe.pipeline.run import Workers
from wxpipe.store.frames import NO_LAYER, FrameStore, Status, frame_store
from wxpipe.store.root import Root

SITES = Path(__file__).parents[1] / "sites"


def ingested(archive: Path, site: Path, root: Path) -> FrameStore:
    job = Job(str(root), str(archive), str(site), Range(stages=("ingest",)))
    assert scan(job).state == "done"
    report = run(job, Workers())
    assert (report.exit_code, report.failed) == (0, ())
    opened = Root(str(root))
    assert list(opened.quarantine.all()) == []
    assert reconcile(opened) == []
    return frame_store(opened, opened.sources[0].id)


def test_gk2a_previews_lose_their_lines_and_logo(real_archive: Path, tmp_path: Path) -> None:
    archive = real_archive / "gk2a_previews"
    frames = ingested(archive, SITES / "gk2a_previews.toml", tmp_path / "root")
    slot = frames.axis.slot(datetime(2025, 5, 31, 15, tzinfo=UTC))
    assert (frames.slots("status", slot, slot + 1) == Status.GOOD).all()
    assert frames.layer_ids() == [1]
    layer = frames.layer(1)
    assert layer[478:490, 0:70].mean() > 0.9, "the logo"
    assert 0.005 < layer.mean() < 0.02, "what hides the Earth: coast, limb and logo, not the thin graticule"
    for channel in frames.channels:
        name = f"gk2a_ami_le1b_fd_{channel}_{channel}_fd.png"
        rgb = decode((archive / name).read_bytes(), name, frames.source.area)
        alpha = np.asarray(Image.open(archive / name))[..., 3]
        picture = frames.picture(slot, channel)
        assert picture[478:490, 0:70].max() < 16, "space where the logo was"
        assert (picture[(alpha == 0) & ~layer] == 0).all()
        plain = (rgb.min(axis=2) == rgb.max(axis=2)) & ~layer
        assert np.array_equal(picture[plain], rgb[plain][:, 0]), "where nothing is drawn, the file's grey"
        # Lines that are left would show as a difference between where they ran and the pixels around.
        spread = (rgb.max(axis=2).astype(int) - rgb.min(axis=2))[20:480, 2:-2]
        middle = picture.astype(int)[20:480, :]
        contrast = middle[:, 2:-2] - (middle[:, :-4] + middle[:, 4:]) / 2
        thin = (spread > 14) & (spread < 60) & (alpha[20:480, 2:-2] == 255)
        thin[:, :60], thin[:, -60:] = False, False
        assert abs(contrast[thin].mean()) < 1.5
    with pytest.raises(NotFoundError, match="many colours"):
        source_picture(frames, slot, "ir105")


def test_kochi_pictures_come_back_bit_for_bit(real_archive: Path, tmp_path: Path) -> None:
    archive = real_archive / "himawari8_kochi"
    frames = ingested(archive, SITES / "himawari8_kochi.toml", tmp_path / "root")
    slot = frames.axis.slot(datetime(2021, 7, 23, 11, tzinfo=UTC))
    assert frames.layer_ids() == []
    assert (frames.slots("status", slot, slot + 3) == Status.GOOD).all()
    assert (frames.slots("layer", slot, slot + 3) == NO_LAYER).all()
    for hour in range(3):
        for channel, spelled in (("ir1", "IR1"), ("ir3", "IR3")):
            name = f"HMW8210723{11 + hour}{spelled}.pgm.gz"
            rgb = decode((archive / name).read_bytes(), name, frames.source.area)
            assert np.array_equal(frames.picture(slot + hour, channel), rgb[..., 0])
            assert np.array_equal(source_picture(frames, slot + hour, channel), rgb)
