"""Small archives to spoil (see `trial`)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.archive.growing import LATE, Work, update, without
from tests.archive.trial import COMS_NAME, Trial, titled_trial
from wxpipe.archive.picture import PictureReader
from wxpipe.satellites.catalog import Source, shipped_satellites
from wxpipe.similarity.histograms import HistogramStore


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


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """Listens to every picture that is decoded by a day's ingest, or counted."""
    done = Work()
    read, count = PictureReader.read, HistogramStore.count

    def reading(self: PictureReader, data: bytes, path: str, *more: Any) -> Any:
        done.decoded.append(path)
        return read(self, data, path, *more)

    def counting(self: HistogramStore, frames: Any, slot: int, channel: str, *more: Any) -> Any:
        done.counted.append((slot, channel))
        return count(self, frames, slot, channel, *more)

    monkeypatch.setattr(PictureReader, "read", reading)
    monkeypatch.setattr(HistogramStore, "count", counting)
    return done


@pytest.fixture
def grown(trial: Trial, work: Work) -> Trial:
    """A root of all slots but the last, whose files have just come."""
    kept = {cell: trial.file(*cell).read_bytes() for cell in LATE}
    without(trial, *LATE)
    update(trial)
    for cell, data in kept.items():
        trial.file(*cell).write_bytes(data)
    work.clear()
    return trial
