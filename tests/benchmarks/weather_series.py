"""Vectors like a time series of weather, for benchmarks of search: seeded, of any length, one every quarter of an hour.

A red-noise walk (each of the principal components an AR(1) process of a decay time of 3.6 hours) around a mean that
changes with the season and the hour. Cosine similarity falls as between real frames (given in brackets): .95 after
15 minutes (.95), .84 after an hour (.85), .70 after 2.25 hours (.70), .35 where unrelated (.35). What it does not have
are regimes that last for days and weather that returns: real archives have nearer neighbours than this one. Variance
falls with the rank of a component as 1 / rank (``redness`` 1); ``redness`` 0 spreads it evenly, which no weather does,
and which is hardest for every method that passes anything over.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

CADENCE_HOURS = 0.25
DECAY_HOURS = 3.6
HOURS_A_YEAR = 8766.0
WALK, MEAN, SEASON, HOUR = 0.65, 0.25, 0.07, 0.03
AT_ONCE = 100_000

Floats = npt.NDArray[np.float32]


def series(rows: int, width: int = 128, redness: float = 1.0, seed: int = 0) -> Floats:
    """float32 (rows, width), C-contiguous."""
    rng = np.random.default_rng(seed)
    variance = np.arange(1, width + 1.0) ** -redness
    variance /= variance.sum()
    decay = np.exp(-CADENCE_HOURS / DECAY_HOURS)

    def direction(share: float) -> npt.NDArray[np.float64]:
        drawn = rng.standard_normal(width) * np.sqrt(variance)
        return np.sqrt(share) * drawn / np.linalg.norm(drawn)

    mean, parts = direction(MEAN), [direction(share) for share in (SEASON, SEASON, HOUR, HOUR)]
    state = rng.standard_normal((1, width)) * decay
    found = np.empty((rows, width), np.float32)
    for first in range(0, rows, AT_ONCE):
        count = min(AT_ONCE, rows - first)
        steps = rng.standard_normal((count, width), dtype=np.float32)
        walk, state = lfilter([np.sqrt(1 - decay**2)], [1, -decay], steps, axis=0, zi=state)
        hours = (first + np.arange(count)) * CADENCE_HOURS
        waves = [wave(2 * np.pi * hours / period) for period in (HOURS_A_YEAR, 24.0) for wave in (np.cos, np.sin)]
        place = slice(first, first + count)
        found[place] = walk * np.sqrt(WALK * variance) + mean
        for wave, part in zip(waves, parts, strict=True):
            found[place] += np.outer(wave, part).astype(np.float32)
    return found
