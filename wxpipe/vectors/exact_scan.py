"""The nearest of some rows by reading each of them, and the heap in which every way of search keeps the nearest so far.

Of equal distances the earlier row is the nearer, so that an answer does not depend on the order in which rows are read.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wxpipe.kernels import fast_kernel, kernel
from wxpipe.vectors.ranges import LAST_ROW, Ranges, Rows

Floats = npt.NDArray[np.float32]
FEW_SLICES = 64


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


def by_product(vectors: Floats, lengths: Floats, query: Floats, rows: Ranges, k: int) -> tuple[Floats, Rows]:
    """As `scan`, by a product of matrices and one partition of all distances; for where many of the rows are wanted.

    The product is of numbers that nearly cancel: it says which rows may be among the nearest, and their distances are
    then worked out as `scan` does.

    Args:
        lengths: of the vectors, squared, float32 (n,).
    """
    count = rows.count
    wanted = min(k, count)
    if not count:
        return scan(vectors, query, rows, k)
    slices = list(zip(rows.starts.tolist(), rows.stops.tolist(), strict=True))
    if len(slices) <= FEW_SLICES:
        apart = np.concatenate([lengths[a:b] - 2 * (vectors[a:b] @ query) for a, b in slices])
        length = max((float(lengths[a:b].max()) for a, b in slices), default=0.0)
    else:
        places = rows.rows()
        apart = lengths[places] - 2 * (vectors[places] @ query)
        length = float(lengths[places].max())
    if wanted < count:
        # What rounding may have done to two distances that are compared.
        doubt = 8 * float(np.finfo(np.float32).eps) * (length + float(query @ query)) * len(query) ** 0.5
        near = np.flatnonzero(apart <= np.partition(apart, wanted - 1)[wanted - 1] + doubt)
    else:
        near = np.arange(count)
    chosen = rows.rows()[near]
    squared = _distances(vectors, query, chosen)
    order = np.argsort(squared, kind="stable")[:wanted]
    return squared[order], chosen[order]


@kernel
def _distances(vectors: Floats, query: Floats, rows: Rows) -> Floats:
    found = np.empty(len(rows), np.float32)
    for n in range(len(rows)):
        found[n] = squared_distance(vectors, rows[n], query)
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
