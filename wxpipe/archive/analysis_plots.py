"""Draws a source's figures; see `plots` for their colours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from wxpipe.archive.analysis import (
    Figures,
    coverage_by_day,
    coverage_by_hour,
    coverage_by_month,
    daily,
    hours_between,
    windows_by_era,
)
from wxpipe.archive.analysis_sizes import QUANTILES, Floats
from wxpipe.archive.analysis_words import LONG_HOURS, duration, percent
from wxpipe.plots import Palette, many_axes

mdates: Any = dates  # has no types

SHORT_DAYS = 400
"""Up to so many days are shown by day and hour; longer archives by year, month and day of the year."""
FEW_DAYS = 14
"""Up to so many days every slot is a cell of its own, and not every hour."""
BARS = 14
"""Most intervals that have a bar of their own."""
NAMED = 5
"""Fewer marks than this have their names beside them."""
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


CHANNELS = ("#4c8fd6", "#d9822b", "#4aa564", "#b667c4", "#c94f5d", "#7d8b99", "#2fa8a8", "#a58a2a")
COVERAGE = LinearSegmentedColormap.from_list(
    "coverage", [(0, "#c8320c"), (0.5, "#f0b429"), (0.97, "#a9cdf3"), (1, "#3a7bd0")]
)

Draw = Callable[[Figures, Palette], Figure]


def draw_coverage(figures: Figures, palette: Palette) -> Figure:
    """Where frames are missing: day by hour, or for long archives year by month above year by day."""
    if figures.days <= SHORT_DAYS:
        return _days_by_hours(figures, palette)
    return _years(figures, palette)


def _days_by_hours(figures: Figures, palette: Palette) -> Figure:
    figure, axes = _axes(palette, 3.0)
    start = float(mdates.date2num(figures.first_day))
    extent = (start, start + figures.days, 24, 0)
    per_day = figures.satellite.axis.slots_per_day
    parts = per_day if figures.days <= FEW_DAYS else min(24, per_day)
    _heat(axes, coverage_by_hour(figures, parts).T, extent)
    for first, last in _damaged(figures):
        axes.fill_between([first, last], 0, 24, facecolor="none", edgecolor="#17212b", hatch="///", linewidth=1)
        axes.plot([(first + last) / 2], [-0.9], color=palette.ink, marker="v", markersize=8, clip_on=False)
    _date_axis(axes, figures, palette)
    axes.set_yticks([0, 6, 12, 18, 24])
    axes.set_ylabel("hour of the day, UTC", color=palette.soft)
    _coverage_legend(figure, palette, damaged=bool(figures.sizes.damages))
    return figure


def _years(figures: Figures, palette: Palette) -> Figure:
    years, months = coverage_by_month(figures)
    rows = len(years)
    figure, (upper, lower) = many_axes(palette, 1.9 + 0.5 * rows, 2)
    _heat(upper, months, (0, 12, rows, 0))
    for (row, column), share in np.ndenumerate(months):
        if not np.isnan(share):
            # dark letters on pale cells, white on the strong ones: the cells are the same in both themes
            colour = "#ffffff" if share < 0.25 or share == 1 else "#17212b"
            upper.text(column + 0.5, row + 0.5, _number(share), color=colour, ha="center",
                       va="center", fontsize=8)  # fmt: skip
    upper.set_xticks(np.arange(12) + 0.5, MONTHS)
    upper.set_title("by month, per cent", color=palette.soft, fontsize=9, loc="left")
    strip = np.full((rows, 366), np.nan)
    for number, share in enumerate(coverage_by_day(figures)):
        day = figures.first_day + timedelta(days=number)
        strip[day.year - years[0], (day - date(day.year, 1, 1)).days] = share
    _heat(lower, strip, (0, 366, rows, 0))
    for damage in figures.sizes.damages:
        for year in range(damage.first.year, damage.last.year + 1):
            first, last = max(damage.first, date(year, 1, 1)), min(damage.last, date(year, 12, 31))
            at = [(day - date(year, 1, 1)).days for day in (first, last)]
            lower.plot([at[0], at[1] + 1], [year - years[0] + 0.92] * 2, color=palette.ink, linewidth=4,
                       solid_capstyle="butt")  # fmt: skip
    lower.set_xticks([(date(2000, month, 1) - date(2000, 1, 1)).days for month in range(1, 13)], MONTHS, ha="left")
    lower.set_title("by day", color=palette.soft, fontsize=9, loc="left")
    for axes in (upper, lower):
        axes.set_yticks(np.arange(rows) + 0.5, [str(year) for year in years])
    _coverage_legend(figure, palette, damaged=bool(figures.sizes.damages))
    return figure


def draw_schedule(figures: Figures, palette: Palette) -> Figure:
    """Frames a day under the line of what was scheduled; long holes and damaged days marked above."""
    figure, axes = _axes(palette, 2.5)
    start = float(mdates.date2num(figures.first_day))
    edges = start + np.arange(figures.days + 1)
    axes.stairs(daily(figures, figures.frames), edges, fill=True, color=palette.full, label="frames")
    axes.stairs(daily(figures, figures.scheduled), edges, color=palette.ink, linewidth=1.2, label="scheduled",
                baseline=None)  # fmt: skip
    axes.set_ylim(0, 1.12 * max(1, int(daily(figures, figures.scheduled).max())))
    axis = figures.satellite.axis
    long = [hole for hole in figures.holes if hours_between(figures, hole) >= LONG_HOURS]
    spans = [tuple(mdates.date2num([axis.time(hole.before), axis.time(hole.after)])) for hole in long]
    lengths = [f"{duration(hours_between(figures, hole))} without" for hole in long]
    _mark(axes, spans, palette.alarm, "24 h or more without a frame", lengths)
    changes = mdates.date2num([era.first for era in figures.eras[1:]])
    for number, change in enumerate(changes):
        axes.axvline(change, color=palette.part, linewidth=1.6, linestyle="--", label="" if number else "new interval")
        if len(changes) < NAMED:
            axes.annotate(f"every {figures.eras[number + 1].minutes} min from {figures.eras[number + 1].first} on",
                          (change, 0.06), (6, 0), xycoords=axes.get_xaxis_transform(), textcoords="offset points",
                          color="#ffffff", fontsize=8.5,
                          bbox={"facecolor": "#3a4652", "edgecolor": "none", "pad": 2.5})  # fmt: skip
    _date_axis(axes, figures, palette)
    axes.set_ylabel("frames a day", color=palette.soft)
    _legend(axes, palette)
    return figure


def draw_channels(figures: Figures, palette: Palette) -> Figure:
    """Slots by how many channels have a file: of those required, and of all."""
    figure, panels = many_axes(palette, 2.3, 1, 2)
    for axes, required in zip(panels, (True, False), strict=True):
        slots = figures.by_channels(required)
        top = len(slots) - 1
        colours = [palette.alarm, *[palette.part] * (top - 1), palette.full]
        bars = axes.bar(range(top + 1), slots, color=colours)
        if top <= 8:
            axes.bar_label(bars, [f"{n:,}" for n in slots], color=palette.soft, fontsize=8)
        axes.margins(y=0.15)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("required channels with a file" if required else "channels with a file", color=palette.soft)
        axes.set_ylabel("slots", color=palette.soft)
    return figure


def draw_intervals(figures: Figures, palette: Palette) -> Figure:
    """How far apart successive frames are; the vertical axis is logarithmic."""
    figure, axes = _axes(palette, 2.3)
    minutes, counts = figures.intervals
    shown = np.sort(np.argsort(-counts, kind="stable")[:BARS])
    labels = [_minutes(int(m)) for m in minutes[shown]]
    heights = counts[shown].tolist()
    rest = int(counts.sum()) - sum(heights)
    if rest:
        labels, heights = [*labels, "others"], [*heights, rest]
    colours = [palette.full if n == max(heights) else palette.part for n in heights]
    bars = axes.bar(range(len(labels)), heights, color=colours)
    axes.bar_label(bars, [f"{n:,}" for n in heights], color=palette.soft, fontsize=8)
    if heights:
        axes.set_yscale("log")
        axes.set_ylim(0.7, 4 * max(heights))
    axes.set_xticks(range(len(labels)), labels, fontsize=8)
    axes.set_ylabel("intervals (log)", color=palette.soft)
    return figure


def draw_windows(figures: Figures, palette: Palette) -> Figure:
    """Windows of a clip's length by the frames they hold; clips in blue, or by schedule where it changed."""
    figure, axes = _axes(palette, 2.3)
    clip = figures.satellite.clip
    least = clip.frames if clip else 0
    frames = np.arange(1, len(figures.windows))
    colours = [palette.full if n >= least else palette.part for n in frames]
    if 1 < len(figures.eras) < NAMED:
        below = np.zeros(len(frames))
        for era, windows, colour in zip(figures.eras, windows_by_era(figures), CHANNELS, strict=False):
            label = f"every {era.minutes} min, from {era.first} on"
            axes.bar(frames, windows[1:], bottom=below, color=colour, label=label)
            below += windows[1:]
        _legend(axes, palette)
    else:
        axes.bar(frames, figures.windows[1:], color=colours)
    axes.axvline(least - 0.5, color=palette.ink, linewidth=1, linestyle=":")
    axes.annotate(f"a clip has {least}", (least - 0.5, 0.92), (4, 0), xycoords=axes.get_xaxis_transform(),
                  textcoords="offset points", color=palette.soft, fontsize=8.5)  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(f"frames in {clip.hours if clip else 0} h", color=palette.soft)
    axes.set_ylabel("windows", color=palette.soft)
    return figure


def draw_sizes(figures: Figures, palette: Palette) -> Figure:
    """Median size of a day's files by channel over time, and each channel's spread; days of small files marked."""
    figure, (over_time, spread) = many_axes(palette, 2.9, 1, 2, widths=(3, 1))
    sizes, names = figures.sizes, list(figures.satellite.channels)
    start = float(mdates.date2num(figures.first_day))
    for channel, name in enumerate(names):
        colour = CHANNELS[channel % len(CHANNELS)]
        line = np.full(figures.days, np.nan)
        line[sizes.days] = sizes.daily[:, channel] / 1000
        marker = "o" if len(sizes.days) < 40 else ""
        over_time.plot(start + np.arange(figures.days) + 0.5, line, color=colour, linewidth=1.1, marker=marker,
                       markersize=3, label=name)  # fmt: skip
        kilobytes = dict(zip(QUANTILES, sizes.quantiles[channel] / 1000, strict=True))
        spread.plot([kilobytes[0.05], kilobytes[0.95]], [channel] * 2, color=colour, linewidth=2)
        spread.plot([kilobytes[0.25], kilobytes[0.75]], [channel] * 2, color=colour, linewidth=6,
                    solid_capstyle="butt")  # fmt: skip
        spread.plot([kilobytes[0.5]], [channel], color=palette.ink, marker="|", markersize=9)
    over_time.set_ylim(bottom=0)
    over_time.margins(y=0.2)
    lengths = [duration(24 * ((d.last - d.first).days + 1)) for d in sizes.damages]
    _mark(over_time, _damaged(figures), palette.alarm, "many small files", lengths)
    for level in sizes.levels[1:]:
        over_time.axvline(mdates.date2num(level.first), color=palette.part, linewidth=1.6, linestyle="--",
                          label="sizes change" if level is sizes.levels[1] else "")  # fmt: skip
    _date_axis(over_time, figures, palette)
    over_time.set_ylabel("kB, a day's median", color=palette.soft)
    _legend(over_time, palette)
    spread.set_xlim(left=0)
    spread.set_yticks(range(len(names)), names)
    spread.invert_yaxis()
    spread.set_xlabel("kB: 5 to 95 %, thick 25 to 75 %", color=palette.soft)
    return figure


PLOTS: tuple[tuple[str, str, Draw], ...] = (
    ("coverage", "Which frames are there", draw_coverage),
    ("schedule", "Frames a day, and the schedule", draw_schedule),
    ("channels", "Channels present", draw_channels),
    ("intervals", "Intervals between frames", draw_intervals),
    ("windows", "Frames in a window", draw_windows),
    ("sizes", "Sizes of files", draw_sizes),
)
"""Name (as in `analysis_words.remarks`), title, and how it is drawn."""


def _axes(palette: Palette, height: float) -> tuple[Figure, Axes]:
    figure, (axes,) = many_axes(palette, height)
    return figure, axes


def _heat(axes: Axes, shares: Floats, extent: tuple[float, float, float, float]) -> None:
    """Shares as coloured cells; NaN, where nothing was expected, is left open."""
    image = COVERAGE(np.nan_to_num(shares))
    image[np.isnan(shares), 3] = 0
    axes.imshow((255 * image).astype(np.uint8), extent=extent, aspect="auto", interpolation="none")
    axes.grid(visible=False)


def _date_axis(axes: Axes, figures: Figures, palette: Palette) -> None:
    start = float(mdates.date2num(figures.first_day))
    axes.set_xlim(start, start + figures.days)
    if figures.days <= 3:
        axes.xaxis.set_major_locator(mdates.DayLocator())
        axes.xaxis.set_major_formatter(mdates.DateFormatter("%Y-%m-%d"))
        return
    locator = mdates.AutoDateLocator(minticks=4, maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set_visible(False)
    axes.set_xlabel(f"{figures.first_day} to {figures.last_day}", fontsize=9, color=palette.soft)


def _damaged(figures: Figures) -> list[Any]:
    """Begin and end of the runs of days with many small files, as positions on a date axis."""
    return [(mdates.date2num(d.first), mdates.date2num(d.last) + 1) for d in figures.sizes.damages]


def _mark(axes: Axes, spans: list[Any], colour: str, label: str, names: list[str]) -> None:
    """A bar and a triangle at the top over each span, so that a day in ten years is still seen; few have names."""
    for number, (first, last) in enumerate(spans):
        axes.axvspan(first, last, color=colour, alpha=0.18, linewidth=0)
        axes.plot([(first + last) / 2], [0.96], transform=axes.get_xaxis_transform(), color=colour, marker="v",
                  markersize=8, linestyle="none", clip_on=False, label="" if number else label)  # fmt: skip
        if len(spans) < NAMED:
            axes.annotate(names[number], ((first + last) / 2, 0.96), (7, 0), xycoords=axes.get_xaxis_transform(),
                          textcoords="offset points", va="center", color=colour, fontsize=8.5)  # fmt: skip


def _legend(axes: Axes, palette: Palette) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(0, 1.22), ncols=8, frameon=False, fontsize=8.5,
                labelcolor=palette.ink, handlelength=1.2, columnspacing=1.2)  # fmt: skip


def _coverage_legend(figure: Figure, palette: Palette, damaged: bool = False) -> None:
    handles: list[Any] = [
        Patch(color=COVERAGE(share), label=label)
        for share, label in ((1.0, "all frames there"), (0.97, "nearly all"), (0.5, "half"), (0.0, "none"))
    ]
    handles.append(Patch(facecolor="none", edgecolor=palette.line, label="nothing expected"))
    if damaged:
        handles.append(Patch(facecolor="none", edgecolor=palette.ink, hatch="////", label="many small files"))
    figure.legend(handles=handles, loc="outside upper left", ncols=6, frameon=False, fontsize=8.5,
                  labelcolor=palette.ink, handlelength=1.0, columnspacing=1.2)  # fmt: skip


def _number(share: float) -> str:
    """Per cent in a cell."""
    return "<1" if 0 < share < 0.005 else percent(share).removesuffix(" %")


def _minutes(minutes: int) -> str:
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes / 60:g} h" if minutes < 2880 else f"{minutes / 1440:.3g} d"
