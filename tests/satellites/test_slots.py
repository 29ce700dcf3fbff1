"""A time falls into the nearest slot of its satellite, and days cut the slot axis without gap or overlap."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wxpipe.satellites.slots import SlotAxis

CADENCES = [minutes for minutes in range(1, 1441) if 1440 % minutes == 0]


@st.composite
def axes(draw: st.DrawFn) -> SlotAxis:
    first = draw(st.dates(date(1980, 1, 1), date(2040, 1, 1)))
    cadence = timedelta(minutes=draw(st.sampled_from(CADENCES)))
    days = draw(st.integers(1, 5000))
    return SlotAxis(datetime(first.year, first.month, first.day, tzinfo=UTC), cadence, days * (timedelta(1) // cadence))


@given(axes(), st.data())
def test_the_slot_of_a_slots_time_is_that_slot(axis: SlotAxis, data: st.DataObject) -> None:
    slot = data.draw(st.integers(0, axis.count - 1))
    assert axis.slot(axis.time(slot)) == slot
    assert axis.times([slot])[0] == np.datetime64(axis.time(slot).replace(tzinfo=None))
    assert axis.day(slot) == axis.time(slot).date()


@given(axes(), st.data())
def test_a_time_within_half_a_cadence_falls_into_its_slot(axis: SlotAxis, data: st.DataObject) -> None:
    slot = data.draw(st.integers(0, axis.count - 1))
    half = axis.cadence / 2
    early_or_late = data.draw(st.timedeltas(-half, half))
    assume(early_or_late < half)
    assert axis.slot(axis.time(slot) + early_or_late) == slot


@given(axes(), st.data())
def test_half_a_cadence_late_belongs_to_the_next_slot(axis: SlotAxis, data: st.DataObject) -> None:
    assume(axis.count > 1)
    slot = data.draw(st.integers(0, axis.count - 2))
    assert axis.slot(axis.time(slot) + axis.cadence / 2) == slot + 1


@given(axes(), st.data())
def test_a_time_in_another_zone_is_the_same_instant(axis: SlotAxis, data: st.DataObject) -> None:
    slot = data.draw(st.integers(0, axis.count - 1))
    korean = axis.time(slot).astimezone(timezone(timedelta(hours=9)))
    assert axis.slot(korean) == slot


@given(axes())
def test_times_outside_the_life_span_are_refused_with_its_days(axis: SlotAxis) -> None:
    for outside in (axis.first - axis.cadence, axis.first + axis.count * axis.cadence):
        with pytest.raises(ValueError, match=rf"outside {axis.first:%Y-%m-%d} to {axis.last_day}"):
            axis.slot(outside)


def test_a_refused_time_is_told_in_utc() -> None:
    axis = SlotAxis(datetime(2010, 1, 1, tzinfo=UTC), timedelta(minutes=15), 96)
    with pytest.raises(ValueError, match="2009-12-31T20:00Z"):
        axis.slot(datetime(2010, 1, 1, 5, tzinfo=timezone(timedelta(hours=9))))


def test_a_time_without_zone_is_refused() -> None:
    axis = SlotAxis(datetime(2010, 1, 1, tzinfo=UTC), timedelta(minutes=15), 96)
    with pytest.raises(ValueError, match="no time zone"):
        axis.slot(datetime(2010, 1, 1, 5))


@given(axes(), st.data())
def test_days_cut_the_axis_without_gap_or_overlap(axis: SlotAxis, data: st.DataObject) -> None:
    day = data.draw(st.dates(axis.first.date(), axis.last_day))
    slots = axis.day_slots(day)
    assert len(slots) == axis.slots_per_day
    assert {axis.day(slot) for slot in slots} == {day}
    if day < axis.last_day:
        assert axis.day_slots(day + timedelta(1)).start == slots.stop
    else:
        assert slots.stop == axis.count
    if day == axis.first.date():
        assert slots.start == 0


@given(axes())
def test_days_outside_the_life_span_are_refused(axis: SlotAxis) -> None:
    for day in (axis.first.date() - timedelta(1), axis.last_day + timedelta(1)):
        assert not axis.has_day(day)
        with pytest.raises(ValueError, match="lies outside"):
            axis.day_slots(day)
