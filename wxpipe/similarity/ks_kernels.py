"""The comparison of grid CDFs on one CPU thread: compiled loops, and the order that keeps them in the cache.

Arguments are checked and results made into similarities by `ks`; the same work on a GPU is `ks_torch`'s.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.kernels import kernel

CountArray = npt.NDArray[np.unsignedinteger[Any]]

# Two tiles of frames, one channel each, are to stay in a core's second-level cache (1 MB and more today).
TILE_BYTES = 700_000
# Wide loads that straddle two cache lines cost a third of the time, so planes that are read often are copied to
# where lines begin. The copy pays from a few comparisons a frame on.
LINE_BYTES = 64
COMPARISONS_WORTH_A_COPY = 4


class NumbaEngine:
    """The `ks.Engine` of the CPU. A copy of one channel at a time is the most memory that it takes."""

    def largest_difference_sums(
        self, cdfs: CountArray, pairs: npt.NDArray[np.int64], members: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.int64]:
        """As `ks.Engine`."""
        frames, channels, bins, cells = cdfs.shape
        sums = np.empty((len(pairs), channels, len(members)), np.int64)
        if not sums.size:
            return sums
        order = tile_order(pairs, TILE_BYTES // (bins * cells * cdfs.itemsize))
        ordered = pairs[order]
        copies = len(pairs) >= COMPARISONS_WORTH_A_COPY * frames
        whole = cdfs if copies else np.ascontiguousarray(cdfs)
        for channel in range(channels):
            planes, position = (aligned_plane(cdfs, channel), 0) if copies else (whole, channel)
            masks = np.zeros((len(members), planes.shape[3]), cdfs.dtype)
            masks[:, :cells][members] = np.iinfo(cdfs.dtype).max
            _difference_sums(planes, position, ordered, order, masks, sums[:, channel])
        return sums

    def largest_share_sums(
        self, cdfs: CountArray, pairs: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """As `ks.Engine`."""
        sums = np.empty((len(pairs), cdfs.shape[1]))
        _share_sums(np.ascontiguousarray(cdfs), pairs, np.ascontiguousarray(sizes), sums)
        return sums


def tile_order(pairs: npt.NDArray[np.int64], tile: int) -> npt.NDArray[np.intp]:
    """An order (n,) in which pairs (n, 2) stay within two tiles of `tile` frames for as long as they can."""
    tile = max(1, tile)
    tiles = pairs.max(initial=0) // tile + 1
    first, second = pairs[:, 0], pairs[:, 1]
    # One integer a pair sorts ten times faster than four keys.
    key = (first // tile * tiles + second // tile) * tile * tile + first % tile * tile + second % tile
    return np.argsort(key)


def aligned_plane(cdfs: CountArray, channel: int) -> CountArray:
    """Copy one channel to (frame, 1, bin, cell or more), each row on a cache line; cells added are zero."""
    frames, _, bins, cells = cdfs.shape
    in_line = LINE_BYTES // cdfs.itemsize
    shape = (frames, 1, bins, -(-cells // in_line) * in_line)
    length = int(np.prod(shape)) * cdfs.itemsize
    raw = np.empty(length + LINE_BYTES, np.uint8)
    skip = -raw.ctypes.data % LINE_BYTES
    plane: CountArray = raw[skip : skip + length].view(cdfs.dtype).reshape(shape)
    plane[:, 0, :, :cells] = cdfs[:, channel]
    plane[..., cells:] = 0
    return plane


@kernel
def _difference_sums(
    cdfs: CountArray,
    channel: int,
    pairs: npt.NDArray[np.int64],
    order: npt.NDArray[np.intp],
    masks: CountArray,
    sums: npt.NDArray[np.int64],
) -> None:
    """For each pair p write into ``sums[order[p], group]`` the largest differences of the cells of each mask."""
    largest = np.empty(cdfs.shape[3], cdfs.dtype)
    for p in range(len(pairs)):
        _largest_differences(cdfs[pairs[p, 0], channel], cdfs[pairs[p, 1], channel], largest)
        for group in range(len(masks)):
            mask = masks[group]
            # 32 bits hold it, for it is at most the picture's pixels, and add up twice as fast as 64.
            total = np.uint32(0)
            for cell in range(largest.size):
                total = np.uint32(total + np.uint32(largest[cell] & mask[cell]))
            sums[order[p], group] = total


@kernel
def _largest_differences(a: CountArray, b: CountArray, largest: CountArray) -> None:
    """Fill `largest` (cell,) with the maximum over bins of ``|a - b|``, both (bin, cell).

    Cells are innermost, so that one instruction does 16 or 32 of them; ``max - min`` stays within the unsigned
    type, which the casts hold against numba's widening; four bins at once spare loads and stores of `largest`.
    """
    of = a.dtype.type
    bins = a.shape[0]
    largest[:] = 0
    k = 0
    while k + 4 <= bins:
        a0, a1, a2, a3 = a[k], a[k + 1], a[k + 2], a[k + 3]
        b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
        for c in range(largest.size):
            d0 = of(max(a0[c], b0[c]) - min(a0[c], b0[c]))
            d1 = of(max(a1[c], b1[c]) - min(a1[c], b1[c]))
            d2 = of(max(a2[c], b2[c]) - min(a2[c], b2[c]))
            d3 = of(max(a3[c], b3[c]) - min(a3[c], b3[c]))
            largest[c] = max(largest[c], d0, d1, d2, d3)
        k += 4
    while k < bins:
        a0, b0 = a[k], b[k]
        for c in range(largest.size):
            largest[c] = max(largest[c], of(max(a0[c], b0[c]) - min(a0[c], b0[c])))
        k += 1


@kernel
def _share_sums(
    cdfs: CountArray,
    pairs: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    sums: npt.NDArray[np.float64],
) -> None:
    """Write into ``sums[p, channel]`` the sum over cells of ``max |a / na - b / nb|``.

    ``|a * nb - b * na|`` is compared as integers, and divided once a cell.
    """
    _, channels, bins, cells = cdfs.shape
    largest = np.empty(cells, np.int64)
    for p in range(len(pairs)):
        first, second = pairs[p]
        for channel in range(channels):
            largest[:] = 0
            for k in range(bins):
                for c in range(cells):
                    a = np.int64(cdfs[first, channel, k, c]) * sizes[second, c]
                    b = np.int64(cdfs[second, channel, k, c]) * sizes[first, c]
                    largest[c] = max(largest[c], abs(a - b))
            total = 0.0
            for c in range(cells):
                total += largest[c] / (sizes[first, c] * sizes[second, c])
            sums[p, channel] = total


@kernel
def round_counts(cdfs: CountArray, sizes: npt.NDArray[np.int64], rounded: npt.NDArray[np.uint8]) -> None:
    """Fill `rounded` with ``255 * count / size``, half up; sizes are (frame, cell), or (1, cell) for all frames."""
    frames, channels, bins, cells = cdfs.shape
    for frame in range(frames):
        size = sizes[frame if len(sizes) > 1 else 0]
        for channel in range(channels):
            for k in range(bins):
                for c in range(cells):
                    count = np.int64(cdfs[frame, channel, k, c])
                    rounded[frame, channel, k, c] = (510 * count + size[c]) // (2 * size[c])
