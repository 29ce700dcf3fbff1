"""Ingest makes of a day what its files say, and again only what depends on what has changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tests.archive.trial import CELL, QUARTER, SLOTS, Trial, png
from wxpipe.archive.png import decode_png
from wxpipe.archive.source_pictures import source_picture
from wxpipe.archive.title import draw_title, load_font
from wxpipe.cli.app import app
from wxpipe.pipeline.reconcile import reconcile
from wxpipe.pipeline.status import root_status
from wxpipe.store.frames import NEVER, FrameStore, Status, frame_store
from wxpipe.store.root import Root

FIRST_DAY, SECOND_DAY = "trial-ea/2020-05-01", "trial-ea/2020-05-02"


# --- a real day ------------------------------------------------------------------------------------------------------


@dataclass
class RealDay:
    """The whole real day, done by one command without stages named, and what it said."""

    root: Root
    exit_code: int
    status: dict[str, Any]


@pytest.fixture(scope="module")
def done(real_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealDay]:
    folder = tmp_path_factory.mktemp("whole-day")
    (folder / "archive").symlink_to(real_archive / "coms")
    root = str(folder / "root")
    ran = CliRunner().invoke(app, ["backfill", "--direct", "--archive", str(folder / "archive"), "--root", root])
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.output
    said = CliRunner().invoke(app, ["status", "--json", "--root", root])
    yield RealDay(Root(root), ran.exit_code, json.loads(said.stdout))
    shutil.rmtree(folder)


def test_a_real_day_is_good_and_says_what_is_missing(done: RealDay) -> None:
    assert done.exit_code == 0
    document = done.status
    source = document["sources"]["coms-ea"]
    assert source["days"] == 1
    assert source["slots"] == {"good": 25, "missing": 2}
    expected = {"good": 100, "missing": 8, "quarantined": 0, "suspect": 0}
    assert {kind: source["pictures"][kind] for kind in expected} == expected
    assert source["clips"] == 6
    assert source["stages"]["ingest"] == {"done": 1, "stale": 0, "missing": 0, "failed": 0}
    assert document["root"] == done.root.url
    assert (document["release"], document["quarantined"], document["reconciled"]) == (1, 0, True)
    assert document["differences"] == []


def test_the_missing_slots_of_a_real_day_are_0830_and_1130(done: RealDay) -> None:
    frames = frame_store(done.root, "coms-ea")
    status = frames.day("status", date(2011, 3, 3))
    start = frames.axis.day_start(date(2011, 3, 3))
    times = {f"{frames.axis.time(start + slot):%H:%M}" for slot in np.flatnonzero((status == Status.MISSING).any(1))}
    assert times == {"08:30", "11:30"}
    assert (status == Status.MISSING).sum() == 8
    absent = np.flatnonzero((status == Status.ABSENT).all(1))
    assert absent.tolist() == [*range(27), *range(54, 96)], "before 06:45 and after 13:15 nobody knows"


def test_clips_of_a_real_day_begin_from_0645_to_0800(done: RealDay) -> None:
    table = pq.read_table(Path(done.root.url) / "clips/coms-ea/2011-03-03.parquet")
    starts = [value.strftime("%H:%M") for value in table["start"].to_pylist()]
    assert starts == ["06:45", "07:00", "07:15", "07:30", "07:45", "08:00"]


def test_real_pictures_come_back_bit_for_bit(done: RealDay, real_archive: Path) -> None:
    frames = frame_store(done.root, "coms-ea")
    for path in sorted((real_archive / "coms").rglob("*.png"))[::9]:
        when = datetime.strptime(path.stem[-12:], "%Y%m%d%H%M").replace(tzinfo=UTC)
        channel = path.name.split("_")[3]
        stored = source_picture(frames, frames.axis.slot(when), channel)
        assert np.array_equal(stored, decode_png(path.read_bytes(), path.name)), path.name


# --- a day of small pictures -----------------------------------------------------------------------------------------


def test_every_stored_picture_knows_its_time_height_and_layer(titled: Trial) -> None:
    frames = frame_store(titled.opened(), titled.source)
    start = frames.axis.slot(titled.first)
    arrays = {n: frames.slots(n, start - 1, start + SLOTS + 1) for n in ("rows", "layer", "time_observed", "status")}
    inside = slice(1, SLOTS + 1)
    assert (arrays["rows"][inside] == 120).all()
    assert (arrays["layer"][inside] == 1).all()
    seconds = [int(titled.time(slot).timestamp()) for slot in range(SLOTS)]
    assert arrays["time_observed"][inside, 0].tolist() == seconds
    for edge in (0, -1):
        assert (arrays["status"][edge] == Status.ABSENT).all()
        assert (arrays["time_observed"][edge] == NEVER).all()


def test_a_picture_a_few_minutes_off_its_slot_keeps_its_exact_time(trial: Trial) -> None:
    when = trial.time(CELL[0]) - timedelta(minutes=7)
    rgb = trial.pixels(*CELL)
    bar = trial.source.area.title_bar
    assert bar is not None
    grey = np.zeros((20, rgb.shape[1]), np.uint8)
    draw_title(grey, bar.text.format(channel="IR1", time=when), load_font(bar.font))
    rgb[:20] = np.stack([grey, grey, np.zeros_like(grey)], axis=-1)
    trial.file(*CELL).unlink()
    trial.put(trial.key(*CELL, minutes=-7), png(rgb))
    assert trial.backfill()[0] == 0
    assert trial.all_good_but()
    frames = frame_store(trial.opened(), trial.source)
    assert int(frames.slots("time_observed", (at := frames.axis.slot(when)), at + 1)[0, 0]) == int(when.timestamp())


def test_what_never_came_is_missing_between_the_first_file_and_the_last(trial: Trial) -> None:
    for slot, channel in ((3, 0), (3, 1), (6, 1)):
        trial.file(slot, channel).unlink()
    assert trial.backfill()[0] == 0
    assert trial.all_good_but(missing=[(3, 0), (3, 1), (6, 1)])
    source = root_status(trial.opened())["sources"]["trial-ea"]
    assert source["slots"] == {"good": SLOTS - 2, "missing": 2}
    trial.assert_reconciled()


def test_a_day_without_files_between_two_others_is_a_day_of_missing_pictures(trial: Trial) -> None:
    later = Path(trial.key(0, 0).replace("0501", "0504")).name
    rgb = trial.pixels(0, 0)
    model = trial.first
    trial.first = model + timedelta(days=3)
    trial.redraw(rgb, 0, 0)
    trial.first = model
    trial.put(f"later/{later}", png(rgb))
    assert trial.backfill()[0] == 0
    entries = trial.opened().ledger.entries("ingest")
    assert len(entries) == 4
    counts = entries["trial-ea/2020-05-03"].counts
    assert (counts["files"], counts["pictures_missing"], counts["pictures_good"]) == (0, 2 * 96, 0)
    trial.assert_reconciled()


def test_days_come_in_any_order_to_the_same_end(trial: Trial, titled: Trial) -> None:
    assert trial.backfill("--from", "2020-05-02")[0] == 0
    assert trial.opened().ledger.entries("ingest").keys() == {SECOND_DAY}
    assert trial.backfill("--to", "2020-05-01")[0] == 0
    assert trial.backfill()[0] == 0
    assert trial.content() == titled.sound


def test_new_files_of_a_new_slot_are_all_that_an_update_does(trial: Trial, titled: Trial) -> None:
    late = [trial.file(SLOTS - 1, channel) for channel in (0, 1)]
    for path in late:
        path.unlink()
    assert trial.backfill()[0] == 0
    trial.repair()
    code, ran = trial.backfill()
    assert (code, f"ingest {FIRST_DAY}" in ran) == (0, False)
    assert trial.content() == titled.sound


# --- changes ---------------------------------------------------------------------------------------------------------


def test_files_that_were_touched_are_read_and_nothing_after_that_runs(trial: Trial) -> None:
    assert trial.backfill()[0] == 0
    before, entries = trial.content(), trial.opened().ledger.entries("ingest")
    shards = {path: path.stat().st_mtime_ns for path in (trial.root / "frames").rglob("*") if path.is_file()}
    for path in trial.archive.rglob("*.png"):
        os.utime(path)
    code, ran = trial.backfill()
    assert (code, ran) == (0, {f"ingest {FIRST_DAY}", f"ingest {SECOND_DAY}"})
    assert trial.content() == before
    again = trial.opened().ledger.entries("ingest")
    assert {key: entry.output for key, entry in again.items()} == {key: entry.output for key, entry in entries.items()}
    assert all(path.stat().st_mtime_ns == written for path, written in shards.items()), "no shard was written again"
    assert trial.backfill() == (0, set())


def test_touched_files_keep_what_was_said_of_them(trial: Trial) -> None:
    trial.put(trial.key(*CELL), b"")
    assert trial.backfill()[0] == 3
    said = trial.records()
    for path in trial.archive.rglob("*.png"):
        os.utime(path)
    assert trial.backfill()[0] == 3
    assert trial.records() == said
    trial.assert_reconciled()


def test_other_bytes_of_the_same_pixels_change_nothing_after_ingest(trial: Trial) -> None:
    assert trial.backfill()[0] == 0
    before = trial.content()
    trial.put(trial.key(*CELL), png(trial.pixels(*CELL), level=9))
    assert trial.backfill() == (0, {f"ingest {SECOND_DAY}"})
    assert trial.content() == before


def test_other_pixels_are_stored_and_what_depends_on_them_runs(trial: Trial) -> None:
    assert trial.backfill()[0] == 0
    before = trial.content()
    rgb = trial.pixels(*CELL)
    rgb[60:64, 100:104] = 200
    trial.put(trial.key(*CELL), png(rgb))
    code, ran = trial.backfill()
    assert code == 0
    assert ran == {f"ingest {SECOND_DAY}", f"histograms {SECOND_DAY}", f"clips {SECOND_DAY}", f"clips {FIRST_DAY}"}
    after = trial.content()
    assert (trial.picture(*CELL)[60:64, 100:104] == 200).sum() >= 8, "all that no line is drawn on"
    assert {name for name in after if after[name] != before[name]} == {
        "frames/trial-ea",
        "histograms/trial-ea/24x20-exact",
    }


def test_the_last_picture_before_midnight_is_looked_at_by_both_days(trial: Trial) -> None:
    """The second day must tell whether its first picture is a copy; it finds that it is not, and stays as it was."""
    assert trial.time(1) + QUARTER == trial.time(2)
    assert trial.backfill()[0] == 0
    trial.put(trial.key(1, 0), png(trial.pixels(1, 0), level=9))
    code, ran = trial.backfill()
    assert (code, ran) == (0, {f"ingest {FIRST_DAY}", f"ingest {SECOND_DAY}"})


def test_a_root_that_lost_a_days_ledger_entry_makes_it_again(trial: Trial, titled: Trial) -> None:
    assert trial.backfill()[0] == 0
    (trial.root / f"ledger/ingest/{SECOND_DAY}.json").unlink()
    assert trial.backfill() == (0, {f"ingest {SECOND_DAY}"})
    assert trial.content() == titled.sound
    assert reconcile(trial.opened()) == []


def test_a_day_whose_rewriting_was_broken_off_is_made_again_though_its_old_files_came_back(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trial.backfill()[0] == 0
    sound, file = trial.content(), trial.file(*CELL)
    old, times = file.read_bytes(), (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    rgb = trial.pixels(*CELL)
    rgb[60:64, 100:104] = 200
    trial.put(trial.key(*CELL), png(rgb))
    with monkeypatch.context() as broken:
        broken.setattr(FrameStore, "write_rest", _stop)  # the pictures are written, the rest is not
        assert trial.backfill()[0] != 0
    file.write_bytes(old)
    os.utime(file, ns=times)
    code, ran = trial.backfill()
    assert (code, ran) == (0, {f"ingest {SECOND_DAY}"}), "the ledger's old entry must not pass for the mixed shards"
    assert trial.content() == sound


def _stop(*_: object) -> None:
    raise KeyboardInterrupt
