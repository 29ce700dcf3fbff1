"""Makes a graph of a release, or brings one up to date: join, gate, and publication as the next number.

One at a time, under a lease: the caller holds it. A build that dies leaves arrays that no record names, which the next
one writes again or `gc` removes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np

from wxpipe.draws import derived_seed
from wxpipe.errors import NotFoundError, RefusedError, UsageError
from wxpipe.store.leases import Lease
from wxpipe.store.root import Root
from wxpipe.vectors.graph_episodes import NONE, EdgeRule, Edges, Numbers, exact_edges
from wxpipe.vectors.graph_join import Flags, Reach, join, measure_reach, rejoin
from wxpipe.vectors.graph_recall import Recall, Strata, measure_recall, stratify
from wxpipe.vectors.graph_stats import find_regimes
from wxpipe.vectors.graph_store import (
    Graph,
    GraphAbout,
    GraphPlace,
    GraphRecord,
    compressed,
    graph_numbers,
    graph_of,
    identity_of,
    list_graphs,
    put_arrays,
    put_record,
    read_graph,
    source_content,
)
from wxpipe.vectors.memory import TimeVectors, load_vectors
from wxpipe.vectors.records import ReleaseRecord, get_release, now
from wxpipe.vectors.search import episode_seconds
from wxpipe.vectors.tables import SPECS, SourceDay, utc

SEED = 5
MEASURE, CHECK = 0, 1
MOST_K = 100
WIDER = 1.25
TRIES = 3
"""How often a reach that proves too short is widened before a build is refused."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class GraphRequest:
    """What is asked for.

    Attributes:
        reach: how many times what was measured a join looks; 0 reads everything.
        tries: how often a reach that proves too short may be widened.

    Raises:
        UsageError: a value is outside its limits.
    """

    place: GraphPlace
    k: int = 16
    exclude_hours: float = 24
    reach: float = 1.0
    tries: int = TRIES

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MOST_K:
            raise UsageError(f"k is {self.k}; choose 1 to {MOST_K}")
        if not 0 <= self.exclude_hours <= 1e6:
            raise UsageError(f"exclude_hours is {self.exclude_hours}; choose 0 or more")
        if not 0 <= self.reach <= 1e6:
            raise UsageError(f"reach is {self.reach}; choose 0 (everything), or about 1")


@dataclass(frozen=True)
class Built:
    """What a build came to.

    Attributes:
        made: whether this made it; else it was there.
        searched: rows for which all others were looked through.
    """

    record: GraphRecord
    made: bool
    searched: int = 0


@dataclass(frozen=True)
class _Work:
    """A release's rows of one place, the rule, and what of them is rare."""

    root: Root
    release: ReleaseRecord
    request: GraphRequest
    rows: TimeVectors
    rule: EdgeRule
    say: Say

    def strata(self) -> Strata:
        return stratify(self.rows.vectors)


def build_graph(
    root: Root, release: ReleaseRecord, request: GraphRequest, lease: Lease | None = None, say: Say = lambda _: None
) -> Built:
    """Finds the edges of every row, and publishes the graph; where there is one of these rows already, returns that.

    Raises:
        NotFoundError: the release has nothing of the source and unit.
        RefusedError: the recall is below the gate; nothing is published.
        LeaseLostError: another run took over; nothing is published.
    """
    there = graph_of(root, release, request.place)
    if there is not None and _answers(there.about, request):
        return Built(there, False)
    work = _open(root, release, request, say)
    strata = work.strata()
    reach = _first_reach(work, strata)
    edges, recall = Edges.empty(0, request.k), None
    for attempt in range(request.tries + 1):
        edges = join(work.rows, work.rule, reach)
        recall = measure_recall(work.rows, work.rule, edges, strata, derived_seed(SEED, CHECK))
        say(f"{len(edges)} rows joined, recall {recall.overall:.3f}")
        if not recall.faults() or not isfinite(reach.stretch) or attempt == request.tries:
            break
        reach = reach.wider(WIDER)
        say(f"too low ({'; '.join(recall.faults())}): joined again with a reach of {reach.stretch:.2f}")
    assert recall is not None
    return _publish(work, edges, reach, recall, None, lease, len(edges))


def update_graph(
    root: Root, release: ReleaseRecord, request: GraphRequest, lease: Lease | None = None, say: Say = lambda _: None
) -> Built:
    """Brings the newest graph up to a release: only rows of days that changed, and what they touch, are looked for.

    Raises:
        NotFoundError: there is no graph to begin with.
        RefusedError: it is of another model or another rule; or the recall is below the gate.
        LeaseLostError: another run took over; nothing is published.
    """
    there = graph_of(root, release, request.place)
    if there is not None and _answers(there.about, request):
        return Built(there, False)
    record = _to_begin_with(root, release, request)
    about = record.about
    work = _open(root, release, request, say)
    before = read_graph(root, record)
    changed, mapped = _carried_over(work, record, before)
    radius, stretch = about.reach["radius"], about.reach["stretch"]
    reach = Reach(radius or 0.0, np.inf if stretch is None else stretch)
    done = rejoin(work.rows, work.rule, reach, mapped, changed)
    say(f"{int(changed.sum())} rows changed, {done.searched} of {len(work.rows)} were looked for among all")
    recall = measure_recall(work.rows, work.rule, done.edges, work.strata(), derived_seed(SEED, CHECK, record.number))
    return _publish(work, done.edges, reach, recall, record.number, lease, done.searched)


def _to_begin_with(root: Root, release: ReleaseRecord, request: GraphRequest) -> GraphRecord:
    """The newest graph by the same rule, of the model that the release has now."""
    place = request.place
    records = list_graphs(root, place)
    if not records:
        raise NotFoundError(f"{root.url} has no graph of {place.source} ({place.unit}s): `wxpipe graph build` first")
    model = release.part(place.source).model
    fitting = [record for record in records if record.about.model == model and _answers(record.about, request)]
    if not fitting:
        about = records[-1].about
        raise RefusedError(
            f"graph {records[-1].number} is of {about.model}, k {about.k}, {about.exclude_hours:g} hours left out; "
            f"asked for are {model}, k {request.k}, {request.exclude_hours:g} hours: `wxpipe graph build` makes that"
        )
    return fitting[-1]


def _answers(about: GraphAbout, request: GraphRequest) -> bool:
    return (about.k, about.exclude_hours) == (request.k, request.exclude_hours)


def _open(root: Root, release: ReleaseRecord, request: GraphRequest, say: Say) -> _Work:
    place = request.place
    source, spec = root.source(place.source), SPECS[place.unit]
    part = release.part(source.id)
    rows = load_vectors(part.open(root, spec), spec, source.id)
    if not len(rows):
        raise NotFoundError(f"release {release.number} has no {spec.name} of {source.id}: there is nothing to join")
    rule = EdgeRule(request.k, round(request.exclude_hours * 3600), episode_seconds(source, spec))
    say(f"release {release.number}: {len(rows)} {spec.name} of {source.id}")
    return _Work(root, release, request, rows, rule, say)


def _first_reach(work: _Work, strata: Strata) -> Reach:
    if not work.request.reach:
        return Reach(0.0, np.inf)
    sample = np.concatenate(list(strata.draw(derived_seed(SEED, MEASURE), share=0.5).values()))
    measured = measure_reach(work.rows, sample, exact_edges(work.rows, sample, work.rule))
    return measured.wider(work.request.reach)


def _carried_over(work: _Work, record: GraphRecord, before: Graph) -> tuple[Flags, Edges]:
    """Which rows of now are new or changed, and the edges of the others, where both ends are as they were.

    Raises:
        RefusedError: nobody can say what changed: the release that the graph was made of is gone.
    """
    place, spec = work.request.place, SPECS[work.request.place.unit]
    try:
        then = get_release(work.root, record.about.release).content_of(spec, {place.source})
    except NotFoundError as error:
        raise RefusedError(f"{error}; graph {record.number} was made of it: `wxpipe graph build` instead") from error
    now_there = work.release.content_of(spec, {place.source})
    same = {day for day in then if day in now_there and then[day] == now_there[day]}
    rows = work.rows
    kept_then, kept_now = _of_days(before.starts, same, place), _of_days(rows.starts, same, place)
    if not np.array_equal(before.starts[kept_then], rows.starts[kept_now]):
        raise RefusedError(f"graph {record.number} has other rows than its release; `wxpipe graph build` makes it anew")
    new_row = np.full(len(before) + 1, NONE, np.int64)  # the last place is where NONE itself leads
    new_row[:-1][kept_then] = np.flatnonzero(kept_now)
    old = before.edges(work.rule.k)
    targets = new_row[old.targets[kept_then]].astype(np.int32)
    mapped = Edges.empty(len(rows), work.rule.k)
    mapped.targets[kept_now] = targets
    mapped.distances[kept_now] = np.where(targets == NONE, np.float32(np.inf), old.distances[kept_then])
    return ~kept_now, mapped


def _of_days(starts: Numbers, days: set[SourceDay], place: GraphPlace) -> Flags:
    """Rows that begin on some days."""
    numbers, of_row = np.unique(starts // 86_400, return_inverse=True)
    there = [SourceDay(place.source, utc(int(n) * 86_400).date()) in days for n in numbers]
    found: Flags = np.array(there, np.bool_)[of_row]
    return found


def _publish(
    work: _Work, edges: Edges, reach: Reach, recall: Recall, follows: int | None, lease: Lease | None, searched: int
) -> Built:
    """The gate, then arrays, then the record that makes them seen."""
    request, release, rows = work.request, work.release, work.rows
    place = request.place
    recall.check(f"graph of {place.source} ({place.unit}s), release {release.number}")
    part = release.part(place.source)
    table = part.tables[SPECS[place.unit].name]
    about = GraphAbout(
        source=place.source,
        unit=place.unit,
        release=release.number,
        model=part.model,
        table=table.table,
        table_version=table.version,
        content=source_content(release, place),
        identity=identity_of(place, rows.ids, rows.starts),
        rows=len(rows),
        k=request.k,
        exclude_hours=request.exclude_hours,
        window_hours=work.rule.window / 3600,
        reach={"radius": reach.radius, "stretch": reach.stretch if isfinite(reach.stretch) else None},
        recall=recall.document(),
        follows=follows,
    )
    graph = _with_columns(rows, edges)
    digest = put_arrays(work.root, about, graph)
    if lease is not None:
        work.root.leases.check(lease)
    number = max(graph_numbers(work.root, place), default=0) + 1
    record = GraphRecord(number, digest, about, len(graph.indices), now())
    read_graph(work.root, record)
    put_record(work.root, record)
    return Built(record, True, searched)


def _with_columns(rows: TimeVectors, edges: Edges) -> Graph:
    indptr, indices, distances = compressed(edges)
    last = edges.distances[:, -1]
    return Graph(
        starts=rows.starts,
        ends=rows.ends,
        indptr=indptr,
        indices=indices,
        distances=distances,
        novelty=np.where(np.isfinite(last), last, np.float32(np.nan)),
        in_degree=np.bincount(indices, minlength=len(rows)).astype(np.int32),
        regime=find_regimes(rows.starts, edges),
    )
