"""Weather regimes that return: which one visits when, how perturbed and displaced, and where the wind carries it.

A sky has a few regimes, each with its season. A visit replays its regime's large pattern from the beginning, some way
off its home and with a part of its own, so that two visits are analogs and no copies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from wxpipe.draws import derived_seed, uniform

REGIMES = 8
YEAR_HOURS = 365.2425 * 24
_EPOCH = datetime(1980, 1, 1, tzinfo=UTC).timestamp() / 3600
_YEARS = 90
_PERIOD = 42.0  # hours between visits, on average
_JITTER = 9.0  # hours that a visit may begin early or late
_CHANGE = 6.0  # hours to either side of a beginning in which one pattern gives way to the next
_SEASONALITY = 1.6  # how strictly regimes keep to their season
_DISPLACED = 0.03  # most displacement, in units of the plane: most of a cell of the grid of the ground truth
_BEGIN, _CHOICE, _PLACE, _WIND, _HASTE = range(1, 6)


@dataclass(frozen=True)
class Stay:
    """A visit as the sky draws it.

    Attributes:
        number: of the visit.
        regime: that visits.
        age: hours since it began; negative while it is only coming.
        share: its weight; the squares of the shares of a time add to 1.
        displacement: (down, right) on the plane.
    """

    number: int
    regime: int
    age: float
    share: float
    displacement: tuple[float, float]


class Regimes:
    """The visits of a sky's regimes, from 1980 to 2070.

    Args:
        seed: of the weather.
    """

    def __init__(self, seed: int) -> None:
        count = int(_YEARS * YEAR_HOURS / _PERIOD)
        number = np.arange(count)
        early = uniform(derived_seed(seed, _BEGIN), 0, count, _JITTER).astype(np.float64)
        self.begins: NDArray[np.float64] = _EPOCH + _PERIOD * number + early
        self.regime = _choose(self.begins, uniform(derived_seed(seed, _CHOICE), 0, count, 1.0))
        self.displacement = uniform(derived_seed(seed, _PLACE), 0, 2 * count, _DISPLACED).reshape(-1, 2)
        wind = uniform(derived_seed(seed, _WIND), 0, 2 * REGIMES, 1.0).reshape(-1, 2).astype(np.float64)
        wind = wind * (0.0012, 0.002) + (-0.0004, 0.0045)  # units an hour: from the west
        haste = 1 + uniform(derived_seed(seed, _HASTE), 0, count, 0.12).astype(np.float64)
        self._wind = wind[self.regime] * haste[:, np.newaxis]
        passed = np.diff(self.begins)[:, np.newaxis] * self._wind[:-1]
        self._carried = np.concatenate((np.zeros((1, 2)), np.cumsum(passed, axis=0)))

    def visit(self, hours: float) -> int:
        """Number of the visit of a time, in hours since 1970."""
        return int(np.searchsorted(self.begins, hours, side="right")) - 1

    def stays(self, hours: float) -> list[Stay]:
        """The visit of a time, and the one that it comes from or goes to while one gives way to the other."""
        current = self.visit(hours)
        since, left = hours - self.begins[current], self.begins[current + 1] - hours
        if since < _CHANGE:
            return [self._stay(current - 1, hours, -since), self._stay(current, hours, since)]
        if left < _CHANGE:
            return [self._stay(current, hours, left), self._stay(current + 1, hours, -left)]
        return [self._stay(current, hours, _CHANGE)]

    def _stay(self, number: int, hours: float, inside: float) -> Stay:
        """A visit whose share is 0 at `inside` == -`_CHANGE` and 1 at `_CHANGE`."""
        share = math.sin((inside + _CHANGE) / (2 * _CHANGE) * math.pi / 2)
        down, right = (float(d) for d in self.displacement[number])
        return Stay(number, int(self.regime[number]), hours - float(self.begins[number]), share, (down, right))

    def carried(self, hours: float) -> tuple[float, float]:
        """How far the wind has carried the clouds since the first visit (down, right), in units of the plane."""
        current = self.visit(hours)
        down, right = self._carried[current] + (hours - self.begins[current]) * self._wind[current]
        return float(down), float(right)

    def carried_since(self, number: int, hours: float) -> tuple[float, float]:
        """How far the wind of a visit has carried its pattern since it began."""
        down, right = (hours - self.begins[number]) * self._wind[number]
        return float(down), float(right)


def season(hours: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Share of the year that has passed, 0 to 1, for hours since 1970."""
    passed: NDArray[np.float64] = np.asarray(hours) / YEAR_HOURS % 1
    return passed


def _choose(begins: NDArray[np.float64], draws: NDArray[np.float32]) -> NDArray[np.int64]:
    """A regime for each visit: of the season, and never that of the visit before, since even follow odd ones."""
    parity = np.arange(len(begins)) % 2
    candidates = parity[:, np.newaxis] + 2 * np.arange(REGIMES // 2)
    distance = season(begins)[:, np.newaxis] - candidates / REGIMES
    weight = np.exp(_SEASONALITY * np.cos(2 * np.pi * distance))
    reached = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
    chosen = (reached < (draws.astype(np.float64)[:, np.newaxis] + 1) / 2).sum(axis=1)
    regimes: NDArray[np.int64] = candidates[np.arange(len(begins)), np.minimum(chosen, REGIMES // 2 - 1)]
    return regimes
