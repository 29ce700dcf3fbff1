"""A walk through a graph from a clip: its neighbours, theirs, and so on; each compared with the clip itself.

Only the rows that are reached are read, so that it needs neither an index nor the vectors in memory; and it says by way
of which weather an analog was come to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from wxpipe.errors import DamagedError, NotFoundError, UsageError
from wxpipe.store.root import Root
from wxpipe.vectors.answers import iso
from wxpipe.vectors.candidates import Candidates, nearest_existing, slot_epoch
from wxpipe.vectors.graph_episodes import Floats, Numbers
from wxpipe.vectors.graph_store import Graph, GraphPlace, GraphRecord, ids_of, read_graph, require_graph
from wxpipe.vectors.records import ReleaseRecord
from wxpipe.vectors.search import group
from wxpipe.vectors.tables import SPECS, TableSpec, utc

EXPANDED = 64
"""Rows whose neighbours one step looks at: the nearest of those that were reached."""
MOST_STEPS = 10

Apart = Callable[[Numbers], Floats]
"""Distances of rows to the query."""


@dataclass(frozen=True)
class Reached:
    """One answer: how many steps away it was found, and by way of which row."""

    rank: int
    id: str
    start: datetime
    end: datetime
    distance: float
    steps: int
    via: str

    def document(self, key: str) -> dict[str, Any]:
        return {
            "rank": self.rank, key: self.id, "start": iso(self.start), "end": iso(self.end),
            "distance": self.distance, "steps": self.steps, "via": self.via,
        }  # fmt: skip


@dataclass(frozen=True)
class Walk:
    """What a walk found, one an episode, the nearest first; ``looked_at`` rows were compared."""

    query: str
    record: GraphRecord
    release: int
    steps: int
    looked_at: int
    reached: tuple[Reached, ...]

    def document(self) -> dict[str, Any]:
        """As JSON values; times are UTC, ISO 8601."""
        key = SPECS[self.record.about.unit].key
        return {
            "query": {key: self.query},
            "release": self.release,
            "graph": self.record.number,
            "model": self.record.about.model,
            "steps": self.steps,
            "looked_at": self.looked_at,
            "analogs": [one.document(key) for one in self.reached],
        }


def walk(root: Root, release: ReleaseRecord, place: GraphPlace, at: datetime, k: int = 10, steps: int = 2) -> Walk:
    """Walks from the clip (frame) that begins at a time.

    Raises:
        NotFoundError: there is no graph of the release, or nothing begins then.
        UsageError: steps or k outside their limits.
    """
    if not 1 <= steps <= MOST_STEPS or k < 1:
        raise UsageError(f"{steps} steps to {k} analogs; choose 1 to {MOST_STEPS} steps and at least 1 analog")
    record = require_graph(root, release, place)
    graph = read_graph(root, record)
    source, spec = root.source(place.source), SPECS[place.unit]
    epoch = slot_epoch(source, at)
    row = graph.row_at(epoch)
    if row is None:
        raise NotFoundError(nearest_existing(spec, source, graph.starts, epoch))
    table = release.part(source.id).open(root, spec)

    query = _vectors_at(table, source.id, spec, graph.starts[[row]])[0]

    def apart(rows: Numbers) -> Floats:
        difference = _vectors_at(table, source.id, spec, graph.starts[rows]) - query
        found: Floats = np.sqrt(np.einsum("ij,ij->i", difference, difference))
        return found

    away = round(record.about.exclude_hours * 3600)
    window = round(record.about.window_hours * 3600)
    come_to = reach(graph, row, steps, away, apart)
    come_to = nearest_of_episodes(graph, row, come_to, 2 * k, away, window, apart)
    answers = _answers(graph, come_to, record.about.identity, k, window)
    return Walk(ids_of(record.about.identity, graph.starts[[row]])[0].as_py(), record, release.number, steps,
                len(come_to.rows), answers)  # fmt: skip


def _vectors_at(table: Any, source: str, spec: TableSpec, epochs: Numbers) -> Floats:
    """Vectors of the rows that begin at some times, which are in order.

    Raises:
        DamagedError: one of them is not in the table.
    """
    where = f"source = '{source}' AND {spec.epoch} IN ({', '.join(map(str, epochs.tolist()))})"
    found = table.to_lance().to_table(columns=[spec.epoch, "vector"], filter=where).sort_by(spec.epoch)
    if len(found) != len(epochs):
        raise DamagedError(f"table {table.name}: {len(found)} of the graph's {len(epochs)} rows are there")
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in found["vector"].chunks]
    vectors: Floats = np.concatenate(chunks).reshape(len(epochs), -1)
    return vectors


@dataclass(frozen=True)
class Found:
    """Rows that were reached: distance to the query, steps, and the row by way of which; in the order of coming."""

    rows: Numbers
    distances: Floats
    steps: Numbers
    via: Numbers


def reach(graph: Graph, query: int, steps: int, away: int, apart: Apart) -> Found:
    """Every row that is reached in some steps, but for those that begin within ``away`` seconds of the query."""
    seen = np.zeros(len(graph), np.bool_)
    seen[query] = True
    found = Found(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64))
    expanded, frontier = np.zeros(0, np.int64), np.array([query])
    for step in range(1, steps + 1):
        spans = [np.arange(graph.indptr[row], graph.indptr[row + 1]) for row in frontier.tolist()]
        edges = np.concatenate(spans) if spans else np.zeros(0, np.int64)
        rows, first = np.unique(graph.indices[edges].astype(np.int64), return_index=True)
        fresh = ~seen[rows] & (np.abs(graph.starts[rows] - graph.starts[query]) > away)
        rows, origins = rows[fresh], graph.origins[edges][first[fresh]]
        if not len(rows):
            break
        seen[rows] = True
        found = Found(
            np.concatenate([found.rows, rows]),
            np.concatenate([found.distances, apart(rows)]),
            np.concatenate([found.steps, np.full(len(rows), step)]),
            np.concatenate([found.via, origins]),
        )
        expanded = np.concatenate([expanded, frontier])
        open_ = ~np.isin(found.rows, expanded)
        order = np.argsort(found.distances[open_], kind="stable")[:EXPANDED]
        frontier = found.rows[open_][order]
    return found


def nearest_of_episodes(
    graph: Graph, query: int, found: Found, most: int, away: int, window: int, apart: Apart
) -> Found:
    """With the nearest row of each of the first episodes that were reached.

    An edge leads to the row of an episode that is nearest to where the edge begins; the query's nearest is another.
    """
    order = np.lexsort((found.rows, found.distances))
    rows, distances = found.rows[order], found.distances[order]
    candidates = Candidates([""] * len(rows), graph.starts[rows], graph.ends[rows], distances.astype(np.float64))
    seen = np.zeros(len(graph), np.bool_)
    seen[rows] = True
    for best, *_ in group(candidates, most, True, window):
        row, place = rows[best], order[best]
        overlap = (graph.starts <= graph.ends[row] + window) & (graph.ends >= graph.starts[row] - window)
        more = np.flatnonzero(overlap & ~seen & (np.abs(graph.starts - graph.starts[query]) > away))
        if not len(more):
            continue
        seen[more] = True
        of_more = apart(more)
        nearest = int(np.argmin(of_more))
        if of_more[nearest] < distances[best]:
            found = Found(
                np.append(found.rows, more[nearest]),
                np.append(found.distances, of_more[nearest]),
                np.append(found.steps, found.steps[place]),
                np.append(found.via, found.via[place]),
            )
    return found


def _answers(graph: Graph, found: Found, identity: str, k: int, window: int) -> tuple[Reached, ...]:
    order = np.lexsort((found.rows, found.distances))
    rows = found.rows[order]
    ids, ways = (ids_of(identity, graph.starts[of]).to_pylist() for of in (rows, found.via[order]))
    candidates = Candidates(ids, graph.starts[rows], graph.ends[rows], found.distances[order].astype(np.float64))
    groups = group(candidates, k, True, window)
    return tuple(
        Reached(
            rank,
            ids[best],
            utc(graph.starts[rows[best]]),
            utc(graph.ends[rows[best]]),
            float(candidates.distances[best]),
            int(found.steps[order][best]),
            ways[best],
        )
        for rank, (best, *_) in enumerate(groups, 1)
    )
