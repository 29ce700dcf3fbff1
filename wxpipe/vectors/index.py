"""The index of a table: none while a scan is fast, IVF_FLAT above; and the check of what it finds against the scan."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.errors import WxpipeError
from wxpipe.store.writepoints import write_point
from wxpipe.vectors.times import DAY_SECONDS, TimeFilter

EXACT_BELOW = 100_000
"""Rows up to which every search reads all vectors: 80 ms at 100,000 of 128."""
PROBES = (64, 128, 256)
"""Partitions that a search looks into, the first number of these that is enough: on weather-like series 20 gave a
recall of .97 and 64 gave 1.0 down to windows of 5 % of the time axis; narrower ones bypass the index."""
NARROW_SHARE, NARROW_ROWS = 0.02, 30_000
"""Filters that leave less than either are answered exactly: there an index loses recall, and that is as fast."""
READ_ROWS = 20_000
"""So few rows of a stretch of time are read where they lie sooner than they are found in the index."""
EVERY = 1_000_000
"""Partitions, more than any index has: all of them are looked into, which is exact, and at a million rows of 128 takes
a tenth of what reading the table's own vectors takes."""
RECALL_QUERIES, RECALL_K, RECALL_LEAST = 32, 10, 0.99
FILTERED_QUERIES = 16
OWN_ROWS = 193
"""At most, of the query's own 24 hours, every quarter of an hour."""
UNINDEXED_SHARE = 0.1
"""Rows outside the index are scanned by each search; above this share the index takes them in."""


def is_narrow(rows: int, left: int) -> bool:
    """Whether a filter leaves so few of an indexed table's rows that they are all looked at."""
    return left <= max(NARROW_ROWS, NARROW_SHARE * rows)


def exact_probes(index_kind: str, left: int, by_time: bool) -> int | None:
    """How an exact search goes, as `nearest` takes it.

    Args:
        left: rows that the filter leaves.
        by_time: it is stretches of time alone, whose rows the index of the time column finds: few of those are read at
            once where they lie.
    """
    return None if index_kind == "exact" or (by_time and left <= READ_ROWS) else EVERY


def nearest(
    table: Any, vector: npt.NDArray[np.float32], limit: int, where: str, *, probes: int | None, columns: list[str]
) -> Any:
    """The nearest rows of those that satisfy ``where`` (filtered before, not after), with ``_distance`` (squared).

    ``probes`` is how many partitions of the index are looked into; None reads all vectors.
    """
    query = table.search(vector, vector_column_name="vector").distance_type("l2").limit(limit)
    if where:
        query = query.where(where, prefilter=True)
    query = query.bypass_vector_index() if probes is None else query.nprobes(probes)
    return query.select([*columns, "_distance"]).to_arrow()


class PoorIndexError(WxpipeError):
    """An index finds too few of the true nearest; nothing may be released with it."""


def ensure_index(
    table: Any, rows: int, exact_below: int = EXACT_BELOW, before: Mapping[str, Any] | None = None, anew: bool = False
) -> dict[str, Any]:
    """Makes, extends or leaves the index, and measures its recall.

    Args:
        table: at its latest version.
        rows: of it.
        exact_below: rows from which on there is one.
        before: what this answered for the version before, of which it keeps how the index began.
        anew: the partitions are learned again.

    Returns:
        For the release: ``kind``; and for an index ``recall`` over all rows, ``recalls`` under filters too, ``probes``,
        rows outside it (``unindexed``), and how many rows and which recall it was ``trained`` with.

    Raises:
        PoorIndexError: a recall is too low.
    """
    if rows < exact_below:
        if _index(table) is not None:
            write_point(f"before drop-index {table.name}")
            table.drop_index(_index(table).name)
            write_point(f"after drop-index {table.name}")
        return {"kind": "exact"}
    fresh = anew or _index(table) is None
    if fresh:
        _create(table, rows)
    _ensure_time_index(table)
    if not fresh and _index(table).num_unindexed_rows > UNINDEXED_SHARE * rows:
        extend_index(table)
    probes, found = _enough_probes(table)
    _check_recalls(table.name, rows, found)
    trained = None if fresh else (before or {}).get("trained")
    return {
        "kind": "ivf_flat",
        "recall": found["all"],
        "recalls": found,
        "probes": probes,
        "unindexed": _index(table).num_unindexed_rows,
        "trained": trained or {"rows": rows, "recall": found["all"]},
    }


def _enough_probes(table: Any) -> tuple[int, dict[str, float]]:
    """The fewest partitions that are enough, or the most that may be looked into, and what is found so."""
    for probes in PROBES:
        found = recalls(table, probes)
        if min(found.values()) >= RECALL_LEAST:
            break
    return probes, found


def _check_recalls(name: str, rows: int, found: Mapping[str, float]) -> None:
    low = {what: share for what, share in found.items() if share < RECALL_LEAST}
    if low:
        told = ", ".join(f"{share:.3f} of the true {RECALL_K} nearest {FILTERS[what]}" for what, share in low.items())
        raise PoorIndexError(
            f"table {name}: the index finds {told}, expected at least {RECALL_LEAST}; nothing was released: learn it "
            f"again (`wxpipe release maintain --reindex`), or build with an exact one (raise exact_below above {rows})"
        )


def extend_index(table: Any) -> None:
    """Takes rows into the index that came after it; no retraining, and nothing is written where none did."""
    if not unindexed(table):
        return
    write_point(f"before optimize-index {table.name}")
    table.to_lance().optimize.optimize_indices()
    table.checkout_latest()
    write_point(f"after optimize-index {table.name}")


FILTERS = {
    "all": "among all rows",
    "stretch": "within a stretch of time",
    "month": "within a month of the year",
    "hour": "within an hour of the day",
    "season": "within 45 days in every year",
}
"""What recall is measured under, and how it is told."""


def recalls(table: Any, probes: int) -> dict[str, float]:
    """Share of the true nearest that a search finds, by filter; as asked of rows spread through the table.

    As in a search, the query's own 24 hours are left out: rows beside it in time lie beside it in the index, and any
    index finds those. Under a filter that search answers without the index, the answer is exact. Found means as near as
    the true k-th, so that equal distances in another order do no harm.
    """
    column = _time_column(table)
    rows = table.count_rows()
    dataset = table.to_lance()
    places = np.unique(np.linspace(0, rows - 1, RECALL_QUERIES).astype(int))
    queries = dataset.take(places.tolist(), columns=["vector", "source", "month", "hour", column]).to_pylist()
    epochs = np.sort(dataset.to_table(columns=[column])[column].to_numpy())
    found = {}
    for name in FILTERS:
        asked = queries if name == "all" else queries[:: RECALL_QUERIES // FILTERED_QUERIES]
        hits = []
        for row in asked:
            where = _condition(name, row, column, epochs)
            left = table.count_rows(where)
            if left:
                exact = name != "all" and is_narrow(rows, left)
                hits.append(1.0 if exact else _hit(table, row, where, probes))
        found[name] = round(float(np.mean(hits)), 4) if hits else 1.0
    return found


def _condition(name: str, row: Mapping[str, Any], column: str, epochs: npt.NDArray[np.int64]) -> str:
    epoch, first, last = row[column], int(epochs[0]), int(epochs[-1])
    parts = [f"source = '{row['source']}'", f"({column} < {epoch - DAY_SECONDS} OR {column} > {epoch + DAY_SECONDS})"]
    if name in ("month", "hour"):
        parts.append(f"{name} = {row[name]}")
    elif name == "stretch":  # far from the query, and the least that is not narrow
        count = min(len(epochs), int(max(NARROW_ROWS, NARROW_SHARE * len(epochs))) + 2 * OWN_ROWS)
        begin = (int(np.searchsorted(epochs, epoch)) + len(epochs) // 2) % max(1, len(epochs) - count)
        parts.append(f"{column} >= {epochs[begin]} AND {column} <= {epochs[begin + count - 1]}")
    elif name == "season":
        moment = datetime.fromtimestamp(epoch, UTC)
        parts += TimeFilter(season=(moment.month, moment.day)).sql(column, first, last)
    return " AND ".join(parts)


def _hit(table: Any, row: Mapping[str, Any], where: str, probes: int) -> float:
    vector = np.asarray(row["vector"], np.float32)
    true, quick = (
        nearest(table, vector, RECALL_K, where, probes=looked, columns=[])["_distance"].to_numpy()
        for looked in (None, probes)
    )
    return float((quick <= true[-1] * (1 + 1e-5)).sum() / len(true))


def unindexed(table: Any) -> int | None:
    """Rows outside the index; None where there is none."""
    index = _index(table)
    return None if index is None else int(index.num_unindexed_rows)


def _index(table: Any) -> Any:
    return next((index for index in table.list_indices() if list(index.columns) == ["vector"]), None)


def _time_column(table: Any) -> str:
    return str(next(name for name in table.schema.names if name.endswith("_epoch")))


def _ensure_time_index(table: Any) -> None:
    """An index of the time column, so that a stretch of time is found without reading all the times."""
    column = _time_column(table)
    if any(list(index.columns) == [column] for index in table.list_indices()):
        return
    from lancedb.index import BTree

    write_point(f"before create-time-index {table.name}")
    table.create_index(column, config=BTree())
    write_point(f"after create-time-index {table.name}")


def _create(table: Any, rows: int) -> None:
    from lancedb.index import IvfFlat

    write_point(f"before create-index {table.name}")
    table.create_index("vector", config=IvfFlat(distance_type="l2", num_partitions=max(1, round(rows**0.5 / 4))))
    write_point(f"after create-index {table.name}")


def describe(index: Mapping[str, Any]) -> str:
    """The kind of an index, as answers name it."""
    return str(index.get("kind", "exact"))
