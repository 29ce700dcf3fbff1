"""The index of a table: none while a scan is fast, IVF_FLAT above; and the check of what it finds against the scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.errors import WxpipeError
from wxpipe.store.writepoints import write_point

EXACT_BELOW = 100_000
"""Rows up to which every search reads all vectors: 80 ms at 100,000 of 128."""
PROBES = (64, 128, 256)
"""Partitions that a search looks into, the first number of these that is enough: on weather-like series 20 gave a
recall of .97 and 64 gave 1.0 down to windows of 5 % of the time axis; narrower ones bypass the index."""
NARROW_SHARE, NARROW_ROWS = 0.05, 20_000
"""Filters that leave less than either are scanned: there an index loses recall, and the scan is as fast."""
RECALL_QUERIES, RECALL_K, RECALL_LEAST = 32, 10, 0.99
RECALL_SHARES = (1.0, 0.25, 0.06)
"""Shares of the time axis in which the index must find enough; the last is just above what bypasses it."""
UNINDEXED_SHARE = 0.1
"""Rows outside the index are scanned by each search; above this share the index takes them in."""


def bypasses(index_kind: str, rows: int, left: int) -> bool:
    """Whether a search whose filter leaves so many of the rows reads them all, exactly."""
    return index_kind == "exact" or left <= max(NARROW_ROWS, NARROW_SHARE * rows)


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


def ensure_index(table: Any, rows: int, exact_below: int = EXACT_BELOW) -> dict[str, Any]:
    """Makes, extends or leaves the index, and measures its recall.

    Returns:
        For the release: ``kind``, and for an index partitions, rows outside it, and recall.

    Raises:
        WxpipeError: the recall is too low.
    """
    if rows < exact_below:
        if _index(table) is not None:
            write_point(f"before drop-index {table.name}")
            table.drop_index(_index(table).name)
            write_point(f"after drop-index {table.name}")
        return {"kind": "exact"}
    if _index(table) is None:
        _create(table, rows)
    elif _index(table).num_unindexed_rows > UNINDEXED_SHARE * rows:
        extend_index(table)
    for probes in PROBES:
        found = recall(table, probes)
        if found >= RECALL_LEAST:
            unindexed = _index(table).num_unindexed_rows
            return {"kind": "ivf_flat", "recall": round(found, 4), "probes": probes, "unindexed": unindexed}
    raise WxpipeError(
        f"table {table.name}: the index finds {found:.3f} of the true {RECALL_K} nearest, expected at least "
        f"{RECALL_LEAST}; nothing was released: build with an exact index (raise exact_below above {rows})"
    )


def extend_index(table: Any) -> None:
    """Takes rows into the index that came after it; no retraining."""
    if _index(table) is None:
        return
    write_point(f"before optimize-index {table.name}")
    table.to_lance().optimize.optimize_indices()
    table.checkout_latest()
    write_point(f"after optimize-index {table.name}")


def recall(table: Any, probes: int) -> float:
    """The lowest share of the true nearest that the index finds, over all rows and in windows of the time axis.

    Rows spread through the table are the queries. Found means as near as the true k-th, so that equal distances in
    another order do no harm.
    """
    places = np.unique(np.linspace(0, table.count_rows() - 1, RECALL_QUERIES).astype(int))
    rows = table.to_lance().take(places.tolist(), columns=["vector"])["vector"].to_pylist()
    queries = [np.asarray(row, np.float32) for row in rows]
    return min(
        float(np.mean([_hits(table, query, where, probes) for query, where in zip(queries, windows, strict=True)]))
        for windows in _windows(table, len(rows))
    )


def _hits(table: Any, vector: npt.NDArray[np.float32], where: str, probes: int) -> float:
    true, quick = (
        nearest(table, vector, RECALL_K, where, probes=looked, columns=[])["_distance"].to_numpy()
        for looked in (None, probes)
    )
    return float((quick <= true[-1] * (1 + 1e-5)).sum() / len(true))


def _windows(table: Any, count: int) -> Iterator[list[str]]:
    """For each share of the time axis as many conditions, of windows spread over it."""
    column = next(name for name in table.schema.names if name.endswith("_epoch"))
    epochs = np.sort(table.to_lance().to_table(columns=[column])[column].to_numpy())
    for share in RECALL_SHARES:
        if share == 1:
            yield [""] * count
            continue
        size = max(1, round(share * len(epochs)))
        firsts = np.linspace(0, len(epochs) - size, count).astype(int)[::-1]
        yield [f"{column} >= {epochs[n]} AND {column} <= {epochs[n + size - 1]}" for n in firsts]


def _index(table: Any) -> Any:
    return next((index for index in table.list_indices() if list(index.columns) == ["vector"]), None)


def _create(table: Any, rows: int) -> None:
    from lancedb.index import IvfFlat

    write_point(f"before create-index {table.name}")
    table.create_index("vector", config=IvfFlat(distance_type="l2", num_partitions=max(1, round(rows**0.5 / 4))))
    write_point(f"after create-index {table.name}")


def describe(index: Mapping[str, Any]) -> str:
    """The kind of an index, as answers name it."""
    return str(index.get("kind", "exact"))
