"""What a machine does to a run: a full disk, a root that may not be written, a clock that jumps.

Each ends in words that name the fault and the remedy, leaves nothing half-written, and the same command goes on after.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.archive.trial import Trial
from tests.mini import SCRIPT, Archive, Undisturbed, backfill, check_whole, end, environment, points_of, start, wxpipe
from wxpipe.cli.app import app
from wxpipe.pipeline.digest import root_digest
from wxpipe.pipeline.events import Event, StageStarted, listening
from wxpipe.pipeline.run import Workers
from wxpipe.pipeline.validate import Wanted, validate
from wxpipe.store.leases import Leases
from wxpipe.store.objects import LocalObjects
from wxpipe.store.requests import Request
from wxpipe.store.root import Root

PAGE = 4096
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
NOBODY = 65534


def run_backfill(trial: Trial) -> Result:
    command = ["backfill", "--direct", "--archive", str(trial.archive), "--root", str(trial.root)]
    return CliRunner().invoke(app, [*command, "--satellites", str(trial.site)])


def words(result: Result) -> str:
    return " ".join((result.output + str(result.exception or "")).split())


def half_written(root: Path) -> list[Path]:
    return sorted(root.rglob("*.partial"))


def mount(folder: Path, *options: str) -> None:
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(trial: Trial, tmp_path: Path) -> Iterator[Trial]:
    """The trial with its root on a small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount(folder, "-t", "tmpfs", "-o", "size=8m", "tmpfs")
    try:
        shutil.move(trial.root, folder / "root")
        yield Trial(trial.source, trial.name, trial.first, trial.slots, trial.pristine, trial.archive,
                    folder / "root", trial.site)  # fmt: skip
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def fill(disk: Path, leave: int) -> Path:
    """Fills a disk but for some pages; returns the file that does."""
    filler = disk / "filler"
    free = os.statvfs(disk)
    filler.write_bytes(b"x" * max(0, free.f_bavail * free.f_bsize - leave * PAGE))
    return filler


def forget(disk: Trial, stage: str) -> None:
    """Makes a stage due; of ingest the pictures go, too: shards that come out the same are not written again."""
    shutil.rmtree(disk.root / "ledger" / stage)
    if stage == "ingest":
        shutil.rmtree(disk.root / f"frames/{disk.source.id}.zarr/picture/c")
        shutil.rmtree(disk.root / "ingested")


@pytest.mark.parametrize(
    ("stage", "pages"),
    [
        ("ingest", 20),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in (("histograms", 12), ("clips", 1), ("embed", 4))),
        ("release", 5),
    ],
)
def test_a_full_disk_is_said_and_the_run_goes_on_once_there_is_room(
    stage: str, pages: int, disk: Trial, digest: dict[str, str]
) -> None:
    """The disk fills as a stage begins: leases still fit, and what the stage makes does not."""
    if stage == "release":  # tables that are there would make room, were they dropped
        disk.opened().requests.record(Request("repair", "to be tried", ("release",), partitions=("default",)))
    else:
        forget(disk, stage)

    def hear(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == stage:
            fill(disk.root.parent, pages)

    with listening(hear):
        ran = run_backfill(disk)
    assert ran.exit_code == 1
    assert re.search("No space left on device", words(ran)), ran.output
    assert "Traceback" not in ran.output
    assert half_written(disk.root) == []
    (disk.root.parent / "filler").unlink()
    assert run_backfill(disk).exit_code == 0
    assert root_digest(disk.opened())["parts"] == digest
    assert validate(disk.opened(), Wanted(), Workers()).findings == ()


def test_a_stage_that_cannot_write_stops_at_once(disk: Trial) -> None:
    """A day after the other would read its pictures only to find the same full disk."""
    forget(disk, "ingest")

    def hear(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == "ingest":
            fill(disk.root.parent, 6)

    with listening(hear):
        ran = run_backfill(disk)
    assert "failed ingest trial-ea/2020-05-01" in words(ran)
    assert "failed ingest trial-ea/2020-05-02" not in words(ran)
    assert "make room, and run the same command again" in words(ran)


def test_a_limit_of_file_sizes_is_said(two_days: Archive, first_run: Undisturbed, tmp_path: Path) -> None:
    """What does not need a mount: the shards of pictures are too large, their ledger is not."""
    root = tmp_path / "root"
    run = subprocess.run(
        [str(SCRIPT), *backfill(two_days, root)], env=environment(), text=True,
        capture_output=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )  # fmt: skip
    assert run.returncode == 1, run.stderr
    assert "cannot be written: File too large; raise the limit" in " ".join(run.stderr.split())
    assert "Traceback" not in run.stderr
    assert half_written(root) == []
    status, said = wxpipe(*backfill(two_days, root))
    assert status == 0, said
    check_whole(root, first_run)


def test_a_read_only_root_is_read_and_not_written(disk: Trial) -> None:
    shutil.rmtree(disk.root / "ledger" / "clips")
    mount(disk.root.parent, "-o", "remount,ro")
    ran = run_backfill(disk)
    assert ran.exit_code == 1
    assert "Read-only file system; mount it for writing" in words(ran)
    said = CliRunner().invoke(app, ["validate", "--root", str(disk.root)])
    assert said.exit_code == 3
    assert "unexplained: clips" in said.stdout
    assert CliRunner().invoke(app, ["status", "--root", str(disk.root)]).exit_code == 0
    mount(disk.root.parent, "-o", "remount,rw")
    assert run_backfill(disk).exit_code == 0


SETPRIV = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all,+dac_read_search",
           "--ambient-caps=-all,+dac_read_search")  # fmt: skip
"""Another user, who may read everything (this installation may lie in a closed folder) and write nothing."""


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_who_may_not_write_is_told_so(trial: Trial, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    shutil.rmtree(trial.root / "ledger" / "clips")
    before = sorted(trial.root.rglob("*"))
    known = environment(HOME=str(home), NUMBA_CACHE_DIR=str(home))
    bare = {name: value for name, value in known.items() if not name.startswith("COVERAGE")}  # it would write here
    run = subprocess.run(
        [*SETPRIV, str(SCRIPT), "backfill", "--direct", "--archive", str(trial.archive), "--satellites",
         str(trial.site), "--root", str(trial.root)],
        env=bare, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert run.returncode == 1, run.stderr
    assert "cannot be written: Permission denied; let this user write there" in " ".join(run.stderr.split())
    assert "Traceback" not in run.stderr
    assert sorted(trial.root.rglob("*")) == before
    assert run_backfill(trial).exit_code == 0


# --- clocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("years", [-30, 30])
def test_files_from_another_time_are_the_same_files(years: int, trial: Trial, digest: dict[str, str]) -> None:
    """The root's files and the archive's bear times of the future, or of long ago: touched, and nothing else."""
    then = time.time() + years * 365 * 86_400
    for folder in (trial.root, trial.archive):
        for path in folder.rglob("*"):
            os.utime(path, (then, then))
    code, _ = trial.backfill(stages=())
    assert code == 0
    found = root_digest(trial.opened())["parts"]
    assert {k: v for k, v in found.items() if not k.startswith(("inventory/", "ledger"))} == {
        k: v for k, v in digest.items() if not k.startswith(("inventory/", "ledger"))
    }
    assert validate(trial.opened(), Wanted(), Workers()).findings == ()


def test_a_lease_is_held_whatever_the_times_on_its_files(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path)
    lease = Leases(objects, 60).try_acquire("coms-ea/2011-03")
    assert lease is not None
    for years in (-30, 30):
        for path in (tmp_path / "leases").rglob("*"):
            os.utime(path, (time.time() + years * 365 * 86_400,) * 2)
        assert Leases(objects, 60).try_acquire("coms-ea/2011-03") is None
    Leases(objects).check(lease)


@pytest.mark.slow
@pytest.mark.skipif(not FAKETIME.exists(), reason="Debian's package libfaketime is not installed")
def test_a_clock_that_jumps_by_years_during_a_run_changes_nothing(
    two_days: Archive, first_run: Undisturbed, tmp_path: Path
) -> None:
    """Ten years on as the first day is done, twenty back a little later; leases are of two seconds."""
    root, clock, log = tmp_path / "root", tmp_path / "clock", tmp_path / "log"
    clock.write_text("+0")
    run = start(
        *backfill(two_days, root), LD_PRELOAD=str(FAKETIME), FAKETIME_TIMESTAMP_FILE=str(clock), FAKETIME_NO_CACHE="1",
        DONT_FAKE_MONOTONIC="1", WXPIPE_LEASE_SECONDS="2", WXPIPE_WRITE_POINT_LOG=str(log),
    )  # fmt: skip
    for jump, point in (("+3650d", "after put ledger/ingest/"), ("-3650d", "after put ledger/embed/")):
        while run.poll() is None and not (log.exists() and any(p.startswith(point) for p in points_of(log))):
            time.sleep(0.01)
        clock.write_text(jump)
    status, said = end(run)
    assert status == 0, said
    years = {entry.finished[:4] for stage in ("ingest", "embed", "release")
             for entry in Root(str(root)).ledger.entries(stage).values()}  # fmt: skip
    assert len(years) > 1, "the clock did not jump"
    check_whole(root, first_run)


@pytest.mark.slow
@pytest.mark.skipif(not FAKETIME.exists(), reason="Debian's package libfaketime is not installed")
def test_a_run_that_was_killed_goes_on_with_a_clock_of_long_ago(
    two_days: Archive, first_run: Undisturbed, tmp_path: Path
) -> None:
    root, token = tmp_path / "root", tmp_path / "killed"
    future = {"LD_PRELOAD": str(FAKETIME), "DONT_FAKE_MONOTONIC": "1", "FAKETIME": "+3650d"}
    status, said = wxpipe(*backfill(two_days, root), WXPIPE_KILL_AT=f"60:{token}", **future)
    assert status == -signal.SIGKILL, said
    status, said = wxpipe(*backfill(two_days, root), **{**future, "FAKETIME": "-3650d"})
    assert status == 0, said
    check_whole(root, first_run)
