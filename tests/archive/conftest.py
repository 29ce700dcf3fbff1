"""Small archives to spoil (see `trial`)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.archive.trial import COMS_NAME, Trial, titled_trial
from wxpipe.satellites.catalog import Source, shipped_satellites


@pytest.fixture(scope="session")
def titled(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """A synthetic archive and its root, both without a fault; for tests that only read."""
    trial = titled_trial(tmp_path_factory.mktemp("titled"))
    assert trial.backfill()[0] == 0
    return trial


@pytest.fixture
def trial(titled: Trial, tmp_path: Path) -> Trial:
    """A copy of the synthetic archive of one's own, without a root yet."""
    return Trial.of(titled, tmp_path)


@pytest.fixture(scope="session")
def real_day(real_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Six slots of a real day, 06:45 to 08:00, and their root; for tests that only read."""
    folder = tmp_path_factory.mktemp("real-day")
    source = Source(shipped_satellites()["coms"], "ea")
    pristine = folder / "pristine"
    first = datetime(2011, 3, 3, 6, 45, tzinfo=UTC)
    trial = Trial(source, COMS_NAME, first, 6, pristine, pristine, folder / "root", None)
    for slot in range(trial.slots):
        for channel in range(4):
            trial.put(trial.key(slot, channel), (real_archive / "coms" / trial.key(slot, channel)).read_bytes())
    assert trial.backfill()[0] == 0
    return trial


@pytest.fixture
def real_trial(real_day: Trial, tmp_path: Path) -> Trial:
    """A copy of the six real slots of one's own, without a root yet."""
    return Trial.of(real_day, tmp_path)
