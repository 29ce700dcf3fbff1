"""What never came of a synthetic archive: slots, channels, hours and days, as real ones lose them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
from numpy.typing import NDArray

from wxpipe.archive.truth import Gap
from wxpipe.draws import derived_seed, uniform
from wxpipe.satellites.catalog import Source

_DAY, _BLOCK, _SLOT, _CHANNEL = range(1, 5)
_HOUSEKEEPING = timedelta(hours=3), timedelta(minutes=30)
"""In real COMS days every slot at :30 of every third hour is missing: 08:30, 11:30."""
_OUTAGE = 0.06  # of days
_LOST_SLOT, _LOST_CHANNEL = 0.003, 0.004  # of slots, and of slots of a channel
_BLOCK_DAYS = 60
_LONG_OUTAGE = 0.5  # of blocks of 60 days


def gaps_of(source: Source, seed: int, day: date) -> list[Gap]:
    """What a source loses on a day; gaps may overlap. The same of a seed, however long the archive is."""
    return [
        *_housekeeping(source, day),
        *_long_outage(source, seed, day),
        *_outage(source, seed, day),
        *_losses(source, seed, day),
    ]


def lost(gaps: list[Gap], channel: str, when: datetime) -> bool:
    """Whether a picture is in one of the gaps."""
    return any(gap.first <= when <= gap.last and (not gap.channels or channel in gap.channels) for gap in gaps)


def _housekeeping(source: Source, day: date) -> Iterator[Gap]:
    every, past = _HOUSEKEEPING
    if source.satellite.cadence_minutes > 15:
        return
    for number in range(24 // 3):
        when = datetime.combine(day, time(), UTC) + number * every + timedelta(hours=2) + past
        yield Gap(source=source.id, reason="housekeeping", first=when, last=when)


def _outage(source: Source, seed: int, day: date) -> Iterator[Gap]:
    chance, begin, length = _draws(source, seed, _DAY, day.toordinal(), 3)
    if chance < _OUTAGE:
        first = datetime.combine(day, time(), UTC) + timedelta(minutes=int(begin * 14 * 60))
        yield Gap(
            source=source.id, reason="outage", first=first, last=first + timedelta(minutes=60 + int(length * 480))
        )


def _long_outage(source: Source, seed: int, day: date) -> Iterator[Gap]:
    block, into = divmod(day.toordinal(), _BLOCK_DAYS)
    chance, begin, length = _draws(source, seed, _BLOCK, block, 3)
    first, days = int(begin * (_BLOCK_DAYS - 6)), 2 + int(length * 4)
    if chance < _LONG_OUTAGE and first <= into < first + days:
        whole = datetime.combine(day, time(), UTC)
        yield Gap(
            source=source.id, reason="long outage", first=whole, last=whole + timedelta(days=1) - timedelta(minutes=1)
        )


def _losses(source: Source, seed: int, day: date) -> Iterator[Gap]:
    satellite = source.satellite
    slots, first = satellite.axis.slots_per_day, datetime.combine(day, time(), UTC)
    step = timedelta(minutes=satellite.cadence_minutes)
    every = _draws(source, seed, _SLOT, day.toordinal(), slots)
    for slot in np.flatnonzero(every < _LOST_SLOT).tolist():
        yield Gap(source=source.id, reason="lost slot", first=first + slot * step, last=first + slot * step)
    for number, channel in enumerate(satellite.channels):
        draws = _draws(source, derived_seed(seed, number), _CHANNEL, day.toordinal(), slots)
        for slot in np.flatnonzero(draws < _LOST_CHANNEL).tolist():
            when = first + slot * step
            yield Gap(source=source.id, reason="lost channel", first=when, last=when, channels=(channel,))


def _draws(source: Source, seed: int, purpose: int, number: int, count: int) -> NDArray[np.float32]:
    """Numbers of 0 to 1, of a source, a purpose and a day or block."""
    own = derived_seed(seed, zlib.crc32(source.id.encode()), purpose, number)
    unit: NDArray[np.float32] = (uniform(own, 0, count, 1.0) + np.float32(1)) / np.float32(2)
    return unit
