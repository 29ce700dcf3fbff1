"""Regimes return in their season, displaced, one after the other, and the wind never jumps."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from wxpipe.archive.synthetic.regimes import REGIMES, Regimes, season
from wxpipe.archive.synthetic.sky import hours_of

REGIMES_OF_SEVEN = Regimes(7)
START = hours_of(datetime(2011, 1, 1, tzinfo=UTC))


def test_a_time_has_one_visit_or_two_that_change_places() -> None:
    seen = set()
    for hour in np.arange(START, START + 24 * 60, 0.5):
        stays = REGIMES_OF_SEVEN.stays(float(hour))
        seen.add(len(stays))
        assert np.isclose(sum(stay.share**2 for stay in stays), 1)
        assert REGIMES_OF_SEVEN.visit(float(hour)) in {stay.number for stay in stays}
    assert seen == {1, 2}


def test_no_regime_follows_itself_and_each_returns() -> None:
    first, last = REGIMES_OF_SEVEN.visit(START), REGIMES_OF_SEVEN.visit(START + 8766)
    regimes = REGIMES_OF_SEVEN.regime[first:last]
    assert (np.diff(regimes) != 0).all()
    assert np.bincount(regimes, minlength=REGIMES).min() >= 5


def test_regimes_keep_to_their_season() -> None:
    at = season(REGIMES_OF_SEVEN.begins)
    for regime in range(REGIMES):
        angle = 2 * np.pi * at[REGIMES_OF_SEVEN.regime == regime]
        mean = np.exp(1j * angle).mean()
        assert abs(mean) > 0.3
        assert abs(np.angle(mean * np.exp(-2j * np.pi * regime / REGIMES))) < 0.5


def test_visits_are_displaced_and_by_less_than_a_cell() -> None:
    assert 0.01 < np.abs(REGIMES_OF_SEVEN.displacement).mean() < np.abs(REGIMES_OF_SEVEN.displacement).max() < 1 / 24


def test_the_wind_carries_without_a_jump() -> None:
    hours = np.arange(START, START + 24 * 30, 0.25)
    carried = np.array([REGIMES_OF_SEVEN.carried(float(hour)) for hour in hours])
    steps = np.abs(np.diff(carried, axis=0))
    assert steps.max() < 0.01 * 0.25
    assert carried[-1, 1] > carried[0, 1]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_seed_has_visits_of_its_own(seed: int) -> None:
    again, other = Regimes(seed), Regimes(seed + 10)
    assert np.array_equal(again.regime, Regimes(seed).regime)
    assert not np.array_equal(again.regime, other.regime)
