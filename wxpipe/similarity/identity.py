"""The names of frames and clips, as people, tables and the API write them.

Arithmetic on names alone; whether a named frame exists is the store's to say.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

from wxpipe.errors import UsageError
from wxpipe.similarity.clips import ClipRule

FRAME_EXAMPLE = "coms-ea/20110303T0800Z"
CLIP_EXAMPLE = "coms-ea/20110303T0800Z/6h20"

_SOURCE = r"[a-z0-9_]+(?:-[a-z0-9_]+)+"
_FRAME = re.compile(rf"({_SOURCE})/(\d{{8}}T\d{{4}})Z")
_CLIP = re.compile(rf"({_SOURCE})/(\d{{8}}T\d{{4}})Z/(\d{{1,4}})h(\d{{1,4}})")


class FrameIdentity(NamedTuple):
    """What a frame's name says: source, nominal time in UTC."""

    source: str
    time: datetime


class ClipIdentity(NamedTuple):
    """What a clip's name says: source, nominal time of its first frame in UTC, length in hours, frames."""

    source: str
    time: datetime
    hours: int
    frames: int


def frame_id(source: str, time: datetime) -> str:
    """Name a frame, e.g. ``coms-ea/20110303T0800Z``.

    Args:
        source: satellite and area, ``coms-ea``.
        time: nominal time, timezone-aware, on a whole minute; written in UTC.

    Raises:
        UsageError: a source of another form, a time without zone, or with seconds.
    """
    if re.fullmatch(_SOURCE, source) is None:
        raise UsageError(f"{source!r} names no source; expected satellite-area, e.g. coms-ea")
    if time.tzinfo is None:
        raise UsageError(f"{time.isoformat()} has no timezone; give a time in UTC, e.g. 2011-03-03T08:00Z")
    if time.second or time.microsecond:
        raise UsageError(f"{time.isoformat()} is not a nominal time; expected a whole minute, e.g. 08:00")
    return f"{source}/{time.astimezone(UTC):%Y%m%dT%H%MZ}"


def clip_id(source: str, time: datetime, rule: ClipRule) -> str:
    """Name a clip by its first frame and its rule, e.g. ``coms-ea/20110303T0800Z/6h20``.

    Raises:
        UsageError: as `frame_id`.
    """
    return f"{frame_id(source, time)}/{rule.name}"


def parse_frame_id(text: str) -> FrameIdentity:
    """Read a frame's name.

    Raises:
        UsageError: not of the form of ``coms-ea/20110303T0800Z``, or no such time.
    """
    match = _FRAME.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} names no frame; expected e.g. {FRAME_EXAMPLE}")
    return FrameIdentity(match[1], _parse_time(match[2], text, FRAME_EXAMPLE))


def parse_clip_id(text: str) -> ClipIdentity:
    """Read a clip's name.

    Raises:
        UsageError: not of the form of ``coms-ea/20110303T0800Z/6h20``, or no such time, length or count.
    """
    match = _CLIP.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} names no clip; expected e.g. {CLIP_EXAMPLE}")
    rule = ClipRule(frames=int(match[4]), hours=int(match[3]))
    return ClipIdentity(match[1], _parse_time(match[2], text, CLIP_EXAMPLE), rule.hours, rule.frames)


def _parse_time(digits: str, text: str, example: str) -> datetime:
    try:
        return datetime.strptime(digits, "%Y%m%dT%H%M").replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(f"{text!r} names no time that exists; expected e.g. {example}") from None
