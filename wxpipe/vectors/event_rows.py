"""A line of a CSV of events: a typed event, or the reason why it is none. What comes of a file, `event_import` knows.

Columns, in any order: ``start``, ``end``, ``type``, ``region``, ``value``, ``source``, and perhaps ``lat`` and ``lon``
(degrees). Times are ISO 8601; one without a zone is UTC. ``end``, ``region`` and ``value`` may be empty: an event
without an end is a moment. A row is one line: a quoted text may hold commas and quotes, and no line break, so that one
open quote does not swallow the rows after it.
"""

from __future__ import annotations

import csv
import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from wxpipe.errors import Quarantine, UsageError

REQUIRED = ("start", "end", "type", "region", "value", "source")
OPTIONAL = ("lat", "lon")
LONGEST_LINE = 64 << 10
LONGEST_TEXT = 200

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_TIME = re.compile(
    r"(19|20|21)\d\d-?\d\d-?\d\d[T ]\d\d(:?\d\d(:?\d\d([.,]\d{1,6})?)?)?(Z|[+-]\d\d(:?\d\d)?)?", re.ASCII
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Event(NamedTuple):
    """One event, in the order of the table's columns.

    Attributes:
        id: digest of all that follows: the same content is the same event, wherever it came from.
        start: microseconds since 1970, UTC; ``end`` likewise, None for a moment.
        lat, lon: degrees north, and east from -180 up to 180.
    """

    id: str
    start: int
    end: int | None
    type: str
    region: str | None
    value: float | None
    source: str
    lat: float | None
    lon: float | None


@dataclass(frozen=True)
class Header:
    """The columns of a file, as its first line names them."""

    columns: tuple[str, ...]

    def event(self, line: bytes) -> Event:
        """The event of a line.

        Raises:
            Quarantine: it is none; the path is left to who knows the line's number.
        """
        cells = _cells(line)
        if len(cells) != len(self.columns):
            raise _bad("columns", f"{len(self.columns)} ({','.join(self.columns)})", f"{len(cells)}")
        return _event(dict(zip(self.columns, (cell.strip() for cell in cells), strict=True)))


def parse_header(line: bytes, name: str) -> Header:
    """The columns that a first line names.

    Raises:
        UsageError: not the columns of events; names what is lacking and what is unknown.
    """
    expected = f"expected the columns {','.join(REQUIRED)}, and perhaps {','.join(OPTIONAL)}"
    try:
        columns = tuple(cell.strip() for cell in _cells(line.removeprefix(b"\xef\xbb\xbf")))
    except Quarantine as error:
        raise UsageError(f"{name}: the first line is no header ({error.reason}); {expected}, in UTF-8") from error
    lacking = [column for column in REQUIRED if column not in columns]
    unknown = [column for column in columns if column not in REQUIRED + OPTIONAL]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    faults = [
        f"{word} {', '.join(map(repr, found))}"[:300]
        for word, found in (("lacks", lacking), ("has unknown", unknown), ("has twice", twice))
        if found
    ]
    if ("lat" in columns) != ("lon" in columns):
        faults.append("has one of lat and lon without the other")
    if faults:
        raise UsageError(f"{name}: its first line {'; '.join(faults)}; {expected}")
    return Header(columns)


def _cells(line: bytes) -> list[str]:
    if len(line) > LONGEST_LINE:
        raise _bad("line too long", f"at most {LONGEST_LINE:,} bytes", "more")
    try:
        text = line.rstrip(b"\r\n").decode()
    except UnicodeDecodeError as error:
        raise _bad("encoding", "UTF-8", f"byte {line[error.start]:#04x} at {error.start}") from error
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise _bad("quotes", "quotes that are closed on the same line", str(error)) from error


def _event(cells: Mapping[str, str]) -> Event:
    start = _time("start", cells["start"])
    end = _time("end", cells["end"]) if cells["end"] else None
    if end is not None and end < start:
        raise _bad("end before start", f"an end not before {cells['start']}", cells["end"])
    kind, source = _text("type", cells["type"]), _text("source", cells["source"])
    region = _text("region", cells["region"]) if cells["region"] else None
    value = _number("value", cells["value"]) if cells["value"] else None
    lat, lon = _place(cells)
    content = "\x1f".join(map(repr, (start, end, kind, region, value, source, lat, lon)))
    name = hashlib.sha256(content.encode()).hexdigest()[:32]
    return Event(name, start, end, kind, region, value, source, lat, lon)


def _time(column: str, text: str) -> int:
    expected = "a time of 1900 to 2199, ISO 8601, such as 2011-03-03T08:00Z"
    if _TIME.fullmatch(text) is None:
        raise _bad(f"{column} is no time", expected, text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _bad(f"{column} is no time", expected, f"{text} ({error})") from error
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND


def _text(column: str, text: str) -> str:
    if not text or len(text) > LONGEST_TEXT or _CONTROL.search(text):
        raise _bad(f"{column} is no text", f"1 to {LONGEST_TEXT} characters, none of them control characters", text)
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _number(column: str, text: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else float("nan")
    if not abs(value) < float("inf"):
        raise _bad(f"{column} is no number", "a finite number such as 12.5, or nothing", text)
    return value + 0.0  # -0 is 0


def _place(cells: Mapping[str, str]) -> tuple[float | None, float | None]:
    lat, lon = cells.get("lat", ""), cells.get("lon", "")
    if not lat and not lon:
        return None, None
    if not lat or not lon:
        raise _bad("half a place", "lat and lon, or neither", f"lat {lat!r}, lon {lon!r}")
    north, east = _number("lat", lat), _number("lon", lon)
    if not -90 <= north <= 90:
        raise _bad("lat is out of range", "-90 to 90 degrees", lat)
    if not -180 <= east <= 360:
        raise _bad("lon is out of range", "-180 to 360 degrees", lon)
    return north, east - 360 if east >= 180 else east


def _bad(reason: str, expected: str, found: str) -> Quarantine:
    return Quarantine("", reason, expected, found[:LONGEST_TEXT])
