"""A few of the runs of `kill_runs`, over fewer days; the others, and sixty days, by hand."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.pipeline.kill_runs import VICTIMS, Peace, Trial, run_trial

SEED = int(os.environ.get("WXPIPE_KILL_SEED", "1"))


@pytest.fixture(scope="module")
def peace(tmp_path_factory: pytest.TempPathFactory) -> Peace:
    return Peace.made(tmp_path_factory.mktemp("peace"), 5)


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_killed_wherever_a_seed_says_and_started_again(number: int, peace: Peace, tmp_path: Path) -> None:
    trial = Trial.drawn(number, SEED, peace.whole.points)
    if trial.victim == "host" and shutil.which("gcc") is None:
        pytest.skip("a host's crash needs gcc, to record what processes sync")
    print(run_trial(trial, peace, tmp_path / "run"))


def test_a_seed_says_everything_and_everybody_dies() -> None:
    points = [f"{what} {n}" for n in range(300) for what in ("before rename", "after rename", "after add")]
    drawn = [Trial.drawn(n, 7, points) for n in range(48)]
    assert drawn == [Trial.drawn(n, 7, points) for n in range(48)]
    assert {trial.victim for trial in drawn} == set(VICTIMS)
    assert sum(bool(trial.point) for trial in drawn) > 8
    assert len({trial.moment for trial in drawn}) == 48
