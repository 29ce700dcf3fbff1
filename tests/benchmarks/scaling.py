"""Whether work grows with days and with nothing else, and what Dask's workers lose against bare processes.

    python -m tests.benchmarks.scaling [--satellite mini] [--scale 1] [--days 16] [--repeats 3]

An issue asks that processor seconds be a + b x days over 1, 2, 4 and 8 synthetic days, with residuals within 10 % and
the runner's memory flat; and that two workers do at least .9 of what two bare processes do, which take turns with them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from tests.benchmarks.report import machine
from wxpipe.archive.synthetic.archive import Order, make_archive
from wxpipe.archive.synthetic.source import scaled, site_satellites
from wxpipe.pipeline.backfill import Job, scan
from wxpipe.pipeline.cluster import open_cluster, open_workers
from wxpipe.pipeline.execute import execute
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers, run_stage
from wxpipe.pipeline.stages import get_stage
from wxpipe.satellites.catalog import Source, find_source, shipped_satellites
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Partition

STAGES = ("ingest", "histograms", "clips")
LENGTHS = (1, 2, 4, 8)

ONE_RUN = """
import json, resource, sys
from datetime import date
from tests.benchmarks.scaling import run_days
run_days(sys.argv[1], sys.argv[2], date.fromisoformat(sys.argv[3]))
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"processor": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss * 1024}))
"""


@dataclass(frozen=True)
class Trial:
    """An archive, and a root that has listed it and done nothing yet."""

    archive: str
    fresh: Path
    first: date

    def root(self, name: str) -> str:
        """A copy of the fresh root."""
        folder = self.fresh.with_name(name)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.fresh, folder)
        return str(folder)


def make_trial(folder: Path, source: Source, days: int) -> Trial:
    first = source.satellite.first_day
    made = make_archive(folder / "archive", Order((source,), first, days, seed=5))[0]
    job = Job(str(folder / "fresh"), str(made.pictures), str(folder / "archive"))
    assert scan(job).state == "done"
    return Trial(str(made.pictures), folder / "fresh", first)


def run_days(root: str, archive: str, last: date) -> None:
    """Every day up to one, in this process, through the runner."""
    context = Context(Root(root), archive)
    for name in STAGES:
        results = run_stage(name, context, Range(last=last), Workers())
        assert all(result.state == "done" for result in results), results


def growth(trial: Trial, lengths: Sequence[int], repeats: int) -> dict[int, dict[str, float]]:
    """Median processor seconds and memory of a process by the days that it does; lengths take turns."""
    found: dict[int, list[dict[str, float]]] = {length: [] for length in lengths}
    for _ in range(repeats):
        for length in lengths:
            last = str(trial.first + timedelta(days=length - 1))
            command = [sys.executable, "-c", ONE_RUN, trial.root(f"grown-{length}"), trial.archive, last]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[length].append(json.loads(said.splitlines()[-1]))
    return {n: {key: statistics.median(s[key] for s in samples) for key in samples[0]} for n, samples in found.items()}


def residuals(seconds: dict[int, float]) -> tuple[float, float, dict[int, float]]:
    """(a, b, residual by days) of seconds = a + b x days; residuals as shares of what was measured."""
    days, took = np.array(list(seconds)), np.array(list(seconds.values()))
    b, a = np.polyfit(days, took, 1, w=1 / took)
    return float(a), float(b), {n: float((a + b * n) / seconds[n] - 1) for n in seconds}


def bare(url: str, archive: str, stage: str, days: Sequence[date], source: str) -> None:
    """Some days of a stage in a process that nobody leads: no lease, no plan, no futures."""
    context = Context(Root(url), archive)
    for day in days:
        assert execute(stage, Partition(source, day), context).state == "done"


def against_bare(trial: Trial, source: Source, days: int, repeats: int, workers: int = 2) -> list[tuple[float, float]]:
    """(bare, Dask) seconds of the wall of ingest and histograms, one after the other, ``repeats`` times."""
    every = [trial.first + timedelta(days=n) for n in range(days)]
    shares = [every[n::workers] for n in range(workers)]
    found = []
    with (
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
        open_cluster("", workers) as address,
        open_workers(address) as hands,
    ):
        for turn in range(repeats + 1):
            url = trial.root(f"bare-{turn}")
            begun = time.perf_counter()
            for stage in STAGES[:2]:
                parts = [Partition(source.id, day) for day in every]
                get_stage(stage).prepare(parts, Context(Root(url), trial.archive))
                done = [pool.submit(bare, url, trial.archive, stage, share, source.id) for share in shares]
                for future in done:
                    future.result()
            middle = time.perf_counter()
            context = Context(Root(trial.root(f"dask-{turn}")), trial.archive)
            between = time.perf_counter()
            for stage in STAGES[:2]:
                results = run_stage(stage, replace(context), Range(), hands)
                assert len(results) == days
            if turn:  # the first one only warms everything up
                found.append((middle - begun, time.perf_counter() - between))
    return found


def tell_growth(took: dict[int, dict[str, float]]) -> None:
    a, b, off = residuals({n: sample["processor"] for n, sample in took.items()})
    print(f"processor seconds = {a:.2f} + {b:.2f} x days")
    for n, sample in took.items():
        print(f"{n} days: {sample['processor']:7.2f} s, residual {off[n]:+.1%}, peak {sample['peak'] / 1e6:,.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scaling", description=__doc__.split("\n")[0])
    parser.add_argument("--satellite", default="mini")
    parser.add_argument("--scale", type=int, default=1, help="makes pictures so many times smaller")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--days", type=int, default=16, help="that two workers share")
    parser.add_argument("--only-workers", action="store_true", help="leaves out how one process grows with days")
    options = parser.parse_args()
    print(machine())
    known = find_source({**shipped_satellites(), **site_satellites()}, options.satellite)
    source = Source(scaled(known.satellite, options.scale), known.area_name)
    with tempfile.TemporaryDirectory() as folder:
        trial = make_trial(Path(folder), source, max(options.days, *LENGTHS))
        if not options.only_workers:
            tell_growth(growth(trial, LENGTHS, options.repeats))
        pairs = against_bare(trial, source, options.days, options.repeats)
        for alone, dask in pairs:
            print(
                f"two bare processes {alone:6.2f} s, two Dask workers {dask:6.2f} s: {alone / dask:.2f} of their speed"
            )
        print(f"median {statistics.median(alone / dask for alone, dask in pairs):.2f}")


if __name__ == "__main__":
    main()
