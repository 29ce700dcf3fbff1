"""Search in a release: the nearest past clips or frames, one an episode, each with its ground-truth similarity.

A searcher (LanceDB, or memory) filters first and then looks for the nearest; candidates grow until there are enough
episodes among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from wxpipe.errors import NotFoundError
from wxpipe.satellites.catalog import Source
from wxpipe.similarity.measures import GROUND_TRUTH, Measure, get_measure
from wxpipe.store.root import Root
from wxpipe.vectors.answers import UNTRAINED, Analog, Answer, Query, SearchRequest
from wxpipe.vectors.asked import asked
from wxpipe.vectors.bands import Bands, chosen_bands
from wxpipe.vectors.candidates import Candidates, Left, Opener, episodes_of
from wxpipe.vectors.cells_search import CellsLeft, by_cells, with_cells
from wxpipe.vectors.lance_searcher import open_lance
from wxpipe.vectors.quality import judged
from wxpipe.vectors.records import Part, ReleaseRecord, get_release, require_current
from wxpipe.vectors.rerank import MOST_PICTURED, Scores, scored
from wxpipe.vectors.tables import DAY_SECONDS, SPECS, TableSpec, Unit, utc

GROWTH = 4
LEAST_CANDIDATES, RERANK_CANDIDATES = 64, 200
FRAME_EPISODE_HOURS = 6
"""Frames nearer in time than this are one episode, where the satellite has no clips that would say it."""


def search(
    root: Root, request: SearchRequest, opener: Opener = open_lance, release: ReleaseRecord | None = None
) -> Answer:
    """Finds analogs.

    Args:
        root: where the release is.
        request: the question.
        opener: what finds the nearest; a `MemorySearchers` that is kept from one search to the next is faster.
        release: the one that is searched, where the caller has read it already; it goes before the request's number.

    Raises:
        UsageError: the filter or the measure cannot be understood.
        NotFoundError: there is no release, or nothing begins at the query's time; lists what is near.
    """
    measure = get_measure(request.rerank) if request.rerank is not None else None
    source = root.source(request.source)
    if release is None:
        release = require_current(root) if request.release is None else get_release(root, request.release)
    spec, part = SPECS[request.unit], release.part(source.id)
    searcher = opener(root, part, source, spec)
    query, vector = asked(searcher, request, part.model)
    bands = _bands(root, source, part, request, query)
    left = by_cells(root, source, request, query, searcher.left(request, query, bands), bands)
    question = _Question(root, source, spec, request, query, bands, left)
    found, groups = question.grown(vector)
    analogs, found = question.ranked(found, groups, measure)
    answer = Answer(
        source=source.id,
        query=query,
        release=release.number,
        model=part.model,
        trained=part.trained,
        index=left.index(),
        excluded_hours=request.exclude_hours,
        analogs=analogs,
        unit=request.unit,
        where=request.where,
        filters=request.filters(),
        episodes=request.episodes,
        rerank=request.rerank,
        bands=bands.preset,
        bands_why=bands.why,
        channels=bands.channels,
        candidates=len(found),
        matching=left.matching,
        warning=_warning(part, request, analogs, len(found)),
    )
    return judged(root, part, with_cells(left, answer))


Groups = list[list[int]]
"""Of each answer the places of its members among the candidates, its best first."""


@dataclass(frozen=True, eq=False)
class _Question:
    """A request as it is searched for: what it is like, and what the filters left."""

    root: Root
    source: Source
    spec: TableSpec
    request: SearchRequest
    query: Query
    bands: Bands
    left: Left

    def grown(self, vector: npt.NDArray[np.float32]) -> tuple[Candidates, Groups]:
        """Candidates, more and more of them, until there are enough episodes among them."""
        window = episode_seconds(self.source, self.spec)
        return _grow(lambda limit: self.left.nearest(vector, limit), self.request, self.left.matching, window)

    def ranked(
        self, found: Candidates, groups: Groups, measure: Measure | None
    ) -> tuple[tuple[Analog, ...], Candidates]:
        """The answers, best first, and the candidates in the order in which they stand then."""
        truth = get_measure(GROUND_TRUTH)
        scores: Scores = {}
        if measure is not None:
            scores = self._scored(measure, found)
            found = found.take(sorted(range(len(found)), key=lambda n: (measure.best_first(scores[found.ids[n]]), n)))
            groups = self._grouped(found)
        similar = scores
        if measure is not truth:
            similar = self._scored(truth, found.take([members[0] for members in groups]))
        if isinstance(self.left, CellsLeft):  # they were found by rounded counts
            groups = sorted(groups, key=lambda members: (truth.best_first(similar[found.ids[members[0]]]), members[0]))
        analogs = (_analog(n, self.spec, found, members, similar, scores) for n, members in enumerate(groups, 1))
        return tuple(analogs), found

    def _grouped(self, found: Candidates) -> Groups:
        window = episode_seconds(self.source, self.spec)
        return group(found, self.request.k, self.request.episodes, window)

    def _scored(self, measure: Measure, found: Candidates) -> Scores:
        if isinstance(self.left, CellsLeft):
            return self.left.similarities(found)
        return scored(self.root, self.source, measure, self.query, found, self.bands.places(self.source))


def latest(root: Root, name: str, unit: Unit = "clip") -> datetime:
    """When the latest clip or frame of a source in the current release begins.

    Raises:
        NotFoundError: there is no release, or it has none of the source.
    """
    source, spec = root.source(name), SPECS[unit]
    table = require_current(root).part(source.id).open(root, spec)
    epochs = table.to_lance().to_table(columns=[spec.epoch], filter=f"source = '{source.id}'")[spec.epoch]
    if not len(epochs):
        raise NotFoundError(f"the current release has no {spec.name} of {source.id}")
    return utc(max(epochs.to_pylist()))


def group(found: Candidates, k: int, episodes: bool, window: int = 0) -> Groups:
    """The first k answers among candidates: positions of each one's members, its best first.

    An answer takes in what overlaps *its best*, not what overlaps a member: clips begin every quarter of an hour, so
    that a chain of overlaps would run through years. More candidates never change the answers that are there.

    Args:
        found: candidates, best first.
        k: answers wanted.
        episodes: off: each candidate is its own.
        window: seconds by which rows without a length (frames) count as one episode.
    """
    if not episodes:
        return [[n] for n in range(min(k, len(found)))]
    groups: dict[int, list[int]] = {}
    for place, best in enumerate(episodes_of(found.starts, found.ends, k, window).tolist()):
        if best >= 0:
            groups.setdefault(best, []).append(place)
    return list(groups.values())


def _grow(
    look: Callable[[int], Candidates], request: SearchRequest, matching: int, window: int
) -> tuple[Candidates, Groups]:
    limit = request.k if request.rerank is None and not request.episodes else max(LEAST_CANDIDATES, 8 * request.k)
    if request.rerank is not None:
        limit = max(limit, RERANK_CANDIDATES)
    if not matching:
        return look(1), []
    while True:
        found = look(min(limit, matching))
        groups = group(found, request.k, request.episodes, window)
        if len(groups) >= request.k or limit >= matching:
            return found, groups
        limit *= GROWTH


def episode_seconds(source: Source, spec: TableSpec) -> int:
    """How far apart rows may be beyond their own length and still count as one episode: frames have no length."""
    if spec.unit == "clip":
        return 0
    clip = source.satellite.clip
    return (clip.hours if clip is not None else FRAME_EPISODE_HOURS) * 3600


def _analog(
    rank: int, spec: TableSpec, found: Candidates, members: list[int], similar: Scores, scores: Scores
) -> Analog:
    best = members[0]
    end: datetime | None = utc(found.ends[best]) if spec.unit == "clip" else None
    episode = tuple(found.ids[n] for n in sorted(members, key=lambda n: int(found.starts[n])))
    name = found.ids[best]
    return Analog(
        rank, spec.unit, name, utc(found.starts[best]), end, float(found.distances[best]), similar.get(name), episode,
        score=scores.get(name),
    )  # fmt: skip


def _bands(root: Root, source: Source, part: Part, request: SearchRequest, query: Query) -> Bands:
    """What is compared; of several examples, those bands that all of them can be compared by."""
    times = [(query.start, query.end), *((one.start, one.end) for one in query.examples)]
    chosen = [chosen_bands(root, source, part.model, request.bands, start, end) for start, end in times]
    return next((bands for bands in chosen if bands.why), chosen[0])


def _warning(part: Part, request: SearchRequest, analogs: Sequence[Analog], candidates: int) -> str:
    warnings = [] if part.trained else [UNTRAINED]
    if len(analogs) < request.k:
        kind = "episodes" if request.episodes else f"{request.unit}s"
        warnings.append(
            f"only {len(analogs)} of {request.k} {kind} satisfy the filter and lie outside the query's own hours"
        )
    if request.rerank and get_measure(request.rerank).needs == "pictures" and candidates > MOST_PICTURED:
        warnings.append(f"only the nearest {MOST_PICTURED} of {candidates} candidates were scored by {request.rerank}")
    days = len({int(a.start.timestamp()) // DAY_SECONDS for a in analogs})
    if analogs and days == 1 and request.exclude_hours < 24:
        warnings.append("all analogs are of one day; with so few days an analog says little")
    return "; ".join(warnings)
