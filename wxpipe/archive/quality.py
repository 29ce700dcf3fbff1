"""Cheap checks of one grey picture below its title rows; each says what it found, `picture` draws conclusions.

What is plausible is the channel's: a reflective one shows sunlight and is black at night. The bounds were measured on
140 pictures of COMS, 6 of Himawari-8 and 7 of GK2A's full disk, of two seasons and all hours; all leave wide margins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wxpipe.kernels import kernel

Bytes = NDArray[np.uint8]
Layer = NDArray[np.bool_]

BLACK = 8
"""Grey up to which a reflective channel sees nothing: sensor noise at night stays below."""
_SEEN, _LIT = 4, 2
"""A line is judged where at least one in so many of its pixels is seen; of a reflective channel, is lit."""

# In real pictures no row has more than .87 of its pixels equal to the left or .82 equal to the one above, no column
# .79 and .74. A dead line is not wholly even where its overlay is unknown: that crosses it at 53 of 1,500 pixels.
_DEAD_LINE = 0.95
_DEAD_SHARE, _LOST_SHARE = 0.01, 0.25
# From one row to the next the mean difference is at most 1.6 times that of the rows around (pictures of 100 rows: 2.9).
# A row from elsewhere differs as unrelated weather does: 8 times and more where it is displaced by some 30 pixels.
_TEAR, _AROUND = 5.0, 8
# Share of pixels that are over 64 levels brighter, or darker, than all four beside them: at most .0001.
_SPECK, _SPECKS_SHARE = 64, 0.001
# Share of pixels that are black or white to the last level: at most .01.
_SATURATED_SHARE = 0.5


@dataclass(frozen=True)
class Doubt:
    """Why a usable picture is `suspect`."""

    reason: str
    expected: str
    found: str


@dataclass(frozen=True)
class Survey:
    """What one pass over a picture counted.

    Attributes:
        rows, columns: of the picture that was looked at.
        dead_rows, dead_columns: of one value, or equal to the one before, in 95 % of their pixels.
        torn: rows that differ from the one above far more than the rows around do.
        specks: pixels that stick out from all four beside them.
        saturated: pixels of 0 or 255; of a reflective channel those of 255.
    """

    rows: int
    columns: int
    dead_rows: int
    dead_columns: int
    torn: int
    specks: int
    saturated: int

    @property
    def lost(self) -> str:
        """What was found, where a quarter of the rows hold nothing; empty where less is lost."""
        return self._dead("rows", self.dead_rows, self.rows) if self.dead_rows > _LOST_SHARE * self.rows else ""

    def doubts(self) -> tuple[Doubt, ...]:
        """The first of what is wrong: one fault shows in several counts."""
        pixels = self.rows * self.columns
        if self.dead_rows > _DEAD_SHARE * self.rows:
            found = self._dead("rows", self.dead_rows, self.rows)
            return (Doubt("dead rows", "a new line in every row", found),)
        if self.dead_columns > _DEAD_SHARE * self.columns:
            found = self._dead("columns", self.dead_columns, self.columns)
            return (Doubt("dead columns", "a new value in every column", found),)
        if self.saturated > _SATURATED_SHARE * pixels:
            found = f"{self.saturated} of {pixels} pixels black or white"
            return (Doubt("saturated", "greys between black and white", found),)
        if self.specks > _SPECKS_SHARE * pixels:
            found = f"{self.specks} of {pixels} pixels unlike all four beside them"
            return (Doubt("specks", "pixels that are like their neighbours", found),)
        if self.torn:
            found = f"{self.torn} rows that differ from the one above {_TEAR:g} times as much as the rows around"
            return (Doubt("torn rows", "rows that continue the ones above", found),)
        return ()

    @staticmethod
    def _dead(what: str, dead: int, of: int) -> str:
        return f"{dead} of {of} {what} of one value, or that repeat the one before"


def constant(grey: Bytes, title_rows: int) -> str | None:
    """``constant``, where all pixels below the title rows have one value.

    Args:
        grey: uint8 (y, x), filled under the overlay: drawn lines would hide that the rest is even.
        title_rows: rows at the top that are not looked at.
    """
    below = grey[title_rows:]
    return "constant" if below.size == 0 or below.min() == below.max() else None


def black(grey: Bytes, title_rows: int) -> bool:
    """Whether nothing below the title rows is brighter than `BLACK`, as a reflective channel is at night."""
    below = grey[title_rows:]
    return bool(below.size) and int(below.max()) <= BLACK


def survey(below: Bytes, hidden: Layer | None = None, *, reflective: bool = False) -> Survey:
    """Counts, in one pass, what weather never shows.

    Of a reflective channel, black pixels are no evidence of a dead line, nor saturated: night may lie over any part of
    the picture. That a part of such a picture was lost and filled with black stays unnoticed.

    Args:
        below: uint8 (y, x), the rows below the title; of a full disk a part inside it, since space is even.
        hidden: bool (y, x), what was filled under the overlay: no evidence of a line, which is not judged where three
            quarters of it are hidden.
    """
    rows, columns = below.shape
    dark = BLACK if reflective else -1
    hidden = np.zeros(below.shape, np.bool_) if hidden is None else hidden
    dead_row, difference = np.zeros(rows, np.bool_), np.zeros(rows, np.float64)
    across, along = np.zeros((2, columns), np.int32), np.zeros((2, columns), np.int32)
    brightest = np.zeros(columns, np.int32)
    least = _LIT if reflective else _SEEN
    specks, saturated = _survey(below, hidden, dark, least, dead_row, difference, across, along, brightest)
    dead_column = _dead(across, rows, least) | _dead(along, rows, least)
    torn = _count_torn(difference[1:], ~(dead_row[1:] | dead_row[:-1]))
    dead_columns = int((dead_column & (brightest > dark)).sum())
    return Survey(rows, columns, int(dead_row.sum()), dead_columns, torn, int(specks), int(saturated))


def _dead(pairs: NDArray[np.int32], length: int, least: int) -> NDArray[np.bool_]:
    """Which lines are dead, of the numbers of equal and of all pairs of pixels, int32 (2, line)."""
    found: NDArray[np.bool_] = (pairs[0] > _DEAD_LINE * pairs[1]) & (least * pairs[1] >= length)
    return found


def _count_torn(difference: NDArray[np.float64], alive: NDArray[np.bool_]) -> int:
    """Rows whose mean difference from the one above is `_TEAR` times the median of those of the rows around.

    One grey level is added to each, so that rows which hardly differ do not decide.
    """
    if len(difference) <= 2 * _AROUND:
        return 0
    padded = np.pad(difference, _AROUND, mode="reflect")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * _AROUND + 1), axis=1)
    return int(((difference + 1 > _TEAR * (around + 1)) & alive).sum())


@kernel
def _survey(
    grey: Bytes, hidden: Layer, dark: int, least: int, dead_row: Layer, difference: NDArray[np.float64],
    across: NDArray[np.int32], along: NDArray[np.int32], brightest: NDArray[np.int32],
) -> tuple[np.int64, np.int64]:  # fmt: skip
    """Fills the counts of rows and columns: dead rows, differences from above, pairs across and along each column.

    Returns:
        Specks and saturated pixels.
    """
    rows, columns = grey.shape
    all_specks, all_saturated, night_above = np.int64(0), np.int64(0), 0
    for y in range(rows):
        row, above, below = grey[y], grey[max(y - 1, 0)], grey[min(y + 1, rows - 1)]
        unseen, unseen_above = hidden[y], hidden[max(y - 1, 0)]
        left_equal, left_pairs, above_equal, above_pairs = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
        distance, white, black, top = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
        if y:
            for x in range(columns):
                night = np.int32(row[x] <= dark) & np.int32(above[x] <= dark)
                pair = np.int32(1) - (np.int32(unseen[x]) | np.int32(unseen_above[x]) | night)
                same = np.int32(row[x] == above[x]) & pair
                above_equal += same
                above_pairs += pair
                along[0, x] += same
                along[1, x] += pair
        for x in range(columns):
            value = np.int32(row[x])
            distance += abs(value - np.int32(above[x]))
            white += np.int32(value == 255)
            black += np.int32(value == 0)
            top = max(top, value)
            brightest[x] = max(brightest[x], value)
        for x in range(1, columns):
            night = np.int32(row[x] <= dark) & np.int32(row[x - 1] <= dark)
            pair = np.int32(1) - (np.int32(unseen[x]) | np.int32(unseen[x - 1]) | night)
            same = np.int32(row[x] == row[x - 1]) & pair
            left_equal += same
            left_pairs += pair
            across[0, x] += same
            across[1, x] += pair
        specks = np.int32(0)
        for x in range(1, columns - 1):
            value = np.int32(row[x])
            left, right, up, down = np.int32(row[x - 1]), np.int32(row[x + 1]), np.int32(above[x]), np.int32(below[x])
            over = value - max(left, right, up, down)
            under = min(left, right, up, down) - value
            specks += np.int32(max(over, under) > _SPECK)
        if 0 < y < rows - 1:
            all_specks += specks
        all_saturated += white + (black if dark < 0 else np.int32(0))
        dark_row = int(top <= dark)
        difference[y] = 0.0 if dark_row + night_above else distance / columns
        night_above = dark_row
        even = left_equal > _DEAD_LINE * left_pairs and least * left_pairs >= columns
        repeated = above_equal > _DEAD_LINE * above_pairs and least * above_pairs >= columns
        dead_row[y] = (even or repeated) and not dark_row
    return all_specks, all_saturated
