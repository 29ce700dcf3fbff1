"""Chooses how the nearest of some rows are found: by reading all, or passing over most by their sketches; both exact.

Where one overtakes the other is a property of the machine and of the vectors, and measured on both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from wxpipe.vectors.ranges import Ranges, Rows
from wxpipe.vectors.sketch import Floats, Sketch, make_sketch, scan

HEAD, BLOCK = 64, 8
SKETCH_FROM = 8_000
"""Rows from which sketches win where nothing was measured."""
SMALLEST = 4_000
"""With fewer rows nothing is measured: either way takes less than anything around it."""
TRIED = (1_000, 2_000, 4_000, 8_000, 16_000, 32_000)
QUERIES, K = 7, 10


@dataclass(frozen=True, eq=False)
class Planner:
    """Vectors, their sketches, and from how many rows on those are used."""

    vectors: Floats
    sketch: Sketch
    sketch_from: int = SKETCH_FROM

    @classmethod
    def over(cls, vectors: Floats) -> Planner:
        """Makes the sketches, and measures where they win."""
        return cls(vectors, make_sketch(vectors, HEAD, BLOCK)).calibrated()

    def nearest(self, query: npt.NDArray[np.float32], rows: Ranges, k: int) -> tuple[Floats, Rows, str]:
        """Squared distances and rows of the k nearest, nearest first, and what an answer calls the way to them."""
        query = np.ascontiguousarray(query, np.float32)
        if rows.count < self.sketch_from:
            return *scan(self.vectors, query, rows, k), "exact"
        return *self.sketch.nearest(query, rows, k), "exact"

    def calibrated(self) -> Planner:
        """With the least number of rows from which sketches are faster; the two ways take turns at the same queries."""
        count = len(self.vectors)
        if count < SMALLEST:
            return self
        # Queries from the first half and rows of the second: as in a search, the query's own time is not among them.
        queries = self.vectors[np.linspace(0, count // 2 - 1, QUERIES).astype(int)]
        for size in (size for size in TRIED if size <= count // 2):
            if self._sketches_win(queries, Ranges.one(count - size, count)):
                return replace(self, sketch_from=size)
        return replace(self, sketch_from=max(SKETCH_FROM, 2 * min(TRIED[-1], count // 2)))

    def _sketches_win(self, queries: Floats, rows: Ranges) -> bool:
        ways = (self.sketch.nearest, partial(scan, self.vectors))
        for way in ways:  # compiled before anything is timed
            way(queries[0], rows, K)
        took = [[_seconds(partial(way, query, rows, K)) for way in ways] for query in queries]
        by_sketch, by_scan = np.median(took, axis=0)
        return bool(by_sketch < by_scan)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
