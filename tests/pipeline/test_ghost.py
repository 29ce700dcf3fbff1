"""Ghosts: what was cut off or stood still holds old input, and comes back after the newer result was written.

It writes nothing, or what it wrote is found and mended; the content is in the end that of the newer input.
"""

from __future__ import annotations

import os
import shutil
import signal
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from tests.mini import (
    LATE,
    SOURCE,
    UP_TO_CLIPS,
    Archive,
    Undisturbed,
    backfill,
    check_up_to_clips,
    digest_of,
    end,
    points_of,
    start,
    wxpipe,
)
from tests.pipeline.dask_hosts import dask_hosts, stands_still, wait_for
from wxpipe.pipeline.plan import Range, make_plan
from wxpipe.store.root import Root
from wxpipe.store.stage import Context

SHARD = f"frames/{SOURCE}.zarr/picture/c/"
LATE_DAY = f"{SOURCE}/{LATE:%Y-%m-%d}"


@pytest.fixture
def seen(two_days: Archive, tmp_path: Path) -> Archive:
    """An archive of two days to which something will come."""
    archive = tmp_path / "archive"
    shutil.copytree(two_days.pictures, archive)
    return Archive(archive, two_days.site)


def arrive(longer: Archive, seen: Archive) -> None:
    shutil.copytree(longer.pictures, seen.pictures, dirs_exist_ok=True)


def requests_of(root: Path) -> list[str]:
    """Kinds of what has been asked for."""
    return [request.kind for request in Root(str(root)).requests.all()]


def open_work(root: Path) -> dict[str, set[str]]:
    """What is due up to clips: partitions by stage."""
    found: dict[str, set[str]] = {}
    for step in make_plan(Context(Root(str(root))), Range(stages=("ingest", "histograms", "clips"))).work:
        found.setdefault(step.stage, set()).add(step.partition.key)
    return found


@pytest.mark.parametrize(
    ("point", "writes"),
    [
        pytest.param(f"before put {SHARD}", False, id="before a write", marks=pytest.mark.slow),
        pytest.param(f"before rename {SHARD}", True, id="within a write"),
    ],
)
def test_a_run_that_stood_still_leaves_the_newer_result_in_the_end(
    point: str, writes: bool, seen: Archive, longer: Archive, second_run: Undisturbed, tmp_path: Path
) -> None:
    """It has read a day and stops, another lists a late file and does the day, and the first one wakes up.

    Where it stood before a write, it writes no shard more; where within one, it finds its shard over the newer one,
    and makes the day again itself.
    """
    root, log = tmp_path / "root", tmp_path / "log"
    stop = {"WXPIPE_STOP_AT": f"{point}:{tmp_path / 'stopped'}", "WXPIPE_WRITE_POINT_LOG": str(log)}
    ghost = start(*backfill(seen, root, *UP_TO_CLIPS), WXPIPE_LEASE_SECONDS="2", **stop)
    try:
        wait_for(lambda: stands_still(ghost), ghost)
        arrive(longer, seen)
        before = points_of(log)
        status, said = wxpipe(*backfill(seen, root, *UP_TO_CLIPS), WXPIPE_LEASE_SECONDS="2")
        assert status == 0, said
        assert f"waiting for {SOURCE}/2020-03" in said
        check_up_to_clips(root, second_run)
    finally:
        os.kill(ghost.pid, signal.SIGCONT)
        status, said = end(ghost)
    assert status == 0, said
    shards = [p for p in points_of(log)[len(before) :] if p.startswith(f"after put {SHARD}")]
    assert bool(shards) == writes
    assert requests_of(root) == ["repair"] * writes
    check_up_to_clips(root, second_run)
    assert not list(root.rglob("*.partial")), "a write that was given up left something behind"


def test_a_worker_whose_runner_is_gone_is_found_out_and_the_next_run_mends_it(
    seen: Archive, longer: Archive, second_run: Undisturbed, tmp_path: Path
) -> None:
    """Nobody hears the worker any more; so it asks for the day itself, and the plan shows it."""
    root = tmp_path / "root"
    stop = f"before rename {SHARD}:{tmp_path / 'stopped'}"
    with dask_hosts(tmp_path / "dask") as hosts:
        hosts.scheduler(DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="10 minutes")
        worker = hosts.worker("ghost", "--no-nanny", WXPIPE_STOP_AT=stop)
        runner = start(*backfill(seen, root, *UP_TO_CLIPS, "--scheduler", hosts.address))
        wait_for(lambda: stands_still(worker), runner)
        os.kill(runner.pid, signal.SIGKILL)
        end(runner)
        arrive(longer, seen)
        status, said = wxpipe(*backfill(seen, root, *UP_TO_CLIPS))
        assert status == 0, said
        check_up_to_clips(root, second_run)
        os.kill(worker.pid, signal.SIGCONT)
        wait_for(lambda: requests_of(root))
    assert digest_of(root)[f"frames/{SOURCE}"] != second_run.digest[f"frames/{SOURCE}"], "it wrote nothing old"
    days = {f"{SOURCE}/2020-03-0{n}" for n in (1, 2)}
    assert open_work(root) == dict.fromkeys(("ingest", "histograms", "clips"), days)
    status, said = wxpipe(*backfill(seen, root, *UP_TO_CLIPS))
    assert status == 0, said
    check_up_to_clips(root, second_run)


@pytest.mark.slow
def test_two_workers_of_one_run_at_one_day(seen: Archive, tmp_path: Path) -> None:
    """A scheduler gives the day of a silent worker to another, and both have the same lease.

    The picture has changed in between: one holds the old one, the other stores the new one.
    """
    root, peace = tmp_path / "root", tmp_path / "peace"
    with dask_hosts(tmp_path / "dask") as hosts:
        hosts.scheduler()
        stop = f"before rename {SHARD}:{tmp_path / 'stopped'}"
        ghost = hosts.worker("ghost", "--no-nanny", WXPIPE_STOP_AT=stop)
        runner = start(*backfill(seen, root, *UP_TO_CLIPS, "--scheduler", hosts.address))
        wait_for(lambda: stands_still(ghost), runner)
        change(seen.pictures)
        hosts.worker("other", "--no-nanny")
        status, said = end(runner)
        assert status == 0, said
        assert Root(str(root)).leases.latest(f"{SOURCE}/2020-03") == 3, "another run's lease came between"
        wxpipe(*backfill(seen, peace, *UP_TO_CLIPS))
        new = digest_of(peace)[f"frames/{SOURCE}"]
        assert digest_of(root)[f"frames/{SOURCE}"] == new
        os.kill(ghost.pid, signal.SIGCONT)
        wait_for(lambda: requests_of(root))
        assert digest_of(root)[f"frames/{SOURCE}"] != new, "it wrote nothing old"
    status, said = wxpipe(*backfill(seen, root, *UP_TO_CLIPS))
    assert status == 0, said
    assert digest_of(root) == {**digest_of(peace), "ledger": digest_of(root)["ledger"]}
    assert open_work(root) == {}


def change(pictures: Path) -> None:
    """Pictures of one time of the first day show something else from now on, under the same names."""
    for path in pictures.rglob(f"*{datetime(2020, 3, 1, 12):%Y%m%d%H%M}*"):
        with Image.open(path) as image:
            grey = image.copy()
        x, y = grey.width // 2, grey.height // 2
        grey.putpixel((x, y), grey.getpixel((x + 1, y + 1)))
        grey.putpixel((x + 1, y), grey.getpixel((x - 1, y - 1)))
        grey.save(path)
