"""Which neighbours of a row are its edges: none of its own day, one an episode; and what reading every row comes to.

They are what `search` answers: the nearest, then the nearest that does not overlap it, and so on, until there are k.
Without that a graph of overlapping clips is a chain of time: each is nearest to the one a quarter of an hour later.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wxpipe.kernels import fast_kernel, kernel
from wxpipe.vectors.memory import TimeVectors

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Targets = npt.NDArray[np.int32]
NONE = -1
"""Where a row has fewer edges than k."""


@dataclass(frozen=True)
class EdgeRule:
    """What edges a row has.

    Attributes:
        k: how many, where there are as many episodes.
        exclude: seconds; a row that begins no further away than this is no neighbour.
        window: seconds by which rows count as one episode beyond their own length (frames have none).
    """

    k: int = 16
    exclude: int = 24 * 3600
    window: int = 0


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges of rows: ``targets`` int32 (n, k), nearest first, NONE at the end where there are fewer than k; Euclidean
    ``distances`` float32 (n, k), infinite there."""

    targets: Targets
    distances: Floats

    @classmethod
    def empty(cls, rows: int, k: int) -> Edges:
        return cls(np.full((rows, k), NONE, np.int32), np.full((rows, k), np.inf, np.float32))

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: Numbers) -> Edges:
        return Edges(self.targets[rows], self.distances[rows])


def exact_edges(rows: TimeVectors, queries: Numbers, rule: EdgeRule) -> Edges:
    """The true edges of some rows, by reading all of them: the measure of every other way."""
    found = Edges.empty(len(queries), rule.k)

    def some(part: Numbers) -> None:
        _exact(rows.vectors, rows.starts, rows.ends, queries, part, rule.exclude, rule.window, found.targets,
               found.distances)  # fmt: skip

    with ThreadPoolExecutor(threads()) as pool:
        list(pool.map(some, np.array_split(np.arange(len(queries)), 4 * threads())))
    return found


def threads() -> int:
    """How many threads do the work of this process's cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@fast_kernel
def squared(vectors: Floats, one: int, other: int) -> np.float32:
    """Squared distance of two rows."""
    total = np.float32(0)
    for n in range(vectors.shape[1]):
        difference = vectors[one, n] - vectors[other, n]
        total += difference * difference
    return total


@kernel
def choose(
    candidates: Targets, apart: Floats, count: int, starts: Numbers, ends: Numbers, window: int, targets: Targets,
    distances: Floats,
) -> int:  # fmt: skip
    """The first episodes among candidates: fills targets and *squared* distances, and returns how many there are.

    Args:
        candidates: rows, in any order; one that is there twice counts once.
        apart: their squared distances, infinite where one is no candidate; those that overlap a choice become so.
    """
    found = 0
    while found < len(targets):
        best, least = -1, np.float32(np.inf)
        for n in range(count):
            if apart[n] > least or apart[n] == np.inf:
                continue
            row = candidates[n]
            if apart[n] == least and row > candidates[best]:
                continue
            covered = False
            for m in range(found):
                other = targets[m]
                if starts[row] <= ends[other] + window and ends[row] >= starts[other] - window:
                    covered = True
                    break
            if covered:
                apart[n] = np.inf
            else:
                best, least = n, apart[n]
        if best < 0:
            break
        targets[found], distances[found] = candidates[best], least
        found += 1
    for m in range(found, len(targets)):
        targets[m], distances[m] = -1, np.inf
    return found


@kernel
def _exact(
    vectors: Floats, starts: Numbers, ends: Numbers, queries: Numbers, part: Numbers, exclude: int, window: int,
    targets: Targets, distances: Floats,
) -> None:  # fmt: skip
    candidates = np.arange(len(starts)).astype(np.int32)
    apart = np.empty(len(starts), np.float32)
    for place in part:
        query = queries[place]
        for row in range(len(starts)):
            near = abs(starts[row] - starts[query]) <= exclude
            apart[row] = np.inf if near else squared(vectors, row, query)
        choose(candidates, apart, len(starts), starts, ends, window, targets[place], distances[place])
        distances[place] = np.sqrt(distances[place])
