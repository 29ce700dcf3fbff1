"""Which months of the cell-major copy there are, which are stale, and how they are made: month by month, on request.

``cells/<source>/<layout>/<YYYY-MM>/<digest>.zarr`` is named by its content and never changed; ``<number>.json`` beside
it, written by put-if-absent when all of that is there, makes it one that is seen. What a kill leaves, nobody sees.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from wxpipe.errors import DamagedError, LeaseLostError, NotFoundError, RefusedError, UsageError
from wxpipe.satellites.catalog import Source
from wxpipe.satellites.geography import Geography, GridEdges
from wxpipe.similarity.cell_copy import CONTRACT, Month, copy_month, open_store, read_month, write_month
from wxpipe.similarity.layout import cell_edges
from wxpipe.store.leases import Lease
from wxpipe.store.root import Root
from wxpipe.store.stage import fingerprint_of

FOLDER = "cells"
Day = tuple[str, str]
"""Output digests of a day's histograms and clips, as the ledger has them."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class MonthRecord:
    """A month that was published.

    Attributes:
        digest: of its arrays; its folder's name.
        days: of each day in it, what it was made of; the key of the ledger's partitions is ``<source>/<day>``.
        seen: of each day, which versions of the ledger's objects said so: while they stand, nobody need read them.
        size: bytes of the shard of CDFs.
        pictures, clips: how many there are.
    """

    source: str
    layout: str
    month: str
    number: int
    digest: str
    days: Mapping[str, Day]
    size: int
    pictures: int
    clips: int
    seen: Mapping[str, Day] = field(default_factory=dict)
    contract: int = CONTRACT
    created: str = ""

    @property
    def place(self) -> str:
        return f"{FOLDER}/{self.source}/{self.layout}/{self.month}"

    @property
    def folder(self) -> str:
        return f"{self.place}/{self.digest}.zarr"


@dataclass(frozen=True)
class Copied:
    """What an update came to: months that were made, and those that were as they should be."""

    made: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    bytes_written: int = 0
    damaged: Mapping[str, str] = field(default_factory=dict)


def lease_of(source: Source) -> str:
    """What whoever makes months of a source holds."""
    return f"cells/{source.id}"


@dataclass(frozen=True)
class Wanted:
    """Of one month, by day: what its histograms and clips came to, and which versions of the ledger say so."""

    days: dict[str, Day] = field(default_factory=dict)
    seen: dict[str, Day] = field(default_factory=dict)


STAGES = ("histograms", "clips")


def wanted_months(root: Root, source: Source, records: Mapping[str, MonthRecord]) -> dict[str, Wanted]:
    """By month, the days whose histograms are done, as the ledger has them now.

    Entries that are as some record saw them are not read: thousands of them are then one listing.
    """
    versions = [_versions(root, stage, source) for stage in STAGES]
    known = {day: one for record in records.values() for day, one in record.days.items()}
    seen = {day: one for record in records.values() for day, one in record.seen.items()}
    now = {day: (version, versions[1].get(day, "")) for day, version in sorted(versions[0].items())}
    changed = [day for day, version in now.items() if day not in known or seen.get(day) != version]
    read = _read_days(root, source, changed)
    found: dict[str, Wanted] = {}
    for day, version in now.items():
        outputs = read[day] if day in read else known[day]
        if outputs[0]:
            month = found.setdefault(day[:7], Wanted())
            month.days[day], month.seen[day] = outputs, version
    return found


def _versions(root: Root, stage: str, source: Source) -> dict[str, str]:
    place = f"ledger/{stage}/{source.id}"
    infos = root.objects.walk(place)
    return {info.key.removeprefix(f"{place}/").removesuffix(".json"): info.version for info in infos}


def _read_days(root: Root, source: Source, days: Sequence[str]) -> dict[str, Day]:
    """Outputs of days, empty where a stage has not done one."""
    keys = [f"{source.id}/{day}" for day in days]
    root.ledger.fetch(STAGES, keys)
    try:
        outputs = [(root.ledger.output("histograms", key), root.ledger.output("clips", key)) for key in keys]
    finally:
        root.ledger.forget()
    return dict(zip(days, outputs, strict=True))


def read_records(root: Root, source: Source) -> tuple[dict[str, MonthRecord], dict[str, str]]:
    """The newest record of each month; and what is wrong with those that cannot be read."""
    place = f"{FOLDER}/{source.id}/{open_store(root, source).spec.name}"
    newest: dict[str, int] = {}
    for info in root.objects.walk(place):
        month, _, name = info.key.removeprefix(f"{place}/").partition("/")
        stem = name.removesuffix(".json")
        if name.endswith(".json") and stem.isdigit():
            newest[month] = max(newest.get(month, 0), int(stem))
    keys = {month: f"{place}/{month}/{number}.json" for month, number in sorted(newest.items())}
    records, damaged = {}, {}
    for (month, key), data in zip(keys.items(), root.objects.get_many(keys.values()), strict=True):
        try:
            records[month] = _parse(key, data)
        except DamagedError as error:
            damaged[month] = str(error)
    return records, damaged


def is_whole(record: MonthRecord, days: Mapping[str, Day]) -> bool:
    """Whether a month was made of what its days are now."""
    return record.contract == CONTRACT and dict(record.days) == dict(days)


def update_cells(
    root: Root, source: Source, lease: Lease | None = None, anew: bool = False, say: Say = lambda _: None
) -> Copied:
    """Makes the months that are missing or stale (all of them with ``anew``), each seen as soon as it is whole.

    Raises:
        LeaseLostError: another run took over; it does the rest.
        DamagedError: histograms that it would be made of are damaged; months before are there.
    """
    records, damaged = read_records(root, source)
    wanted = wanted_months(root, source, records)
    made, kept, written = [], [], 0
    for name, month in wanted.items():
        if not anew and name in records and is_whole(records[name], month.days):
            _note_seen(root, records[name], month, lease)
            kept.append(name)
            continue
        record = _make(root, source, name, month, lease)
        made.append(name)
        written += record.size
        say(f"{source.id} {name}: {len(month.days)} days, {record.pictures} pictures, {record.size / 1e6:.1f} MB")
    return Copied(tuple(made), tuple(kept), written, damaged)


def _note_seen(root: Root, record: MonthRecord, wanted: Wanted, lease: Lease | None) -> None:
    """The ledger's objects were written again and say the same, or the root was copied: searches need not read them."""
    if dict(record.seen) != wanted.seen:
        if lease is not None:
            root.leases.check(lease)
        put_record(root, replace(record, number=record.number + 1, seen=wanted.seen))


def _make(root: Root, source: Source, name: str, wanted: Wanted, lease: Lease | None) -> MonthRecord:
    month, store = Month.of(source, name), open_store(root, source)
    arrays = copy_month(root, store, month, _counted(root, source, wanted.days))
    record = MonthRecord(
        source.id, store.spec.name, name, 0, "", wanted.days, 0, int(arrays.present.sum()),
        int((arrays.clips[:, 0] > 0).sum()), wanted.seen,
    )  # fmt: skip
    digest = fingerprint_of(contract=CONTRACT, layout=record.layout, month=name, arrays=arrays.digest)
    folder = f"{record.place}/{digest}.zarr"
    size = write_month(root, folder, month, store, arrays)
    if read_month(root, folder, month, store).digest != arrays.digest:
        raise DamagedError(f"{root.url}/{folder}: other content came back than was written; check the disk")
    if lease is not None:
        root.leases.check(lease)
    number = max(_numbers(root, record.place), default=0) + 1
    made = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    record = replace(record, number=number, digest=digest, size=size, created=made)
    put_record(root, record)
    return record


def put_record(root: Root, record: MonthRecord) -> None:
    """Publishes a month.

    Raises:
        RefusedError: another run took the number meanwhile.
    """
    key = f"{record.place}/{record.number}.json"
    if not root.objects.put_if_absent(key, json.dumps(asdict(record)).encode()):
        raise RefusedError(f"{key} was published by another run meanwhile")


def _counted(root: Root, source: Source, days: Mapping[str, Day]) -> dict[date, tuple[int, bool]]:
    found = {}
    for day, (output, clips) in days.items():
        entry = root.ledger.get("histograms", f"{source.id}/{day}")
        if entry is None or entry.output != output:
            raise LeaseLostError(f"histograms of {source.id}/{day} were made anew meanwhile; run it again")
        found[date.fromisoformat(day)] = (entry.counts.get("pictures", 0), bool(clips))
    return found


def verify_month(root: Root, source: Source, record: MonthRecord) -> None:
    """Reads a month through.

    Raises:
        DamagedError: it is not what its record names.
    """
    month, store = Month.of(source, record.month), open_store(root, source)
    found = read_month(root, record.folder, month, store).digest
    if (
        fingerprint_of(contract=record.contract, layout=record.layout, month=record.month, arrays=found)
        != record.digest
    ):
        raise DamagedError(f"{root.url}/{record.folder}: other content than record {record.number} names, or gone")


def cells_stats(root: Root, source: Source) -> dict[str, Any]:
    """What there is of a copy, and what is due, as JSON values."""
    store, area = open_store(root, source), source.area
    records, damaged = read_records(root, source)
    wanted = wanted_months(root, source, records)
    edges = cell_edges(store.spec, area.rows, area.columns, area.title_rows)
    grid, geography = GridEdges(*edges, (area.rows, area.columns)), source.geography
    slots = sum(record.pictures for record in records.values()) / max(1, len(source.satellite.channels))
    size = sum(record.size for record in records.values())
    return {
        "source": source.id,
        "layout": store.spec.name,
        "months": len(records),
        "clips": sum(record.clips for record in records.values()),
        "bytes": size,
        "bytes_per_full_day": size / slots * source.satellite.axis.slots_per_day if slots else 0.0,
        "stale": [name for name, month in wanted.items()
                  if name in records and not is_whole(records[name], month.days)],
        "missing": [name for name in wanted if name not in records and name not in damaged],
        "damaged": sorted(damaged),
        "regions": {name: {"title": region.title, "cells": _cells_of(geography, name, grid)}
                    for name, region in geography.regions.items()},
    }  # fmt: skip


def _cells_of(geography: Geography, name: str, grid: GridEdges) -> int:
    try:
        return len(geography.region_cells(name, grid))
    except UsageError:
        return 0  # finer than this grid


def remove_spent(root: Root, source: Source, lease: Lease) -> None:
    """Removes what `spent_cells` tells of, under the lease; a search that is reading one of these says so."""
    for key, _ in list(spent_cells(root, source)):
        root.leases.check(lease)
        below = [info.key for info in root.objects.walk(key)]
        for name in below or [key]:
            root.objects.delete(name)
        root.objects.prune(key)


def spent_cells(root: Root, source: Source) -> Iterator[tuple[str, str]]:
    """(key or folder, why) of what nobody needs: all but the newest of each month, and what kills left.

    Whoever asks holds the lease.
    """
    place = f"{FOLDER}/{source.id}"
    for layout in root.objects.names(place):
        for month in root.objects.names(f"{place}/{layout}"):
            yield from _spent_of(root, f"{place}/{layout}/{month}")


def _spent_of(root: Root, place: str) -> Iterator[tuple[str, str]]:
    numbers = _numbers(root, place)
    try:
        newest = _parse(f"{place}/{max(numbers)}.json", root.objects.get(f"{place}/{max(numbers)}.json"))
    except ValueError:
        newest = None
    except DamagedError:
        return  # nobody can say what it needs
    for number in sorted(numbers):
        if newest is None or number != newest.number:
            yield f"{place}/{number}.json", "a newer one took its place"
    for name in root.objects.names(place):
        if name.endswith(".zarr") and (newest is None or name != f"{newest.digest}.zarr"):
            yield f"{place}/{name}", "no record that is needed has it"


def _numbers(root: Root, place: str) -> list[int]:
    stems = (name.removesuffix(".json") for name in root.objects.names(place) if name.endswith(".json"))
    return [int(stem) for stem in stems if stem.isdigit()]


def _parse(key: str, data: bytes | None) -> MonthRecord:
    if data is None:
        raise DamagedError(f"{key}: gone")
    try:
        fields: dict[str, Any] = json.loads(data)
        pairs = {name: {day: (str(a), str(b)) for day, (a, b) in fields[name].items()} for name in ("days", "seen")}
        return MonthRecord(**{**fields, **pairs})
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise DamagedError(f"{key} is damaged ({error}); `wxpipe cells build` makes the month again") from error


def require_records(root: Root, source: Source) -> tuple[dict[str, MonthRecord], dict[str, str]]:
    """As `read_records`.

    Raises:
        NotFoundError: there is no copy of the source at all.
    """
    records, damaged = read_records(root, source)
    if not records and not damaged:
        raise NotFoundError(
            f"{root.url} has no cell-major copy of {source.id}, which searches by cells and regions read; "
            f"`wxpipe cells build --satellite {source.id}` makes it"
        )
    return records, damaged
