"""The judge's figures, each kept as sums by event, so that a resample of events costs one product of small matrices.

Distance is correlated with distance: +1 is perfect. (The published -.955 is of similarity with distance.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from wxpipe.evaluation.events import Events

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Distances = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

NEIGHBOURS = 10
LONGEST = 50
"""Neighbours up to which recall is drawn as a curve."""
LEAST_VARIANCE = 1e-12
"""Of values with variance 1 over all pairs: a resample whose values vary less says nothing of a correlation."""


@dataclass(frozen=True)
class Column:
    """One figure: its key in JSON, its head in tables (shorter on a terminal), and what it means."""

    name: str
    head: str
    short: str
    meaning: str


COLUMNS: tuple[Column, ...] = (
    Column("pearson_all", "Pearson, all pairs", "Pearson all pairs",
           "correlation of distances with ground-truth distances over all pairs of clips: nearly free, since clips "
           "near in time look alike to anything that looks"),
    Column("spearman_all", "Spearman, all pairs", "Spearman all pairs", "the same of ranks"),
    Column("pearson_distant", "Pearson, distant events", "Pearson distant",
           "the same as the first over pairs of distant events alone: here it is hard"),
    Column("spearman_distant", "Spearman, distant events", "Spearman distant", "the same of ranks"),
    Column("recall_at_10", "recall@10", "recall@10",
           "how many of the 10 clips that the ground truth calls nearest are among the row's 10 nearest"),
    Column("top_10_similarity", "similarity of top 10", "top 10 alike",
           "mean ground-truth similarity of the row's 10 nearest, divided by that of the truth's own"),
)  # fmt: skip


class Figure(Protocol):
    """A figure that can be computed for any multiplicities of the events."""

    def of(self, weights: Floats) -> Floats:
        """The figure of each of some resamples.

        Args:
            weights: float64 (resample, event), how often each event was drawn.

        Returns:
            float64 (resample,); NaN where nothing can be told.
        """


@dataclass(frozen=True, eq=False)
class Pairs:
    """Some pairs of clips: where they stand in a matrix (n, n) that is read flat, and of which two events they are.

    Attributes:
        places: int64 (p,), above the diagonal.
        blocks: int64 (p,), first event * events + second event.
    """

    places: Ints
    blocks: Ints
    events: int

    @classmethod
    def where(cls, wanted: Mask, events: Events) -> Pairs:
        """The pairs that a matrix (n, n) names, each once."""
        first, second = np.nonzero(np.triu(wanted, k=1))
        blocks = events.of[first] * events.count + events.of[second]
        return cls(first * len(wanted) + second, blocks, events.count)

    def __len__(self) -> int:
        return len(self.places)

    def values(self, matrix: Distances) -> Floats:
        """Values of the pairs, float64 (p,), mean 0 and variance 1, so that sums of their squares do not cancel."""
        return _standard(matrix.ravel()[self.places].astype(np.float64))

    def ranks(self, matrix: Distances) -> Floats:
        """Ranks of the pairs among each other, equal values sharing theirs, as `values`."""
        return _standard(average_ranks(matrix.ravel()[self.places]))


class Correlation:
    """Correlation of two values of pairs of clips: Pearson's of values, Spearman's of ranks.

    Kept as six sums (1, x, y, xx, yy, xy) for each two events. In a resample a pair of two events counts as often as
    the product of their multiplicities, and a pair within one event as often as the event was drawn: copies of one
    event make no pairs with each other, since a clip would then be compared with itself. Ranks are those of the full
    sample.

    Args:
        pairs: which.
        x: float64 (p,), `Pairs.values` or `Pairs.ranks`.
        y: like `x`.
    """

    def __init__(self, pairs: Pairs, x: Floats, y: Floats) -> None:
        size = pairs.events
        terms: tuple[Floats | None, ...] = (None, x, y, x * x, y * y, x * y)
        sums = [np.bincount(pairs.blocks, term, minlength=size * size).reshape(size, size) for term in terms]
        self._within = np.stack([np.diagonal(s) for s in sums]).astype(np.float64)
        self._between = np.stack(sums).astype(np.float64)
        self._between[:, np.arange(size), np.arange(size)] = 0

    def of(self, weights: Floats) -> Floats:
        """As `Figure.of`."""
        n, x, y, xx, yy, xy = (
            np.einsum("be,be->b", weights @ between, weights) + weights @ within
            for between, within in zip(self._between, self._within, strict=True)
        )
        spread_x, spread_y, both = n * xx - x * x, n * yy - y * y, n * xy - x * y
        told = (n > 1) & (spread_x > LEAST_VARIANCE * n * n) & (spread_y > LEAST_VARIANCE * n * n)
        found: Floats = np.divide(both, np.sqrt(spread_x * spread_y), out=np.full(len(n), np.nan), where=told)
        return found


class Share:
    """A mean over queries, as one sum over another: a resample draws the queries with their events.

    The clips that answer stay what they are.

    Args:
        events: of the queries (q,).
        part: float64 (q,).
        whole: float64 (q,).
    """

    def __init__(self, events: Ints, count: int, part: Floats, whole: Floats) -> None:
        self._part = np.bincount(events, part, minlength=count)
        self._whole = np.bincount(events, whole, minlength=count)

    def of(self, weights: Floats) -> Floats:
        """As `Figure.of`."""
        part, whole = weights @ self._part, weights @ self._whole
        found: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
        return found


class Task:
    """What every row is compared with: the ground truth, which pairs and which answers count.

    Args:
        truth: ground-truth distances, float32 (n, n).
        events: of the clips.
        allowed: bool (n, n), which clips may answer a query: not those of its own time.
        distant: bool (n, n), which clips are of distant events.
    """

    def __init__(self, truth: Distances, events: Events, allowed: Mask, distant: Mask) -> None:
        self.truth, self.events, self.allowed = truth, events, allowed
        self.pairs = {"all": Pairs.where(np.ones_like(allowed), events), "distant": Pairs.where(distant, events)}
        self._values = {name: (pairs.values(truth), pairs.ranks(truth)) for name, pairs in self.pairs.items()}
        choice = allowed.sum(axis=1)
        self.queries: Ints = np.flatnonzero(choice >= NEIGHBOURS).astype(np.int64)
        """Those that have enough clips to be answered with."""
        self.longest = int(min(LONGEST, choice[self.queries].min(initial=LONGEST)))
        self.by_chance: Floats = np.array(
            [np.mean(k / choice[self.queries]) if len(self.queries) else np.nan for k in range(1, self.longest + 1)]
        )
        """Recall@k, k from 1 on, of answers drawn at random."""
        self._best = nearest(truth[self.queries], allowed[self.queries], self.longest)

    def figures(self, distances: Distances) -> dict[str, Figure]:
        """The figures of a row's distances (n, n), by the names of `COLUMNS`."""
        found: dict[str, Figure] = {}
        for scope, pairs in self.pairs.items():
            values, ranks = self._values[scope]
            found[f"pearson_{scope}"] = Correlation(pairs, pairs.values(distances), values)
            found[f"spearman_{scope}"] = Correlation(pairs, pairs.ranks(distances), ranks)
        answers = self.answers(distances)[:, :NEIGHBOURS]
        hits = _hits(answers, self._best[:, :NEIGHBOURS])[:, -1]
        alike, best = self._similarity(answers), self._similarity(self._best[:, :NEIGHBOURS])
        of, count = self.events.of[self.queries], self.events.count
        found["recall_at_10"] = Share(of, count, hits / NEIGHBOURS, np.ones(len(hits)))
        found["top_10_similarity"] = Share(of, count, alike, best)
        return {column.name: found[column.name] for column in COLUMNS}

    def answers(self, distances: Distances) -> Ints:
        """The clips nearest to each query, int64 (q, `longest`), best first; ties go to the earlier clip."""
        return nearest(distances[self.queries], self.allowed[self.queries], self.longest)

    def recall_curve(self, distances: Distances) -> Floats:
        """Recall@k for k of 1 to `longest`, mean over queries, float64 (k,)."""
        hits = _hits(self.answers(distances), self._best)
        return np.asarray((hits / np.arange(1, self.longest + 1)).mean(axis=0), np.float64)

    def _similarity(self, answers: Ints) -> Floats:
        """Mean ground-truth similarity of each query's answers, (q,)."""
        there = self.truth[self.queries[:, np.newaxis], answers].astype(np.float64)
        return np.asarray(1 - there.mean(axis=1), np.float64)


def nearest(distances: Distances, allowed: Mask, count: int) -> Ints:
    """The `count` nearest of the allowed clips, by row, best first; of equally near ones the earlier first.

    Args:
        distances: float32 (q, n), clips in order of time.
        allowed: bool (q, n), at least `count` a row.

    Returns:
        int64 (q, count).
    """
    shown = np.where(allowed, distances, np.float32(np.inf))
    return np.argsort(shown, axis=1, kind="stable")[:, :count].astype(np.int64)


def average_ranks(values: npt.NDArray[np.floating]) -> Floats:
    """Ranks from 1 on, float64 (p,); equal values share the mean of theirs."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    shared: Floats = (last - (sizes - 1) / 2)[group.reshape(-1)]
    return shared


def point(figures: Sequence[Figure], events: int) -> list[float]:
    """Figures of the full sample: every event once."""
    return [float(figure.of(np.ones((1, events)))[0]) for figure in figures]


def _standard(values: Floats) -> Floats:
    centred = values - values.mean() if len(values) else values
    spread = float(centred.std()) if len(values) else 0.0
    return centred / spread if spread > 0 else np.zeros_like(centred)


def _hits(answers: Ints, best: Ints) -> Floats:
    """How many of the best k are among the k answers, for k of 1 on: float64 (q, k)."""
    found = answers[:, :, np.newaxis] == best[:, np.newaxis, :]
    return np.asarray(found.cumsum(axis=1).cumsum(axis=2).diagonal(axis1=1, axis2=2), np.float64)
