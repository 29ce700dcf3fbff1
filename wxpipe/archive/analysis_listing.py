"""An archive's listing as columns, by names alone: from a walk of the archive, or from a root's inventory.

A file costs 13 bytes, whatever its name; of files that no satellite is known for, counts and a few examples are kept.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc

from wxpipe.archive.analysis import Columns
from wxpipe.archive.inventory import UNPARSED, read_table
from wxpipe.errors import NotFoundError, RefusedError
from wxpipe.satellites.catalog import Source, find_source
from wxpipe.satellites.names import Named, NameReader
from wxpipe.satellites.satellite import Satellite
from wxpipe.store.objects import Objects
from wxpipe.store.root import Root
from wxpipe.store.tables import get_table

EXAMPLES = 3
GROUPS = 500
"""Most groups of unread names that are told apart: an archive may hold a million names of a million forms."""
OTHER = "other forms of names"


@dataclass
class Group:
    """Files that are in no source for one reason, and whose names have one form."""

    kind: str
    reason: str
    form: str
    files: int = 0
    bytes: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, path: str, size: int) -> None:
        self.files += 1
        self.bytes += size
        if len(self.examples) < EXAMPLES:
            self.examples.append(path)


@dataclass
class Listing:
    """What an archive lists, told apart by name."""

    url: str
    listed: int = 0
    columns: dict[str, tuple[Source, Columns]] = field(default_factory=dict)
    groups: dict[tuple[str, str, str], Group] = field(default_factory=dict)

    def unread(self, path: str, size: int, kind: str, reason: str) -> None:
        path = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        if kind == "unparsed":
            reason = re.sub(r"'[^']*'|\d[\d:TZ-]{9,}Z", "…", reason, count=1)
        form = re.sub(r"\d+", "#", path.rpartition("/")[2])
        key = (kind, reason, form)
        if key not in self.groups and len(self.groups) >= GROUPS:
            key = (kind, reason, OTHER)
        self.groups.setdefault(key, Group(*key)).add(path, size)

    def unlistable(self, path: str, error: OSError) -> None:
        self.unread(path, 0, "unlistable", f"cannot be listed: {error.strerror}")

    def count(self, kind: str) -> int:
        return sum(group.files for group in self.groups.values() if group.kind == kind)

    def common(self) -> list[Group]:
        """Groups by how many files they have, the most first."""
        return sorted(self.groups.values(), key=lambda group: (-group.files, group.reason, group.form))


class _Growing:
    """One source's columns while the archive is walked."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.number = {name: n for n, name in enumerate(source.satellite.channels)}
        self.slots, self.channels, self.sizes = array("i"), array("B"), array("q")

    def columns(self) -> Columns:
        return Columns(
            np.frombuffer(self.slots, np.int32),
            np.frombuffer(self.channels, np.uint8),
            np.frombuffer(self.sizes, np.int64),
        )


def list_names(archive: Objects, satellites: Mapping[str, Satellite], progress: Callable[[int], None]) -> Listing:
    """Walks an archive once; writes nothing.

    Raises:
        RefusedError: the archive lists no file at all.
    """
    reader, listing = NameReader(satellites.values()), Listing(archive.url)
    growing: dict[str, _Growing] = {}
    for info in archive.walk(on_error=listing.unlistable):
        listing.listed += 1
        if listing.listed % 10_000 == 0:
            progress(listing.listed)
        named = reader.read(info.key)
        if not isinstance(named, Named):
            listing.unread(info.key, info.size, named.kind, named.reason)
            continue
        into = growing.get(named.source)
        if into is None:
            into = growing[named.source] = _Growing(find_source(satellites, named.source))
        into.slots.append(named.slot)
        into.channels.append(into.number[named.channel])
        into.sizes.append(info.size)
    progress(listing.listed)
    if not listing.listed:
        raise RefusedError(f"archive {archive.url} lists no files; is the archive mounted, and is this its path?")
    listing.columns = {name: (grown.source, grown.columns()) for name, grown in sorted(growing.items())}
    return listing


def list_inventory(root: Root, archive: str) -> Listing:
    """What a root's last scan recorded, without the files that have vanished: no archive is walked again."""
    listing = Listing(archive)
    for source in root.sources:
        months = [name.removesuffix(".parquet") for name in root.objects.names(f"inventory/{source.id}")]
        parts = [_inventory_columns(root, source, month) for month in months]
        columns = Columns(
            np.concatenate([part.slots for part in parts] or [np.empty(0, np.int32)]),
            np.concatenate([part.channels for part in parts] or [np.empty(0, np.uint8)]),
            np.concatenate([part.sizes for part in parts] or [np.empty(0, np.int64)]),
        )
        if len(columns.slots):
            listing.columns[source.id] = (source, columns)
            listing.listed += len(columns.slots)
    try:
        unread = get_table(root.objects, UNPARSED).to_pylist()
    except NotFoundError:
        unread = []
    for row in unread:
        listing.unread(row["path"], row["size"], row["kind"], row["reason"])
        listing.listed += row["kind"] != "unlistable"
    return listing


def _inventory_columns(root: Root, source: Source, month: str) -> Columns:
    table = read_table(root, source.id, month)
    table = table.filter(pc.invert(table["vanished"]))
    names = table["channel"].combine_chunks().dictionary_encode()
    number = {name: n for n, name in enumerate(source.satellite.channels)}
    numbers = np.array([number[name] for name in names.dictionary.to_pylist()], np.uint8)
    return Columns(
        table["slot"].to_numpy().astype(np.int32),
        numbers[names.indices.to_numpy()],
        table["size"].to_numpy().astype(np.int64),
    )
