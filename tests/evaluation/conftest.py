"""A small root that a model was trained in, and a truth file of its time. Its satellite looks once an hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import cli
from wxpipe.archive.synthetic.archive import write_archive
from wxpipe.archive.synthetic.source import mini_satellite
from wxpipe.archive.truth import Truth, Visit
from wxpipe.pipeline.backfill import Job, run, scan
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers
from wxpipe.satellites.satellite import ClipWindow, Satellite, Schedule
from wxpipe.store.root import Root

__all__ = ["cli"]

SOURCE = "mini-t"
FIRST = datetime(2020, 3, 1, tzinfo=UTC)
DAYS = 60
VISIT_HOURS, REGIMES = 15, 3
STAGES = ("ingest", "histograms", "clips", "pairs", "train", "embed")
OPTIONS: dict[str, Any] = {"pairs_triples": 400, "train_epochs": 2, "train_learning_rate": 1e-4}


def hourly() -> Satellite:
    """The synthetic satellite at one look an hour: 6 frames of the 7 slots of a window are a clip."""
    schedule = (Schedule(since=FIRST.date(), every_minutes=60),)
    return mini_satellite().model_copy(
        update={"cadence_minutes": 60, "schedule": schedule, "clip": ClipWindow(frames=6, hours=6)}
    )


def make_root(folder: Path, days: int, missing: tuple[int, ...] = ()) -> Root:
    """A root of some days, from raw files to vectors; `missing` hours never came."""
    gone = [FIRST + timedelta(hours=hour) for hour in missing]
    made = write_archive(folder / "archive", hourly(), "t", FIRST, days * 24, seed=3, missing=gone)
    job = Job(str(folder / "root"), str(made.pictures), str(made.satellite), Range(stages=STAGES), OPTIONS)
    assert scan(job).state == "done"
    assert not run(job, Workers()).failed
    return Root(job.root)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """Two months; an hour is missing here and there, also in the days of the test split. To be read only."""
    return make_root(tmp_path_factory.mktemp("judged"), DAYS, (100, 1305, 1310, 1350, 1400))


@pytest.fixture(scope="session")
def short_root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """Three days, too few for a split: its model is the untrained projection. To be read only."""
    return make_root(tmp_path_factory.mktemp("short"), 3)


@pytest.fixture(scope="session")
def truth_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three regimes that take turns, 15 hours each."""
    visit = timedelta(hours=VISIT_HOURS)
    count = DAYS * 24 // VISIT_HOURS + 2
    visits = tuple(
        Visit(regime=n % REGIMES, number=n, begin=FIRST + n * visit, end=FIRST + (n + 1) * visit, displacement=(0, 0))
        for n in range(count)
    )
    file = tmp_path_factory.mktemp("truth") / "truth.json"
    Truth(seed=3, sources=(SOURCE,), first=FIRST, last=FIRST + timedelta(days=DAYS), visits=visits).save(file)
    return file
