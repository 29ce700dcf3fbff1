"""What is remarkable in a source's figures, in sentences: what is normal, and what stands out here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np

from wxpipe.archive.analysis import Figures, Hole, Never, hours_between, never_there, windows_by_era
from wxpipe.archive.analysis_sizes import LEVEL_DAYS, QUANTILES, SMALL, Damage, Level

LONG_HOURS = 24.0
"""A hole of so many hours is listed as one; shorter ones are counted."""
LISTED, SLOTS_LISTED = 5, 12
PAST_SHARE = 0.05
"""Share of windows that run past the archive's end, from which on it is said."""
FEW_CLIPS, FEW_FRAMES = 0.9, 0.95
"""Shares below which windows and coverage stand out. COMS's first years: 97 % of the windows make a clip."""


@dataclass(frozen=True)
class Remark:
    """What is normal in a plot, and what is seen in this one.

    Attributes:
        stands_out: sentences on what a person should look at; none where all is normal.
        plain: sentences on the rest.
    """

    normal: str
    stands_out: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()


def remarks(figures: Figures) -> dict[str, Remark]:
    """Remarks by plot: ``coverage schedule channels intervals windows sizes doubles``."""
    return {
        "coverage": _coverage(figures),
        "schedule": _schedule(figures),
        "channels": _channels(figures),
        "intervals": _intervals(figures),
        "windows": _windows(figures),
        "sizes": _sizes(figures),
        "doubles": _doubles(figures),
    }


def stands_out(figures: Figures) -> list[str]:
    """All that stands out in a source, in the order of the plots."""
    return [sentence for remark in remarks(figures).values() for sentence in remark.stands_out]


def percent(share: float) -> str:
    """A share in a few letters; close to all is not all."""
    if np.isnan(share):
        return "–"
    if 0.995 <= share < 1:
        return f"{np.floor(1000 * share) / 10:.1f} %"
    return f"{100 * share:.0f} %" if share >= 0.005 or not share else f"{100 * share:.2g} %"


def bytes_text(size: float) -> str:
    """A number of bytes in decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.2f} TB"


def days_text(first: date, last: date) -> str:
    return f"{first}" if first == last else f"{first} to {last}"


def _when(figures: Figures, slot: int) -> str:
    return f"{figures.satellite.axis.time(slot):%Y-%m-%d %H:%M}"


def duration(hours: float) -> str:
    if hours < 2:
        return f"{60 * hours:.0f} min"
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.1f} days".replace(".0 ", " ")


def _hole(figures: Figures, hole: Hole) -> str:
    ends = f"{_when(figures, hole.before)} to {_when(figures, hole.after)}"
    return f"{ends} ({duration(hours_between(figures, hole))}, {_count(hole.missed, 'scheduled frame')})"


def _coverage(figures: Figures) -> Remark:
    normal = "Blue throughout: every observation that the schedule expects is there with all of its required channels."
    long = [hole for hole in figures.holes if hours_between(figures, hole) >= LONG_HOURS]
    out, plain = [], []
    if long:
        more = f"; and {len(long) - LISTED:,} more" if len(long) > LISTED else ""
        listed = "; ".join(_hole(figures, hole) for hole in long[:LISTED])
        out.append(f"{_count(len(long), 'time')} of 24 h or more without a frame: {listed}{more}.")
    elif figures.holes:
        plain.append(f"The longest time without a frame: {_hole(figures, figures.holes[0])}.")
    rest = len(figures.holes) - len(long)
    if rest:
        plain.append(f"{_count(rest, 'gap')} of less than {LONG_HOURS:.0f} h between frames.")
    out += [_never(figures, never) for never in never_there(figures)[:LISTED]]
    share = f"{percent(figures.coverage)} of the {int(figures.scheduled.sum()):,} scheduled slots have a frame."
    (out if figures.coverage < FEW_FRAMES else plain).append(share)
    return Remark(normal, tuple(out), tuple(plain))


def _never(figures: Figures, never: Never) -> str:
    axis = figures.satellite.axis
    first = axis.day_slots(never.era.first).start
    times = [f"{axis.time(first + slot):%H:%M}" for slot in never.slots]
    listed = ", ".join(times[:SLOTS_LISTED]) + (
        f" and {len(times) - SLOTS_LISTED} more" if times[SLOTS_LISTED:] else ""
    )
    return (
        f"Hardly a frame ever at {listed} UTC, {days_text(never.era.first, never.era.last)}: "
        f"{_count(never.missed, 'scheduled frame')} missing. That is regular, as a satellite's upkeep is: a gap in "
        "what was observed rather than a loss."
    )


def _schedule(figures: Figures) -> Remark:
    normal = (
        "The blue area reaches the line: as many frames a day as the schedule expects. A step of both is a change "
        "of schedule, a dip of the area alone is loss."
    )
    out = []
    if len(figures.eras) > 1:
        steps = "; ".join(f"every {era.minutes} min {days_text(era.first, era.last)}" for era in figures.eras[:LISTED])
        more = f"; and {len(figures.eras) - LISTED} more" if len(figures.eras) > LISTED else ""
        changes = _count(len(figures.eras) - 1, "change")
        out.append(f"{changes} of the interval at which frames came: {steps}{more}.")
    if figures.unscheduled:
        out.append(
            f"{_count(figures.unscheduled, 'slot')} with files that the schedule expects nothing at: they are kept, "
            "and the schedule in the satellite's TOML may need an entry."
        )
    plain = [f"Frames came every {figures.eras[0].minutes} min."] if len(figures.eras) == 1 else []
    return Remark(normal, tuple(out), tuple(plain))


def _channels(figures: Figures) -> Remark:
    normal = "Nearly all slots in the rightmost bars: all channels came, or none."
    names, required = list(figures.satellite.channels), figures.satellite.required
    shares = figures.channel_coverage()
    files = (figures.counts > 0).sum(axis=0)
    never = [name for name, there in zip(names, files, strict=True) if not there]
    partial = figures.by_channels(required=True)[1:-1].sum()
    out = []
    if never:
        kept = [name for name, needed in zip(names, required, strict=True) if needed and name in never]
        none = f"; without {', '.join(kept)} no slot is a frame" if kept else ""
        out.append(f"No file of {', '.join(never)}{none}.")
    usual = float(np.nanmedian(shares)) if len(shares) and not np.isnan(shares).all() else float("nan")
    rare = [f"{name} ({percent(share)})" for name, share in zip(names, shares, strict=True)
            if name not in never and share < 0.8 * usual]  # fmt: skip
    if rare:
        out.append(f"Channels that are there more seldom than the others ({percent(usual)}): {', '.join(rare)}.")
    plain = (f"{_count(int(partial), 'slot')} with some, but not all, of the required channels.",)
    return Remark(normal, tuple(out), plain)


def _intervals(figures: Figures) -> Remark:
    normal = "One tall bar at the schedule's interval, and few beyond it."
    minutes, counts = figures.intervals
    if not len(minutes):
        return Remark(normal, ("Fewer than two frames: there is no interval.",))
    top, whole = int(np.argmax(counts)), int(counts.sum())
    share = percent(int(counts[top]) / whole)
    plain = f"{share} of the {whole:,} intervals are {minutes[top]} min; the longest is {duration(minutes[-1] / 60)}."
    return Remark(normal, (), (plain,))


def _windows(figures: Figures) -> Remark:
    clip = figures.satellite.clip
    if clip is None:
        return Remark("Too slow for clips: frames only.")
    slots, whole = figures.satellite.window_slots, int(figures.windows.sum())
    normal = (
        f"Most windows at the right: of at most {slots} frames in {clip.hours} h, both ends included. A window begins "
        f"at every frame; one with at least {clip.frames} is a clip."
    )
    if not whole:
        return Remark(normal, ("No frame, so no window.",))
    words = f"{percent(figures.clip_share)} of the {whole:,} windows hold at least {clip.frames} frames, and are clips."
    out, plain = ([words], []) if figures.clip_share < FEW_CLIPS else ([], [words])
    past = figures.past_the_end
    if past > PAST_SHARE * whole:
        plain.append(f"{_count(past, 'window')} of the {whole:,} run past the last frame, where more may come.")
    several = len(figures.eras) > 1
    for era, windows in zip(figures.eras[:LISTED], windows_by_era(figures), strict=False):
        most = clip.hours * 60 // era.minutes + 1
        when = f"Frames every {era.minutes} min ({days_text(era.first, era.last)})"
        if most < clip.frames:
            out.append(f"{when} make at most {most} in a window: too few for a clip.")
        elif several:
            held, clips = int(windows.sum()), int(windows[clip.frames :].sum())
            plain.append(f"{when}: {percent(clips / held) if held else 'none'} of {held:,} windows are clips.")
    return Remark(normal, tuple(out), tuple(plain))


def _sizes(figures: Figures) -> Remark:
    normal = (
        f"Level lines with the seasons' slow swing, and few files below {percent(SMALL)} of the usual: a picture that "
        "was cut off or blackened packs smaller than its neighbours."
    )
    sizes = figures.sizes
    out = [_damage(damage) for damage in sizes.damages[:LISTED]]
    if len(sizes.damages) > LISTED:
        out.append(f"And {len(sizes.damages) - LISTED} more runs of days with small files.")
    names = list(figures.satellite.channels)
    out += [_step(names, *pair) for pair in list(pairwise(sizes.levels))[:LISTED]]
    if sizes.empty:
        out.append(f"{_count(sizes.empty, 'file')} of no bytes.")
    middle = QUANTILES.index(0.5)
    usual = ", ".join(
        f"{name} {bytes_text(row[middle])}"
        for name, row in zip(figures.satellite.channels, sizes.quantiles, strict=True)
        if not np.isnan(row[middle])
    )
    return Remark(normal, tuple(out), (f"Usual sizes (medians): {usual}.",))


def _damage(damage: Damage) -> str:
    length = (damage.last - damage.first).days + 1
    return (
        f"Many small files {days_text(damage.first, damage.last)} ({_count(length, 'day')}): {damage.small:,} of "
        f"{damage.files:,} are below {percent(SMALL)} of what is usual for their channel and hour, half of these below "
        f"{percent(damage.ratio)}: pictures that are cut off, blackened or empty look like this."
    )


def _step(names: list[str], before: Level, after: Level) -> str:
    changes = ", ".join(
        f"{name} {bytes_text(one)} to {bytes_text(other)}"
        for name, one, other in zip(names, before.medians, after.medians, strict=True)
        if not np.isnan(one) and not np.isnan(other)
    )
    return (
        f"Sizes change on {after.first} and stay so for at least {LEVEL_DAYS} days: {changes}. A new format or "
        "compression does this, and is no damage; files are compared with what is usual in their own time."
    )


def _doubles(figures: Figures) -> Remark:
    normal = "One file a slot and channel."
    if not figures.doubles:
        return Remark(normal, (), ("No slot has two files of one channel.",))
    names = list(figures.satellite.channels)
    examples = ", ".join(f"{_when(figures, slot)} {names[c]} ({files} files)" for slot, c, files in figures.doubled(3))
    where = int((figures.counts > 1).any(axis=1).sum())
    return Remark(normal, (f"{_count(figures.doubles, 'double')} at {_count(where, 'slot')}, e.g. {examples}.",))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
