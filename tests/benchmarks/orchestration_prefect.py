"""What Prefect costs: the same days of real size through a server, a worker and Dask, and directly on the same Dask.

    python -m tests.benchmarks.orchestration_prefect [--days 7] [--archive DIR] [--workers 2] [--repeats 1]

An issue asks for less than 5 % of the wall clock over 25 channel-days, start-up apart, and for less than 100 task runs
of 1,000 source-days of a stage. DIR keeps the synthetic archive for another time. Both ways use one Dask cluster, that
is there before; a flow run's time is from Running to its end, so that no process's start is in it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.report import load, machine
from tests.flows.server import CHECKOUT, Prefect
from wxpipe.archive.synthetic.archive import Order, make_archive
from wxpipe.archive.synthetic.source import site_satellites
from wxpipe.pipeline.backfill import Job, run, scan
from wxpipe.pipeline.cluster import open_cluster, open_workers
from wxpipe.pipeline.digest import root_digest
from wxpipe.pipeline.plan import Range
from wxpipe.satellites.catalog import Source, find_source, load_satellites
from wxpipe.store.root import Root

STAGES = ("ingest", "histograms", "clips")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.orchestration_prefect")
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--archive", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        source, pictures, site = archive_of(options.archive or folder / "archive", options.days)
        channels = len(source.satellite.channels)
        print(f"{options.days} days of {source.id}, {channels} channels: {options.days * channels} channel-days")
        address = stack.enter_context(open_cluster(workers=options.workers))
        served = Prefect(folder, f"sqlite+aiosqlite:///{folder}/prefect.db", pictures, folder / "no root", site)
        served.start()
        stack.callback(served.stop)
        served.setup()
        stack.enter_context(served.worker())
        for number in range(options.repeats):
            one_round(served, folder / str(number), pictures, site, address)
        thousand(served, folder / "thousand")
    print(f"load at the end {load()}")


def archive_of(folder: Path, days: int) -> tuple[Source, Path, Path]:
    """A synthetic archive of real pictures' size, made where it is not there yet; its pictures, and its satellites."""
    source = find_source({**site_satellites(), **load_satellites("")}, "coms")
    [made] = make_archive(folder, Order((source,), source.satellite.first_day, days, 1), workers=2)
    return source, made.pictures, folder


def one_round(served: Prefect, folder: Path, pictures: Path, site: Path, address: str) -> None:
    """The same work directly and through Prefect, each into a root of its own; prints both and compares them."""
    folder.mkdir()
    direct, through = folder / "direct", folder / "through"
    before, begun = worker_seconds(), time.monotonic()
    job = Job(str(direct), str(pictures), str(site), Range(stages=STAGES))
    assert scan(job).state == "done"
    with open_workers(address) as team:
        report = run(job, team)
    assert not report.failed, report.failed
    direct_wall, direct_cpu = time.monotonic() - begun, worker_seconds() - before
    before = worker_seconds()
    named = {"root": str(through), "archive": str(pictures), "site": str(site)}
    flow_run = served.trigger("backfill", **named, stages=list(STAGES), scheduler=address)
    ended = served.finished(flow_run, 7200)
    assert ended["state_type"] == "COMPLETED", ended["state"]
    through_cpu = worker_seconds() - before
    assert root_digest(Root(str(direct)))["digest"] == root_digest(Root(str(through)))["digest"]
    tasks = served.task_runs(flow_run)
    wall, inside = seconds(ended), sum(seconds(task) for task in tasks)
    print(f"direct           {direct_wall:8.1f} s of the wall, {direct_cpu:8.1f} s of the workers' processors")
    print(f"through Prefect  {wall:8.1f} s of the wall, {through_cpu:8.1f} s of the workers', {len(tasks)} task runs")
    print(f"more than direct {100 * (wall - direct_wall) / wall:8.2f} % of the wall (others' load is in it)")
    print(f"outside of tasks {100 * (wall - inside) / wall:8.2f} % of the flow run's wall: {wall - inside:.1f} s")


def thousand(served: Prefect, root: Path) -> None:
    """A thousand source-days of a stage that does nothing: task runs by the server's count."""
    program = CHECKOUT / "tests" / "flows" / "thousand_days.py"
    told: dict[str, Any] = json.loads(served.run(sys.executable, str(program), str(root)).splitlines()[-1])
    tasks = served.task_runs(told["run"])
    print(f"1,000 source-days of an empty stage: {len(tasks)} task runs, {seconds(served.flow_run(told['run'])):.1f} s")


def seconds(run_of: dict[str, Any]) -> float:
    """From the beginning to the end of a flow run or a task run, as the server has them."""
    first, last = (datetime.fromisoformat(run_of[name]) for name in ("start_time", "end_time"))
    return (last - first).total_seconds()


def worker_seconds() -> float:
    """Processor time of this process's children so far: the Dask workers', the server's and what Prefect began."""
    times: Sequence[Any] = [child.cpu_times() for child in psutil.Process().children() if "spawn_main" in _line(child)]
    return float(sum(t.user + t.system for t in times))


def _line(process: psutil.Process) -> str:
    return " ".join(process.cmdline())


if __name__ == "__main__":
    main()
