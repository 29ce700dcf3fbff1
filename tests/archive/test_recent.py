"""Which folders an update lists: those of recent days, wherever the dates are written in them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.archive.recent import RECENT_DAYS, Seen, learn, outermost, recent_folders

PATTERNS = (
    "coms/%Y%m/%d",
    "%Y/%m/%d",
    "a/%Y-%m-%d",
    "himawari8/%Y/%j",
    "x/IMG_%Y%m%d",
    "%Y%m%d/%H",
    "gk2a/%Y%m/%d/%H",
    "%Y",
)
TIMES = st.datetimes(datetime(1996, 1, 1), datetime(2030, 12, 31))


def seen_by(pattern: str, first: datetime, hours: int = 72) -> list[Seen]:
    times = [first + timedelta(hours=n) for n in range(hours)]
    return [Seen(t.strftime(pattern), t) for t in times]


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=25, deadline=None)
@given(first=TIMES)
def test_folders_of_the_days_to_come_are_among_those_listed(pattern: str, first: datetime) -> None:
    seen = seen_by(pattern, first)
    last, today = seen[-1].time, seen[-1].time.date() + timedelta(days=3)
    listed = recent_folders(seen, last.date(), today)
    assert "" not in listed
    for hours in range(-24 * (RECENT_DAYS - 1), 72):
        folder = (last + timedelta(hours=hours)).strftime(pattern)
        assert any(folder == f or folder.startswith(f"{f}/") for f in listed), folder


def test_months_and_days_that_read_alike_are_told_apart_by_other_days() -> None:
    seen = seen_by("%Y/%m/%d", datetime(2011, 10, 9), 80)  # 10/10 is among them
    patterns, fixed = learn(seen)
    assert (patterns, fixed) == (["%Y/%m/%d"], [])


def test_a_folder_without_a_date_is_listed_as_it_is() -> None:
    times = [datetime(2020, 3, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(5)]
    assert recent_folders([Seen("all", t) for t in times], date(2020, 3, 1), date(2020, 3, 1)) == ["all"]
    assert recent_folders([Seen("", t) for t in times], date(2020, 3, 1), date(2020, 3, 1)) == [""]


def test_a_name_with_a_percent_sign_stays_as_it_is() -> None:
    seen = seen_by("100%%/%Y%m%d", datetime(2020, 3, 1), 30)
    assert "100%/20200303" in recent_folders(seen, date(2020, 3, 2), date(2020, 3, 3))


def test_years_of_folders_are_not_listed_after_an_outage() -> None:
    seen = seen_by("%Y%m/%d", datetime(2012, 12, 20))
    listed = recent_folders(seen, date(2012, 12, 22), date(2026, 11, 21))
    assert len(listed) < 60
    assert {"201212/23", "202611/21"} <= set(listed)


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=4).map("/".join), max_size=12))
def test_the_outermost_folders_hold_all_and_none_holds_another(folders: list[str]) -> None:
    def within(folder: str, above: str) -> bool:
        return above in ("", folder) or folder.startswith(f"{above}/")

    kept = outermost(folders)
    assert all(any(within(folder, above) for above in kept) for folder in folders)
    assert not any(within(a, b) for a in kept for b in kept if a is not b)
    assert set(kept) <= set(folders)
