"""Upkeep of the tables: small fragments put together, the index extended or learned again, versions that no release
names removed; and the figures that say whether the index keeps up.

Readers stay at their release's version, so upkeep publishes what it made as a new release over the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from wxpipe.errors import NotFoundError, WxpipeError
from wxpipe.store.leases import Lease
from wxpipe.store.root import Root
from wxpipe.store.writepoints import write_point
from wxpipe.vectors.build import embedded, publish
from wxpipe.vectors.content import table_digest
from wxpipe.vectors.index import (
    EXACT_BELOW,
    PROBES,
    RECALL_LEAST,
    UNINDEXED_SHARE,
    PoorIndexError,
    ensure_index,
    extend_index,
    recalls,
    unindexed,
)
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
from wxpipe.vectors.tables import FOLDER, SPECS, TableSpec, connect, open_table, steering_lance
from wxpipe.vectors.writes import at_version

DRIFT = 0.02
"""By so much recall may fall after an index was learned; what comes later lies in partitions that were made before."""
OUTGROWN = 2.0
"""So many times the rows that it was learned of, and an index has too few partitions."""


@dataclass(frozen=True)
class Figures:
    """A table as it is: Lance fragments, rows outside the index (None: there is no index), recall by filter."""

    fragments: int
    unindexed: int | None
    recalls: Mapping[str, float]


@dataclass(frozen=True)
class TableUpkeep:
    """A table before and after; ``alarms`` in words, each with what to do."""

    table: str
    rows: int
    before: Figures
    after: Figures
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Upkeep:
    """What upkeep came to; ``release`` is the new one's number, None where nothing had to be put together.

    Attributes:
        alarms: what a person has to do, about tables and about the release as a whole.
    """

    release: int | None
    fragments_before: int
    fragments_after: int
    versions_removed: int
    bytes_removed: int
    tables: tuple[TableUpkeep, ...] = ()
    alarms: tuple[str, ...] = ()


@steering_lance()
def maintain(
    root: Root, *, lease: Lease | None = None, exact_below: int = EXACT_BELOW, reindex: bool = False
) -> Upkeep:
    """Puts the newest release's tables in order; drops tables, tags and versions that belong to no release.

    Where the newest release was current, the one that follows it is promoted. The caller holds the lease of `build`:
    Lance allows no compaction, indexing and writing at once. An index that finds too little afterwards is not
    published: its table stays as it was, and an alarm says so.

    Args:
        root: of the releases.
        lease: checked again before a release is published.
        exact_below: rows from which on a table has an index.
        reindex: indexes are learned again.

    Raises:
        WxpipeError: rows are not what the release names; nothing is published or removed.
    """
    _drop_orphans(root)
    base = newest_release(root)
    if base is None:
        return Upkeep(None, 0, 0, 0, 0)
    done = [_tidy(root, part, exact_below, reindex) for part in base.parts]
    parts, last = tuple(part for part, _ in done), base
    if parts != base.parts:
        number = max(release_numbers(root)) + 1
        last = replace(base, number=number, parts=parts, created=now(), follows=base.number)
        publish(root, last, lease)
        if current_number(root) == base.number:
            promote(root, number)
    removed = [_clean(root, name) for name in sorted(_named(list_releases(root)))]
    versions, size = (sum(pair[i] for pair in removed) for i in (0, 1))
    tables = tuple(table for _, found in done for table in found)
    alarms = (*(f"table {table.table}: {alarm}" for table in tables for alarm in table.alarms), *_behind(root, last))
    before, after = (sum(getattr(table, when).fragments for table in tables) for when in ("before", "after"))
    return Upkeep(None if last is base else last.number, before, after, versions, size, tables, alarms)


def _behind(root: Root, release: ReleaseRecord) -> list[str]:
    """What is embedded and cannot be found."""
    try:
        wanted = {key: entry.output for key, entry in embedded(root).items()}
    except NotFoundError:
        return []
    late = sorted(key for key, output in wanted.items() if release.days.get(key) != output)
    if not late:
        return []
    return [f"{len(late)} embedded days are not in release {release.number} (first: {late[0]}): `wxpipe release build`"]


def _tidy(root: Root, part: Part, exact_below: int, reindex: bool) -> tuple[Part, list[TableUpkeep]]:
    """A model's tables put in order, checked to hold the same rows; the same part where that changed nothing."""
    versions, told = {}, []
    for spec in SPECS.values():
        there = part.tables[spec.name]
        table = at_version(root, there.table, there.version)
        before = _figures(table, there.index)
        started = table.version
        extend_index(table)  # first: Lance puts no fragments together of which one is in the index and one is not
        _compact(table)
        versions[spec.name], poor = there, []
        if table.version != started or reindex:
            try:
                versions[spec.name] = _checked(table, spec, there, exact_below, reindex)
            except PoorIndexError as error:
                poor = [str(error)]
        after = before
        if versions[spec.name] != there:
            after = _figures(table, versions[spec.name].index, versions[spec.name].index.get("recalls"))
        alarms = (*poor, *_alarms(after, there.rows, versions[spec.name].index.get("trained")))
        told.append(TableUpkeep(there.table, there.rows, before, after, alarms))
    return replace(part, tables=versions), told


def _checked(table: Any, spec: TableSpec, there: TableVersion, exact_below: int, reindex: bool) -> TableVersion:
    """The table's version of now: the same rows, under an index that finds them."""
    digest = table_digest(table, spec)
    if digest != there.digest:
        raise WxpipeError(
            f"table {table.name}: compaction changed its rows (expected {there.digest}, found {digest}); nothing "
            "was published and the release before still serves; keep the table for inspection"
        )
    index = ensure_index(table, there.rows, exact_below, there.index, reindex)
    if table.version == there.version:
        return there
    return TableVersion(table.name, table.version, there.rows, digest, index)


def _figures(table: Any, there: Mapping[str, Any], found: Mapping[str, float] | None = None) -> Figures:
    outside = unindexed(table)
    if found is None:
        found = {} if outside is None else recalls(table, int(there.get("probes", PROBES[0])))
    return Figures(len(table.to_lance().get_fragments()), outside, found)


def _alarms(now_: Figures, rows: int, trained: Mapping[str, Any] | None) -> list[str]:
    if now_.unindexed is None:
        return []
    again = "`wxpipe release maintain --reindex` learns it again"
    found = [
        f"recall {share} {name}, expected at least {RECALL_LEAST}: {again}"
        for name, share in now_.recalls.items()
        if share < RECALL_LEAST
    ]
    if now_.unindexed > UNINDEXED_SHARE * rows:
        found.append(f"{now_.unindexed} of {rows} rows are outside the index, so that each search reads them: {again}")
    if trained is not None and now_.recalls["all"] < trained["recall"] - DRIFT:
        found.append(f"recall fell from {trained['recall']} to {now_.recalls['all']} since it was learned: {again}")
    if trained is not None and rows > OUTGROWN * trained["rows"]:
        found.append(f"its partitions were learned of {trained['rows']} rows, now there are {rows}: {again}")
    return found


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
