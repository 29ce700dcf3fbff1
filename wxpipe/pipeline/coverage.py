"""What has become of every slot and every source-day of a root, as arrays: what the coverage page and status show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.archive.inventory import inventory_of, read_table
from wxpipe.errors import NotFoundError, WxpipeError
from wxpipe.pipeline.plan import Plan, Reason, Step
from wxpipe.satellites.catalog import Source
from wxpipe.satellites.satellite import Satellite
from wxpipe.store.frames import FrameStore, Status, frame_store
from wxpipe.store.ledger import Entry
from wxpipe.store.quarantine import Record
from wxpipe.store.root import Root

UInt8 = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class Fate(IntEnum):
    """Of a slot's frame."""

    NOTHING = 0
    """Not scheduled, or outside the source's first and last file."""
    GOOD = 1
    MISSING = 2
    """A required picture never came."""
    VANISHED = 3
    """A required picture was listed once, and was gone before it was read."""
    QUARANTINED = 4
    """A required picture came, and could not be used."""
    STALE = 5
    """Not good, of a day whose files have changed since: it is due again."""
    FAILED = 6
    """Its day's ingest failed."""
    WAITING = 7
    """Its files are listed, and not ingested yet."""


class Work(IntEnum):
    """Of a source-day in a stage; of several, the highest is the worst."""

    NONE = 0
    """The stage cannot do it yet: it waits for an earlier one."""
    DONE = 1
    MISSING = 2
    STALE = 3
    FAILED = 4


WORK_OF: dict[Reason, Work] = {
    "done": Work.DONE, "missing": Work.MISSING, "stale": Work.STALE, "failed": Work.FAILED
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Coverage:
    """One source, from the day of its first file to the day of its last.

    Attributes:
        fates: `Fate`, uint8 (day, slot of the day).
        status: `Status` of each picture, uint8 (day, slot of the day, channel).
        work: of each stage by day, `Work`, uint8 (day).
        errors: (stage, day) to the message of what failed, or why it is stale.
        put_aside: (slot, channel) to the record of a picture in quarantine.
        listed: files that are listed of each day, int64 (day); counted for days that are not ingested, else 0.
    """

    source: Source
    first_day: date
    fates: UInt8
    status: UInt8
    work: Mapping[str, UInt8]
    errors: Mapping[tuple[str, date], str]
    put_aside: Mapping[tuple[int, str], Record]
    listed: npt.NDArray[np.int64]

    @property
    def satellite(self) -> Satellite:
        return self.source.satellite

    @property
    def days(self) -> int:
        return len(self.fates)

    @property
    def first_slot(self) -> int:
        return self.satellite.axis.day_start(self.first_day)

    @property
    def last_day(self) -> date:
        return self.day(self.days - 1)

    def day(self, number: int) -> date:
        return self.first_day + timedelta(days=number)

    def time(self, at: int) -> datetime:
        """The nominal time of a slot, counted from the first day's first."""
        return self.satellite.axis.time(self.first_slot + at)

    def counted(self) -> dict[Fate, npt.NDArray[np.int64]]:
        """Slots of each fate by day."""
        return {fate: (self.fates == fate).sum(axis=1) for fate in Fate}

    @property
    def scheduled(self) -> int:
        return int((self.fates != Fate.NOTHING).sum())

    @property
    def good(self) -> int:
        return int((self.fates == Fate.GOOD).sum())

    @property
    def newest(self) -> datetime | None:
        """When the newest good frame was taken."""
        there = np.flatnonzero(self.fates.ravel() == Fate.GOOD)
        return self.time(int(there[-1])) if len(there) else None


def cover(root: Root, plan: Plan) -> list[Coverage]:
    """Every source of a root that has files. Reads the ledger, statuses, quarantine, and inventories of open months."""
    entries = root.ledger.entries("ingest")
    by_source: dict[str, dict[str, dict[date, Step]]] = {}
    for step in plan.steps:
        if step.partition.day is not None:
            days = by_source.setdefault(step.partition.source, {}).setdefault(step.stage, {})
            days[step.partition.day] = step
    found = (_cover(root, source, by_source.get(source.id, {}), entries) for source in root.sources)
    return [coverage for coverage in found if coverage is not None]


def _cover(
    root: Root, source: Source, steps: Mapping[str, Mapping[date, Step]], entries: Mapping[str, Entry]
) -> Coverage | None:
    inventory, axis = inventory_of(root, source.id), source.satellite.axis
    span, days = inventory.span(), inventory.days()
    if span is None:
        return None
    work = {stage: _work(by_day, days) for stage, by_day in steps.items()}
    ingest = work.get("ingest", np.zeros(len(days), np.uint8))
    errors = {(stage, day): step.why for stage, by_day in steps.items() for day, step in by_day.items() if step.why}
    ingested = {day: e for day in days if (e := entries.get(f"{source.id}/{day}")) and e.state == "done"}
    status, damaged = _statuses(frame_store(root, source), days)
    for day, message in damaged.items():
        if day in ingested:
            errors["ingest", day] = message
            ingest[(day - days[0]).days] = Work.FAILED
    start = axis.day_start(days[0])
    expected = _scheduled(source.satellite, start, status.shape[0] * status.shape[1])
    at = np.arange(start, start + expected.size)
    expected &= (at >= span[0]) & (at <= span[1])
    vanished = [day for day, entry in ingested.items() if entry.counts.get("files_vanished")]
    waiting = [day for day, done in zip(days, ingest, strict=True) if done == Work.MISSING]
    there = _Listed.of(root, source, waiting, vanished)
    fates = _fates(source.satellite, status, expected.reshape(status.shape[:2]), ingest, there)
    quarantined = [day for day, entry in ingested.items() if entry.counts.get("files_quarantined")]
    put_aside = _put_aside(root, source, quarantined)
    listed = np.array([there.files.get(day, 0) for day in days], np.int64)
    return Coverage(source, days[0], fates, status, work, errors, put_aside, listed)


def _work(by_day: Mapping[date, Step], days: Sequence[date]) -> UInt8:
    return np.array([WORK_OF[by_day[day].reason] if day in by_day else Work.NONE for day in days], np.uint8)


def _scheduled(satellite: Satellite, start: int, count: int) -> Mask:
    """Which slots the dated schedule expects: bool (slot). Days of one schedule are alike."""
    axis, per_day = satellite.axis, satellite.axis.slots_per_day
    first, days = axis.day(start), count // per_day
    out = np.empty((days, per_day), np.bool_)
    starts = [0, *((entry.since - first).days for entry in satellite.schedule), days]
    edges = sorted({min(max(edge, 0), days) for edge in starts})
    for begin, end in pairwise(edges):
        slots = range(start + begin * per_day, start + (begin + 1) * per_day)
        out[begin:end] = [satellite.expects(axis.time(slot)) for slot in slots]
    return out.ravel()


def _statuses(frames: FrameStore, days: Sequence[date]) -> tuple[UInt8, dict[date, str]]:
    """Statuses of all days, (day, slot, channel), and what cannot be read of them, with why."""
    per_day, start = frames.axis.slots_per_day, frames.axis.day_start(days[0])
    shape = (len(days), per_day, len(frames.channels))
    try:
        return np.asarray(frames.slots("status", start, start + len(days) * per_day)).reshape(shape), {}
    except NotFoundError:
        return np.zeros(shape, np.uint8), {}
    except WxpipeError:
        pass
    status, damaged = np.zeros(shape, np.uint8), {}
    for number, day in enumerate(days):
        try:
            status[number] = frames.day("status", day)
        except WxpipeError as error:
            damaged[day] = str(error)
    return status, damaged


@dataclass(frozen=True)
class _Listed:
    """What the inventory says of days that the statuses do not tell: slots with a file that is there, and without."""

    present: Mask
    vanished: Mask
    files: dict[date, int]

    @classmethod
    def of(cls, root: Root, source: Source, waiting: Iterable[date], vanished: Iterable[date]) -> _Listed:
        """Slots that have a file, of days that wait, and (slot, channel) that lost theirs, of days that lost some."""
        axis, names = source.satellite.axis, source.satellite.channel_names
        inventory = inventory_of(root, source.id)
        days = inventory.days()
        start, count = axis.day_start(days[0]), len(days) * axis.slots_per_day
        there, lost = np.zeros(count, np.bool_), np.zeros((count, len(names)), np.bool_)
        files: dict[date, int] = {}
        wanted = {*waiting, *vanished}
        open_days = set(waiting)
        for month in sorted({f"{day:%Y-%m}" for day in wanted}):
            table = read_table(root, source.id, month, ("slot", "channel", "vanished"))
            slots, gone = table["slot"].to_numpy() - start, table["vanished"].to_numpy(zero_copy_only=False)
            there[slots[~gone]] = True
            for at, name in zip(slots[gone], np.asarray(table["channel"])[gone], strict=True):
                lost[at, names.index(name)] = True
            numbers, counts = np.unique(slots // axis.slots_per_day, return_counts=True)
            named = ((days[int(number)], int(n)) for number, n in zip(numbers, counts, strict=True))
            files |= {day: n for day, n in named if day in open_days}
        return cls(there, lost, files)


def _fates(satellite: Satellite, status: UInt8, expected: Mask, ingest: UInt8, there: _Listed) -> UInt8:
    """`Fate` of each slot, (day, slot)."""
    required = np.asarray(satellite.required)
    whole = status[..., required]
    usable = ((whole == Status.GOOD) | (whole == Status.SUSPECT)).all(axis=-1)
    missing = (whole == Status.MISSING) | (whole == Status.ABSENT)
    lost = there.vanished.reshape(status.shape)[..., required]
    fates = np.full(expected.shape, Fate.QUARANTINED, np.uint8)
    fates[missing.any(axis=-1)] = Fate.MISSING
    fates[(missing & lost).any(axis=-1) & ~(missing & ~lost).any(axis=-1)] = Fate.VANISHED
    state = ingest[:, np.newaxis]
    fates[np.broadcast_to(state == Work.STALE, fates.shape)] = Fate.STALE
    fates[usable] = Fate.GOOD
    waiting = np.broadcast_to((state == Work.MISSING) | (state == Work.NONE), fates.shape)
    fates[waiting] = np.where(there.present.reshape(fates.shape)[waiting], Fate.WAITING, Fate.MISSING)
    fates[np.broadcast_to(state == Work.FAILED, fates.shape)] = Fate.FAILED
    fates[~(expected | (fates == Fate.GOOD))] = Fate.NOTHING
    return fates


def _put_aside(root: Root, source: Source, days: Sequence[date]) -> dict[tuple[int, str], Record]:
    wanted, found = set(days), root.quarantine.all(source.id)
    return {(r.slot, r.channel): r for stage, _, day, r in found
            if stage == "ingest" and day in wanted and r.kind == "quarantined"}  # fmt: skip


def lag_of(coverage: Coverage, now: datetime | None = None) -> float | None:
    """Seconds since the newest good frame was taken; None where there is none."""
    newest = coverage.newest
    return None if newest is None else ((now or datetime.now(UTC)) - newest).total_seconds()


def by_month(coverage: Coverage) -> dict[str, dict[str, Any]]:
    """Of each month: slots scheduled and good, days of the archive, and days of each stage by state."""
    months = np.array([f"{coverage.day(n):%Y-%m}" for n in range(coverage.days)])
    names, index = np.unique(months, return_inverse=True)
    good, scheduled = (coverage.fates == Fate.GOOD).sum(axis=1), (coverage.fates != Fate.NOTHING).sum(axis=1)
    out: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(names.tolist()):
        mine = index == number
        stages = {
            stage: {work.name.lower(): int((states[mine] == work).sum()) for work in Work if work != Work.NONE}
            for stage, states in coverage.work.items()
        }
        slots = {"good": int(good[mine].sum()), "scheduled": int(scheduled[mine].sum())}
        out[name] = {"days": int(mine.sum()), "slots": slots, "stages": stages}
    return out
