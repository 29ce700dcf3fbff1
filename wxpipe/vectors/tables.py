"""The Lance tables: their columns, their names (a pair for each model), and how a day of vectors becomes rows.

What is in them is checked by `content`, changed by `build` and `upkeep`; readers open them at a release's version.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wxpipe.errors import DamagedError, NotFoundError, WxpipeError
from wxpipe.store.root import Root
from wxpipe.store.s3 import lance_fault, lance_options
from wxpipe.store.tables import get_table

Unit = Literal["clip", "frame"]
FOLDER = "lance"
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class TableSpec:
    """What differs between the two kinds of table."""

    unit: Unit
    name: str
    key: str
    time: str

    @property
    def epoch(self) -> str:
        """The column of `time` in seconds: filters on whole numbers mean the same in every engine."""
        return f"{self.time}_epoch"

    @property
    def counted(self) -> str:
        """What `embed` calls the number of these in its ledger entries."""
        return f"{self.unit}_vectors"


SPECS: dict[Unit, TableSpec] = {
    "clip": TableSpec("clip", "clips", "clip_id", "start"),
    "frame": TableSpec("frame", "frames", "frame_id", "time"),
}


@dataclass(frozen=True, order=True)
class SourceDay:
    """A source and a UTC day: what one object of vectors holds."""

    source: str
    day: date

    @classmethod
    def parse(cls, key: str) -> SourceDay:
        source, _, day = key.rpartition("/")
        return cls(source, date.fromisoformat(day))

    @property
    def key(self) -> str:
        return f"{self.source}/{self.day}"

    @property
    def epochs(self) -> tuple[int, int]:
        """First second of the day, and of the next."""
        first = int(datetime.combine(self.day, time(), UTC).timestamp())
        return first, first + DAY_SECONDS

    def filter(self, spec: TableSpec) -> str:
        """The Lance predicate for this day's rows."""
        return between(spec, self.source, *self.epochs)


def between(spec: TableSpec, source: str, start: int, stop: int) -> str:
    """The Lance predicate for a source's rows of the seconds [start, stop)."""
    return f"source = '{source}' AND {spec.epoch} >= {start} AND {spec.epoch} < {stop}"


def schema(spec: TableSpec, width: int) -> Any:
    """The Arrow schema of a table; its columns are a contract."""
    import pyarrow as pa

    moment = pa.timestamp("us", "UTC")
    own: list[tuple[str, Any]] = (
        [("frames", pa.int32()), ("coverage", pa.float64())] if spec.unit == "clip" else [("channels_good", pa.int32())]
    )
    times = [(spec.time, moment), ("end", moment)] if spec.unit == "clip" else [(spec.time, moment)]
    return pa.schema(
        [
            (spec.key, pa.string()),
            ("source", pa.string()),
            ("satellite", pa.string()),
            *times,
            (spec.epoch, pa.int64()),
            *((name, pa.int32()) for name in ("year", "month", "hour")),
            *own,
            ("model", pa.string()),
            ("vector", pa.list_(pa.float32(), width)),
        ]
    )


def table_name(spec: TableSpec, model: str) -> str:
    """A model's table; a new encoder makes new ones."""
    return f"{spec.name}-{model}"


@contextmanager
def telling_damage(what: str) -> Iterator[None]:
    """Turns what Lance and Arrow raise where a table is not as it was written into one error.

    Raises:
        DamagedError: names ``what``.
    """
    try:
        yield
    except WxpipeError:
        raise
    except (OSError, RuntimeError, ValueError, ArithmeticError, LookupError) as error:
        raise DamagedError(f"{what}: {str(error).partition(chr(10))[0][:300]}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # how Rust's assertions come through; no Exception to Python
            raise
        raise DamagedError(f"{what}: {error}") from error


def connect(root: Root) -> Any:
    """The LanceDB of a root."""
    import lancedb

    options = lance_options() if root.url.startswith("s3://") else None
    return lancedb.connect(f"{root.url}/{FOLDER}", storage_options=options)


@contextmanager
def steering_lance() -> Iterator[None]:
    """Turns what Lance says of a bucket in trouble into the errors that are the policy; a decorator, too.

    A commit without an answer is not repeated by Lance: whoever catches Retry begins again from a known version.
    """
    try:
        yield
    except (RuntimeError, OSError) as error:
        fault = lance_fault(error)
        if fault is None:
            raise
        raise fault from error


def open_table(root: Root, name: str, version: int | None = None) -> Any:
    """A table, at a version, or at the latest.

    Raises:
        NotFoundError: there is no such table, or the version was cleaned up.
    """
    try:
        table = connect(root).open_table(name)
        if version is not None:
            table.checkout(version)
    except (ValueError, FileNotFoundError) as error:
        asked = name if version is None else f"{name} at version {version}"
        raise NotFoundError(
            f"{root.url}/{FOLDER}: no table {asked} ({error}); `wxpipe release build` makes it"
        ) from error
    return table


def vectors_key(model: str, day: SourceDay) -> str:
    return f"vectors/{model}/{day.key}.parquet"


def read_day(root: Root, model: str, day: SourceDay, width: int) -> dict[Unit, Any]:
    """A day's vectors as rows of both tables (Arrow), sorted by time.

    Raises:
        NotFoundError: the day has no vectors of this model.
        WxpipeError: vectors of another width, a key that is there twice, or a row of another day.
    """
    key = vectors_key(model, day)
    table = get_table(root.objects, key)
    found = table.schema.field("vector").type.list_size
    if found != width:
        raise WxpipeError(
            f"{key}: expected vectors of {width} numbers (the card of {model}), found {found}; embed again"
        )
    satellite = root.source(day.source).satellite.name
    return {unit: _rows(table, spec, day, satellite, model, key) for unit, spec in SPECS.items()}


def empty_day(width: int) -> dict[Unit, Any]:
    """The rows of a day that has none."""
    return {unit: schema(spec, width).empty_table() for unit, spec in SPECS.items()}


def _rows(table: Any, spec: TableSpec, day: SourceDay, satellite: str, model: str, key: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    width = table.schema.field("vector").type.list_size
    part = table.filter(pc.equal(table["unit"], spec.unit)).sort_by([("time", "ascending"), ("id", "ascending")])
    moments = part["time"].cast(pa.timestamp("us", "UTC"))
    epochs = moments.cast(pa.int64()).to_numpy() // 1_000_000
    _check_rows(part, epochs, spec, day, key)
    count = len(part)
    columns = {
        spec.key: part["id"],
        "source": pa.array([day.source] * count, pa.string()),
        "satellite": pa.array([satellite] * count, pa.string()),
        spec.time: moments,
        "end": part["end"],
        spec.epoch: pa.array(epochs, pa.int64()),
        **{name: pa.array(values) for name, values in _calendar(epochs).items()},
        "frames": part["frames"],
        "coverage": part["coverage"],
        "channels_good": part["channels_good"],
        "model": pa.array([model] * count, pa.string()),
        "vector": part["vector"],
    }
    wanted = schema(spec, width)
    return pa.table({name: columns[name] for name in wanted.names}).cast(wanted)


def _calendar(epochs: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int32]]:
    """Year, month and hour (UTC) of epoch seconds."""
    seconds = epochs.astype("datetime64[s]")
    months = seconds.astype("datetime64[M]").astype(np.int64)
    return {
        "year": (months // 12 + 1970).astype(np.int32),
        "month": (months % 12 + 1).astype(np.int32),
        "hour": (epochs % DAY_SECONDS // 3600).astype(np.int32),
    }


def _check_rows(part: Any, epochs: npt.NDArray[np.int64], spec: TableSpec, day: SourceDay, key: str) -> None:
    ids = part["id"].to_pylist()
    if len(set(ids)) != len(ids):
        twice = sorted({name for name in ids if ids.count(name) > 1})
        raise WxpipeError(f"{key}: {spec.key} {twice[0]} is there more than once; embed the day again")
    start, stop = day.epochs
    outside = (epochs < start) | (epochs >= stop)
    if outside.any():
        raise WxpipeError(f"{key}: {ids[int(np.argmax(outside))]} is not of {day.day}; embed the day again")


def utc(epoch: int) -> datetime:
    """A time from epoch seconds."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(epoch))
