"""What is asked for anew is made anew, all of it and nothing else, whoever does it; and it is on record why."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tests import mini
from tests.mini import SOURCE, Archive, Undisturbed, digest_of
from wxpipe.cli import main
from wxpipe.pipeline.backfill import Job
from wxpipe.pipeline.events import Event, Result, listening
from wxpipe.pipeline.plan import Range, make_plan
from wxpipe.pipeline.reprocess import ask, troubled_days
from wxpipe.pipeline.runs import all_runs
from wxpipe.store.root import Root
from wxpipe.store.stage import Context

SECOND = "2020-03-02"


@pytest.fixture
def root(first_run: Undisturbed, tmp_path: Path) -> Path:
    """A root of two days with its release, to be changed."""
    return shutil.copytree(first_run.root, tmp_path / "root")


def wxpipe(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> tuple[int, list[str]]:
    """Runs a command in this process: (status, what was done, as ``stage key``)."""
    done: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, Result):
            done.append(f"{event.stage} {event.partition.key}")

    monkeypatch.setattr("sys.argv", ["wxpipe", *map(str, arguments)])
    with listening(hear), pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0), done


def test_what_is_asked_for_is_made_anew_and_nothing_follows_where_it_comes_out_the_same(
    root: Path, first_run: Undisturbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ("reprocess", "--root", root, "--stage", "histograms", "--from", SECOND, "--reason", "a doubt", "--direct")
    status, done = wxpipe(monkeypatch, *said)
    assert (status, done) == (0, [f"histograms {SOURCE}/{SECOND}"])
    assert digest_of(root) == first_run.digest
    opened = Root(str(root))
    request = opened.requests.all()[0]
    assert (request.kind, request.why, request.stages) == ("reprocess", "a doubt", ("histograms",))
    assert request.first == date.fromisoformat(SECOND)
    entry = opened.ledger.get("histograms", f"{SOURCE}/{SECOND}")
    assert entry is not None
    assert entry.request == request.number
    assert wxpipe(monkeypatch, *said)[1] == [f"histograms {SOURCE}/{SECOND}"], "asked twice is done twice"


def test_pictures_are_decoded_again_though_their_files_are_as_they_were(
    root: Path, two_days: Archive, first_run: Undisturbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = next(root.glob(f"frames/{SOURCE}.zarr/picture/c/*/0/0/0"))
    before = shard.stat().st_ino
    status, done = wxpipe(
        monkeypatch, "reprocess", "--root", root, *two_days.options, "--stage", "ingest", "--reason", "x", "--direct"
    )
    assert (status, done) == (0, [f"ingest {SOURCE}/2020-03-01", f"ingest {SOURCE}/{SECOND}"])
    assert shard.stat().st_ino != before, "the shard was not written again"
    assert digest_of(root) == first_run.digest


def test_a_request_outlives_whoever_asked(root: Path, two_days: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(Job(str(root), wanted=Range(stages=("clips",))), "asked, and then the power failed")
    due = make_plan(Context(Root(str(root))), Range()).work
    assert [(step.stage, step.reason) for step in due] == [("clips", "stale"), ("clips", "stale")]
    status, done = wxpipe(monkeypatch, "backfill", "--root", root, *two_days.options, "--direct")
    assert (status, len(done)) == (0, 2)
    assert make_plan(Context(Root(str(root))), Range()).work == ()


def test_a_frozen_stage_is_made_anew_only_by_its_name(root: Path) -> None:
    ask(Job(str(root)), "everything")
    assert {s.stage for s in make_plan(Context(Root(str(root))), Range()).work} == {
        "ingest", "histograms", "clips", "embed"
    }  # fmt: skip
    ask(Job(str(root), wanted=Range((SOURCE,), stages=("pairs",))), "other pairs")
    assert "pairs" in {s.stage for s in make_plan(Context(Root(str(root))), Range()).work}


def test_a_dry_run_shows_what_would_be_due_and_writes_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    monkeypatch.setattr(
        "sys.argv",
        ["wxpipe", "reprocess", "--root", str(root), "--stage", "embed", "--reason", "x", "--dry-run"],
    )
    with pytest.raises(SystemExit):
        main()
    told = capsys.readouterr().err
    assert [line.split("│")[2:5] for line in told.splitlines() if "embed" in line and "│" in line] == [
        [" 0    ", " 2     ", " 0       "]
    ], told
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (("--stage", "ingest"), "give --reason"),
        (("--stage", "scan", "--reason", "x"), "scan is done in every run"),
        (("--stage", "nonsense", "--reason", "x"), "no stage 'nonsense'; there are"),
        (("--satellite", "venus", "--reason", "x"), "venus"),
        (("--from", "2020-03-02", "--to", "2020-03-01", "--reason", "x"), "ends before that"),
    ],
)
def test_a_request_that_cannot_be_understood_is_refused_and_not_recorded(
    said: tuple[str, ...], words: str, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wxpipe(monkeypatch, "reprocess", "--root", root, *said, "--direct") == (2, [])
    assert words in capsys.readouterr().err
    assert Root(str(root)).requests.all() == []


@pytest.fixture
def spoiled(two_days: Archive, tmp_path: Path) -> Archive:
    """The archive with one truncated file on the second day."""
    folder = shutil.copytree(two_days.site.parent, tmp_path / "spoiled")
    archive = Archive(folder / two_days.pictures.name, folder / two_days.site.name)
    victim = sorted(archive.pictures.rglob("*20200302*"))[20]
    victim.write_bytes(victim.read_bytes()[:200])
    return archive


def test_quarantined_days_and_failed_ones_are_found_by_filter_and_done_again(
    root: Path, spoiled: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, _ = wxpipe(monkeypatch, "backfill", "--root", root, *spoiled.options, "--direct")
    assert status == 3
    opened = Root(str(root))
    found = troubled_days(opened, Range())
    assert [(day.key, day.stage, day.reasons) for day in found] == [
        (f"{SOURCE}/{SECOND}", "ingest", (("truncated", 1),))
    ]
    assert troubled_days(opened, Range(), reasons=("palette",)) == []
    assert troubled_days(opened, Range(last=date(2020, 3, 1))) == []
    assert troubled_days(opened, Range(), quarantined=False) == []
    again = ("retry", "--root", root, *spoiled.options, "--direct")
    assert wxpipe(monkeypatch, *again, "--reason", "truncated") == (3, [f"ingest {SOURCE}/{SECOND}"])
    assert len(Root(str(root)).requests.all()) == 1


def test_retry_does_what_failed_and_the_day_before_whose_clips_reach_into_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Root(str(root))
    entry = opened.ledger.get("histograms", f"{SOURCE}/{SECOND}")
    assert entry is not None
    opened.ledger.put(replace(entry, state="failed", error="no space left"))
    opened.objects.delete("ledger/histograms/" + f"{SOURCE}/2020-03-01.json")
    found = troubled_days(opened, Range())
    assert [(day.key, day.reasons) for day in found] == [(f"{SOURCE}/{SECOND}", (("no space left", 1),))]
    status, done = wxpipe(monkeypatch, "retry", "--root", root, "--direct")
    assert (status, done) == (0, [f"histograms {SOURCE}/2020-03-01", f"histograms {SOURCE}/{SECOND}"])


@pytest.mark.slow
def test_a_retry_through_prefect_does_its_days_alone_and_needs_no_archive(root: Path) -> None:
    opened = Root(str(root))
    for day in ("2020-03-01", SECOND):
        entry = opened.ledger.get("histograms", f"{SOURCE}/{day}")
        assert entry is not None
        opened.ledger.put(replace(entry, state="failed", error="no space left"))
    status, said = mini.wxpipe("retry", "--root", str(root), "--to", "2020-03-01", "--workers", "1")
    assert status == 0, said
    states = {key: entry.state for key, entry in Root(str(root)).ledger.entries("histograms").items()}
    assert states == {f"{SOURCE}/2020-03-01": "done", f"{SOURCE}/{SECOND}": "failed"}
    assert [(run.verb, run.state) for run in all_runs(Root(str(root)))][-1] == ("retry", "done")
