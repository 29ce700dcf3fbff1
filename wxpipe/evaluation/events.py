"""Events: which clips are of one piece of weather, and which pairs of clips are of two that have nothing in common.

Clips near in time look alike, whatever looks at them. So pairs of distant events are judged apart, and events, not
clips, are what the judge's intervals resample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wxpipe.archive.truth import Truth
from wxpipe.errors import UsageError

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

OWN_SECONDS = 24 * 3600
"""Clips that begin nearer to each other than this are of one time: not distant, and no answer to each other."""
DAY_SECONDS = 24 * 3600


@dataclass(frozen=True, eq=False)
class Events:
    """The events of clips that are in order of time.

    Attributes:
        by: what an event is: ``visit`` of a regime, or ``UTC day``.
        of: int64 (clip,), the event of each clip, numbered from 0 in order of time, without holes.
        regimes: int64 (clip,), where a truth file tells them; None where nothing does.
    """

    by: str
    of: Ints
    regimes: Ints | None

    @property
    def count(self) -> int:
        return int(self.of[-1]) + 1 if len(self.of) else 0


def events_of(starts: Ints, source: str, truth: Truth | None) -> Events:
    """The events of clips.

    Args:
        starts: int64 (clip,), epoch seconds at which they begin, ascending.
        source: whose clips they are.
        truth: of a synthetic archive; without one an event is a UTC day.

    Raises:
        UsageError: the truth file is of another source or another time.
    """
    if truth is None:
        return Events("UTC day", _numbered(starts // DAY_SECONDS), None)
    if source not in truth.sources:
        raise UsageError(f"the truth file is of {', '.join(truth.sources)}; expected one of {source}")
    begins = np.array([visit.begin.timestamp() for visit in truth.visits], np.float64)
    ends = np.array([visit.end.timestamp() for visit in truth.visits], np.float64)
    visits = np.searchsorted(begins, starts, side="right") - 1
    outside = (visits < 0) | (starts >= ends[visits]) if len(ends) else np.ones(len(starts), np.bool_)
    if outside.any():
        first = np.datetime64(int(starts[outside][0]), "s")
        raise UsageError(
            f"the truth file's visits of regimes do not cover {int(outside.sum())} of {len(starts)} clips, the first "
            f"of them at {first}Z; give the file that `wxpipe synth` wrote beside these pictures"
        )
    regimes = np.array([visit.regime for visit in truth.visits], np.int64)[visits]
    return Events("visit", _numbered(visits), regimes)


def apart(starts: Ints) -> Mask:
    """Which clips (clip, clip) begin at least 24 hours from each other: what a query may be answered with."""
    return np.asarray(np.abs(starts[:, np.newaxis] - starts[np.newaxis, :]) >= OWN_SECONDS, np.bool_)


def distant(starts: Ints, events: Events) -> Mask:
    """Which clips (clip, clip) are of distant events: 24 hours apart, and of two regimes where those are known."""
    found = apart(starts)
    if events.regimes is not None:
        found &= events.regimes[:, np.newaxis] != events.regimes[np.newaxis, :]
    return found


def _numbered(keys: npt.NDArray[np.integer]) -> Ints:
    """Keys that ascend, numbered from 0 without holes."""
    numbered: Ints = np.unique(keys, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return numbered
