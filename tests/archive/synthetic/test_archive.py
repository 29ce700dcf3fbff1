"""A synthetic archive is one that could have come from a satellite: named, drawn on and packed like one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from wxpipe.archive.ingest import Ingest
from wxpipe.archive.png import decode_png
from wxpipe.archive.scan import Scan
from wxpipe.archive.source_pictures import source_picture
from wxpipe.archive.synthetic.archive import SyntheticArchive, write_archive
from wxpipe.archive.synthetic.sky import hours_of
from wxpipe.archive.synthetic.source import SyntheticSource, mini_satellite, satellite_toml
from wxpipe.errors import UsageError
from wxpipe.satellites.catalog import Source, load_satellites, parse_satellite, shipped_satellites
from wxpipe.satellites.names import Named, NameReader
from wxpipe.satellites.satellite import Satellite
from wxpipe.similarity.cdf import grid_cdf_exact
from wxpipe.similarity.ks import frame_pair_similarities
from wxpipe.similarity.layout import GridSpec, cell_sizes
from wxpipe.store.frames import FrameStore, Status, frame_store
from wxpipe.store.root import init_root
from wxpipe.store.stage import Context, Outcome, Partition

MINI = mini_satellite()
COMS = shipped_satellites()["coms"]
FIRST = datetime(2020, 3, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
GAPS = [FIRST + 30 * QUARTER, FIRST + 31 * QUARTER]


def mini_archive(folder: Path, slots: int, first: datetime = FIRST, seed: int = 7, **more: object) -> SyntheticArchive:
    return write_archive(folder, MINI, "t", first, slots, seed, **more)  # type: ignore[arg-type]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def ingested(archive: SyntheticArchive, root: Path, day: date) -> tuple[FrameStore, Outcome]:
    context = Context(init_root(str(root)), str(archive.pictures), options={"satellites": str(archive.satellite)})
    scanned = Scan().run(Partition("", name="archive"), context)
    assert scanned.counts["unparsed"] == scanned.counts["unconfigured"] == 0
    partition, stage = Partition(archive.source, day), Ingest()
    stage.prepare([partition], context)
    return frame_store(context.root, archive.source), stage.run(partition, context)


@pytest.fixture(scope="module")
def mini_day(tmp_path_factory: pytest.TempPathFactory) -> tuple[SyntheticArchive, FrameStore, Outcome]:
    archive = mini_archive(tmp_path_factory.mktemp("mini"), 96, missing=GAPS)
    return archive, *ingested(archive, tmp_path_factory.mktemp("root"), FIRST.date())


def test_a_day_is_ingested_and_every_picture_is_good(
    mini_day: tuple[SyntheticArchive, FrameStore, Outcome],
) -> None:
    archive, _, outcome = mini_day
    assert (archive.written, archive.missing, archive.unscheduled) == (188, 2, 0)
    assert outcome.counts["pictures_good"] == outcome.counts["files"] == 188
    assert outcome.records == ()


def test_gaps_that_were_asked_for_are_missing(mini_day: tuple[SyntheticArchive, FrameStore, Outcome]) -> None:
    _, frames, outcome = mini_day
    assert outcome.counts["pictures_missing"] == 4
    status = frames.day("status", FIRST.date())
    assert [FIRST + int(slot) * QUARTER for slot in np.flatnonzero((status == Status.MISSING).all(axis=1))] == GAPS


def test_the_learned_overlay_is_the_drawn_one(mini_day: tuple[SyntheticArchive, FrameStore, Outcome]) -> None:
    _, frames, _ = mini_day
    layers = frames.layers()
    assert len(layers) == 1
    assert np.array_equal(next(iter(layers.values())), SyntheticSource(Source(MINI, "t"), 7).overlay)


def test_the_store_gives_the_drawn_pixels_back(mini_day: tuple[SyntheticArchive, FrameStore, Outcome]) -> None:
    _, frames, _ = mini_day
    made, when = SyntheticSource(Source(MINI, "t"), 7), FIRST + 50 * QUARTER
    stored = source_picture(frames, MINI.axis.slot(when), "wv")
    assert np.array_equal(stored, decode_png(made.file("wv", when), "made"))


def test_a_gap_at_the_end_is_nobodys_loss_until_later_files_come(tmp_path: Path) -> None:
    """Missing is what lies between files: the last slots of an archive may still come."""
    archive = mini_archive(tmp_path / "archive", 8, missing=[FIRST + 7 * QUARTER])
    _, outcome = ingested(archive, tmp_path / "root", FIRST.date())
    assert (outcome.counts["pictures_good"], outcome.counts["pictures_missing"]) == (14, 0)


def test_a_coms_picture_of_real_size_is_good_and_its_title_agrees(tmp_path: Path) -> None:
    first = datetime(2011, 3, 3, 6, 45, tzinfo=UTC)
    archive = write_archive(tmp_path / "archive", COMS, "ea", first, 2, 7)
    files = sorted(str(p.relative_to(archive.pictures)) for p in archive.pictures.rglob("*.png"))
    assert files[0] == "201103/03/coms_mi_le1b_ir01_ea040ps_201103030645.png"
    frames, outcome = ingested(archive, tmp_path / "root", first.date())
    assert (outcome.counts["pictures_good"], outcome.counts["files"], outcome.records) == (8, 8, ())
    assert np.array_equal(frames.layer(1), SyntheticSource(Source(COMS, "ea"), 7).overlay)
    assert not frames.layer(1)[:20].any()


@pytest.mark.parametrize(("satellite", "area"), [(MINI, "t"), (COMS, "ea")])
def test_every_path_is_read_back(satellite: Satellite, area: str) -> None:
    made, reader = SyntheticSource(Source(satellite, area), 1), NameReader([satellite])
    for channel in satellite.channel_names:
        for when in (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 12, 31, 23, 45, tzinfo=UTC)):
            slot = satellite.axis.slot(when)
            assert reader.read(made.path(channel, when)) == Named(made.source.id, channel, when, slot)


def test_a_path_that_would_not_be_read_back_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no name grammar matches"):
        mini_archive(tmp_path, 1, path_format="{channel}_{time:%Y%m%d%H%M}.png")
    with pytest.raises(UsageError, match=r"expected .*T00:15Z, found .*T00:00Z"):
        mini_archive(tmp_path, 2, path_format="mini_{channel}_{area}_{time:%Y%m%d%H}00.png")
    assert not list(tmp_path.rglob("*.png"))


def test_what_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no area 'ea'; it has t"):
        write_archive(tmp_path, MINI, "ea", FIRST, 1, 1)
    with pytest.raises(UsageError, match=r"no slot; the nearest is 00:15Z"):
        mini_archive(tmp_path, 1, FIRST + timedelta(minutes=8))
    with pytest.raises(UsageError, match="lies outside"):
        mini_archive(tmp_path, 1, datetime(2021, 3, 1, tzinfo=UTC))
    with pytest.raises(UsageError, match="slots is 0"):
        mini_archive(tmp_path, 0)
    with pytest.raises(UsageError, match=r"missing 2020-03-01 01:00:00\+00:00 is none of the 4 slots 2020-03-01 00:00"):
        mini_archive(tmp_path, 4, missing=[FIRST + timedelta(hours=1)])
    nameless = MINI.model_copy(update={"names": (MINI.names[0].model_copy(update={"path": ""}),)})
    with pytest.raises(UsageError, match="mini: none of its name grammars has a path"):
        write_archive(tmp_path, nameless, "t", FIRST, 1, 1)


def test_the_schedule_is_kept(tmp_path: Path) -> None:
    hourly = MINI.schedule[0].model_copy(update={"every_minutes": 60})
    satellite = MINI.model_copy(update={"schedule": (hourly,)})
    archive = write_archive(tmp_path, satellite, "t", FIRST, 8, 1)
    assert (archive.written, archive.unscheduled) == (4, 6)


def test_the_same_seed_makes_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        mini_archive(tmp_path / name, 3, seed=seed)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    other = bytes_of(tmp_path / "c")
    assert all(other[path] != data for path, data in bytes_of(tmp_path / "a").items() if path.endswith(".png"))


def test_an_archive_made_in_pieces_is_the_archive_made_at_once(tmp_path: Path) -> None:
    mini_archive(tmp_path / "whole", 6)
    mini_archive(tmp_path / "pieces", 2, FIRST + 4 * QUARTER)
    mini_archive(tmp_path / "pieces", 4)
    assert bytes_of(tmp_path / "whole") == bytes_of(tmp_path / "pieces")


def test_a_second_run_touches_nothing_and_mends_what_was_damaged(tmp_path: Path) -> None:
    told: list[int] = []
    first = mini_archive(tmp_path, 2, progress=told.append)
    assert (first.written, first.kept, told) == (4, 0, [1, 2, 3, 4])
    times = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    again = mini_archive(tmp_path, 2)
    assert (again.written, again.kept) == (0, 4)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()} == times
    next(first.pictures.rglob("*.png")).write_bytes(b"cut")
    assert mini_archive(tmp_path, 2).written == 1


def test_the_satellite_lies_beside_its_pictures(tmp_path: Path) -> None:
    archive = mini_archive(tmp_path, 1)
    assert load_satellites(archive.satellite)["mini"] == MINI
    assert parse_satellite(satellite_toml(COMS).decode(), "coms") == COMS
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mini.toml", "pictures"]


def test_the_ground_is_the_areas_and_not_the_weathers() -> None:
    one, other = (SyntheticSource(Source(MINI, "t"), seed) for seed in (1, 2))
    assert np.array_equal(one.overlay, other.overlay)
    assert not np.array_equal(one.grey("ir", FIRST), other.grey("ir", FIRST))
    assert 0.005 < SyntheticSource(Source(COMS, "ea"), 1).overlay.mean() < 0.02


def test_greys_are_evenly_distributed() -> None:
    """As those of COMS are, whose every picture is equalised."""
    grey = SyntheticSource(Source(MINI, "t"), 3).grey("ir", FIRST + timedelta(hours=5))
    assert np.allclose(np.quantile(grey, [0.05, 0.25, 0.5, 0.75, 0.95]), [13, 64, 128, 191, 243], atol=3)


def test_channels_are_related_and_no_copies() -> None:
    made = SyntheticSource(Source(COMS, "ea"), 5)
    noon, midnight = (datetime(2011, 3, 3, hour, tzinfo=UTC) for hour in (4, 16))

    def alike(channel: str, when: datetime) -> float:
        return float(np.corrcoef([made.grey(c, when)[20:].ravel() for c in ("ir01", channel)])[0, 1])

    assert 0.97 < alike("ir02", noon) < 0.9999
    assert 0.5 < alike("wv", noon) < 0.95
    assert alike("swir", noon) < alike("swir", midnight)


def test_a_channel_that_sees_less_detail_is_smoother() -> None:
    made = SyntheticSource(Source(COMS, "ea"), 5)
    ir, wv = (cv2.GaussianBlur(made.grey(channel, FIRST).astype(float), (0, 0), 3) for channel in ("ir01", "wv"))
    assert np.abs(np.diff(wv, axis=1)).mean() < 0.8 * np.abs(np.diff(ir, axis=1)).mean()


def test_the_nearer_in_time_the_more_similar() -> None:
    """Down to chance after days, as real frames are: no lag of the list is out of order."""
    made, spec = SyntheticSource(Source(MINI, "t"), 5), GridSpec()
    lags = [0, 15, 60, 135, 390, 1440, 9000]
    starts = [FIRST + timedelta(hours=31 * i) for i in range(12)]
    times = [start + timedelta(minutes=lag) for start in starts for lag in lags]
    cdfs = np.stack([[grid_cdf_exact(made.grey(c, t), 96, 0, spec) for c in MINI.channel_names] for t in times])
    pairs = np.array([(i * len(lags), i * len(lags) + k) for i in range(len(starts)) for k in range(len(lags))])
    similarities = frame_pair_similarities(cdfs, pairs, cell_sizes(spec, 96, 120, 0))
    mean = similarities.reshape(len(starts), len(lags)).mean(axis=0)
    assert mean[0] == 1
    assert (np.diff(mean) < 0).all()
    assert mean[1] > 0.85
    assert mean[-1] < 0.4


def test_regimes_return_as_analogs_and_not_as_copies() -> None:
    """By the ground truth: visits of one regime are much more alike than of two, and less than an hour of one."""
    made, spec = SyntheticSource(Source(MINI, "t"), 5), GridSpec()
    regimes = made.sky.regimes
    first = regimes.visit(hours_of(FIRST))
    visits = range(first, first + 30)
    times = [datetime.fromtimestamp(round(4 * (regimes.begins[v] + 18)) * 900, UTC) for v in visits]
    times.append(times[0] + timedelta(hours=1))
    cdfs = np.stack([[grid_cdf_exact(made.grey(c, t), 96, 0, spec) for c in MINI.channel_names] for t in times])
    pairs = np.array([*combinations(range(len(visits)), 2), (0, len(visits))])
    *similarities, within_the_hour = frame_pair_similarities(cdfs, pairs, cell_sizes(spec, 96, 120, 0))
    same = np.array([regimes.regime[visits[i]] == regimes.regime[visits[j]] for i, j in pairs[:-1]])
    assert np.mean(np.array(similarities)[same]) > np.mean(np.array(similarities)[~same]) + 0.1
    assert np.max(similarities) < within_the_hour
