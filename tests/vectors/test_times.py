"""Filters on time mean the same to slices of sorted rows, to SQL, and to a calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.errors import UsageError
from wxpipe.vectors.memory import TimeVectors
from wxpipe.vectors.times import TimeFilter, parse_times


def rows_at(epochs: np.ndarray[Any, np.dtype[np.int64]]) -> TimeVectors:
    ids = pa.array([str(epoch) for epoch in epochs])
    return TimeVectors(ids, epochs, epochs, np.zeros((len(epochs), 1), np.float32))


def by_calendar(times: TimeFilter, moment: datetime) -> bool:
    """What a filter means, said another way."""
    if times.years is not None and not times.years[0] <= moment.year <= times.years[1]:
        return False
    if times.hours is not None:
        hour = (moment - moment.replace(hour=0, minute=0, second=0)).total_seconds() / 3600
        first, last = times.hours
        if not (first <= hour < last if first < last else hour >= first or hour < last):
            return False
    if times.season is None:
        return True
    month, day = times.season
    middles = []
    for year in (moment.year - 1, moment.year, moment.year + 1):
        leap = (month, day) == (2, 29) and (year % 4 or (year % 100 == 0 and year % 400))
        middles.append(date(year, 2, 28) if leap else date(year, month, day))
    return any(abs((moment.date() - middle).days) <= times.season_days for middle in middles)


filters = st.builds(
    TimeFilter,
    season=st.none() | st.sampled_from([(1, 3), (2, 29), (7, 15), (12, 31)]),
    season_days=st.sampled_from([0, 10, 45, 182]),
    years=st.none() | st.sampled_from([(2011, 2011), (2012, 2014), (1990, 1999)]),
    hours=st.none() | st.sampled_from([(0, 24), (6, 9), (21, 3), (12.5, 12.75), (22, 0)]),
)


@settings(max_examples=80, deadline=None)
@given(filters, st.integers(0, 5), st.floats(0, 0.95))
def test_slices_are_what_the_calendar_says_whatever_gaps_there_are(
    times: TimeFilter, seed: int, missing: float
) -> None:
    first = int(datetime(2010, 12, 20, tzinfo=UTC).timestamp())
    epochs = first + 900 * 13 * np.arange(9_000, dtype=np.int64)
    there = rows_at(epochs[np.random.default_rng(seed).random(len(epochs)) >= missing])
    expected = [by_calendar(times, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(t))) for t in there.starts]
    assert there.within(times).mask(len(there)).tolist() == expected


def test_times_are_written_by_people() -> None:
    assert parse_times("07-15", "2011-2014", "21-3") == TimeFilter((7, 15), 45, (2011, 2014), (21, 3))
    assert parse_times(years="2012").years == (2012, 2012)
    assert not parse_times().asks
    for wrong in ({"season": "13-01"}, {"season": "July"}, {"years": "2014-2011"}, {"hours": "3-3"}, {"hours": "0-25"},
                  {"hours": "0-0.0001"}):  # fmt: skip
        with pytest.raises(UsageError):
            parse_times(**wrong)


def test_without_rows_nothing_is_left() -> None:
    assert rows_at(np.zeros(0, np.int64)).within(TimeFilter(season=(7, 1), hours=(1, 2))).count == 0
