"""Chooses how the nearest of some rows are found: by reading all of them, or by their sketches, with as little care as
the archive's own vectors allow.

What is chosen is measured on the vectors themselves (how much care is enough) and on the machine (from how many rows
sketches are faster) whenever they are loaded; nothing of it is stored, and so nothing can be stale.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from wxpipe.kernels import TILE
from wxpipe.vectors.exact_scan import Floats, by_sorting, scan
from wxpipe.vectors.ranges import Ranges, Rows
from wxpipe.vectors.sketch import EXACT, TILE_ROWS, Care, Sketch, make_sketch

SKETCH_FROM = 500
"""Rows from which sketches are used where nothing was measured."""
BLOCKS_A_ROW = 10
"""Blocks that are told in about the time in which a row is read that is far from the one before."""
SMALLEST = 4_000
"""With fewer rows all searches are exact, and nothing is measured: any way takes less than what is around it."""
MANY, CROWDED = 100, 25
"""So many nearest, of at most so many times as many rows: all distances are sorted out sooner than the nearest kept."""
TRIED = (125, 250, 500, 1_000, 2_000)
TIMED, TIMED_K = 15, 10

CARES = (
    *(Care(rows, 0, radius) for rows, radius in ((0.2, 0.3), (0.25, 0.35), (0.35, 0.4), (0.35, 0.42), (0.35, 0.45))),
    *(Care(rows, 0, radius) for rows, radius in ((0.35, 0.5), (0.35, 0.6), (0.45, 0.75), (0.6, 1))),
)
"""From quick to careful."""
RECALL = 0.994
"""What is asked of the archive's own vectors as queries: .99 is promised, and the queries of a sample are few."""
QUERIES, WANTED, SHARES = 40, (10, 100), (1.0, 0.25, 0.05)
OWN_ROWS = 200
"""Rows on either side of a query that are not searched for it when recall is measured: its own weather, two days."""


@dataclass(frozen=True, eq=False)
class Planner:
    """Vectors, their sketches, from how many rows on those are used, and with how much care."""

    vectors: Floats
    sketch: Sketch
    care: Care = EXACT
    sketch_from: int = SKETCH_FROM

    @classmethod
    def over(cls, vectors: Floats) -> Planner:
        """Makes the sketches, and measures what suits them."""
        return cls(vectors, make_sketch(vectors)).calibrated()

    def nearest(
        self, query: npt.NDArray[np.float32], rows: Ranges, k: int, *, exact: bool = False
    ) -> tuple[Floats, Rows, str]:
        """Squared distances and rows of the k nearest, nearest first, and what an answer calls the way to them."""
        if query.dtype != np.float32 or not query.flags.c_contiguous:
            query = np.ascontiguousarray(query, np.float32)
        if k >= MANY and k * CROWDED >= rows.count:
            return *by_sorting(self.vectors, query, rows, k), "exact"
        if rows.count < self.sketch_from or self._scattered(rows):
            return *scan(self.vectors, query, rows, k), "exact"
        care = EXACT if exact else self.care
        return *self.sketch.nearest(query, rows, k, care), "exact" if care == EXACT else "sketch"

    def _scattered(self, rows: Ranges) -> bool:
        """Whether so many blocks have one of the rows that reading those is less than telling all the blocks."""
        tiles = min(len(rows) + rows.count // TILE_ROWS + 1, len(self.vectors) // TILE_ROWS + 1)
        return tiles * TILE > BLOCKS_A_ROW * rows.count

    def calibrated(self) -> Planner:
        """With the least care that finds enough, and the least number of rows from which sketches are faster."""
        if len(self.vectors) < SMALLEST:
            return self
        sure = replace(self, care=least_care(self.sketch))
        return replace(sure, sketch_from=sure._least_rows())

    def _least_rows(self) -> int:
        """The two ways take turns at the same queries."""
        count = len(self.vectors)
        # Queries from the first half and rows of the second: as in a search, the query's own time is not among them.
        queries = self.vectors[np.linspace(0, count // 2 - 1, TIMED).astype(int)]
        ways = (partial(self.sketch.nearest, care=self.care), partial(scan, self.vectors))
        for size in TRIED:
            rows = Ranges.one(count - size, count)
            for way in ways:  # compiled before anything is timed
                way(queries[0], rows, TIMED_K)
            took = [[_seconds(partial(way, query, rows, TIMED_K)) for way in ways] for query in queries]
            by_sketch, by_scan = np.median(took, axis=0)
            if by_sketch < by_scan:
                return size
        return 2 * TRIED[-1]


def least_care(sketch: Sketch) -> Care:
    """The least care that finds enough of the true nearest, over all rows and in windows; exact where none does."""
    asked = list(_questions(sketch))
    true = [sketch.nearest(query, rows, max(WANTED))[0] for query, rows in asked]
    return next((care for care in CARES if recall(sketch, care, asked, true) >= RECALL), EXACT)


def recall(sketch: Sketch, care: Care, asked: list[tuple[Floats, Ranges]], true: list[Floats]) -> float:
    """The lowest share of the true k nearest that is found, of each k and share of the rows.

    Found means as near as the true k-th, so that equal distances in another order do no harm.
    """
    lowest = 1.0
    for k in WANTED:
        hits = np.array([
            (sketch.nearest(query, rows, k, care)[0] <= distances[min(k, len(distances)) - 1]).mean()
            for (query, rows), distances in zip(asked, true, strict=True)
        ])  # fmt: skip
        lowest = min(lowest, float(hits.reshape(-1, len(SHARES)).mean(axis=0).min()))
    return lowest


def _questions(sketch: Sketch) -> Iterator[tuple[Floats, Ranges]]:
    """Rows spread through all as queries, each of all other weather and of windows at other places."""
    count = len(sketch.vectors)
    for row in np.linspace(0, count - 1, QUERIES).astype(int).tolist():
        own = Ranges.one(max(0, row - OWN_ROWS), row + OWN_ROWS + 1)
        for share in SHARES:
            size = int(share * count)
            start = (row + count // 2) % (count - size + 1)
            yield sketch.vectors[row], Ranges.one(start, start + size) - own


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
