"""Graphs in the root: arrays that plain zarr opens, and numbered records that say which there are.

``graphs/<source>/<unit>/<digest>.zarr`` is named by its content and never changed; ``<number>.json`` beside it, written
by put-if-absent when all of that is there, makes it one that is seen. A build that was killed has made nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.errors import DamagedError, NotFoundError, RefusedError
from wxpipe.store.arrays import ArraySpec, create_arrays, write_chunk
from wxpipe.store.frames import content_digest
from wxpipe.store.root import Root
from wxpipe.store.stage import fingerprint_of
from wxpipe.vectors.content import combined_digest
from wxpipe.vectors.graph_episodes import NONE, Edges, Floats, Numbers, Targets
from wxpipe.vectors.records import ReleaseRecord, get_release, promoted
from wxpipe.vectors.tables import SPECS, Unit

FOLDER = "graphs"
FORM = 1
CHUNK = 1 << 18
TIME = {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian"}


@dataclass(frozen=True, order=True)
class GraphPlace:
    """Whose graphs: a source's clips, or its frames."""

    source: str
    unit: Unit

    @property
    def folder(self) -> str:
        return f"{FOLDER}/{self.source}/{self.unit}"

    @property
    def lease(self) -> str:
        """What a build holds while it makes one."""
        return f"graph/{self.source}-{self.unit}"


@dataclass(frozen=True)
class GraphAbout:
    """What a graph was made of and how; all of it stands in the attributes of its Zarr group.

    Attributes:
        release: whose rows it has, and of which model; ``content`` is the digest of the source's rows there.
        identity: what `strftime` makes the id of a row of, given its beginning.
        k, exclude_hours, window_hours: see `EdgeRule`.
        reach: radius and stretch of the join (see `graph_join`).
        recall: as measured when it was made.
        follows: the number of the graph that it was brought up to date from; None where everything was looked for.
    """

    source: str
    unit: Unit
    release: int
    model: str
    table: str
    table_version: int
    content: str
    identity: str
    rows: int
    k: int
    exclude_hours: float
    window_hours: float
    reach: Mapping[str, float | None]
    recall: Mapping[str, Any]
    follows: int | None = None


@dataclass(frozen=True)
class GraphRecord:
    """A graph that was published: its number, its arrays' digest, and what they are of."""

    number: int
    digest: str
    about: GraphAbout
    edges: int
    created: str = ""

    @property
    def place(self) -> GraphPlace:
        return GraphPlace(self.about.source, self.about.unit)

    @property
    def folder(self) -> str:
        return f"{self.place.folder}/{self.digest}.zarr"


@dataclass(frozen=True, eq=False)
class Graph:
    """Rows in order of time, and the edges that leave each, nearest first (compressed sparse rows).

    Attributes:
        starts: epoch seconds, int64 (n,); ends: likewise.
        indptr: int64 (n + 1,); indices: int32 (edges,), row numbers; distances: float32 (edges,), Euclidean.
        novelty: float32 (n,), distance to the k-th neighbouring episode; nan where there are not so many.
        in_degree: int32 (n,), how many edges end there.
        regime: int32 (n,), 0 the largest; -1: none.
    """

    starts: Numbers
    ends: Numbers
    indptr: Numbers
    indices: Targets
    distances: Floats
    novelty: Floats
    in_degree: npt.NDArray[np.int32]
    regime: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def origins(self) -> Numbers:
        """The row that each edge leaves."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def edges(self, k: int) -> Edges:
        """As a row of k a row."""
        found = Edges.empty(len(self), k)
        places = np.arange(len(self.indices)) - self.indptr[self.origins]
        found.targets[self.origins, places] = self.indices
        found.distances[self.origins, places] = self.distances
        return found

    def row_at(self, epoch: int) -> int | None:
        """The row that begins at a time."""
        row = int(np.searchsorted(self.starts, epoch))
        return row if row < len(self) and self.starts[row] == epoch else None


def ids_of(identity: str, starts: Numbers) -> Any:
    """Ids of rows, as an Arrow array; ``identity`` is a graph's."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.strftime(pa.array(starts.astype("datetime64[s]")), format=identity)


def identity_of(place: GraphPlace, ids: Any, starts: Numbers) -> str:
    """What `strftime` makes the ids of a table's rows of.

    Raises:
        DamagedError: they are not all of one form.
    """
    tail = ids[0].as_py().rpartition("Z")[2] if len(ids) else ""
    identity = f"{place.source}/%Y%m%dT%H%MZ{tail}"
    made = ids_of(identity, starts)
    if made.to_pylist() != ids.to_pylist():
        wrong = next(n for n in range(len(ids)) if made[n].as_py() != ids[n].as_py())
        raise DamagedError(
            f"{ids[wrong].as_py()}: expected {made[wrong].as_py()}, by its time; `wxpipe validate` tells"
        )
    return identity


def compressed(edges: Edges) -> tuple[Numbers, Targets, Floats]:
    """indptr, indices and distances of edges."""
    there = edges.targets != NONE
    indptr = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int64)
    return indptr, edges.targets[there], edges.distances[there]


def source_content(release: ReleaseRecord, place: GraphPlace) -> str:
    """Digest of a source's rows in a release, the same in every release that has the same rows."""
    return combined_digest(release.content_of(SPECS[place.unit], {place.source}))


def put_arrays(root: Root, about: GraphAbout, graph: Graph) -> str:
    """Writes a graph under its digest, and returns that; nobody sees it before its record is there."""
    place = GraphPlace(about.source, about.unit)
    document = _attributes(about)
    arrays = _arrays(graph)
    digest = fingerprint_of(
        about=document, arrays=content_digest({name: values for name, (_, values) in arrays.items()})
    )
    folder = f"{place.folder}/{digest}.zarr"
    specs = [_spec(name, dim, values) for name, (dim, values) in arrays.items()]
    create_arrays(root.objects, folder, specs, document)
    for spec in specs:
        values = arrays[spec.name][1]
        for number, first in enumerate(range(0, len(values), spec.chunk[0])):
            block = np.zeros(spec.chunk, values.dtype)
            part = values[first : first + spec.chunk[0]]
            block[: len(part)] = part
            write_chunk(root.objects, folder, spec, (number,), block)
    root.objects.settle(folder)
    return digest


def read_graph(root: Root, record: GraphRecord) -> Graph:
    """A graph's arrays, read through; each chunk against its checksum, all of them against the digest.

    Raises:
        DamagedError: they are not what was written.
    """
    remedy = "`wxpipe graph build` makes it again"
    try:
        group: Any = root.group(record.folder)
        found = {name: np.asarray(group[name][:]) for name in FIELDS}
    except (NotFoundError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise DamagedError(f"{root.url}/{record.folder}: damaged or gone ({error}); {remedy}") from error
    graph = Graph(**found)
    arrays = content_digest({name: values for name, (_, values) in _arrays(graph).items()})
    if fingerprint_of(about=_attributes(record.about), arrays=arrays) != record.digest:
        raise DamagedError(f"{root.url}/{record.folder}: other content than graph {record.number} names; {remedy}")
    return graph


def put_record(root: Root, record: GraphRecord) -> None:
    """Publishes a graph.

    Raises:
        RefusedError: another build took the number meanwhile.
    """
    data = json.dumps(asdict(record), indent=1, sort_keys=True).encode()
    if not root.objects.put_if_absent(f"{record.place.folder}/{record.number}.json", data):
        raise RefusedError(f"graph {record.number} of {record.place.source} was published by another build meanwhile")


def list_graphs(root: Root, place: GraphPlace) -> list[GraphRecord]:
    """Every graph of a source and unit, oldest first.

    Raises:
        DamagedError: a record is not one.
    """
    return [get_graph(root, place, number) for number in graph_numbers(root, place)]


def graph_numbers(root: Root, place: GraphPlace) -> list[int]:
    stems = (name.removesuffix(".json") for name in root.objects.names(place.folder) if name.endswith(".json"))
    return sorted(int(stem) for stem in stems if stem.isdigit())


def get_graph(root: Root, place: GraphPlace, number: int) -> GraphRecord:
    """A graph's record.

    Raises:
        NotFoundError: there is none of the number.
        DamagedError: it is not a record.
    """
    key = f"{place.folder}/{number}.json"
    document = root.objects.get(key)
    try:
        fields: dict[str, Any] = json.loads(document)
        return GraphRecord(**{**fields, "about": GraphAbout(**fields["about"])})
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedError(f"{key} is damaged ({error}); delete it and build the graph again") from error


def graph_places(root: Root) -> list[GraphPlace]:
    """Every source and unit that has a graph."""
    return [
        GraphPlace(source, unit)
        for source in root.objects.names(FOLDER)
        for unit in SPECS
        if graph_numbers(root, GraphPlace(source, unit))
    ]


def graph_of(root: Root, release: ReleaseRecord, place: GraphPlace) -> GraphRecord | None:
    """The newest graph of exactly the rows that a release has; None where there is none.

    Raises:
        NotFoundError: the release has nothing of the source.
    """
    part, content = release.part(place.source), source_content(release, place)
    for number in reversed(graph_numbers(root, place)):
        record = get_graph(root, place, number)
        if (record.about.content, record.about.model) == (content, part.model):
            return record
    return None


def require_graph(root: Root, release: ReleaseRecord, place: GraphPlace) -> GraphRecord:
    """As `graph_of`.

    Raises:
        NotFoundError: there is none; says whether one of another release is there.
    """
    record = graph_of(root, release, place)
    if record is not None:
        return record
    option = "" if place.unit == "clip" else f" --unit {place.unit}"
    numbers = graph_numbers(root, place)
    if not numbers:
        raise NotFoundError(
            f"{root.url} has no graph of {place.source} ({place.unit}s); `wxpipe graph build --satellite "
            f"{place.source}{option}` makes it"
        )
    last = get_graph(root, place, numbers[-1])
    verb = "update" if last.about.model == release.part(place.source).model else "build"
    raise NotFoundError(
        f"the newest graph of {place.source} ({place.unit}s) is of release {last.about.release}, whose rows are not "
        f"those of release {release.number}; `wxpipe graph {verb} --satellite {place.source}{option}`"
    )


def needed_graphs(root: Root, place: GraphPlace) -> dict[int, str]:
    """Digests by number: the newest graph, and those of the release that serves and of the one before it.

    Raises:
        DamagedError: a record cannot be read, so that nobody can say what it needs.
    """
    records = list_graphs(root, place)
    releases = [get_release(root, number) for number in dict.fromkeys(promoted(root)[-2:])]
    served = [graph_of(root, release, place) for release in releases if place.source in release.models]
    return {record.number: record.digest for record in [*records[-1:], *served] if record is not None}


DIMS = {"starts": "row", "ends": "row", "indptr": "bound", "indices": "edge", "distances": "edge", "novelty": "row",
        "in_degree": "row", "regime": "row"}  # fmt: skip
FIELDS = tuple(DIMS)
MEANING: dict[str, dict[str, Any]] = {
    "starts": {"long_name": "beginning of the row", **TIME},
    "ends": {"long_name": "end of the row", **TIME},
    "indptr": {"long_name": "edges indptr[i] to indptr[i + 1] leave row i"},
    "indices": {"long_name": "row that an edge leads to"},
    "distances": {"long_name": "Euclidean distance along an edge"},
    "novelty": {"long_name": "distance to the k-th neighbouring episode, nan where there are not so many"},
    "in_degree": {"long_name": "edges that lead to the row"},
    "regime": {"long_name": "community of the graph, 0 the largest, -1 none"},
}


def _arrays(graph: Graph) -> dict[str, tuple[str, npt.NDArray[Any]]]:
    """Arrays by name, each with its dimension."""
    return {name: (DIMS[name], getattr(graph, name)) for name in FIELDS}


def _spec(name: str, dim: str, values: npt.NDArray[Any]) -> ArraySpec:
    chunk = max(1, min(CHUNK, len(values)))
    return ArraySpec(name, (dim,), values.shape, values.dtype.name, (chunk,), attributes=MEANING[name])


def _attributes(about: GraphAbout) -> dict[str, Any]:
    what = (
        f"The {about.k} nearest {about.unit}s of each {about.unit}: those that begin within {about.exclude_hours:g} "
        "hours of it left out, then nearest first, each no more than once an episode: what overlaps a nearer one (or "
        f"is within {about.window_hours:g} hours of it) is passed over. Compressed sparse rows in order of time."
    )
    return {
        "title": f"kNN graph of {about.source}",
        "form": FORM,
        "comment": what,
        **json.loads(json.dumps(asdict(about))),
    }
