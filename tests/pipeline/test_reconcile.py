"""Reconciliation finds what does not add up, names it, and is silent about what has merely not run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.archive.trial import STAGES, Trial, titled_trial
from wxpipe.cli.app import app
from wxpipe.pipeline.reconcile import Difference, reconcile
from wxpipe.pipeline.status import root_status
from wxpipe.store.root import Root

DAY = "trial-ea/2020-05-02"
PICTURES, FRAMES = 20, 10
"""Of the second day: two channels, ten slots."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """An archive that was done to the end: vectors and a release that is current."""
    trial = titled_trial(tmp_path_factory.mktemp("whole"))
    code, _ = trial.backfill(stages=())
    assert code == 0
    return trial


@pytest.fixture
def root(whole: Trial) -> Root:
    return whole.opened()


@pytest.fixture
def changed(root: Root) -> Callable[..., None]:
    """(stage, key, counts) to a ledger entry that has other counts, for the length of a test."""
    kept = []

    def change(stage: str, key: str, **counts: int) -> None:
        entry = root.ledger.get(stage, key)
        assert entry is not None
        kept.append(entry)
        root.ledger.put(replace(entry, counts={**entry.counts, **counts}))

    yield change  # type: ignore[misc]
    for entry in reversed(kept):
        root.ledger.put(entry)


def count(root: Root, stage: str, key: str, name: str) -> int:
    entry = root.ledger.get(stage, key)
    assert entry is not None
    return entry.counts[name]


def test_a_root_that_was_done_to_the_end_adds_up(root: Root) -> None:
    assert reconcile(root) == []
    assert count(root, "ingest", DAY, "pictures_good") == count(root, "histograms", DAY, "pictures") == PICTURES
    assert count(root, "ingest", DAY, "frames_good") == count(root, "embed", DAY, "frame_vectors") == FRAMES
    assert count(root, "clips", DAY, "clips") == count(root, "embed", DAY, "clip_vectors") > 0
    status = root_status(root)
    assert (status["reconciled"], status["differences"], status["release"]) == (True, [], 1)


@pytest.mark.parametrize(
    ("stage", "counts", "where", "words"),
    [
        ("ingest", {"files": 19}, f"ingest {DAY}", ("20 files of the inventory", "19")),
        ("ingest", {"files_stored": 18}, f"ingest {DAY}", ("20 files", "18 stored + 0 quarantined + 0 duplicate")),
        ("ingest", {"files_duplicate": 2}, f"ingest {DAY}", ("20 files", "2 duplicate")),
        ("ingest", {"pictures_good": 21}, f"histograms {DAY}", ("21 (pictures_good + pictures_suspect", "20 pictures")),
        ("histograms", {"pictures": 12}, f"histograms {DAY}", ("20 (pictures_good", "12 pictures")),
        ("ingest", {"frames_good": 9}, f"embed {DAY}", ("9 (frames_good of ingest)", "10 frame_vectors")),
        ("embed", {"frame_vectors": 9}, f"embed {DAY}", ("10 (frames_good of ingest)", "9 frame_vectors")),
        ("embed", {"frame_vectors": 9}, "release 1", ("11 frame vectors", "12 rows")),
        ("embed", {"clip_vectors": 0}, f"embed {DAY}", ("(clips of clips)", "0 clip_vectors")),
        ("embed", {"clip_vectors": 0}, "release 1", ("clip vectors", "rows")),
        ("clips", {"clips": 1000}, f"embed {DAY}", ("1000 (clips of clips)", "clip_vectors")),
    ],
)
def test_a_count_that_differs_is_found_and_named(
    root: Root, changed: Callable[..., None], stage: str, counts: dict[str, int], where: str, words: tuple[str, str]
) -> None:
    changed(stage, DAY, **counts)
    there = [d for d in reconcile(root) if d.where == where]
    (found,) = [d for d in there if words[0] in d.expected and words[1] in d.found] or [there]
    assert isinstance(found, Difference), f"{words} is not said by {found}"
    status = root_status(root)
    assert not status["reconciled"]
    assert str(found) in status["differences"]


@pytest.mark.parametrize("counts", [{"listed": 25}, {"listed": 23}, {"unparsed": 1}, {"vanished": 1}])
def test_listed_files_are_all_told_apart(root: Root, changed: Callable[..., None], counts: dict[str, int]) -> None:
    changed("scan", "archive", **counts)
    (difference,) = reconcile(root)
    assert difference.where == "scan"
    assert f"{counts.get('listed', 24)} listed files" in difference.expected
    assert "recorded" in difference.found


def test_a_month_that_was_lost_from_the_inventory_is_found(whole: Trial) -> None:
    path = whole.root / "inventory/trial-ea/2020-05.parquet"
    kept = path.read_bytes()
    path.unlink()
    try:
        assert [str(d) for d in reconcile(whole.opened())] == ["scan: expected 0 files of the inventory, found 24"]
    finally:
        path.write_bytes(kept)


def test_a_difference_ends_a_run_with_3_and_is_said(whole: Trial, changed: Callable[..., None]) -> None:
    changed("histograms", DAY, pictures=12)
    command = ["backfill", "--direct", "--archive", str(whole.archive), "--root", str(whole.root)]
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 3
    assert f"does not reconcile histograms {DAY}" in " ".join(ran.stderr.split())
    said = CliRunner().invoke(app, ["status", "--json", "--root", str(whole.root)])
    document = json.loads(said.stdout)
    assert not document["reconciled"]
    assert document["differences"] == [
        str(Difference(f"histograms {DAY}", "20 (pictures_good + pictures_suspect of ingest)", "12 pictures"))
    ]


def test_what_has_not_run_is_no_difference(tmp_path: Path, whole: Trial) -> None:
    trial = Trial.of(whole, tmp_path)
    for stages in (STAGES[:1], STAGES[:2], STAGES):
        assert trial.backfill(stages=stages)[0] == 0
        assert reconcile(trial.opened()) == []


def test_new_files_that_wait_for_ingest_are_the_plans_business(tmp_path: Path, whole: Trial) -> None:
    """A file that came since: its day's entry tells of fewer files, which is no loss, and the plan says it is due."""
    trial = Trial.of(whole, tmp_path)
    late = trial.file(5, 0)
    data = late.read_bytes()
    late.unlink()
    assert trial.backfill()[0] == 0
    late.write_bytes(data)
    assert CliRunner().invoke(app, ["scan", str(trial.archive), "--root", str(trial.root)]).exit_code == 0
    assert root_status(trial.opened())["sources"]["trial-ea"]["stages"]["ingest"]["stale"] == 1
    assert reconcile(trial.opened()) == []
    assert trial.backfill()[0] == 0


def test_an_update_up_to_a_stage_is_no_difference_for_those_after_it(tmp_path: Path, whole: Trial) -> None:
    """Vectors of the day before the update: fewer than there are frames now, and due."""
    trial = Trial.of(whole, tmp_path)
    for channel in (0, 1):
        trial.file(5, channel).unlink()
    assert trial.backfill(stages=())[0] == 0
    trial.repair()
    for stages in (STAGES[:1], STAGES):
        assert trial.backfill(stages=stages)[0] == 0
    root = trial.opened()
    assert count(root, "embed", DAY, "frame_vectors") == FRAMES - 1
    assert root_status(root)["sources"]["trial-ea"]["stages"]["embed"]["stale"] >= 1
    assert trial.backfill(stages=())[0] == 0
    assert count(root, "embed", DAY, "frame_vectors") == FRAMES


def test_a_scan_that_failed_leaves_a_root_that_can_be_looked_at(tmp_path: Path, whole: Trial) -> None:
    trial = Trial.of(whole, tmp_path)
    assert trial.backfill()[0] == 0
    (tmp_path / "empty").mkdir()
    assert CliRunner().invoke(app, ["scan", str(tmp_path / "empty"), "--root", str(trial.root)]).exit_code != 0
    assert root_status(trial.opened())["reconciled"]
