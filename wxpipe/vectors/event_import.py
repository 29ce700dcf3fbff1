"""`wxpipe events import`: a CSV into the root, a line at a time; what cannot be read is kept with its reason."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from wxpipe.errors import Quarantine, RefusedError, UsageError
from wxpipe.store.root import Root
from wxpipe.store.tables import table_bytes
from wxpipe.vectors.event_rows import LONGEST_LINE, Event, Header, parse_header
from wxpipe.vectors.events import (
    REFUSED,
    REFUSED_SCHEMA,
    ROWS,
    SCHEMA,
    Import,
    Part,
    Span,
    latest_import,
    record_import,
)

PART_ROWS = 50_000
"""Rows of an object: parts are cut in the order of the file, so that a file that has grown shares those of before."""

LONGEST_KEPT = 1_000
MOST_EXAMPLES = 10
SECOND = 1_000_000


@dataclass(frozen=True)
class Imported:
    """What an import came to.

    Attributes:
        changed: whether anything is other than before; of a dry run, whether it would be.
        reasons: quarantined lines by reason.
        examples: the first lines that were quarantined.
    """

    made: Import
    changed: bool
    reasons: dict[str, int]
    examples: tuple[Quarantine, ...]


def import_events(
    root: Root, file: Path, name: str = "", covers: tuple[int, int] | None = None, dry_run: bool = False
) -> Imported:
    """Brings a file into effect in place of what came under its name before.

    Args:
        name: the source name; by default the file's own name.
        covers: epoch seconds [from, to] for which the file is complete; by default it is taken to be from the first
            event of a type to the last.
        dry_run: read and check it, and write nothing.

    Raises:
        UsageError: there is no such file, or it has not the columns of events.
        RefusedError: none of its rows can be read, where events would be lost; or another import was made meanwhile.
    """
    name = name or file.name
    before = latest_import(root, name)
    reading = _Reading(name, None if dry_run else root)
    try:
        with open(file, "rb") as opened:
            reading.read(opened)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UsageError(f"{file}: expected a CSV file, found none") from error
    made = reading.made(covers)
    told = (dict(reading.reasons.most_common()), tuple(reading.examples))
    if before is not None and before.rows and made.quarantined and not made.rows:
        raise RefusedError(
            f"{name}: none of its {made.quarantined} rows can be read (first: {reading.examples[0]}), and it would "
            f"replace {before.rows} events; nothing was changed. `wxpipe events remove` if that is what you want"
        )
    if dry_run:
        return Imported(made, not made.same_content(before), *told)
    done, changed = record_import(root, made, before)
    return Imported(done, changed, *told)


@dataclass
class _Parts:
    """Rows on their way into objects of `PART_ROWS`; without a root they are only counted."""

    root: Root | None
    folder: str
    schema: pa.Schema
    digest: Callable[[list[Any]], str]
    done: list[Part] = field(default_factory=list)
    waiting: list[Any] = field(default_factory=list)

    def add(self, row: tuple[Any, ...]) -> None:
        self.waiting.append(row)
        if len(self.waiting) >= PART_ROWS:
            self.flush()

    def flush(self) -> None:
        if not self.waiting:
            return
        part = Part(self.digest(self.waiting), len(self.waiting))
        if self.root is not None:
            columns = zip(*self.waiting, strict=True)
            arrays = [pa.array(list(cells), kind) for cells, kind in zip(columns, self.schema.types, strict=True)]
            key, data = f"{self.folder}/{part.digest}.parquet", table_bytes(pa.table(arrays, schema=self.schema))
            if not self.root.objects.holds(key, data):  # the same rows are the same bytes: what is damaged is mended
                self.root.objects.put(key, data)
        self.done.append(part)
        self.waiting.clear()


class _Reading:
    """A file as it is read."""

    def __init__(self, name: str, root: Root | None) -> None:
        self.name = name
        self.reasons: Counter[str] = Counter()
        self.examples: list[Quarantine] = []
        self.repeated = 0
        self._events = _Parts(root, ROWS, SCHEMA, lambda rows: _digest("".join(row[0] for row in rows)))
        self._refused = _Parts(root, REFUSED, REFUSED_SCHEMA, lambda rows: _digest(repr(rows)))
        self._seen: set[bytes] = set()
        self._types: dict[str, list[int]] = {}
        self._file = hashlib.sha256()

    def read(self, file: BinaryIO) -> None:
        lines = self._lines(file)
        first = next((line for line in lines if line[1].strip()), None)
        if first is None:
            raise UsageError(f"{self.name}: the file is empty; expected a header and rows")
        header = parse_header(first[1], self.name)
        for number, line in lines:
            if line.strip():
                self._take(number, line, header)
        self._events.flush()
        self._refused.flush()

    def made(self, covers: tuple[int, int] | None) -> Import:
        types = {name: Span(*span) for name, span in sorted(self._types.items())}
        parts = tuple(self._events.done), tuple(self._refused.done)
        return Import(self.name, *parts, self.repeated, types, covers, file_digest=self._file.hexdigest())

    def _lines(self, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
        """Lines by number; of one that is too long its beginning, so that no line fills the memory."""
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            self._file.update(line)
            end = line
            while not end.endswith(b"\n") and (end := file.readline(LONGEST_LINE)):
                self._file.update(end)
            yield number, line

    def _take(self, number: int, line: bytes, header: Header) -> None:
        try:
            event = header.event(line)
        except Quarantine as bad:
            self._put_aside(number, line, bad)
            return
        key = bytes.fromhex(event.id)
        if key in self._seen:
            self.repeated += 1
            return
        self._seen.add(key)
        self._events.add(event)
        self._count(event)

    def _count(self, event: Event) -> None:
        first, last = event.start // SECOND, -(-(event.start if event.end is None else event.end) // SECOND)
        span = self._types.setdefault(event.type, [0, first, last])
        span[:] = span[0] + 1, min(span[1], first), max(span[2], last)

    def _put_aside(self, number: int, line: bytes, bad: Quarantine) -> None:
        text = line.rstrip(b"\r\n")[:LONGEST_KEPT].decode(errors="backslashreplace")
        self._refused.add((number, bad.reason, bad.expected, bad.found, text))
        self.reasons[bad.reason] += 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(Quarantine(f"{self.name} line {number}", bad.reason, bad.expected, bad.found))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
