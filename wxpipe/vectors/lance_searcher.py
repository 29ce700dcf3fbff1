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
from wxpipe.vectors.index import bypasses, describe, nearest
from wxpipe.vectors.records import Part, TableVersion
from wxpipe.vectors.tables import TableSpec
from wxpipe.vectors.where import checked_condition_text, lance_message

SCANNED_AT_ONCE = 16_384
"""Rows: 8 MB of vectors of 128."""


def open_lance(root: Root, part: Part, source: Source, spec: TableSpec) -> LanceSearcher:
    """A source's rows in a release's table, at its version."""
    return LanceSearcher(part.open(root, spec), part.tables[spec.name], source, spec)


@dataclass(frozen=True)
class LanceSearcher:
    """A `Searcher` over a table at a version."""

    table: Any
    there: TableVersion
    source: Source
    spec: TableSpec

    def query(self, request: SearchRequest) -> tuple[Query, npt.NDArray[np.float32]]:
        spec = self.spec
        if request.vector is not None:
            width = self.table.schema.field("vector").type.list_size
            return Query(spec.unit), checked_vector(request.vector, width)
        assert request.at is not None
        epoch = slot_epoch(self.source, request.at)
        rows = self._rows([*_columns(spec), "vector"], f" AND {spec.epoch} = {epoch}")
        if not len(rows):
            raise NotFoundError(nearest_existing(spec, self.source, self._epochs(), epoch))
        row = rows.slice(0, 1).to_pylist()[0]
        end = row["end"] if spec.unit == "clip" else None
        return Query(spec.unit, row[spec.key], row[spec.time], end), np.asarray(row["vector"], np.float32)

    def left(self, request: SearchRequest, query: Query, bands: Bands = WHOLE) -> LanceLeft:
        where = self._filter(request, query)
        matching = self.table.count_rows(where)
        kind = describe(self.there.index)
        # The index is of whole vectors: of some bands the nearest are others.
        exact = request.exact or bypasses(kind, self.there.rows, matching) or bands.columns is not None
        return LanceLeft(self, where, matching, kind, exact, bands)

    def _rows(self, columns: list[str], more: str = "") -> Any:
        return self.table.to_lance().to_table(columns=columns, filter=f"source = '{self.source.id}'{more}")

    def _epochs(self) -> npt.NDArray[np.int64]:
        found: npt.NDArray[np.int64] = self._rows([self.spec.epoch])[self.spec.epoch].to_numpy()
        return found

    def _filter(self, request: SearchRequest, query: Query) -> str:
        column = self.spec.epoch
        parts = [f"source = '{self.source.id}'"]
        own = excluded(request, query)
        if own is not None:
            parts.append(f"({column} < {own[0]} OR {column} > {own[1]})")
        if request.times.asks:
            epochs = self._epochs()
            parts += request.times.sql(column, *((int(epochs.min()), int(epochs.max())) if len(epochs) else (0, 0)))
        if request.coverage is not None:
            parts.append(f"coverage >= {request.coverage!r}")
        if request.where.strip():
            parts.append(f"({checked_condition(self.table, request.where)})")
        return " AND ".join(parts)


@dataclass(frozen=True)
class LanceLeft:
    """A `Left`: the rows that satisfy ``where``."""

    searcher: LanceSearcher
    where: str
    matching: int
    kind: str
    exact: bool
    bands: Bands = WHOLE

    def nearest(self, vector: npt.NDArray[np.float32], limit: int) -> Candidates:
        spec = self.searcher.spec
        if self.bands.columns is not None:
            return _candidates(self._read_through(vector, limit), spec)
        probes = None if self.exact else int(self.searcher.there.index["probes"])
        found = nearest(self.searcher.table, vector, limit, self.where, probes=probes, columns=_columns(spec))
        return _candidates(found, spec)

    def _read_through(self, vector: npt.NDArray[np.float32], limit: int) -> pa.Table:
        """The nearest by some bands, in one pass over the vectors; as many are kept as are asked for."""
        query, columns = self.bands.of(vector), [*_columns(self.searcher.spec), "vector"]
        kept: pa.Table | None = None
        scanner = self.searcher.table.to_lance().scanner(columns=columns, filter=self.where, batch_size=SCANNED_AT_ONCE)
        for batch in scanner.to_batches():
            vectors = batch["vector"].flatten().to_numpy(zero_copy_only=False).reshape(batch.num_rows, len(vector))
            apart = self.bands.of(vectors) - query
            found = pa.Table.from_batches([batch.drop_columns(["vector"])])
            found = found.append_column("_distance", pa.array(np.einsum("ij,ij->i", apart, apart)))
            kept = found if kept is None else pa.concat_tables([kept, found])
            kept = kept.take(pc.select_k_unstable(kept, limit, [("_distance", "ascending")]))
        assert kept is not None
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


def _candidates(rows: Any, spec: TableSpec) -> Candidates:
    ids = rows[spec.key].to_pylist()
    starts = rows[spec.epoch].to_numpy().astype(np.int64)
    ends = starts
    if spec.unit == "clip":
        ends = rows["end"].to_numpy().astype("datetime64[s]").astype(np.int64)
    # Lance's l2 is squared; rounding may leave a tiny negative.
    distances = np.sqrt(np.maximum(rows["_distance"].to_numpy().astype(np.float64), 0))
    found = Candidates(ids, starts, ends, distances)
    return found.take(sorted(range(len(ids)), key=lambda n: (distances[n], ids[n])))
