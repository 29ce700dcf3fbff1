"""Clips are found where windows hold enough good slots; the chosen frames are the best, ties to the earlier."""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.errors import UsageError
from wxpipe.similarity.clips import ClipRule, find_clips, select_frames


def cost(sequence: tuple[int, ...], span: int) -> int:
    steps = len(sequence) - 1
    return sum(abs(steps * slot - i * span) for i, slot in enumerate(sequence))


@st.composite
def windows(draw: st.DrawFn) -> tuple[list[int], int, int]:
    """Good slots of a window from 0 on, slots a window, frames."""
    span = draw(st.integers(2, 12))
    others = draw(st.sets(st.integers(1, span), min_size=1))
    return [0, *sorted(others)], span, draw(st.integers(2, len(others) + 1))


@settings(max_examples=200, deadline=None)
@given(windows(), st.integers(0, 10**6))
def test_even_is_the_earliest_of_the_nearest_sequences(window: tuple[list[int], int, int], start: int) -> None:
    good, span, frames = window
    # `combinations` come in lexicographic order and `min` keeps the first.
    expected = min(combinations(good, frames), key=lambda sequence: cost(sequence, span))
    chosen = select_frames(np.array(good) + start, start, span, ClipRule(frames, 6), "")
    assert (chosen - start).tolist() == list(expected)
    assert chosen[0] == start


@settings(max_examples=50, deadline=None)
@given(windows(), st.text())
def test_published_draws_distinct_good_slots_again_and_again(window: tuple[list[int], int, int], identity: str) -> None:
    good, span, frames = window
    rule = ClipRule(frames, 6, "published")
    chosen = select_frames(np.array(good), 0, span, rule, identity)
    assert chosen[0] == 0
    assert (np.diff(chosen) > 0).all()
    assert set(chosen.tolist()) <= set(good)
    assert (chosen == select_frames(np.array(good), 0, span, rule, identity)).all()
    assert (chosen + 96 == select_frames(np.array(good) + 96, 96, span, rule, identity)).all()


def test_published_draws_are_part_of_the_data_and_never_change() -> None:
    rule = ClipRule(choice="published")
    chosen = select_frames(np.arange(25), 0, 24, rule, "coms-ea/20110303T0800Z/6h20")
    assert sorted(set(range(25)) - set(chosen.tolist())) == [2, 6, 9, 16, 24]


def test_published_draws_favour_no_slot() -> None:
    rule = ClipRule(5, 6, "published")
    drawn = np.zeros(25, int)
    for number in range(4000):
        drawn[select_frames(np.arange(25), 0, 24, rule, f"clip {number}")] += 1
    assert drawn[0] == 4000
    assert abs(drawn[1:] - 4000 * 4 / 24).max() < 5 * np.sqrt(4000 * 4 / 24)


def quarter_hours(first: str, last: str, *absent: str) -> np.ndarray:
    """Which of a day's 96 slots are good."""

    def slot(text: str) -> int:
        return int(text[:2]) * 4 + int(text[3:]) // 15

    good = np.zeros(96, np.bool_)
    good[slot(first) : slot(last) + 1] = True
    good[[slot(text) for text in absent]] = False
    return good


def test_the_real_day_of_march_2011_has_six_clips() -> None:
    good = quarter_hours("06:45", "13:15", "08:30", "11:30")
    found = find_clips(good, np.arange(96), 24, ClipRule(), str)
    assert found.starts.tolist() == [27, 28, 29, 30, 31, 32]  # 06:45 to 08:00
    assert found.frames.shape == (6, 20)
    assert good[found.frames].all()
    assert (found.frames[:, 0] == found.starts).all()
    assert found.coverage == pytest.approx(np.array([23, 23, 23, 22, 21, 20]) / 25)


def test_windows_may_run_past_the_record_and_draws_ask_for_the_identity() -> None:
    good = np.ones(30, np.bool_)
    asked: list[int] = []

    def identity(slot: int) -> str:
        asked.append(slot)
        return f"clip {slot}"

    found = find_clips(good, np.arange(30), 24, ClipRule(choice="published"), identity)
    assert found.starts.tolist() == list(range(11))
    assert asked == list(range(11))
    assert found.coverage[-1] == 20 / 25
    assert (found.frames <= found.starts[:, np.newaxis] + 24).all()


def test_nothing_is_found_where_nothing_is_good() -> None:
    found = find_clips(np.zeros(96, np.bool_), np.arange(96), 24, ClipRule(), str)
    assert found.frames.shape == (0, 20)
    assert found.coverage.size == 0


def test_rules_are_checked_and_named() -> None:
    assert ClipRule().name == "6h20"
    assert ClipRule().slots_per_window(timedelta(minutes=15)) == 24
    assert ClipRule().slots_per_window(timedelta(minutes=10)) == 36
    with pytest.raises(UsageError, match="does not divide"):
        ClipRule().slots_per_window(timedelta(minutes=7))
    for wrong in ({"frames": 1}, {"hours": 0}, {"choice": "random"}):
        with pytest.raises(UsageError, match="choose"):
            ClipRule(**wrong)  # type: ignore[arg-type]


def test_slots_outside_the_window_are_refused() -> None:
    rule = ClipRule(3, 6)
    with pytest.raises(UsageError, match="needs 3"):
        select_frames(np.array([4, 5]), 4, 24, rule, "")
    for slots in ([5, 6, 7], [4, 7, 6], [4, 6, 29], [4, 4, 6]):
        with pytest.raises(UsageError, match="ascending"):
            select_frames(np.array(slots), 4, 24, rule, "")
    with pytest.raises(UsageError, match=r"expected 0\.\.9"):
        find_clips(np.ones(10, np.bool_), np.array([10]), 24, rule, str)
