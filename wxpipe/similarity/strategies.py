"""How triples are drawn from a block of clips: who is compared with whom, and which comparisons become triples.

Every draw is by a counter-based hash, so the same clips, count and seed give the same triples on any machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from wxpipe.draws import derived_seed, permutation, splitmix64
from wxpipe.errors import UsageError

StrategyName = Literal["random", "distant", "stratified", "hard"]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

TRIPLES_AN_ANCHOR = 4
PARTNERS = 64
"""Clips that an anchor is compared with where triples are chosen by similarity: half near in time, half anywhere."""
BINS = 20
"""Equal bins of similarity, 0 to 1, that `stratified` fills evenly."""
OWN_SECONDS = 24 * 3600
"""Nearer in time than this two clips are one event: `hard` leaves such pairs out."""


@dataclass(frozen=True)
class Compared:
    """Clips that were compared: each anchor (n,) with its partners (n, p); positions among a block's clips."""

    anchors: Ints
    partners: Ints

    @property
    def pairs(self) -> Ints:
        """(n * p, 2), anchor by anchor."""
        return np.stack((np.repeat(self.anchors, self.partners.shape[1]), self.partners.ravel()), axis=1)


@dataclass(frozen=True)
class Drawn:
    """Triples (m, 3) of positions, and their similarities (m, 2)."""

    triples: Ints
    similarities: Floats


@dataclass(frozen=True)
class Strategy:
    """Whom to compare, of clips that begin at some seconds (n,); and what to make of the similarities (n, p)."""

    compare: Callable[[Ints, int, int], Compared]
    choose: Callable[[Compared, Floats, Ints, int], Drawn]


def draw_triples(clips: int, count: int, seed: int) -> Ints:
    """Draws triples of three different clips, int64 (count, 3), uniformly."""
    words = splitmix64(seed, np.arange(3 * count, dtype=np.uint64)).reshape(count, 3)
    x = (words[:, 0] % np.uint64(clips)).astype(np.int64)
    y = (x + 1 + (words[:, 1] % np.uint64(clips - 1)).astype(np.int64)) % clips
    z = (words[:, 2] % np.uint64(clips - 2)).astype(np.int64)
    low, high = np.minimum(x, y), np.maximum(x, y)
    z += z >= low
    z += z >= high
    return np.stack((x, y, z), axis=1)


def _compare_random(starts: Ints, count: int, seed: int) -> Compared:
    drawn = draw_triples(len(starts), count, seed)
    return Compared(drawn[:, 0], drawn[:, 1:])


def _choose_all(compared: Compared, similarities: Floats, _starts: Ints, _count: int) -> Drawn:
    triples = np.column_stack((compared.anchors, compared.partners))
    return Drawn(triples, similarities)


def _choose_distant(compared: Compared, similarities: Floats, starts: Ints, count: int) -> Drawn:
    """Of triples drawn uniformly those whose y and z are of other events than x: how alike are strangers?"""
    triples = np.column_stack((compared.anchors, compared.partners))
    away = np.abs(starts[compared.partners] - starts[compared.anchors][:, np.newaxis]) >= OWN_SECONDS
    kept = np.flatnonzero(away.all(axis=1))[:count]
    return Drawn(triples[kept], similarities[kept])


def _compare_more(starts: Ints, count: int, seed: int) -> Compared:
    """More triples than are wanted, for those of them that are left out."""
    return _compare_random(starts, count + count // 2, seed)


def _compare_widely(starts: Ints, count: int, seed: int) -> Compared:
    """Anchors at random; half of their partners at distances in time that are even on a logarithmic scale.

    Uniform partners are nearly all unlike the anchor: similar ones are few, and near.
    """
    clips = len(starts)
    order = permutation(derived_seed(seed, 0), clips)
    anchors = order[: max(1, min(clips, -(-count // TRIPLES_AN_ANCHOR)))]
    shape = (len(anchors), PARTNERS)
    words = splitmix64(derived_seed(seed, 1), np.arange(len(anchors) * PARTNERS, dtype=np.uint64)).reshape(shape)
    unit = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    steps = 1 + np.floor(np.exp(unit * np.log(max(clips - 1, 1)))).astype(np.int64) - 1
    sign = np.where(words & np.uint64(1), 1, -1)
    near = anchors[:, np.newaxis] + np.maximum(steps, 1) * sign
    far = anchors[:, np.newaxis] + 1 + (words % np.uint64(clips - 1)).astype(np.int64)
    partners = np.where(np.arange(PARTNERS) < PARTNERS // 2, near, far) % clips
    same = partners == anchors[:, np.newaxis]
    return Compared(anchors, np.where(same, (partners + 1) % clips, partners))


def _choose_evenly(compared: Compared, similarities: Floats, _starts: Ints, count: int) -> Drawn:
    """Fills bins of similarity evenly: y and z from those two of the anchor's bins that have the fewest so far."""
    bins = np.minimum((similarities * BINS).astype(np.int64), BINS - 1)
    filled = np.zeros(BINS, np.int64)
    free = np.ones(similarities.shape, np.bool_)
    triples: list[list[int]] = []
    values: list[list[float]] = []
    for turn in range(TRIPLES_AN_ANCHOR):
        for row, anchor in enumerate(compared.anchors.tolist()):
            if len(triples) == count:
                break
            chosen: list[int] = []
            for _ in "yz":
                at = _scarcest(compared.partners[row], bins[row], free[row], filled, chosen)
                if at is not None:
                    chosen.append(at)
                    filled[bins[row, at]] += 1
            if len(chosen) < 2:
                filled[bins[row, chosen]] -= 1
                continue
            free[row, chosen] = False
            order = chosen if (turn + row) % 2 else chosen[::-1]  # neither place is always the more similar one
            triples.append([anchor, *compared.partners[row, order].tolist()])
            values.append(similarities[row, order].tolist())
    return Drawn(np.array(triples, np.int64).reshape(-1, 3), np.array(values, np.float64).reshape(-1, 2))


def _scarcest(partners: Ints, bins: Ints, free: npt.NDArray[np.bool_], filled: Ints, taken: list[int]) -> int | None:
    """The first free partner in the emptiest bin, another clip than those taken."""
    usable = free & ~np.isin(partners, partners[taken])
    if not usable.any():
        return None
    cost = np.where(usable, filled[bins], np.iinfo(np.int64).max)
    return int(cost.argmin())


def _choose_hard(compared: Compared, similarities: Floats, starts: Ints, count: int) -> Drawn:
    """The most similar clips of other events, each with the next: what a good encoder must tell apart."""
    apart = np.abs(starts[compared.partners] - starts[compared.anchors][:, np.newaxis]) >= OWN_SECONDS
    ranked = np.argsort(np.where(apart, -similarities, np.inf), axis=1, kind="stable")
    triples: list[list[int]] = []
    values: list[list[float]] = []
    for turn in range(TRIPLES_AN_ANCHOR):
        for row, anchor in enumerate(compared.anchors.tolist()):
            if len(triples) == count:
                break
            order = [at for at in ranked[row, : 2 * PARTNERS].tolist() if apart[row, at]]
            _, firsts = np.unique(compared.partners[row, order], return_index=True)
            distinct = [order[n] for n in sorted(firsts.tolist())]
            pair = distinct[turn : turn + 2]
            if len(pair) == 2:
                triples.append([anchor, *compared.partners[row, pair].tolist()])
                values.append(similarities[row, pair].tolist())
    return Drawn(np.array(triples, np.int64).reshape(-1, 3), np.array(values, np.float64).reshape(-1, 2))


STRATEGIES: dict[str, Strategy] = {
    "random": Strategy(_compare_random, _choose_all),
    "distant": Strategy(_compare_more, _choose_distant),
    "stratified": Strategy(_compare_widely, _choose_evenly),
    "hard": Strategy(_compare_widely, _choose_hard),
}


def get_strategy(name: str) -> Strategy:
    """A strategy by name.

    Raises:
        UsageError: unknown; lists the known ones.
    """
    if name not in STRATEGIES:
        raise UsageError(f"no way of drawing triples is called {name!r}; there are {', '.join(STRATEGIES)}")
    return STRATEGIES[name]
