"""The exact search by cells, compiled: how far a query's frames over some cells are from those of many clips.

Distance is the ground truth's, 1 - similarity: the mean over frames i-th with i-th, channels and cells of the largest
difference of shares. Clips are worked on in blocks of neighbours in time, whose i-th frames are neighbours too: one
value of the query is then held against a row of consecutive slots, 32 at an instruction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wxpipe.kernels import kernel

Counts = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Sums = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float64]

BLOCK = 128
"""Clips of a block: twice as many are bounded worse, half as many pay more for the loops around."""
ROUNDED_SIZE = 255


@dataclass(frozen=True, eq=False)
class CellQuery:
    """What is looked for.

    Attributes:
        frames: uint8 (frame, cell, channel, bin), rounded as the copy is.
        pairs: of each shift, (cell of the query, cell of the candidates), positions on the axes of either.
    """

    frames: Counts
    pairs: tuple[tuple[Ints, Ints], ...]

    @property
    def sums(self) -> npt.NDArray[np.int64]:
        """(cell, channel, bin), over the frames."""
        total: npt.NDArray[np.int64] = self.frames.sum(axis=0, dtype=np.int64)
        return total


def frame_order(frames: int) -> Ints:
    """Both ends, the middle, the middles between: the sum of a few frames then soon says what all will come to."""
    order = list(dict.fromkeys([0, frames - 1]))
    step = frames - 1
    while step > 1:
        step = -(-step // 2)
        order += [n for n in range(0, frames, step) if n not in order]
    return np.array(order + [n for n in range(frames) if n not in order], np.int64)


def scan_cells(cells: Counts, channels: Ints, clips: Ints, query: CellQuery, limit: float) -> tuple[Floats, Ints]:
    """The distance of every clip that is no further than a limit, at its best shift.

    Args:
        cells: uint8 (cell, channel, bin, slot), C-contiguous.
        channels: which of them are compared; those of the query's frames are these, in this order.
        clips: (clip, frame) slots on the last axis of ``cells``, clips in order of time.
        limit: clips further away may be answered by infinity, and are as soon as that is certain.

    Returns:
        Distances (clip,), infinity beyond the limit; and of each the position of its shift, the first of equal ones,
        -1 beyond the limit.
    """
    best, shift = np.full(len(clips), np.inf), np.full(len(clips), -1, np.int64)
    order, total = frame_order(clips.shape[1]), query.sums
    bounded = len(query.pairs) > 1 and limit < np.inf
    for start, stop in blocks_of(clips):
        block = clips[start:stop]
        steps = block - block[0]
        # Where i-th frames follow each other slot by slot, sums over a clip's frames are sums of rows.
        regular = bounded and bool((steps == np.arange(len(block))[:, None]).all())
        bound = np.zeros(len(block), np.uint32)
        rows = _sums_of_frames(cells, channels, block) if regular else np.zeros((0, 0, 0, 0), np.uint16)
        for n, (of_query, of_candidate) in enumerate(query.pairs):
            scale = ROUNDED_SIZE * clips.shape[1] * len(channels) * len(of_query)
            # Half a count more: a distance that is the limit itself is not lost to the rounding of this product.
            most = np.uint32(min(limit * scale + 0.5, 2**32 - 1))
            if regular:
                _bounds(rows, total, of_query, of_candidate, bound)
                if bound.min() > most:
                    continue
            sums = np.zeros(len(block), np.uint32)
            if not _block_sums(cells, channels, block, query.frames, of_query, of_candidate, order, most, sums):
                continue
            found = sums / scale
            better = (found < best[start:stop]) & (found <= limit)
            best[start:stop][better] = found[better]
            shift[start:stop][better] = n
    return best, shift


def blocks_of(clips: Ints) -> list[tuple[int, int]]:
    """Blocks of clips near in time: at most `BLOCK` clips, and first frames within twice as many slots."""
    found, start = [], 0
    firsts = clips[:, 0]
    while start < len(clips):
        near = int(np.searchsorted(firsts, firsts[start] + 2 * BLOCK))
        stop = min(start + BLOCK, near)
        found.append((start, stop))
        start = stop
    return found


@kernel
def _sums_of_frames(cells: Counts, channels: Ints, clips: Ints) -> npt.NDArray[np.uint16]:
    """(cell, channel, bin, clip): sums over the frames of clips whose i-th frames follow each other slot by slot."""
    count, frames = clips.shape
    sums = np.zeros((cells.shape[0], len(channels), cells.shape[2], count), np.uint16)
    for cell in range(cells.shape[0]):
        for place in range(len(channels)):
            for k in range(cells.shape[2]):
                values, row = cells[cell, channels[place], k], sums[cell, place, k]
                for f in range(frames):
                    first = clips[0, f]
                    part = values[first : first + count]
                    for t in range(count):
                        row[t] = np.uint16(row[t] + np.uint16(part[t]))
    return sums


@kernel
def _bounds(rows: npt.NDArray[np.uint16], total: Ints, of_query: Ints, of_candidate: Ints, bound: Sums) -> None:
    """What the sum of largest differences cannot be below: the difference of means is no more than their mean."""
    count = rows.shape[3]
    largest = np.empty(count, np.uint16)
    bound[:] = 0
    for n in range(len(of_query)):
        for place in range(rows.shape[1]):
            largest[:] = 0
            for k in range(rows.shape[2]):
                value, row = np.uint16(total[of_query[n], place, k]), rows[of_candidate[n], place, k]
                for t in range(count):
                    difference = np.uint16(max(row[t], value) - min(row[t], value))
                    largest[t] = max(largest[t], difference)
            for t in range(count):
                bound[t] = np.uint32(bound[t] + np.uint32(largest[t]))


@kernel
def _block_sums(
    cells: Counts,
    channels: Ints,
    clips: Ints,
    frames: Counts,
    of_query: Ints,
    of_candidate: Ints,
    order: Ints,
    most: np.uint32,
    sums: Sums,
) -> bool:
    """Fills ``sums`` (clip,) with the sums of largest differences; False, and not to the end, where all are above."""
    count = len(clips)
    for step in range(len(order)):
        f = order[step]
        low, high = clips[0, f], clips[0, f]
        for t in range(count):
            low, high = min(low, clips[t, f]), max(high, clips[t, f])
        width = high - low + 1
        row, largest = np.zeros(width, np.uint32), np.empty(width, np.uint8)
        for n in range(len(of_query)):
            for place in range(len(channels)):
                values = cells[of_candidate[n], channels[place]]
                _largest(values, low, frames[f, of_query[n], place], largest)
                for s in range(width):
                    row[s] = np.uint32(row[s] + np.uint32(largest[s]))
        least = np.uint32(0xFFFFFFFF)
        for t in range(count):
            sums[t] = np.uint32(sums[t] + row[clips[t, f] - low])
            least = min(least, sums[t])
        if least > most:
            return False
    return True


@kernel
def _largest(values: Counts, low: int, wanted: Counts, largest: Counts) -> None:
    """Largest difference over bins of (bin, slot), from a slot on, to one column (bin,); four bins at once spare
    loads and stores."""
    width, bins = largest.size, len(wanted)
    largest[:] = 0
    k = 0
    while k + 4 <= bins:
        a0, a1 = values[k, low : low + width], values[k + 1, low : low + width]
        a2, a3 = values[k + 2, low : low + width], values[k + 3, low : low + width]
        b0, b1, b2, b3 = wanted[k], wanted[k + 1], wanted[k + 2], wanted[k + 3]
        for s in range(width):
            d0 = np.uint8(max(a0[s], b0) - min(a0[s], b0))
            d1 = np.uint8(max(a1[s], b1) - min(a1[s], b1))
            d2 = np.uint8(max(a2[s], b2) - min(a2[s], b2))
            d3 = np.uint8(max(a3[s], b3) - min(a3[s], b3))
            largest[s] = max(largest[s], d0, d1, d2, d3)
        k += 4
    while k < bins:
        a0, b0 = values[k, low : low + width], wanted[k]
        for s in range(width):
            largest[s] = max(largest[s], np.uint8(max(a0[s], b0) - min(a0[s], b0)))
        k += 1
