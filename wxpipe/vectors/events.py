"""Events of the root: what people brought, file by file, and what of it is in effect.

An import is a numbered object that names its rows; rows are Parquet objects named by their content. Of each name the
latest import is in effect, and nothing is ever changed: two imports at once cannot hurt each other, and one that was
killed has brought nothing. What could not be read is kept beside, with its line and its reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from wxpipe.errors import DamagedError, NotFoundError, RefusedError, UsageError
from wxpipe.store.requests import now, whoami
from wxpipe.store.root import Root
from wxpipe.store.tables import get_table

FOLDER = "events"
IMPORTS, ROWS, REFUSED = f"{FOLDER}/imports", f"{FOLDER}/rows", f"{FOLDER}/refused"

_MOMENT = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [("event_id", pa.string()), ("start", _MOMENT), ("end", _MOMENT), ("type", pa.string()), ("region", pa.string()),
     ("value", pa.float64()), ("source", pa.string()), ("lat", pa.float64()), ("lon", pa.float64())]
)  # fmt: skip
REFUSED_SCHEMA = pa.schema(
    [("line", pa.int64()), ("reason", pa.string()), ("expected", pa.string()), ("found", pa.string()),
     ("text", pa.string())]
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Some rows of an import, in the order of the file: one object, named by their digest."""

    digest: str
    rows: int


@dataclass(frozen=True)
class Span:
    """How many events there are of a type, and the epoch seconds that they lie between."""

    count: int
    first: int
    last: int


@dataclass(frozen=True)
class Import:
    """What one file brought.

    Attributes:
        name: what a later import of the same replaces: the file's name, unless another was given.
        parts, refused: rows, and lines that are none.
        repeated: rows that the file has more than once; they are one event.
        types: of the rows.
        covers: epoch seconds of the period for which the file is complete, where that was said.
        removed: by a person; nothing of the name is in effect.
        file_digest: sha256 of the file.
    """

    name: str
    parts: tuple[Part, ...] = ()
    refused: tuple[Part, ...] = ()
    repeated: int = 0
    types: Mapping[str, Span] = field(default_factory=dict)
    covers: tuple[int, int] | None = None
    removed: bool = False
    file_digest: str = ""
    number: int = 0
    who: str = ""
    when: str = ""

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def quarantined(self) -> int:
        return sum(part.rows for part in self.refused)

    def same_content(self, other: Import | None) -> bool:
        """Whether another brought the same; number, time and person aside."""
        return other is not None and _content(self) == _content(other)


def all_imports(root: Root) -> list[Import]:
    """Every import and removal, the oldest first.

    Raises:
        DamagedError: a record is not one.
    """
    keys = [f"{IMPORTS}/{name}" for name in root.objects.names(IMPORTS) if name.endswith(".json")]
    found = zip(keys, root.objects.get_many(keys), strict=True)
    return [_parse(key, data) for key, data in found if data is not None]


def in_effect(root: Root) -> list[Import]:
    """The latest import of each name that was not removed since, in the order of their numbers."""
    latest = {made.name: made for made in all_imports(root)}
    return sorted((made for made in latest.values() if not made.removed), key=lambda made: made.number)


def latest_import(root: Root, name: str) -> Import | None:
    """What was last done under a name, a removal included."""
    return next((made for made in reversed(all_imports(root)) if made.name == name), None)


def record_import(root: Root, made: Import, before: Import | None) -> tuple[Import, bool]:
    """Brings an import into effect under the next number; whose rows are stored by then.

    Args:
        before: what was last done under the name when this import began.

    Returns:
        The import in effect, and whether it is a new one: the same content is not recorded twice.

    Raises:
        RefusedError: another import under the name, of another content, was made meanwhile.
    """
    who, when = whoami(), now()
    while True:
        done = all_imports(root)
        there = next((old for old in reversed(done) if old.name == made.name), None)
        if there is not None and made.same_content(there):
            return there, False
        if there is not None and there != before:
            raise RefusedError(
                f"{made.name}: import {there.number} by {there.who} was made meanwhile; nothing was changed. "
                "Import again if this file is the newer one, or give it another --source-name"
            )
        number = max((old.number for old in done), default=0) + 1
        numbered = replace(made, number=number, who=who, when=when)
        data = json.dumps(asdict(numbered), indent=1, ensure_ascii=False).encode()
        if root.objects.put_if_absent(f"{IMPORTS}/{number:08d}.json", data):
            return numbered, True


def remove_events(root: Root, name: str) -> Import:
    """Takes out of effect what came under a name, and returns what that was; an import brings it back.

    Raises:
        UsageError: nothing came under it; lists the names.
    """
    there = next((made for made in in_effect(root) if made.name == name), None)
    if there is None:
        known = ", ".join(made.name for made in in_effect(root)) or "none"
        raise UsageError(f"{root.url} has no events of the source name {name!r}; source names: {known}")
    record_import(root, Import(name, removed=True), there)
    return there


def read_events(root: Root) -> pa.Table:
    """Every event in effect, once, in order of its start; with ``imported_from``, the first import that has it.

    Raises:
        DamagedError: rows of an import are not as they were written.
    """
    made = in_effect(root)
    memo = ("events", *(str(one.number) for one in made))
    found = root.memo.get(memo)
    if found is None:
        for old in [key for key in list(root.memo) if key[0] == "events"]:
            root.memo.pop(old, None)
        tables = [_rows(root, one, one.parts, ROWS, SCHEMA) for one in made]
        found = _each_once(pa.concat_tables(tables or [_with_name(SCHEMA.empty_table(), "")]))
        root.memo[memo] = found
    return found


def read_refused(root: Root) -> pa.Table:
    """Every line that is quarantined now, with ``imported_from``."""
    parts = [_rows(root, made, made.refused, REFUSED, REFUSED_SCHEMA) for made in in_effect(root)]
    return pa.concat_tables(parts or [_with_name(REFUSED_SCHEMA.empty_table(), "")])


def _rows(root: Root, made: Import, parts: Sequence[Part], folder: str, schema: pa.Schema) -> pa.Table:
    tables = [schema.empty_table()]
    for part in parts:
        key = f"{folder}/{part.digest}.parquet"
        try:
            table = get_table(root.objects, key)
        except (DamagedError, NotFoundError) as error:
            raise DamagedError(f"{root.url}/{key}: damaged or gone ({error}); import {made.name} again") from error
        if len(table) != part.rows or not table.schema.equals(schema):
            raise DamagedError(f"{root.url}/{key}: not the {part.rows} rows that were put; import {made.name} again")
        tables.append(table)
    return _with_name(pa.concat_tables(tables), made.name)


def _with_name(table: pa.Table, name: str) -> pa.Table:
    return table.append_column("imported_from", pa.array([name]).take(pa.array(np.zeros(len(table), np.int64))))


def _each_once(table: pa.Table) -> pa.Table:
    codes = pa.concat_arrays(table["event_id"].chunks).dictionary_encode().indices.to_numpy(zero_copy_only=False)
    _, first = np.unique(codes, return_index=True)
    return table.take(pa.array(np.sort(first))).sort_by([("start", "ascending"), ("event_id", "ascending")])


def _content(made: Import) -> dict[str, Any]:
    own = asdict(made)
    return {name: own[name] for name in own if name not in ("number", "who", "when", "file_digest")}


def _parse(key: str, data: bytes) -> Import:
    try:
        fields: dict[str, Any] = json.loads(data)
        parts = {name: tuple(Part(**part) for part in fields[name]) for name in ("parts", "refused")}
        types = {name: Span(**span) for name, span in fields["types"].items()}
        covers = tuple(fields["covers"]) if fields["covers"] is not None else None
        return Import(**{**fields, **parts, "types": types, "covers": covers})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedError(f"{key}: not the record of an import ({error!r}); delete it and import again") from error
