"""The inventory: every raw file that was ever listed, by source and month, as columns. `listing` fills it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wxpipe.errors import NotFoundError, WxpipeError
from wxpipe.store.root import Root
from wxpipe.store.tables import RowDigests, get_table

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
MONTHS_IN_MEMORY = 6


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
class Files:
    """How much there is of a day.

    Attributes:
        files, bytes: what there is to read: files that have not vanished.
        recorded: rows of the inventory, those of vanished files too.
    """

    files: int = 0
    bytes: int = 0
    recorded: int = 0


class Month:
    """One month of a source's inventory: rows in the order of slot, channel and path.

    Raises:
        WxpipeError: the table is not one of `SCHEMA`; names it.
    """

    def __init__(self, table: pa.Table, name: str = "inventory") -> None:
        if table.schema.names != SCHEMA.names:
            found = ", ".join(table.schema.names)
            raise WxpipeError(f"{name}: expected columns {', '.join(SCHEMA.names)}, found {found}; delete it and scan")
        self.table = table
        self.slots: npt.NDArray[np.int32] = table["slot"].to_numpy()

    def __len__(self) -> int:
        return len(self.slots)

    @cached_property
    def _digests(self) -> RowDigests:
        return RowDigests(self.table)

    def place(self, start: int, stop: int) -> tuple[int, int]:
        """First row and the one after the last of the slots [start, stop)."""
        low, high = np.searchsorted(self.slots, [start, stop])
        return int(low), int(high)

    def rows(self, start: int, stop: int) -> list[RawFile]:
        """Files of the slots [start, stop), in order."""
        low, high = self.place(start, stop)
        return rows_of(self.table.slice(low, high - low))

    def digest(self) -> str:
        """Digest of all rows, but not of their versions: a copy of an archive is the same archive."""
        version = self.table.schema.get_field_index("version")
        same = self.table.set_column(version, "version", pa.array([""] * len(self), pa.string()))
        return RowDigests(same).of()

    def digest_between(self, start: int, stop: int) -> str:
        """Digest of the rows of the slots [start, stop)."""
        return self._digests.of(*self.place(start, stop))

    def by_day(self, slots_per_day: int) -> dict[int, Files]:
        """What there is of each day that has rows, by the day's number on the slot axis."""
        if not len(self):
            return {}
        days, starts = np.unique(self.slots // slots_per_day, return_index=True)
        there = ~self.table["vanished"].to_numpy()
        files = np.add.reduceat(there.astype(np.int64), starts)
        sizes = np.add.reduceat(np.where(there, self.table["size"].to_numpy(), 0), starts)
        rows = np.diff(np.append(starts, len(self)))
        return {int(day): Files(int(n), int(size), int(row))
                for day, n, size, row in zip(days, files, sizes, rows, strict=True)}  # fmt: skip


def read_table(root: Root, source: str, month: str, columns: Sequence[str] | None = None) -> pa.Table:
    """One month of a source's inventory (`SCHEMA`), sorted by slot, channel, path; empty where there is none.

    Args:
        columns: these alone; paths are nearly all of it.
    """
    try:
        return get_table(root.objects, month_key(source, month), columns)
    except NotFoundError:
        return SCHEMA.empty_table()


def month_key(source: str, month: str) -> str:
    return f"inventory/{source}/{month}.parquet"


def read_month(root: Root, source: str, month: str) -> list[RawFile]:
    """One month of a source's inventory, in order."""
    return rows_of(read_table(root, source, month))


def rows_of(table: pa.Table) -> list[RawFile]:
    """Rows of a table of `SCHEMA`."""
    names = ("slot", "channel", "path", "size", "version", "time", "vanished")
    columns = [table[name].to_pylist() for name in names]
    return [
        RawFile(slot, channel, path, size, version, time.astimezone(UTC), vanished)
        for slot, channel, path, size, version, time, vanished in zip(*columns, strict=True)
    ]


class Inventory:
    """The inventory of one source, read a month at a time, for planning and ingest."""

    def __init__(self, root: Root, source: str) -> None:
        self._root, self.source = root, source
        self.axis = root.source(source).satellite.axis
        self._month = lru_cache(MONTHS_IN_MEMORY)(self._read_month)
        self._by_day: dict[str, dict[int, Files]] = {}

    def _read_month(self, month: str) -> Month:
        found = Month(read_table(self._root, self.source, month), month_key(self.source, month))
        self._by_day[month] = found.by_day(self.axis.slots_per_day)
        return found

    def _days_of(self, month: str) -> dict[int, Files]:
        """What there is of a month's days: kept, though the month itself is let go of."""
        if month not in self._by_day:
            self._month(month)
        return self._by_day[month]

    @cached_property
    def _months(self) -> list[str]:
        return [n.removesuffix(".parquet") for n in self._root.objects.names(f"inventory/{self.source}")]

    def months(self) -> list[str]:
        return list(self._months)

    @cached_property
    def _span(self) -> tuple[int, int] | None:
        if not self._months:
            return None
        return int(self._month(self._months[0]).slots[0]), int(self._month(self._months[-1]).slots[-1])

    def span(self) -> tuple[int, int] | None:
        """First and last slot that any file was ever listed for; None for an empty inventory."""
        return self._span

    def days(self) -> list[date]:
        """Every day from the first to the last file: a day without files is one too."""
        span = self.span()
        if span is None:
            return []
        first, last = self.axis.day(span[0]), self.axis.day(span[1])
        return [first + timedelta(days=n) for n in range((last - first).days + 1)]

    def expected(self, day: date) -> range:
        """The day's slots between the source's first and last inventoried file."""
        slots = self.axis.day_slots(day)
        first, last = self.span() or (slots.stop, slots.stop)
        return range(max(slots.start, first), min(slots.stop, last + 1))

    def between(self, start: int, stop: int) -> list[RawFile]:
        """Files of the slots [start, stop), within one day."""
        return self._month(f"{self.axis.day(start):%Y-%m}").rows(start, stop)

    def digest_between(self, start: int, stop: int) -> str:
        """Digest of the rows of the slots [start, stop), within one day."""
        return self._month(f"{self.axis.day(start):%Y-%m}").digest_between(start, stop)

    def day(self, day: date) -> list[RawFile]:
        slots = self.axis.day_slots(day)
        return self.between(slots.start, slots.stop)

    def of_day(self, day: date) -> Files:
        """How much there is of a day."""
        number = self.axis.day_start(day) // self.axis.slots_per_day
        return self._days_of(f"{day:%Y-%m}").get(number, Files())

    def count_day(self, day: date) -> int:
        """Rows of a day, those of vanished files too."""
        return self.of_day(day).recorded

    def before(self, day: date) -> list[RawFile]:
        """Files of the last slot of the previous day: a stale copy may reach across midnight."""
        start = self.axis.day_start(day)
        return self.between(start - 1, start) if start else []

    def digests(self, day: date) -> tuple[str, str]:
        """Digests of a day's rows, and of those `before` it."""
        slots = self.axis.day_slots(day)
        before = self.digest_between(slots.start - 1, slots.start) if slots.start else ""
        return self.digest_between(slots.start, slots.stop), before

    def month_digest(self, month: str) -> str:
        return self._month(month).digest()

    def count(self) -> dict[str, int]:
        """Files recorded, and how many of them have vanished."""
        every = [files for month in self._months for files in self._days_of(month).values()]
        recorded = sum(files.recorded for files in every)
        return {"files": recorded, "vanished": recorded - sum(files.files for files in every)}


def inventory_of(root: Root, source: str) -> Inventory:
    """The inventory of a source, kept with the opened root: a plan asks it for thousands of days."""
    key = ("inventory", source)
    if key not in root.memo:
        root.memo[key] = Inventory(root, source)
    inventory: Inventory = root.memo[key]
    return inventory
