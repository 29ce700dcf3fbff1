"""Search by LanceDB: filters become SQL, nothing stays in memory; the default of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wxpipe.errors import NotFoundError, UsageError
from wxpipe.satellites.catalog import Source
from wxpipe.store.root import Root
from wxpipe.vectors.answers import Query, SearchRequest
from wxpipe.vectors.bands import WHOLE, Bands
from wxpipe.vectors.candidates import Candidates, checked_vector, excluded, nearest_existing, slot_epoch
from wxpipe.vectors.index import describe, exact_probes, is_narrow, nearest
from wxpipe.vectors.records import Part, TableVersion
from wxpipe.vectors.tables import TableSpec
from wxpipe.vectors.where import checked_condition_text, lance_message

SCANNED_AT_ONCE = 16_384
"""Rows: 8 MB of vectors of 128."""
MOST_DROPPED = 1_000
"""Rows of the query's own hours that are left out of what was found; more of them are filtered out before."""


def open_lance(root: Root, part: Part, source: Source, spec: TableSpec) -> LanceSearcher:
    """A source's rows in a release's table, at its version."""
    alone = part.sources == (source.id,)
    return LanceSearcher(part.open(root, spec), part.tables[spec.name], source, spec, alone)


@dataclass(frozen=True)
class LanceSearcher:
    """A `Searcher` over a table at a version; ``alone``: it has rows of this source only."""

    table: Any
    there: TableVersion
    source: Source
    spec: TableSpec
    alone: bool = False

    def query(self, request: SearchRequest) -> tuple[Query, npt.NDArray[np.float32]]:
        spec = self.spec
        if request.vector is not None:
            width = self.table.schema.field("vector").type.list_size
            return Query(spec.unit), checked_vector(request.vector, width)
        assert request.at is not None
        epoch = slot_epoch(self.source, request.at)
        rows = self._rows([*_columns(spec), "vector"], f"{spec.epoch} = {epoch}")
        if not len(rows):
            raise NotFoundError(nearest_existing(spec, self.source, self._epochs(), epoch))
        row = rows.slice(0, 1).to_pylist()[0]
        end = row["end"] if spec.unit == "clip" else None
        return Query(spec.unit, row[spec.key], row[spec.time], end), np.asarray(row["vector"], np.float32)

    def left(self, request: SearchRequest, query: Query, bands: Bands = WHOLE) -> LanceLeft:
        parts, by_time = self._filter(request)
        own = excluded(request, query)
        matching, column = self._count(parts), self.spec.epoch
        without = sum(self._count([*parts, f"{column} >= {first}", f"{column} <= {last}"]) for first, last in own)
        matching -= without
        if without > MOST_DROPPED:
            parts += [f"({column} < {first} OR {column} > {last})" for first, last in own]
            own, without = [], 0
        kind = describe(self.there.index)
        # The index is of whole vectors: of some bands the nearest are others.
        exact = request.exact or kind == "exact" or is_narrow(self.there.rows, matching) or bands.columns is not None
        probes = exact_probes(kind, matching, by_time) if exact else int(self.there.index["probes"])
        return LanceLeft(self, " AND ".join(parts), matching, own, without, kind, exact, probes, bands)

    def _count(self, parts: list[str]) -> int:
        return int(self.table.count_rows(" AND ".join(parts))) if parts else self.there.rows

    def _rows(self, columns: list[str], more: str = "") -> Any:
        parts = [*self._own_source(), *([more] if more else [])]
        return self.table.to_lance().to_table(columns=columns, filter=" AND ".join(parts) or None)

    def _own_source(self) -> list[str]:
        return [] if self.alone else [f"source = '{self.source.id}'"]

    def _epochs(self) -> npt.NDArray[np.int64]:
        found: npt.NDArray[np.int64] = self._rows([self.spec.epoch])[self.spec.epoch].to_numpy()
        return found

    def _filter(self, request: SearchRequest) -> tuple[list[str], bool]:
        """Conditions of everything but the query's own hours, and whether they are stretches of time alone."""
        parts, axis = self._own_source(), self.source.satellite.axis
        if request.times.asks:
            first = int(axis.first.timestamp())
            last = first + axis.count * int(axis.cadence.total_seconds())
            parts += request.times.sql(self.spec.epoch, first, last)
        by_time = self.alone and request.times.day_seconds() is None and bool(parts)
        if request.coverage is not None:
            parts.append(f"coverage >= {request.coverage!r}")
            by_time = False
        if request.where.strip():
            parts.append(f"({checked_condition(self.table, request.where)})")
            by_time = False
        return parts, by_time


@dataclass(frozen=True)
class LanceLeft:
    """A `Left`: the rows that satisfy ``where``, without those of the query's own hours.

    Those are left out of what is found, and as many more are asked for: as a filter they would have Lance tell of every
    row whether it is one of them.
    """

    searcher: LanceSearcher
    where: str
    matching: int
    own: list[tuple[int, int]]
    without: int
    kind: str
    exact: bool
    probes: int | None
    bands: Bands = WHOLE

    def nearest(self, vector: npt.NDArray[np.float32], limit: int) -> Candidates:
        spec, wanted = self.searcher.spec, limit + self.without
        if self.bands.columns is not None:
            rows = self._read_through(vector, wanted)
        else:
            columns = _columns(spec)
            rows = nearest(self.searcher.table, vector, wanted, self.where, probes=self.probes, columns=columns)
        return self._without_own(_candidates(rows, spec), limit)

    def every(self) -> Candidates:
        spec = self.searcher.spec
        found = self.searcher.table.to_lance().to_table(columns=_columns(spec), filter=self.where or None)
        found = found.append_column("_distance", pa.array(np.zeros(len(found)))).sort_by(spec.epoch)
        return self._without_own(_candidates(found, spec, in_order=True), len(found))

    def _without_own(self, found: Candidates, limit: int) -> Candidates:
        """The first of what was found that do not lie in the query's own hours."""
        if not self.own:
            return found
        inside = np.any([(found.starts >= first) & (found.starts <= last) for first, last in self.own], axis=0)
        return found.take(np.flatnonzero(~inside)[:limit].tolist())

    def _read_through(self, vector: npt.NDArray[np.float32], limit: int) -> pa.Table:
        """The nearest by some bands, in one pass over the vectors; as many are kept as are asked for."""
        query, columns = self.bands.of(vector), [*_columns(self.searcher.spec), "vector"]
        schema = self.searcher.table.schema
        kept = pa.schema([*(schema.field(name) for name in columns[:-1]), ("_distance", pa.float32())]).empty_table()
        scanner = self.searcher.table.to_lance().scanner(
            columns=columns, filter=self.where or None, batch_size=SCANNED_AT_ONCE
        )
        for batch in scanner.to_batches():
            vectors = batch["vector"].flatten().to_numpy(zero_copy_only=False).reshape(batch.num_rows, len(vector))
            apart = self.bands.of(vectors) - query
            found = pa.Table.from_batches([batch.drop_columns(["vector"])])
            found = found.append_column("_distance", pa.array(np.einsum("ij,ij->i", apart, apart)))
            kept = pa.concat_tables([kept, found.cast(kept.schema)])
            kept = kept.take(pc.select_k_unstable(kept, limit, [("_distance", "ascending")]))
        return kept

    def index(self) -> str:
        return "exact" if self.exact else self.kind


def checked_condition(table: Any, where: str) -> str:
    """A person's filter that the table understands, to be put in brackets.

    Raises:
        UsageError: it cannot be understood; names the columns.
    """
    condition = checked_condition_text(where)
    try:
        table.count_rows(f"({condition})")
    except Exception as error:
        if not isinstance(error, ValueError | RuntimeError | OSError) and type(error).__name__ != "RustPanic":
            raise
        names = ", ".join(name for name in table.schema.names if name != "vector")
        raise UsageError(f"--where {where!r}: {lance_message(error)}; columns: {names}") from error
    return condition


def _columns(spec: TableSpec) -> list[str]:
    return [spec.key, spec.time, spec.epoch, *(["end"] if spec.unit == "clip" else [])]


def _candidates(rows: Any, spec: TableSpec, in_order: bool = False) -> Candidates:
    ids = rows[spec.key].to_pylist()
    starts = rows[spec.epoch].to_numpy().astype(np.int64)
    ends = starts
    if spec.unit == "clip":
        ends = rows["end"].to_numpy().astype("datetime64[s]").astype(np.int64)
    # Lance's l2 is squared; rounding may leave a tiny negative.
    distances = np.sqrt(np.maximum(rows["_distance"].to_numpy().astype(np.float64), 0))
    found = Candidates(ids, starts, ends, distances)
    return found if in_order else found.take(sorted(range(len(ids)), key=lambda n: (distances[n], ids[n])))
