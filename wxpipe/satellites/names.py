"""Reads a path by the name grammars of the satellites: which source, channel and time a raw file is of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from wxpipe.satellites.satellite import NameGrammar, Satellite
from wxpipe.satellites.slots import SlotAxis

NO_GRAMMAR = "no name grammar matches"
"""Why a path is none of a satellite's; any other reason says what is wrong with one that is."""


@dataclass(frozen=True)
class Named:
    """What a path says: a picture of one channel of one source at one time, in its slot."""

    source: str
    channel: str
    time: datetime
    slot: int


@dataclass(frozen=True)
class Unnamed:
    """A path that names no picture of a configured source, and why not."""

    kind: Literal["unparsed", "unconfigured"]
    reason: str


class NameReader:
    """Reads paths by every grammar of every satellite, in order; the first that matches decides.

    A path that none matches is read again without regard to upper and lower case: copies by way of other systems come
    as ``.PNG``, and their pictures are none the worse.
    """

    def __init__(self, satellites: Iterable[Satellite]) -> None:
        satellites = list(satellites)
        self._axes = {f"{s.name}-{area}": s.axis for s in satellites for area in s.areas}
        self._grammars = [
            (satellite, grammar, re.compile(rf"(?:{grammar.pattern})\Z", flags).match)
            for flags in (0, re.IGNORECASE)
            for satellite in satellites
            for grammar in satellite.names
        ]

    def axis(self, source: str) -> SlotAxis:
        return self._axes[source]

    def read(self, path: str) -> Named | Unnamed:
        """Reads one path, relative to the archive, with forward slashes."""
        starts = _starts(path)
        for satellite, grammar, match in self._grammars:
            for start in starts:
                found = match(path, start)
                if found is not None:
                    return _named(satellite, grammar, found.groupdict())
        return Unnamed("unparsed", NO_GRAMMAR)


def _starts(path: str) -> list[int]:
    """Where a pattern may begin: at the path's beginning, and after each folder."""
    starts, slash = [0], path.find("/")
    while slash >= 0:
        starts.append(slash + 1)
        slash = path.find("/", slash + 1)
    return starts


@lru_cache(maxsize=4096)
def _time(spelled: str, form: str) -> datetime:
    """The time (UTC) that a name spells; remembered, for all channels of a frame spell the same.

    Raises:
        ValueError: no time, or none that can be.
    """
    return datetime.strptime(spelled, form).replace(tzinfo=UTC)


@lru_cache(maxsize=4096)
def _slot(axis: SlotAxis, when: datetime) -> int:
    return axis.slot(when)


def _named(satellite: Satellite, grammar: NameGrammar, groups: dict[str, str | None]) -> Named | Unnamed:
    area = _spelled(groups.get("area") or grammar.area, grammar.areas, satellite.areas)
    if area not in satellite.areas:
        return Unnamed("unconfigured", f"area {area!r} of {satellite.name} is not configured")
    channel = _spelled(groups.get("channel") or grammar.channel, grammar.channels, satellite.channels)
    if channel not in satellite.channels:
        known = ", ".join(satellite.channels)
        return Unnamed("unparsed", f"unknown channel {channel!r} of {satellite.name}; known: {known}")
    spelled = grammar.time_from.format_map({name: text or "" for name, text in groups.items()})
    try:
        when = _time(spelled, grammar.time)
    except ValueError:
        return Unnamed("unparsed", f"impossible time {spelled!r}; expected {grammar.time}")
    try:
        slot = _slot(satellite.axis, when)
    except ValueError as error:
        return Unnamed("unparsed", f"time outside the life span of {satellite.name}: {error}")
    return Named(f"{satellite.name}-{area}", channel, when, slot)


def _spelled(name: str, spellings: Mapping[str, str], known: Iterable[str]) -> str:
    """The area or channel that a name spells, in any case; a name that spells none, as it is."""
    if name in spellings or name in known:
        return spellings.get(name, name)
    folded = {**{own.casefold(): own for own in known}, **{own.casefold(): to for own, to in spellings.items()}}
    return folded.get(name.casefold(), name)
