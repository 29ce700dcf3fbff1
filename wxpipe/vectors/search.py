"""Search in a release: the nearest past clips or frames, one an episode, each with its ground-truth similarity.

A searcher (LanceDB, or memory) filters first and then looks for the nearest; candidates grow until there are enough
episodes among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import numpy as np

from wxpipe.errors import NotFoundError, UsageError
from wxpipe.satellites.catalog import Source
from wxpipe.store.root import Root
from wxpipe.vectors import ground_truth
from wxpipe.vectors.answers import UNTRAINED, Analog, Answer, Query, SearchRequest
from wxpipe.vectors.bands import Bands, chosen_bands
from wxpipe.vectors.candidates import Candidates, Opener, episodes_of
from wxpipe.vectors.lance_searcher import open_lance
from wxpipe.vectors.quality import judged
from wxpipe.vectors.records import Part, ReleaseRecord, get_release, require_current
from wxpipe.vectors.tables import DAY_SECONDS, SPECS, TableSpec, Unit, utc

GROWTH = 4
LEAST_CANDIDATES, RERANK_CANDIDATES = 64, 200
FRAME_EPISODE_HOURS = 6
"""Frames nearer in time than this are one episode, where the satellite has no clips that would say it."""

Scores = Mapping[str, float | None]


Measure = Callable[[Root, Source, SearchRequest, Query, Candidates, Bands], Scores]


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
    measure = _measure(request.rerank)
    source = root.source(request.source)
    if release is None:
        release = require_current(root) if request.release is None else get_release(root, request.release)
    spec, part = SPECS[request.unit], release.part(source.id)
    searcher = opener(root, part, source, spec)
    query, vector = searcher.query(request)
    bands = chosen_bands(root, source, part.model, request.bands, query.start, query.end)
    left = searcher.left(request, query, bands)
    matching = left.matching

    def look(limit: int) -> Candidates:
        return left.nearest(vector, limit)

    window = episode_seconds(source, spec)
    found, groups = _grow(look, request, matching, window)
    scores: Scores
    if measure is not None:
        scores = measure(root, source, request, query, found, bands)
        found = found.take(sorted(range(len(found)), key=lambda n: _best_first(scores[found.ids[n]], n)))
        groups = group(found, request.k, request.episodes, window)
    else:
        scores = _ground_truth(root, source, request, query, found.take([members[0] for members in groups]), bands)
    analogs = tuple(_analog(rank, spec, found, members, scores) for rank, members in enumerate(groups, 1))
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
        matching=matching,
        warning=_warning(part, request, analogs),
    )
    return judged(root, part, answer)


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


def group(found: Candidates, k: int, episodes: bool, window: int = 0) -> list[list[int]]:
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
) -> tuple[Candidates, list[list[int]]]:
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


def _ground_truth(
    root: Root, source: Source, request: SearchRequest, query: Query, found: Candidates, bands: Bands
) -> Scores:
    """The registered measure ``ground-truth`` over the channels that are compared; unknown for a bare vector."""
    if query.id is None or query.start is None:
        return dict.fromkeys(found.ids)
    epochs = dict(zip(found.ids, found.starts.tolist(), strict=True))
    own = ground_truth.slots_of(root, source, request.unit, {query.id: int(query.start.timestamp())})
    if query.id not in own:
        return dict.fromkeys(found.ids)
    slots = ground_truth.slots_of(root, source, request.unit, epochs)
    return {
        **dict.fromkeys(found.ids),
        **ground_truth.similarities(root, source, own[query.id], slots, bands.places(source)),
    }


MEASURES: dict[str, Measure] = {"ground-truth": _ground_truth}
"""What candidates can be re-ranked by: scores by id, higher is better, None is last."""


def _measure(name: str | None) -> Measure | None:
    if name is None:
        return None
    if name not in MEASURES:
        raise UsageError(f"no measure is called {name!r}; known measures: {', '.join(sorted(MEASURES))}")
    return MEASURES[name]


def _best_first(score: float | None, place: int) -> tuple[float, int]:
    return (-score if score is not None else np.inf, place)


def _analog(rank: int, spec: TableSpec, found: Candidates, members: list[int], scores: Scores) -> Analog:
    best = members[0]
    end: datetime | None = utc(found.ends[best]) if spec.unit == "clip" else None
    episode = tuple(found.ids[n] for n in sorted(members, key=lambda n: int(found.starts[n])))
    name = found.ids[best]
    return Analog(
        rank, spec.unit, name, utc(found.starts[best]), end, float(found.distances[best]), scores.get(name), episode
    )


def _warning(part: Part, request: SearchRequest, analogs: Sequence[Analog]) -> str:
    warnings = [] if part.trained else [UNTRAINED]
    if len(analogs) < request.k:
        kind = "episodes" if request.episodes else f"{request.unit}s"
        warnings.append(
            f"only {len(analogs)} of {request.k} {kind} satisfy the filter and lie outside the query's own hours"
        )
    days = len({int(a.start.timestamp()) // DAY_SECONDS for a in analogs})
    if analogs and days == 1 and request.exclude_hours < 24:
        warnings.append("all analogs are of one day; with so few days an analog says little")
    return "; ".join(warnings)
