"""Tables of the root as Parquet objects: written whole, read whole. What their rows mean, the rooms above know."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from wxpipe.errors import DamagedError
from wxpipe.store.frames import content_digest
from wxpipe.store.objects import Objects


def table_bytes(table: pa.Table) -> bytes:
    """A table as a Parquet file; the same table is the same bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue().to_pybytes())


def put_table(objects: Objects, key: str, table: pa.Table) -> None:
    objects.put(key, table_bytes(table))


def get_table(objects: Objects, key: str) -> pa.Table:
    """A table, whole.

    Raises:
        NotFoundError: there is none.
        DamagedError: it cannot be read, or a page of it is not as its checksum says.
    """
    data = objects.get(key)
    try:
        table = pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        brief = str(error).partition("\n")[0]
        raise DamagedError(f"{objects.url}/{key}: damaged where it lies ({brief}); see `wxpipe validate`") from error
    return table


def table_digest(table: pa.Table, names: Sequence[str]) -> str:
    """Digest of a table's columns, row by row as they stand.

    Raises:
        DamagedError: a column is not there.
    """
    absent = [name for name in names if name not in table.column_names]
    if absent:
        raise DamagedError(f"a table has no column {absent[0]!r}; it has {', '.join(table.column_names)}")
    return content_digest({name: str(table[name].to_pylist()).encode() for name in names})
