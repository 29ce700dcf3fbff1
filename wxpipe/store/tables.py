"""Tables of the root as Parquet objects: written whole, read whole. What their rows mean, the rooms above know."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from wxpipe.store.objects import Objects


def table_bytes(table: pa.Table) -> bytes:
    """A table as a Parquet file; the same table is the same bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def put_table(objects: Objects, key: str, table: pa.Table) -> None:
    objects.put(key, table_bytes(table))


def get_table(objects: Objects, key: str) -> pa.Table:
    """A table, whole.

    Raises:
        NotFoundError: there is none.
    """
    return pq.read_table(pa.BufferReader(objects.get(key)))
