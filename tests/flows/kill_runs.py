"""Flow runs of which somebody is killed (-9) at a moment that a seed says: each comes to the content of one in peace.

    python -m tests.flows.kill_runs [--days 60] [--runs 12] [--seed 1] [--only 5 ...] [--folder DIR] [--postgres]

As `tests.pipeline.kill_runs`, through a real server, work pool and worker: who dies is the Prefect worker, the server
(which comes back), the flow run's own process, or one of its Dask workers. A run that Prefect calls anything but
completed is retried in Prefect, as an operator would.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.flows.server import FINAL, Prefect, end_group, postgres, processes_of
from tests.mini import check_whole
from tests.pipeline.kill_runs import Peace, wait_for_moment

VICTIMS = ("worker", "server", "run", "Dask worker")
OPTIONS = {"train_epochs": 2}
LONGEST = 1800.0
"""Seconds that a flow run may take on a busy machine."""

A_PERSON = 20.0
"""Seconds until somebody retries. A worker tells of a process's death twice, some 6 s apart, and the second time means
the attempt that is there by then (Prefect 3)."""


@dataclass(frozen=True)
class Trial:
    """One flow run and who dies of it, all drawn from a number and a seed.

    Attributes:
        moment, later: when: so many seconds after that share of all partitions is done.
        down: seconds until a server that was killed is back.
    """

    number: int
    seed: int
    victim: str
    moment: float
    later: float
    down: float

    @classmethod
    def drawn(cls, number: int, seed: int) -> Trial:
        draw = random.Random(f"Prefect {seed} {number}")
        return cls(number, seed, VICTIMS[number % len(VICTIMS)], draw.random(), draw.random(), draw.uniform(1, 10))

    def __str__(self) -> str:
        return f"flow run {self.number}, seed {self.seed}: {self.victim} at {self.moment:.0%} of the partitions"


@dataclass
class Desk:
    """A server that is set up, and the worker of its pool, which is begun again when it has died."""

    prefect: Prefect
    begun: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def worker(self) -> subprocess.Popen[bytes]:
        if not self.begun or self.begun[-1].poll() is not None:
            made = self.prefect.spawn("worker", "prefect", "worker", "start", "--pool", "wxpipe")
            self.begun.append(made)
        return self.begun[-1]

    def close(self) -> None:
        for process in self.begun:
            end_group(process, signal.SIGTERM)
        self.prefect.stop()


def run_trial(trial: Trial, peace: Peace, desk: Desk, root: Path) -> str:
    """Kills somebody while a flow run is at work, lets it end or be retried, and compares; what happened, in a line.

    Raises:
        AssertionError: the content differs, or something is there twice or not at all.
    """
    prefect, begun = desk.prefect, time.monotonic()
    desk.worker()
    run = prefect.trigger("backfill", root=str(root), archive=str(peace.archive.pictures), workers=2, options=OPTIONS)
    share = max(trial.moment, 1 / peace.partitions)
    if wait_for_moment(root, share, trial.later, peace, lambda: prefect.flow_run(run)["state_type"] not in FINAL):
        died = _kill(trial, desk, run)
    else:
        died = "it had ended already"
    ended = [prefect.finished(run, LONGEST)["state_type"]]
    while ended[-1] != "COMPLETED":
        assert len(ended) < 3, f"{trial}: {ended}: {prefect.flow_run(run)['state']['message']}"
        desk.worker()
        time.sleep(A_PERSON)
        prefect.prefect("flow-run", "retry", run)
        prefect.reaches(run, "PENDING", "RUNNING", "COMPLETED")
        ended.append(prefect.finished(run, LONGEST)["state_type"])
    check_whole(root, peace.whole)
    told = ", retried: ".join(ended)
    return f"{trial}: {died}; {told}; then whole ({time.monotonic() - begun:.0f} s)"


def _kill(trial: Trial, desk: Desk, run: str) -> str:
    """Kills whom the trial says; what died."""
    if trial.victim == "worker":
        worker = desk.worker()
        worker.kill()  # alone: the run that it began is not of its doing any more
        worker.wait()
        return "the worker was killed"
    if trial.victim == "server":
        desk.prefect.stop(signal.SIGKILL)
        time.sleep(trial.down)
        desk.prefect.start()
        return f"the server was killed and back after {trial.down:.0f} s"
    with_dask = trial.victim == "Dask worker"
    found = [pid for pid, command in processes_of(run).items() if ("spawn_main" in command) == with_dask]
    if not found:
        return f"no {trial.victim} was there any more"
    chosen = [random.Random(trial.number).choice(found)] if with_dask else found
    for pid in chosen:
        os.kill(pid, signal.SIGKILL)
    return f"{len(chosen)} process of the {trial.victim} was killed"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.flows.kill_runs", description=__doc__.split("\n")[0])
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, nargs="+", help="these runs, by their numbers")
    parser.add_argument("--folder", type=Path, help="kept, where it is named; else a temporary one")
    parser.add_argument("--postgres", action="store_true", help="the server's database; else SQLite")
    options = parser.parse_args()
    numbers = options.only or range(options.runs)
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        peace = Peace.made(folder, options.days)
        print(f"in peace: {options.days} days in {peace.seconds:.1f} s", flush=True)
        database = f"sqlite+aiosqlite:///{folder}/prefect.db"
        if options.postgres:
            database = stack.enter_context(postgres(folder))
        served = Prefect(folder, database, peace.archive.pictures, folder / "unnamed root", peace.archive.site)
        desk = Desk(served)
        stack.callback(desk.close)
        served.start()
        served.setup()
        for number in numbers:
            root = folder / f"run{number}"
            print(run_trial(Trial.drawn(number, options.seed), peace, desk, root), flush=True)
            shutil.rmtree(root)
    print(f"{len(numbers)} flow runs disturbed, each came to the content of the one in peace")


if __name__ == "__main__":
    main()
