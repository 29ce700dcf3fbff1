"""Draws what a root covers: a bar a day in a row a year, a cell a slot, stages by month; for any kind of sight."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import dates
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from wxpipe.pipeline.coverage import Coverage, Fate, Work
from wxpipe.pipeline.coverage_holes import Hole, pause_mask
from wxpipe.plots import Palette, many_axes

mdates: Any = dates  # has no types
Shares = npt.NDArray[np.float64]

PAUSE = -1
"""Beside fates: missing at a time of the day that is missing nearly always."""
COLOURS: dict[int, str] = {
    Fate.GOOD: "#2f6fc4", PAUSE: "#f5bd95", Fate.MISSING: "#d55e00", Fate.VANISHED: "#7f3b08",
    Fate.QUARANTINED: "#f0d92b", Fate.STALE: "#009e73", Fate.FAILED: "#cc4fa0", Fate.WAITING: "#a9b4bf",
}  # fmt: skip
"""After Okabe and Ito, told apart with any kind of sight; the worst is drawn on top."""
WORK_COLOURS: dict[int, str] = {
    Work.DONE: COLOURS[Fate.GOOD], Work.MISSING: COLOURS[Fate.WAITING], Work.STALE: COLOURS[Fate.STALE],
    Work.FAILED: COLOURS[Fate.FAILED],
}  # fmt: skip
NOT_YET = "#8e99a430"
"""Of a stage, days that wait for an earlier one."""

CELL, GAP, LEAST = 24, 10, 3
"""Pixels: the height of a bar, the space above it, and what the smallest lack is drawn with, so that it is seen."""
SLOT_DAYS = 100
"""Up to so many days every slot is a cell of its own, too."""
MARKED = 12
"""Holes of a source that are numbered in the drawing."""
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def draw_days(coverage: Coverage, span: tuple[date, date], holes: Mapping[int, Hole], palette: Palette) -> Figure:
    """A bar a day: how much of what was scheduled is good, and what became of the rest.

    Args:
        span: first and last day of all sources of the page, so that their drawings have one axis.
        holes: by the number that the table gives them.
    """
    years = list(range(coverage.first_day.year, coverage.last_day.year + 1))
    one_year = span[0].year == span[1].year
    first = (span[0] - date(span[0].year, 1, 1)).days if one_year else 0
    width = (span[1] - span[0]).days + 1 if one_year else 366
    shares = day_shares(coverage)
    cells = np.zeros((len(years), width, shares.shape[1]))
    where = [_cell(coverage.day(number), years[0], first) for number in range(coverage.days)]
    cells[[row for row, _ in where], [column for _, column in where]] = shares
    figure, (axes,) = many_axes(palette, 0.55 + (0.36 if len(years) > 3 else 0.8) * len(years))
    extent = (first, first + width, len(years), 0)
    axes.imshow(stacked(cells, list(COLOURS.values())), extent=extent, aspect="auto", interpolation="none")
    axes.grid(visible=False)
    axes.set_yticks(np.arange(len(years)) + (GAP + CELL / 2) / (GAP + CELL), [str(year) for year in years])
    starts = [(date(years[0] if one_year else 2000, m, 1) - date(years[0] if one_year else 2000, 1, 1)).days
              for m in range(1, 13)]  # fmt: skip
    shown = [(day, name) for day, name in zip(starts, MONTHS, strict=True) if first <= day < first + width]
    axes.set_xticks([day for day, _ in shown], [name for _, name in shown], ha="left")
    if one_year and width <= 62:
        axes.set_xticks([first + n for n in range(0, width, max(1, width // 15))],
                        [f"{date.fromordinal(span[0].toordinal() + n):%d %b}"
                         for n in range(0, width, max(1, width // 15))], ha="left")  # fmt: skip
    _failed_strip(coverage, axes, years[0], first)
    marks: dict[int, list[float]] = {}
    for number, hole in list(holes.items())[:MARKED]:
        row, column = _cell(hole.first.date(), years[0], first)
        middle = column + min((hole.last.date() - hole.first.date()).days + 1, 366 - column) / 2
        if all(abs(middle - other) > width / 40 for other in marks.get(row, [])):
            marks.setdefault(row, []).append(middle)
            _mark(axes, number, (row, first + column), first + middle, palette)
    return figure


def day_shares(coverage: Coverage) -> Shares:
    """Of each day, shares of its scheduled slots in the order of `COLOURS`; zeros where nothing was scheduled."""
    pauses = pause_mask(coverage)
    counts = [
        pauses.sum(axis=1) if kind == PAUSE else ((coverage.fates == kind) & ~pauses).sum(axis=1) for kind in COLOURS
    ]
    scheduled = (coverage.fates != Fate.NOTHING).sum(axis=1)
    shares: Shares = np.stack(counts, axis=1) / np.maximum(scheduled, 1)[:, np.newaxis]
    return shares


def stacked(shares: Shares, colours: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Bars out of shares (row, column, kind), the first kind at the bottom: RGBA uint8 (pixel, column, 4).

    A kind that has a share at all, but the first, has some pixels; a bar without any share is left open.
    """
    rows, columns, kinds = shares.shape
    heights = np.where(shares > 0, np.maximum(np.rint(shares * CELL), LEAST), 0).astype(int)
    heights[..., 0] = np.where(shares[..., 0] > 0, np.maximum(CELL - heights[..., 1:].sum(axis=-1), 1), 0)
    edges = np.cumsum(heights, axis=-1)
    top = np.maximum(edges[..., -1:], 1)
    edges = np.where(top > 0, np.rint(edges * CELL / top), 0).astype(int)
    image = np.zeros((rows, GAP + CELL, columns, 4), np.uint8)
    rgba = np.array([_bytes(colour) for colour in colours], np.uint8)
    for pixel in range(CELL):
        kind = (pixel >= edges).sum(axis=-1)
        inside = kind < kinds
        image[:, GAP + CELL - 1 - pixel][inside] = rgba[np.minimum(kind, kinds - 1)][inside]
    return image.reshape(rows * (GAP + CELL), columns, 4)


def draw_slots(coverage: Coverage, holes: Mapping[int, Hole], palette: Palette) -> Figure:
    """A cell a slot: days from left to right, hours from top to bottom."""
    figure, (axes,) = many_axes(palette, 3.4)
    pauses = pause_mask(coverage)
    image = np.zeros((*coverage.fates.shape, 4), np.uint8)
    for kind, colour in COLOURS.items():
        mine = pauses if kind == PAUSE else (coverage.fates == kind) & ~pauses
        image[mine] = _bytes(colour)
    start = float(mdates.date2num(coverage.first_day))
    axes.imshow(image.swapaxes(0, 1), extent=(start, start + coverage.days, 24, 0), aspect="auto",
                interpolation="none")  # fmt: skip
    axes.grid(visible=False)
    locator = mdates.AutoDateLocator(minticks=3, maxticks=12) if coverage.days > 3 else mdates.DayLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%d %b %Y" if coverage.days <= 3 else "%d %b"))
    for number, hole in list(holes.items())[:MARKED]:
        begin, end = (mdates.date2num(when) for when in (hole.first, hole.last + hole.cadence))
        if end - begin >= 1:
            axes.text((begin + end) / 2, -0.4, str(number), color=palette.ink, fontsize=8.5, fontweight="bold",
                      ha="center", va="bottom")  # fmt: skip
    axes.set_yticks([0, 6, 12, 18, 24])
    axes.set_ylabel("hour of the day, UTC", color=palette.soft)
    return figure


def draw_stages(coverage: Coverage, palette: Palette) -> Figure:
    """A row a stage, a bar a month: which share of the archive's days it has done."""
    months = np.array([(coverage.day(n).year, coverage.day(n).month) for n in range(coverage.days)])
    names, index = np.unique(months, axis=0, return_inverse=True)
    index = index.reshape(-1)
    days = np.bincount(index, minlength=len(names))
    shares = np.zeros((len(coverage.work), len(names), len(WORK_COLOURS)))
    for row, states in enumerate(coverage.work.values()):
        for kind, work in enumerate(WORK_COLOURS):
            shares[row, :, kind] = np.bincount(index[states == work], minlength=len(names)) / days
    figure, (axes,) = many_axes(palette, 0.5 + 0.32 * len(coverage.work))
    image = stacked(_partial(shares), [*WORK_COLOURS.values(), NOT_YET])
    axes.imshow(image, extent=(0, len(names), len(coverage.work), 0), aspect="auto", interpolation="none")
    axes.grid(visible=False)
    labels = [
        f"{stage}: {int((states == Work.DONE).sum()):,} of {coverage.days:,} days"
        for stage, states in coverage.work.items()
    ]
    axes.set_yticks(np.arange(len(labels)) + (GAP + CELL / 2) / (GAP + CELL), labels)
    step = max(1, len(names) // 12)
    if len(names) > 24:
        at = [n for n, (_, month) in enumerate(names.tolist()) if month == 1][:: max(1, len(names) // 180)]
        axes.set_xticks(at, [str(names[n][0]) for n in at], ha="left")
    else:
        at = list(range(0, len(names), step))
        axes.set_xticks(at, [f"{MONTHS[names[n][1] - 1]} {names[n][0]}" for n in at], ha="left")
    for month in range(1, len(names) if len(names) <= 36 else 0):
        axes.axvline(month, color=palette.line, linewidth=1)
    return figure


def _partial(shares: Shares) -> Shares:
    """With one kind more: what no stage could do yet."""
    rest = np.clip(1 - shares.sum(axis=-1, keepdims=True), 0, 1)
    return np.concatenate([shares, np.where(rest < 1e-9, 0, rest)], axis=-1)


def kinds_in(coverages: Iterable[Coverage]) -> list[int]:
    """Which of `COLOURS` occur."""
    there: set[int] = set()
    for coverage in coverages:
        there |= set(np.unique(coverage.fates).tolist())
        there |= {PAUSE} if pause_mask(coverage).any() else set()
    return [kind for kind in COLOURS if kind in there]


def _bytes(colour: str) -> list[int]:
    return [round(255 * part) for part in to_rgba(colour)]


def _cell(day: date, first_year: int, first: int) -> tuple[int, int]:
    """Row and column of a day."""
    return day.year - first_year, (day - date(day.year, 1, 1)).days - first


def _failed_strip(coverage: Coverage, axes: Any, first_year: int, first: int) -> None:
    """A line under days of which a later stage failed."""
    failed = np.zeros(coverage.days, np.bool_)
    for stage, states in coverage.work.items():
        if stage != "ingest":
            failed |= states == Work.FAILED
    for number in np.flatnonzero(failed).tolist():
        row, column = _cell(coverage.day(number), first_year, first)
        axes.add_patch(Rectangle((first + column, row + 1 - 0.14), 1, 0.14, color=COLOURS[Fate.FAILED], linewidth=0))


def _mark(axes: Any, number: int, corner: tuple[int, int], middle: float, palette: Palette) -> None:
    """A number above a hole, and a link from it to its row in the table."""
    row, column = corner
    link = Rectangle((column, row), 2 * (middle - column), 1, facecolor="none", edgecolor="none")
    link.set_url(f"#hole-{number}")
    axes.add_patch(link)
    text = axes.text(middle, row + GAP / (GAP + CELL), str(number), color=palette.ink, fontsize=8.5, fontweight="bold",
                     ha="center", va="bottom")  # fmt: skip
    text.set_url(f"#hole-{number}")
