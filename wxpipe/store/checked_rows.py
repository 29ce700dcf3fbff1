"""Rows as Parquet objects that know their own digest: what is damaged reads as if it were not there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from wxpipe.errors import DamagedError, NotFoundError
from wxpipe.store.objects import Objects
from wxpipe.store.tables import get_table, put_table

DIGEST = "digest"


def put_checked_rows(objects: Objects, key: str, rows: list[dict[str, Any]], schema: pa.Schema, **facts: str) -> None:
    """Rows and a few facts about them as a Parquet object that knows its own digest."""
    table = pa.Table.from_pylist(rows, schema)
    digest = _rows_digest(table.to_pylist(), facts)
    put_table(objects, key, table.replace_schema_metadata({**facts, DIGEST: digest}))


def get_checked_rows(
    objects: Objects, key: str, schema: pa.Schema
) -> tuple[list[dict[str, Any]], Mapping[str, str]] | None:
    """Rows and facts as they were put; None where there are none, or they are not what was put any more.

    Parquet pages carry no checksum, and what is read here spares work that would notice.
    """
    try:
        table = get_table(objects, key)
    except (NotFoundError, DamagedError):  # what is damaged is as good as gone
        return None
    metadata = dict(table.schema.metadata or {})
    digest = metadata.pop(DIGEST.encode(), b"")
    facts = {name.decode(): value.decode() for name, value in metadata.items()}
    rows: list[dict[str, Any]] = table.to_pylist()
    same = table.schema.equals(schema) and _rows_digest(rows, facts).encode() == digest
    return (rows, facts) if same else None


def _rows_digest(rows: list[dict[str, Any]], facts: Mapping[str, str]) -> str:
    return hashlib.sha256(repr((rows, sorted(facts.items()))).encode("utf-8", "surrogatepass")).hexdigest()
