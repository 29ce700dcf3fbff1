"""A folder of fresh pictures is checked, reduced, counted and embedded as an archive's are, and nothing is written."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.mini import FIRST, SOURCE, Archive, Undisturbed
from wxpipe.archive.picture import PictureReader
from wxpipe.errors import NotFoundError, UsageError
from wxpipe.similarity.histograms import HistogramStore
from wxpipe.similarity.layout import GridSpec
from wxpipe.store.frames import frame_store
from wxpipe.store.root import Root
from wxpipe.vectors.answer_picture import draw_answer
from wxpipe.vectors.answers import SearchRequest
from wxpipe.vectors.asked import asked
from wxpipe.vectors.cases import add_case
from wxpipe.vectors.examples import Example
from wxpipe.vectors.fresh import Fresh, read_fresh
from wxpipe.vectors.lance_searcher import open_lance
from wxpipe.vectors.records import require_current
from wxpipe.vectors.search import search
from wxpipe.vectors.tables import SPECS

START = FIRST + timedelta(hours=26)
"""A clip of the second day."""
CADENCE = timedelta(minutes=15)


@pytest.fixture(scope="module")
def root(first_run: Undisturbed) -> Root:
    return Root(str(first_run.root))


def name_of(channel: str, when: datetime) -> str:
    return f"{when:%Y%m/%d}/mini_{channel}_t_{when:%Y%m%d%H%M}.png"


def times(slots: int, first: datetime = START) -> list[datetime]:
    return [first + n * CADENCE for n in range(slots)]


@pytest.fixture
def folder(two_days: Archive, tmp_path: Path) -> Path:
    """The 25 slots of one window, in a folder of their own."""
    return filled(two_days, tmp_path / "fresh", times(25))


def filled(archive: Archive, folder: Path, slots: Iterable[datetime]) -> Path:
    for when in slots:
        for channel in ("ir", "wv"):
            path = folder / name_of(channel, when)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(archive.pictures / name_of(channel, when), path)
    return folder


def refused(fresh: Fresh, kind: str = "quarantined") -> list[tuple[str, str]]:
    assert fresh.query.pictures is not None
    return [(Path(one.path).name, one.reason) for one in fresh.query.pictures.checked.of(kind)]


def vector_of(root: Root, unit: Any, at: datetime) -> Any:
    part = require_current(root).part(SOURCE)
    searcher = open_lance(root, part, root.source(SOURCE), SPECS[unit])
    return asked(searcher, SearchRequest(SOURCE, at, unit=unit), part.model)[1]


def held(root: Root) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in Path(root.url).rglob("*")}


@pytest.mark.parametrize("unit", ["clip", "frame"])
@pytest.mark.parametrize(("rerank", "bands"), [(None, "auto"), ("psnr", "all"), ("hist-chi-square", "wv")])
def test_files_of_the_archive_are_the_query_of_the_archive(
    root: Root, two_days: Archive, unit: Any, rerank: str | None, bands: str
) -> None:
    before = held(root)
    fresh = read_fresh(root, "mini", two_days.pictures, unit, START)
    assert np.array_equal(fresh.vector, vector_of(root, unit, START))
    known = SearchRequest(SOURCE, START, unit=unit, k=12, exclude_hours=3, episodes=False, rerank=rerank, bands=bands)
    expected, found = search(root, known), search(root, replace(known, at=None, like=fresh))
    assert found.query == expected.query
    assert [analog.id for analog in found.analogs] == [analog.id for analog in expected.analogs]
    for mine, theirs in zip(found.analogs, expected.analogs, strict=True):
        assert (mine.distance, mine.score) == (theirs.distance, theirs.score)
        assert mine.similarity == pytest.approx(theirs.similarity, abs=1e-12)
    document = found.document()
    assert document["query"].pop("fresh")["refused"] == []
    assert document["query"] == expected.document()["query"]
    assert held(root) == before


def test_the_latest_clip_is_asked_for_and_its_own_hours_are_left_out(
    root: Root, two_days: Archive, tmp_path: Path
) -> None:
    """40 slots: the last window that holds 20 begins at the 21st of them."""
    fresh = read_fresh(root, "mini", filled(two_days, tmp_path / "fresh", times(40)))
    assert fresh.query.start == START + 20 * CADENCE
    assert fresh.query.end == START + 20 * CADENCE + timedelta(hours=6)
    answer = search(root, SearchRequest(SOURCE, like=fresh, episodes=False, k=100, exclude_hours=24))
    assert answer.analogs
    assert fresh.query.start is not None
    assert all(abs(analog.start - fresh.query.start) > timedelta(hours=24) for analog in answer.analogs)
    assert read_fresh(root, "mini", tmp_path / "fresh", "frame").query.start == START + 39 * CADENCE


def test_pictures_that_the_archive_does_not_have_yet(longer_slots: tuple[Root, Path]) -> None:
    """Their query is what the archive will call them; what became of the files is in the answer."""
    root, folder = longer_slots
    fresh = read_fresh(root, "mini", folder)
    assert fresh.query.id == f"{SOURCE}/20200303T0500Z/6h20"
    document = search(root, SearchRequest(SOURCE, like=fresh, k=2)).document()
    assert document["query"]["clip_id"] == fresh.query.id
    assert "ends 11:00Z, after the last picture" in document["query"]["fresh"].pop("note")
    assert document["query"]["fresh"] == {
        "folder": str(folder), "pictures": 56, "refused": [], "suspect": [], "duplicates": [], "others": {},
        "unparsed": 0,
    }  # fmt: skip
    assert all(analog["similarity"] is not None for analog in document["analogs"])


@pytest.fixture
def longer_slots(root: Root, longer: Archive, tmp_path: Path) -> tuple[Root, Path]:
    """The root of two days, and the first 40 slots of a third day."""
    return root, filled(longer, tmp_path / "fresh", times(40, FIRST + timedelta(days=2)))


def test_what_is_damaged_is_refused_and_another_slot_takes_its_place(root: Root, folder: Path) -> None:
    whole = read_fresh(root, "mini", folder, at=START)
    path = folder / name_of("ir", START + 3 * CADENCE)
    path.write_bytes(path.read_bytes()[:2000])
    fresh = read_fresh(root, "mini", folder, at=START)
    assert refused(fresh) == [(path.name, "truncated")]
    assert fresh.query == whole.query
    assert not np.array_equal(fresh.vector, whole.vector)
    assert np.linalg.norm(fresh.vector - whole.vector) < 0.3 * np.linalg.norm(whole.vector)


def test_too_few_slots_say_how_many_and_offer_a_frame(root: Root, two_days: Archive, tmp_path: Path) -> None:
    folder = filled(two_days, tmp_path / "fresh", times(19))
    broken = folder / name_of("wv", START)
    broken.write_bytes(b"")
    with pytest.raises(NotFoundError, match=r"of the 20 slots .* 18 are complete.*--unit frame.*: empty") as caught:
        read_fresh(root, "mini", folder)
    assert broken.name in str(caught.value)
    assert read_fresh(root, "mini", folder, "frame").query.start == START + 18 * CADENCE
    with pytest.raises(NotFoundError, match="no frame of mini-t at 2020-03-02T02:00Z is complete; one needs ir, wv"):
        read_fresh(root, "mini", folder, "frame", START)


def test_a_clip_reaches_back_past_pictures_that_are_refused(root: Root, two_days: Archive, tmp_path: Path) -> None:
    folder = filled(two_days, tmp_path / "fresh", times(60))
    for when in times(20, START + 40 * CADENCE):
        (folder / name_of("wv", when)).write_bytes(b"no picture")
    fresh = read_fresh(root, "mini", folder)
    assert fresh.query.start == START + 20 * CADENCE
    assert {reason for _, reason in refused(fresh)} == {"not a picture"}
    assert len(refused(fresh)) == 20


def test_pictures_of_another_satellite_are_left_out(root: Root, folder: Path, tmp_path: Path) -> None:
    alone = read_fresh(root, "mini", folder)
    other = "coms_mi_le1b_ir01_ea040ps_201103030800.png"
    (folder / other).write_bytes(b"whatever it is")
    (folder / "notes.txt").write_text("hello")
    fresh = read_fresh(root, "mini", folder)
    assert np.array_equal(fresh.vector, alone.vector)
    assert fresh.query.pictures is not None
    assert fresh.query.pictures.checked.others == {"coms-ea": 1}
    assert fresh.query.pictures.checked.unparsed == 1
    (tmp_path / "others").mkdir()
    shutil.copyfile(folder / other, tmp_path / "others" / other)
    with pytest.raises(NotFoundError, match=r"none of 1 files is a picture of mini-t.*1 files of coms-ea"):
        read_fresh(root, "mini", tmp_path / "others")


def test_a_folder_without_pictures(root: Root, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="none of 0 files"):
        read_fresh(root, "mini", tmp_path)
    with pytest.raises(NotFoundError, match="is no folder"):
        read_fresh(root, "mini", tmp_path / "missing")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotFoundError, match="is no folder"):
        read_fresh(root, "mini", tmp_path / "file")


def test_links_that_lead_in_circles(root: Root, folder: Path) -> None:
    whole = read_fresh(root, "mini", folder)
    (folder / "202003" / "again").symlink_to(folder, target_is_directory=True)
    itself = folder / name_of("ir", START - CADENCE)
    itself.symlink_to(itself)
    fresh = read_fresh(root, "mini", folder)
    assert np.array_equal(fresh.vector, whole.vector)
    assert refused(fresh) == [(itself.name, "unreadable")]
    assert refused(fresh, "duplicate") == []


def png_header(rows: int, columns: int) -> bytes:
    body = struct.pack(">4sIIBBBBB", b"IHDR", columns, rows, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def test_a_header_that_promises_too_much_takes_no_memory(root: Root, folder: Path) -> None:
    """100,000 x 100,000 pixels, 30 GB, are refused by the header; and a file far too long is not read."""
    huge, long = folder / name_of("ir", START + CADENCE), folder / name_of("wv", START + 3 * CADENCE)
    huge.write_bytes(png_header(100_000, 100_000) + huge.read_bytes()[33:])
    with long.open("r+b") as file:
        file.truncate(1 << 40)
    fresh = read_fresh(root, "mini", folder)
    assert refused(fresh) == [(huge.name, "wrong size"), (long.name, "too large")]


def test_two_copies_of_a_slot(root: Root, folder: Path) -> None:
    """The same bytes again are a double; of others the better picture is taken."""
    whole = read_fresh(root, "mini", folder, at=START)
    first, second = name_of("ir", START + 4 * CADENCE), name_of("wv", START + 5 * CADENCE)
    (folder / "again").mkdir()
    shutil.copyfile(folder / first, folder / "again" / Path(first).name)
    torn = imagecodecs.png_decode((folder / second).read_bytes()).copy()
    torn[40:50] = torn[39]
    (folder / "again" / Path(second).name).write_bytes(imagecodecs.png_encode(torn, level=0))
    fresh = read_fresh(root, "mini", folder, at=START)
    assert np.array_equal(fresh.vector, whole.vector)
    assert sorted(refused(fresh, "duplicate")) == sorted(
        [(Path(first).name, "duplicate"), (Path(second).name, "duplicate")]
    )


def test_a_stale_copy_is_refused(root: Root, folder: Path) -> None:
    before, after = name_of("ir", START + 6 * CADENCE), name_of("ir", START + 7 * CADENCE)
    shutil.copyfile(folder / before, folder / after)
    assert refused(read_fresh(root, "mini", folder, at=START)) == [(Path(after).name, "stale copy")]


def test_an_overlay_that_the_root_does_not_know_is_told(root: Root, folder: Path) -> None:
    for path in folder.rglob("*.png"):
        pixels = imagecodecs.png_decode(path.read_bytes()).copy()
        pixels[50, :60] = (255, 255, 0)
        path.write_bytes(imagecodecs.png_encode(pixels))
    fresh = read_fresh(root, "mini", folder, at=START)
    assert {reason for _, reason in refused(fresh, "suspect")} == {"unknown overlay"}
    assert refused(fresh) == []
    answer = search(root, SearchRequest(SOURCE, like=fresh, exclude_hours=0, episodes=False))
    assert answer.analogs[0].similarity is not None


def numbered(two_days: Archive, folder: Path, count: int) -> Path:
    for n, when in enumerate(times(count), start=1):
        for channel in ("ir", "wv"):
            path = folder / f"image_{n}" / f"{channel}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(two_days.pictures / name_of(channel, when), path)
    return folder


def test_numbered_folders_have_no_time(root: Root, two_days: Archive, tmp_path: Path) -> None:
    folder = numbered(two_days, tmp_path / "numbered", 20)
    fresh = read_fresh(root, "mini", folder)
    assert (fresh.query.id, fresh.query.start) == (None, None)
    answer = search(root, SearchRequest(SOURCE, like=fresh, k=1, episodes=False))
    assert "tell no time" in answer.quality.why
    # Its own clip is found: nothing is known that could be left out. 20 slots in a row are not quite the archive's 20.
    assert abs(answer.analogs[0].start - START) <= timedelta(minutes=45)
    assert answer.analogs[0].similarity is not None
    frame = read_fresh(root, "mini", folder, "frame")
    assert np.array_equal(frame.vector, vector_of(root, "frame", START + 19 * CADENCE))
    with pytest.raises(UsageError, match="tell no times"):
        read_fresh(root, "mini", folder, at=START)
    (folder / "image_20" / "wv.png").write_bytes(b"")
    with pytest.raises(NotFoundError, match=r"19 of its 20 folders .* exactly 20 .*image_20/wv.png: empty"):
        read_fresh(root, "mini", folder)
    frame = read_fresh(root, "mini", folder, "frame")
    assert np.array_equal(frame.vector, vector_of(root, "frame", START + 18 * CADENCE))


def test_fresh_pictures_join_examples(root: Root, two_days: Archive) -> None:
    fresh = read_fresh(root, "mini", two_days.pictures, at=START)
    more = (Example(FIRST + timedelta(hours=3), 2.0),)
    plain = SearchRequest(SOURCE, START, k=5, exclude_hours=1, episodes=False, more=more)
    expected, found = search(root, plain), search(root, replace(plain, at=None, like=fresh))
    assert [(a.id, a.distance) for a in found.analogs] == [(a.id, a.distance) for a in expected.analogs]
    assert [a.similarity for a in found.analogs] == pytest.approx([a.similarity for a in expected.analogs])
    assert found.document()["query"]["examples"] == expected.document()["query"]["examples"]


def test_an_answer_to_fresh_pictures_is_drawn_with_them(longer_slots: tuple[Root, Path], tmp_path: Path) -> None:
    root, folder = longer_slots
    for unit in ("clip", "frame"):
        fresh = read_fresh(root, "mini", folder, unit)  # type: ignore[arg-type]
        answer = search(root, SearchRequest(SOURCE, like=fresh, k=1, unit=unit))  # type: ignore[arg-type]
        draw_answer(root, answer, tmp_path / f"{unit}.png")
        row = imagecodecs.png_decode((tmp_path / f"{unit}.png").read_bytes())[80:300, 210:450, :3]
        assert row.std() > 20, "the first picture of the query is weather, not an empty frame"


def test_a_query_of_another_model_is_refused(root: Root, folder: Path) -> None:
    fresh = replace(read_fresh(root, "mini", folder), model="another-0123456789ab")
    with pytest.raises(UsageError, match="embedded as a clip by model another-0123456789ab"):
        search(root, SearchRequest(SOURCE, like=fresh))
    with pytest.raises(UsageError, match="embedded as a clip"):
        search(root, SearchRequest(SOURCE, like=read_fresh(root, "mini", folder), unit="frame"))
    request = SearchRequest(SOURCE, like=read_fresh(root, "mini", folder))
    answer = search(root, request)
    with pytest.raises(UsageError, match="fresh pictures are not kept"):
        add_case(root, "now", request, answer)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 49), st.sampled_from(["cut", "flip", "swap", "grow"]), st.floats(0, 1)), max_size=8
    )
)
def test_whatever_is_wrong_with_files_each_is_taken_or_told(
    root: Root, two_days: Archive, tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, str, float]]
) -> None:
    folder = filled(two_days, tmp_path_factory.mktemp("damaged"), times(25))
    paths = sorted(folder.rglob("*.png"))
    for place, kind, share in damage:
        path = paths[place]
        data = bytearray(path.read_bytes())
        at = int(share * (len(data) - 1)) if data else 0
        if kind == "cut":
            del data[at:]
        elif kind == "flip" and data:
            data[at] ^= 1 << int(share * 7)
        elif kind == "swap":
            data = bytearray(paths[int(share * 49)].read_bytes())
        else:
            data += b"more"
        path.write_bytes(bytes(data))
    fresh, said = None, ""
    try:
        fresh = read_fresh(root, "mini", folder, at=START)
    except NotFoundError as error:
        said = str(error)
    if fresh is None:
        assert "Not taken" in said
        return
    assert np.isfinite(fresh.vector).all()
    assert fresh.query.pictures is not None
    checked = fresh.query.pictures.checked
    assert checked.pictures + len({one.path for one in checked.of("quarantined")}) == 50


def test_layout_reference_counts_the_pixels_of_the_files(root: Root, two_days: Archive) -> None:
    """A root of that layout compares what the published program does: overlay and title bar, too."""
    source = root.source(SOURCE)
    store, frames = HistogramStore(root, source, GridSpec.parse("6x20-reference")), frame_store(root, source)
    slot = frames.axis.slot(START)
    reader = PictureReader(source, frames.layers())
    data = (two_days.pictures / name_of("ir", START)).read_bytes()
    rgb = reader.decode(data, "ir.png")
    made = reader.check(rgb, "ir.png", "ir", START)
    assert np.array_equal(store.count_pixels(made.picture, rgb), store.count(frames, slot, "ir"))


AS_NOBODY = """
import os, sys
from pathlib import Path
from wxpipe.archive.fresh import FreshReader, list_folder
from wxpipe.satellites.names import NameReader
from wxpipe.store.frames import frame_store
from wxpipe.store.root import Root

frames, folder = frame_store(Root(sys.argv[1]), "mini-t"), Path(sys.argv[2])

def said():
    listing = list_folder(folder, frames.source, NameReader([frames.source.satellite]))
    reader = FreshReader(frames, folder, listing, lambda made, rgb: None)
    return [(one.reason, one.found) for one in reader.read(range(listing.slots[0], listing.slots[-1] + 1)).records]

said()  # imports everything, as long as it may
if os.getuid() == 0:
    frames.layers = lambda known=frames.layers(): known
    os.setuid(65534)
print(said())
"""


def test_a_file_that_may_not_be_read_is_refused(root: Root, two_days: Archive) -> None:
    """As an unprivileged user, where the tests run as root."""
    with tempfile.TemporaryDirectory() as place:
        folder = filled(two_days, Path(place), times(3))
        folder.chmod(0o755)
        (folder / name_of("ir", START + CADENCE)).chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, root.url, place], capture_output=True, text=True, check=False
        )
    assert done.stdout.strip() == "[('unreadable', 'permission denied')]", done.stderr
