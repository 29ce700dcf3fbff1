"""Distances of clips that are sums over their frames, i-th with i-th, each pair of frames compared once.

What two frames are to each other is a function of their slots: `frame_reader` has the ground truth, pixels, histograms.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from wxpipe.kernels import kernel
from wxpipe.similarity.clip_ks import TABLE_FRAMES
from wxpipe.similarity.ks import CountArray

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
FrameMatrix = Callable[[Ints], Floats]
"""From slots (m,) to what each two of their frames are to each other, float64 (m, m), symmetric."""
Tell = Callable[[int, int], None]
"""Is told how much is done, and of how much."""

EXACT_PIXELS = 1024
"""Pixels of -128..127 whose products add up exactly in float32: 1024 * 128^2 = 2^24."""


def tell_nobody(done: int, of: int) -> None:
    """Tells nobody."""


def clip_sums(slots: Ints, between: FrameMatrix, tell: Tell) -> Floats:
    """What clips are to each other: the sum over their frames, i-th with i-th.

    Args:
        slots: int64 (clip, frames), in order of time.
        between: frames compared.
        tell: progress.

    Returns:
        float64 (clip, clip). Where clips overlap, all their frames are compared once and the sums gathered; where
        they hardly do, i-th frames are compared by themselves, so that few frames are in memory.
    """
    clips, frames = slots.shape
    every, places = np.unique(slots, return_inverse=True)
    places = places.reshape(slots.shape)
    sums = np.zeros((clips, clips))
    tell(0, frames)
    shared = len(every) <= TABLE_FRAMES and len(every) ** 2 <= frames * clips**2
    table = between(every) if shared else None
    for i in range(frames):
        if table is not None:
            sums += table[np.ix_(places[:, i], places[:, i])]
        else:
            mine, where = np.unique(slots[:, i], return_inverse=True)
            sums += between(mine)[np.ix_(where.reshape(-1), where.reshape(-1))]
        tell(i + 1, frames)
    return sums


def squared_distances(rows: npt.NDArray[np.uint8]) -> Floats:
    """Squared L2 distances between rows of grey values, by inner products, which are exact integers.

    Args:
        rows: uint8 (m, pixels).

    Returns:
        float64 (m, m).
    """
    products = np.zeros((len(rows), len(rows)))
    for at in range(0, rows.shape[1], EXACT_PIXELS):
        part = rows[:, at : at + EXACT_PIXELS].astype(np.float32) - np.float32(128)  # a shift changes no distance
        products += part @ part.T
    squares = np.diagonal(products)
    found: Floats = squares[:, np.newaxis] + squares[np.newaxis, :] - 2 * products
    return found


@kernel
def add_l1(planes: CountArray, weights: Floats, tile: int, total: Floats) -> None:
    """Adds to `total` (m, m), above its diagonal, the L1 of histograms (m, bin, cell), cells weighted (cell,)."""
    frames, bins, cells = planes.shape
    sums = np.empty(cells, np.uint32)
    for top in range(0, frames, tile):
        for left in range(top, frames, tile):
            for a in range(top, min(top + tile, frames)):
                for b in range(max(left, a + 1), min(left + tile, frames)):
                    sums[:] = 0
                    for k in range(bins):
                        first, second = planes[a, k], planes[b, k]
                        for c in range(cells):
                            low, high = min(first[c], second[c]), max(first[c], second[c])
                            sums[c] += np.uint32(high) - np.uint32(low)
                    found = 0.0
                    for c in range(cells):
                        found += sums[c] * weights[c]
                    total[a, b] += found
