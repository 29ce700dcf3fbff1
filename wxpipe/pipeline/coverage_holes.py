"""Holes in what a root covers: stretches of slots without a good frame, one reason each, and what stages left open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

import numpy as np

from wxpipe.pipeline.coverage import Coverage, Fate, Mask, Work
from wxpipe.pipeline.plan import Plan
from wxpipe.store.frames import Status

BRIDGED_GOOD, BRIDGED = 2, 8
"""Good slots, and slots of any fate, that may lie within a hole: a week of which every second file is cut is one."""
PAUSE_SHARE, PAUSE_DAYS = 0.8, 5
"""A time of the day that is missing on so large a share of the days, and at least so many, is a pause."""


CAME = (Fate.GOOD, Fate.QUARANTINED, Fate.WAITING)
"""Of slots that had their files."""


@dataclass(frozen=True)
class Hole:
    """Slots of one source that have no good frame, for one reason.

    Attributes:
        reason: of a quarantined one, why it was put aside; of a failed one, the error; of a stale one, what changed.
        first, last: nominal times of its first and last slot.
        slots, of: how many slots lack a good frame, and how many are scheduled between first and last.
        pictures: that are missing or put aside; of what is not ingested yet, files that wait.
        channels: that it lacks, where it lacks only some.
        example: path, expected and found of a picture in quarantine.
    """

    source: str
    fate: Fate
    reason: str
    first: datetime
    last: datetime
    slots: int
    of: int
    pictures: int
    channels: tuple[str, ...] = ()
    example: tuple[str, str, str] = ("", "", "")
    cadence: timedelta = timedelta(minutes=15)

    @property
    def hours(self) -> float:
        """Of time without a good frame."""
        return self.slots * self.cadence.total_seconds() / 3600


@dataclass(frozen=True)
class Pause:
    """Times of the day at which hardly ever a picture comes, in one year."""

    source: str
    year: int
    times: tuple[time, ...]
    slots: int
    days: int


@dataclass(frozen=True)
class Trouble:
    """Days of a stage (or a named thing) that failed or are due, though what they need is there."""

    source: str
    stage: str
    work: Work
    first: date | None
    last: date | None
    days: int
    error: str = ""


def holes_of(coverage: Coverage) -> list[Hole]:
    """Holes, longest first; pauses are not among them."""
    pauses = pause_mask(coverage)
    found = [_hole(coverage, run) for run in _runs(coverage, pauses)]
    return sorted(found, key=lambda hole: (-hole.hours, hole.first))


def all_holes(coverages: Iterable[Coverage]) -> list[Hole]:
    """Holes of every source, longest first."""
    found = (hole for coverage in coverages for hole in holes_of(coverage))
    return sorted(found, key=lambda hole: (-hole.hours, hole.source, hole.first))


def pauses_of(coverage: Coverage) -> list[Pause]:
    """Times of the day that are missing nearly always, year by year."""
    mask, axis = pause_mask(coverage), coverage.satellite.axis
    years = np.array([coverage.day(n).year for n in range(coverage.days)])
    found = []
    for year in np.unique(years[mask.any(axis=1)]).tolist():
        mine = mask[years == year]
        columns = np.flatnonzero(mine.any(axis=0)).tolist()
        times = tuple(axis.time(column).time() for column in columns)
        found.append(Pause(coverage.source.id, year, times, int(mine.sum()), int(mine.any(axis=1).sum())))
    return found


def troubles_of(coverages: Sequence[Coverage], plan: Plan) -> list[Trouble]:
    """What stages left open, failed first. Of ingest nothing: its days are holes."""
    found = [trouble for coverage in coverages for trouble in _by_day(coverage)]
    for step in plan.work:
        if step.partition.day is None:
            work = {"failed": Work.FAILED, "stale": Work.STALE}.get(step.reason, Work.MISSING)
            name = step.partition.source or step.partition.name
            found.append(Trouble(name, step.stage, work, None, None, 0, step.why))
    return sorted(found, key=lambda trouble: (-trouble.work, -trouble.days))


def _by_day(coverage: Coverage) -> Iterator[Trouble]:
    for stage, states in coverage.work.items():
        if stage == "ingest":
            continue
        keys = [(int(state), coverage.errors.get((stage, coverage.day(n)), "")) for n, state in enumerate(states)]
        start = 0
        for end in range(1, len(keys) + 1):
            if end < len(keys) and keys[end] == keys[start]:
                continue
            work, error = keys[start]
            if work > Work.DONE:
                first, last = coverage.day(start), coverage.day(end - 1)
                yield Trouble(coverage.source.id, stage, Work(work), first, last, end - start, error)
            start = end


def pause_mask(coverage: Coverage) -> Mask:
    """Missing slots at times of the day that are missing nearly always, bool (day, slot); year by year."""
    fates = coverage.fates
    missing, mask = fates == Fate.MISSING, np.zeros(fates.shape, np.bool_)
    scheduled = (fates != Fate.NOTHING).sum(axis=1)
    lively = 2 * np.isin(fates, CAME).sum(axis=1) >= np.maximum(scheduled, 1)
    years = np.array([coverage.day(n).year for n in range(coverage.days)])
    for year in np.unique(years[lively]).tolist():
        mine = years == year
        seen = fates[mine & lively] != Fate.NOTHING
        share = missing[mine & lively].sum(axis=0) >= PAUSE_SHARE * np.maximum(seen.sum(axis=0), 1)
        often = share & (missing[mine & lively].sum(axis=0) >= PAUSE_DAYS)
        mask[mine] = missing[mine] & often
    mask[(missing | (fates == Fate.NOTHING)).all(axis=1)] = False  # a day without any picture is a hole, whole
    return mask


@dataclass
class _Run:
    """A hole while it is put together: its slots, counted from the first day's first."""

    fate: Fate
    reason: str
    slots: list[int] = field(default_factory=list)


def _runs(coverage: Coverage, pauses: Mask) -> list[_Run]:
    """Slots of one fate and reason that lie close together."""
    fates = np.where(pauses, np.uint8(Fate.NOTHING), coverage.fates).ravel()
    at = np.flatnonzero(fates != Fate.NOTHING)
    good_before = np.concatenate([[0], np.cumsum(fates[at] == Fate.GOOD)])
    running: dict[tuple[Fate, str], tuple[int, _Run]] = {}
    found: list[_Run] = []
    for place in np.flatnonzero(fates[at] != Fate.GOOD).tolist():
        slot = int(at[place])
        fate = Fate(int(fates[slot]))
        key = fate, _reason(coverage, fate, slot)
        last, run = running.get(key, (-BRIDGED - 2, None))
        near = place - last - 1 <= BRIDGED and good_before[place] - good_before[last + 1] <= BRIDGED_GOOD
        if run is None or not near:
            run = _Run(*key)
            found.append(run)
        run.slots.append(slot)
        running[key] = place, run
    return found


def _reason(coverage: Coverage, fate: Fate, slot: int) -> str:
    if fate == Fate.QUARANTINED:
        names = coverage.satellite.channel_names
        records = (coverage.put_aside.get((coverage.first_slot + slot, name)) for name in names)
        return next((record.reason for record in records if record is not None), "an unknown reason")
    if fate in (Fate.FAILED, Fate.STALE):
        return coverage.errors.get(("ingest", coverage.day(slot // coverage.fates.shape[1])), "")
    return ""


def _hole(coverage: Coverage, run: _Run) -> Hole:
    slots, names = np.array(run.slots), coverage.satellite.channel_names
    flat = coverage.status.reshape(-1, len(names))[slots]
    lacking = {Fate.QUARANTINED: (Status.QUARANTINED,)}.get(run.fate, (Status.MISSING, Status.ABSENT))
    lacks = np.isin(flat, lacking)
    required = np.asarray(coverage.satellite.required)
    pictures, lacked = int(lacks.sum()), [bool(lacks_it.any()) for lacks_it in lacks[:, required].T]
    needed = [name for name, channel in coverage.satellite.channels.items() if channel.required]
    whole = coverage.fates.ravel()[slots[0] : slots[-1] + 1]
    some = () if all(lacked) else tuple(name for name, lacks_it in zip(needed, lacked, strict=True) if lacks_it)
    if run.fate not in (Fate.QUARANTINED, Fate.MISSING, Fate.VANISHED):
        days = np.unique(slots // coverage.fates.shape[1])
        pictures, some = int(coverage.listed[days].sum()), ()
    return Hole(
        coverage.source.id, run.fate, run.reason, coverage.time(run.slots[0]), coverage.time(run.slots[-1]),
        len(slots), int((whole != Fate.NOTHING).sum()), pictures, some,
        _example(coverage, run), coverage.satellite.axis.cadence,
    )  # fmt: skip


def _example(coverage: Coverage, run: _Run) -> tuple[str, str, str]:
    """Of a quarantined hole, the first picture that was put aside for its reason."""
    if run.fate == Fate.QUARANTINED:
        for slot in run.slots:
            for name in coverage.satellite.channel_names:
                record = coverage.put_aside.get((coverage.first_slot + slot, name))
                if record is not None and record.reason == run.reason:
                    return record.path, record.expected, record.found
    return "", "", ""
