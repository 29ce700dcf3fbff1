"""What a bad file does: it is named with a reason, the rest of the day is complete, and mending it mends that alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.archive.trial import (
    CELL,
    FAULTS,
    SLOTS,
    STAGES,
    Trial,
    copy_previous,
    copy_previous_retitled,
    png,
    unprivileged,
)
from wxpipe.errors import WxpipeError
from wxpipe.pipeline.backfill import Job, run, scan
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers
from wxpipe.pipeline.status import root_status
from wxpipe.store.frames import Status

DAY = "trial-ea/2020-05-02"
DAY_BEFORE = "trial-ea/2020-05-01"
SPREAD = {f"ingest {DAY}", f"histograms {DAY}", f"clips {DAY}", f"clips {DAY_BEFORE}"}
"""What is made of the second day's pictures; clips of the day before reach into it."""
MOVED = "renamed over another channel"


def spoil_one_and_mend_it(trial: Trial, sound: Trial, name: str) -> set[str]:
    """Plants a fault, looks at everything a user would, repairs it; returns what ran again."""
    fault, (slot, channel) = FAULTS[name], CELL
    path = fault.plant(trial, slot, channel)
    code, _ = trial.backfill()
    record = trial.records()[path]
    assert (record.reason, record.kind) == (fault.reason, fault.kind), record
    assert fault.expected in record.expected
    assert fault.found in record.found
    assert len(trial.records()) == 1
    assert code == (3 if fault.kind == "quarantined" else 0)
    assert trial.all_good_but(**{fault.status.name: [(slot, channel)]})
    trial.assert_reconciled()
    assert trial.backfill() == (code, set()), "a second run does nothing and says the same"
    trial.repair()
    code, ran = trial.backfill()
    assert code == 0
    assert trial.records() == {}
    assert trial.content() == sound.sound
    trial.assert_reconciled()
    return ran


# All of them at once, and a month of all, are below and in `test_month_of_faults`.
ALONE = [pytest.param(name, marks=pytest.mark.slow) if n % 3 else name for n, name in enumerate(FAULTS)]


@pytest.mark.parametrize("name", ALONE)
def test_a_fault_is_named_and_its_repair_mends_just_what_it_spoiled(trial: Trial, titled: Trial, name: str) -> None:
    ran = spoil_one_and_mend_it(trial, titled, name)
    if FAULTS[name].spreads:
        assert ran == SPREAD
    elif FAULTS[name].reason == "impossible name":
        assert ran == set()
    else:
        assert ran == {f"ingest {DAY}"}, "the day is looked at again; nothing after it, for nothing changed"


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_real_pictures_is_named_and_mended(real_trial: Trial, real_day: Trial, name: str) -> None:
    spoil_one_and_mend_it(real_trial, real_day, name)


def plant_everything(trial: Trial) -> dict[str, tuple[str, tuple[int, int]]]:
    """Every fault of `FAULTS` at once, each at a place of its own: path and place by name."""
    channels = len(trial.source.satellite.channels)
    planted = {}
    for channel, name in enumerate(("copy of the previous slot", "copy of the previous slot, retitled")):
        planted[name] = (FAULTS[name].plant(trial, 1, channel), (1, channel))
    last = (trial.slots - 1, 0)
    planted[MOVED] = (FAULTS[MOVED].plant(trial, *last), last)
    places = [(slot, channel) for slot in range(1, trial.slots) for channel in range(channels)]
    spoiled = {(1, 0), (1, 1), last, (last[0], 1)}
    free = iter(place for place in places if place not in spoiled)
    whole = iter(channel % channels for channel in range(len(FAULTS)))
    for name in (name for name in FAULTS if name not in planted):
        # Faults that leave the picture good share the first slot's: they are all in files of their own.
        place = (0, next(whole)) if FAULTS[name].status is Status.GOOD else next(free)
        planted[name] = (FAULTS[name].plant(trial, *place), place)
    return planted


def assert_all_named(trial: Trial, planted: dict[str, tuple[str, tuple[int, int]]]) -> None:
    records = trial.records()
    assert {path for path, _ in planted.values()} <= records.keys()
    for name, (path, _) in planted.items():
        assert records[path].reason == FAULTS[name].reason, name
    assert len(records) == len(planted)
    places: dict[str, list[tuple[int, int]]] = {}
    for name, (_, place) in planted.items():
        if FAULTS[name].status is not Status.GOOD:
            places.setdefault(FAULTS[name].status.name, []).append(place)
    assert trial.all_good_but(**places)


@pytest.mark.parametrize("which", ["trial", "real_trial"])
def test_all_faults_at_once_are_all_named_and_all_mended(which: str, request: pytest.FixtureRequest) -> None:
    trial: Trial = request.getfixturevalue(which)
    sound: Trial = request.getfixturevalue("titled" if which == "trial" else "real_day")
    planted = plant_everything(trial)
    assert trial.backfill()[0] == 3
    assert_all_named(trial, planted)
    trial.assert_reconciled()
    trial.repair()
    assert trial.backfill()[0] == 0
    assert trial.records() == {}
    assert trial.content() == sound.sound
    trial.assert_reconciled()


@pytest.mark.parametrize(
    ("plant", "reason"), [(copy_previous, "title disagrees"), (copy_previous_retitled, "stale copy")]
)
def test_a_copy_of_the_last_picture_before_midnight_is_caught(
    trial: Trial, titled: Trial, plant: object, reason: str
) -> None:
    assert trial.time(2).hour == 0
    path = plant(trial, 2, 1)  # type: ignore[operator]
    assert trial.backfill()[0] == 3
    assert trial.records()[path].reason == reason
    assert trial.all_good_but(quarantined=[(2, 1)])
    trial.repair()
    assert trial.backfill()[0] == 0
    assert trial.content() == titled.sound


def test_a_picture_that_was_called_a_copy_is_taken_once_the_one_before_midnight_is_the_right_one(
    trial: Trial, titled: Trial
) -> None:
    """23:45 held what belongs to 00:00, at the same size to the byte: only its content tells that it changed."""
    early, late = trial.pixels(1, 0), trial.pixels(2, 0)
    trial.redraw(late, 1, 0)
    wrong, right = png(late, level=0), png(early, level=0)
    assert len(wrong) == len(right)
    trial.put(trial.key(1, 0), wrong)
    assert trial.backfill()[0] == 3
    assert trial.records()[trial.key(2, 0)].reason == "stale copy"
    trial.put(trial.key(1, 0), right)
    code, ran = trial.backfill()
    assert code == 0
    assert {f"ingest {DAY}", f"ingest {DAY_BEFORE}"} <= ran
    assert trial.content() == titled.sound


def test_a_copy_stays_out_when_the_picture_before_it_vanishes(trial: Trial) -> None:
    path = copy_previous_retitled(trial, 2, 1)
    assert trial.backfill()[0] == 3
    trial.file(1, 1).unlink()
    assert trial.backfill()[0] == 3
    assert trial.records()[path].reason == "stale copy"
    assert trial.all_good_but(quarantined=[(2, 1)])


def test_a_copy_of_a_copy_is_caught_too(trial: Trial) -> None:
    for slot in (4, 5):
        rgb = trial.pixels(3, 0)
        trial.redraw(rgb, slot, 0)
        trial.put(trial.key(slot, 0), png(rgb))
    assert trial.backfill()[0] == 3
    assert trial.all_good_but(quarantined=[(4, 0), (5, 0)])


def test_a_larger_sound_file_wins_and_the_other_is_a_recorded_duplicate(trial: Trial) -> None:
    """The larger one shows another grey value, so that the store tells which was taken."""
    rgb = trial.pixels(*CELL)
    rgb[60, 100] = 200
    trial.put(trial.key(*CELL, folder="unpacked"), png(rgb, level=0))
    assert trial.backfill()[0] == 0
    assert trial.picture(*CELL)[60, 100] == 200
    assert trial.records()[trial.key(*CELL)].kind == "duplicate"


def test_a_damaged_larger_file_loses_to_the_sound_smaller_one(trial: Trial, titled: Trial) -> None:
    FAULTS["larger copy is damaged"].plant(trial, *CELL)
    assert trial.backfill()[0] == 3
    assert trial.content() == titled.sound


def test_two_damaged_files_of_one_slot_are_both_named(trial: Trial) -> None:
    FAULTS["smaller copy is damaged"].plant(trial, *CELL)
    FAULTS["zero bytes"].plant(trial, *CELL)
    assert trial.backfill()[0] == 3
    assert {record.reason for record in trial.records().values()} == {"truncated", "empty"}
    assert trial.all_good_but(quarantined=[CELL])
    trial.assert_reconciled()


def test_files_that_are_not_ours_are_counted_and_are_no_fault(trial: Trial) -> None:
    trial.put("README.txt", b"hello")
    trial.put("thumbnails/thumb.png", b"small")
    trial.put(trial.key(*CELL, folder="china").replace("_ea", "_cn"), b"a picture of another area")
    assert trial.backfill()[0] == 0
    counts = trial.opened().ledger.entries("scan")["archive"].counts
    assert (counts["unparsed"], counts["unconfigured"], counts["recorded"]) == (2, 1, 2 * SLOTS)
    assert trial.records() == {}
    trial.assert_reconciled()


def test_a_name_that_is_no_text_is_listed_and_stops_nothing(trial: Trial) -> None:
    odd = os.fsencode(trial.archive) + b"/\xb1\xb8\xb8\xa7_" + os.fsencode(trial.file(*CELL).name)
    folder = os.fsencode(trial.archive) + b"/\xb1\xb8"
    os.mkdir(folder)
    for name in (odd, folder + b"/" + os.fsencode(trial.file(*CELL).name)):
        with open(name, "wb") as file:
            file.write(b"whatever")
    assert trial.backfill()[0] == 3
    record = next(iter(trial.records().values()))
    assert record.path.startswith(r"\xb1\xb8/")
    assert record.found == "the path is not UTF-8"
    assert trial.all_good_but()
    trial.assert_reconciled()


def test_a_file_that_goes_between_scan_and_ingest_is_named_and_the_rest_is_done(trial: Trial, titled: Trial) -> None:
    job = Job(str(trial.root), str(trial.archive), str(trial.site), Range(stages=STAGES))
    assert scan(job).state == "done"
    data = trial.file(*CELL).read_bytes()
    at = trial.file(*CELL).stat().st_mtime_ns
    trial.file(*CELL).unlink()
    assert run(job, Workers()).exit_code == 3
    record = trial.records()[trial.key(*CELL)]
    assert (record.reason, record.expected, record.found) == ("gone", "the file that the scan listed", "nothing")
    assert trial.all_good_but(quarantined=[CELL])
    trial.assert_reconciled()
    trial.file(*CELL).write_bytes(data)
    os.utime(trial.file(*CELL), ns=(at, at))  # as it was to the nanosecond: a listing shows no difference
    code, ran = trial.backfill()
    assert (code, ran) == (0, SPREAD)
    assert trial.content() == titled.sound
    assert trial.backfill() == (0, set())


def test_a_picture_whose_file_goes_during_a_later_run_is_kept(trial: Trial, titled: Trial) -> None:
    assert trial.backfill()[0] == 0
    job = Job(str(trial.root), str(trial.archive), str(trial.site), Range(stages=STAGES))
    trial.put(trial.key(*CELL), png(trial.pixels(*CELL), level=9))
    assert scan(job).state == "done"
    trial.file(*CELL).unlink()
    trial.file(8, 1).unlink()  # one that did not change is not asked for again
    assert run(job, Workers()).exit_code == 3
    assert {path: record.reason for path, record in trial.records().items()} == {trial.key(*CELL): "gone"}
    assert trial.all_good_but()
    assert trial.backfill()[0] == 0
    assert trial.records() == {}
    assert trial.content() == titled.sound
    trial.assert_reconciled()


def test_a_first_sample_without_its_files_stops_nothing(trial: Trial) -> None:
    job = Job(str(trial.root), str(trial.archive), str(trial.site), Range(stages=STAGES))
    assert scan(job).state == "done"
    for path in trial.archive.rglob("*.png"):
        path.unlink()
    report = run(job, Workers())
    assert not report.failed
    assert {record.reason for record in trial.records().values()} == {"gone"}
    assert len(trial.records()) == 2 * SLOTS


# --- what may not be read --------------------------------------------------------------------------------------------


@pytest.fixture
def others(titled: Trial) -> Iterator[Trial]:
    """An archive and a root in a folder that another, unprivileged user reaches and owns."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        trial = Trial.of(titled, Path(name))
        trial.root.mkdir()
        trial.site = Path(name) / "trial.toml"
        trial.site.write_bytes(titled.site.read_bytes() if titled.site else b"")
        yield trial


def test_an_unreadable_file_is_named_and_read_once_it_may_be(others: Trial, titled: Trial) -> None:
    others.file(*CELL).chmod(0)
    with unprivileged(others.root.parent):
        assert others.backfill()[0] == 3
        record = others.records()[others.key(*CELL)]
        assert (record.reason, record.found) == ("unreadable", "permission denied")
        assert others.all_good_but(quarantined=[CELL])
        others.assert_reconciled()
        assert others.backfill() == (3, set())
        others.file(*CELL).chmod(0o644)
        assert others.backfill() == (0, SPREAD), "permissions leave no mark on a file, and are noticed all the same"
        assert others.records() == {}
        assert others.content() == titled.sound
        assert others.backfill() == (0, set())


def test_an_unreadable_folder_is_named_and_the_rest_is_done(others: Trial, titled: Trial) -> None:
    folder = others.file(2, 0).parent
    folder.chmod(0)
    with unprivileged(others.root.parent):
        assert others.backfill()[0] == 3
        assert [(r.path, r.reason, r.found) for r in others.records().values()] == [
            (str(folder.relative_to(others.archive)), "cannot be listed", "Permission denied")
        ]
        assert (others.statuses()[:2] == Status.GOOD).all()
        others.assert_reconciled()
        folder.chmod(0o755)
        assert others.backfill()[0] == 0
        assert others.content() == titled.sound
        others.assert_reconciled()


def test_pictures_that_cannot_be_read_any_more_stay_in_the_store(others: Trial) -> None:
    with unprivileged(others.root.parent):
        assert others.backfill()[0] == 0
        before = others.picture(*CELL)
        others.file(*CELL).write_bytes(others.file(*CELL).read_bytes() + b"\0")  # so that it is to be read again
        others.file(*CELL).chmod(0)
        assert others.backfill()[0] == 3
        assert others.records()[others.key(*CELL)].reason == "unreadable"
        assert others.all_good_but()
        assert np.array_equal(others.picture(*CELL), before)
        others.assert_reconciled()


def test_an_archive_that_may_not_be_listed_is_refused_with_the_reason(others: Trial) -> None:
    others.archive.chmod(0)
    try:
        with unprivileged(others.root.parent), pytest.raises(WxpipeError, match=r"lists no files.*Permission denied"):
            others.backfill()
    finally:
        others.archive.chmod(0o755)


# --- absences --------------------------------------------------------------------------------------------------------


def test_a_file_that_vanished_is_shown_and_its_picture_kept(trial: Trial, titled: Trial) -> None:
    assert trial.backfill()[0] == 0
    trial.file(*CELL).unlink()
    code, ran = trial.backfill()
    assert (code, ran) == (0, {f"ingest {DAY}"}), "nothing after ingest runs: what is stored is the same"
    assert trial.content() == titled.sound
    assert [row.path for row in trial.inventory() if row.vanished] == [trial.key(*CELL)]
    document = root_status(trial.opened())["sources"]["trial-ea"]
    assert (document["files"]["vanished"], document["files"]["stored"]) == (1, 2 * SLOTS - 1)
    trial.assert_reconciled()
    assert trial.backfill() == (0, set())


def test_a_file_that_was_good_and_is_damaged_now_is_shown_and_not_covered_up_by_its_old_picture(trial: Trial) -> None:
    assert trial.backfill()[0] == 0
    trial.put(trial.key(*CELL), b"")
    assert trial.backfill()[0] == 3
    assert trial.all_good_but(quarantined=[CELL])


@pytest.mark.parametrize("first", [True, False], ids=["before anything was done", "after a backfill"])
def test_an_empty_archive_is_refused_and_nothing_is_lost(trial: Trial, first: bool) -> None:
    if not first:
        assert trial.backfill()[0] == 0
    full, trial.archive = trial.archive, trial.archive.parent / "unmounted"
    trial.archive.mkdir()
    with pytest.raises(WxpipeError, match=r"lists no files.*is the archive mounted"):
        trial.backfill()
    assert root_status(trial.opened())["reconciled"]
    trial.archive = full
    code, ran = trial.backfill()
    assert code == 0
    assert bool(ran) == first
    assert trial.all_good_but()
