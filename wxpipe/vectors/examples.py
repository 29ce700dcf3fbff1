"""Several examples as one query: more like these times, less like those.

The query is the point ``c = sum(w v) / sum(w)`` of the examples' vectors v under signed weights w. With W = sum(w),
``sum(w |x - v|^2) = W |x - c|^2 + a constant``: where W is above 0, the nearest to c are those x of which the weighted
sum of squared distances to the examples is least. So analogs are near what is asked for and far from what is not, at
the price of one search.

It is the relevance feedback of J. J. Rocchio (in G. Salton, The SMART Retrieval System, 1971), whose query is moved
towards what a person found relevant and away from what not; weights are divided by their sum here, since lengths, which
mean nothing to his cosine, do mean something to a distance. SkySearch (KDD 2025) asks with several frames, too: those
that it predicts are added to those that came.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from wxpipe.errors import UsageError
from wxpipe.vectors.times import parse_time

MOST_EXAMPLES = 32
HEAVIEST = 1_000_000.0
LEAST_SHARE = 1e-3
"""Least share of the weights that must be left where some are taken off: the rest is multiplied by its inverse, and
with it what float32 vectors leave open."""


@dataclass(frozen=True)
class Example:
    """A time in the archive that analogs are to be like, or, of a weight below 0, unlike.

    Raises:
        UsageError: a weight that is none, or a time without a zone.
    """

    at: datetime
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < abs(self.weight) <= HEAVIEST:
            raise UsageError(f"an example's weight is {abs(self.weight)}; choose above 0 and at most {HEAVIEST:g}")
        if self.at.tzinfo is None:
            raise UsageError(f"{self.at.isoformat()} has no time zone; times are UTC, e.g. 2011-03-03T08:00Z")


def parse_examples(more: Sequence[str], less: Sequence[str]) -> tuple[Example, ...]:
    """Examples as people write them: ``2011-03-03T08:00Z``, or ``2011-03-03T08:00Z*2`` for one that counts twice.

    Raises:
        UsageError: one cannot be understood.
    """
    signed = [(text, 1) for text in more] + [(text, -1) for text in less]
    return tuple(_parsed(text, sign) for text, sign in signed)


def _parsed(text: str, sign: int) -> Example:
    time, star, weight = text.partition("*")
    try:
        counts = float(weight) if star else 1.0
    except ValueError as error:
        raise UsageError(f"{text}: expected a time and perhaps its weight, e.g. 2011-03-03T08:00Z*2") from error
    if not 0 < counts <= HEAVIEST:
        raise UsageError(f"{text}: its weight is {counts:g}; choose above 0 and at most {HEAVIEST:g}")
    return Example(parse_time(time.strip()), sign * counts)


def require_weights(weights: Sequence[float]) -> None:
    """What is asked for outweighs what is not.

    Raises:
        UsageError: it does not, or there are too many.
    """
    if len(weights) > MOST_EXAMPLES:
        raise UsageError(f"{len(weights)} examples; at most {MOST_EXAMPLES} are taken")
    whole = math.fsum(abs(weight) for weight in weights)
    left = math.fsum(weights)
    if left < LEAST_SHARE * whole:
        raise UsageError(
            f"the weights of the examples add up to {left:g}; what analogs are to be like must outweigh what they"
            " are to be unlike: take less weight off, or give another example"
        )


def combined(vectors: Sequence[npt.NDArray[np.float32]], weights: Sequence[float]) -> npt.NDArray[np.float32]:
    """The weighted mean of vectors (width,) under signed weights, added up in float64.

    Raises:
        UsageError: as `require_weights`, or numbers that a float32 does not hold.
    """
    require_weights(weights)
    shares = np.array(weights, np.float64) / math.fsum(weights)
    found = (shares @ np.asarray(vectors, np.float64)).astype(np.float32)
    if not np.isfinite(found).all():
        raise UsageError("the examples' vectors add up to no finite numbers; give others")
    return found
