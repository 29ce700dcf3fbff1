"""Gaps are those of real archives, the same of a seed however long the archive is, and nowhere else."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from wxpipe.archive.synthetic.gaps import gaps_of, lost
from wxpipe.archive.synthetic.source import mini_satellite
from wxpipe.satellites.catalog import Source

MINI = Source(mini_satellite(), "t")
DAYS = [date(2020, 1, 1) + timedelta(days=n) for n in range(240)]


def test_the_slots_that_real_days_lack_are_lacking() -> None:
    gaps = [gap for gap in gaps_of(MINI, 1, date(2020, 3, 3)) if gap.reason == "housekeeping"]
    assert [f"{gap.first:%H:%M}" for gap in gaps] == [f"{hour:02}:30" for hour in range(2, 24, 3)]


def test_a_year_has_every_kind_and_most_windows_are_whole_enough() -> None:
    """As the archive's owners have it: 97 % of the six-hour windows of COMS hold at least 20 frames."""
    reasons = {gap.reason for day in DAYS for gap in gaps_of(MINI, 1, day)}
    assert reasons == {"housekeeping", "outage", "long outage", "lost slot", "lost channel"}
    whole = []
    for day in DAYS:
        gaps = gaps_of(MINI, 1, day)
        start = MINI.satellite.axis.day_slots(day).start
        times = [MINI.satellite.axis.time(start + n) for n in range(96)]
        whole += [not any(lost(gaps, channel, when) for channel in ("ir", "wv")) for when in times]
    held = np.convolve(whole, np.ones(25, int), "valid")
    assert 0.85 < np.mean(held >= 20) < 1


def test_a_gap_takes_its_channels_and_its_time_only() -> None:
    gaps = [gap for day in DAYS[:60] for gap in gaps_of(MINI, 1, day)]
    one = next(gap for gap in gaps if gap.reason == "lost channel")
    (channel,) = one.channels
    other = "wv" if channel == "ir" else "ir"
    assert lost([one], channel, one.first)
    assert not lost([one], other, one.first)
    assert not lost([one], channel, one.last + timedelta(minutes=15))
