"""Names of frames and clips are written in one way, read back, and refused with an example otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from wxpipe.errors import UsageError
from wxpipe.similarity.clips import ClipRule
from wxpipe.similarity.identity import clip_id, frame_id, parse_clip_id, parse_frame_id

EIGHT = datetime(2011, 3, 3, 8, 0, tzinfo=UTC)


def test_names_are_written_and_read_back() -> None:
    assert frame_id("coms-ea", EIGHT) == "coms-ea/20110303T0800Z"
    assert parse_frame_id("coms-ea/20110303T0800Z") == ("coms-ea", EIGHT)
    assert clip_id("coms-ea", EIGHT, ClipRule()) == "coms-ea/20110303T0800Z/6h20"
    assert parse_clip_id("mtsat-1r-ea/20110303T0800Z/24h8") == ("mtsat-1r-ea", EIGHT, 24, 8)


def test_other_zones_are_written_in_utc() -> None:
    korean = datetime(2011, 3, 3, 17, 0, tzinfo=timezone(timedelta(hours=9)))
    assert frame_id("coms-ea", korean) == "coms-ea/20110303T0800Z"
    assert parse_frame_id(frame_id("coms-ea", korean)).time.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("source", "time", "match"),
    [
        ("coms", EIGHT, "coms-ea"),
        ("coms-ea/x", EIGHT, "coms-ea"),
        ("coms-ea", EIGHT.replace(tzinfo=None), "no timezone"),
        ("coms-ea", EIGHT.replace(second=30), "whole minute"),
    ],
)
def test_what_is_no_name_is_not_written(source: str, time: datetime, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        frame_id(source, time)


@pytest.mark.parametrize("text", ["", "coms/20110303T0800Z", "coms-ea/20110303T0800", "coms-ea/20111303T0800Z"])
def test_what_is_no_frame_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="coms-ea/20110303T0800Z"):
        parse_frame_id(text)


@pytest.mark.parametrize("text", ["coms-ea/20110303T0800Z", "coms-ea/20110303T0800Z/20", "coms-ea/20110303T2500Z/6h20"])
def test_what_is_no_clip_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="coms-ea/20110303T0800Z/6h20"):
        parse_clip_id(text)


def test_a_clip_of_no_length_is_refused() -> None:
    with pytest.raises(UsageError, match="0 hours"):
        parse_clip_id("coms-ea/20110303T0800Z/0h20")
