"""What a change of the archive or of the settings runs again: all that depends on it, and nothing else.

Over a released root of three days. Clips of one day reach six hours into the next, and ingest looks back one slot.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.archive.trial import png
from tests.mini import FIRST, SOURCE, make_archive
from wxpipe.archive.inventory import inventory_of
from wxpipe.archive.picture import PictureReader
from wxpipe.archive.png import decode_png
from wxpipe.config import FORMAT
from wxpipe.embedding.embed_stage import read_vectors
from wxpipe.errors import WxpipeError
from wxpipe.pipeline.backfill import Job, Report, plan, run, scan
from wxpipe.pipeline.digest import root_digest
from wxpipe.pipeline.events import Event, Result, listening
from wxpipe.pipeline.run import Workers
from wxpipe.pipeline.status import root_status
from wxpipe.satellites.catalog import load_satellites
from wxpipe.store.frames import Status, frame_store
from wxpipe.store.root import Root
from wxpipe.vectors.release import current_number

SLOTS = 3 * 96
BEFORE_MIDNIGHT = datetime(2020, 3, 2, 23, 45, tzinfo=UTC)
AFTER_MIDNIGHT = datetime(2020, 3, 3, 0, 15, tzinfo=UTC)
NOON = datetime(2020, 3, 2, 12, 0, tzinfo=UTC)
FIRST_DAY, SECOND_DAY, THIRD_DAY = (FIRST.date() + timedelta(days=n) for n in range(3))


@dataclass
class Small:
    """An archive of three days, its root up to a release, and what a run over it did."""

    archive: Path
    site: Path
    root: Path

    @property
    def job(self) -> Job:
        return Job(str(self.root), str(self.archive), str(self.site), options={"train_epochs": 1})

    def backfill(self) -> set[str]:
        """Scans and does all that is due; what ran, e.g. ``ingest 2020-03-02``."""
        ran: set[str] = set()

        def hear(event: Event) -> None:
            if isinstance(event, Result):
                ran.add(f"{event.stage} {event.partition.day or ''}".strip())

        assert scan(self.job).state == "done"
        with listening(hear):
            self.report: Report = run(self.job, Workers())
        assert not self.report.failed
        assert self.report.differences == ()
        assert plan(self.job).work == ()
        return ran

    def files(self, time: datetime) -> list[Path]:
        return sorted(self.archive.rglob(f"*{time:%Y%m%d%H%M}*"))

    def opened(self) -> Root:
        return Root(str(self.root))

    def parts(self) -> dict[str, str]:
        found: dict[str, str] = root_digest(self.opened())["parts"]
        return found

    def outputs(self) -> dict[str, str]:
        """What every partition of every stage but the scan came to."""
        ledger = self.opened().ledger
        return {f"{stage} {key}": entry.output for stage in ledger.stages() if stage != "scan"
                for key, entry in ledger.entries(stage).items()}  # fmt: skip

    def vectors(self) -> dict[str, bytes]:
        """Every frame's and clip's vector, by its identity."""
        root, found = self.opened(), {}
        model = root.ledger.output("train", SOURCE)
        for day in (FIRST_DAY, SECOND_DAY, THIRD_DAY):
            table = read_vectors(root, model, SOURCE, day)
            rows = np.asarray(table["vector"].to_pylist(), np.float32)
            found |= {name: row.tobytes() for name, row in zip(table["id"].to_pylist(), rows, strict=True)}
        return found


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def days(stage: str, *which: date) -> set[str]:
    return {f"{stage} {day}" for day in which}


def touching(vectors: set[str], times: list[datetime]) -> set[str]:
    """Vectors of these times' frames, and of the clips whose six hours hold one of them."""

    def holds(name: str) -> bool:
        start = datetime.strptime(name.split("/")[1], "%Y%m%dT%H%MZ").replace(tzinfo=UTC)
        length = timedelta(hours=6) if name.count("/") == 2 else timedelta()
        return any(start <= time <= start + length for time in times)

    return {name for name in vectors if holds(name)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A root of every slot. To be copied."""
    folder = tmp_path_factory.mktemp("whole")
    made = make_archive(folder, SLOTS)
    small = Small(made.pictures, made.site, folder / "root")
    small.backfill()
    return small


@pytest.fixture
def small(whole: Small, tmp_path: Path) -> Small:
    shutil.copytree(whole.archive, tmp_path / "archive")
    shutil.copytree(whole.root, tmp_path / "root")
    return Small(tmp_path / "archive", whole.site, tmp_path / "root")


@pytest.fixture(scope="module")
def lacking(whole: Small) -> Callable[[datetime, Path], Small]:
    """(time, folder) to a root that was made while the pictures of a time had not come; they have just."""

    def make(time: datetime, folder: Path) -> Small:
        shutil.copytree(whole.archive, folder / "archive")
        small = Small(folder / "archive", whole.site, folder / "root")
        kept = {path: path.read_bytes() for path in small.files(time)}
        assert len(kept) == 2
        for path in kept:
            path.unlink()
        small.backfill()
        for path, data in kept.items():
            path.write_bytes(data)
        return small

    return make


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        pytest.param(
            BEFORE_MIDNIGHT,
            days("ingest", SECOND_DAY, THIRD_DAY) | days("histograms", SECOND_DAY)
            | days("clips", FIRST_DAY, SECOND_DAY) | days("embed", FIRST_DAY, SECOND_DAY),
            id="the last slot of a day: the next day looks back at it",
        ),
        pytest.param(
            AFTER_MIDNIGHT,
            days("ingest", THIRD_DAY) | days("histograms", THIRD_DAY)
            | days("clips", SECOND_DAY, THIRD_DAY) | days("embed", SECOND_DAY, THIRD_DAY),
            id="an early slot: clips of the day before reach it",
        ),
    ],
)  # fmt: skip
def test_a_late_file_runs_what_depends_on_it(
    time: datetime, expected: set[str], lacking: Callable[[datetime, Path], Small], tmp_path: Path
) -> None:
    small = lacking(time, tmp_path)
    outputs, vectors, parts, release = small.outputs(), small.vectors(), small.parts(), current_number(small.opened())
    assert small.backfill() == expected | {"release"}
    after = small.vectors()
    differ = changed(vectors, after)
    assert differ, "the new frame at least"
    assert differ <= touching(differ | vectors.keys(), [time])
    assert {name for name in after.keys() - vectors.keys() if name.count("/") == 1} == {f"{SOURCE}/{time:%Y%m%dT%H%MZ}"}
    assert changed(parts, small.parts()).isdisjoint({"models", "pairs", "settings"})
    day = time.date()
    again = {key for key in changed(outputs, small.outputs()) if not key.startswith("release")}
    assert f"ingest {SOURCE}/{day}" in again
    assert {key for key in again if key.startswith(("ingest", "histograms"))} == {
        f"ingest {SOURCE}/{day}", f"histograms {SOURCE}/{day}"}  # fmt: skip
    assert current_number(small.opened()) == (release or 0) + 1


def test_touched_files_run_nothing_but_a_look(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, parts = small.outputs(), small.parts()
    written = {p: p.stat().st_mtime_ns for part in ("frames", "histograms", "clips", "vectors", "lance", "models")
               for p in (small.root / part).rglob("*") if p.is_file()}  # fmt: skip
    for path in small.archive.rglob("*.png"):
        os.utime(path)
    with monkeypatch.context() as patched:
        patched.setattr(PictureReader, "read", _refuse)
        assert small.backfill() == days("ingest", FIRST_DAY, SECOND_DAY, THIRD_DAY)
    assert small.outputs() == outputs
    assert small.parts() == parts
    assert all(path.stat().st_mtime_ns == time for path, time in written.items())
    assert small.backfill() == set()


def _refuse(*_: object) -> None:
    raise AssertionError("a picture was decoded")


def test_changed_content_is_as_late(small: Small) -> None:
    vectors = small.vectors()
    (path, _) = small.files(NOON)
    rgb = decode_png(path.read_bytes(), path.name).copy()
    grey = (rgb.max(axis=2) == rgb.min(axis=2)) & (np.indices(rgb.shape[:2])[0] > rgb.shape[0] // 2)
    rgb[grey] = 255 - rgb[grey]
    path.write_bytes(png(rgb))
    expected = days("ingest", SECOND_DAY) | days("histograms", SECOND_DAY)
    expected |= days("clips", FIRST_DAY, SECOND_DAY) | days("embed", FIRST_DAY, SECOND_DAY) | {"release"}
    assert small.backfill() == expected
    differ = changed(vectors, small.vectors())
    assert f"{SOURCE}/{NOON:%Y%m%dT%H%MZ}" in differ
    assert differ == touching(differ, [NOON])
    assert len(differ) > 10, "the clips that hold it"


def test_vanished_files_are_shown_and_erase_nothing(small: Small) -> None:
    outputs, parts = small.outputs(), small.parts()
    times = [NOON, BEFORE_MIDNIGHT]
    gone = [path for time in times for path in small.files(time)]
    for path in gone:
        path.unlink()
    assert small.backfill() == days("ingest", SECOND_DAY, THIRD_DAY)
    assert small.outputs() == outputs
    assert {name.partition("/")[0] for name in changed(parts, small.parts())} == {"inventory", "ledger"}
    assert root_status(small.opened())["sources"][SOURCE]["files"]["vanished"] == 4
    inventory = inventory_of(small.opened(), SOURCE)
    shown = [file.path for file in inventory.day(SECOND_DAY) if file.vanished]
    assert sorted(shown) == sorted(str(path.relative_to(small.archive)) for path in gone)
    frames = frame_store(small.opened(), SOURCE)
    assert (frames.day("status", SECOND_DAY) == Status.GOOD).all()
    assert frames.picture(frames.axis.slot(NOON), frames.channels[0]).any()
    assert small.backfill() == set()


# --- settings --------------------------------------------------------------------------------------------------------


def set_data(small: Small, old: str, new: str) -> None:
    """Changes the root's document, as a migration does."""
    path = small.root / "wxpipe.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_bins_that_are_added_are_counted_and_change_nothing_else(small: Small) -> None:
    outputs, parts, vectors = small.outputs(), small.parts(), small.vectors()
    set_data(small, '"24x20-exact",', '"24x20-exact",\n    "24x32-exact",')
    assert small.backfill() == days("histograms", FIRST_DAY, SECOND_DAY, THIRD_DAY)
    assert small.vectors() == vectors
    again = small.parts()
    assert changed(parts, again) == {"settings", "ledger", f"histograms/{SOURCE}/24x32-exact"}
    assert {key.split()[0] for key in changed(outputs, small.outputs())} == {"histograms"}


def test_another_choice_of_frames_makes_other_clips_and_no_other_frames(small: Small) -> None:
    vectors, parts = small.vectors(), small.parts()
    set_data(small, 'clip_choice = "even"', 'clip_choice = "published"')
    every = (FIRST_DAY, SECOND_DAY, THIRD_DAY)
    assert small.backfill() == days("clips", *every) | days("embed", *every) | {"release"}
    differ = changed(vectors, small.vectors())
    assert differ
    assert all(name.count("/") == 2 for name in differ), "clips, not frames"
    same = {f"frames/{SOURCE}", f"histograms/{SOURCE}/24x20-exact", "models", "pairs"}
    assert changed(parts, small.parts()).isdisjoint(same)


@pytest.mark.parametrize(
    ("field", "line"),
    [("title", 'title = "Another title"'), ("imagery", 'imagery = "Somebody else"')],
)
def test_words_about_a_satellite_run_nothing(small: Small, tmp_path: Path, field: str, line: str) -> None:
    small.site = another_site(small.site, tmp_path, field, line)
    assert small.backfill() == set()
    assert getattr(small.opened().satellites["mini"], field) in line


def test_a_field_that_defines_the_data_is_refused_by_name(small: Small, tmp_path: Path) -> None:
    sound, small.site = small.site, another_site(small.site, tmp_path, "rows", "rows = 92")
    result = scan(small.job)
    assert result.state == "failed"
    assert "satellite mini: areas differ from what the root was made with" in result.error
    small.site = sound
    assert small.backfill() == set()


def another_site(site: Path, folder: Path, field: str, line: str) -> Path:
    """A copy of a site's satellite with one line changed."""
    lines = [line if text.startswith(f"{field} =") else text for text in site.read_text().splitlines()]
    assert line in lines
    made = folder / "site" / site.name
    made.parent.mkdir(exist_ok=True)
    made.write_text("\n".join(lines))
    assert load_satellites(str(made))
    return made


def test_what_pictures_are_checked_by_is_looked_at_by_every_day(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They all pass again, so nothing after ingest runs; and nothing that was read by the old rule is taken over."""
    outputs, read = small.outputs(), []
    sound = PictureReader.read
    monkeypatch.setattr(PictureReader, "read", lambda self, *of: (read.append(of[1]), sound(self, *of))[1])
    small.site = another_site(small.site, tmp_path, "rows", "rows = 96\nmiddle = [37.5, 127.0]")
    set_data(small, "[satellites.mini.areas.t]", "[satellites.mini.areas.t]\nmiddle = [37.5, 127.0]")
    assert small.backfill() == days("ingest", FIRST_DAY, SECOND_DAY, THIRD_DAY)
    assert small.outputs() == outputs
    assert len(set(read)) == 2 * SLOTS


def test_a_root_of_an_unknown_format_is_refused(small: Small) -> None:
    set_data(small, f"format = {FORMAT}", "format = 99")
    with pytest.raises(WxpipeError, match="has format 99"):
        small.opened()
