"""What two operands come to: from files and from the store the same, and on real pictures what was published."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import imagecodecs
import numba
import numpy as np
import numpy.typing as npt
import pytest

from wxpipe.archive.overlay import luminance
from wxpipe.archive.reduction import published_reduction
from wxpipe.archive.source_pictures import source_picture
from wxpipe.errors import NotFoundError, UsageError
from wxpipe.similarity import folders
from wxpipe.similarity.cdf import grid_cdf_exact
from wxpipe.similarity.compare import compare, compare_frames
from wxpipe.similarity.histograms import histogram_store, stored_cell_sizes
from wxpipe.similarity.layout import GridSpec, cell_sizes
from wxpipe.similarity.pairs import read_rounded
from wxpipe.store.frames import frame_store
from wxpipe.store.root import Root

Bytes = npt.NDArray[np.uint8]
Ingested = Callable[..., Root]
Files = dict[tuple[str, str], Path]

EXACT = GridSpec(5, 7, "exact")
REFERENCE = GridSpec(5, 7, "reference")
KEPT = GridSpec()  # 24 x 20 exact, which roots keep
YELLOW = (255, 255, 0)

MINI = """
name = "mini"
title = "Mini imager"
first_day = 2015-01-01
last_day = 2015-01-31
cadence_minutes = 60
[channels.ir01]
band = "ir"
[channels.wv]
band = "wv"
[clip]
frames = 4
hours = 3
[areas.ea]
name = "East Asia"
rows = 60
other_rows = [52]
columns = 80
title_rows = 4
crop_rows = 4
reduce = [4, 4]
overlay_colour = [255, 255, 0]
[[names]]
pattern = 'mini_(?P<channel>[a-z0-9]+)_(?P<area>[a-z]+)_(?P<time>[0-9]{12}).png'
"""
START = datetime(2015, 1, 3, 6, tzinfo=UTC)


def write(path: Path, pixels: Bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))


def grey_picture(seed: int, rows: int = 40, columns: int = 50) -> Bytes:
    """Grey noise as RGB, darker for some seeds than for others."""
    grey = np.random.default_rng(seed).integers(0, 100 + 20 * (seed % 8), (rows, columns), np.uint8)
    return np.repeat(grey[..., np.newaxis], 3, axis=2)


def numbered(folder: Path, pictures: dict[int, dict[str, Bytes]]) -> Path:
    for number, channels in pictures.items():
        for channel, pixels in channels.items():
            write(folder / f"image_{number}" / f"{channel}.png", pixels)
    return folder


def distances(a: Bytes, b: Bytes, spec: GridSpec, title_rows: int = 0) -> npt.NDArray[np.float64]:
    """D of each cell, from cells cut out and binned one by one; pictures of grey, of any two heights."""
    result = []
    for i in range(spec.grid):
        for j in range(spec.grid):
            shares = []
            for picture in (a, b):
                below = picture[title_rows:]
                rows, columns = below.shape
                cell = below[i * rows // spec.grid : (i + 1) * rows // spec.grid]
                cell = cell[:, j * columns // spec.grid : (j + 1) * columns // spec.grid]
                counts = np.bincount(cell.ravel().astype(int) * spec.bins // 256, minlength=spec.bins)
                shares.append(np.cumsum(counts) / cell.size)
            result.append(np.abs(shares[0] - shares[1]).max())
    return np.array(result)


# --- plain pictures, no satellite -------------------------------------------------------------------------------


def test_numbered_frames_are_taken_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    first = numbered(tmp_path / "a", {n: {"x": grey_picture(n)} for n in (1, 2, 10)})
    second = numbered(tmp_path / "b", {n: {"x": grey_picture(50 + n)} for n in (1, 2, 10)})
    document = compare(first, second, EXACT, None).document()
    expected = [1 - distances(grey_picture(n)[..., 0], grey_picture(50 + n)[..., 0], EXACT).mean() for n in (1, 2, 10)]
    assert document["per_frame"] == pytest.approx(expected, abs=1e-12)
    assert document["similarity"] == pytest.approx(np.mean(expected), abs=1e-12)
    assert (document["frames"], document["channels"]) == (3, ["x"])
    assert (document["grid"], document["bins"], document["layout"]) == (5, 7, "exact")


def test_count_sum_is_given_where_all_cells_have_one_size_and_only_there(tmp_path: Path) -> None:
    first = numbered(tmp_path / "a", {1: {"x": grey_picture(1), "y": grey_picture(2)}})
    second = numbered(tmp_path / "b", {1: {"x": grey_picture(3), "y": grey_picture(4)}})
    equal = compare(first, second, GridSpec(5, 7, "exact"), None).document()
    assert equal["count_difference_sum"] == round((1 - equal["similarity"]) * 2 * 25 * 8 * 10)
    unequal = compare(first, second, GridSpec(7, 7, "exact"), None).document()
    assert unequal["count_difference_sum"] is None
    expected = {
        "x": 1 - distances(grey_picture(1)[..., 0], grey_picture(3)[..., 0], GridSpec(7, 7)).mean(),
        "y": 1 - distances(grey_picture(2)[..., 0], grey_picture(4)[..., 0], GridSpec(7, 7)).mean(),
    }
    assert unequal["per_channel"] == pytest.approx(expected, abs=1e-12)


def test_pictures_of_different_sizes_are_compared_by_shares(tmp_path: Path) -> None:
    low, high = grey_picture(1, 33, 50), grey_picture(2, 47, 41)
    first, second = (numbered(tmp_path / name, {1: {"x": p}}) for name, p in (("a", low), ("b", high)))
    found = compare(first, second, EXACT, None)
    assert found.similarity == pytest.approx(1 - distances(low[..., 0], high[..., 0], EXACT).mean(), abs=1e-12)
    assert found.count_sums is None


def test_grey_files_count_as_rgb_ones_of_the_same_grey(tmp_path: Path) -> None:
    first = numbered(tmp_path / "a", {1: {"x": grey_picture(1)}})
    second = numbered(tmp_path / "b", {1: {"x": grey_picture(1)[..., 0]}})
    for spec in (EXACT, REFERENCE):
        assert compare(first, second, spec, None).similarity == 1


def test_only_channels_that_both_have_are_compared(tmp_path: Path) -> None:
    first = numbered(tmp_path / "a", {1: {"x": grey_picture(1), "z": grey_picture(2)}})
    second = numbered(tmp_path / "b", {1: {"x": grey_picture(3), "y": grey_picture(4)}})
    assert compare(first, second, EXACT, None).channels == ("x",)
    shutil.rmtree(second)
    numbered(second, {1: {"y": grey_picture(4)}})
    with pytest.raises(UsageError, match=r"no channel is common.*x, z.*y"):
        compare(first, second, EXACT, None)


def test_a_file_is_decoded_once_however_often_it_is_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    original = folders.decode_png
    monkeypatch.setattr(folders, "decode_png", lambda data, path: decoded.append(path) or original(data, path))
    first = numbered(tmp_path / "a", {n: {"x": grey_picture(n)} for n in (1, 2, 3)})
    second = tmp_path / "b"
    for n, link in ((1, os.link), (2, os.symlink), (3, os.link)):
        (second / f"image_{n}").mkdir(parents=True)
        link(first / f"image_{4 - n}" / "x.png", second / f"image_{n}" / "x.png")
    assert compare(first, second, REFERENCE, None).similarities[1, 0] == 1
    assert len(decoded) == 3
    assert compare(first, first, EXACT, None).similarity == 1
    assert len(decoded) == 6


@pytest.mark.parametrize("layout", ["exact", "reference"])
def test_frames_must_be_equally_many(tmp_path: Path, layout: str) -> None:
    first = numbered(tmp_path / "a", {n: {"x": grey_picture(n)} for n in (1, 2)})
    second = numbered(tmp_path / "b", {1: {"x": grey_picture(3)}})
    with pytest.raises(UsageError, match=r"2 frames.*1; expected equally many"):
        compare(first, second, GridSpec(5, 7, layout), None)  # type: ignore[arg-type]


def test_a_missing_channel_is_named_with_its_frame(tmp_path: Path) -> None:
    first = numbered(tmp_path / "a", {n: {"x": grey_picture(n), "y": grey_picture(n)} for n in (1, 2)})
    second = numbered(tmp_path / "b", {n: {"x": grey_picture(n), "y": grey_picture(n)} for n in (1, 2)})
    (second / "image_2" / "y.png").unlink()
    with pytest.raises(NotFoundError, match=r"missing are y of image_2; .*add the files"):
        compare(first, second, EXACT, None)


def test_a_damaged_picture_is_named_with_what_was_found(tmp_path: Path) -> None:
    first = numbered(tmp_path / "a", {1: {"x": grey_picture(1)}})
    for content in (b"", b"<html>", (first / "image_1" / "x.png").read_bytes()[:900]):
        (tmp_path / "b" / "image_1").mkdir(parents=True, exist_ok=True)
        (tmp_path / "b" / "image_1" / "x.png").write_bytes(content)
        with pytest.raises(UsageError, match=r"b/image_1/x\.png: .*expected.*repair the picture"):
            compare(first, tmp_path / "b", REFERENCE, None)
    (tmp_path / "b" / "image_1" / "x.png").unlink()
    (tmp_path / "b" / "image_1" / "x.png").mkdir()
    with pytest.raises(UsageError, match=r"x\.png cannot be read"):
        compare(first, tmp_path / "b", REFERENCE, None)


def test_a_grid_that_the_published_program_cannot_do_is_refused_with_the_reason(tmp_path: Path) -> None:
    folder = numbered(tmp_path / "a", {1: {"x": grey_picture(1)}})
    with pytest.raises(UsageError, match=r"would read sample [\d,]+ of a buffer of 9,000.*choose another grid"):
        compare(folder, folder, GridSpec(200, 20, "reference"), None)


def test_an_operand_that_is_nothing_known_is_told_what_it_could_be(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no folder, and names no clip \(coms-ea.*\) or frame \(coms-ea"):
        compare(tmp_path / "none", tmp_path, EXACT, None)
    with pytest.raises(UsageError, match="give --root"):
        compare("coms-ea/20110303T0800Z", tmp_path, EXACT, None)
    with pytest.raises(NotFoundError, match="none of 0 files bears an archive name"):
        compare(tmp_path, tmp_path, EXACT, None)
    (tmp_path / "image_1").mkdir()
    with pytest.raises(NotFoundError, match=r"hold no <channel>.png"):
        compare(tmp_path, tmp_path, EXACT, None)


# --- a small satellite with an overlay, two heights and a root --------------------------------------------------


def mini_grey(seed: int, rows: int) -> Bytes:
    return np.random.default_rng(seed).integers(0, 90 + 30 * (seed % 5), (rows, 80), np.uint8)


def mini_source(grey: Bytes) -> Bytes:
    """The grey picture as a file has it: yellow lines, text of yellow shades in a black title bar."""
    rgb = np.repeat(grey[..., np.newaxis], 3, axis=2)
    rgb[30], rgb[4:, 40] = YELLOW, YELLOW
    rgb[:4] = 0
    rgb[1:3, 5:60, :2] = grey[1:3, 5:60, np.newaxis]
    return rgb


def mini_name(channel: str, hour: int) -> str:
    return f"mini_{channel}_ea_{START + timedelta(hours=hour):%Y%m%d%H%M}.png"


def mini_rows(hour: int) -> int:
    return 52 if hour in (2, 5) else 60


HOURS = range(8)


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory, ingested: Ingested) -> tuple[Path, Root]:
    """The archive of a small satellite, with pictures of two heights, and a root of it."""
    folder = tmp_path_factory.mktemp("mini")
    (folder / "mini.toml").write_text(MINI)
    for hour in HOURS:
        for n, channel in enumerate(("ir01", "wv")):
            source = mini_source(mini_grey(10 * hour + n, mini_rows(hour)))
            write(folder / "archive" / "201501" / mini_name(channel, hour), source)
    return folder, ingested(folder / "root", folder / "archive", folder / "mini.toml")


@pytest.fixture
def site(mini: tuple[Path, Root], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `mini`, its satellite known as one of the site's."""
    monkeypatch.setenv("WXPIPE_SATELLITES", str(mini[0] / "mini.toml"))
    return mini[0]


def hours_folder(site: Path, folder: Path, hours: range) -> Path:
    folder.mkdir(exist_ok=True)
    for hour in hours:
        for channel in ("ir01", "wv"):
            (folder / mini_name(channel, hour)).symlink_to(site / "archive" / "201501" / mini_name(channel, hour))
    return folder


@pytest.mark.parametrize("layout", ["exact", "reference"])
@pytest.mark.parametrize("hours", [(range(0, 4), range(4, 8)), (range(0, 4), range(1, 5)), (range(1), range(3, 4))])
def test_files_and_store_give_the_same_answer(
    mini: tuple[Path, Root], site: Path, tmp_path: Path, layout: str, hours: tuple[range, range]
) -> None:
    spec = GridSpec(6, 9, layout)  # type: ignore[arg-type]
    of_files = compare(*(hours_folder(site, tmp_path / f"{h}", h) for h in hours), spec, None)
    times = [[START + timedelta(hours=hour) for hour in part] for part in hours]
    of_store = compare_frames(mini[1], "mini-ea", *times, spec)
    assert of_files.channels == of_store.channels == ("ir01", "wv")
    np.testing.assert_array_equal(of_files.similarities, of_store.similarities)
    assert (of_files.count_sums is None) == (of_store.count_sums is None)
    mixed = any(mini_rows(a) != mini_rows(b) for a, b in zip(*hours, strict=True))
    if layout == "reference" and not mixed:
        assert of_files.count_sums is not None


def test_exact_compares_filled_pictures_below_the_title_at_their_true_heights(mini: tuple[Path, Root]) -> None:
    root = mini[1]
    frames = frame_store(root, "mini-ea")
    found = compare_frames(root, "mini-ea", [START], [START + timedelta(hours=2)], EXACT)
    first, second = (frames.axis.slot(START + timedelta(hours=hour)) for hour in (0, 2))
    for n, channel in enumerate(("ir01", "wv")):
        a, b = frames.picture(first, channel), frames.picture(second, channel)
        assert (a.shape, b.shape) == ((60, 80), (52, 80))
        assert (a[30] < 255).all()
        assert found.similarities[0, n] == pytest.approx(1 - distances(a, b, EXACT, 4).mean(), abs=1e-12)


def test_kept_cdfs_and_those_counted_anew_give_the_same_answer(
    mini: tuple[Path, Root], tmp_path: Path, site: Path
) -> None:
    times = [START + timedelta(hours=hour) for hour in HOURS]
    kept = compare_frames(mini[1], "mini-ea", times[:4], times[4:], KEPT)
    counted = compare(*(hours_folder(site, tmp_path / f"{h}", h) for h in (range(4), range(4, 8))), KEPT, None)
    np.testing.assert_array_equal(kept.similarities, counted.similarities)
    backwards = compare_frames(mini[1], "mini-ea", times[3::-1], times[:3:-1], KEPT)
    np.testing.assert_array_equal(backwards.similarities, kept.similarities[::-1])


def test_a_named_channel_is_compared_alone(mini: tuple[Path, Root], site: Path, tmp_path: Path) -> None:
    times = [START], [START + timedelta(hours=1)]
    both = compare_frames(mini[1], "mini-ea", *times, KEPT)
    alone = compare_frames(mini[1], "mini-ea", *times, KEPT, channel="wv")
    assert alone.channels == ("wv",)
    np.testing.assert_array_equal(alone.similarities[:, 0], both.similarities[:, 1])
    folder = hours_folder(site, tmp_path / "a", range(2))
    assert compare(folder, folder, EXACT, None, channel="ir01").channels == ("ir01",)
    with pytest.raises(UsageError, match="no channel 'vis' is common; common are ir01, wv"):
        compare(folder, folder, EXACT, None, channel="vis")


def test_clips_frames_and_folders_can_be_mixed(mini: tuple[Path, Root], site: Path, tmp_path: Path) -> None:
    root = mini[1]
    folder = hours_folder(site, tmp_path / "a", range(4))
    assert compare("mini-ea/20150103T0600Z/3h4", folder, KEPT, root).similarity == 1
    clips = compare("mini-ea/20150103T0600Z/3h4", "mini-ea/20150103T0700Z/3h4", KEPT, root)
    times = [START + timedelta(hours=hour) for hour in range(5)]
    again = compare_frames(root, "mini-ea", times[:4], times[1:], KEPT)
    np.testing.assert_array_equal(clips.similarities, again.similarities)
    frame = compare("mini-ea/20150103T0600Z", "mini-ea/20150103T0700Z", KEPT, root)
    np.testing.assert_array_equal(frame.similarities, clips.similarities[:1])


def test_numbered_folders_of_a_satellites_size_are_read_as_its_pictures(site: Path, tmp_path: Path) -> None:
    for name, hours in (("a", range(0, 4)), ("b", range(4, 8))):
        for n, hour in enumerate(hours, start=1):
            sources = {c: site / "archive" / "201501" / mini_name(c, hour) for c in ("ir01", "wv")}
            (tmp_path / name / f"image_{n}").mkdir(parents=True)
            for channel, path in sources.items():
                (tmp_path / name / f"image_{n}" / f"{channel}.png").symlink_to(path)
    named = compare(*(hours_folder(site, tmp_path / f"{h}", h) for h in (range(4), range(4, 8))), EXACT, None)
    assert compare(tmp_path / "a", tmp_path / "b", EXACT, None).similarity == named.similarity
    # Under channels that no satellite has, they are plain pictures: yellow lines, title and all.
    for name in "ab":
        for path in sorted((tmp_path / name).glob("*/wv.png")):
            path.rename(path.with_name("other.png"))
    plain = compare(tmp_path / "a", tmp_path / "b", EXACT, None)
    assert plain.channels == ("ir01", "other")
    first, second = (luminance(mini_source(mini_grey(10 * hour, 60))) for hour in (0, 4))
    assert plain.similarities[0, 0] == pytest.approx(1 - distances(first, second, EXACT).mean(), abs=1e-12)


def test_identities_that_are_not_there_are_answered_with_what_is(mini: tuple[Path, Root]) -> None:
    root = mini[1]
    there = "mini-ea/20150103T0600Z/3h4"
    with pytest.raises(NotFoundError, match="the nearest begin 10:00Z, 09:00Z, 08:00Z"):
        compare(there, "mini-ea/20150103T1200Z/3h4", KEPT, root)
    with pytest.raises(NotFoundError, match=r"clips of mini-ea in .* are 3h4"):
        compare(there, "mini-ea/20150103T0600Z/6h20", KEPT, root)
    with pytest.raises(NotFoundError, match="no nominal time of mini-ea; the nearest is 20150103T0600Z"):
        compare("mini-ea/20150103T0607Z", "mini-ea/20150103T0600Z", KEPT, root)
    for spec in (KEPT, REFERENCE):
        with pytest.raises(NotFoundError, match="2015-01-03T20:00Z: no picture is stored"):
            compare("mini-ea/20150103T0600Z", "mini-ea/20150103T2000Z", spec, root)
    with pytest.raises(UsageError, match="lies outside 2015-01-01"):
        compare("mini-ea/20150103T0600Z", "mini-ea/20160103T0600Z", KEPT, root)
    with pytest.raises(UsageError, match=r"sources:.*mini-ea"):
        compare("other-ea/20150103T0600Z", "mini-ea/20150103T0600Z", KEPT, root)
    with pytest.raises(UsageError, match="no time zone"):
        compare_frames(root, "mini-ea", [datetime(2015, 1, 3)], [START], KEPT)
    with pytest.raises(UsageError, match="has 0 frames"):
        compare_frames(root, "mini-ea", [], [], KEPT)


def test_archive_folders_hold_one_source_and_every_channel_at_every_time(site: Path, tmp_path: Path) -> None:
    folder = hours_folder(site, tmp_path / "a", range(4))
    (folder / "notes.txt").write_text("not a picture")
    (folder / mini_name("wv", 2)).unlink()
    with pytest.raises(NotFoundError, match=r"missing are wv of 2015-01-03T08:00Z"):
        compare(folder, folder, EXACT, None)
    (folder / "coms_mi_le1b_ir01_ea040ps_201103030800.png").write_bytes(b"")
    with pytest.raises(UsageError, match="pictures of coms-ea, mini-ea; name a folder of one source"):
        compare(folder, folder, EXACT, None)


def test_rounded_cdfs_and_cell_sizes_follow_each_pictures_height(mini: tuple[Path, Root]) -> None:
    root = mini[1]
    source = root.source("mini-ea")
    store, frames = histogram_store(root, source), frame_store(root, source)
    slots = np.array([frames.axis.slot(START + timedelta(hours=hour)) for hour in (5, 0, 2, 3)])
    sizes = stored_cell_sizes(root, source, KEPT, slots)
    rounded = read_rounded(store, slots)
    for n, hour in enumerate((5, 0, 2, 3)):
        expected = cell_sizes(KEPT, mini_rows(hour), 80, 4)
        for c, channel in enumerate(("ir01", "wv")):
            np.testing.assert_array_equal(sizes[n, c], expected)
            picture = frames.picture(int(slots[n]), channel)
            shares = grid_cdf_exact(picture, mini_rows(hour), 4, KEPT) / expected
            assert np.abs(rounded[n, c] / 255 - shares).max() <= 1 / 510 + 1e-12


# --- the real pictures ------------------------------------------------------------------------------------------

CHANNELS = ("ir01", "ir02", "swir", "wv")


def moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%d%H%M").replace(tzinfo=UTC)


@pytest.fixture(scope="session")
def real_files(real_archive: Path) -> Files:
    """Files of the real pictures by channel and time."""
    if numba.config.DISABLE_JIT:
        pytest.skip("real pictures take hours without compiled kernels")
    found = [path for name in ("coms", "coms_events") for path in (real_archive / name).rglob("*.png")]
    return {(path.name.split("_")[3], path.stem[-12:]): path for path in found}


@pytest.fixture(scope="session")
def grid_cases(real_archive: Path) -> dict[str, Any]:
    cases: dict[str, Any] = json.loads((real_archive / "expected" / "grid_similarity.json").read_text())
    return cases


@pytest.fixture(scope="session")
def frame_cases(real_archive: Path) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((real_archive / "expected" / "frame_similarity.json").read_text())
    return cases


def spec_of(case: dict[str, Any]) -> GridSpec:
    return GridSpec(case["grid"], case["bins"], "reference")


def check(document: dict[str, Any], case: dict[str, Any], frames: int, channels: tuple[str, ...]) -> None:
    """The similarity that the published program printed, and the integer behind it."""
    assert document["similarity"] == pytest.approx(case["similarity"], abs=1e-9)
    assert (document["frames"], document["channels"]) == (frames, list(channels))
    cell = -(-1300 // case["grid"]) * -(-1500 // case["grid"])
    pixels = frames * len(channels) * case["grid"] ** 2 * cell
    assert document["count_difference_sum"] == round((1 - case["similarity"]) * pixels)
    assert np.mean(list(document["per_channel"].values())) == pytest.approx(case["similarity"], abs=1e-9)
    assert np.mean(document["per_frame"]) == pytest.approx(case["similarity"], abs=1e-9)


Clips = Callable[[list[str], str], Path]


@pytest.fixture
def linked(real_files: Files, tmp_path: Path) -> Clips:
    """(times, layout of folder) to a folder of links to their pictures."""

    def link(times: list[str], kind: str) -> Path:
        folder = tmp_path / hashlib.sha256(f"{times}{kind}".encode()).hexdigest()
        for n, time in enumerate(times, start=1):
            for channel in CHANNELS:
                target = real_files[channel, time]
                name = f"image_{n}/{channel}.png" if kind == "numbered" else target.name
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                if not (folder / name).exists():
                    (folder / name).symlink_to(target)
        return folder

    return link


# Case 2 runs backwards, and archive names are taken in time order.
@pytest.mark.parametrize(
    ("kind", "number"), [*(("numbered", n) for n in range(4)), *(("archive", n) for n in (0, 1, 3))]
)
def test_real_clips_of_files_are_as_published(
    linked: Clips, grid_cases: dict[str, Any], kind: str, number: int
) -> None:
    case = grid_cases["cases"][number]
    clips = [grid_cases["clips"][case[side]] for side in ("first", "second")]
    document = compare(*(linked(times, kind) for times in clips), spec_of(case), None).document()
    check(document, case, 20, CHANNELS)


@pytest.mark.parametrize("number", range(4))
def test_real_clips_of_the_store_are_as_published(real_root: Root, grid_cases: dict[str, Any], number: int) -> None:
    case = grid_cases["cases"][number]
    times = [[moment(t) for t in grid_cases["clips"][case[side]]] for side in ("first", "second")]
    check(compare_frames(real_root, "coms-ea", *times, spec_of(case)).document(), case, 20, CHANNELS)


@pytest.mark.parametrize("number", range(5))
def test_real_frames_are_as_published_from_files_and_from_the_store(
    real_root: Root, real_files: Files, frame_cases: list[dict[str, Any]], tmp_path: Path, number: int
) -> None:
    case = frame_cases[number]
    sides = [case["first"], case["second"]]
    channels = CHANNELS if case["channel"] == "all" else (case["channel"],)
    for side in sides:
        for channel in channels:
            target = tmp_path / side / "image_1" / f"{channel}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(real_files[channel, side])
    of_files = compare(tmp_path / sides[0], tmp_path / sides[1], spec_of(case), None)
    check(of_files.document(), case, 1, channels)
    names = [f"coms-ea/{moment(side):%Y%m%dT%H%MZ}" for side in sides]
    of_store = compare(names[0], names[1], spec_of(case), real_root)
    chosen = [of_store.channels.index(channel) for channel in channels]
    np.testing.assert_array_equal(of_store.similarities[:, chosen], of_files.similarities)
    if case["channel"] == "all":
        check(of_store.document(), case, 1, CHANNELS)
    else:
        assert of_store.document()["per_channel"][case["channel"]] == pytest.approx(case["similarity"], abs=1e-9)


def test_real_files_and_store_agree_in_the_exact_layout(
    real_root: Root, linked: Clips, grid_cases: dict[str, Any]
) -> None:
    clips = [grid_cases["clips"][name] for name in "ab"]
    of_store = compare_frames(real_root, "coms-ea", *([moment(t) for t in times] for times in clips), KEPT)
    for kind in ("numbered", "archive"):
        of_files = compare(*(linked(times[:4], kind) for times in clips), KEPT, None)
        np.testing.assert_array_equal(of_files.similarities, of_store.similarities[:4])
    assert of_store.count_sums is None
    assert 0.7 < of_store.similarity < 0.95


def test_a_real_picture_under_another_name_is_told_by_its_title(real_files: Files, tmp_path: Path) -> None:
    wrong = tmp_path / "coms_mi_le1b_ir01_ea040ps_201103030800.png"
    wrong.symlink_to(real_files["ir01", "201103030815"])
    with pytest.raises(UsageError, match=r"title disagrees.*08:00.*08:15"):
        compare(tmp_path, tmp_path, KEPT, None)


def test_grids_that_the_published_program_cannot_do_on_real_sizes_are_refused(real_root: Root) -> None:
    name = "coms-ea/20110303T0800Z"
    with pytest.raises(UsageError, match="layout reference: the published program would read sample"):
        compare(name, name, GridSpec(700, 20, "reference"), real_root)


def test_every_real_picture_comes_back_from_the_store_to_the_last_bit(real_root: Root, real_files: Files) -> None:
    frames = frame_store(real_root, "coms-ea")
    assert len(real_files) == 140
    for (channel, time), path in real_files.items():
        expected = hashlib.sha256(imagecodecs.png_decode(path.read_bytes()).tobytes()).hexdigest()
        restored = source_picture(frames, frames.axis.slot(moment(time)), channel)
        assert hashlib.sha256(restored.tobytes()).hexdigest() == expected, path.name


def test_the_published_reduction_of_stored_pictures_is_the_published_one(real_root: Root, real_archive: Path) -> None:
    frames = frame_store(real_root, "coms-ea")
    area = frames.source.area
    for channel in CHANNELS:
        file = real_archive / "coms_reduced" / f"coms_mi_le1b_{channel}_ea040ps_201103030645.png"
        expected = imagecodecs.png_decode(file.read_bytes())
        rgb = source_picture(frames, frames.axis.slot(moment("201103030645")), channel)
        np.testing.assert_array_equal(published_reduction(rgb, area.crop_rows, area.reduce), expected)


def test_xarray_opens_the_real_store_without_our_code(real_root: Root) -> None:
    import xarray

    url = Path(real_root.url) / "frames" / "coms-ea.zarr"
    data = xarray.open_zarr(str(url), chunks=None, consolidated=False)
    assert data["channel"].values.tolist() == list(CHANNELS)
    picture = data["picture"].set_xindex("time").sel(time="2011-03-03T08:00").isel(channel=3)
    assert picture.shape == (1300, 1500)
    assert data.attrs["source"] == "coms-ea"
    assert data["picture"].attrs["long_name"]
