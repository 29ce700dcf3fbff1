"""What came next, as an ensemble: of each cell of the grid the share of analogs with cold cloud, against usual times.

Cold cloud is told by grey, from the grid CDFs: cells most of which are as white as the whitest fifth of greys. Grey is
not temperature: where pictures are spread evenly over the greys, as those of COMS are, it is each picture's coldest
fifth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.errors import NotFoundError, UsageError
from wxpipe.satellites.catalog import Source
from wxpipe.similarity.histograms import HistogramStore, histogram_store, stored_cell_sizes
from wxpipe.store.root import Root
from wxpipe.vectors.answers import Answer
from wxpipe.vectors.happened import comparable_times

COLD_GREY = 204
"""The first grey of cold cloud, moved up to the edge of a bin: the whitest fifth of 256."""
COLD_SHARE = 0.5
"""Of a cell's pixels: from here on it has cold cloud."""
USUAL = 60
"""Times that tell what is usual: an error of a twentieth, and no more histograms than are read in a second or two."""
LONGEST_HOURS = 24

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moment:
    """So many hours after the end of the analogs.

    Attributes:
        analogs: those of which the archive has a frame then, and ``usual_of`` the usual times.
        share: of those analogs, with cold cloud, (cell,) row by row from the north-west, 0..1; None without any.
        usual: the same of usual times.
        came: whether what followed the query itself had, (cell,) bool; None where the archive does not know yet.
    """

    hours: int
    analogs: int
    usual_of: int
    share: Floats | None
    usual: Floats | None
    came: npt.NDArray[np.bool_] | None

    def document(self) -> dict[str, Any]:
        return {
            "hours": self.hours, "analogs": self.analogs, "usual_of": self.usual_of,
            "share": _listed(self.share), "usual": _listed(self.usual),
            "came": None if self.came is None else self.came.astype(int).tolist(),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Ahead:
    """What came after the analogs of an answer.

    Attributes:
        channel: in which cloud is looked for, of the band ``ir``.
        grid: N of the N x N cells.
        grey: the first grey of cold cloud.
        compared: times that are usual, and ``are`` what they are.
    """

    channel: str
    grid: int
    grey: int
    compared: int
    are: str
    moments: tuple[Moment, ...]

    def document(self) -> dict[str, Any]:
        return {
            "channel": self.channel, "grid": self.grid,
            "cold": {"grey": self.grey, "kelvin": None, "calibrated": False, "share": COLD_SHARE},
            "compared": self.compared, "are": self.are, "steps": [moment.document() for moment in self.moments],
        }  # fmt: skip


def what_came_next(root: Root, answer: Answer, hours: int = LONGEST_HOURS, step: int = 3) -> Ahead:
    """The ensemble of an answer's analogs, every so many hours after their end.

    Usual times are of the same season (45 days) and time of day (3 hours) without the query's own day, as many as
    `USUAL`, spread evenly.

    Raises:
        UsageError: no such hours, or the source has no infrared channel.
        NotFoundError: the root has no histograms of the source.
    """
    if not (1 <= step <= hours <= LONGEST_HOURS):
        raise UsageError(f"{hours} hours in steps of {step}: choose 1 to {LONGEST_HOURS} hours, and a step within them")
    source = root.source(answer.source)
    sky = _Sky.of(root, source)
    ends = np.array([int((analog.end or analog.start).timestamp()) for analog in answer.analogs], np.int64)
    others = comparable_times(root, answer)
    usual = others.anchors[_spread(len(others.anchors))]
    known = answer.query.end or answer.query.start
    own = np.array([] if known is None else [int(known.timestamp())], np.int64)
    moments = []
    for hour in range(step, hours + 1, step):
        came, shares, usually = (sky.cold(anchors + hour * 3600) for anchors in (own, ends, usual))
        moments.append(
            Moment(hour, len(shares), len(usually), _mean(shares), _mean(usually), came[0] if len(came) else None)
        )
    return Ahead(sky.channel, sky.store.spec.grid, sky.grey, len(usual), others.are, tuple(moments))


@dataclass(frozen=True, eq=False)
class _Sky:
    """Where cold cloud was, by time."""

    root: Root
    source: Source
    store: HistogramStore
    channel: str
    grey: int
    bin: int

    @classmethod
    def of(cls, root: Root, source: Source) -> _Sky:
        channels = source.satellite.channels
        channel = next((name for name, channel in channels.items() if channel.band == "ir"), None)
        if channel is None:
            raise UsageError(f"{source.id} has no channel of the band ir, in which cold cloud could be seen")
        store = histogram_store(root, source)
        first = math.ceil(COLD_GREY * store.spec.bins / 256)
        return cls(root, source, store, channel, math.ceil(first * 256 / store.spec.bins), first)

    def cold(self, moments: Ints) -> npt.NDArray[np.bool_]:
        """Whether each cell has cold cloud at those of some epoch seconds of which there is a frame, (n, cell)."""
        axis = self.source.satellite.axis
        first, cadence = int(axis.first.timestamp()), int(axis.cadence.total_seconds())
        slots = (moments - first) // cadence
        found = np.zeros((len(slots), self.store.spec.cells), np.bool_)
        there = np.zeros(len(slots), np.bool_)
        for aside in (0, 1, -1):  # a slot that is not there is looked for beside it: some are left out every day
            asked = np.flatnonzero(~there & (slots + aside >= 0) & (slots + aside < axis.count))
            if len(asked):
                there[asked], found[asked] = self._at(slots[asked] + aside)
        return found[there]

    def _at(self, slots: Ints) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        place = list(self.source.satellite.channels).index(self.channel)
        different, back = np.unique(slots, return_inverse=True)
        try:
            cdfs = self.store.read(different)[:, place]
        except NotFoundError as error:
            raise NotFoundError(f"{self.source.id} has no histograms; `wxpipe backfill` makes them") from error
        sizes = stored_cell_sizes(self.root, self.source, self.store.spec, different)[:, place]
        there = np.asarray(cdfs.any(axis=(1, 2)), np.bool_)
        cold = np.asarray(sizes - cdfs[:, self.bin - 1] >= COLD_SHARE * sizes, np.bool_)
        return there[back], cold[back]


def _spread(count: int) -> Ints:
    """Positions of at most `USUAL` of so many, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, USUAL)).astype(np.int64))


def _mean(cold: npt.NDArray[np.bool_]) -> Floats | None:
    found: Floats | None = cold.mean(axis=0) if len(cold) else None
    return found


def _listed(values: Floats | None) -> list[float] | None:
    return None if values is None else [round(value, 4) for value in values.tolist()]
