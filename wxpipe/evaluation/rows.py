"""What is judged, a row of the table each: whatever can tell how far clips are from each other.

A row is one entry of `ROWS`: a function from the `Bench` to something that has distances.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from wxpipe.draws import derived_seed, uniform
from wxpipe.embedding.cards import ModelCard
from wxpipe.evaluation.clip_vectors import model_vectors, untrained_vectors
from wxpipe.evaluation.frame_pairs import Tell, clip_sums, tell_nobody
from wxpipe.evaluation.frame_reader import FrameReader
from wxpipe.evaluation.judged import JudgedClips
from wxpipe.satellites.catalog import Source
from wxpipe.store.root import Root

Ints = npt.NDArray[np.int64]
Distances = npt.NDArray[np.float32]

RANDOM_WIDTH = 128
_RANDOM = 0x7A2D  # the purpose within a seed for which random vectors are drawn


class Row(Protocol):
    """What tells distances."""

    def distances(self, queries: Ints) -> Distances:
        """Distances of some judged clips (q,) to all of them, float32 (q, n); less is more alike."""


@dataclass(frozen=True, eq=False)
class Bench:
    """What rows are made from: a root's source, the judged clips and their frames, the model, the seed.

    Attributes:
        truth: ground-truth distances of the clips, float32 (n, n).
        tell: progress of the row that is being made.
    """

    root: Root
    source: Source
    clips: JudgedClips
    frames: FrameReader
    truth: Distances
    model: str
    card: ModelCard
    seed: int
    tell: Tell = tell_nobody


def ground_truth(clips: JudgedClips, frames: FrameReader, tell: Tell) -> Distances:
    """Ground-truth distances of clips, 1 - similarity, float32 (n, n)."""
    sums = clip_sums(clips.slots, frames.similarity, tell)
    return np.asarray(1 - sums / clips.slots.shape[1], np.float32)


@dataclass(frozen=True, eq=False)
class Table:
    """Distances that are all known: float32 (n, n)."""

    matrix: Distances

    def distances(self, queries: Ints) -> Distances:
        return self.matrix[queries]


@dataclass(frozen=True, eq=False)
class Vectors:
    """L2 distances of vectors, float32 (n, width), as a search computes them."""

    vectors: npt.NDArray[np.float32]

    def distances(self, queries: Ints) -> Distances:
        found = np.empty((len(queries), len(self.vectors)), np.float32)
        for row, query in enumerate(queries.tolist()):
            difference = self.vectors - self.vectors[query]  # and not by inner products: near clips would cancel
            found[row] = np.sqrt(np.einsum("nw,nw->n", difference, difference))
        return found


@dataclass(frozen=True)
class RowKind:
    """One row: what a person is told of it, and how it is made."""

    summary: str
    make: Callable[[Bench], Row]


def _oracle(bench: Bench) -> Row:
    return Table(bench.truth)


def _random(bench: Bench) -> Row:
    drawn = uniform(derived_seed(bench.seed, _RANDOM), 0, len(bench.clips) * RANDOM_WIDTH, 1.0)
    return Vectors(drawn.reshape(-1, RANDOM_WIDTH))


def _pixels(bench: Bench) -> Row:
    squares = clip_sums(bench.clips.slots, bench.frames.squared_l2, bench.tell)
    return Table(np.sqrt(squares).astype(np.float32))


def _histograms(bench: Bench) -> Row:
    sums = clip_sums(bench.clips.slots, bench.frames.histogram_l1, bench.tell)
    return Table((sums / bench.clips.slots.shape[1]).astype(np.float32))


def _untrained(bench: Bench) -> Row:
    return Vectors(untrained_vectors(bench.root, bench.source, bench.clips, bench.card))


def _trained(bench: Bench) -> Row:
    return Vectors(model_vectors(bench.root, bench.source, bench.clips, bench.model, bench.card.width))


ORACLE, UNTRAINED, TRAINED = "oracle", "untrained", "trained"
ROWS: dict[str, RowKind] = {
    ORACLE: RowKind("the ground truth itself: the best that can be", _oracle),
    "random": RowKind("random vectors: knows nothing", _random),
    UNTRAINED: RowKind("the same encoder with the weights that training began from", _untrained),
    "pixel L2": RowKind("differences of reduced pictures, frame by frame, pixel by pixel", _pixels),
    "histogram L1": RowKind("differences of grid histograms, frame by frame, cell by cell", _histograms),
    TRAINED: RowKind("the model", _trained),
}
"""In the order of the table. Where the model is not trained, `untrained` is left out: it is the model."""


def judged_rows(card: ModelCard) -> dict[str, RowKind]:
    """The rows for a model, by the name in the table: one that is not trained stands there by the name of its card."""
    if card.trained:
        return ROWS
    named = RowKind("the model, which is not trained", ROWS[TRAINED].make)
    kept = {name: kind for name, kind in ROWS.items() if name not in (UNTRAINED, TRAINED)}
    return {**kept, card.name: named}
