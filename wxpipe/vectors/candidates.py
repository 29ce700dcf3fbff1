"""What a searcher finds and how it is asked: the one form in which LanceDB and memory answer `search`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt

from wxpipe.errors import UsageError
from wxpipe.kernels import kernel
from wxpipe.satellites.catalog import Source
from wxpipe.store.root import Root
from wxpipe.vectors.answers import Query, SearchRequest, iso
from wxpipe.vectors.bands import WHOLE, Bands
from wxpipe.vectors.records import Part
from wxpipe.vectors.tables import TableSpec, utc


@dataclass(frozen=True)
class Candidates:
    """Rows near the query, best first: ids, epoch seconds of beginning and end, distances."""

    ids: list[str]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, order: Sequence[int]) -> Candidates:
        places = np.asarray(order, np.int64)
        ids = [self.ids[n] for n in order]
        return Candidates(ids, self.starts[places], self.ends[places], self.distances[places])


@kernel
def episodes_of(
    starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], k: int, window: int
) -> npt.NDArray[np.int64]:
    """Of candidates, best first, the episode that each is in, -1 for none; an episode is named by its best one's place.

    A candidate is in the first episode whose best it overlaps, or nearly, by ``window`` seconds; else it begins one,
    until there are k.
    """
    found = np.full(len(starts), -1, np.int64)
    best = np.empty(k, np.int64)
    count = 0
    for n in range(len(starts)):
        for each in best[:count]:
            if starts[n] <= ends[each] + window and ends[n] >= starts[each] - window:
                found[n] = each
                break
        if found[n] < 0 and count < k:
            best[count] = found[n] = n
            count += 1
    return found


class Left(Protocol):
    """The rows that a request's filters leave."""

    @property
    def matching(self) -> int:
        """How many."""

    def nearest(self, vector: npt.NDArray[np.float32], limit: int) -> Candidates:
        """The nearest of them to a whole vector, by the bands that were chosen, at most so many."""

    def index(self) -> str:
        """How the last of `nearest` was found, as answers name it: ``exact``, or the kind of an index."""


class Searcher(Protocol):
    """The rows of one source and unit in a release."""

    def query(self, request: SearchRequest) -> tuple[Query, npt.NDArray[np.float32]]:
        """What is looked for.

        Raises:
            NotFoundError: nothing begins at the query's time; lists what is near.
            UsageError: a vector of another width.
        """

    def left(self, request: SearchRequest, query: Query, bands: Bands = WHOLE) -> Left:
        """What the filters leave, whose nearest are told by these bands.

        Raises:
            UsageError: a filter cannot be understood.
        """


Opener = Callable[[Root, Part, Source, TableSpec], Searcher]
"""Opens a source's rows in a part of a release."""


def slot_epoch(source: Source, at: datetime) -> int:
    """Epoch seconds of the slot that a time is in.

    Raises:
        UsageError: the satellite has no such slot.
    """
    axis = source.satellite.axis
    try:
        return int(axis.time(axis.slot(at)).timestamp())
    except ValueError as error:
        raise UsageError(f"{source.id}: {error}") from error


def checked_vector(vector: Sequence[float], width: int) -> npt.NDArray[np.float32]:
    """A query vector as float32 (width,).

    Raises:
        UsageError: of another width, or not finite.
    """
    found = np.asarray(vector, np.float32)
    if found.shape != (width,) or not np.isfinite(found).all():
        raise UsageError(f"the query vector has shape {found.shape}; expected {width} finite numbers")
    return found


def nearest_existing(spec: TableSpec, source: Source, epochs: npt.NDArray[np.int64], asked: int) -> str:
    """That nothing begins at a time, and what begins near it."""
    if not len(epochs):
        only = "; its satellite is frames only" if spec.unit == "clip" and source.satellite.clip is None else ""
        return f"the release has no {spec.name} of {source.id}{only}"
    epochs = np.sort(epochs)
    near = np.sort(epochs[np.argsort(np.abs(epochs - asked), kind="stable")[:4]])
    times = ", ".join(iso(utc(t)) for t in near)
    return f"no {spec.unit} of {source.id} begins at {iso(utc(asked))}; the nearest begin at {times}"


def excluded(request: SearchRequest, query: Query) -> tuple[int, int] | None:
    """First and last epoch second, both inside, in which no analog begins; None for a query without a time."""
    if query.start is None:
        return None
    epoch, margin = int(query.start.timestamp()), round(request.exclude_hours * 3600)
    return epoch - margin, epoch + margin
