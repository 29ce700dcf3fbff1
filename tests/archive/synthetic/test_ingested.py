"""Archives of satellites with changing schedules, and of slow ones in GIF, go through the main job as they are."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from wxpipe.archive.synthetic.archive import Order, make_archive
from wxpipe.archive.synthetic.source import SyntheticSource, scaled
from wxpipe.archive.truth import read_truth
from wxpipe.cli.app import app
from wxpipe.errors import UsageError
from wxpipe.satellites.catalog import Source, shipped_satellites
from wxpipe.store.frames import FrameStore, Status, frame_store
from wxpipe.store.root import Root


def made_of(name: str, scale: int, area: str, first: date, days: int, folder: Path) -> tuple[Source, FrameStore]:
    """An archive of some days, and the frames that a backfill makes of it."""
    source = Source(scaled(shipped_satellites()[name], scale), area)
    (archive,) = make_archive(folder, Order((source,), first, days, seed=5))
    command = [
        "backfill", "--archive", str(archive.pictures), "--satellites", str(folder), "--root", str(folder / "root"),
        "--direct", "--stage", "ingest",
    ]  # fmt: skip
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return source, frame_store(Root(str(folder / "root")), source.id)


def statuses(frames: FrameStore, day: date) -> Counter[Status]:
    return Counter(Status(int(value)) for value in frames.day("status", day).ravel())


def test_slots_that_a_schedule_does_not_know_are_unscheduled_and_not_missing(tmp_path: Path) -> None:
    """MTSAT-2 observes every hour until 2010-06-30, and every half hour from then on."""
    source, frames = made_of("mtsat2", 8, "ea", date(2010, 6, 30), 2, tmp_path)
    channels = len(source.satellite.channels)
    before, after = (statuses(frames, date(2010, 6, 30) + timedelta(days=n)) for n in range(2))
    assert before == {Status.GOOD: 24 * channels, Status.UNSCHEDULED: 72 * channels}
    # Nothing came after 23:30, so that the last slot is beyond the source's span.
    assert after == {Status.GOOD: 48 * channels, Status.UNSCHEDULED: 47 * channels, Status.ABSENT: channels}


def test_gif_of_a_full_disk_are_frames_with_their_overlay_found(tmp_path: Path) -> None:
    source, frames = made_of("gms5", 4, "fd", date(1998, 9, 19), 2, tmp_path)
    assert statuses(frames, date(1998, 9, 19)) == {Status.GOOD: 24}
    assert source.satellite.window_slots == 0
    drawn, (learned,) = SyntheticSource(source, 5).overlay, frames.layers().values()
    assert (learned & drawn).sum() > 0.97 * drawn.sum()
    assert (learned & ~drawn).mean() < 0.01


def test_day_and_night_a_visible_channel_is_good(tmp_path: Path) -> None:
    _, frames = made_of("gms5", 4, "fd", date(1998, 12, 22), 1, tmp_path)
    assert (frames.day("status", date(1998, 12, 22)) == Status.GOOD).all()


def test_two_satellites_see_one_sky(tmp_path: Path) -> None:
    """The same system lies at the same place of the Earth, and each sees it at its own place of its picture."""
    sources = tuple(
        Source(scaled(shipped_satellites()[name], 8), area) for name, area in (("coms", "ea"), ("himawari8", "ea"))
    )
    make_archive(tmp_path, Order(sources, date(2015, 8, 20), 1, seed=5))
    truth = read_truth(tmp_path)
    assert truth.sources == ("coms-ea", "himawari8-ea")
    point = next(p for s in truth.systems if s.kind == "vortex" for p in s.track if len(p.places) == 2)
    assert point.places["coms-ea"] != point.places["himawari8-ea"]
    when = datetime(2015, 8, 20, 3, tzinfo=UTC)
    greys = [
        SyntheticSource(source, 5).grey(channel, when)
        for source, channel in zip(sources, ("ir01", "ch13"), strict=True)
    ]
    rows = min(len(grey) for grey in greys)
    columns = min(grey.shape[1] for grey in greys)
    assert np.corrcoef([grey[:rows, :columns].ravel() for grey in greys])[0, 1] > 0.6
    assert not np.array_equal(greys[0][:rows, :columns], greys[1][:rows, :columns])


def test_an_archive_is_made_longer_and_its_truth_with_it(tmp_path: Path) -> None:
    source = Source(scaled(shipped_satellites()["coms"], 16), "ea")
    make_archive(tmp_path / "once", Order((source,), date(2015, 8, 20), 2, 5, gaps=True))
    for day in (21, 20):
        make_archive(tmp_path / "twice", Order((source,), date(2015, 8, day), 1, 5, gaps=True))
    whole, joined = (read_truth(tmp_path / name) for name in ("once", "twice"))
    assert joined.model_copy(update={"gaps": ()}) == whole.model_copy(update={"gaps": ()})
    assert sorted(joined.gaps, key=str) == sorted(whole.gaps, key=str)
    files = [
        {str(f.relative_to(tmp_path / n)): f.read_bytes() for f in (tmp_path / n / "pictures").rglob("*.png")}
        for n in ("once", "twice")
    ]
    assert files[0] == files[1]
    with pytest.raises(UsageError, match="of seed 6, found one of seed 5"):
        make_archive(tmp_path / "once", Order((source,), date(2015, 8, 20), 1, 6))


def test_workers_make_the_same_archive(tmp_path: Path) -> None:
    source = Source(scaled(shipped_satellites()["mtsat2"], 16), "ea")
    order = Order((source,), date(2010, 6, 29), 2, 5)
    made = [make_archive(tmp_path / str(workers), order, workers=workers)[0] for workers in (1, 2)]
    assert made[0].written == made[1].written > 0
    files = [{f.name: f.read_bytes() for f in one.pictures.rglob("*.png")} for one in made]
    assert files[0] == files[1]
