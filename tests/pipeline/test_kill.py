"""Killed (-9) at any write point and started again, a run comes to the content of one that nobody disturbed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mini import (
    SOURCE,
    UP_TO_CLIPS,
    Archive,
    Undisturbed,
    backfill,
    check_up_to_clips,
    check_whole,
    digest_of,
    end,
    kill_group,
    points_of,
    start,
    wxpipe,
)
from wxpipe.store.root import Root


@dataclass(frozen=True)
class Moment:
    """A write point of a run: the ``nth`` that begins with a text (-1: the last).

    Attributes:
        update: of the second run, that adds and changes days; else of the first.
    """

    point: str
    nth: int = 0
    update: bool = False

    def kill(self, points: list[str]) -> str:
        """What kills a run at it, as ``WXPIPE_KILL_AT`` says it without the token: "<n> <text>"."""
        named = sum(point.startswith(self.point) for point in points)
        assert named, f"no write point begins with {self.point!r}"
        return f"{range(1, named + 1)[self.nth]} {self.point}"

    def __str__(self) -> str:
        run = "update" if self.update else "first run"
        return f"{run}: {self.point}{' (last)' if self.nth == -1 else ''}"


FRAMES, HISTOGRAMS = f"frames/{SOURCE}.zarr", f"histograms/{SOURCE}.zarr"

OFTEN = (
    Moment("after put-if-absent leases/scan/"),
    Moment("before put ledger/embed/", -1),
    Moment("before put-if-absent promotions/", update=True),
)
"""One of a kind; in every run of the tests."""

SELDOM = (
    Moment("before rename wxpipe.toml"),
    Moment(f"before rename {FRAMES}/picture/c/", -1),
    Moment(f"after put inventory/{SOURCE}/"),
    Moment(f"before put-if-absent {FRAMES}/zarr.json"),
    Moment(f"after put-if-absent {FRAMES}/overlay/c/"),
    Moment(f"after put {FRAMES}/status/c/"),
    Moment(f"after put ledger/ingest/{SOURCE}/"),
    Moment(f"before rename {HISTOGRAMS}"),
    Moment(f"after put clips/{SOURCE}/"),
    Moment("after put models/"),
    Moment("after create clips-"),
    Moment("after add clips-"),
    Moment("after tag clips-"),
    Moment("after put-if-absent releases/"),
    Moment(f"after put {FRAMES}/picture/c/", update=True),
    Moment("before merge frames-", update=True),
    Moment("after merge clips-", update=True),
)

MOMENTS = (
    *(pytest.param(moment, id=str(moment)) for moment in OFTEN),
    *(pytest.param(moment, id=str(moment), marks=pytest.mark.slow) for moment in SELDOM),
)


def test_twenty_moments_are_spread_over_every_kind_of_write() -> None:
    moments = {*OFTEN, *SELDOM}
    assert len(moments) == 20
    verbs = {moment.point.split(" ")[1] for moment in moments}
    assert verbs == {"put", "rename", "put-if-absent", "create", "add", "merge", "tag"}
    assert {moment.point.split(" ")[0] for moment in moments} == {"before", "after"}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_started_again(
    moment: Moment,
    two_days: Archive,
    longer: Archive,
    first_run: Undisturbed,
    second_run: Undisturbed,
    tmp_path: Path,
) -> None:
    archive, peace = (longer, second_run) if moment.update else (two_days, first_run)
    root, log, token = tmp_path / "root", tmp_path / "log", tmp_path / "killed"
    if moment.update:
        shutil.copytree(first_run.root, root)
    at = moment.kill(list(peace.points))
    begun = time.monotonic()
    status, said = wxpipe(*backfill(archive, root), WXPIPE_KILL_AT=f"{at}:{token}", WXPIPE_WRITE_POINT_LOG=str(log))
    assert status == -signal.SIGKILL, said
    killed = time.monotonic()
    passed = points_of(log)
    assert passed[-1].startswith(moment.point)
    assert passed[-1] in peace.points, "the run passes other points than the undisturbed one"
    assert digest_of_any(root) != peace.digest, "nothing was left to do"
    status, said = wxpipe(*backfill(archive, root))
    assert status == 0, said
    took = f"{killed - begun:.1f} s | {time.monotonic() - killed:.1f} s"
    print(f"{moment} | {len(passed)} of {len(peace.points)} | {took}")
    check_whole(root, peace)


def digest_of_any(root: Path) -> dict[str, str]:
    """The digest of a root, or nothing where there is not even one yet."""
    return digest_of(root) if (root / "wxpipe.toml").exists() else {}


def test_a_worker_that_dies_is_replaced_and_the_run_goes_on(
    longer: Archive, first_run: Undisturbed, second_run: Undisturbed, tmp_path: Path
) -> None:
    """The n-th write point of a *worker*: Dask's nanny gives the variable to workers alone."""
    root, token = tmp_path / "root", tmp_path / "killed"
    shutil.copytree(first_run.root, root)
    of_workers = json.dumps({"WXPIPE_KILL_AT": f"12:{token}"})
    status, said = wxpipe(
        *backfill(longer, root, *UP_TO_CLIPS, "--workers", "2"), DASK_DISTRIBUTED__NANNY__ENVIRON=of_workers
    )
    assert token.exists(), f"no worker died\n{said}"
    assert status == 0, said
    check_up_to_clips(root, second_run)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a Dask scheduler with two workers, none of them a child of a run."""
    file = tmp_path / "scheduler.json"
    commands = (
        ["scheduler", "--port", "0", "--dashboard-address", ":0", "--scheduler-file", str(file)],
        ["worker", "--scheduler-file", str(file), "--nworkers", "2", "--nthreads", "1", "--no-dashboard"],
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "dask", *command],
            start_new_session=True,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for command in commands
    ]
    try:
        while not file.exists():
            assert processes[0].poll() is None, "the scheduler did not start"
            time.sleep(0.1)
        yield json.loads(file.read_text())["address"]
    finally:
        for process in reversed(processes):
            kill_group(process)


def test_a_runner_that_dies_while_workers_go_on(
    scheduler: str, longer: Archive, first_run: Undisturbed, second_run: Undisturbed, tmp_path: Path
) -> None:
    """The next run takes the lease at once; what the workers still write for the dead one does no harm."""
    root, log = tmp_path / "root", tmp_path / "log"
    shutil.copytree(first_run.root, root)
    command = backfill(longer, root, *UP_TO_CLIPS, "--scheduler", scheduler)
    before = Root(str(root)).ledger.entries("ingest")
    runner = start(*command)
    while Root(str(root)).ledger.entries("ingest") == before:
        assert runner.poll() is None, end(runner)[1]
        time.sleep(0.005)
    os.kill(runner.pid, signal.SIGKILL)
    status, _ = end(runner)
    assert status == -signal.SIGKILL
    status, said = wxpipe(*command, WXPIPE_WRITE_POINT_LOG=str(log))
    assert status == 0, said
    check_up_to_clips(root, second_run)
