"""What SQL sees: each view as Arrow tables, read from the root when a query names it.

A view is a loader in `LOADERS`. One that has many rows says its columns beforehand (`SCHEMAS`), and is then asked for
those alone that a query reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wxpipe.store.frames import Status, frame_store
from wxpipe.store.quarantine import Record
from wxpipe.store.root import Root
from wxpipe.store.tables import get_table
from wxpipe.vectors.case_tables import cases_table, verdicts_table
from wxpipe.vectors.events import read_events, read_refused
from wxpipe.vectors.graph_views import neighbours_schema, novelty_schema, read_neighbours, read_novelty
from wxpipe.vectors.records import ReleaseRecord, current_number, list_releases
from wxpipe.vectors.tables import SPECS, TableSpec


@dataclass(frozen=True)
class Reading:
    """What a query wants of a view.

    Attributes:
        release: the one release that all of a query reads; None where none of its views is of one.
        columns: those that are read, at least one; None: all. Views without an entry in `SCHEMAS` may ignore it.
    """

    release: ReleaseRecord | None = None
    columns: frozenset[str] | None = None


Loader = Callable[[Root, Reading], Any]
"""Makes a view's Arrow table, or a stream of its batches (a `RecordBatchReader`)."""

RECORD_FIELDS = tuple(Record.__dataclass_fields__)


def _moment() -> Any:
    import pyarrow as pa

    return pa.timestamp("us", "UTC")


def _vectors(spec: TableSpec) -> Loader:
    def load(root: Root, reading: Reading) -> Any:
        import pyarrow as pa

        schema = _vector_schema(spec)(root, reading)
        # Without any column a count alone is wanted: the cheapest one to read tells it.
        wanted = frozenset({spec.epoch}) if reading.columns == frozenset() else reading.columns
        names = [name for name in schema.names if wanted is None or name in wanted]
        schema = pa.schema([schema.field(name) for name in names])
        tables = [part.open(root, spec).to_lance() for part in _release(spec, reading).parts]
        batches = (
            batch if batch.schema.equals(schema) else pa.Table.from_batches([batch]).cast(schema).to_batches()[0]
            for table in tables
            for batch in table.scanner(columns=names).to_batches()
            if len(batch)
        )
        return pa.RecordBatchReader.from_batches(schema, batches)

    return load


def _vector_schema(spec: TableSpec) -> Callable[[Root, Reading], Any]:
    def schema(root: Root, reading: Reading) -> Any:
        import pyarrow as pa

        schemas = [part.open(root, spec).schema for part in _release(spec, reading).parts]
        first = schemas[0].remove_metadata()
        if any(not other.equals(schemas[0]) for other in schemas):  # models differ in width: a list of any length
            first = first.set(first.get_field_index("vector"), pa.field("vector", pa.list_(pa.float32())))
        return first

    return schema


def _release(spec: TableSpec, reading: Reading) -> ReleaseRecord:
    assert reading.release is not None, f"view {spec.name} is of a release"
    return reading.release


def _neighbours(root: Root, reading: Reading) -> Any:
    assert reading.release is not None
    return read_neighbours(root, reading.release, reading.columns)


def _novelty(root: Root, reading: Reading) -> Any:
    assert reading.release is not None
    return read_novelty(root, reading.release, reading.columns)


def _ledger(root: Root, _: Reading) -> Any:
    import pyarrow as pa

    texts = ("stage", "partition", "source", "day", "state", "fingerprint", "output", "counts", "error", "finished")
    schema = pa.schema([*((name, pa.string()) for name in texts), ("epoch", pa.int64()), ("seconds", pa.float64())])
    rows = []
    for stage in root.ledger.stages():
        for entry in root.ledger.entries(stage).values():
            source, _slash, day = entry.partition.rpartition("/")
            row = {
                **asdict(entry),
                "source": source,
                "day": day if source else None,
                "counts": json.dumps(entry.counts),
            }
            rows.append({name: row[name] for name in schema.names})
    table = pa.Table.from_pylist(rows, schema=schema)
    return table.set_column(schema.names.index("day"), "day", table["day"].cast(pa.date32()))


def _quarantine(root: Root, _: Reading) -> Any:
    """Every record of what was put aside or doubted, with the nominal time of its slot."""
    import pyarrow as pa

    fields = [("stage", pa.string()), ("source", pa.string()), ("day", pa.date32()), ("time", _moment())]
    kinds = {"slot": pa.int32()}
    schema = pa.schema([*fields, *((name, kinds.get(name, pa.string())) for name in RECORD_FIELDS)])
    rows = []
    for stage, source, day, record in root.quarantine.all():
        time = root.source(source).satellite.axis.time(record.slot) if record.slot >= 0 else None
        rows.append({"stage": stage, "source": source, "day": day, "time": time, **asdict(record)})
    return pa.concat_tables([pa.Table.from_pylist(rows, schema=schema), _refused_events(root, schema)])


def _refused_events(root: Root, schema: Any) -> Any:
    """Lines of files of events that are none: the stage is ``events``, the source the name that they came under."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lines = read_refused(root)
    columns = {
        "source": lines["imported_from"],
        "path": pc.binary_join_element_wise(lines["imported_from"], pc.cast(lines["line"], pa.string()), " line "),
        **{name: lines[name] for name in ("reason", "expected")},
        "found": lines["text"],
    }
    constants = {"stage": "events", "kind": "quarantined", "channel": "", "digest": "", "slot": -1}
    for field in (field for field in schema if field.name not in columns):
        value = pa.scalar(constants.get(field.name), field.type)
        columns[field.name] = pa.array([value.as_py()], field.type).take(pa.array(np.zeros(len(lines), np.int64)))
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _events(root: Root, _: Reading) -> Any:
    return read_events(root)


def _cases(root: Root, _: Reading) -> Any:
    return cases_table(root)


def _verdicts(root: Root, _: Reading) -> Any:
    return verdicts_table(root)


def _inventory(root: Root, _: Reading) -> Any:
    import pyarrow as pa

    schema = pa.schema(
        [("source", pa.string()), ("path", pa.string()), ("size", pa.int64()), ("version", pa.string()),
         ("channel", pa.string()), ("time", _moment()), ("slot", pa.int32()), ("vanished", pa.bool_())]
    )  # fmt: skip
    parts = [schema.empty_table()]
    for source in (name for name in root.objects.names("inventory") if "." not in name):
        for month in root.objects.names(f"inventory/{source}"):
            table = get_table(root.objects, f"inventory/{source}/{month}")
            names = pa.array([source]).take(pa.array(np.zeros(len(table), np.int64)))
            parts.append(table.append_column("source", names).select(schema.names).cast(schema))
    return pa.concat_tables(parts)


def _pictures(root: Root, _: Reading) -> Any:
    """What became of every picture of the days that were ingested; ``absent`` ones are not listed."""
    import pyarrow as pa

    names = [("source", pa.string()), ("slot", pa.int32()), ("time", _moment()), ("channel", pa.string())]
    schema = pa.schema([*names, ("status", pa.string())])
    parts = [schema.empty_table()]
    words = pa.array([status.name.lower() for status in Status])
    for source, start, stop in _ingested(root):
        store = frame_store(root, source)
        status = store.slots("status", start, stop)
        slot, channel = np.nonzero(status != Status.ABSENT)
        columns = [
            pa.array([source]).take(pa.array(np.zeros(len(slot), np.int64))),
            pa.array((slot + start).astype(np.int32)),
            pa.array(store.axis.times(slot + start).astype("datetime64[us]")).cast(_moment()),
            pa.array(list(store.channels)).take(pa.array(channel)),
            words.take(pa.array(status[slot, channel].astype(np.int64))),
        ]
        parts.append(pa.Table.from_arrays(columns, schema=schema))
    return pa.concat_tables(parts)


def _ingested(root: Root) -> Iterable[tuple[str, int, int]]:
    """(source, first slot, one past the last) of what was ingested."""
    days: dict[str, list[str]] = {}
    for entry in root.ledger.entries("ingest").values():
        source, _slash, day = entry.partition.rpartition("/")
        if entry.state == "done":
            days.setdefault(source, []).append(day)
    for source in sorted(days):
        from datetime import date

        axis = root.source(source).satellite.axis
        first, last = min(days[source]), max(days[source])
        yield source, axis.day_start(date.fromisoformat(first)), axis.day_slots(date.fromisoformat(last)).stop


def _pairs(root: Root, _: Reading) -> Any:
    import pyarrow as pa

    texts, numbers = ("name", "x", "y", "z"), ("sim_xy", "sim_xz")
    schema = pa.schema(
        [*((name, pa.string()) for name in texts), *((name, pa.float64()) for name in numbers), ("split", pa.string())]
    )
    parts = [schema.empty_table()]
    for name in root.objects.names("pairs"):
        key = f"pairs/{name}/triples.parquet"
        if root.objects.exists(key):
            table = get_table(root.objects, key)
            names = pa.array([name] * len(table), pa.string())
            parts.append(table.append_column("name", names).select(schema.names).cast(schema))
    return pa.concat_tables(parts)


def _releases(root: Root, _: Reading) -> Any:
    import pyarrow as pa

    schema = pa.schema(
        [("number", pa.int64()), ("models", pa.string()), ("trained", pa.bool_()), ("created", pa.string()),
         ("current", pa.bool_()), ("clips", pa.int64()), ("frames", pa.int64()), ("index", pa.string()),
         ("days", pa.int64())]
    )  # fmt: skip
    serving = current_number(root)
    rows = [
        {
            "number": release.number,
            "models": ", ".join(part.model for part in release.parts),
            "trained": all(part.trained for part in release.parts),
            "created": release.created,
            "current": release.number == serving,
            **{spec.name: release.rows(unit) for unit, spec in SPECS.items()},
            "index": ", ".join(part.tables["clips"].index["kind"] for part in release.parts),
            "days": len(release.days),
        }
        for release in list_releases(root)
    ]
    return pa.Table.from_pylist(rows, schema=schema)


LOADERS: dict[str, Loader] = {
    "clips": _vectors(SPECS["clip"]),
    "frames": _vectors(SPECS["frame"]),
    "pictures": _pictures,
    "ledger": _ledger,
    "quarantine": _quarantine,
    "inventory": _inventory,
    "pairs": _pairs,
    "releases": _releases,
    "events": _events,
    "cases": _cases,
    "verdicts": _verdicts,
    "neighbours": _neighbours,
    "novelty": _novelty,
}
"""The views by name."""

SCHEMAS: dict[str, Callable[[Root, Reading], Any]] = {
    **{spec.name: _vector_schema(spec) for spec in SPECS.values()},
    "neighbours": lambda _root, _reading: neighbours_schema(),
    "novelty": lambda _root, _reading: novelty_schema(),
}
"""Views whose loaders read the columns that are asked for and no others: their Arrow schema, without any rows."""

OF_RELEASE = frozenset(SCHEMAS)
"""Views of the current release: one query reads them from one release, whatever is promoted meanwhile."""

NEEDS: dict[str, tuple[str, ...]] = {"pictures": ("quarantine", "inventory")}
"""Views that another is put together from."""

DEFINITIONS: dict[str, str] = {
    # A picture's reason and path: what was said when it was put aside or doubted, else the largest file of its slot
    # that was not set aside as a duplicate.
    "pictures": """
        WITH told AS (
            SELECT source, slot, channel, any_value(reason) AS reason, any_value(path) AS path
            FROM quarantine WHERE kind <> 'duplicate' AND stage = 'ingest' GROUP BY ALL),
        filed AS (
            SELECT source, slot, channel, arg_max(path, size) AS path FROM inventory
            WHERE NOT vanished AND path NOT IN (SELECT path FROM quarantine WHERE kind = 'duplicate') GROUP BY ALL)
        SELECT s.source, s.time, s.channel, s.status, told.reason, coalesce(told.path, filed.path) AS path
        FROM loaded s
        LEFT JOIN told ON told.source = s.source AND told.slot = s.slot AND told.channel = s.channel
        LEFT JOIN filed ON filed.source = s.source AND filed.slot = s.slot AND filed.channel = s.channel
        ORDER BY s.source, s.slot, s.channel""",
}
"""How a view is made of what was loaded, where that is not the view itself."""
