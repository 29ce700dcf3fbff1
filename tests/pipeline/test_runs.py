"""Runs are on record while they go on and after; one that is asked to stop ends cleanly and can go on later."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mini import UP_TO_CLIPS, Archive, backfill, check_up_to_clips, end, start, wxpipe
from tests.mini import Undisturbed as Peace
from tests.pipeline.fake_stage import attempts, context_of, partition
from wxpipe.errors import Cancelled, NotFoundError
from wxpipe.pipeline import runs
from wxpipe.pipeline.backfill import Job, run
from wxpipe.pipeline.events import Event, Result, listening
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers
from wxpipe.pipeline.runs import all_runs, cancel, registered, running
from wxpipe.store.root import Root, init_root
from wxpipe.store.stage import Context

fake = pytest.mark.usefixtures("fake_stages")


def job_of(context: Context) -> Job:
    return Job(context.root.url, wanted=Range(stages=("fake",)), options=dict(context.options))


@fake
def test_a_run_is_on_record_with_who_what_how_far_and_how_it_ended(tmp_path: Path) -> None:
    context = context_of(tmp_path, "ok", "refuses", "ok")
    run(job_of(context), Workers())
    run(replace(job_of(context), options={"fake": {"2020-01-02": "ok"}}), Workers())
    first, second = all_runs(context.root)
    assert (first.number, first.state, dict(first.progress)) == (1, "failed", {"fake": (2, 1, 3)})
    assert (second.number, second.state, dict(second.progress)) == (2, "done", {"fake": (1, 0, 1)})
    assert "@" in first.who
    assert first.process == os.getpid()
    assert first.parameters["stages"] == ["fake"]
    assert running(context.root) == []


@fake
def test_a_bug_ends_the_record_as_failed_with_its_message(tmp_path: Path) -> None:
    root = init_root(str(tmp_path))
    with pytest.raises(ZeroDivisionError), registered(root, "backfill", {}):
        raise ZeroDivisionError("a bug")
    assert (all_runs(root)[0].state, all_runs(root)[0].message) == ("failed", "ZeroDivisionError: a bug")


@fake
def test_a_cancelled_run_begins_nothing_more_and_gives_its_leases_back(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("WXPIPE_POLL_SECONDS", "0.02")
    context = context_of(tmp_path, *["ok"] * 20)
    seen = threading.Event()

    def ask(event: Event) -> None:
        if isinstance(event, Result) and event.partition == partition(3):
            cancel(context.root, 1, "the disk is needed")
            while not runs._current[0].cancelled:
                seen.wait(0.01)

    with listening(ask), pytest.raises(Cancelled, match=r"run 1 was asked to stop by .*@.*: the disk is needed"):
        run(job_of(context), Workers())
    record = all_runs(context.root)[0]
    assert (record.state, record.progress["fake"]) == ("cancelled", (3, 0, 20))
    assert record.cancelled_by.endswith("the disk is needed")
    assert [attempts(context.root, partition(n)) for n in (3, 4)] == [1, 0]
    held = context.root.leases.try_acquire(partition(1).lease_key)
    assert held is not None, "its lease was not given back"
    context.root.leases.release(held)
    assert run(job_of(context), Workers()).exit_code == 0
    assert [attempts(context.root, partition(n)) for n in (1, 3, 4, 20)] == [1, 1, 1, 1]


@fake
def test_what_cannot_be_cancelled_is_refused(tmp_path: Path) -> None:
    context = context_of(tmp_path, "ok")
    run(job_of(context), Workers())
    for number in (1, 7):
        with pytest.raises(NotFoundError, match=f"no run {number} that goes on; there are none"):
            cancel(context.root, number)


def test_runs_that_begin_at_once_have_numbers_of_their_own(tmp_path: Path) -> None:
    root = init_root(str(tmp_path))

    def one(_: int) -> int:
        with registered(root, "backfill", {}) as number:
            return number

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(one, range(24))) == list(range(1, 25))


def test_a_run_that_died_without_a_word_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = init_root(str(tmp_path))
    with registered(root, "backfill", {}):
        assert all_runs(root)[0].state == "running"
        monkeypatch.setattr(runs, "FORGOTTEN_SECONDS", -2)
        assert all_runs(root)[0].state == "silent"


def _wait_for_ledger(root: Path, process: subprocess.Popen[str]) -> None:
    """Until the first day is ingested."""
    while not list(root.glob("ledger/ingest/*/*.json")):
        assert process.poll() is None, "it ended before its first day was done"
        threading.Event().wait(0.02)


@pytest.mark.parametrize("how", ["the verb", "SIGTERM"])
def test_a_command_that_is_asked_to_stop_ends_cleanly_and_goes_on_later(
    how: str, two_days: Archive, first_run: Peace, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    process = start(*backfill(two_days, root, *UP_TO_CLIPS), WXPIPE_POLL_SECONDS="0.05")
    _wait_for_ledger(root, process)
    if how == "SIGTERM":
        os.kill(process.pid, signal.SIGTERM)
    else:
        cancel(Root(str(root)), 1, "maintenance")
    status, said = end(process)
    assert status == 130, said
    assert ("asked to stop by SIGTERM" if how == "SIGTERM" else ": maintenance") in said
    assert all_runs(Root(str(root)))[0].state == "cancelled"
    assert not list(root.rglob("*.partial"))
    status, said = wxpipe(*backfill(two_days, root, *UP_TO_CLIPS))
    assert status == 0, said
    check_up_to_clips(root, first_run)
