"""What a graph's edges are worth: recall against reading everything, of rows drawn by how rare their weather is.

A recall over all rows says nothing of the few: a hundred lone rows whose neighbours were all missed are a thousandth of
an archive. So rows are drawn stratum by stratum, and strata are made of the vectors alone, not of what was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wxpipe.draws import derived_seed, permutation
from wxpipe.errors import RefusedError
from wxpipe.kernels import kernel
from wxpipe.vectors.graph_episodes import EdgeRule, Edges, Floats, Numbers, exact_edges
from wxpipe.vectors.memory import TimeVectors

COMMON, RARE, STRANGE = "common", "rare", "strange"
ORDER = (COMMON, RARE, STRANGE)
CENTRES = 64
"""Each the row that is furthest from those before it: a lone row, or a cluster of a few, becomes one."""
RARE_SHARE = 0.005
"""A centre with fewer than this share of the rows about it is of rare weather."""
STRANGE_SHARE = 0.002
"""Rows that are least like those just before and after them."""
DRAWN = {COMMON: 192, RARE: 96, STRANGE: 96}
LEAST = {COMMON: 0.98, RARE: 0.95, STRANGE: 0.95}
"""The gate. Where a stratum has few rows, one that was missed weighs more."""
SAME = 1e-5
"""Share by which distances of the same two rows may differ."""


@dataclass(frozen=True)
class Strata:
    """Rows by stratum: each row is in one."""

    rows: Mapping[str, Numbers]

    def draw(self, seed: int, share: float = 1.0) -> dict[str, Numbers]:
        """Some rows of each stratum; others where the seed is another."""
        found = {}
        for place, name in enumerate(ORDER):
            rows = self.rows[name]
            order = permutation(derived_seed(seed, place), len(rows))
            found[name] = np.sort(rows[order[: max(1, round(share * DRAWN[name]))]])
        return found


@dataclass(frozen=True)
class Recall:
    """Shares of the true edges that were found, and how many rows were drawn, by stratum; strata without rows are out.

    ``overall`` weighs each stratum by its rows.
    """

    overall: float
    strata: Mapping[str, float]
    drawn: Mapping[str, int]

    def faults(self) -> list[str]:
        """In words, what is below the gate."""
        below = [
            f"{name} rows: {found:.3f} of {self.drawn[name]} rows' true edges, expected {LEAST[name]}"
            for name, found in self.strata.items()
            if found < LEAST[name]
        ]
        return below + (
            [f"all rows: {self.overall:.3f}, expected {LEAST[COMMON]}"] if self.overall < LEAST[COMMON] else []
        )

    def check(self, what: str) -> None:
        """Raises RefusedError where it is below the gate."""
        faults = self.faults()
        if faults:
            raise RefusedError(
                f"{what}: too few of the true edges were found ({'; '.join(faults)}); nothing was published: build "
                "with a wider reach (--reach 4), or --reach 0, which reads everything"
            )

    def document(self) -> dict[str, object]:
        return {
            "overall": round(self.overall, 4),
            "strata": {name: round(found, 4) for name, found in self.strata.items()},
            "drawn": dict(self.drawn),
        }


def stratify(vectors: Floats) -> Strata:
    """Tells common rows, rows of rare weather, and rows unlike their neighbours in time."""
    count = len(vectors)
    around = _strangeness(vectors)
    strange = np.zeros(count, np.bool_)
    strange[np.argsort(-around, kind="stable")[: round(STRANGE_SHARE * count)]] = True
    nearest = _centres(vectors, min(CENTRES, count))
    rare = (np.bincount(nearest, minlength=1)[nearest] < RARE_SHARE * count) & ~strange
    masks = {COMMON: ~strange & ~rare, RARE: rare, STRANGE: strange}
    return Strata({name: np.flatnonzero(masks[name]) for name in ORDER})


def measure_recall(rows: TimeVectors, rule: EdgeRule, edges: Edges, strata: Strata, seed: int) -> Recall:
    """Compares the edges of some rows with the true ones."""
    drawn = {name: sample for name, sample in strata.draw(seed).items() if len(sample)}
    found = {name: found_share(edges.take(s), exact_edges(rows, s, rule)) for name, s in drawn.items()}
    weights = {name: len(strata.rows[name]) for name in drawn}
    overall = sum(found[name] * weights[name] for name in drawn) / max(1, sum(weights.values()))
    return Recall(float(overall), found, {name: len(sample) for name, sample in drawn.items()})


def found_share(edges: Edges, true: Edges) -> float:
    """Share of the true edges, told by their distances: two rows that are equally near are equally good."""
    expected = int(np.isfinite(true.distances).sum())
    return _matches(edges.distances, true.distances) / expected if expected else 1.0


@kernel
def _matches(found: Floats, true: Floats) -> int:
    matches = 0
    for row in range(len(true)):
        place = 0
        for n in range(true.shape[1]):
            distance = true[row, n]
            if distance == np.inf:
                break
            while place < found.shape[1] and found[row, place] < distance * (1 - SAME):
                place += 1
            if place < found.shape[1] and found[row, place] <= distance * (1 + SAME):
                matches += 1
                place += 1
    return matches


@kernel
def _strangeness(vectors: Floats) -> Floats:
    """Squared distance of each row to the nearer of the two beside it."""
    count, width = vectors.shape
    found = np.zeros(count, np.float32)
    for row in range(count):
        least = np.float32(np.inf)
        for other in (row - 1, row + 1):
            if 0 <= other < count:
                total = np.float32(0)
                for n in range(width):
                    difference = vectors[row, n] - vectors[other, n]
                    total += difference * difference
                least = min(least, total)
        found[row] = least
    return found


def _centres(vectors: Floats, centres: int) -> Numbers:
    """The nearest of some rows of each row; each of those was the furthest from all before it (Gonzalez, 1985)."""
    lengths = np.einsum("ij,ij->i", vectors, vectors)
    nearest = np.zeros(len(vectors), np.int64)
    apart = np.full(len(vectors), np.inf, np.float32)
    centre = 0
    for number in range(centres):
        to_centre = lengths + lengths[centre] - 2 * (vectors @ vectors[centre])
        nearer = to_centre < apart
        nearest[nearer], apart[nearer] = number, to_centre[nearer]
        centre = int(np.argmax(apart))
    return nearest
