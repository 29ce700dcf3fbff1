"""What the runner costs a partition: so many days of a stage that does nothing, planned, leased, run and recorded.

    python -m tests.benchmarks.orchestration [--partitions 100000] [--workers 2] [--folder /dev/shm]

Once in this process and once on Dask workers. Every partition leaves a ledger entry that is synced: on a disk most of
the time is its, so the folder may be one in memory, and processor seconds are told beside those of the wall.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import empty_stage
from tests.benchmarks.report import machine
from wxpipe.pipeline.cluster import open_cluster, open_workers
from wxpipe.pipeline.plan import Range, make_plan
from wxpipe.pipeline.run import Workers, run_stage
from wxpipe.store.root import init_root
from wxpipe.store.stage import Context

PRELOAD = "tests.benchmarks.empty_stage"


@dataclass(frozen=True)
class Cost:
    """Of one partition, in milliseconds: of the wall, and of the runner's processor."""

    what: str
    partitions: int
    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.what:<34} {self.wall:8.3f} ms a partition, {self.processor:.3f} ms of the runner's processor"


def measure(folder: Path, partitions: int, workers: int) -> list[Cost]:
    """Direct, on Dask where there are workers, and planning what is done then."""
    empty_stage.register()
    wanted = Range(stages=("empty",))
    found = []
    for name, team in (("direct", 0), ("on Dask", workers)):
        if name == "on Dask" and not workers:
            continue
        context = Context(init_root(str(folder / name)), options={"empty": partitions})
        with _workers(team) as hands:
            begun = time.perf_counter(), time.process_time()
            results = run_stage("empty", context, wanted, hands)
            found.append(_cost(name, partitions, begun))
        assert len(results) == partitions
        assert all(result.state == "done" for result in results)
        begun = time.perf_counter(), time.process_time()
        assert make_plan(context, wanted).work == ()
        found.append(_cost(f"planned again, {name}", partitions, begun))
    return found


@contextmanager
def _workers(count: int) -> Iterator[Workers]:
    import dask

    if not count:
        yield Workers()
        return
    with (
        dask.config.set({"distributed.worker.preload": [PRELOAD]}),
        open_cluster("", count) as address,
        open_workers(address) as hands,
    ):
        yield hands


def _cost(what: str, partitions: int, begun: tuple[float, float]) -> Cost:
    wall, processor = time.perf_counter() - begun[0], time.process_time() - begun[1]
    return Cost(what, partitions, 1000 * wall / partitions, 1000 * processor / partitions)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.orchestration", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--partitions", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the roots are made; a temporary one by default")
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for cost in measure(Path(folder), options.partitions, options.workers):
            print(cost, flush=True)


if __name__ == "__main__":
    main()
