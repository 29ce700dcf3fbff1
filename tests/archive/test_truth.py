"""The truth file: what is written is read back, and regimes are found by time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wxpipe.archive.truth import TRUTH_FILE, Planted, System, TrackPoint, Truth, Visit, read_truth
from wxpipe.errors import NotFoundError, UsageError

FIRST = datetime(2020, 1, 1, tzinfo=UTC)


def example() -> Truth:
    day = timedelta(days=1)
    visits = tuple(
        Visit(regime=regime, number=n, begin=FIRST + n * day, end=FIRST + (n + 1) * day, displacement=(0.01, -0.02))
        for n, regime in enumerate((3, 1, 3))
    )
    point = TrackPoint(time=FIRST, latitude=20, longitude=130, radius=3, strength=0.5, places={"mini-t": (0.5, 0.25)})
    fault = Planted(source="mini-t", kind="cut", path="a.png", expected="quarantined", reason="truncated")
    system = System(id="vortex-1", kind="vortex", spin=1, track=(point,))
    return Truth(
        seed=1, sources=("mini-t",), first=FIRST, last=FIRST + 3 * day, visits=visits, systems=(system,),
        faults=(fault,),
    )  # fmt: skip


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    example().save(tmp_path / TRUTH_FILE)
    assert read_truth(tmp_path) == read_truth(tmp_path / TRUTH_FILE) == example()


def test_a_time_has_the_regime_of_its_visit() -> None:
    hours = [-1, 0, 23, 24, 47, 48, 71, 72]
    found = [example().regime_at(FIRST + timedelta(hours=hour)) for hour in hours]
    assert found == [None, 3, 3, 1, 1, 3, 3, None]


def test_no_file_and_another_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no truth file"):
        read_truth(tmp_path)
    (tmp_path / TRUTH_FILE).write_text('{"format": 2}')
    with pytest.raises(UsageError, match="format 1"):
        read_truth(tmp_path)
