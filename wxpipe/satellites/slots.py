"""Slot arithmetic: the nominal times of a satellite, counted from the first one. No data is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import numpy.typing as npt

DAY = timedelta(days=1)


@dataclass(frozen=True)
class SlotAxis:
    """The whole time axis of a source: ``count`` slots, ``cadence`` apart, from ``first`` (UTC) on."""

    first: datetime
    cadence: timedelta
    count: int

    @property
    def slots_per_day(self) -> int:
        return DAY // self.cadence

    def slot(self, when: datetime) -> int:
        """The slot that a time falls into: the nearest one, half a cadence early or late (a tie is late).

        Raises:
            ValueError: the time is naive, or lies outside the axis.
        """
        if when.tzinfo is None:
            raise ValueError(f"time {when.isoformat()} has no time zone; wxpipe's times are UTC")
        slot = (2 * (when - self.first) + self.cadence) // (2 * self.cadence)
        if not 0 <= slot < self.count:
            when = when.astimezone(UTC)
            raise ValueError(f"{when:%Y-%m-%dT%H:%MZ} lies outside {self.first:%Y-%m-%d} to {self.last_day}")
        return slot

    def time(self, slot: int) -> datetime:
        """The nominal time (UTC) of a slot."""
        return self.first + int(slot) * self.cadence

    def times(self, slots: npt.ArrayLike) -> npt.NDArray[np.datetime64]:
        """The nominal times of many slots, ``datetime64[s]`` (UTC)."""
        seconds = np.asarray(slots, np.int64) * int(self.cadence.total_seconds())
        return np.datetime64(self.first.replace(tzinfo=None), "s") + seconds.astype("timedelta64[s]")

    def day(self, slot: int) -> date:
        return self.time(slot).date()

    def day_start(self, day: date) -> int:
        """The first slot of a UTC day.

        Raises:
            ValueError: the day lies outside the axis.
        """
        start = (datetime.combine(day, time(), UTC) - self.first) // self.cadence
        if not 0 <= start < self.count:
            raise ValueError(f"day {day} lies outside {self.first:%Y-%m-%d} to {self.last_day}")
        return start

    def day_slots(self, day: date) -> range:
        start = self.day_start(day)
        return range(start, start + self.slots_per_day)

    def has_day(self, day: date) -> bool:
        return self.first.date() <= day <= self.last_day

    @property
    def last_day(self) -> date:
        return self.time(self.count - 1).date()
