"""What a Lance table holds, told apart from how Lance stores it: rows by day, digests, and the check of a build."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from wxpipe.errors import WxpipeError
from wxpipe.store.frames import content_digest
from wxpipe.vectors.tables import DAY_SECONDS, SourceDay, TableSpec, between, utc

ROWS_AT_ONCE = 50_000
"""Rows that are in memory while a table is read through: 26 MB of vectors of 128."""


@dataclass(frozen=True)
class DayContent:
    """How many rows a day has in a table, and their digest."""

    rows: int
    digest: str


def rows_digest(spec: TableSpec, rows: Any) -> str:
    """Digest of Arrow rows, whatever their order and chunks: every column, sorted by key."""
    import pyarrow as pa

    rows = rows.sort_by(spec.key)
    parts: dict[str, Any] = {}
    for field in rows.schema:
        column = rows[field.name]
        if pa.types.is_string(field.type):
            parts[field.name] = "\n".join(column.to_pylist()).encode()
        elif pa.types.is_fixed_size_list(field.type):
            flat = pa.concat_arrays([chunk.flatten() for chunk in column.chunks]) if column.num_chunks else []
            parts[field.name] = np.asarray(flat, np.float32).reshape(-1, field.type.list_size)
        else:
            parts[field.name] = (
                column.cast(pa.int64()).to_numpy() if pa.types.is_temporal(field.type) else column.to_numpy()
            )
    return content_digest(parts)


def rows_by_day(table: Any, spec: TableSpec) -> dict[SourceDay, int]:
    """How many rows each source and day has; reads keys and times only.

    Raises:
        WxpipeError: a key is there twice; names one.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = table.to_lance().to_table(columns=[spec.key, "source", spec.epoch])
    if len(keys) != pc.count_distinct(keys[spec.key]).as_py():
        counted = keys[spec.key].value_counts()
        twice = counted.field("values")[int(np.argmax(counted.field("counts").to_numpy() > 1))].as_py()
        raise WxpipeError(f"table {table.name}: {spec.key} {twice} is there more than once; build the release again")
    days = pa.array(keys[spec.epoch].to_numpy() // DAY_SECONDS)
    grouped = (
        pa.table({"source": keys["source"], "day": days}).group_by(["source", "day"]).aggregate([([], "count_all")])
    )
    return {
        SourceDay(row["source"], utc(row["day"] * DAY_SECONDS).date()): row["count_all"] for row in grouped.to_pylist()
    }


def contents(table: Any, spec: TableSpec, days: Mapping[SourceDay, int]) -> dict[SourceDay, DayContent]:
    """Reads these days' rows back and digests them; ``days`` says about how many rows each has."""
    found: dict[SourceDay, DayContent] = {}
    dataset = table.to_lance()
    for group in _groups(days):
        start, stop = group[0].epochs[0], group[-1].epochs[1]
        rows = dataset.to_table(filter=between(spec, group[0].source, start, stop))
        of_day = rows[spec.epoch].to_numpy() // DAY_SECONDS
        for day in group:
            part = rows.filter(of_day == day.epochs[0] // DAY_SECONDS)
            found[day] = DayContent(len(part), rows_digest(spec, part))
    return found


def combined_digest(days: Mapping[SourceDay, DayContent]) -> str:
    """Digest of a whole table from those of its days; a day without rows leaves no trace."""
    digest = hashlib.sha256()
    for day in sorted(days):
        if days[day].rows:
            digest.update(f"{day.key} {days[day].rows} {days[day].digest}\n".encode())
    return digest.hexdigest()[:32]


def table_digest(table: Any, spec: TableSpec) -> str:
    """Digest of a table's rows as they are read now: ids, columns and vectors, not Lance's own files."""
    return combined_digest(contents(table, spec, rows_by_day(table, spec)))


def check_rows(
    table: Any, spec: TableSpec, expected: Mapping[SourceDay, DayContent], changed: Iterable[SourceDay]
) -> None:
    """The gate: every day's count, no key twice, and what was changed reads back as it was written.

    Raises:
        WxpipeError: a difference; names the first days with both counts.
    """
    found = rows_by_day(table, spec)
    wanted = {day: content.rows for day, content in expected.items() if content.rows}
    different = sorted(day for day in {*found, *wanted} if found.get(day, 0) != wanted.get(day, 0))
    if different:
        listed = ", ".join(f"{d.key}: expected {wanted.get(d, 0)}, found {found.get(d, 0)}" for d in different[:5])
        raise WxpipeError(
            f"table {table.name}: {sum(found.values())} rows, expected {sum(wanted.values())}; {len(different)} days "
            f"differ ({listed}); nothing was released: build again"
        )
    for day, content in contents(table, spec, {day: wanted.get(day, 0) for day in changed}).items():
        if content != expected[day]:
            raise WxpipeError(
                f"table {table.name}: the {content.rows} rows of {day.key} read back with other content "
                f"(expected {expected[day].digest}, found {content.digest}); nothing was released: check the disk"
            )


def _groups(days: Mapping[SourceDay, int]) -> Iterator[list[SourceDay]]:
    """Neighbouring days of one source that fit into memory together: one scan serves them all."""
    group: list[SourceDay] = []
    rows = 0
    for day in sorted(days):
        near = group and day.source == group[-1].source and day.day - group[-1].day <= timedelta(days=7)
        if group and not (near and rows + days[day] <= ROWS_AT_ONCE):
            yield group
            group, rows = [], 0
        group.append(day)
        rows += days[day]
    if group:
        yield group
