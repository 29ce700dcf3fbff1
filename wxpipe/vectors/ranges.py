"""Rows that a filter leaves, as ranges: of rows in time order, nearly every filter is few ranges of consecutive rows.

A window is one range, a season one a year, an hour of the day one a day; a mask of scattered rows is many short ones,
which costs 16 bytes a row and nothing else. So there is no second form, and sets are made in time of their ranges.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from wxpipe.kernels import kernel

Rows = npt.NDArray[np.int64]
LAST_ROW = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Ranges:
    """A set of rows: ``starts[i] <= row < stops[i]``, int64, in order, no two of them touching.

    Build one by `of`, `one` or `from_mask`, which see to that.
    """

    starts: Rows
    stops: Rows

    @classmethod
    def one(cls, start: int, stop: int) -> Ranges:
        """The rows [start, stop); none where stop is not above start."""
        return cls(np.array([start], np.int64), np.array([stop], np.int64)) if start < stop else cls.none()

    @classmethod
    def none(cls) -> Ranges:
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64))

    @classmethod
    def of(cls, starts: npt.ArrayLike, stops: npt.ArrayLike) -> Ranges:
        """The union of ranges in any order, empty and overlapping ones too."""
        first, last = np.asarray(starts, np.int64), np.asarray(stops, np.int64)
        order = np.argsort(first, kind="stable")
        order = order[first[order] < last[order]]
        first, last = first[order], np.maximum.accumulate(last[order]) if len(order) else last[order]
        opens = np.ones(len(first), np.bool_)
        opens[1:] = first[1:] > last[:-1]
        places = np.flatnonzero(opens)
        return cls(first[places], last[np.r_[places[1:] - 1, len(first) - 1]] if len(places) else last)

    @classmethod
    def from_mask(cls, mask: npt.NDArray[np.bool_]) -> Ranges:
        """The rows where a mask (n,) is true."""
        padded = np.zeros(len(mask) + 2, np.int8)
        padded[1:-1] = mask
        steps = np.diff(padded)
        return cls(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1))

    def __len__(self) -> int:
        """How many ranges, not rows."""
        return len(self.starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ranges):
            return NotImplemented
        return np.array_equal(self.starts, other.starts) and np.array_equal(self.stops, other.stops)

    def __hash__(self) -> int:
        return hash((self.starts.tobytes(), self.stops.tobytes()))

    @cached_property
    def count(self) -> int:
        """How many rows."""
        return int((self.stops - self.starts).sum())

    def __and__(self, other: Ranges) -> Ranges:
        size = len(self) + len(other)
        starts, stops = np.empty(size, np.int64), np.empty(size, np.int64)
        found = _intersect(self.starts, self.stops, other.starts, other.stops, starts, stops)
        return Ranges(starts[:found], stops[:found])

    def __sub__(self, other: Ranges) -> Ranges:
        return self & other._outside()

    def __or__(self, other: Ranges) -> Ranges:
        return Ranges.of(np.r_[self.starts, other.starts], np.r_[self.stops, other.stops])

    def _outside(self) -> Ranges:
        """All other rows, from 0 to the last that there can be."""
        starts, stops = np.r_[0, self.stops], np.r_[self.starts, LAST_ROW]
        there = starts < stops
        return Ranges(starts[there], stops[there])

    def rows(self) -> Rows:
        """Every row, in order."""
        lengths = self.stops - self.starts
        before = np.repeat(np.cumsum(lengths) - lengths, lengths)
        found: Rows = np.repeat(self.starts, lengths) + np.arange(self.count) - before
        return found

    def mask(self, size: int) -> npt.NDArray[np.bool_]:
        """(size,), true at the rows; none of them may lie at or beyond ``size``."""
        found = np.zeros(size, np.bool_)
        found[self.rows()] = True
        return found

    def bitmap(self, size: int) -> npt.NDArray[np.uint8]:
        """One bit a row, the lowest first, as faiss reads it; none of the rows may lie at or beyond ``size``."""
        bits = np.zeros((size + 7) // 8, np.uint8)
        _set_bits(self.starts, self.stops, bits)
        return bits


@kernel
def _intersect(
    starts: Rows, stops: Rows, other_starts: Rows, other_stops: Rows, out_starts: Rows, out_stops: Rows
) -> int:
    here, there, found = 0, 0, 0
    while here < len(starts) and there < len(other_starts):
        start = max(starts[here], other_starts[there])
        stop = min(stops[here], other_stops[there])
        if start < stop:
            out_starts[found], out_stops[found] = start, stop
            found += 1
        if stops[here] < other_stops[there]:
            here += 1
        else:
            there += 1
    return found


@kernel
def _set_bits(starts: Rows, stops: Rows, bits: npt.NDArray[np.uint8]) -> None:
    for n in range(len(starts)):
        row, stop = starts[n], stops[n]
        while row < stop and row % 8:
            bits[row // 8] |= np.uint8(1 << (row % 8))
            row += 1
        whole = stop - stop % 8
        if row < whole:
            bits[row // 8 : whole // 8] = 255
            row = whole
        while row < stop:
            bits[row // 8] |= np.uint8(1 << (row % 8))
            row += 1
