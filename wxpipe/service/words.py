"""The words of a search as HTTP takes them, the same as the command line's, and the request that they make."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from wxpipe.errors import UsageError
from wxpipe.service.opened import Opened
from wxpipe.vectors.ahead import LONGEST_HOURS
from wxpipe.vectors.answers import SearchRequest
from wxpipe.vectors.bands import Preset
from wxpipe.vectors.happened import LONGEST_HOURS as LONGEST_EVENT_HOURS
from wxpipe.vectors.sql_analogs import MOST_ANALOGS, MOST_HOURS
from wxpipe.vectors.times import parse_time, parse_times
from wxpipe.vectors.where import LONGEST

OnOff = Literal["on", "off"]
WIDEST = 4_096
"""Numbers of a query vector, at most."""


class Words(BaseModel):
    """Base of what requests say: unknown words are refused, since a misspelled filter would filter nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SearchWords(Words):
    """A search by time."""

    satellite: str = Field(default="", max_length=64, description="A satellite or source.", examples=["coms"])
    source: str = Field(default="", max_length=64, description="The same, by another name.", examples=["coms-ea"])
    at: str = Field(
        default="", max_length=40, examples=["2011-03-03T08:00Z", "latest"],
        description="When the query begins, UTC; or `latest`.",
    )  # fmt: skip
    unit: Literal["clip", "frame"] = Field(default="clip", description="What to look for.")
    k: int = Field(default=10, ge=1, le=MOST_ANALOGS, description="How many analogs.")
    where: str = Field(
        default="", max_length=LONGEST, examples=["month IN (2, 3, 4)"],
        description="SQL over the columns, which analogs satisfy.",
    )  # fmt: skip
    exclude_hours: float = Field(
        default=24, ge=0, le=MOST_HOURS, description="Leave out the query's own time, so far around."
    )
    season: str = Field(
        default="", max_length=16, examples=["03-03", "own"],
        description="Analogs within 45 days of this day of any year; own: the query's day.",
    )  # fmt: skip
    years: str = Field(default="", max_length=16, examples=["2011-2014"], description="Analogs of these years.")
    hours: str = Field(
        default="", max_length=32, examples=["21-3"], description="Analogs that begin in these hours, UTC."
    )
    coverage: float | None = Field(
        default=None, ge=0, le=1, description="Least share of a clip's slots that were good."
    )
    episodes: OnOff = Field(default="on", description="on: overlapping clips are one answer.")
    rerank: str = Field(
        default="", max_length=64, examples=["ground-truth"], description="A measure that orders the candidates anew."
    )
    bands: Preset = Field(
        default="auto",
        description="What is compared; auto: ir+wv where it is night or twilight at the middle of the area, else all.",
    )
    events_within: float = Field(
        default=0, ge=0, le=LONGEST_EVENT_HOURS,
        description="Hours; also: what happened within so many after the analogs. 0: not asked.",
    )  # fmt: skip
    events_where: str = Field(
        default="", max_length=LONGEST, examples=["type = 'heavy rain' AND value >= 30"],
        description="What counts as an event, in SQL.",
    )  # fmt: skip

    def request(self, opened: Opened) -> SearchRequest:
        """The question, of what is open.

        Raises:
            UsageError: a word cannot be understood, or one is missing.
            NotFoundError: `latest`, and the release has nothing of the source.
        """
        name = self._name()
        moment = None
        if self.at:
            moment = opened.latest(name, self.unit) if self.at == "latest" else parse_time(self.at)
        if self.season == "own" and moment is None:
            raise UsageError("season is own, and the query is a vector without a time; give a day, e.g. 07-15")
        return SearchRequest(
            name,
            moment,
            self._vector(),
            self.unit,
            self.k,
            self.where,
            self.exclude_hours,
            self.episodes == "on",
            self.rerank or None,
            times=parse_times(f"{moment:%m-%d}" if self.season == "own" else self.season, self.years, self.hours),
            coverage=self.coverage,
            bands=self.bands,
        )

    def _name(self) -> str:
        if bool(self.satellite) == bool(self.source):
            raise UsageError("name the satellite, or the source: one of the two, e.g. satellite=coms")
        return self.satellite or self.source

    def _vector(self) -> list[float] | None:
        return None


class SearchBody(SearchWords):
    """A search by time or by vector."""

    vector: list[float] | None = Field(
        default=None, max_length=WIDEST, description="Instead of a time: the query itself, in the model's numbers."
    )

    def _vector(self) -> list[float] | None:
        return self.vector


class AheadWords(SearchWords):
    """A search by time, and how far it looks ahead."""

    ahead: int = Field(default=24, ge=1, le=LONGEST_HOURS, description="Hours after the end of the analogs.")
    step: int = Field(default=3, ge=1, le=LONGEST_HOURS, description="Hours from one moment to the next.")


class SqlWords(Words):
    """A question in SQL."""

    query: str = Field(
        max_length=100_000, description="One SELECT over the views, in DuckDB's SQL.",
        examples=["SELECT year, count(*) AS clips FROM clips GROUP BY year ORDER BY year"],
    )  # fmt: skip
    format: Literal["json", "csv"] = Field(default="json", description="How the rows come.")
