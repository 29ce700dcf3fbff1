"""The nearest of some rows by reading each of them, and the heap in which every way of search keeps the nearest so far.

Of equal distances the earlier row is the nearer, so that an answer does not depend on the order in which rows are read.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wxpipe.kernels import fast_kernel, kernel
from wxpipe.vectors.ranges import LAST_ROW, Ranges, Rows

Floats = npt.NDArray[np.float32]


def scan(vectors: Floats, query: Floats, rows: Ranges, k: int) -> tuple[Floats, Rows]:
    """Squared distances and rows of the k nearest among some, nearest first.

    Args:
        vectors: float32 (n, d), C-contiguous; query: float32 (d,).
        rows: which of them.
        k: as many, or all where there are fewer.
    """
    return _scan(vectors, query, rows.starts, rows.stops, min(k, rows.count))


@kernel
def _scan(vectors: Floats, query: Floats, starts: Rows, stops: Rows, k: int) -> tuple[Floats, Rows]:
    distances, found = empty_heap(k)
    if k:
        for n in range(len(starts)):
            for row in range(starts[n], stops[n]):
                distance = squared_distance(vectors, row, query)
                if distance <= distances[0]:
                    offer(distances, found, distance, row)
    sort_heap(distances, found)
    return distances, found


def by_sorting(vectors: Floats, query: Floats, rows: Ranges, k: int) -> tuple[Floats, Rows]:
    """As `scan`, but all distances are kept and sorted out at the end: quicker where many of the rows are wanted."""
    squared = _distances(vectors, query, rows.starts, rows.stops, rows.count)
    wanted = min(k, rows.count)
    near = np.arange(rows.count)
    if wanted < rows.count:
        near = np.flatnonzero(squared <= np.partition(squared, wanted - 1)[wanted - 1])
    order = near[np.argsort(squared[near], kind="stable")[:wanted]]
    return squared[order], rows.rows()[order]


@kernel
def _distances(vectors: Floats, query: Floats, starts: Rows, stops: Rows, count: int) -> Floats:
    found = np.empty(count, np.float32)
    place = 0
    for n in range(len(starts)):
        for row in range(starts[n], stops[n]):
            found[place] = squared_distance(vectors, row, query)
            place += 1
    return found


@fast_kernel
def squared_distance(vectors: Floats, row: int, query: Floats) -> np.float32:
    total = np.float32(0)
    for n in range(len(query)):
        difference = vectors[row, n] - query[n]
        total += difference * difference
    return total


@kernel
def empty_heap(size: int) -> tuple[Floats, Rows]:
    """Distances and rows, the worst on top; any row is better than what an empty one holds."""
    return np.full(size, np.float32(np.inf), np.float32), np.full(size, LAST_ROW, np.int64)


@kernel
def offer(distances: Floats, found: Rows, distance: np.float32, row: int) -> None:
    """Takes a row in where it is better than the worst, which gives way."""
    if _before(distance, row, distances[0], found[0]):
        _sink(distances, found, len(distances), distance, row)


@kernel
def sort_heap(distances: Floats, found: Rows) -> None:
    """Puts a heap in order, nearest first; it is no heap then."""
    for last in range(len(distances) - 1, 0, -1):
        distance, row = distances[last], found[last]
        distances[last], found[last] = distances[0], found[0]
        _sink(distances, found, last, distance, row)


@kernel
def _before(distance: np.float32, row: int, other: np.float32, other_row: int) -> bool:
    return bool(distance < other or (distance == other and row < other_row))


@kernel
def _sink(distances: Floats, found: Rows, size: int, distance: np.float32, row: int) -> None:
    """Puts a row in place of the top, and lets it down to where no worse one is below."""
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and _before(distances[child], found[child], distances[child + 1], found[child + 1]):
            child += 1
        if not _before(distance, row, distances[child], found[child]):
            break
        distances[place], found[place] = distances[child], found[child]
        place = child
    distances[place], found[place] = distance, row
