"""The inventory: every raw file that was ever listed, by source and month. Listing alone; nothing is decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wxpipe.errors import NotFoundError, RefusedError
from wxpipe.satellites.names import NO_GRAMMAR, Named, NameReader
from wxpipe.satellites.satellite import Satellite
from wxpipe.store.objects import ObjectInfo, Objects
from wxpipe.store.quarantine import Record
from wxpipe.store.root import Root
from wxpipe.store.tables import get_table, table_bytes

SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("version", pa.string()),  # modification time (ns) or ETag
        ("channel", pa.string()),
        ("time", pa.timestamp("us", "UTC")),
        ("slot", pa.int32()),
        ("vanished", pa.bool_()),  # listed once, not there at the last scan
    ]
)
UNPARSED_SCHEMA = pa.schema(
    [("path", pa.string()), ("size", pa.int64()), ("kind", pa.string()), ("reason", pa.string())]
)
UNPARSED = "inventory/unparsed.parquet"


@dataclass(frozen=True, order=True)
class RawFile:
    """One row of the inventory."""

    slot: int
    channel: str
    path: str
    size: int
    version: str
    time: datetime
    vanished: bool = False


@dataclass(frozen=True)
class ScanCounts:
    """What a scan found: files by source, and those that belong to none.

    Attributes:
        unparsed: files that no grammar reads, or that say what cannot be.
        unlistable: files and folders that could not be looked at; they are not among those listed.
        put_aside: the unlistable, and the files that say what cannot be. What no grammar knows is none of ours.
    """

    listed: int
    by_source: dict[str, int]
    unparsed: int
    unconfigured: int
    unlistable: int
    vanished: int
    changed_months: int
    put_aside: tuple[Record, ...]


def scan_archive(
    archive: Objects,
    root: Root,
    reader: NameReader,
    progress: Callable[[int], None],
    satellites: Mapping[str, Satellite],
) -> ScanCounts:
    """Lists an archive into the root's inventory; months without a difference are not written again.

    The root adopts those of the ``satellites`` that files were found of.

    A file that was listed before and is not there now is kept, as vanished: nothing is erased by an absence.

    Raises:
        RefusedError: the archive lists no file at all (is it mounted?).
    """
    listing = _list(archive, reader, progress)
    _refuse_empty(archive, root, listing)
    months, unnamed = listing.months, listing.unnamed
    seen = {source.rsplit("-", 1)[0] for source, _ in months}
    root.adopt({name: satellite for name, satellite in satellites.items() if name in seen})
    vanished = changed = 0
    for key in sorted({*months, *_known_months(root)}):
        rows = months.get(key, [])
        gone = _gone(read_table(root, *key), rows)
        vanished += len(gone)
        table = _table(sorted([*rows, *gone], key=attrgetter("slot", "channel", "path")))
        changed += _write_if_changed(root, f"inventory/{key[0]}/{key[1]}.parquet", table)
    _write_if_changed(root, UNPARSED, pa.Table.from_pylist(sorted(unnamed, key=lambda r: r["path"]), UNPARSED_SCHEMA))
    by_source: dict[str, int] = {}
    for (source, _), rows in sorted(months.items()):
        by_source[source] = by_source.get(source, 0) + len(rows)
    kinds = [row["kind"] for row in unnamed]
    return ScanCounts(
        listing.listed, by_source, kinds.count("unparsed"), kinds.count("unconfigured"), kinds.count("unlistable"),
        vanished, changed, tuple(listing.put_aside),
    )  # fmt: skip


@dataclass
class _Listing:
    """What an archive lists, told apart by name."""

    months: dict[tuple[str, str], list[RawFile]] = field(default_factory=dict)
    unnamed: list[dict[str, Any]] = field(default_factory=list)
    put_aside: list[Record] = field(default_factory=list)
    listed: int = 0

    def unlistable(self, path: str, error: OSError) -> None:
        path, reason = _spelled(path), f"cannot be listed: {error.strerror}"
        self.unnamed.append({"path": path, "size": 0, "kind": "unlistable", "reason": reason})
        self.put_aside.append(Record(path, "cannot be listed", "a file or folder that may be", str(error.strerror)))

    def nameless(self, info: ObjectInfo, kind: str, reason: str) -> None:
        path = _spelled(info.key)
        self.unnamed.append({"path": path, "size": info.size, "kind": kind, "reason": reason})
        if kind == "unparsed" and reason != NO_GRAMMAR:
            self.put_aside.append(Record(path, "impossible name", "a channel and a time that can be", reason))


def _list(archive: Objects, reader: NameReader, progress: Callable[[int], None]) -> _Listing:
    listing = _Listing()
    for info in archive.walk(on_error=listing.unlistable):
        listing.listed += 1
        if listing.listed % 1000 == 0:
            progress(listing.listed)
        named = reader.read(info.key)
        if not isinstance(named, Named):
            listing.nameless(info, named.kind, named.reason)
        elif not info.key.isascii() and _spelled(info.key) != info.key:
            listing.nameless(info, "unparsed", "the path is not UTF-8")
        else:
            month = _month(reader, named.source, named.slot)
            listing.months.setdefault((named.source, month), []).append(_raw(info, named))
    progress(listing.listed)
    return listing


def _spelled(path: str) -> str:
    """A path that can be written down: bytes that are no UTF-8 are shown as ``\\xff``."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@lru_cache(maxsize=4096)
def _month(reader: NameReader, source: str, slot: int) -> str:
    return f"{reader.axis(source).day(slot):%Y-%m}"


def _raw(info: ObjectInfo, named: Named) -> RawFile:
    return RawFile(named.slot, named.channel, info.key, info.size, info.version, named.time)


def _gone(before: pa.Table, rows: Iterable[RawFile]) -> list[RawFile]:
    """What was recorded of a month and is not listed now, as vanished."""
    there = {row.path for row in rows}
    lost = [path not in there for path in before["path"].to_pylist()]
    return [_vanished(row) for row in _rows(before.filter(pa.array(lost, pa.bool_())))] if any(lost) else []


def _vanished(row: RawFile) -> RawFile:
    return RawFile(row.slot, row.channel, row.path, row.size, row.version, row.time, vanished=True)


def _refuse_empty(archive: Objects, root: Root, listing: _Listing) -> None:
    if not listing.listed:
        holds = f", and the inventory of {root.url} holds some" if _known_months(root) else ""
        why = "".join(f"; {row['path'] or 'it'} {row['reason']}" for row in listing.unnamed[:3])
        raise RefusedError(
            f"archive {archive.url} lists no files{holds}{why}; is the archive mounted, and is this its path?"
        )


def _known_months(root: Root) -> list[tuple[str, str]]:
    sources = [name for name in root.objects.names("inventory") if "." not in name]
    return [
        (source, name.removesuffix(".parquet"))
        for source in sources
        for name in root.objects.names(f"inventory/{source}")
    ]


def _table(rows: Iterable[RawFile]) -> pa.Table:
    columns = {name: [getattr(row, name) for row in rows] for name in SCHEMA.names} if (rows := list(rows)) else {}
    return pa.table(columns, schema=SCHEMA) if columns else SCHEMA.empty_table()


def _write_if_changed(root: Root, key: str, table: pa.Table) -> int:
    data = table_bytes(table)
    try:
        if root.objects.get(key) == data:
            return 0
    except NotFoundError:
        pass
    root.objects.put(key, data)
    return 1


def read_table(root: Root, source: str, month: str) -> pa.Table:
    """One month of a source's inventory (`SCHEMA`), sorted by slot, channel, path; empty where there is none."""
    try:
        return get_table(root.objects, f"inventory/{source}/{month}.parquet")
    except NotFoundError:
        return SCHEMA.empty_table()


def read_month(root: Root, source: str, month: str) -> list[RawFile]:
    """One month of a source's inventory, in order."""
    return _rows(read_table(root, source, month))


def _rows(table: pa.Table) -> list[RawFile]:
    return [
        RawFile(r["slot"], r["channel"], r["path"], r["size"], r["version"], r["time"].astimezone(UTC), r["vanished"])
        for r in table.to_pylist()
    ]


class Inventory:
    """The inventory of one source, read a month at a time, for planning and ingest."""

    def __init__(self, root: Root, source: str) -> None:
        self._root, self.source = root, source
        self.axis = root.source(source).satellite.axis
        self._month = lru_cache(maxsize=6)(lambda month: read_table(root, source, month))

    def months(self) -> list[str]:
        return [n.removesuffix(".parquet") for n in self._root.objects.names(f"inventory/{self.source}")]

    def span(self) -> tuple[int, int] | None:
        """First and last slot that any file was ever listed for; None for an empty inventory."""
        months = self.months()
        if not months:
            return None
        first, last = self._month(months[0])["slot"], self._month(months[-1])["slot"]
        return int(first[0].as_py()), int(last[-1].as_py())

    def days(self) -> list[date]:
        """Every day from the first to the last file: a day without files is one too."""
        span = self.span()
        if span is None:
            return []
        first, last = self.axis.day(span[0]), self.axis.day(span[1])
        return [first + timedelta(days=n) for n in range((last - first).days + 1)]

    def between(self, start: int, stop: int) -> list[RawFile]:
        """Files of the slots [start, stop), within one day."""
        table = self._month(f"{self.axis.day(start):%Y-%m}")
        slots = table["slot"].to_numpy()
        low, high = np.searchsorted(slots, [start, stop])
        return _rows(table.slice(int(low), int(high - low)))

    def day(self, day: date) -> list[RawFile]:
        slots = self.axis.day_slots(day)
        return self.between(slots.start, slots.stop)

    def count_day(self, day: date) -> int:
        slots = self.axis.day_slots(day)
        low, high = np.searchsorted(self._month(f"{day:%Y-%m}")["slot"].to_numpy(), [slots.start, slots.stop])
        return int(high - low)

    def before(self, day: date) -> list[RawFile]:
        """Files of the last slot of the previous day: a stale copy may reach across midnight."""
        start = self.axis.day_start(day)
        return self.between(start - 1, start) if start else []

    def month_digest(self, month: str) -> str:
        """Digest of a month without what tells one writing of a file from another: a copy of an archive is the same."""
        return rows_digest(replace(row, version="") for row in _rows(self._month(month)))

    def count(self) -> dict[str, int]:
        """Files recorded, and how many of them have vanished."""
        files = vanished = 0
        for month in self.months():
            table = read_table(self._root, self.source, month)
            files += len(table)
            vanished += pc.sum(table["vanished"]).as_py() or 0
        return {"files": files, "vanished": vanished}


def inventory_of(root: Root, source: str) -> Inventory:
    """The inventory of a source, kept with the opened root: a plan asks it for thousands of days."""
    key = ("inventory", source)
    if key not in root.memo:
        root.memo[key] = Inventory(root, source)
    inventory: Inventory = root.memo[key]
    return inventory


def rows_digest(rows: Iterable[RawFile]) -> str:
    """Digest of rows of the inventory, as a fingerprint needs it."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(
            f"{row.slot} {row.channel} {row.path} {row.size} {row.version} {row.time} {row.vanished}\n".encode()
        )
    return digest.hexdigest()[:32]
