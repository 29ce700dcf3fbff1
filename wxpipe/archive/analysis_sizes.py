"""Sizes of a source's files over time: what is usual, since when, and on which days many files are far below it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from wxpipe.satellites.satellite import Satellite

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SMALL = 0.7
"""A file is small below this share of the usual size of its channel and hour of the day. Sound pictures are within 15 %
of it on the days we have, and one that is cut off in its middle is near a half: a limit of a half would miss half."""
DAMAGED_SHARE, DAMAGED_FILES = 0.2, 4
"""A day is damaged where at least this share of its files is small, and at least so many are."""
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
LEVEL_DAYS, LEVEL_RATIO = 28, 1.4
"""Sizes that change by this factor and stay so for so many days are another format, and no damage."""


@dataclass(frozen=True)
class Damage:
    """Days in a row with many small files; the last day counts.

    Attributes:
        small: files below `SMALL` of the usual.
        ratio: median size of the small files over the usual one.
    """

    first: date
    last: date
    files: int
    small: int
    ratio: float


@dataclass(frozen=True)
class Level:
    """Days between two changes of the usual size; the last day counts.

    Attributes:
        medians: (channel,) bytes, NaN where a channel has no files.
    """

    first: date
    last: date
    medians: tuple[float, ...]


@dataclass(frozen=True)
class Sizes:
    """Sizes of a source's files, bytes.

    Attributes:
        quantiles: (channel, `QUANTILES`), NaN for a channel without files.
        empty: files of no bytes.
        days: (day,) number of the day in the span, of those that have files.
        daily: (day, channel) median, NaN where a channel has none.
        small: (day,) share of small files.
        levels: at least one; a file is compared with what is usual in its own.
    """

    quantiles: Floats
    empty: int
    days: Ints
    daily: Floats
    small: Floats
    damages: tuple[Damage, ...]
    levels: tuple[Level, ...]


def find_sizes(
    slots: npt.NDArray[np.int32], channels: npt.NDArray[np.uint8], sizes: Ints, satellite: Satellite, start: date
) -> Sizes:
    """The sizes of files, of which there is at least one.

    Args:
        slots, channels, sizes: (file,), slots from the first of the day ``start`` on.
    """
    per_day, width = satellite.axis.slots_per_day, len(satellite.channels)
    of = channels.astype(np.int64)
    day, slot = np.divmod(slots.astype(np.int64), per_day)
    days = np.unique(day)
    number = np.searchsorted(days, day)
    medians = group_medians(number * width + of, sizes, len(days) * width).reshape(-1, width)
    begins = find_levels(medians)
    level = np.searchsorted(begins, number, side="right") - 1
    group = (level * width + of) * 24 + slot * 24 // per_day
    usual = group_medians(group, sizes, len(begins) * width * 24)[group]
    ratio = np.divide(sizes, usual, out=np.ones(len(sizes)), where=usual > 0)
    quantiles = np.full((width, len(QUANTILES)), np.nan)
    for channel in np.unique(of).tolist():
        quantiles[channel] = np.quantile(sizes[of == channel], QUANTILES)
    small = ratio < SMALL
    files, smalls = np.bincount(number), np.bincount(number[small], minlength=len(days))
    dates = [start + timedelta(days=n) for n in days.tolist()]
    in_levels = group_medians(level * width + of, sizes, len(begins) * width).reshape(-1, width).tolist()
    ends = [*(begin - 1 for begin in begins[1:]), len(days) - 1]
    return Sizes(
        quantiles=quantiles,
        empty=int((sizes == 0).sum()),
        days=days,
        daily=medians,
        small=smalls / files,
        damages=_damages(dates, number[small], files, smalls, ratio[small]),
        levels=tuple(
            Level(dates[begin], dates[end], tuple(of_level))
            for begin, end, of_level in zip(begins, ends, in_levels, strict=True)
        ),
    )


def find_levels(daily: Floats) -> list[int]:
    """The days at which sizes begin to be others for good: numbers of rows, the first always.

    Args:
        daily: (day, channel) median sizes, of days that have files; NaN where a channel has none.
    """
    known = np.where(daily > 0, daily, np.nan)
    has = np.flatnonzero(~np.isnan(known).all(axis=1))
    if len(has) < 2 * LEVEL_DAYS:
        return [0]
    columns = ~np.isnan(known).all(axis=0)
    known = known[has][:, columns]
    course = np.nanmedian(np.log(known / np.nanmedian(known, axis=0)), axis=1)
    edges = [0, *_splits(course, 0), len(course)]
    heights = [float(np.median(course[low:high])) for low, high in pairwise(edges)]
    number = 1
    while number < len(heights) - 1:
        # a short stretch between two of one level is damage, and no level of its own
        if edges[number + 1] - edges[number] < LEVEL_DAYS and _alike(heights[number - 1], heights[number + 1]):
            del edges[number : number + 2], heights[number : number + 2]
        else:
            number += 1
    return [0, *(int(has[edge]) for edge in edges[1:-1])]


def _alike(one: float, other: float) -> bool:
    return bool(abs(one - other) < np.log(LEVEL_RATIO))


def _splits(course: Floats, offset: int) -> list[int]:
    """Where the logarithm of sizes steps, ascending: the largest step first, then each side on its own."""
    width = LEVEL_DAYS
    if len(course) < 2 * width:
        return []
    medians = np.median(np.lib.stride_tricks.sliding_window_view(course, width), axis=1)
    steps = np.abs(medians[width:] - medians[:-width])
    if _alike(float(steps.max()), 0.0):
        return []
    plateau = np.flatnonzero(steps >= 0.9 * steps.max())
    middle = int(plateau[len(plateau) // 2]) + width
    # medians place a step to within half a window: the day is where the sum of distances to both sides is least
    left, right = medians[middle - width], medians[middle]
    around = course[middle - width : middle + width]
    before = np.concatenate(([0.0], np.cumsum(np.abs(around - left))))
    after = np.concatenate(([0.0], np.cumsum(np.abs(around - right)[::-1])))[::-1]
    reach = width // 2
    best = middle - reach + int(np.argmin((before + after)[width - reach : width + reach + 1]))
    return [*_splits(course[:best], offset), offset + best, *_splits(course[best:], offset + best)]


def group_medians(groups: Ints, values: Ints, size: int) -> Floats:
    """(group,) median of each group's values, NaN for one without any."""
    order = np.lexsort((values, groups))
    counts = np.bincount(groups, minlength=size)
    starts = np.cumsum(counts) - counts
    has, ordered = counts > 0, values[order]
    out = np.full(size, np.nan)
    low, high = starts[has] + (counts[has] - 1) // 2, starts[has] + counts[has] // 2
    out[has] = (ordered[low] + ordered[high]) / 2
    return out


def _damages(dates: list[date], number: Ints, files: Ints, smalls: Ints, ratio: Floats) -> tuple[Damage, ...]:
    """Runs of damaged days; ``number`` (day) and ``ratio`` are of the small files."""
    damaged = np.flatnonzero((smalls >= DAMAGED_FILES) & (smalls >= DAMAGED_SHARE * files))
    runs = np.split(damaged, np.flatnonzero(np.diff(damaged) > 1) + 1) if len(damaged) else []
    return tuple(
        Damage(
            dates[run[0]],
            dates[run[-1]],
            int(files[run].sum()),
            int(smalls[run].sum()),
            float(np.median(ratio[(number >= run[0]) & (number <= run[-1])])),
        )
        for run in runs
    )
