"""Runs of rows in time order that are alike, with a middle each: what a join compares before it compares rows.

A run ends where a row is too far from the others' middle: a lone strange row is a block of its own, and is found as
such. Where rows near in time are not alike, every row is one, and a join compares all with all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wxpipe.kernels import kernel
from wxpipe.vectors.graph_episodes import Floats, Numbers

LONGEST = 16


@dataclass(frozen=True, eq=False)
class Blocks:
    """Runs of rows.

    Attributes:
        edges: int64 (m + 1,): block b has the rows ``edges[b] <= row < edges[b + 1]``.
        middles: float32 (m, d), about the middle of all rows.
        lengths: float32 (m,), squared, of the middles.
    """

    edges: Numbers
    middles: Floats
    lengths: Floats

    @property
    def count(self) -> int:
        return len(self.lengths)

    def of_rows(self, rows: Numbers) -> Numbers:
        """The block of each row."""
        return np.searchsorted(self.edges, rows, side="right") - 1


def make_blocks(vectors: Floats, radius: float) -> Blocks:
    """Cuts rows into blocks none of whose rows was further than ``radius`` from the middle of those before it."""
    edges = _cut(vectors, radius * radius)
    counts = np.diff(edges)[:, np.newaxis]
    middles = (np.add.reduceat(vectors, edges[:-1], axis=0) / counts).astype(np.float32)
    middles -= vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    return Blocks(edges, middles, np.einsum("ij,ij->i", middles, middles))


@kernel
def _cut(vectors: Floats, most: float) -> Numbers:
    count, width = vectors.shape
    edges = np.zeros(count + 1, np.int64)
    blocks, first = 0, 0
    total = np.zeros(width, np.float32)
    for row in range(count):
        size = row - first
        apart = np.float32(0)
        for n in range(width):
            difference = vectors[row, n] - (total[n] / size if size else vectors[row, n])
            apart += difference * difference
        if size == LONGEST or apart > most:
            blocks += 1
            edges[blocks] = first = row
            total[:] = 0
        for n in range(width):
            total[n] += vectors[row, n]
    edges[blocks + 1] = count
    return edges[: blocks + 2]
