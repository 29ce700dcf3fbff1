"""Synthetic weather has the statistics of real weather, by the measure that everything here rests on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.weather import PUBLISHED, UNRELATED, real_frames, similarities, synthetic_frames


@pytest.mark.slow
@pytest.mark.parametrize("seed", [7, 8])
def test_similarity_falls_with_time_as_in_real_events(seed: int) -> None:
    found = similarities(synthetic_frames(seed, 8))
    for lag, published in PUBLISHED.items():
        assert abs(found[lag].mean() - published) <= 0.05, lag
    assert abs(found[-1].mean() - UNRELATED) <= 0.10


@pytest.mark.slow
def test_greys_and_spectra_are_those_of_real_pictures(real_archive: Path) -> None:
    """Greys as even, and power within a factor of ten at every wavelength where real frames differ by three."""
    real, made = real_frames(real_archive), synthetic_frames(7, 4)
    greys = [np.mean([frame.greys for frame in frames], axis=0) for frames in (real, made)]
    assert np.abs(greys[0] - greys[1]).sum(axis=1).max() < 0.15
    powers = [np.median([frame.power for frame in frames], axis=0) for frames in (real, made)]
    assert np.abs(np.log10(powers[1] / powers[0])).max() < 1.0
