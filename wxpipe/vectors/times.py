"""Filters on time as epoch seconds: season, years, time of day, the query's own hours; one meaning for every searcher.

A searcher in memory turns spans into rows by binary search; the one of LanceDB turns the same spans into SQL.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar

from wxpipe.errors import UsageError

DAY_SECONDS = 86_400
LEAP_YEAR = 2000

Number = TypeVar("Number", int, float)
Span = tuple[int, int]
"""Epoch seconds, the first inside and the last not."""


@dataclass(frozen=True)
class TimeFilter:
    """What an analog's beginning must satisfy; what is None asks nothing.

    Attributes:
        season: (month, day) in the middle of it, in every year; 29 February is 28 February where there is none.
        season_days: days on either side of that day, the day itself whole.
        years: first and last, both inside, UTC.
        hours: from and to, of the day in UTC, 0 to 24, the end not inside; from 21 to 3 runs over midnight.

    Raises:
        UsageError: a value is outside its limits.
    """

    season: tuple[int, int] | None = None
    season_days: int = 45
    years: tuple[int, int] | None = None
    hours: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.season is not None:
            month, day = self.season
            if not 1 <= month <= 12 or not 1 <= day <= monthrange(LEAP_YEAR, month)[1]:
                raise UsageError(f"season is month {month}, day {day}; expected a day of the year, e.g. 07-15")
        if not 0 <= self.season_days <= 182:
            raise UsageError(f"season_days is {self.season_days}; choose 0 to 182")
        if self.years is not None and not 1970 <= self.years[0] <= self.years[1] <= 9998:
            raise UsageError(f"years are {self.years[0]} to {self.years[1]}; expected the earlier one first")
        if self.hours is not None and not all(0 <= hour <= 24 for hour in self.hours):
            raise UsageError(f"hours are {self.hours[0]} to {self.hours[1]}; choose hours of the day, 0 to 24")
        if self.hours is not None and self.hours[0] == self.hours[1]:
            raise UsageError(f"hours are {self.hours[0]} to {self.hours[1]}, which is no time at all")

    @property
    def asks(self) -> bool:
        """Whether anything is asked."""
        return self.season is not None or self.years is not None or self.hours is not None

    def spans(self, first: int, last: int) -> list[Span] | None:
        """Spans of season and years for rows that begin in [first, last] epoch seconds; None: any time.

        In order, and no two overlap.
        """
        if self.season is None and self.years is None:
            return None
        years = range(_year(first) - 1, _year(last) + 2)
        spans = [self._season(year) for year in years] if self.season is not None else [(first, last + 1)]
        spans = _merged(spans)
        if self.years is not None:
            begin, end = _epoch(date(self.years[0], 1, 1)), _epoch(date(self.years[1] + 1, 1, 1))
            spans = [(max(begin, start), min(end, stop)) for start, stop in spans]
        return [(start, stop) for start, stop in spans if start < stop and start <= last and stop > first]

    def day_seconds(self) -> list[Span] | None:
        """Spans of the seconds of a day, [0, 86400); None: any time of the day."""
        if self.hours is None:
            return None
        start, stop = (round(hour * 3600) for hour in self.hours)
        if start < stop:
            return [(start, stop)]
        return [span for span in ((0, stop), (start, DAY_SECONDS)) if span[0] < span[1]]

    def sql(self, column: str, first: int, last: int) -> list[str]:
        """Conditions on a column of epoch seconds, to be joined by AND; the same rows as the spans."""
        conditions = []
        spans, seconds = self.spans(first, last), self.day_seconds()
        if spans is not None:
            parts = [f"({column} >= {start} AND {column} < {stop})" for start, stop in spans]
            conditions.append(f"({' OR '.join(parts) or 'false'})")
        if seconds is not None:
            of_day = f"({column} % {DAY_SECONDS})"
            parts = [f"({of_day} >= {start} AND {of_day} < {stop})" for start, stop in seconds]
            conditions.append(f"({' OR '.join(parts)})")
        return conditions

    def _season(self, year: int) -> Span:
        assert self.season is not None
        month, day = self.season
        middle = date(year, month, min(day, monthrange(year, month)[1]))
        around = timedelta(days=self.season_days)
        return _epoch(middle - around), _epoch(middle + around + timedelta(days=1))


def parse_times(season: str = "", years: str = "", hours: str = "") -> TimeFilter:
    """A filter as people write it: ``07-15``, ``2011-2014`` (or one year), ``21-3``; what is empty asks nothing.

    Raises:
        UsageError: it cannot be understood.
    """
    return TimeFilter(
        season=_pair("season", season, int, "a day of the year, e.g. 07-15"),
        years=_pair("years", years if "-" in years or not years else f"{years}-{years}", int, "years, e.g. 2011-2014"),
        hours=_pair("hours", hours, float, "hours of the day, e.g. 21-3"),
    )


def parse_time(text: str) -> datetime:
    """A UTC time such as 2011-03-03T08:00Z; one without a zone is taken as UTC.

    Raises:
        UsageError: not a time.
    """
    try:
        when = datetime.fromisoformat(text)
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text}: expected a time such as 2011-03-03T08:00Z") from error


def _pair(name: str, text: str, kind: Callable[[str], Number], expected: str) -> tuple[Number, Number] | None:
    if not text:
        return None
    try:
        first, last = text.split("-")
        return kind(first), kind(last)
    except ValueError as error:
        raise UsageError(f"--{name} {text!r}: expected {expected}") from error


def _merged(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _epoch(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp())


def _year(epoch: int) -> int:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=epoch)).year
