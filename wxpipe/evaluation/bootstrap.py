"""How far figures could be off by the weather that happened to be held out: events resampled, with replacement.

Clips of one event are nearly copies of each other, so that an interval from resampled clips would be far too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wxpipe.draws import derived_seed, splitmix64
from wxpipe.evaluation.figures import Figure

Floats = npt.NDArray[np.float64]

PERCENTILES = (2.5, 97.5)
FEWEST_EVENTS = 5
"""Below it no interval is given: resamples of so few say nothing."""
FEW_EVENTS = 20
"""Below it intervals are given, and said to be too narrow."""
FEWEST_TOLD = 0.5
"""Share of the resamples of which a figure must be told, or it has no interval."""

VERDICTS = ("better", "worse", "no measurable gain", "not told")

_RESAMPLE = 0xB007  # the purpose within a seed for which events are drawn


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval; None where nothing can be told."""

    value: float | None
    low: float | None
    high: float | None

    def document(self) -> dict[str, float | None]:
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Gain(Estimate):
    """A difference of two figures, resampled together."""

    @property
    def verdict(self) -> str:
        """``better``, ``worse``; ``no measurable gain`` where the interval contains 0; ``not told`` without one."""
        if self.low is None or self.high is None:
            return "not told"
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no measurable gain"

    def document(self) -> dict[str, float | str | None]:  # type: ignore[override]  # a wider document
        return {**super().document(), "verdict": self.verdict}


def multiplicities(events: int, resamples: int, seed: int) -> Floats:
    """How often each event is drawn in each resample: as many draws as there are events.

    Returns:
        float64 (resample, event), whole numbers; each row adds up to `events`.
    """
    index = np.arange(resamples * events, dtype=np.uint64)
    drawn = splitmix64(derived_seed(seed, _RESAMPLE), index) % np.uint64(max(1, events))
    rows = np.repeat(np.arange(resamples), events) * events
    counts = np.bincount(rows + drawn.astype(np.int64), minlength=resamples * events)
    return counts.reshape(resamples, events).astype(np.float64)


def estimate(figure: Figure, weights: Floats) -> Estimate:
    """A figure of the full sample, and its interval.

    Args:
        weights: `multiplicities`.
    """
    return Estimate(*_interval(figure.of(np.ones((1, weights.shape[1]))), figure.of(weights)))


def gain(better: Figure, base: Figure, weights: Floats) -> Gain:
    """What one figure has over another, both of the same resamples: what they share of luck cancels."""
    once = np.ones((1, weights.shape[1]))
    return Gain(*_interval(better.of(once) - base.of(once), better.of(weights) - base.of(weights)))


def _interval(once: Floats, resampled: Floats) -> tuple[float | None, float | None, float | None]:
    value, events_told = float(once[0]), resampled[np.isfinite(resampled)]
    if not np.isfinite(value):
        return None, None, None
    if len(events_told) <= FEWEST_TOLD * len(resampled):
        return value, None, None
    low, high = np.percentile(events_told, PERCENTILES).tolist()
    return value, low, high
