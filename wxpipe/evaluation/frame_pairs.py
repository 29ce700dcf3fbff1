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


def add_l1(planes: CountArray, sizes: Ints, tile: int, total: Floats) -> None:
    """Adds to `total` (m, m), above its diagonal, the L1 of histograms, each cell divided by its size.

    Args:
        planes: unsigned counts (m, bin, cell).
        sizes: (cell,), what the counts of a cell add up to.
        tile: frames that stay in the cache together.
    """
    # Sums of a cell are at most twice its size; the narrower they are, the more of them an instruction adds.
    kind = np.uint16 if 2 * int(sizes.max()) < 1 << 16 else np.uint32
    distinct = np.unique(sizes)
    masks: CountArray = np.where(sizes == distinct[:, np.newaxis], np.iinfo(kind).max, 0).astype(kind)
    _add_l1(planes, masks, 1 / distinct, tile, total)


@kernel
def _add_l1(planes: CountArray, masks: CountArray, weights: Floats, tile: int, total: Floats) -> None:
    """As `add_l1`; cells of one size are added up as integers, which is fast and the same in any order."""
    frames = len(planes)
    sums = np.empty(masks.shape[1], masks.dtype)
    for top in range(0, frames, tile):
        for left in range(top, frames, tile):
            for a in range(top, min(top + tile, frames)):
                for b in range(max(left, a + 1), min(left + tile, frames)):
                    _sum_differences(planes[a], planes[b], sums)
                    for group in range(len(masks)):
                        mask = masks[group]
                        found = np.uint32(0)  # 32 bits hold it: at most twice the picture's pixels
                        for cell in range(sums.size):
                            found = np.uint32(found + np.uint32(sums[cell] & mask[cell]))
                        total[a, b] += found * weights[group]


@kernel
def _sum_differences(a: CountArray, b: CountArray, sums: CountArray) -> None:
    """Fill `sums` (cell,) with the sum over bins of ``|a - b|``, both (bin, cell).

    Cells are innermost and four bins go at once, as in the comparison of CDFs; the casts hold numba to the types.
    """
    of, into = a.dtype.type, sums.dtype.type
    bins = len(a)
    sums[:] = 0
    k = 0
    while k + 4 <= bins:
        a0, a1, a2, a3 = a[k], a[k + 1], a[k + 2], a[k + 3]
        b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
        for c in range(sums.size):
            d0 = into(of(max(a0[c], b0[c]) - min(a0[c], b0[c])))
            d1 = into(of(max(a1[c], b1[c]) - min(a1[c], b1[c])))
            d2 = into(of(max(a2[c], b2[c]) - min(a2[c], b2[c])))
            d3 = into(of(max(a3[c], b3[c]) - min(a3[c], b3[c])))
            sums[c] = into(sums[c] + into(into(d0 + d1) + into(d2 + d3)))
        k += 4
    while k < bins:
        for c in range(sums.size):
            sums[c] = into(sums[c] + into(of(max(a[k, c], b[k, c]) - min(a[k, c], b[k, c]))))
        k += 1
