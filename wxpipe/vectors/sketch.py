"""Exact nearest neighbours from short sketches of vectors: what cannot be near is passed over without being read.

A vector is turned so that its first numbers vary most, and those (the head) are kept as int8; of the rest only its
length is. Both the rounding and the rest are bounded, so a row's distance is at least a number that 32 small integers
tell. Rows near in time are alike: a block of them has the sketch of its middle and a radius, and mostly one
comparison passes all of it over. What is left is compared in float32. The answer is that of reading everything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wxpipe.kernels import LANE, fast_kernel, kernel, lane_product
from wxpipe.vectors.ranges import Ranges, Rows

Floats = npt.NDArray[np.float32]

QUERY_LIMIT = 32_767
ROWS_AT_ONCE = 16_384
SLACK = 4e-5
"""Share of squared lengths that float32 sums of at most a few thousand terms may be off, with room."""
SAMPLE = 20_000


@dataclass(frozen=True, eq=False)
class Heads:
    """Sketches of n points.

    Attributes:
        codes: int8 (n * pieces * LANE,), zeros behind a head's end; number times scale is about the head's value.
        bounds: float32 (n, 5): squared length, scale, length of the rounding error, length of the rest, radius.
    """

    codes: npt.NDArray[np.int8]
    bounds: Floats

    @classmethod
    def empty(cls, count: int, head: int) -> Heads:
        pieces = -(-head // LANE)
        return cls(np.zeros(count * pieces * LANE, np.int8), np.zeros((count, 5), np.float32))

    @property
    def pieces(self) -> int:
        return len(self.codes) // (LANE * max(1, len(self.bounds)))

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + self.bounds.nbytes


@dataclass(frozen=True, eq=False)
class Sketch:
    """Vectors and their sketches.

    Attributes:
        vectors: float32 (n, d), C-contiguous, as they came.
        middle: float32 (d,), and turn: float32 (d, d), rows of which are directions, most varying first.
        head: how many numbers of a turned vector a head has.
        rows: a head for each row; blocks: for each run of ``block`` rows.
        longest: no turned vector is longer.
    """

    vectors: Floats
    middle: Floats
    turn: Floats
    head: int
    block: int
    rows: Heads
    blocks: Heads
    longest: float

    def nearest(self, query: Floats, rows: Ranges, k: int) -> tuple[Floats, Rows]:
        """Squared distances and rows of the k nearest among some, nearest first, the earlier row first where equal."""
        k = min(k, rows.count)
        distances, found = np.full(k, np.inf, np.float32), np.full(k, -1, np.int64)
        if k:
            codes, numbers = self._query(query)
            _scan(self.vectors, self.rows.codes, self.rows.bounds, self.blocks.codes, self.blocks.bounds, self.block,
                  query, codes, numbers, rows.starts, rows.stops, distances, found)  # fmt: skip
        order = np.lexsort((found, distances))
        return distances[order], found[order]

    def _query(self, query: Floats) -> tuple[npt.NDArray[np.int16], Floats]:
        """The query's head as int16 (pieces, LANE), and what `_scan` calls numbers."""
        turned = self.turn @ (query - self.middle)
        head = np.zeros(-(-self.head // LANE) * LANE, np.float32)
        head[: self.head] = turned[: self.head]
        # The sum of head products stays an int32.
        scale = float(np.abs(head).max()) / min(QUERY_LIMIT, (2**31 - 1) // (127 * len(head))) or 1.0
        codes = np.rint(head / scale)
        rounded = codes * scale
        numbers = (turned @ turned, scale, _length(head - rounded) * self.longest, _length(rounded),
                   _length(turned[self.head :]))  # fmt: skip
        return codes.astype(np.int16), np.array(numbers, np.float32)


def make_sketch(vectors: Floats, head: int = LANE, block: int = 4) -> Sketch:
    """Sketches of vectors (n, d) in time order.

    Args:
        vectors: finite float32, C-contiguous.
        head: numbers of a head; all are kept where d is less.
        block: consecutive rows with a sketch in common.
    """
    middle, turn = _directions(vectors)
    head = min(head, vectors.shape[1])
    count = len(vectors)
    of_rows, of_blocks = Heads.empty(count, head), Heads.empty(-(-count // block), head)
    step = ROWS_AT_ONCE // block * block
    for first in range(0, count, step):
        turned = ((vectors[first : first + step] - middle) @ turn.T).astype(np.float32, copy=False)
        _write_heads(turned, head, of_rows, first)
        edges = np.arange(0, len(turned), block)
        lengths = np.diff(np.r_[edges, len(turned)])
        middles = (np.add.reduceat(turned, edges) / lengths[:, np.newaxis]).astype(np.float32)
        _write_heads(middles, head, of_blocks, first // block)
        turned -= np.repeat(middles, lengths, axis=0)
        apart = np.sqrt(np.einsum("ij,ij->i", turned, turned))
        place = slice(first // block, first // block + len(edges))
        of_blocks.bounds[place, 4] = np.maximum.reduceat(apart, edges) * np.float32(1 + SLACK)
    longest = float(np.sqrt(of_rows.bounds[:, 0].max(initial=0)))
    return Sketch(vectors, middle, turn, head, block, of_rows, of_blocks, longest)


def _length(vector: Floats) -> float:
    return float(np.sqrt(vector @ vector))


def _directions(vectors: Floats) -> tuple[Floats, Floats]:
    """Middle and principal directions, of rows spread through all."""
    width = vectors.shape[1]
    if not len(vectors):
        return np.zeros(width, np.float32), np.eye(width, dtype=np.float32)
    sample = vectors[:: max(1, len(vectors) // SAMPLE)].astype(np.float64)
    middle = sample.mean(axis=0)
    _, directions = np.linalg.eigh((sample - middle).T @ (sample - middle))
    return middle.astype(np.float32), np.ascontiguousarray(directions.T[::-1], np.float32)


def _write_heads(turned: Floats, head: int, into: Heads, first: int) -> None:
    width = into.pieces * LANE
    start = turned[:, :head].copy()  # changed below, and where a head is all of a vector a slice would be `turned`
    scales = np.abs(start).max(axis=1, keepdims=True) / np.float32(127)
    scales[scales == 0] = 1
    codes = np.rint(start / scales)
    place = slice(first, first + len(turned))
    into.codes.reshape(-1, width)[place, :head] = codes
    into.bounds[place, 0] = np.einsum("ij,ij->i", turned, turned)
    into.bounds[place, 1] = scales[:, 0]
    codes *= scales
    start -= codes
    rest = turned[:, head:]
    into.bounds[place, 2] = np.sqrt(np.einsum("ij,ij->i", start, start))
    into.bounds[place, 3] = np.sqrt(np.einsum("ij,ij->i", rest, rest))


@fast_kernel
def _least(
    codes: npt.NDArray[np.int8], pieces: int, bounds: Floats, row: int, query: npt.NDArray[np.int16], numbers: Floats
) -> np.float32:
    """A number that the squared distance is not below, but for rounding of sums.

    q.x = head(q).head(x) + rest.rest, the rest at most the product of lengths (Cauchy-Schwarz), and so are the two
    errors of rounding.
    """
    total = np.int32(0)
    for piece in range(pieces):
        total = np.int32(total + lane_product(codes, (row * pieces + piece) * LANE, query, piece * LANE))
    most: np.float32 = (
        np.float32(total) * numbers[1] * bounds[row, 1]
        + numbers[3] * bounds[row, 2]
        + numbers[2]
        + numbers[4] * bounds[row, 3]
    )
    least: np.float32 = (bounds[row, 0] + numbers[0]) * np.float32(1 - SLACK) - np.float32(2) * most
    return least


@fast_kernel
def _squared(vectors: Floats, row: int, query: Floats) -> np.float32:
    total = np.float32(0)
    for n in range(len(query)):
        difference = vectors[row, n] - query[n]
        total += difference * difference
    return total


@kernel
def _replace_worst(distances: Floats, found: Rows, distance: np.float32, row: int) -> None:
    """The root of a heap, the greatest on top, gives way."""
    place, size = 0, len(distances)
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and distances[child + 1] > distances[child]:
            child += 1
        if distances[child] <= distance:
            break
        distances[place], found[place] = distances[child], found[child]
        place = child
    distances[place], found[place] = distance, row


@kernel
def _scan(
    vectors: Floats, codes: npt.NDArray[np.int8], bounds: Floats, block_codes: npt.NDArray[np.int8],
    block_bounds: Floats, block: int, query: Floats, query_codes: npt.NDArray[np.int16], numbers: Floats,
    starts: Rows, stops: Rows, distances: Floats, found: Rows,
) -> None:  # fmt: skip
    """Fills heaps of squared distances and rows with the nearest; numbers: squared length, scale, length of the
    rounding error times the longest row, length of the rounded head, length of the rest, all of the query."""
    pieces = len(query_codes) // LANE
    worst = distances[0]
    reach = np.sqrt(worst)
    for n in range(len(starts)):
        row = starts[n]
        while row < stops[n]:
            place = row // block
            end = min((place + 1) * block, stops[n])
            within = reach + block_bounds[place, 4]
            if block > 1 and _least(block_codes, pieces, block_bounds, place, query_codes, numbers) >= within * within:
                row = end
                continue
            while row < end:
                if _least(codes, pieces, bounds, row, query_codes, numbers) < worst:
                    distance = _squared(vectors, row, query)
                    if distance < worst:
                        _replace_worst(distances, found, distance, row)
                        worst = distances[0]
                        reach = np.sqrt(worst)
                row += 1


def scan(vectors: Floats, query: Floats, rows: Ranges, k: int) -> tuple[Floats, Rows]:
    """As `Sketch.nearest`, by reading every vector: for few rows, where preparing a query would cost more."""
    k = min(k, rows.count)
    distances, found = np.full(k, np.inf, np.float32), np.full(k, -1, np.int64)
    if k:
        _scan_all(vectors, query, rows.starts, rows.stops, distances, found)
    order = np.lexsort((found, distances))
    return distances[order], found[order]


@kernel
def _scan_all(vectors: Floats, query: Floats, starts: Rows, stops: Rows, distances: Floats, found: Rows) -> None:
    for n in range(len(starts)):
        for row in range(starts[n], stops[n]):
            distance = _squared(vectors, row, query)
            if distance < distances[0]:
                _replace_worst(distances, found, distance, row)
