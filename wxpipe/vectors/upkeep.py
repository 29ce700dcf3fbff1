"""Upkeep of the tables: small fragments put together, the index extended, versions that no release names removed.

Readers stay at their release's version, so upkeep publishes what it made as a new release over the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from wxpipe.errors import WxpipeError
from wxpipe.store.leases import Lease
from wxpipe.store.root import Root
from wxpipe.store.writepoints import write_point
from wxpipe.vectors.build import publish
from wxpipe.vectors.content import table_digest
from wxpipe.vectors.index import EXACT_BELOW, ensure_index, extend_index
from wxpipe.vectors.records import (
    Part,
    ReleaseRecord,
    TableVersion,
    current_number,
    list_releases,
    newest_release,
    now,
    promote,
    release_numbers,
    tag_of,
)
from wxpipe.vectors.tables import FOLDER, SPECS, connect, open_table, steering_lance
from wxpipe.vectors.writes import at_version


@dataclass(frozen=True)
class Upkeep:
    """What upkeep came to; ``release`` is the new one's number, None where nothing had to be put together."""

    release: int | None
    fragments_before: int
    fragments_after: int
    versions_removed: int
    bytes_removed: int


@steering_lance()
def maintain(root: Root, *, lease: Lease | None = None, exact_below: int = EXACT_BELOW) -> Upkeep:
    """Puts the newest release's tables in order; drops tables, tags and versions that belong to no release.

    Where the newest release was current, the one that follows it is promoted. The caller holds the lease of `build`:
    Lance allows no compaction, indexing and writing at once.

    Raises:
        WxpipeError: rows are not what the release names; nothing is published or removed.
    """
    _drop_orphans(root)
    base = newest_release(root)
    if base is None:
        return Upkeep(None, 0, 0, 0, 0)
    before = _fragments(root, base)
    parts = tuple(_tidy(root, part, exact_below) for part in base.parts)
    last = base
    if parts != base.parts:
        number = max(release_numbers(root)) + 1
        last = replace(base, number=number, parts=parts, created=now(), follows=base.number)
        publish(root, last, lease)
        if current_number(root) == base.number:
            promote(root, number)
    removed = [_clean(root, name) for name in sorted(_named(list_releases(root)))]
    versions, size = (sum(pair[i] for pair in removed) for i in (0, 1))
    return Upkeep(None if last is base else last.number, before, _fragments(root, last), versions, size)


def _tidy(root: Root, part: Part, exact_below: int) -> Part:
    """A model's tables put in order, checked to hold the same rows; the same part where that changed nothing."""
    versions = {}
    for spec in SPECS.values():
        there = part.tables[spec.name]
        table = at_version(root, there.table, there.version)
        started = table.version
        _compact(table)
        extend_index(table)
        versions[spec.name] = there
        if table.version == started:
            continue
        digest = table_digest(table, spec)
        if digest != there.digest:
            raise WxpipeError(
                f"table {table.name}: compaction changed its rows (expected {there.digest}, found {digest}); nothing "
                "was published and the release before still serves; keep the table for inspection"
            )
        index = ensure_index(table, there.rows, exact_below)
        versions[spec.name] = TableVersion(table.name, table.version, there.rows, digest, index)
    return replace(part, tables=versions)


def _compact(table: Any) -> None:
    write_point(f"before compact {table.name}")
    table.to_lance().optimize.compact_files()
    table.checkout_latest()
    write_point(f"after compact {table.name}")


def _clean(root: Root, name: str) -> tuple[int, int]:
    """Removes tags without a release, then versions without a tag: (versions, bytes)."""
    table = open_table(root, name)
    tags = {tag_of(release.number) for release in list_releases(root) if name in _named([release])}
    for tag in sorted(set(table.tags.list()) - tags):
        write_point(f"before untag {name} {tag}")
        table.tags.delete(tag)
        write_point(f"after untag {name} {tag}")
    write_point(f"before cleanup {name}")
    stats = table.to_lance().cleanup_old_versions(older_than=timedelta(0), error_if_tagged_old_versions=False)
    write_point(f"after cleanup {name}")
    return stats.old_versions, stats.bytes_removed


def _fragments(root: Root, release: ReleaseRecord) -> int:
    tables = (part.open(root, spec) for part in release.parts for spec in SPECS.values())
    return sum(len(table.to_lance().get_fragments()) for table in tables)


def _named(releases: Iterable[ReleaseRecord]) -> set[str]:
    """The tables of releases."""
    return {table.table for release in releases for part in release.parts for table in part.tables.values()}


def _drop_orphans(root: Root) -> None:
    """Drops what builds that never came to a release have left."""
    there = {name.removesuffix(".lance") for name in root.objects.names(FOLDER) if name.endswith(".lance")}
    for name in sorted(there - _named(list_releases(root))):
        write_point(f"before drop {name}")
        connect(root).drop_table(name, ignore_missing=True)
        write_point(f"after drop {name}")
