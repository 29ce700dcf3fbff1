"""Graphs as SQL sees them: an edge a row (`neighbours`), a row a row (`novelty`); of the release that a query reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from wxpipe.errors import NotFoundError, UsageError
from wxpipe.store.root import Root
from wxpipe.vectors.graph_store import Graph, GraphPlace, GraphRecord, graph_of, ids_of, read_graph, require_graph
from wxpipe.vectors.records import ReleaseRecord
from wxpipe.vectors.tables import SPECS

EDGES_AT_ONCE = 1 << 18


def neighbours_schema() -> Any:
    """``rank`` counts from 1, the nearest; ``id`` and ``neighbour`` are those of clips and frames."""
    import pyarrow as pa

    texts = [(name, pa.string()) for name in ("source", "unit", "id", "neighbour")]
    return pa.schema([*texts, ("rank", pa.int32()), ("distance", pa.float32()), ("hours", pa.float64())])


def novelty_schema() -> Any:
    """``novelty``: distance to the k-th neighbouring episode, null where there are not so many; ``percentile`` of it
    among the rows of its graph, 1 the most novel."""
    import pyarrow as pa

    texts = [(name, pa.string()) for name in ("source", "unit", "id")]
    return pa.schema(
        [*texts, ("time", pa.timestamp("us", "UTC")), ("novelty", pa.float32()), ("percentile", pa.float64()),
         ("in_degree", pa.int32()), ("regime", pa.int32()), ("graph", pa.int64())]
    )  # fmt: skip


def read_neighbours(root: Root, release: ReleaseRecord, columns: frozenset[str] | None) -> Any:
    """A stream of the edges' batches, those columns alone.

    Raises:
        UsageError: there is no graph of the release.
    """
    import pyarrow as pa

    schema = _only(neighbours_schema(), columns)
    graphs = graphs_of(root, release)

    def batches() -> Iterator[Any]:
        for record in graphs:
            graph = read_graph(root, record)
            ids = ids_of(record.about.identity, graph.starts) if {"id", "neighbour"} & set(schema.names) else None
            for first in range(0, len(graph.indices), EDGES_AT_ONCE):
                found = _edges(record, graph, ids, first, schema.names)
                yield pa.RecordBatch.from_arrays([found[name] for name in schema.names], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def read_novelty(root: Root, release: ReleaseRecord, columns: frozenset[str] | None) -> Any:
    """A table of rows; see `novelty_schema`.

    Raises:
        UsageError: there is no graph of the release.
    """
    import pyarrow as pa

    schema = _only(novelty_schema(), columns)
    parts = []
    for record in graphs_of(root, release):
        graph = read_graph(root, record)
        known = np.isfinite(graph.novelty)
        order = np.sort(graph.novelty[known])
        share = np.searchsorted(order, graph.novelty, side="right") / max(1, len(order))
        columns_of = {
            **_constants(record, len(graph)),
            "id": ids_of(record.about.identity, graph.starts),
            "time": pa.array(graph.starts.astype("datetime64[s]").astype("datetime64[us]")).cast(
                pa.timestamp("us", "UTC")
            ),
            "novelty": pa.array(graph.novelty, mask=~known),
            "percentile": pa.array(share, mask=~known),
            "in_degree": pa.array(graph.in_degree),
            "regime": pa.array(graph.regime, mask=graph.regime < 0),
            "graph": pa.array(np.full(len(graph), record.number)),
        }
        parts.append(pa.Table.from_arrays([columns_of[name] for name in schema.names], schema=schema))
    return pa.concat_tables(parts)


def graphs_of(root: Root, release: ReleaseRecord) -> list[GraphRecord]:
    """The graphs of a release's rows, one a source and unit that has one.

    Raises:
        UsageError: there is none at all; says what makes one.
    """
    places = [GraphPlace(source, unit) for source in sorted(release.models) for unit in SPECS]
    found = [record for record in (graph_of(root, release, place) for place in places) if record is not None]
    if not found:
        try:
            require_graph(root, release, places[0])
        except NotFoundError as error:
            raise UsageError(f"view neighbours: {error}") from error
    return found


def _edges(record: GraphRecord, graph: Graph, ids: Any, first: int, names: list[str]) -> dict[str, Any]:
    import pyarrow as pa

    place = slice(first, first + EDGES_AT_ONCE)
    origins, targets = graph.origins[place], graph.indices[place]
    found = _constants(record, len(targets))
    if "id" in names:
        found["id"] = ids.take(pa.array(origins))
    if "neighbour" in names:
        found["neighbour"] = ids.take(pa.array(targets))
    rank = np.arange(first, first + len(targets)) - graph.indptr[origins] + 1
    found["rank"] = pa.array(rank.astype(np.int32))
    found["distance"] = pa.array(graph.distances[place])
    found["hours"] = pa.array((graph.starts[targets] - graph.starts[origins]) / 3600)
    return found


def _constants(record: GraphRecord, count: int) -> dict[str, Any]:
    import pyarrow as pa

    first = pa.array(np.zeros(count, np.int64))
    return {name: pa.array([value]).take(first) for name, value in
            (("source", record.about.source), ("unit", record.about.unit))}  # fmt: skip


def _only(schema: Any, columns: frozenset[str] | None) -> Any:
    """The columns that are read; where none is, a number: a count alone is wanted then."""
    import pyarrow as pa

    wanted = columns if columns or columns is None else frozenset({"rank", "in_degree"})
    return pa.schema([field for field in schema if wanted is None or field.name in wanted])
