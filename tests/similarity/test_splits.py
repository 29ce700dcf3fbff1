"""Splits are blocks of time with gaps between them that no clip bridges."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from wxpipe.similarity.splits import SHORTEST, SPLITS, split_days

FIRST = date(2011, 1, 1)


def days(count: int) -> list[date]:
    return [FIRST + timedelta(days=n) for n in range(count)]


@given(st.integers(0, 4))
def test_an_archive_of_a_few_days_has_no_split(count: int) -> None:
    assert count < SHORTEST
    assert split_days(days(count)) == {}


@given(st.integers(SHORTEST, 4100))
def test_every_longer_archive_has_all_three(count: int) -> None:
    found = split_days(days(count))
    assert set(found.values()) == set(SPLITS)
    share = {split: list(found.values()).count(split) / len(found) for split in SPLITS}
    assert share["train"] > max(share["valid"], share["test"]) or count < 2 * SHORTEST


@given(st.integers(SHORTEST, 1500), st.sets(st.integers(0, 1499)))
def test_no_clip_reaches_from_one_split_into_another(count: int, missing: set[int]) -> None:
    there = [day for n, day in enumerate(days(count)) if n not in missing]
    found = split_days(there)
    for day, split in found.items():  # a clip that begins late on a day ends on the next
        assert found.get(day + timedelta(days=1), split) == split


def test_what_the_gaps_leave_without_a_test_day_is_no_split() -> None:
    early_and_late = [FIRST, FIRST + timedelta(days=1), FIRST + timedelta(days=30)]
    assert split_days(early_and_late) == {}


def test_a_decade_has_every_month_in_every_split() -> None:
    found = split_days(days(3650))
    for split in SPLITS:
        assert {day.month for day, s in found.items() if s == split} == set(range(1, 13))
