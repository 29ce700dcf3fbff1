"""Search by cells: all clips that filters leave are compared over the cells that a request names (`cells_asked`).

Exact but for the rounding of the copy (`cell_months`), 1/255 of a similarity at the very most; answers are scored
anew from the histograms themselves.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.errors import DamagedError, NotFoundError
from wxpipe.satellites.catalog import Source
from wxpipe.similarity.cell_kernels import CellQuery, scan_cells
from wxpipe.similarity.cell_months import MonthRecord, Wanted, require_records, wanted_months
from wxpipe.similarity.histograms import HistogramStore, counted, histogram_store, stored_cell_sizes
from wxpipe.similarity.ks import round_cdfs
from wxpipe.store.root import Root
from wxpipe.vectors.answers import Answer, Query, SearchRequest
from wxpipe.vectors.bands import Bands
from wxpipe.vectors.candidates import Candidates, Left
from wxpipe.vectors.cells_asked import CellsAsked, Shift, cells_asked
from wxpipe.vectors.cells_read import MonthPart, read_part
from wxpipe.vectors.ground_truth import slots_of

ROUNDING = 1 / 255
FIRST_LIMIT = 256
"""Clips that are found at once: neighbours in time come together, and episodes are wanted."""
THREADS = 4

Ints = npt.NDArray[np.int64]


def by_cells(root: Root, source: Source, request: SearchRequest, query: Query, left: Left, bands: Bands) -> Left:
    """What the filters left, to be compared by cells where the request names any.

    Raises:
        UsageError: as `cells_asked`.
        NotFoundError: there is no copy of the cells, or no histograms of the query.
    """
    asked = cells_asked(root, source, request, bands)
    return left if asked is None else CellsLeft(root, source, query, left, asked)


def with_cells(left: Left, answer: Answer) -> Answer:
    """An answer that says by which cells it was found, and how far each analog lies from them."""
    if not isinstance(left, CellsLeft):
        return answer
    analogs = tuple(replace(analog, shift=left.shifts[analog.id]) for analog in answer.analogs)
    warning = "; ".join(part for part in (answer.warning, left.warning()) if part)
    return replace(answer, analogs=analogs, region=left.asked.region, cells=left.asked.cells, warning=warning)


@dataclass(eq=False)
class CellsLeft:
    """A `Left` whose nearest are those by some cells.

    Attributes:
        left: the rows, as the filters leave them.
        shifts: of rows that were answered, where their cells lie.
        unread: months of which something was left out, and why.
        unknown: rows whose frames are not all in the copy, though their day is.
    """

    root: Root
    source: Source
    query: Query
    left: Left
    asked: CellsAsked
    shifts: dict[str, Shift] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    unknown: int = 0
    _found: tuple[int, npt.NDArray[np.float64], Ints] | None = None

    @property
    def matching(self) -> int:
        return len(self._rows)

    def index(self) -> str:
        return "exact"

    def every(self) -> Candidates:
        return self._rows

    @cached_property
    def _rows(self) -> Candidates:
        return self.left.every()

    @cached_property
    def store(self) -> HistogramStore:
        return histogram_store(self.root, self.source)

    @cached_property
    def query_slots(self) -> Ints:
        assert self.query.id is not None
        assert self.query.start is not None
        epochs = {self.query.id: int(self.query.start.timestamp())}
        found = slots_of(self.root, self.source, self.query.unit, epochs)
        if self.query.id not in found:
            raise NotFoundError(f"{self.query.id}: its frames are not known, and nothing can be compared with them")
        return found[self.query.id]

    def nearest(self, vector: npt.NDArray[np.float32], limit: int) -> Candidates:
        if self._found is None or self._found[0] < min(limit, self.matching):
            self._found = self._scan(max(limit, FIRST_LIMIT))
        _, distances, shifts = self._found
        order = np.argsort(distances, kind="stable")[:limit]
        order = order[np.isfinite(distances[order])]
        rows = self._rows
        found = Candidates(rows.ids, rows.starts, rows.ends, distances).take(order.tolist())
        self.shifts.update({name: self.asked.shifts[shifts[n]] for name, n in zip(found.ids, order, strict=True)})
        return found

    def similarities(self, found: Candidates) -> dict[str, float | None]:
        """Of rows that were found, from the histograms themselves; None where they are not there."""
        epochs = dict(zip(found.ids, found.starts.tolist(), strict=True))
        slots = slots_of(self.root, self.source, self.query.unit, epochs)
        result: dict[str, float | None] = dict.fromkeys(found.ids)
        wanted = self._shares(self.query_slots)
        for name, rounded in zip(found.ids, found.distances.tolist(), strict=True):
            if name not in slots or len(slots[name]) != len(self.query_slots):
                continue
            of_query, of_candidate = self.asked.pairs(self.shifts[name])
            there = self._shares(slots[name])
            if wanted is None or there is None:
                continue
            distance = np.abs(wanted[..., of_query] - there[..., of_candidate]).max(axis=2).mean()
            result[name] = 1 - float(distance)
            if abs(distance - rounded) > ROUNDING + 1e-9:
                month = f"{datetime.fromtimestamp(epochs[name], UTC):%Y-%m}"
                self.unread[month] = f"{name} is {rounded:.4f} away by the copy, {distance:.4f} by the histograms"
        return result

    def warning(self) -> str:
        """What was left out, for a person; empty where nothing was."""
        parts = [f"cells of {month}: {why}" for month, why in sorted(self.unread.items())]
        if self.unknown:
            parts.append(f"{self.unknown} {self.query.unit}s have pictures missing in the channels that are compared")
        if not parts:
            return ""
        more = f"; and {len(parts) - 3} more" if len(parts) > 3 else ""
        remedy = "`wxpipe cells update` makes the copy whole, `cells build --anew` where it is damaged"
        return f"not searched: {'; '.join(parts[:3])}{more}; {remedy}"

    def _shares(self, slots: Ints) -> npt.NDArray[np.float64] | None:
        """(frame, channel, bin, cell) of the channels that are compared; None where a picture is not there."""
        try:
            cdfs = self.store.read(slots)[:, self.asked.channels]
        except NotFoundError:
            return None
        if not counted(cdfs).all():
            return None
        sizes = stored_cell_sizes(self.root, self.source, self.store.spec, slots)[:, self.asked.channels]
        return np.asarray(cdfs / sizes[:, :, None, :], np.float64)

    def _query(self, cells: Ints) -> CellQuery:
        """The query over its own cells; pairs are positions among these and among ``cells``."""
        slots = self.query_slots
        cdfs = self.store.read(slots)[:, self.asked.channels]
        if not counted(cdfs).all():
            raise NotFoundError(f"{self.query.id}: its histograms are not all there, in the channels that are compared")
        sizes = stored_cell_sizes(self.root, self.source, self.store.spec, slots)[:, self.asked.channels]
        rounded = np.concatenate(
            [round_cdfs(np.ascontiguousarray(cdfs[:, n : n + 1]), np.ascontiguousarray(sizes[:, n]))
             for n in range(cdfs.shape[1])], axis=1,
        )  # fmt: skip
        own = self.asked.pairs((0, 0))[0]
        frames = np.ascontiguousarray(rounded[..., own].transpose(0, 3, 1, 2))
        pairs = tuple(
            (np.searchsorted(own, of_query), np.searchsorted(cells, of_candidate))
            for of_query, of_candidate in map(self.asked.pairs, self.asked.shifts)
        )
        return CellQuery(frames, pairs)

    def _scan(self, limit: int) -> tuple[int, npt.NDArray[np.float64], Ints]:
        """Distances and places of shifts of all rows, infinity and -1 of those beyond the nearest so many."""
        records, damaged = require_records(self.root, self.source)
        cells = np.unique(np.concatenate([self.asked.pairs(shift)[1] for shift in self.asked.shifts]))
        rows = self._rows
        work = _Work(self, records, wanted_months(self.root, self.source, records), damaged, cells, self._query(cells))
        distances, shifts = np.full(len(rows), np.inf), np.full(len(rows), -1, np.int64)
        nearest, lock, self.unknown = np.zeros(0), threading.Lock(), 0

        def one(month: str) -> None:
            nonlocal nearest
            with lock:
                most = float(nearest[-1]) if len(nearest) == limit else np.inf
            found, shift, unknown, why = work.month(month, months[month], most)
            with lock:
                distances[months[month]], shifts[months[month]] = found, shift
                near = np.sort(np.concatenate([nearest, found[np.isfinite(found)]]))
                nearest = near[:limit]
                self.unknown += unknown
                self.unread.update({month: why} if why else {})

        months = _by_month(rows.starts)
        with ThreadPoolExecutor(min(THREADS, len(os.sched_getaffinity(0)))) as pool:
            # Months of the query's season first: the nearest are there, and the others are soon seen to be further.
            list(pool.map(one, sorted(months, key=self._apart)))
        return limit, distances, shifts

    def _apart(self, month: str) -> tuple[int, str]:
        assert self.query.start is not None
        apart = abs(int(month[5:]) - self.query.start.month)
        return min(apart, 12 - apart), month


def _by_month(starts: Ints) -> dict[str, Ints]:
    """Places of rows by the month in which they begin, in order of time."""
    months = starts.astype("datetime64[s]").astype("datetime64[M]")
    order = np.argsort(starts, kind="stable")
    names, firsts = np.unique(months[order], return_index=True)
    parts = np.split(order, firsts[1:]) if len(names) else []
    return {str(name): part for name, part in zip(names, parts, strict=True)}


@dataclass(frozen=True, eq=False)
class _Work:
    """One scan: what its months share."""

    left: CellsLeft
    records: Mapping[str, MonthRecord]
    wanted: Mapping[str, Wanted]
    damaged: Mapping[str, str]
    cells: Ints
    query: CellQuery

    def month(self, name: str, places: Ints, most: float) -> tuple[Any, Any, int, str]:
        """Distances and shifts of rows that begin in a month; how many are not known, and why some are not read."""
        distances, shifts = np.full(len(places), np.inf), np.full(len(places), -1, np.int64)
        try:
            part = self._part(name)
        except (DamagedError, NotFoundError) as error:
            return distances, shifts, 0, f"{len(places)} {self.left.query.unit}s left out: {error}"
        axis = self.left.source.satellite.axis
        starts = self.left.every().starts[places]
        slots = (starts - int(axis.first.timestamp())) // int(axis.cadence.total_seconds()) - part.start
        clips, stale, missing = part.clips_of(slots, self.left.query.unit, self.left.asked.channels)
        known = ~(stale | missing)
        found = scan_cells(part.cdf, np.array(self.left.asked.channels), clips[known], self.query, most)
        distances[known], shifts[known] = found
        count = int(stale.sum())
        why = f"{count} {self.left.query.unit}s of days that are new or were counted anew left out" if count else ""
        return distances, shifts, int(missing.sum()), why

    def _part(self, name: str) -> MonthPart:
        """A month and the beginning of the next, into which its clips reach."""
        if name in self.damaged:
            raise DamagedError(self.damaged[name])
        if name not in self.records:
            raise NotFoundError("not in the copy")
        left = self.left
        following = str(np.datetime64(name, "M") + 1)
        records = [self.records[month] for month in (name, following) if month in self.records]
        return read_part(left.root, left.source, records, self.wanted, self.cells)
