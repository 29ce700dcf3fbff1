"""Two runs of one range at once, and a run that stood still while another took its place, come to the same content."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
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
    end,
    kill_group,
    points_of,
    start,
    wxpipe,
)
from wxpipe.store.root import Root


@pytest.mark.parametrize(
    "others",
    [
        pytest.param((), id="both in their own process"),
        pytest.param(("--workers", "2"), id="one with Dask workers"),
    ],
)
def test_two_backfills_at_once_make_what_one_makes(
    others: tuple[str, ...], two_days: Archive, first_run: Undisturbed, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    runs = [start(*backfill(two_days, root)), start(*backfill(two_days, root, *others))]
    ended = [end(run) for run in runs]
    assert [status for status, _ in ended] == [0, 0], "\n".join(said for _, said in ended)
    check_whole(root, first_run)
    done = [int(count) for _, said in ended for count in re.findall(r"(\d+) partitions done", said)]
    assert sum(done) == 11, "a partition was done twice, or by nobody"


def test_a_ghost_does_not_leave_its_old_content_over_a_newer_result(
    two_days: Archive, longer: Archive, second_run: Undisturbed, tmp_path: Path
) -> None:
    """A run that has read a day stops, another lists a late file and does the day, and the first one wakes up.

    It writes what it has in hand over the newer shards, finds that its lease was taken, and makes the day again.
    """
    root, log, archive = tmp_path / "root", tmp_path / "log", tmp_path / "archive"
    shutil.copytree(two_days.pictures, archive)
    seen = Archive(archive, two_days.site)
    ghost = start(*backfill(seen, root, *UP_TO_CLIPS), WXPIPE_LEASE_SECONDS="2", WXPIPE_WRITE_POINT_LOG=str(log))
    os.setpriority(os.PRIO_PROCESS, ghost.pid, 19)  # whoever watches it comes first, on a busy machine too
    try:
        stop_when(ghost, lambda: any("/picture/c/" in point for point in logged(log)))
        frozen = logged(log)
        shutil.copytree(longer.pictures, archive, dirs_exist_ok=True)
        status, said = wxpipe(*backfill(seen, root, *UP_TO_CLIPS), WXPIPE_LEASE_SECONDS="2")
        assert status == 0, said
        assert f"waiting for {SOURCE}/2020-03" in said, "the lease was free: the ghost had gone on before it stopped"
        check_up_to_clips(root, second_run)
        assert Root(str(root)).leases.latest(f"{SOURCE}/2020-03") > 1
    finally:
        os.kill(ghost.pid, signal.SIGCONT)
        status, said = end(ghost)
    assert status == 0, said
    written = points_of(log)[len(frozen) :]
    assert any("after put frames/" in point for point in written), "the ghost wrote nothing"
    check_up_to_clips(root, second_run)


def logged(log: Path) -> list[str]:
    return points_of(log) if log.exists() else []


def stop_when(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    """Stops a process (it keeps what it holds, and does nothing) as soon as it has come to a point."""
    while not reached():
        assert process.poll() is None, end(process)[1]
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGSTOP)


def test_the_lease_of_a_process_that_is_gone_is_taken_at_once(two_days: Archive, tmp_path: Path) -> None:
    """Leases of 600 seconds: whoever comes next on this host does not wait for a dead holder."""
    root, token = tmp_path / "root", tmp_path / "killed"
    command = backfill(two_days, root, "--stage", "ingest")
    status, said = wxpipe(*command, WXPIPE_KILL_AT=f"60:{token}")
    assert status == -signal.SIGKILL, said
    process = start(*command)
    try:
        status, said = end(process, seconds=60)
    finally:
        kill_group(process)
    assert status == 0, said
    assert "waiting" not in said
    assert Root(str(root)).leases.latest(f"{SOURCE}/2020-03") == 2
