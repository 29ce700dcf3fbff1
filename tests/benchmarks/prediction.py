"""How well the plan tells what the second half of a run costs, from what the first half did.

    python -m tests.benchmarks.prediction [--days 40] [--satellite mini]

The archive is synthetic, with the gaps and seasons of `wxpipe synth`. Both halves run in this process, one partition
after another. An issue asks for every stage's core-seconds and bytes within 30 %.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from tests.benchmarks.report import machine
from wxpipe.archive.synthetic.archive import Order, make_archive
from wxpipe.archive.synthetic.source import scaled, site_satellites
from wxpipe.pipeline.backfill import Job, check_range, plan, run, scan
from wxpipe.pipeline.costs import Costs, make_costs
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.rates import UNIT
from wxpipe.pipeline.run import Workers
from wxpipe.satellites.catalog import Source, find_source, shipped_satellites
from wxpipe.store.ledger import Entry
from wxpipe.store.root import Root


@dataclass(frozen=True)
class Told:
    """One stage's second half: what the plan said before, and what came of it."""

    stage: str
    partitions: tuple[int, int]
    units: tuple[float, float]
    seconds: tuple[float, float]
    processor: tuple[float, float]
    bytes_written: tuple[float, float]
    requests: tuple[float, float]

    def line(self) -> str:
        pairs = (self.partitions, self.units, self.seconds, self.processor, self.bytes_written, self.requests)
        return f"{self.stage:<11}" + "".join(
            f"{said:>14,.1f} {came:>14,.1f} {said / came if came else 1:>6.2f}" for said, came in pairs
        )


COLUMNS = ("days", "units", "core-s", "of it cpu", "bytes", "requests")
HEAD = f"{'':<11}" + "".join(f"{name + ': said':>14} {'came':>14} {'ratio':>6}" for name in COLUMNS)


def measure(folder: Path, source: Source, days: int, first: date | None = None) -> list[Told]:
    """Makes an archive, runs its first half, plans, runs the rest, and compares."""
    begin = first or source.satellite.first_day
    made = make_archive(folder / "archive", Order((source,), begin, days, seed=3, gaps=True))[0]
    options = {"train_epochs": 1}
    job = Job(str(folder / "root"), str(made.pictures), str(folder / "archive"), options=options)
    assert scan(job).state == "done"
    half = replace(job, wanted=Range(last=begin + timedelta(days=days // 2 - 1)))
    assert not run(half, Workers()).failed
    root = Root(str(folder / "root"))
    before = {stage: root.ledger.entries(stage) for stage in UNIT}
    costs = make_costs(root, plan(job), check_range(job), workers=1)
    assert not run(job, Workers()).failed
    return [told(stage, costs, before[stage], Root(root.url).ledger.entries(stage)) for stage in UNIT]


def told(stage: str, costs: Costs, before: Mapping[str, Entry], after: Mapping[str, Entry]) -> Told:
    said = costs.stages[stage]
    came = [entry for key, entry in after.items() if before.get(key) != entry]
    units = sum(entry.counts.get(name, 0) for entry in came for name in UNIT[stage])
    return Told(
        stage,
        (said.partitions, len(came)),
        (said.units, units),
        (said.seconds, sum(entry.seconds for entry in came)),
        (said.processor, sum(entry.processor for entry in came)),
        (said.bytes_written, sum(entry.bytes_written for entry in came)),
        (said.reads + said.writes, sum(entry.reads + entry.writes for entry in came)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.prediction", description=__doc__.split("\n")[0])
    parser.add_argument("--days", type=int, default=40)
    parser.add_argument("--satellite", default="mini")
    parser.add_argument("--scale", type=int, default=1, help="makes pictures so many times smaller")
    parser.add_argument("--from", dest="first", type=date.fromisoformat, help="first day; the satellite's own")
    options = parser.parse_args()
    print(machine())
    found = find_source({**shipped_satellites(), **site_satellites()}, options.satellite)
    source = Source(scaled(found.satellite, options.scale), found.area_name)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), source, options.days, options.first)
    print(HEAD)
    for row in rows:
        print(row.line())


if __name__ == "__main__":
    main()
