"""Search in memory: a source's vectors of a release in time order, so that filters on time are slices.

For a process that stays (the service): loading reads the table once, and a search then touches no file, but for SQL.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.errors import DamagedError, NotFoundError
from wxpipe.satellites.catalog import Source
from wxpipe.store.root import Root
from wxpipe.vectors.answers import Query, SearchRequest
from wxpipe.vectors.bands import WHOLE, Bands
from wxpipe.vectors.candidates import Candidates, checked_vector, excluded, nearest_existing, slot_epoch
from wxpipe.vectors.lance_searcher import checked_condition
from wxpipe.vectors.planner import Planner
from wxpipe.vectors.ranges import Ranges
from wxpipe.vectors.records import Part
from wxpipe.vectors.tables import DAY_SECONDS, TableSpec, telling_damage, utc
from wxpipe.vectors.times import TimeFilter

BANDS_KEPT = 2
"""Presets besides the whole vector whose numbers stay in memory: that of the night, and another one."""
FILTERS_KEPT = 32
"""Filters whose rows are remembered: people and pages ask the same ones again."""


@dataclass(frozen=True, eq=False)
class TimeVectors:
    """Rows in order of time: ids, epoch seconds of beginning and end (int64), vectors float32 (n, d), C-contiguous.

    ``coverage`` is there for clips alone.
    """

    ids: Any
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]
    coverage: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def all(self) -> Ranges:
        return Ranges.one(0, len(self))

    def between(self, start: int, stop: int) -> Ranges:
        """Rows that begin in the epoch seconds [start, stop)."""
        first, last = np.searchsorted(self.starts, (start, stop))
        return Ranges.one(int(first), int(last))

    def within(self, times: TimeFilter) -> Ranges:
        """Rows that begin when a filter says: a slice a year, of each day a slice, whatever gaps there are."""
        rows = self.all
        if not len(self):
            return rows
        spans = times.spans(int(self.starts[0]), int(self.starts[-1]))
        if spans is not None:
            edges = np.searchsorted(self.starts, np.array(spans, np.int64).reshape(-1, 2))
            rows = Ranges.of(edges[:, 0], edges[:, 1])
        seconds = times.day_seconds()
        if seconds is not None:
            days = np.arange(self.starts[0] // DAY_SECONDS, self.starts[-1] // DAY_SECONDS + 1) * DAY_SECONDS
            moments = np.add.outer(days, np.array(seconds, np.int64)).reshape(-1, 2)
            edges = np.searchsorted(self.starts, moments)
            rows &= Ranges.of(edges[:, 0], edges[:, 1])
        return rows


def load_vectors(table: Any, spec: TableSpec, source: str, expected: int | None = None) -> TimeVectors:
    """A source's rows of a table.

    Raises:
        DamagedError: a number of rows other than expected, a row twice, an end before its beginning, or a vector that
            is not finite.
    """
    clips = spec.unit == "clip"
    columns = [spec.key, spec.epoch, "vector", *(["end", "coverage"] if clips else [])]
    with telling_damage(f"table {table.name}"):
        rows = table.to_lance().to_table(columns=columns, filter=f"source = '{source}'").combine_chunks()
    if rows["vector"].null_count:
        raise DamagedError(f"table {table.name}, {source}: a row without a vector; `wxpipe validate` tells what to do")
    starts = rows[spec.epoch].to_numpy().astype(np.int64)
    order = np.argsort(starts, kind="stable")
    starts = starts[order]
    width = table.schema.field("vector").type.list_size
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in rows["vector"].chunks]
    flat = np.concatenate(chunks) if chunks else np.zeros(0, np.float32)
    vectors = np.ascontiguousarray(flat.reshape(-1, width)[order], np.float32)
    ends = starts
    if clips:
        ends = rows["end"].to_numpy().astype("datetime64[s]").astype(np.int64)[order]
    coverage = rows["coverage"].to_numpy()[order] if clips else None
    found = TimeVectors(rows[spec.key].take(order), starts, ends, vectors, coverage)
    _check(found, table.name, source, expected)
    return found


def _check(found: TimeVectors, table: str, source: str, expected: int | None) -> None:
    faults = {
        f"{len(found)} rows, expected {expected}": expected is not None and len(found) != expected,
        "two rows that begin at once": bool((np.diff(found.starts) == 0).any()),
        "a row that ends before it begins": bool((found.ends < found.starts).any()),
        "a vector that is not finite": not np.isfinite(found.vectors).all(),
    }
    for fault, there in faults.items():
        if there:
            raise DamagedError(f"table {table}, {source}: {fault}; `wxpipe validate` tells what to do")


@dataclass(frozen=True, eq=False)
class MemorySearcher:
    """A `Searcher` over loaded vectors; SQL filters alone are asked of the table, and what they leave is remembered."""

    table: Any
    source: Source
    spec: TableSpec
    vectors: TimeVectors
    planner: Planner
    _by_bands: OrderedDict[tuple[tuple[int, int], ...], Planner] = field(default_factory=OrderedDict)
    _rows: OrderedDict[Hashable, Ranges] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _making: threading.Lock = field(default_factory=threading.Lock)

    def query(self, request: SearchRequest) -> tuple[Query, npt.NDArray[np.float32]]:
        there, unit = self.vectors, self.spec.unit
        if request.vector is not None:
            return Query(unit), checked_vector(request.vector, there.vectors.shape[1])
        assert request.at is not None
        epoch = slot_epoch(self.source, request.at)
        row = int(np.searchsorted(there.starts, epoch))
        if row == len(there) or there.starts[row] != epoch:
            raise NotFoundError(nearest_existing(self.spec, self.source, there.starts, epoch))
        end = utc(there.ends[row]) if unit == "clip" else None
        return Query(unit, there.ids[row].as_py(), utc(epoch), end), there.vectors[row]

    def planner_of(self, bands: Bands) -> Planner:
        """Finds the nearest by some bands: a copy of their numbers, made when it is first asked for."""
        if bands.columns is None:
            return self.planner
        there = self._made(bands.columns)
        if there is not None:
            return there
        with self._making:  # one makes it, and the others who want it wait
            found = self._made(bands.columns) or Planner.over(bands.of(self.vectors.vectors))
            with self._lock:
                self._by_bands[bands.columns] = found
                while len(self._by_bands) > BANDS_KEPT:
                    self._by_bands.popitem(last=False)
        return found

    def _made(self, columns: tuple[tuple[int, int], ...]) -> Planner | None:
        with self._lock:
            if columns in self._by_bands:
                self._by_bands.move_to_end(columns)
            return self._by_bands.get(columns)

    def left(self, request: SearchRequest, query: Query, bands: Bands = WHOLE) -> MemoryLeft:
        rows = self._remembered(request.times, lambda: self.vectors.within(request.times))
        if request.coverage is not None:
            assert self.vectors.coverage is not None
            rows &= Ranges.from_mask(self.vectors.coverage >= request.coverage)
        if request.where.strip():
            rows &= self._remembered(request.where, lambda: self._satisfying(request.where))
        for first, last in excluded(request, query):
            rows -= self.vectors.between(first, last + 1)
        return MemoryLeft(self, rows, request.exact, bands)

    def _remembered(self, asked: Hashable, find: Callable[[], Ranges]) -> Ranges:
        with self._lock:
            if asked in self._rows:
                self._rows.move_to_end(asked)
                return self._rows[asked]
        rows = find()
        with self._lock:
            self._rows[asked] = rows
            while len(self._rows) > FILTERS_KEPT:
                self._rows.popitem(last=False)
        return rows

    def _satisfying(self, where: str) -> Ranges:
        """Rows of an SQL filter, asked over the scalar columns alone."""
        condition = checked_condition(self.table, where)
        column = self.spec.epoch
        found = self.table.to_lance().to_table(
            columns=[column], filter=f"source = '{self.source.id}' AND ({condition})"
        )
        mask = np.zeros(len(self.vectors), np.bool_)
        mask[np.searchsorted(self.vectors.starts, found[column].to_numpy())] = True
        return Ranges.from_mask(mask)


@dataclass(eq=False)
class MemoryLeft:
    """A `Left`: ranges of rows."""

    searcher: MemorySearcher
    rows: Ranges
    exact: bool = False
    bands: Bands = WHOLE
    method: str = "exact"

    @property
    def matching(self) -> int:
        return self.rows.count

    def nearest(self, vector: npt.NDArray[np.float32], limit: int) -> Candidates:
        there = self.searcher.vectors
        planner, query = self.searcher.planner_of(self.bands), self.bands.of(vector)
        squared, rows, self.method = planner.nearest(query, self.rows, limit, exact=self.exact)
        ids = there.ids.take(rows).to_pylist()
        return Candidates(ids, there.starts[rows], there.ends[rows], np.sqrt(squared.astype(np.float64)))

    def every(self) -> Candidates:
        there, rows = self.searcher.vectors, self.rows.rows()
        return Candidates(there.ids.take(rows).to_pylist(), there.starts[rows], there.ends[rows], np.zeros(len(rows)))

    def index(self) -> str:
        return self.method


@dataclass
class MemorySearchers:
    """Opens searchers in memory, and keeps those that were used last.

    Attributes:
        keep: how many; one is a source and a unit of a release, 700 bytes a row at 128 numbers.
    """

    keep: int = 8
    _open: OrderedDict[tuple[str, ...], MemorySearcher] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, root: Root, part: Part, source: Source, spec: TableSpec) -> MemorySearcher:
        there = part.tables[spec.name]
        key = (root.url, there.table, str(there.version), source.id)
        with self._lock:
            if key not in self._open:
                self._open[key] = load_searcher(root, part, source, spec)
            self._open.move_to_end(key)
            while len(self._open) > self.keep:
                self._open.popitem(last=False)
            return self._open[key]


def load_searcher(root: Root, part: Part, source: Source, spec: TableSpec) -> MemorySearcher:
    """Loads a source's rows of a release.

    Raises:
        DamagedError: they are not what the release says.
    """
    table = part.open(root, spec)
    alone = part.sources == (source.id,)
    vectors = load_vectors(table, spec, source.id, part.tables[spec.name].rows if alone else None)
    return MemorySearcher(table, source, spec, vectors, Planner.over(vectors.vectors))
