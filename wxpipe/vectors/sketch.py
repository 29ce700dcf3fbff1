"""Nearest neighbours from short sketches of vectors: what is not near is passed over without being read.

A vector is turned so that its first numbers vary most, and those (the head) are kept as int8; of the rest only its
length is. Rows near in time are alike: a block of them has the sketch of its middle, and a radius. First the distance
of every block is told from its sketch, sixteen blocks (a tile) at a time; then, in the blocks that may hold what is
near, that of every row; what is left is compared in float32.

What sketches do not tell is bounded: the product of two rests by that of their lengths, what is in a block by its
radius. `Care` says how much of that is reckoned with: all, and the answer is that of reading every row; less, and it
is so nearly always, at a fraction of the time, since in many dimensions little of a bound is ever used up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wxpipe.kernels import LANE, TILE, fast_kernel, kernel, lane_product, tile_least, tile_products
from wxpipe.vectors.exact_scan import Floats, empty_heap, offer, sort_heap, squared_distance
from wxpipe.vectors.ranges import Ranges, Rows

Codes = npt.NDArray[np.int8]

ROW_HEAD, BLOCK_HEAD = 2 * LANE, LANE
BLOCK = 4
"""Rows, an hour of quarters. Of 350,000 weather-like rows, to find .99 of the nearest 10, 175,000 blocks of 2 left
700 rows to tell, 88,000 of 4 2,500, 44,000 of 8 20,000; telling a block takes a tenth of telling a row."""
TILE_ROWS = TILE * BLOCK
ROWS_AT_ONCE = 16_384
SLACK = 4e-5
"""Share of squared lengths that float32 sums of at most a few thousand terms may be off, with room."""
SAMPLE = 20_000
LEAST_TILES, ROWS_A_TILE = 4, 32
"""Tiles that are searched first, so that a near row is known before all others are told of: at the least; and one more
for so many rows wanted."""


@dataclass(frozen=True)
class Care:
    """How much of what bounds allow a search reckons with, 0 to 1; 1 of both is exact.

    Attributes:
        rows: of the products of two lengths, where the angle between is not known, for a row.
        blocks: and for the middle of a block.
        radius: of the radius of a block.
    """

    rows: float = 1.0
    blocks: float = 1.0
    radius: float = 1.0


EXACT = Care()


@dataclass(frozen=True, eq=False)
class Sketch:
    """Vectors and their sketches; a number of a head is about its code times a scale.

    Attributes:
        vectors: float32 (n, d), C-contiguous, as they came.
        middle: float32 (d,).
        turn: float32 (ROW_HEAD, d), rows of which are directions, most varying first; zeros where d is less.
        row_codes: int8 (n * ROW_HEAD,), heads of rows one after another.
        row_bounds: float32 (n, 4): squared length, scale, length of the rounding error, length of the rest.
        tile_codes: int8 (tiles * BLOCK_HEAD * TILE,), of TILE blocks first the first number of each head.
        block_bounds: float32 (5, tiles * TILE): as of rows, and the radius; blocks that fill the last tile are far.
    """

    vectors: Floats
    middle: Floats
    turn: Floats
    row_codes: Codes
    row_bounds: Floats
    tile_codes: Codes
    block_bounds: Floats

    @property
    def nbytes(self) -> int:
        """Beside the vectors."""
        return sum(part.nbytes for part in (self.row_codes, self.row_bounds, self.tile_codes, self.block_bounds))

    def nearest(self, query: Floats, rows: Ranges, k: int, care: Care = EXACT) -> tuple[Floats, Rows]:
        """Squared distances and rows of the k nearest among some, nearest first, the earlier row first where equal."""
        distances, found, _ = self.nearest_and_read(query, rows, k, care)
        return distances, found

    def nearest_and_read(self, query: Floats, rows: Ranges, k: int, care: Care = EXACT) -> tuple[Floats, Rows, int]:
        """As `nearest`, and of how many rows the vector was read."""
        return _search(self.vectors, self.middle, self.turn, self.row_codes, self.row_bounds, self.tile_codes,
                       self.block_bounds, query, rows.starts, rows.stops, min(k, rows.count), care.rows,
                       care.blocks, care.radius)  # fmt: skip


def make_sketch(vectors: Floats) -> Sketch:
    """Sketches of finite vectors, float32 (n, d), C-contiguous, in time order."""
    count, width = vectors.shape
    middle, turn = _directions(vectors)
    blocks = -(-count // BLOCK)
    places = -(-blocks // TILE) * TILE
    row_codes, row_bounds = np.zeros((count, ROW_HEAD), np.int8), np.zeros((count, 4), np.float32)
    block_codes, block_bounds = np.zeros((places, BLOCK_HEAD), np.int8), np.zeros((places, 5), np.float32)
    block_bounds[blocks:, 0] = np.inf
    for first in range(0, count, ROWS_AT_ONCE):
        turned = ((vectors[first : first + ROWS_AT_ONCE] - middle) @ turn.T).astype(np.float32, copy=False)
        rows = slice(first, first + len(turned))
        _write_heads(turned, row_codes[rows], row_bounds[rows])
        edges = np.arange(0, len(turned), BLOCK)
        lengths = np.diff(np.r_[edges, len(turned)])
        middles = (np.add.reduceat(turned, edges) / lengths[:, np.newaxis]).astype(np.float32)
        place = slice(first // BLOCK, first // BLOCK + len(edges))
        _write_heads(middles, block_codes[place], block_bounds[place])
        turned -= np.repeat(middles, lengths, axis=0)
        apart = np.sqrt(np.einsum("ij,ij->i", turned, turned))
        block_bounds[place, 4] = np.maximum.reduceat(apart, edges) * np.float32(1 + SLACK)
    heads = np.zeros((ROW_HEAD, width), np.float32)
    heads[: min(ROW_HEAD, width)] = turn[:ROW_HEAD]
    tiles = block_codes.reshape(-1, TILE, BLOCK_HEAD).transpose(0, 2, 1)
    return Sketch(vectors, middle, heads, row_codes.ravel(), row_bounds, np.ascontiguousarray(tiles).ravel(),
                  np.ascontiguousarray(block_bounds.T))  # fmt: skip


def _directions(vectors: Floats) -> tuple[Floats, Floats]:
    """Middle and principal directions, of rows spread through all."""
    width = vectors.shape[1]
    if not len(vectors):
        return np.zeros(width, np.float32), np.eye(width, dtype=np.float32)
    sample = vectors[:: max(1, len(vectors) // SAMPLE)].astype(np.float64)
    middle = sample.mean(axis=0)
    _, directions = np.linalg.eigh((sample - middle).T @ (sample - middle))
    return middle.astype(np.float32), np.ascontiguousarray(directions.T[::-1], np.float32)


def _write_heads(turned: Floats, codes: Codes, bounds: Floats) -> None:
    head = min(codes.shape[1], turned.shape[1])
    start = turned[:, :head].copy()
    scales = np.abs(start).max(axis=1, keepdims=True) / np.float32(127)
    scales[scales == 0] = 1
    rounded = np.rint(start / scales)
    codes[:, :head] = rounded
    bounds[:, 0] = np.einsum("ij,ij->i", turned, turned)
    bounds[:, 1] = scales[:, 0]
    start -= rounded * scales
    rest = turned[:, head:]
    bounds[:, 2] = np.sqrt(np.einsum("ij,ij->i", start, start))
    bounds[:, 3] = np.sqrt(np.einsum("ij,ij->i", rest, rest))


@fast_kernel
def _turned(query: Floats, middle: Floats, turn: Floats, head: Floats, numbers: Floats) -> None:
    """Of a query the head, and in numbers: its squared length, and of a row's head and a block's the length of both
    the head and the rest."""
    away = query - middle
    total = np.float32(0)
    for n in range(len(away)):
        total += away[n] * away[n]
    squared = np.float32(0)
    for row in range(ROW_HEAD):
        value = np.float32(0)
        for n in range(len(away)):
            value += turn[row, n] * away[n]
        head[row] = value
        squared += value * value
        if row == BLOCK_HEAD - 1:
            numbers[3] = np.sqrt(squared)
            numbers[4] = np.sqrt(max(total * np.float32(1 + SLACK) - squared, np.float32(0)))
    numbers[0] = total
    numbers[1] = np.sqrt(squared)
    numbers[2] = np.sqrt(max(total * np.float32(1 + SLACK) - squared, np.float32(0)))


@fast_kernel
def _bound_blocks(
    least: Floats, squared: Floats, scales: Floats, errors: Floats, rests: Floats, radii: Floats, numbers: Floats,
    products: np.float32, radius: np.float32,
) -> None:  # fmt: skip
    """Of blocks, whose products with the query's head are in least, distances that no row is below (with full care).

    All arrays have one length; so long a loop without branches becomes one of wide instructions.
    """
    total, head, rest = numbers[0], numbers[3], numbers[4]
    for n in range(len(least)):
        most = least[n] * scales[n] + products * (head * errors[n] + rest * rests[n])
        found = (squared[n] + total) * np.float32(1 - SLACK) - np.float32(2) * most
        least[n] = np.sqrt(max(found, np.float32(0))) - radius * radii[n]


@fast_kernel
def _least_of_row(
    codes: Codes, bounds: Floats, row: int, head: Floats, numbers: Floats, products: np.float32
) -> np.float32:
    """A number that the squared distance is not below (with full care), but for rounding of sums.

    q.x = head(q).head(x) + rest.rest, the rest at most the product of lengths (Cauchy-Schwarz), and so is the error
    of rounding.
    """
    total = lane_product(codes, row * ROW_HEAD, head, 0) + lane_product(codes, row * ROW_HEAD + LANE, head, LANE)
    most = total * bounds[row, 1] + products * (numbers[1] * bounds[row, 2] + numbers[2] * bounds[row, 3])
    return (bounds[row, 0] + numbers[0]) * np.float32(1 - SLACK) - np.float32(2) * most  # type: ignore[no-any-return]


@kernel
def _search(
    vectors: Floats, middle: Floats, turn: Floats, row_codes: Codes, row_bounds: Floats, tile_codes: Codes,
    block_bounds: Floats, query: Floats, starts: Rows, stops: Rows, k: int, of_rows: float, of_blocks: float,
    of_radius: float,
) -> tuple[Floats, Rows, int]:  # fmt: skip
    distances, found = empty_heap(k)
    read = 0
    if k == 0:
        return distances, found, read
    share, products, radius = np.float32(of_rows), np.float32(of_blocks), np.float32(of_radius)
    head, numbers = np.empty(ROW_HEAD, np.float32), np.empty(5, np.float32)
    _turned(query, middle, turn, head, numbers)
    least = np.empty(block_bounds.shape[1], np.float32)
    of_tiles = np.empty(len(least) // TILE, np.float32)
    best, tiles = empty_heap(LEAST_TILES + k // ROWS_A_TILE)
    done = 0
    for n in range(len(starts)):
        start, stop = max(done, starts[n] // TILE_ROWS), (stops[n] - 1) // TILE_ROWS + 1
        if start >= stop:
            continue
        for tile in range(start, stop):
            tile_products(tile_codes, tile * TILE * BLOCK_HEAD, head, least, tile * TILE)
        first, last = start * TILE, stop * TILE
        _bound_blocks(least[first:last], block_bounds[0, first:last], block_bounds[1, first:last],
                      block_bounds[2, first:last], block_bounds[3, first:last], block_bounds[4, first:last], numbers,
                      products, radius)  # fmt: skip
        for tile in range(start, stop):
            lowest = tile_least(least, tile * TILE)
            of_tiles[tile] = lowest
            if lowest < best[0]:
                offer(best, tiles, lowest, tile)
        done = stop
    # The nearest tiles first: then nearly all others are further than what is known.
    near = best[0]
    reach = np.float32(np.inf)
    for later in range(2):
        for n in range(len(starts)):
            row = starts[n]
            while row < stops[n]:
                tile = row // TILE_ROWS
                end = min((tile + 1) * TILE_ROWS, stops[n])
                lowest = of_tiles[tile]
                if lowest <= reach and (lowest > near) == (later == 1):
                    read += _visit(vectors, row_codes, row_bounds, least, query, head, numbers, share, row, end,
                                   reach, distances, found)  # fmt: skip
                    reach = np.sqrt(distances[0])
                row = end
    sort_heap(distances, found)
    return distances, found, read


@kernel
def _visit(
    vectors: Floats, codes: Codes, bounds: Floats, least: Floats, query: Floats, head: Floats, numbers: Floats,
    share: np.float32, start: int, stop: int, reach: np.float32, distances: Floats, found: Rows,
) -> int:  # fmt: skip
    """Takes in what is near among the rows of a tile; returns how many vectors were read."""
    read = 0
    row = start
    while row < stop:
        place = row // BLOCK
        end = min((place + 1) * BLOCK, stop)
        if least[place] <= reach:
            for each in range(row, end):
                if _least_of_row(codes, bounds, each, head, numbers, share) <= distances[0]:
                    read += 1
                    distance = squared_distance(vectors, each, query)
                    if distance <= distances[0]:
                        offer(distances, found, distance, each)
                        reach = np.sqrt(distances[0])
        row = end
    return read
