"""The edges of many rows at once: middles of blocks are compared all with all by BLAS, rows where those are near.

How near is near is measured on rows whose true edges are known, and the same measure tells how long a block may be.
Compared is everything that a row's own distance to its k-th episode does not rule out, so a rare row, whose episodes
are far, is compared with more. What the answers are worth `graph_recall` measures.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wxpipe.kernels import kernel
from wxpipe.vectors.graph_blocks import LONGEST, Blocks, make_blocks
from wxpipe.vectors.graph_episodes import NONE, EdgeRule, Edges, Floats, Numbers, Targets, choose, squared, threads
from wxpipe.vectors.memory import TimeVectors

RADIUS = 0.45
"""A block's rows are within this share of the distance at which the k-th episode lies."""
NEAR_SHARE, NEAR_MARGIN = 0.97, 1.02
"""Of the true edges that are known, so many are to lie within reach; and room beyond them. More are found: a block is
also looked into for the sake of its other rows, and the nearest are in any case."""
TILE = 1 << 24
"""Distances between middles that are in memory at once: 64 MB."""
FIRST_BLOCKS = 4
"""Blocks that are looked into first, for each edge that is wanted."""
SLACK = 1e-5
"""Share of squared lengths that float32 products may be off."""

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Reach:
    """How far a join looks.

    Attributes:
        radius: of blocks.
        stretch: two blocks are compared where their middles' squared distance is at most so many times the squared
            distance of the k-th episode.
    """

    radius: float
    stretch: float

    def wider(self, factor: float) -> Reach:
        return Reach(self.radius, self.stretch * factor)


def measure_reach(rows: TimeVectors, sample: Numbers, true: Edges) -> Reach:
    """How far to look, by the true edges of some rows; without any, everywhere."""
    last = true.distances[:, -1].astype(np.float64)
    known = np.isfinite(last) & (last > 0)
    if not known.any():
        return Reach(0.0, np.inf)
    radius = RADIUS * float(np.quantile(last[known], 0.1))
    blocks = make_blocks(rows.vectors, radius)
    middles = blocks.middles.astype(np.float64)
    of_queries, of_targets = blocks.of_rows(sample[known]), blocks.of_rows(true.targets[known].astype(np.int64))
    apart = ((middles[of_queries][:, np.newaxis] - middles[of_targets]) ** 2).sum(axis=2)
    ratios = apart / last[known][:, np.newaxis] ** 2
    return Reach(radius, NEAR_MARGIN * float(np.quantile(ratios, NEAR_SHARE)))


def join(rows: TimeVectors, rule: EdgeRule, reach: Reach) -> Edges:
    """The edges of every row."""
    found = Edges.empty(len(rows), rule.k)
    blocks = make_blocks(rows.vectors, reach.radius)
    every = np.arange(blocks.count)
    _Join(rows, blocks, rule, reach, found).run(every, every, seeded=False)
    return found


@dataclass(frozen=True)
class Rejoined:
    """What bringing edges up to date came to; ``searched``: rows for which everything was looked through."""

    edges: Edges
    searched: int


def rejoin(rows: TimeVectors, rule: EdgeRule, reach: Reach, there: Edges, changed: Flags) -> Rejoined:
    """Edges after some rows were added, replaced or removed.

    Rows that changed, and those that lost an edge, are looked for among all; the others among what changed. Where a
    new neighbour takes the place of one that had covered others of its episode, those are looked for again.

    Args:
        there: the edges of before by the rows of now; NONE where the row or its neighbour changed or is gone.
        changed: rows that are new or have another vector.
    """
    blocks = make_blocks(rows.vectors, reach.radius)
    found = Edges(there.targets.copy(), there.distances.copy())
    task = _Join(rows, blocks, rule, reach, found)
    in_full = np.unique(blocks.of_rows(np.flatnonzero(changed | (there.targets == NONE).any(axis=1))))
    others = np.setdiff1d(np.arange(blocks.count), in_full)
    if changed.any():
        disturbed = task.run(others, np.unique(blocks.of_rows(np.flatnonzero(changed))), seeded=True)
        in_full = np.union1d(in_full, np.unique(blocks.of_rows(np.flatnonzero(disturbed))))
    task.run(in_full, np.arange(blocks.count), seeded=False)
    return Rejoined(found, int(np.diff(blocks.edges)[in_full].sum()))


@dataclass(frozen=True)
class _Join:
    """Rows, their blocks, and where the edges go."""

    rows: TimeVectors
    blocks: Blocks
    rule: EdgeRule
    reach: Reach
    found: Edges

    def run(self, queries: Numbers, targets: Numbers, seeded: bool) -> Flags:
        """Finds the edges of all rows of some blocks among those of others.

        Args:
            seeded: what the rows have already counts as found, and only what is nearer is looked for.

        Returns:
            Rows a found neighbour of which gave way to another that does not cover all that it had covered.
        """
        rows, blocks, rule, found = self.rows, self.blocks, self.rule, self.found
        disturbed = np.zeros(len(rows), np.bool_)
        slack = np.float32(SLACK * (blocks.lengths.max(initial=0) + 1e-12))
        most = np.float32(min(self.reach.stretch, 1e30))
        lasts = rows.starts[blocks.edges[targets + 1] - 1] if len(targets) else targets
        firsts = rows.starts[blocks.edges[targets]]

        def some(part: tuple[Floats, Numbers]) -> None:
            _join(part[0], part[1], targets, firsts, lasts, rows.vectors, rows.starts, rows.ends, blocks.edges,
                  rule.exclude, rule.window, most, slack, FIRST_BLOCKS * rule.k, seeded, found.targets,
                  found.distances, disturbed)  # fmt: skip

        with ThreadPoolExecutor(threads()) as pool:
            for tile, of_tile in self._tiles(queries, targets):
                pieces = min(len(of_tile), 8 * threads())
                parts = zip(np.array_split(tile, pieces), np.array_split(of_tile, pieces), strict=True)
                list(pool.map(some, parts))
        return disturbed

    def _tiles(self, queries: Numbers, targets: Numbers) -> Iterator[tuple[Floats, Numbers]]:
        """Squared distances of middles (some queries, targets), by one product that has the lengths in it."""
        blocks = self.blocks
        if not len(queries) or not len(targets):
            return
        ones = np.ones((blocks.count, 1), np.float32)
        lengths = blocks.lengths[:, np.newaxis]
        left = np.hstack([-2 * blocks.middles, ones, lengths])
        right = np.ascontiguousarray(np.hstack([blocks.middles, lengths, ones])[targets].T)
        step = max(1, min(len(queries), TILE // len(targets)))
        tile = np.empty((step, len(targets)), np.float32)
        for first in range(0, len(queries), step):
            some = queries[first : first + step]
            yield np.matmul(left[some], right, out=tile[: len(some)]), some


@kernel
def _join(
    tile: Floats, queries: Numbers, targets: Numbers, firsts: Numbers, lasts: Numbers, vectors: Floats,
    starts: Numbers, ends: Numbers, edges: Numbers, exclude: int, window: int, stretch: np.float32, slack: np.float32,
    first_blocks: int, seeded: bool, found: Targets, distances: Floats, disturbed: Flags,
) -> None:  # fmt: skip
    """Fills found and distances (n, k) for the rows of some query blocks; spoils the tile."""
    infinite = np.float32(np.inf)
    k = found.shape[1]
    space = len(starts) + LONGEST * k
    candidates = np.empty(space, np.int32)
    apart = np.empty((LONGEST, space), np.float32)
    work = np.empty(space, np.float32)
    chosen, chosen_apart = np.empty(k, np.int32), np.empty(k, np.float32)
    for place in range(len(queries)):
        near = tile[place]
        first, stop = edges[queries[place]], edges[queries[place] + 1]
        # Blocks wholly within the excluded hours of every row.
        low = np.searchsorted(firsts, starts[stop - 1] - exclude)
        high = np.searchsorted(lasts, starts[first] + exclude, side="right")
        for n in range(low, high):
            near[n] = infinite
        count = 0
        if seeded:
            for row in range(first, stop):
                for m in range(k):
                    candidates[count] = found[row, m]
                    count += 1
            for query in range(first, stop):
                _measure(vectors, starts, candidates, 0, count, query, exclude, apart[query - first])
        grab = first_blocks
        taken = queries[:0]
        while True:
            if not seeded:
                taken = _nearest_blocks(near, grab)
                for n in taken:
                    near[n] = infinite
                    count = _look_into(vectors, starts, candidates, count, edges, targets[n], first, stop, exclude,
                                       apart)  # fmt: skip
            furthest = np.float32(0)
            for query in range(first, stop):
                work[:count] = apart[query - first, :count]
                choose(candidates, work, count, starts, ends, window, chosen, chosen_apart)
                furthest = max(furthest, chosen_apart[k - 1])
            if seeded or furthest < infinite or not len(taken):
                break
            grab *= 2
        if furthest < infinite:
            within = furthest * stretch + slack
            for n in range(len(near)):
                if near[n] < infinite and near[n] <= within:
                    count = _look_into(vectors, starts, candidates, count, edges, targets[n], first, stop, exclude,
                                       apart)  # fmt: skip
        for query in range(first, stop):
            work[:count] = apart[query - first, :count]
            choose(candidates, work, count, starts, ends, window, chosen, chosen_apart)
            if seeded:
                disturbed[query] = _gave_way(found[query], distances[query], chosen, chosen_apart[k - 1])
            found[query] = chosen
            distances[query] = np.sqrt(chosen_apart)


@kernel
def _look_into(
    vectors: Floats, starts: Numbers, candidates: Targets, count: int, edges: Numbers, block: int, first: int,
    stop: int, exclude: int, apart: Floats,
) -> int:  # fmt: skip
    """Takes the rows of a block in as candidates of the rows [first, stop); how many there are now."""
    begin = count
    for row in range(edges[block], edges[block + 1]):
        candidates[count] = row
        count += 1
    for query in range(first, stop):
        _measure(vectors, starts, candidates, begin, count, query, exclude, apart[query - first])
    return count


@kernel
def _measure(
    vectors: Floats, starts: Numbers, candidates: Targets, begin: int, count: int, query: int, exclude: int,
    apart: Floats,
) -> None:  # fmt: skip
    for n in range(begin, count):
        row = candidates[n]
        if abs(starts[row] - starts[query]) <= exclude:
            apart[n] = np.inf
        else:
            apart[n] = squared(vectors, row, query)


@kernel
def _nearest_blocks(near: Floats, most: int) -> Numbers:
    """Places of the least numbers that are not infinite, at most so many, in no order: a heap, the greatest on top."""
    heap = np.full(most, np.inf, np.float32)
    places = np.full(most, -1, np.int64)
    for n in range(len(near)):
        if near[n] < heap[0]:
            place = 0
            while True:
                child = 2 * place + 1
                if child >= most:
                    break
                if child + 1 < most and heap[child + 1] > heap[child]:
                    child += 1
                if heap[child] <= near[n]:
                    break
                heap[place], places[place] = heap[child], places[child]
                place = child
            heap[place], places[place] = near[n], n
    return places[places >= 0]


@kernel
def _gave_way(before: Targets, distances: Floats, chosen: Targets, last: np.float32) -> bool:
    """Whether a neighbour of before is nearer than the last of now and yet none."""
    for m in range(len(before)):
        if distances[m] * distances[m] >= last * np.float32(0.99999):
            continue
        kept = False
        for n in range(len(chosen)):
            kept = kept or chosen[n] == before[m]
        if not kept:
            return True
    return False
