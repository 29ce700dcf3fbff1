"""Event odds: after how many analogs something happened, how sure that is, and how often it happens anyway.

An event occurs in the window (anchor, anchor + W] of an analog when any of it lies in there: one that had ended by the
anchor did not happen after it. Events of a type are known of within the spans for which they are recorded alone; a
window that is not wholly inside one is unknown, and counts neither for nor against.

**How sure.** A binomial interval is right for independent trials, and analogs an hour apart see the same rain. Two
windows whose anchors are d apart share what happens as far as they overlap: for events that come at random and last D,
whether one occurs correlates by no more than 1 - d / (W + D). So n analogs are worth n**2 / (sum of these correlations
over all pairs) independent ones, which is n where all are further apart than W + D. Interval and p-value are those of
that number.

Times are epoch seconds, int64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

Z95 = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Kind:
    """The events of one type, in one region or wherever.

    Attributes:
        region: None: wherever.
        begins, ends: (event,); equal for a moment.
        spans: (span, 2), first and last second of each period for which the type is recorded; apart and ascending.
        lasting: seconds that events of the type last, on average.
    """

    type: str
    region: str | None
    begins: Ints
    ends: Ints
    spans: Ints
    lasting: float = 0.0


@dataclass(frozen=True)
class EventOdds:
    """How often a kind of event followed, of analogs and of any time alike.

    Attributes:
        region: None: wherever.
        analogs: whose windows are within the record; of ``unknown`` ones nothing can be said.
        ranks: of the analogs that it occurred after, numbered from 1.
        effective: the number of independent analogs that they are worth.
        interval: of the probability, 95 % (Wilson's, of ``effective`` trials); None without analogs.
        climatology: share of the windows of comparable times in which it occurred; None where there are none.
        comparable: how many such windows are within the record.
        ratio: of the analogs' share to the climatology; None where that is unknown or zero.
        p_value: how probable it is that as many, or as few, occur by climatology alone: exact binomial, two-sided, of
            ``effective`` trials.
        p_adjusted: the same, for having looked at so many kinds of event at once (Holm).
    """

    type: str
    region: str | None
    within_hours: float
    analogs: int
    unknown: int
    occurred: int
    ranks: tuple[int, ...]
    effective: float
    interval: tuple[float, float] | None
    climatology: float | None
    comparable: int
    comparable_are: str
    ratio: float | None
    p_value: float | None
    p_adjusted: float | None = None

    @property
    def distinct(self) -> bool:
        """Whether every analog counts in full."""
        return self.effective >= self.analogs - 1e-6

    def sentence(self) -> str:
        """``heavy rain within 12 h after 6 of 10 analogs; climatology 1.4 of 10``."""
        where = "" if self.region is None else f" in {self.region}"
        said = f"{self.type}{where} within {self.within_hours:g} h after {self.occurred} of {self.analogs} analogs"
        if self.climatology is not None:
            said += f"; climatology {self.climatology * self.analogs:.2g} of {self.analogs}"
        return said

    def document(self) -> dict[str, Any]:
        interval = None if self.interval is None else list(self.interval)
        return {**asdict(self), "ranks": list(self.ranks), "interval": interval, "sentence": self.sentence()}


@dataclass(frozen=True, eq=False)
class Comparable:
    """The times that analogs are held against.

    Attributes:
        anchors: ascending.
        are: in words, e.g. ``all clips``.
    """

    anchors: Ints
    are: str


def odds(kinds: Sequence[Kind], anchors: Ints, comparable: Comparable, within_hours: float) -> tuple[EventOdds, ...]:
    """The odds of each kind of event, the least likely by climatology first.

    Args:
        anchors: from when on events count, of each analog in order of rank: a clip's end, a frame's time.
        within_hours: the window's length.
    """
    seconds = round(within_hours * 3600)
    worth: dict[tuple[bytes, float], float] = {}
    found = [_odds(kind, anchors, comparable, seconds, worth) for kind in kinds]
    adjusted = holm([one.p_value for one in found])
    told = [replace(one, p_adjusted=p) for one, p in zip(found, adjusted, strict=True)]
    return tuple(sorted(told, key=lambda one: (one.p_value is None, one.p_value, one.type, one.region or "")))


def _odds(
    kind: Kind, anchors: Ints, comparable: Comparable, seconds: int, worth: dict[tuple[bytes, float], float]
) -> EventOdds:
    known = within_record(kind.spans, anchors, seconds)
    happened = occurs(kind, anchors, seconds) & known
    windows, hits = count(kind, comparable.anchors, seconds)
    length = seconds + kind.lasting
    analogs, occurred = int(known.sum()), int(happened.sum())
    effective = effective_number(np.sort(anchors[known]), length)
    climatology = hits / windows if windows else None
    p_value = None
    if windows and analogs:
        key = (kind.spans.tobytes(), length)
        if key not in worth:
            inside = within_record(kind.spans, comparable.anchors, seconds)
            worth[key] = effective_number(comparable.anchors[inside], length)
        # Climatology is itself an estimate: with half an event more it is never certain of what it has not seen yet.
        rate = (hits / windows * worth[key] + 0.5) / (worth[key] + 1)
        p_value = binomial_p(occurred / analogs, effective, rate)
    return EventOdds(
        type=kind.type,
        region=kind.region,
        within_hours=seconds / 3600,
        analogs=analogs,
        unknown=len(anchors) - analogs,
        occurred=occurred,
        ranks=tuple((np.flatnonzero(happened) + 1).tolist()),
        effective=effective,
        interval=wilson(occurred / analogs, effective) if analogs else None,
        climatology=climatology,
        comparable=windows,
        comparable_are=comparable.are,
        ratio=occurred / analogs / climatology if analogs and climatology else None,
        p_value=p_value,
    )


def occurs(kind: Kind, anchors: Ints, seconds: int) -> Mask:
    """(anchor,): whether an event of the kind is in each window (anchor, anchor + seconds]."""
    # Whatever ended by the anchor also began by the window's end: the difference counts what lies in between.
    begun = np.searchsorted(np.sort(kind.begins), anchors + seconds, "right")
    had_ended = np.searchsorted(np.sort(kind.ends), anchors, "right")
    # A moment at the anchor itself has ended; one that is later has not.
    found: Mask = begun > had_ended
    return found


def within_record(spans: Ints, anchors: Ints, seconds: int) -> Mask:
    """(anchor,): whether the whole window is inside one of the spans."""
    if not len(spans):
        return np.zeros(len(anchors), np.bool_)
    place = np.searchsorted(spans[:, 0], anchors, "right") - 1
    inside: Mask = (place >= 0) & (anchors + seconds <= spans[place, 1])
    return inside


def count(kind: Kind, anchors: Ints, seconds: int) -> tuple[int, int]:
    """(windows within the record, those in which an event occurs), of ascending anchors.

    It asks which anchors each event would be seen from, and not of each anchor which events it sees: a thousand events
    are a thousand searches, however many anchors there are.
    """
    low, high = _merged(kind.begins - seconds, kind.ends)
    windows = hits = 0
    for first, last in kind.spans.tolist():
        stop = last - seconds + 1  # anchors [first, stop) have their windows in the span
        if stop <= first:
            continue
        windows += int(np.diff(np.searchsorted(anchors, [first, stop]))[0])
        begin = np.searchsorted(anchors, np.clip(low, first, stop))
        hits += int((np.searchsorted(anchors, np.clip(high, first, stop)) - begin).sum())
    return windows, hits


def _merged(low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """Intervals [low, high) put together where they overlap or touch; ascending."""
    if not len(low):
        return low, high
    order = np.argsort(low, kind="stable")
    low, furthest = low[order], np.maximum.accumulate(high[order])
    new = np.concatenate([[True], low[1:] > furthest[:-1]])
    return low[new], furthest[np.concatenate([new[1:], [True]])]


def merged_spans(spans: Sequence[tuple[int, int]]) -> Ints:
    """(span, 2): periods put together where they overlap or touch."""
    pairs = np.array(sorted(spans), np.int64).reshape(-1, 2)
    low, high = _merged(pairs[:, 0], pairs[:, 1])
    return np.stack([low, high], 1)


def effective_number(anchors: Ints, length: float) -> float:
    """How many independent trials windows are worth whose correlation falls to zero at a distance of ``length``.

    Args:
        anchors: ascending.
        length: seconds, the window's and what events last.
    """
    n = len(anchors)
    if not n:
        return 0.0
    at = (anchors - anchors[0]).astype(np.float64)
    before = np.concatenate([[0.0], np.cumsum(at)])
    place = np.arange(n)
    first = np.searchsorted(at, at - length, "right")  # the earliest that is nearer than length
    near = place - first
    together = near - (near * at - (before[place] - before[first])) / length
    return float(n * n / (n + 2 * together.sum()))


def wilson(share: float, trials: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a probability, from the share of some trials, whole or not."""
    scale = 1 + Z95**2 / trials
    centre = (share + Z95**2 / (2 * trials)) / scale
    half = Z95 / scale * math.sqrt(share * (1 - share) / trials + (Z95 / (2 * trials)) ** 2)
    return max(0.0, centre - half), min(1.0, centre + half)


def binomial_p(share: float, trials: float, rate: float) -> float:
    """Exact two-sided p-value (twice the smaller tail) of a share of trials, whose number is rounded down."""
    n = max(1, math.floor(trials + 1e-6))
    k = round(share * n)
    counts = np.arange(n + 1)
    ways = np.array([math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(n + 1)])
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = (
            ways + np.where(counts, counts * np.log(rate), 0) + np.where(n - counts, (n - counts) * np.log1p(-rate), 0)
        )
    chances = np.exp(logs)
    return float(min(1.0, 2 * min(chances[k:].sum(), chances[: k + 1].sum())))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjustment of p-values that were looked at together; unknown ones stay so and do not count."""
    known = sorted((p, n) for n, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for place, (p, n) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - place)))
        adjusted[n] = highest
    return adjusted
