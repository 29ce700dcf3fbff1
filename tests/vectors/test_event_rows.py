"""A line is an event or has a reason why not; the same content is the same event, however it is written."""

from __future__ import annotations

import contextlib
import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.errors import Quarantine, UsageError
from wxpipe.vectors.event_rows import EPOCH, REQUIRED, Event, parse_header

PLAIN = parse_header(b"start,end,type,region,value,source\r\n", "f.csv")
TRACK = parse_header(b"type,source,lat,lon,value,region,end,start", "f.csv")
GOOD = "2011-03-03T08:00Z,2011-03-03T09:30Z,heavy rain,Seoul,31.5,KMA"


def test_a_line_is_a_typed_event() -> None:
    event = PLAIN.event(GOOD.encode() + b"\r\n")
    moment = EPOCH + timedelta(microseconds=event.start)
    assert moment == datetime(2011, 3, 3, 8, tzinfo=UTC)
    assert event.end is not None
    assert event.end - event.start == 90 * 60 * 1_000_000
    assert event[3:] == ("heavy rain", "Seoul", 31.5, "KMA", None, None)
    bare = PLAIN.event(b"2011-03-03T08:00Z,,gale,,,KMA")
    assert (bare.end, bare.region, bare.value) == (None, None, None)


@pytest.mark.parametrize(
    "line",
    [
        "2011-03-03 08:00,2011-03-03T09:30:00+00:00,heavy rain,Seoul,31.50,KMA",
        "2011-03-03T17:00+09:00,20110303T093000Z, heavy rain , Seoul,+3.15e1,KMA ",
        '"2011-03-03T08:00:00.000Z",2011-03-03T09:30Z,"heavy rain","Seoul","31.5","KMA"',
    ],
)
def test_however_it_is_written_it_is_one_event(line: str) -> None:
    assert PLAIN.event(line.encode()) == PLAIN.event(GOOD.encode())


def test_composed_and_decomposed_letters_are_one_event() -> None:
    lines = [f"2011-03-03T08:00Z,,호우,{region},,KMA".encode() for region in ("서울", "서울")]
    assert PLAIN.event(lines[0]) == PLAIN.event(lines[1])


def test_a_place_is_east_from_minus_180() -> None:
    def place(lat: str, lon: str) -> tuple[float | None, float | None]:
        return TRACK.event(f"typhoon,JTWC,{lat},{lon},,,,2011-03-03T08:00Z".encode())[7:]

    assert place("21.5", "185") == place("21.5", "-175") == (21.5, -175)
    assert place("", "") == (None, None)
    assert place("-0", "0") == (0, 0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2011-03-03T08:00Z,,gale,,KMA", "columns"),
        ("2011-03-03T08:00Z,,gale,Seoul, Korea,,KMA", "columns"),
        (",,gale,,,KMA", "start is no time"),
        ("2011-03-03,,gale,,,KMA", "start is no time"),
        ("03/03/2011 08:00,,gale,,,KMA", "start is no time"),
        ("2011-02-29T08:00Z,,gale,,,KMA", "start is no time"),
        ("2011-03-03T24:00Z,,gale,,,KMA", "start is no time"),
        ("2011-03-03T08:00 KST,,gale,,,KMA", "start is no time"),
        ("1799-03-03T08:00Z,,gale,,,KMA", "start is no time"),
        ("２０１１-03-03T08:00Z,,gale,,,KMA", "start is no time"),
        ("2011-03-03T08:00Z,later,gale,,,KMA", "end is no time"),
        ("2011-03-03T08:00Z,2011-03-03T07:59Z,gale,,,KMA", "end before start"),
        ("2011-03-03T08:00Z,,,,,KMA", "type is no text"),
        ("2011-03-03T08:00Z,,gale,,,", "source is no text"),
        ("2011-03-03T08:00Z,,ga\x07le,,,KMA", "type is no text"),
        (f"2011-03-03T08:00Z,,{'g' * 201},,,KMA", "type is no text"),
        ("2011-03-03T08:00Z,,gale,,strong,KMA", "value is no number"),
        ("2011-03-03T08:00Z,,gale,,nan,KMA", "value is no number"),
        ("2011-03-03T08:00Z,,gale,,1e999,KMA", "value is no number"),
        ("2011-03-03T08:00Z,,gale,,1_000,KMA", "value is no number"),
        ('2011-03-03T08:00Z,,gale,,"1,5",KMA', "value is no number"),
        ('2011-03-03T08:00Z,,"gale,,,KMA', "quotes"),
        (f"2011-03-03T08:00Z,,{'g' * 70_000},,,KMA", "line too long"),
    ],
)
def test_what_is_no_event_has_a_reason(line: str, reason: str) -> None:
    with pytest.raises(Quarantine) as told:
        PLAIN.event(line.encode())
    assert told.value.reason == reason
    assert told.value.expected


def test_bytes_that_are_no_utf8_are_put_aside() -> None:
    with pytest.raises(Quarantine, match=r"encoding; expected UTF-8, found byte 0x.. at 21"):
        PLAIN.event("2011-03-03T08:00Z,,호우,,,KMA".encode("cp949"))


@pytest.mark.parametrize(
    ("place", "reason"), [("91,10", "lat is out of range"), ("10,361", "lon is out of range"), (",10", "half a place")]
)
def test_a_place_that_is_none_is_put_aside(place: str, reason: str) -> None:
    with pytest.raises(Quarantine) as told:
        TRACK.event(f"typhoon,JTWC,{place},,,,2011-03-03T08:00Z".encode())
    assert told.value.reason == reason


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"start;end;type;region;value;source", "lacks 'start'"),
        (b"start,end,type,region,source", "lacks 'value'"),
        (b"start,end,type,region,value,source,colour", "unknown 'colour'"),
        (b"start,end,type,region,value,source,start", "twice 'start'"),
        (b"start,end,type,region,value,source,lat", "one of lat and lon"),
        (b"\xff\xfes\x00t\x00a\x00r\x00t\x00", "no header"),
    ],
)
def test_a_file_without_the_columns_is_refused_whole(line: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_header(line, "f.csv")


def test_a_mark_of_byte_order_is_no_letter() -> None:
    assert parse_header(b"\xef\xbb\xbf" + ",".join(REQUIRED).encode(), "f.csv").columns == REQUIRED


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80) | st.text(alphabet='0123456789-:TZ,."+ e', max_size=80).map(str.encode))
def test_no_line_is_anything_else_than_an_event_or_a_reason(line: bytes) -> None:
    for header in (PLAIN, TRACK):
        with contextlib.suppress(Quarantine):
            assert isinstance(header.event(line), Event)


CELL = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    start=st.datetimes(datetime(1950, 1, 1), datetime(2150, 1, 1)),
    minutes=st.none() | st.integers(0, 10_000),
    texts=st.tuples(CELL, CELL, CELL),
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
def test_what_is_written_is_read(
    start: datetime, minutes: int | None, texts: tuple[str, str, str], value: float | None
) -> None:
    end = "" if minutes is None else f"{(start + timedelta(minutes=minutes)).isoformat()}"
    kind, region, source = ('"' + text.replace('"', '""') + '"' for text in texts)
    line = f"{start.isoformat()}Z,{end},{kind},{region},{'' if value is None else repr(value)},{source}"
    event = PLAIN.event(line.encode())
    assert EPOCH + timedelta(microseconds=event.start) == start.replace(tzinfo=UTC)
    assert (event.end is None) == (minutes is None)
    if event.end is not None and minutes is not None:
        assert event.end - event.start == minutes * 60_000_000
    assert event.value == value
    assert (event.type, event.region, event.source) == tuple(unicodedata.normalize("NFC", text) for text in texts)
