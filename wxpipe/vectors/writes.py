"""Changes to a model's two tables: back to a known state, days deleted, merged and added. `build` says which.

A table always starts from a known state: the version of the newest release that has it (anything later is what a
killed build left behind, and is undone), or nothing. So a build may die anywhere, and the next ends with the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from wxpipe.errors import DamagedError
from wxpipe.store.root import Root
from wxpipe.store.writepoints import write_point
from wxpipe.vectors.content import DayContent, rows_digest
from wxpipe.vectors.records import Part, list_releases, tag_of
from wxpipe.vectors.tables import (
    SPECS,
    SourceDay,
    TableSpec,
    Unit,
    connect,
    open_table,
    schema,
    table_name,
    telling_damage,
)

DAYS_AT_ONCE = 64
"""Days that one addition takes: a few thousand rows a source, bounded memory, and few Lance fragments."""
READERS = 4

DayRows = Mapping[Unit, Any]
"""Arrow rows by ``clip`` and ``frame``."""
Tables = Mapping[TableSpec, Any]
Contents = dict[SourceDay, dict[str, DayContent]]


@dataclass(frozen=True)
class Changes:
    """What has to be done to tables so that they hold what is wanted."""

    new: tuple[SourceDay, ...]
    changed: tuple[SourceDay, ...]
    vanished: tuple[SourceDay, ...]

    @classmethod
    def between(cls, there: Mapping[str, str], wanted: Mapping[str, str]) -> Changes:
        """Compares outputs of the embedding by ``<source>/<day>``."""
        days = {key: SourceDay.parse(key) for key in {*there, *wanted}}
        # In order of time, whatever the source: a table whose rows lie in order of time skips well.
        order = sorted(days, key=lambda key: (days[key].day, days[key].source))
        return cls(
            tuple(days[key] for key in order if key not in there),
            tuple(days[key] for key in order if key in there and key in wanted and there[key] != wanted[key]),
            tuple(days[key] for key in order if key not in wanted),
        )

    @property
    def written(self) -> tuple[SourceDay, ...]:
        return (*self.changed, *self.new)


def tables_at(root: Root, model: str, width: int, base: Part | None) -> dict[TableSpec, Any]:
    """A model's tables, ready to be written: as a release has them, or new and empty."""
    kept = {there.table for release in list_releases(root) for part in release.parts for there in part.tables.values()}
    tables = {}
    for spec in SPECS.values():
        name = table_name(spec, model)
        if base is not None:
            tables[spec] = at_version(root, name, base.tables[spec.name].version)
            continue
        tables[spec] = _new_table(root, name, schema(spec, width), keep=name in kept)
    return tables


def _new_table(root: Root, name: str, columns: Any, *, keep: bool) -> Any:
    """An empty table; ``keep``: as a new version of the one that is there, whose older versions still serve."""
    write_point(f"before create {name}")
    connection = connect(root)
    table = None
    if keep:
        with suppress(DamagedError), telling_damage(name):  # what cannot be opened serves nobody, and goes
            table = connection.create_table(name, schema=columns, mode="overwrite")
    if table is None:
        connection.drop_table(name, ignore_missing=True)
        table = connection.create_table(name, schema=columns)
    write_point(f"after create {name}")
    return table


def at_version(root: Root, name: str, version: int) -> Any:
    """A table for writing whose latest content is that of a version; later commits are undone."""
    table = open_table(root, name)
    if table.version != version:
        write_point(f"before restore {name}")
        table.restore(version)
        write_point(f"after restore {name}")
    return table


def apply(tables: Tables, changes: Changes, read: Callable[[SourceDay], DayRows]) -> Contents:
    """Deletes, merges and adds; returns what the days that were written must now hold."""
    content: Contents = {}
    for day in changes.vanished:
        _delete(tables, day)
    for group in _batches(changes.changed):
        for day, rows in _read_all(read, group):
            _merge(tables, day, rows)
            content[day] = _content(rows)
    for group in _batches(changes.new):
        days = list(_read_all(read, group))
        _add(tables, [rows for _, rows in days])
        content.update({day: _content(rows) for day, rows in days})
    return content


def set_tag(table: Any, number: int, version: int) -> None:
    """Tags a version as a release's, which keeps it from cleanup; a tag that a killed build left is moved."""
    tag = tag_of(number)
    write_point(f"before tag {table.name} {tag}")
    try:
        if tag in table.tags.list():
            table.tags.update(tag, version)
        else:
            table.tags.create(tag, version)
    except RuntimeError:  # a bucket's answer to the creation that was lost makes the next try find the tag there
        if table.tags.list().get(tag, {}).get("version") != version:
            raise
    write_point(f"after tag {table.name} {tag}")


def _batches(days: Sequence[SourceDay]) -> Iterator[Sequence[SourceDay]]:
    for start in range(0, len(days), DAYS_AT_ONCE):
        yield days[start : start + DAYS_AT_ONCE]


def _read_all(read: Callable[[SourceDay], DayRows], days: Sequence[SourceDay]) -> Iterator[tuple[SourceDay, DayRows]]:
    """Reads days, a few at once, in order."""
    with ThreadPoolExecutor(READERS) as pool:
        yield from zip(days, pool.map(read, days), strict=True)


def _content(rows: DayRows) -> dict[str, DayContent]:
    return {spec.name: DayContent(len(rows[unit]), rows_digest(spec, rows[unit])) for unit, spec in SPECS.items()}


def _delete(tables: Tables, day: SourceDay) -> None:
    for spec, table in tables.items():
        write_point(f"before delete {table.name} {day.key}")
        table.delete(day.filter(spec))
        write_point(f"after delete {table.name} {day.key}")


def _merge(tables: Tables, day: SourceDay, rows: DayRows) -> None:
    """Replaces a source-day in one commit a table."""
    for spec, table in tables.items():
        write_point(f"before merge {table.name} {day.key}")
        if len(rows[spec.unit]):
            merge = table.merge_insert(spec.key).when_matched_update_all().when_not_matched_insert_all()
            merge.when_not_matched_by_source_delete(day.filter(spec)).execute(rows[spec.unit])
        else:
            table.delete(day.filter(spec))
        write_point(f"after merge {table.name} {day.key}")


def _add(tables: Tables, days: Sequence[DayRows]) -> None:
    """Adds days that no row is of yet (the tables are in a known state), so that nothing needs to be matched."""
    import pyarrow as pa

    for spec, table in tables.items():
        rows = pa.concat_tables([day[spec.unit] for day in days])
        if len(rows):
            write_point(f"before add {table.name}")
            table.add(rows)
            write_point(f"after add {table.name}")
