"""Runs that are killed (-9) wherever a seed says and started again: each must come to the content of a run in peace.

    python -m tests.pipeline.kill_runs [--days 60] [--runs 48] [--seed 1] [--only 17 ...] [--folder DIR]

The small satellite `mini` (48 x 60 pixels, 2 channels, every 15 min), every stage to the release. A run dies at a write
point out of the undisturbed run's log, or at a random moment: its own process, a Dask worker, the runner of Dask
workers that live on a little, all of them at once, or the host (what was not synced is taken back). Any one can be
replayed by its number: the number and the seed say everything.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mini import (
    DAY,
    Archive,
    Undisturbed,
    backfill,
    check_whole,
    digest_of,
    end,
    kill_group,
    make_archive,
    points_of,
    start,
    wxpipe,
)
from tests.pipeline.crash.player import Recorder

VICTIMS = ("process", "process", "host", "worker", "runner", "everyone")
"""Who dies, in turn; the run in its own process twice, since it passes most write points in a known order."""
QUICK = ("--epochs", "2")
UNSYNCED = (("after rename ",), ("after create ", "after add ", "before tag ", "after tag "))
"""Write points at which a host's crash loses most: a name before its folder is synced, tables before they are settled.
"""


@dataclass(frozen=True)
class Trial:
    """One run that is killed.

    Attributes:
        number, seed: what all else is drawn from.
        victim: who dies.
        point: number of the write point where, from 1; 0: at a moment.
        moment: when, as a share of the partitions that the undisturbed run does.
        later: and so many seconds after that many are done.
    """

    number: int
    seed: int
    victim: str
    point: int
    moment: float
    later: float

    @classmethod
    def drawn(cls, number: int, seed: int, points: Sequence[str]) -> Trial:
        draw = random.Random(f"{seed} {number}")
        victim = VICTIMS[number % len(VICTIMS)]
        by_point = victim == "host" or (victim == "process" and draw.random() < 0.6)
        kind = draw.choice(UNSYNCED) if victim == "host" else ()
        there = [n for n, name in enumerate(points, 1) if not kind or name.startswith(kind)]
        return cls(number, seed, victim, draw.choice(there) if by_point else 0, draw.random(), draw.random())

    def __str__(self) -> str:
        where = f"write point {self.point}" if self.point else f"{self.moment:.0%} of the partitions"
        return f"run {self.number}, seed {self.seed}: {self.victim} at {where}"


@dataclass(frozen=True)
class Peace:
    """The archive, and what a run over it comes to when nobody disturbs it: content, seconds, partitions."""

    archive: Archive
    whole: Undisturbed
    seconds: float
    partitions: int

    @classmethod
    def made(cls, folder: Path, days: int) -> Peace:
        archive = make_archive(folder, days * DAY)
        root, log = folder / "peace", folder / "peace.log"
        begun = time.monotonic()
        status, said = wxpipe(*backfill(archive, root, *QUICK), WXPIPE_WRITE_POINT_LOG=str(log))
        assert status == 0, said
        seconds = time.monotonic() - begun
        return cls(archive, Undisturbed(root, digest_of(root), points_of(log)), seconds, done_in(root))


def done_in(root: Path) -> int:
    """Entries of a ledger: partitions that are done, or have begun."""
    return sum(1 for _ in root.glob("ledger/*/*/*.json")) + sum(1 for _ in root.glob("ledger/*/*.json"))


def wait_for_moment(root: Path, share: float, later: float, peace: Peace, there: Callable[[], bool]) -> bool:
    """Waits until a run has come so far; False where it has ended before."""
    while done_in(root) < share * peace.partitions:
        if not there():
            return False
        time.sleep(0.05)
    time.sleep(later)
    return there()


def run_trial(trial: Trial, peace: Peace, folder: Path) -> str:
    """Kills a run, starts it again, and compares; what happened, in a line.

    Raises:
        AssertionError: the content differs, or something is there twice or not at all.
    """
    root, scratch = folder / "root", folder / "scratch"
    scratch.mkdir(parents=True)
    recorder = Recorder.of(root, scratch) if trial.victim == "host" else None
    workers = ("--workers", "2") if trial.victim in ("worker", "runner", "everyone") else ()
    command = backfill(peace.archive, root, *QUICK, *workers)
    extra = recorder.environment if recorder is not None else {}
    if trial.point:
        extra = {**extra, "WXPIPE_KILL_AT": f"{trial.point}:{scratch / 'token'}"}
    process = start(*command, **extra)
    died = _killed(trial, process, peace, root)
    lost = recorder.crash(trial.number) if recorder is not None else (0, 0)
    status, said = wxpipe(*command)
    assert status == 0, f"{trial}: started again, it ended with {status}\n{said}"
    check_whole(root, peace.whole)
    taken = f"; {lost[0]} files lost data, {lost[1]} names were taken back" if recorder is not None else ""
    return f"{trial}: {died}; then whole{taken}"


def _killed(trial: Trial, process: subprocess.Popen[str], peace: Peace, root: Path) -> str:
    """Waits until the run dies at its point, or kills whom the trial says at its moment."""
    if trial.point:
        status, said = end(process, 3600)
        assert status == -signal.SIGKILL, f"{trial}: it ended with {status}\n{said}"
        return "killed"
    # a Dask cluster whose workers die before it has begun gives up, and says so
    begun = max(trial.moment, 1 / peace.partitions) if trial.victim == "worker" else trial.moment
    if not wait_for_moment(root, begun, trial.later, peace, lambda: process.poll() is None):
        return f"had ended already, with {end(process)[0]}"
    victims = _workers_of(process.pid) if trial.victim == "worker" else [process.pid]
    if trial.victim == "worker" and victims:
        os.kill(random.Random(trial.number).choice(victims), signal.SIGKILL)
        status, said = end(process, 3600)
        assert status == 0, f"{trial}: a worker's death ended the run with {status}\n{said}"
        return "a worker was killed and replaced"
    if trial.victim == "runner":
        os.kill(process.pid, signal.SIGKILL)  # its workers notice a little later
        time.sleep(0.2)
    end_of = "the runner was killed before its workers" if trial.victim == "runner" else "all were killed"
    kill_group(process)
    process.communicate()
    return end_of


def _workers_of(runner: int) -> list[int]:
    """Processes of Dask workers: children of the runner that multiprocessing has spawned."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            command = (folder / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent == runner and b"spawn_main" in command:
            found.append(int(folder.name))
    return found


@contextmanager
def _folder(named: str) -> Iterator[Path]:
    if named:
        Path(named).mkdir(parents=True, exist_ok=True)
        yield Path(named).resolve()
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder).resolve()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.pipeline.kill_runs", description=__doc__.split("\n")[0])
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--runs", type=int, default=48)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, nargs="+", help="these runs, by their numbers")
    parser.add_argument("--folder", default="", help="kept, where it is named; else a temporary one")
    options = parser.parse_args()
    with _folder(options.folder) as folder:
        peace = Peace.made(folder, options.days)
        said = {"days": options.days, "points": len(peace.whole.points), "seconds": round(peace.seconds, 1),
                "partitions": peace.partitions}  # fmt: skip
        print(f"in peace: {json.dumps(said)}", flush=True)
        numbers = options.only or range(options.runs)
        for number in numbers:
            trial = Trial.drawn(number, options.seed, peace.whole.points)
            print(run_trial(trial, peace, folder / f"run{number}"), flush=True)
            shutil.rmtree(folder / f"run{number}")
    print(f"{len(numbers)} runs killed, each came to the content of the one in peace")


if __name__ == "__main__":
    main()
