"""What a search is asked and what it answers, as data; `Answer.document` is the JSON that others rely on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wxpipe.errors import UsageError
from wxpipe.vectors.event_odds import EventOdds
from wxpipe.vectors.tables import SPECS, Unit
from wxpipe.vectors.times import TimeFilter

MOST = 10_000
UNTRAINED = (
    "an untrained projection serves: distances are those of random projections of the pictures, nothing was learned"
)


@dataclass(frozen=True)
class SearchRequest:
    """A question.

    Attributes:
        source: a source, or a satellite that has one area.
        at: the query is the clip (frame) that begins at this time; timezone-aware.
        vector: or this is; exactly one of the two.
        k: answers wanted; with episodes on, distinct episodes.
        where: SQL over the table's columns, which every analog satisfies.
        exclude_hours: analogs begin further from the query's beginning than this; the query itself is never one.
        episodes: analogs that overlap are one answer, represented by the best of them.
        rerank: a measure that orders the candidates anew.
        release: a release by number; None: the current one.
        times: season, years and hours in which analogs begin.
        coverage: the least share of a clip's slots that were good, 0 to 1; None: any.
        exact: no nearest may be missed: indices and sketches that find nearly all of them are left aside.
        bands: what is compared, a `bands.Preset`.

    Raises:
        UsageError: a value is outside its limits.
    """

    source: str
    at: datetime | None = None
    vector: Sequence[float] | None = None
    unit: Unit = "clip"
    k: int = 10
    where: str = ""
    exclude_hours: float = 24
    episodes: bool = True
    rerank: str | None = None
    release: int | None = None
    times: TimeFilter = field(default_factory=TimeFilter)
    coverage: float | None = None
    exact: bool = False
    bands: str = "auto"

    def __post_init__(self) -> None:
        if (self.at is None) == (self.vector is None):
            raise UsageError("give the query by its time or by a vector: one of the two")
        if self.at is not None and self.at.tzinfo is None:
            raise UsageError(f"{self.at.isoformat()} has no time zone; times are UTC, e.g. 2011-03-03T08:00Z")
        if self.unit not in SPECS:
            raise UsageError(f"unit is {self.unit!r}; choose one of {', '.join(SPECS)}")
        if not 1 <= self.k <= MOST:
            raise UsageError(f"k is {self.k}; choose 1 to {MOST:,}")
        if not self.exclude_hours >= 0:
            raise UsageError(f"exclude_hours is {self.exclude_hours}; choose 0 or more")
        if self.coverage is not None and not 0 <= self.coverage <= 1:
            raise UsageError(f"coverage is {self.coverage}; choose 0 to 1")
        if self.coverage is not None and self.unit != "clip":
            raise UsageError("frames have no coverage; ask for clips, or filter by channels_good")

    def filters(self) -> dict[str, Any]:
        """The filters beside ``where`` that ask something, as JSON values."""
        times = self.times
        found: dict[str, Any] = {}
        if times.season is not None:
            found |= {"season": f"{times.season[0]:02}-{times.season[1]:02}", "season_days": times.season_days}
        if times.years is not None:
            found["years"] = list(times.years)
        if times.hours is not None:
            found["hours"] = list(times.hours)
        if self.coverage is not None:
            found["coverage"] = self.coverage
        return found


@dataclass(frozen=True)
class Query:
    """What was looked for; a bare vector has no identity and no time."""

    unit: Unit
    id: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    def document(self) -> dict[str, Any]:
        return _unit(self.unit, self.id, self.start, self.end)


@dataclass(frozen=True)
class Analog:
    """One answer.

    Attributes:
        distance: Euclidean, between vectors.
        similarity: the ground truth, 0..1; None where the root has no histograms of it.
        episode: ids, in order of time, of those candidates that this one represents, itself included.
    """

    rank: int
    unit: Unit
    id: str
    start: datetime
    end: datetime | None
    distance: float
    similarity: float | None
    episode: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        return {
            "rank": self.rank,
            **_unit(self.unit, self.id, self.start, self.end),
            "distance": self.distance,
            "similarity": self.similarity,
            "episode": list(self.episode),
        }


@dataclass(frozen=True)
class Coming:
    """How like what really came the weather after best analogs was, so many hours later; None where nothing is known.

    Attributes:
        mean, low, high: ground-truth similarity of frames, and its 10th and 90th percentile.
        by_chance: the mean for times of the same season and hour that were drawn.
    """

    hours: int
    mean: float | None
    low: float | None
    high: float | None
    by_chance: float | None

    def document(self) -> dict[str, Any]:
        return {
            "hours": self.hours, "similarity": self.mean, "low": self.low, "high": self.high,
            "by_chance": self.by_chance,
        }  # fmt: skip


@dataclass(frozen=True)
class Quality:
    """How good the best analog is.

    Attributes:
        percentile: share of other times whose best analog was less similar, 0..1; None: unknown, and ``why``.
        good: not among the worst fifth.
        compared: how many other times, and ``are``: which.
        after: what came of answers like this one.
    """

    percentile: float | None = None
    good: bool | None = None
    compared: int = 0
    are: str = ""
    after: tuple[Coming, ...] = ()
    why: str = ""

    def document(self) -> dict[str, Any]:
        return {
            "percentile": self.percentile, "good": self.good, "compared": self.compared, "are": self.are,
            "after": [coming.document() for coming in self.after], "why": self.why,
        }  # fmt: skip

    def sentence(self) -> str:
        """For a person."""
        if self.percentile is None:
            return f"quality unknown: {self.why}"
        better = f"{1 - self.percentile:.0%} of {self.compared} times {self.are} have a better best analog"
        return better if self.good else f"no good analog: {better}"


@dataclass(frozen=True)
class Answer:
    """Everything that a search found, and what is needed to repeat it.

    Attributes:
        index: ``exact`` where the nearest of all rows that the filter left were found for certain; else by what at
            least .99 of them were, as the release's gate or the loading of its vectors measured: ``ivf_flat`` (LanceDB)
            or ``sketch`` (memory).
        bands: the preset that was compared; ``bands_why`` says what it was chosen for, where it was not asked for.
        channels: that are compared: vectors' distances, and the ground truth, are of these.
        candidates: how many of the ``matching`` rows were looked at, nearest first.
        warning: for a person; empty where there is none.
        happened: odds of what followed the analogs, where they were asked for.
        ahead: the document of an `ahead.Ahead`, where it was asked for.
        quality: unknown, rather than a number that looks like knowledge, until `quality.judged` has told it.
    """

    source: str
    query: Query
    release: int
    model: str
    trained: bool
    index: str
    excluded_hours: float
    analogs: tuple[Analog, ...]
    unit: Unit = "clip"
    where: str = ""
    episodes: bool = True
    rerank: str | None = None
    candidates: int = 0
    matching: int = 0
    warning: str = ""
    filters: dict[str, Any] = field(default_factory=dict)
    bands: str = "all"
    bands_why: str = ""
    channels: tuple[str, ...] = ()
    happened: tuple[EventOdds, ...] | None = None
    ahead: dict[str, Any] | None = None
    quality: Quality = field(default_factory=Quality)

    def document(self) -> dict[str, Any]:
        """The answer as JSON values; times are UTC, ISO 8601."""
        hours = self.excluded_hours
        return {
            "query": self.query.document(),
            "release": self.release,
            "model": self.model,
            "trained": self.trained,
            "index": self.index,
            "excluded_hours": int(hours) if hours == int(hours) else hours,
            "analogs": [analog.document() for analog in self.analogs],
            "quality": self.quality.document(),
            "source": self.source,
            "unit": self.unit,
            "where": self.where,
            "filters": self.filters,
            "episodes": self.episodes,
            "rerank": self.rerank,
            "bands": self.bands,
            "bands_why": self.bands_why,
            "channels": list(self.channels),
            "candidates": self.candidates,
            "matching": self.matching,
            "warning": self.warning,
            **({} if self.happened is None else {"happened": [one.document() for one in self.happened]}),
            **({} if self.ahead is None else {"ahead": self.ahead}),
        }


def iso(moment: datetime) -> str:
    """A time as answers spell it, ``2011-03-03T08:00:00Z``."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _unit(unit: Unit, name: str | None, start: datetime | None, end: datetime | None) -> dict[str, Any]:
    first, last = (iso(moment) if moment is not None else None for moment in (start, end))
    if unit == "frame":
        return {"frame_id": name, "time": first}
    return {"clip_id": name, "start": first, "end": last}
