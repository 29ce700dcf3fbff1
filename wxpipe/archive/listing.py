"""Lists an archive into the inventory, by names alone: columns that grow, a month compared and written at a time.

A file costs as many bytes as its row, so that eight million stand in a gigabyte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wxpipe.archive.inventory import SCHEMA, UNPARSED, UNPARSED_SCHEMA, Month, month_key, read_table
from wxpipe.errors import NotFoundError, RefusedError
from wxpipe.satellites.names import NO_GRAMMAR, Named, NameReader
from wxpipe.satellites.satellite import Satellite
from wxpipe.store.objects import ObjectInfo, Objects
from wxpipe.store.quarantine import Record
from wxpipe.store.root import Root
from wxpipe.store.stage import fingerprint_of
from wxpipe.store.tables import RowDigests, get_table, put_table

CANNOT_BE_LISTED = "cannot be listed"
BATCH = 512
"""Rows of a month that wait as Python's objects until they become a block of columns."""
ORDER = [("slot", "ascending"), ("channel", "ascending"), ("path", "ascending")]


@dataclass(frozen=True)
class ScanCounts:
    """What a scan found: files by source, and those that belong to none.

    Attributes:
        recorded: rows of the whole inventory now, vanished files among them.
        unparsed: files that no grammar reads, or that say what cannot be.
        unlistable: files and folders that could not be looked at; they are not among those listed.
        put_aside: the unlistable, and the files that say what cannot be. What no grammar knows is none of ours.
        digest: of the whole inventory, whatever the Parquet files' pages and times of writing are.
    """

    listed: int
    recorded: int
    by_source: dict[str, int]
    unparsed: int
    unconfigured: int
    unlistable: int
    vanished: int
    changed_months: int
    put_aside: tuple[Record, ...]
    digest: str


class Columns:
    """A table that grows by rows: the newest are tuples, the others blocks of columns."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._rows: list[tuple[Any, ...]] = []
        self._blocks: list[pa.RecordBatch] = []

    def append(self, row: tuple[Any, ...]) -> None:
        """Adds a row, its values in the schema's order."""
        self._rows.append(row)
        if len(self._rows) >= BATCH:
            self._settle()

    def _settle(self) -> None:
        if self._rows:
            arrays = [pa.array(values, kind) for values, kind in zip(zip(*self._rows, strict=True), self._schema.types,
                                                                      strict=True)]  # fmt: skip
            self._blocks.append(pa.record_batch(arrays, schema=self._schema))
            self._rows = []

    def table(self) -> pa.Table:
        self._settle()
        return pa.Table.from_batches(self._blocks, self._schema)


@dataclass
class Listing:
    """What an archive lists, told apart by name; months by source and ``YYYY-MM``."""

    months: dict[tuple[str, str], Columns] = field(default_factory=dict)
    unnamed: Columns = field(default_factory=lambda: Columns(UNPARSED_SCHEMA))
    listed: int = 0

    def unlistable(self, path: str, error: OSError) -> None:
        self.unnamed.append((_spelled(path), 0, "unlistable", f"{CANNOT_BE_LISTED}: {error.strerror}"))

    def nameless(self, info: ObjectInfo, kind: str, reason: str) -> None:
        self.unnamed.append((_spelled(info.key), info.size, kind, reason))

    def named(self, info: ObjectInfo, named: Named, month: str) -> None:
        key = (named.source, month)
        into = self.months.get(key)
        if into is None:
            into = self.months[key] = Columns(SCHEMA)
        into.append((info.key, info.size, info.version, named.channel, named.time, named.slot, False))


@dataclass
class _Recorded:
    """What the inventory holds when the months have been gone through."""

    rows: int = 0
    elsewhere: int = 0
    vanished: int = 0
    changed: int = 0
    digests: dict[str, str] = field(default_factory=dict)
    by_source: dict[str, int] = field(default_factory=dict)


def scan_archive(
    archive: Objects,
    root: Root,
    reader: NameReader,
    progress: Callable[[int], None],
    satellites: Mapping[str, Satellite],
    within: Sequence[str] = ("",),
) -> ScanCounts:
    """Lists an archive into the root's inventory; months without a difference are not written again.

    The root adopts those of the ``satellites`` that files were found of.

    A file that was listed before and is not there now is kept, as vanished: nothing is erased by an absence.

    Args:
        within: only these folders, none inside another; of all else the inventory stays what it was, and is counted
            as it was. Everything by default.

    Raises:
        RefusedError: the archive lists no file at all (is it mounted?).
    """
    listing = _list(archive, reader, progress, within)
    elsewhere = _unnamed_elsewhere(root, within)
    unnamed = pa.concat_tables([listing.unnamed.table(), elsewhere]).sort_by("path")
    if not listing.listed and not (any(within) and archive.names()):
        _refuse_empty(archive, root, unnamed)
    seen = {source.rsplit("-", 1)[0] for source, _ in listing.months}
    root.adopt({name: satellite for name, satellite in satellites.items() if name in seen})
    found = _Recorded()
    for source, month in sorted({*listing.months, *known_months(root)}):
        columns = listing.months.pop((source, month), None)  # let go of as soon as it is written
        listed = columns.table() if columns is not None else SCHEMA.empty_table()
        _record(root, source, month, listed, within, found)
    _put_if_different(root, UNPARSED, unnamed)
    kinds = {row["values"]: row["counts"] for row in pc.value_counts(unnamed["kind"]).to_pylist()}
    return ScanCounts(
        listing.listed + found.elsewhere + _listable(elsewhere), found.rows, found.by_source,
        kinds.get("unparsed", 0), kinds.get("unconfigured", 0), kinds.get("unlistable", 0), found.vanished,
        found.changed, _put_aside(unnamed), inventory_digest(found.digests, unnamed),
    )  # fmt: skip


def _list(
    archive: Objects, reader: NameReader, progress: Callable[[int], None], within: Sequence[str] = ("",)
) -> Listing:
    listing = Listing()
    for info in (info for folder in within for info in archive.walk(folder, listing.unlistable)):
        listing.listed += 1
        if listing.listed % 1000 == 0:
            progress(listing.listed)
        named = reader.read(info.key)
        if not isinstance(named, Named):
            listing.nameless(info, named.kind, named.reason)
        elif not info.key.isascii() and _spelled(info.key) != info.key:
            listing.nameless(info, "unparsed", "the path is not UTF-8")
        else:
            listing.named(info, named, _month(reader, named.source, named.slot))
    progress(listing.listed)
    return listing


def _record(root: Root, source: str, month: str, listed: pa.Table, within: Sequence[str], found: _Recorded) -> None:
    """Brings one month up to what was listed of it; what was known and is not listed stays, as vanished."""
    before = read_table(root, source, month)
    inside = _inside(before["path"], within)
    kept, gone = before.filter(pc.invert(inside)), _gone(before.filter(inside), listed)
    table = pa.concat_tables([listed, gone, kept]).combine_chunks().sort_by(ORDER)
    if not table.equals(before):
        put_table(root.objects, month_key(source, month), table)
        found.changed += 1
    found.rows += len(table)
    there = len(kept) - (pc.sum(kept["vanished"]).as_py() or 0)
    found.elsewhere += there
    found.vanished += len(gone) + len(kept) - there
    found.by_source[source] = found.by_source.get(source, 0) + len(listed) + there
    found.digests[f"{source}/{month}"] = Month(table).digest()


def _gone(before: pa.Table, listed: pa.Table) -> pa.Table:
    """What was recorded of a month and is not listed now, as vanished."""
    if not len(before):
        return before
    lost = before.filter(pc.invert(pc.is_in(before["path"], listed["path"].combine_chunks())))
    vanished = pa.array([True] * len(lost), pa.bool_())
    return lost.set_column(SCHEMA.get_field_index("vanished"), SCHEMA.field("vanished"), vanished)


def _inside(paths: pa.ChunkedArray, folders: Sequence[str]) -> pa.ChunkedArray | pa.Array:
    """Which paths lie in one of some folders."""
    inside = pa.array(np.full(len(paths), "" in folders))
    for folder in folders:
        if folder:
            inside = pc.or_(inside, pc.starts_with(paths, f"{folder}/"))
    return inside


def _unnamed_elsewhere(root: Root, within: Sequence[str]) -> pa.Table:
    """Files of no source that are recorded and lie in none of the folders that are listed."""
    try:
        recorded = get_table(root.objects, UNPARSED)
    except NotFoundError:
        return UNPARSED_SCHEMA.empty_table()
    return recorded.filter(pc.invert(_inside(recorded["path"], within)))


def _put_aside(unnamed: pa.Table) -> tuple[Record, ...]:
    """What belongs into quarantine: what could not be looked at, and names that say what cannot be."""
    found = []
    for row in unnamed.filter(pc.not_equal(unnamed["reason"], NO_GRAMMAR)).to_pylist():
        if row["kind"] == "unlistable":
            why = row["reason"].removeprefix(f"{CANNOT_BE_LISTED}: ")
            found.append(Record(row["path"], CANNOT_BE_LISTED, "a file or folder that may be", why))
        elif row["kind"] == "unparsed":
            found.append(Record(row["path"], "impossible name", "a channel and a time that can be", row["reason"]))
    return tuple(found)


def _listable(unnamed: pa.Table) -> int:
    return len(unnamed) - (pc.sum(pc.equal(unnamed["kind"], "unlistable")).as_py() or 0)


def inventory_digest(months: Mapping[str, str], unnamed: pa.Table) -> str:
    """Digest of an inventory: of its months' digests by ``<source>/<month>``, and of the rows of no source."""
    return fingerprint_of(months=dict(months), unparsed=RowDigests(unnamed).of())


def recorded_digest(root: Root) -> str:
    """The `inventory_digest` of what is recorded, read anew."""
    months = {
        f"{source}/{month}": Month(read_table(root, source, month)).digest() for source, month in known_months(root)
    }
    try:
        unnamed = get_table(root.objects, UNPARSED)
    except NotFoundError:
        unnamed = UNPARSED_SCHEMA.empty_table()
    return inventory_digest(months, unnamed)


def _put_if_different(root: Root, key: str, table: pa.Table) -> None:
    try:
        if get_table(root.objects, key).equals(table):
            return
    except NotFoundError:
        pass
    put_table(root.objects, key, table)


def known_months(root: Root) -> Iterator[tuple[str, str]]:
    """(source, ``YYYY-MM``) of everything that was ever recorded."""
    for source in root.objects.names("inventory"):
        if "." not in source:
            for name in root.objects.names(f"inventory/{source}"):
                yield source, name.removesuffix(".parquet")


def _refuse_empty(archive: Objects, root: Root, unnamed: pa.Table) -> None:
    holds = f", and the inventory of {root.url} holds some" if any(True for _ in known_months(root)) else ""
    why = "".join(f"; {row['path'] or 'it'} {row['reason']}" for row in unnamed.slice(0, 3).to_pylist())
    raise RefusedError(
        f"archive {archive.url} lists no files{holds}{why}; is the archive mounted, and is this its path?"
    )


def _spelled(path: str) -> str:
    """A path that can be written down: bytes that are no UTF-8 are shown as ``\\xff``."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@lru_cache(maxsize=4096)
def _month(reader: NameReader, source: str, slot: int) -> str:
    return f"{reader.axis(source).day(slot):%Y-%m}"
