"""A week of the synthetic satellite `mini`, which is enough to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.mini import FIRST
from wxpipe.archive.synthetic.archive import write_archive
from wxpipe.archive.synthetic.source import mini_satellite
from wxpipe.pipeline.backfill import Job, Report, run, scan
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers

WEEK, DAY = 7 * 96, 96
OPTIONS: dict[str, Any] = {"pairs_triples": 600, "pairs_days_a_block": 2, "train_epochs": 3,
                           "train_learning_rate": 1e-4}  # fmt: skip
STAGES = ("ingest", "histograms", "clips", "pairs", "train", "embed")


def backfilled(folder: Path, slots: int, workers: Workers, **options: Any) -> tuple[Job, Report]:
    made = write_archive(folder / "archive", mini_satellite(), "t", FIRST, slots, seed=3)
    wanted = Range(stages=STAGES)
    job = Job(str(folder / "root"), str(made.pictures), str(made.satellite), wanted, {**OPTIONS, **options})
    assert scan(job).state == "done"
    return job, run(job, workers)


class Mapping(Workers):
    """Workers of this process that note what a stage spreads over them."""

    def __init__(self) -> None:
        self.blocks: list[Any] = []

    def map(self, function: Any, items: Any) -> Any:
        self.blocks += items
        return map(function, items)


@pytest.fixture(scope="session")
def week(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Report, Mapping]:
    """A root of a week, to its vectors. To be read only."""
    workers = Mapping()
    job, report = backfilled(tmp_path_factory.mktemp("week"), WEEK, workers)
    return job, report, workers
