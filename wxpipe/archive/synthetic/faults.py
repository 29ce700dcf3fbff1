"""Plants faults into any archive of 8-bit RGB PNG, far enough apart that each shows alone, and says what was planted.

What an ingest must say of each kind is the registry's: that of bytes, of pixels and of names are files of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from wxpipe.archive.picture import DAYLIGHT
from wxpipe.archive.quality import BLACK
from wxpipe.archive.synthetic.fault_bytes import BYTES
from wxpipe.archive.synthetic.fault_names import NAMES
from wxpipe.archive.synthetic.fault_pixels import PIXELS
from wxpipe.archive.synthetic.fault_victim import Fault, Paths, UnsuitableError, Victim
from wxpipe.archive.truth import Planted
from wxpipe.draws import derived_seed, permutation
from wxpipe.errors import UsageError
from wxpipe.satellites.catalog import Source
from wxpipe.satellites.sun import sun_elevation

FAULTS: Mapping[str, Fault] = {**BYTES, **PIXELS, **NAMES}

APART = 5
"""Slots from one victim to the next of a channel: a stranger is told by three pictures around it, a copy needs its
model, and no fault may be mistaken for another's consequence."""
_LIKE = 0.9
"""Correlation with each of the pictures around, from which on a victim's neighbours can tell a stranger."""


class NoRoomError(UsageError):
    """No sound picture is left at which a fault of the kind would show alone."""


def kinds_for(source: Source, paths: Paths) -> tuple[str, ...]:
    """Kinds that can show in an archive of a source's pictures, in the registry's order."""
    return tuple(kind for kind, fault in FAULTS.items() if not _hindrance(source, paths, fault))


def plant(pictures: Path, source: Source, paths: Paths, kinds: Sequence[str], seed: int) -> tuple[Planted, ...]:
    """Spoils an archive where it lies, each kind as often as it is named, at pictures that the seed draws.

    The first and last pictures of each channel are spared, and no picture has a part in two faults. The same archive,
    kinds and seed give the same faults. What is planted once is not taken back.

    Args:
        pictures: the archive's folder.
        source: whose pictures these are; all of them sound.
        paths: where each lies.
        kinds: of `FAULTS`.
        seed: of the places.

    Returns:
        What must be said, in the order of planting; one fault may be told of several pictures.

    Raises:
        UsageError: an unknown kind, or one that the source's pictures cannot show: nothing was touched. Or no room for
            all: those before it are planted.
    """
    for kind in dict.fromkeys(kinds):
        if kind not in FAULTS:
            raise UsageError(f"no kind of fault {kind!r}; there are: {', '.join(FAULTS)}")
        if reason := _hindrance(source, paths, FAULTS[kind]):
            raise UsageError(f"{source.id} cannot show the fault {kind!r}: {reason}")
    ground = _Ground(pictures, source, paths, seed)
    return tuple(told for kind in sorted(kinds, key=_rank) for told in ground.plant(kind))


def plant_what_fits(
    pictures: Path, source: Source, paths: Paths, kinds: Sequence[str], times: int, seed: int
) -> tuple[tuple[Planted, ...], dict[str, int]]:
    """As `plant`, so many times of each kind; a kind that finds no more room is left at fewer.

    Returns:
        What must be said; and the kinds left at fewer, with how often they were planted.
    """
    ground = _Ground(pictures, source, paths, seed)
    told: list[Planted] = []
    fewer: dict[str, int] = {}
    for kind in sorted(kinds, key=_rank):
        for number in range(times):
            try:
                told.extend(ground.plant(kind))
            except NoRoomError:
                fewer[kind] = number
                break
    return tuple(told), fewer


def _rank(kind: str) -> tuple[bool, int]:
    """Kinds that look at other pictures come while all of these are sound; then those that suit few pictures."""
    needs = FAULTS[kind].needs
    return "neighbours" not in needs, -len(needs)


def _hindrance(source: Source, paths: Paths, fault: Fault) -> str:
    """Why a source's pictures cannot show a fault; empty where they can."""
    area, channels = source.area, source.satellite.channels.values()
    if fault.mode in area.modes:
        return f"{fault.mode} is legal"
    if paths and not fault.shows(Victim(Path(), source, paths, *min(paths))):
        return f"its names are not such as {paths[min(paths)]} would have to be"
    lacks = {
        "title": area.title_bar is None,
        "overlay": area.overlay_colour is None or area.learn_overlay,
        "channels": sum(not channel.reflective for channel in channels) < 2,
        "thermal": all(channel.reflective for channel in channels),
        "neighbours": all(channel.reflective for channel in channels),
        "night": not any(channel.reflective for channel in channels),
        "day": not any(channel.reflective for channel in channels) or area.middle is None,
    }
    return ", ".join(f"needs {need}" for need in sorted(fault.needs) if lacks[need])


class _Ground:
    """Where there is still room."""

    def __init__(self, pictures: Path, source: Source, paths: Paths, seed: int) -> None:
        self.pictures, self.source, self.paths = pictures, source, paths
        cells = sorted(paths)
        order = permutation(derived_seed(seed, 1), len(cells))
        self._open = [cells[n] for n in order]
        self._taken: dict[str, list[int]] = {channel: [] for channel in source.satellite.channels}
        self._used: set[tuple[str, datetime]] = set()
        self._axis = source.satellite.axis
        slots = [self._axis.slot(time) for _, time in cells]
        self._first, self._last = (min(slots), max(slots)) if slots else (0, 0)

    def plant(self, kind: str) -> Iterator[Planted]:
        """Spoils the first suitable picture that has room around it."""
        fault = FAULTS[kind]
        for cell in self._open:
            victim = Victim(self.pictures, self.source, self.paths, *cell)
            if not self._free(victim, fault) or not self._suits(victim, fault):
                continue
            try:
                also = fault.also(victim, kind)
                path = fault.plant(victim)
            except UnsuitableError:
                continue
            self._take(victim, fault)
            yield victim.says(kind, fault.expected, fault.reason, path, picture=fault.about == "picture")
            yield from also
            return
        raise NoRoomError(
            f"no room for another {kind!r} among {len(self.paths)} pictures of {self.source.id}: faults are planted "
            f"{APART} slots apart; ask for fewer, or make the archive longer"
        )

    def _other(self, victim: Victim) -> Victim | None:
        """The picture of another thermal channel that a fault may borrow from, or lend to."""
        try:
            return victim.other_channel()
        except UnsuitableError:
            return None

    def _free(self, victim: Victim, fault: Fault) -> bool:
        """Whether the picture is in no other fault, nor near one; a file besides stands in no other's way."""
        slot = self._axis.slot(victim.time)
        if (victim.channel, victim.time) in self._used or not self._first + APART <= slot <= self._last - APART:
            return False
        return not fault.spoils or all(abs(slot - other) >= APART for other in self._taken[victim.channel])

    def _take(self, victim: Victim, fault: Fault) -> None:
        other = self._other(victim) if "channels" in fault.needs else None
        for part in (victim, other):
            if part is not None:
                self._used.add((part.channel, part.time))
                self._taken[part.channel].extend([self._axis.slot(part.time)] if fault.spoils else [])

    def _suits(self, victim: Victim, fault: Fault) -> bool:
        """Whether the victim has what the fault needs."""
        of, middle = self.source.satellite.channels[victim.channel], self.source.area.middle
        needs = fault.needs
        if of.reflective and needs & {"thermal", "neighbours", "channels"}:
            return False
        if needs & {"night", "day"} and not of.reflective:
            return False
        if "channels" in needs:
            other = self._other(victim)
            if other is None or not self._free(other, fault):
                return False
        if "night" in needs:
            return int(victim.grey()[self.source.area.title_rows :].max()) <= BLACK
        if "day" in needs:
            return middle is not None and sun_elevation(victim.time, *middle) > DAYLIGHT + 1
        return "neighbours" not in needs or self._has_neighbours(victim)

    def _has_neighbours(self, victim: Victim) -> bool:
        grey = victim.grey()
        try:
            around = [victim.at(step) for step in (-2, -1, 1, 2)]
        except UnsuitableError:
            return False
        same_day = all(other.time.date() == victim.time.date() for other in around)
        return same_day and all(np.shape(o.grey()) == grey.shape and victim.likeness(o.grey()) > _LIKE for o in around)
