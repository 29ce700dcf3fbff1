"""Two runs of one range at once come to the content of one; the lease of a dead one is free."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.mini import (
    SOURCE,
    Archive,
    Undisturbed,
    backfill,
    check_whole,
    end,
    kill_group,
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
