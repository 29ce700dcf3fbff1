"""Pictures of other archives come in through a site's TOML alone."""

from __future__ import annotations

import io
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
from wxpipe.satellites.catalog import load_satellites
from wxpipe.similarity.folders import FolderCounter, read_folder
from wxpipe.similarity.layout import GridSpec
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


GMS = r"""
name = "gms"
title = "A slow satellite of GIF"
first_day = 1998-01-01
last_day = 1998-12-31
cadence_minutes = 60
[[schedule]]
since = 1998-01-01
every_minutes = 180
[[schedule]]
since = 1998-03-02
every_minutes = 60
[channels.ir1]
band = "ir"
[channels.vis]
band = "vis"
required = false
[areas.fd]
name = "Full disk"
rows = 64
columns = 64
reduce = [4, 4]
learn_overlay = true
full_disk = true
modes = ["GIF"]
[[names]]
pattern = '(?P<day>\d{8})/(?P<hour>\d\d)-(?P<channel>ir1|vis)\.gif'
time_from = "{day}{hour}"
time = "%Y%m%d%H"
area = "fd"
"""


def gif(seed: int) -> tuple[bytes, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """A disk on transparent ground with a red coast and a green logo, and its grey without them."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64]
    disk = (y - 31.5) ** 2 + (x - 31.5) ** 2 < 30**2
    grey = np.clip(110 + 60 * np.sin(y / 9 + generator.uniform(0, 6)) + 20 * np.sin(x / 5 + seed), 2, 250)
    grey = np.where(disk, grey + generator.integers(-2, 3, disk.shape), 0).astype(np.uint8)
    indexes = np.clip(grey, 3, 255) * disk
    indexes[20, 10:50], indexes[58:62, 2:8] = 1, 2
    image = Image.frombytes("P", (64, 64), indexes.astype(np.uint8).tobytes())
    palette = np.repeat(np.arange(256, dtype=np.uint8)[:, np.newaxis], 3, axis=1)
    palette[1], palette[2], palette[0] = (255, 0, 0), (0, 200, 0), (90, 90, 90)
    image.putpalette(palette.tobytes())
    out = io.BytesIO()
    image.save(out, "gif", transparency=0, optimize=False)
    return out.getvalue(), grey


def test_a_slow_satellite_of_gif_has_frames_whose_schedule_changes(tmp_path: Path) -> None:
    site, archive = tmp_path / "gms.toml", tmp_path / "archive"
    site.write_text(GMS)
    slots = [(1, hour) for hour in (0, 3, 9, 12, 15, 18, 21)] + [(2, hour) for hour in range(24) if hour != 5]
    for number, (day, hour) in enumerate(slots):
        for channel in ("ir1", "vis") if 3 <= hour < 18 else ("ir1",):
            path = archive / f"199803{day:02}/{hour:02}-{channel}.gif"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gif(number + 100 * (channel == "vis"))[0])
    frames = ingested(archive, site, tmp_path / "root")
    start = frames.axis.slot(datetime(1998, 3, 1, tzinfo=UTC))
    status = frames.slots("status", start, start + 48)[:, 0]
    hours = {name: [int(h) for h in np.flatnonzero(status == value)] for name, value in Status.__members__.items()}
    assert hours["MISSING"] == [6, 24 + 5]
    assert hours["UNSCHEDULED"] == [h for h in range(24) if h % 3]
    assert hours["GOOD"] == [24 * (day - 1) + hour for day, hour in slots]
    assert frames.good_frames(start, start + 48).sum() == len(slots), "a frame at night needs no visible picture"
    layer = frames.layer(1)
    assert frames.layer_ids() == [1]
    assert layer[20, 10:50].all()
    assert layer[58:62, 2:8].all()
    assert layer.sum() < 64 + 4 * 8 + 20
    picture, grey = frames.picture(start, "ir1"), gif(0)[1]
    assert np.array_equal(picture[~layer], np.where(grey[~layer] > 0, np.maximum(grey[~layer], 3), 0))
    assert not picture[58:62, 2:8].any(), "space where the logo was"


def test_what_is_not_that_satellites_is_put_aside_with_its_reason(tmp_path: Path) -> None:
    site, archive = tmp_path / "gms.toml", tmp_path / "archive"
    site.write_text(GMS)
    (archive / "19980302").mkdir(parents=True)
    for hour in range(12):
        (archive / f"19980302/{hour:02}-ir1.gif").write_bytes(gif(hour)[0])
    sound = gif(3)[0]
    colours = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)).quantize(256)
    coloured, rgb = io.BytesIO(), io.BytesIO()
    colours.save(coloured, "gif")
    colours.convert("RGB").save(rgb, "png")
    planted = {
        2: (sound[: len(sound) // 2], "truncated"),
        4: (b"", "empty"),
        5: (b"<html>gone", "not a picture"),
        6: (rgb.getvalue(), "wrong mode"),
        7: (coloured.getvalue(), "foreign picture"),
        9: (gif(8)[0], "stale copy"),
    }
    for hour, (data, _) in planted.items():
        (archive / f"19980302/{hour:02}-ir1.gif").write_bytes(data)
    job = Job(str(tmp_path / "root"), str(archive), str(site), Range(stages=("ingest",)))
    assert scan(job).state == "done"
    assert run(job, Workers()).exit_code == 3
    root = Root(str(tmp_path / "root"))
    reasons = {int(record.path[9:11]): record.reason for *_, record in root.quarantine.all()}
    assert reasons == {hour: reason for hour, (_, reason) in planted.items()}
    frames = frame_store(root, "gms-fd")
    start = frames.axis.slot(datetime(1998, 3, 2, tzinfo=UTC))
    status = frames.slots("status", start, start + 12)[:, 0]
    assert [h for h in range(12) if status[h] != Status.GOOD] == sorted(planted)
    assert reconcile(root) == []


def test_files_of_such_archives_are_compared_without_a_root(real_archive: Path) -> None:
    satellites = load_satellites(SITES)
    folder = read_folder(real_archive / "himawari8_kochi", satellites)
    assert folder.source is not None
    assert (folder.source.id, folder.channels, len(folder.frames)) == ("himawari8_kochi-asia", ("ir1", "ir3"), 3)
    for layout in ("exact", "reference"):
        counter = FolderCounter(GridSpec(8, 20, layout), [folder])
        counted = counter.count(folder, folder.frames[0]["ir1"])
        assert counted.sizes.sum() == 560 * 560
    previews = read_folder(real_archive / "gk2a_previews", satellites)
    counter = FolderCounter(GridSpec(8, 20, "exact"), [previews])
    assert counter.count(previews, previews.frames[0]["ir105"]).sizes.sum() == 476 * 480
