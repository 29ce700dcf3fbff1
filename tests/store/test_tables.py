"""Digests of rows are those of their values: whatever chunks a table has, and for every run of rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wxpipe.errors import WxpipeError
from wxpipe.store.objects import open_objects
from wxpipe.store.tables import RowDigests, get_table, put_table

SCHEMA = pa.schema(
    [("text", pa.string()), ("size", pa.int64()), ("slot", pa.int32()), ("gone", pa.bool_()),
     ("time", pa.timestamp("us", "UTC"))]
)  # fmt: skip
ROWS = st.lists(
    st.tuples(st.text(max_size=4), st.integers(0, 2), st.integers(0, 2), st.booleans(),
              st.integers(0, 2).map(lambda n: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=n))),
    max_size=12,
)  # fmt: skip


QUIETLY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""


def table_of(rows: list[tuple[object, ...]]) -> pa.Table:
    return pa.table([pa.array([row[n] for row in rows], kind) for n, kind in enumerate(SCHEMA.types)], schema=SCHEMA)


@QUIETLY
@given(rows=ROWS, cuts=st.lists(st.integers(0, 12), max_size=3), run=st.tuples(st.integers(0, 12), st.integers(0, 12)))
def test_chunks_leave_no_trace(rows: list[tuple[object, ...]], cuts: list[int], run: tuple[int, int]) -> None:
    whole = table_of(rows)
    low, high = sorted(min(n, len(rows)) for n in run)
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    pieces = pa.concat_tables([whole.slice(a, b - a) for a, b in pairwise(edges)])
    alone = RowDigests(table_of(rows[low:high])).of()
    assert RowDigests(whole).of(low, high) == RowDigests(pieces).of(low, high) == alone
    assert RowDigests(whole.slice(low, high - low)).of() == alone


@QUIETLY
@given(one=ROWS, other=ROWS)
def test_other_rows_have_other_digests(one: list[tuple[object, ...]], other: list[tuple[object, ...]]) -> None:
    digests = [RowDigests(table_of(rows)).of() for rows in (one, other)]
    assert (digests[0] == digests[1]) == (one == other)


def test_texts_that_join_to_the_same_are_told_apart() -> None:
    digests = {RowDigests(pa.table({"a": texts})).of() for texts in (["ab", "c"], ["a", "bc"], ["abc"], ["", "abc"])}
    assert len(digests) == 4


def test_a_table_read_back_has_the_digest_of_the_one_written(tmp_path: object) -> None:
    objects = open_objects(str(tmp_path))
    table = table_of([("é", 1, 2, True, datetime(2020, 1, 1, tzinfo=UTC)), ("", 0, 0, False, datetime(2020, 1, 1))])
    put_table(objects, "t.parquet", table)
    assert RowDigests(get_table(objects, "t.parquet")).of() == RowDigests(table).of()


@pytest.mark.parametrize(("column", "said"), [(pa.array([1, None]), "has 1 nulls"), (pa.array([0.5]), "of double")])
def test_what_has_no_digest_is_refused(column: pa.Array, said: str) -> None:
    with pytest.raises(WxpipeError, match=said):
        RowDigests(pa.table({"a": column}))
