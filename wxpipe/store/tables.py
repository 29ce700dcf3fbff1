"""Tables of the root as Parquet objects: written whole, read whole. What their rows mean, the rooms above know."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from wxpipe.errors import DamagedError, WxpipeError
from wxpipe.store.frames import content_digest
from wxpipe.store.objects import Objects


def table_bytes(table: pa.Table) -> bytes:
    """A table as a Parquet file; the same table is the same bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue().to_pybytes())


def put_table(objects: Objects, key: str, table: pa.Table) -> None:
    objects.put(key, table_bytes(table))


def get_table(objects: Objects, key: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A table, whole, or some columns of it.

    Raises:
        NotFoundError: there is none.
        DamagedError: it cannot be read, or a page of it is not as its checksum says.
    """
    data = objects.get(key)
    try:
        wanted = None if columns is None else list(columns)
        table = pq.read_table(pa.BufferReader(data), columns=wanted, page_checksum_verification=True)
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


class RowDigests:
    """Digests of runs of a table's rows: of their values, a column at a time, whatever pages and chunks there are.

    No row becomes an object of Python: millions are named in seconds. Columns are texts, truths and numbers, without
    nulls.

    Raises:
        WxpipeError: a column of another type, or with nulls.
    """

    def __init__(self, table: pa.Table) -> None:
        self._rows = len(table)
        self._columns = [_column(name, table[name]) for name in table.column_names]

    def of(self, low: int = 0, high: int | None = None) -> str:
        """Digest of the rows [low, high); of all from ``low`` on by default."""
        high = self._rows if high is None else high
        digest = hashlib.sha256(f"{high - low}\n".encode())
        if high > low:
            for values, data in self._columns:
                if data is None:
                    digest.update(np.ascontiguousarray(values[low:high]).data)
                else:
                    ends = values[low : high + 1]
                    digest.update((ends[1:] - ends[0]).data)
                    digest.update(data[ends[0] : ends[-1]].data)
        return digest.hexdigest()[:32]


def _column(name: str, column: Any) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8] | None]:
    """A column as its values, or as the offsets (row + 1) and the bytes of its texts."""
    if column.null_count:
        raise WxpipeError(f"column {name!r} has {column.null_count} nulls, and should have none")
    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_string(array.type):
        if not len(array):
            return np.zeros(1, "<i4"), np.zeros(0, np.uint8)
        _, offsets, data = array.buffers()
        ends = np.frombuffer(offsets, "<i4")[array.offset : array.offset + len(array) + 1]
        return ends, np.frombuffer(data if data is not None else b"", np.uint8)
    if pa.types.is_boolean(array.type):
        return array.to_numpy(zero_copy_only=False).astype(np.uint8), None
    if pa.types.is_timestamp(array.type):
        return array.view(pa.int64()).to_numpy(), None
    if pa.types.is_integer(array.type):
        return array.to_numpy(), None
    raise WxpipeError(f"column {name!r} is of {array.type}, and no digest is known for that")
