"""What a listing says of a source before anything is opened: gaps, schedules, windows, sizes, doubles. Pure figures.

Columns of slots, channels and sizes go in, small arrays come out; `analysis_words` says what is remarkable in them, and
`analysis_plots` draws them. A *frame* here is a slot with a file of every required channel: names promise no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt

from wxpipe.archive.analysis_sizes import Floats, Ints, Sizes, find_sizes
from wxpipe.satellites.catalog import Source
from wxpipe.satellites.satellite import Satellite

Mask = npt.NDArray[np.bool_]

REGULAR_DAYS, REGULAR_SHARE, REGULAR_OTHERS = 10, 0.05, 0.6
"""A slot of the day is regularly empty where it was scheduled on so many days and came at most on this share of them,
while most others came on at least the last share of theirs."""
STEADY_DAYS = 3
"""Days in a row that a new interval must last to be a change of schedule."""


@dataclass(frozen=True)
class Columns:
    """Every file of one source, in the order of the listing.

    Attributes:
        slots: (file,) int32, on the satellite's axis.
        channels: (file,) uint8, number of the channel in the satellite's order.
        sizes: (file,) int64, bytes.
    """

    slots: npt.NDArray[np.int32]
    channels: npt.NDArray[np.uint8]
    sizes: Ints


@dataclass(frozen=True)
class Hole:
    """A time without a frame though some were scheduled: from the last before it to the first after it."""

    before: int
    after: int
    missed: int


@dataclass(frozen=True)
class Era:
    """Days in a row on which frames came at one interval; the last day counts."""

    first: date
    last: date
    minutes: int


@dataclass(frozen=True)
class Never:
    """Slots of the day that are scheduled throughout an era, and at which hardly a frame ever came.

    Attributes:
        slots: of the day, from 0.
        missed: scheduled slots without a frame.
    """

    era: Era
    slots: tuple[int, ...]
    missed: int


@dataclass(frozen=True)
class Figures:
    """All that is counted of one source. Slots count from ``first_slot``, the first of the first day with a file.

    Attributes:
        counts: (slot, channel) uint16, files; whole days.
        scheduled: (slot,) what the satellite's schedule expects between the first and the last file.
        intervals: minutes between successive frames, and how often, ascending.
        windows: (n + 1,) how many windows hold 0..n frames; a window begins at every frame.
    """

    source: Source
    files: int
    bytes: int
    first_slot: int
    counts: npt.NDArray[np.uint16]
    scheduled: Mask
    intervals: tuple[Ints, Ints]
    windows: Ints
    holes: tuple[Hole, ...]
    eras: tuple[Era, ...]
    sizes: Sizes

    @property
    def satellite(self) -> Satellite:
        return self.source.satellite

    @property
    def first_day(self) -> date:
        return self.satellite.axis.day(self.first_slot)

    @property
    def days(self) -> int:
        return len(self.counts) // self.satellite.axis.slots_per_day

    @property
    def last_day(self) -> date:
        return self.first_day + timedelta(days=self.days - 1)

    @cached_property
    def frames(self) -> Mask:
        """(slot,) where every required channel has a file."""
        return np.asarray((self.counts[:, np.array(self.satellite.required)] > 0).all(axis=1))

    @cached_property
    def seen(self) -> Mask:
        """(slot,) where any channel has a file."""
        return np.asarray(self.counts.any(axis=1))

    @property
    def pictures(self) -> int:
        """Channels at slots: files without their doubles."""
        return int(np.count_nonzero(self.counts))

    @property
    def doubles(self) -> int:
        """Files beyond the first of their slot and channel."""
        return self.files - self.pictures

    @property
    def unscheduled(self) -> int:
        """Slots with files that the schedule expects nothing at."""
        return int((self.seen & ~self.scheduled).sum())

    @property
    def coverage(self) -> float:
        """Share of the scheduled slots that have a frame."""
        return _share(int((self.frames & self.scheduled).sum()), int(self.scheduled.sum()))

    @property
    def clips(self) -> int:
        """Windows with enough frames for a clip."""
        clip = self.satellite.clip
        return 0 if clip is None else int(self.windows[clip.frames :].sum())

    @property
    def clip_share(self) -> float:
        return _share(self.clips, int(self.windows.sum()))

    @property
    def past_the_end(self) -> int:
        """Windows that run past the last frame."""
        frames = np.flatnonzero(self.frames)
        return int((frames + self.satellite.window_slots - 1 > frames[-1]).sum()) if len(frames) else 0

    def by_channels(self, required: bool) -> Ints:
        """(channels + 1,) slots, of those scheduled or seen, by how many (required) channels have a file."""
        columns = np.array(self.satellite.required) if required else slice(None)
        present = (self.counts[self.scheduled | self.seen][:, columns] > 0).sum(axis=1)
        width = sum(self.satellite.required) if required else self.counts.shape[1]
        return np.bincount(present, minlength=width + 1)

    def channel_coverage(self) -> Floats:
        """(channel,) share of the scheduled slots that have its file."""
        expected = int(self.scheduled.sum())
        there = (self.counts[self.scheduled] > 0).sum(axis=0)
        return there / expected if expected else np.full(len(there), np.nan)

    def doubled(self, most: int = 5) -> list[tuple[int, int, int]]:
        """(slot, channel, files) of the first that have several files; slots on the satellite's axis."""
        slots, channels = np.nonzero(self.counts > 1)
        found = zip(slots[:most].tolist(), channels[:most].tolist(), strict=True)
        return [(self.first_slot + slot, channel, int(self.counts[slot, channel])) for slot, channel in found]


def analyse(source: Source, columns: Columns) -> Figures:
    """The figures of one source, which has at least one file."""
    satellite, axis = source.satellite, source.satellite.axis
    per_day = axis.slots_per_day
    lowest, highest = int(columns.slots.min()), int(columns.slots.max())
    first, stop = lowest - lowest % per_day, highest - highest % per_day + per_day
    width = len(satellite.channels)
    flat = (columns.slots - first).astype(np.int64) * width + columns.channels
    files = np.bincount(flat, minlength=(stop - first) * width)
    counts = np.minimum(files, np.iinfo(np.uint16).max).astype(np.uint16).reshape(-1, width)
    scheduled = expected_slots(satellite, first, stop)
    scheduled[: lowest - first] = scheduled[highest - first + 1 :] = False
    frames = np.flatnonzero((counts[:, np.array(satellite.required)] > 0).all(axis=1))
    return Figures(
        source=source,
        files=len(columns.slots),
        bytes=int(columns.sizes.sum()),
        first_slot=first,
        counts=counts,
        scheduled=scheduled,
        intervals=_intervals(frames, satellite.cadence_minutes),
        windows=count_windows(frames, satellite),
        holes=find_holes(frames + first, scheduled, first),
        eras=find_eras(frames + first, satellite),
        sizes=find_sizes(columns.slots - first, columns.channels, columns.sizes, satellite, satellite.axis.day(first)),
    )


def expected_slots(satellite: Satellite, start: int, stop: int) -> Mask:
    """Which slots of some whole days the dated schedule expects: `Satellite.expects`, asked once a period."""
    axis, per_day = satellite.axis, satellite.axis.slots_per_day
    expected = np.zeros(stop - start, np.bool_)
    first, after = axis.day(start), axis.day(stop - 1) + timedelta(days=1)
    changes = sorted({first, *(entry.since for entry in satellite.schedule if first < entry.since < after)})
    for since, until in zip(changes, [*changes[1:], after], strict=True):
        slots = axis.day_slots(since)
        pattern = np.array([satellite.expects(axis.time(slot)) for slot in slots])
        low = slots.start - start
        expected[low : low + (until - since).days * per_day] = np.tile(pattern, (until - since).days)
    return expected


def count_windows(frames: Ints, satellite: Satellite) -> Ints:
    """(n + 1,) windows of the clip's hours, both ends included, by the frames they hold; one begins at each frame."""
    slots = satellite.window_slots
    if not slots:
        return np.zeros(1, np.int64)
    return np.bincount(_held(frames, slots), minlength=slots + 1)


def windows_by_era(figures: Figures) -> tuple[Ints, ...]:
    """For each era what `count_windows` says of the windows that begin in it; an era lasts until the next begins."""
    slots, frames = figures.satellite.window_slots, np.flatnonzero(figures.frames)
    begins = [(era.first - figures.first_day).days * figures.satellite.axis.slots_per_day for era in figures.eras[1:]]
    era = np.searchsorted(begins, frames, side="right")
    held = _held(frames, slots)
    return tuple(np.bincount(held[era == number], minlength=slots + 1) for number in range(len(figures.eras)))


def never_there(figures: Figures) -> list[Never]:
    """The eras in which some slots of the day are without frames, while the others have theirs."""
    per_day, found = figures.satellite.axis.slots_per_day, []
    frames, scheduled = (mask.reshape(-1, per_day) for mask in (figures.frames, figures.scheduled))
    for era in figures.eras:
        days = slice((era.first - figures.first_day).days, (era.last - figures.first_day).days + 1)
        due, there = scheduled[days].sum(axis=0), (frames & scheduled)[days].sum(axis=0)
        never = (due >= REGULAR_DAYS) & (there <= REGULAR_SHARE * due)
        often = (due >= REGULAR_DAYS) & (there >= REGULAR_OTHERS * due)
        if never.any() and often.sum() > never.sum():
            slots = np.flatnonzero(never)
            found.append(Never(era, tuple(slots.tolist()), int((due - there)[slots].sum())))
    return found


def _held(frames: Ints, slots: int) -> Ints:
    """(frame,) how many frames the window that begins at each holds."""
    return np.asarray(np.searchsorted(frames, frames + slots) - np.arange(len(frames)))


def find_holes(frames: Ints, scheduled: Mask, first: int) -> tuple[Hole, ...]:
    """Where scheduled slots between two frames, given on the satellite's axis, have none; the longest first."""
    running = np.concatenate(([0], np.cumsum(scheduled)))
    before, after = frames[:-1], frames[1:]
    missed = running[after - first] - running[before - first + 1]
    holes = np.flatnonzero(missed)
    longest = holes[np.argsort(before[holes] - after[holes], kind="stable")]
    return tuple(Hole(int(before[n]), int(after[n]), int(missed[n])) for n in longest)


def find_eras(frames: Ints, satellite: Satellite) -> tuple[Era, ...]:
    """When frames came at which interval: a day's commonest, where it holds for `STEADY_DAYS` days that have any."""
    axis, per_day = satellite.axis, satellite.axis.slots_per_day
    steps, days = np.diff(frames), frames[:-1] // per_day
    within = steps < per_day
    key = days[within] * per_day + steps[within]
    pairs, counts = np.unique(key, return_counts=True)
    order = np.lexsort((pairs % per_day, -counts, pairs // per_day))
    day, position = np.unique(pairs[order] // per_day, return_index=True)
    commonest = pairs[order][position] % per_day
    eras: list[tuple[int, int, int]] = []
    edges = np.flatnonzero(np.diff(commonest)) + 1
    starts, stops = np.concatenate(([0], edges)), np.concatenate((edges, [len(day)]))
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        if stop == start or (stop - start < min(STEADY_DAYS, len(day))):
            continue
        if eras and eras[-1][2] == commonest[start]:
            eras[-1] = (eras[-1][0], int(day[stop - 1]), eras[-1][2])
        else:
            eras.append((int(day[start]), int(day[stop - 1]), int(commonest[start])))
    return tuple(
        Era(axis.day(first * per_day), axis.day(last * per_day), step * satellite.cadence_minutes)
        for first, last, step in eras
    )


def share_of(part: Mask, whole: Mask, groups: Ints, size: int) -> Floats:
    """(group,) share of ``whole`` that is ``part`` too; NaN where a group has nothing of it."""
    total = np.bincount(groups[whole], minlength=size)
    there = np.bincount(groups[whole & part], minlength=size)
    shares = np.full(size, np.nan)
    np.divide(there, total, out=shares, where=total > 0)
    return shares


def coverage_by_month(figures: Figures) -> tuple[list[int], Floats]:
    """Years from the first to the last, and (year, 12) the share of scheduled slots that have a frame."""
    months = figures.satellite.axis.times(figures.first_slot + np.arange(len(figures.counts))).astype("datetime64[M]")
    years = list(range(figures.first_day.year, figures.last_day.year + 1))
    groups = months.astype(np.int64) - 12 * (years[0] - 1970)
    shares = share_of(figures.frames, figures.scheduled, groups, 12 * len(years))
    return years, shares.reshape(-1, 12)


def coverage_by_day(figures: Figures) -> Floats:
    """(day,) of the span, the share of its scheduled slots that have a frame."""
    groups = np.arange(len(figures.counts)) // figures.satellite.axis.slots_per_day
    return share_of(figures.frames, figures.scheduled, groups, figures.days)


def coverage_by_hour(figures: Figures, parts: int = 24) -> Floats:
    """(day, part) of the span, the share of scheduled slots that have a frame; a day has so many equal parts."""
    per_day = figures.satellite.axis.slots_per_day
    day, slot = np.divmod(np.arange(len(figures.counts)), per_day)
    groups = day * parts + slot * parts // per_day
    return share_of(figures.frames, figures.scheduled, groups, figures.days * parts).reshape(-1, parts)


def daily(figures: Figures, mask: Mask) -> Ints:
    """(day,) of the span, how many of its slots a mask has."""
    return np.asarray(mask.reshape(-1, figures.satellite.axis.slots_per_day).sum(axis=1))


def _intervals(frames: Ints, cadence_minutes: int) -> tuple[Ints, Ints]:
    steps, counts = np.unique(np.diff(frames), return_counts=True)
    return steps * cadence_minutes, counts


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def hours_between(figures: Figures, hole: Hole) -> float:
    """Hours from the last frame before a hole to the first after it."""
    step = figures.satellite.axis.cadence * (hole.after - hole.before)
    return step / timedelta(hours=1)
