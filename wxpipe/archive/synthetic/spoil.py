"""What an order asks to be spoiled of a source's pictures: some faults of every kind, and a damaged week."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from wxpipe.archive.synthetic.fault_bytes import BYTES
from wxpipe.archive.synthetic.fault_victim import Paths, Victim
from wxpipe.archive.synthetic.faults import kinds_for, plant_what_fits
from wxpipe.archive.truth import Planted
from wxpipe.draws import derived_seed
from wxpipe.errors import UsageError
from wxpipe.satellites.catalog import Source

WEEK = timedelta(days=7)
_CUT = "truncated"
_PURPOSE = 0xFA17  # of draws
_MODE = "8-bit RGB"


@dataclass(frozen=True)
class Spoiled:
    """What was spoiled of a source.

    Attributes:
        faults: in the order of planting, then those of the damaged week.
        left_out: kinds of which fewer than were asked for found room, and how many did.
    """

    faults: tuple[Planted, ...]
    left_out: Mapping[str, int]


def check_spoilable(source: Source) -> None:
    """Raises `UsageError` where a source's files are not such as faults are planted into."""
    mode = source.area.modes[0]
    if mode != _MODE:
        raise UsageError(f"{source.id}: faults are planted into PNG of {_MODE}, and its pictures are {mode}")


def spoil(pictures: Path, source: Source, paths: Paths, faults: int, damaged_from: date | None, seed: int) -> Spoiled:
    """Spoils sound pictures where they lie. The same pictures and arguments give the same faults.

    Args:
        pictures: the archive's folder.
        paths: of the source's pictures that may be spoiled.
        faults: of every kind that the source can show.
        damaged_from: first day, UTC, of a week of which every second file is cut; none: no such week.
        seed: of the weather.
    """
    week = _week(paths, damaged_from)
    sound = {cell: path for cell, path in paths.items() if cell not in week}
    own = derived_seed(seed, _PURPOSE, zlib.crc32(source.id.encode()))
    planted, left_out = plant_what_fits(pictures, source, sound, kinds_for(source, sound), faults, own)
    channels = {name: number for number, name in enumerate(source.satellite.channels)}
    cut = []
    for name, number in channels.items():
        # of each channel, and of the slots; the odd channels begin with their second
        for cell in [cell for cell in sorted(week) if cell[0] == name][number % 2 :: 2]:
            victim = Victim(pictures, source, paths, *cell)
            fault = BYTES[_CUT]
            cut.append(victim.says(_CUT, fault.expected, fault.reason, fault.plant(victim)))
    return Spoiled((*planted, *sorted(cut, key=lambda told: told.path)), left_out)


def _week(paths: Paths, first: date | None) -> set[tuple[str, datetime]]:
    if first is None:
        return set()
    week = {(channel, time) for channel, time in paths if first <= time.date() < first + WEEK}
    if not week:
        raise UsageError(f"the damaged week begins on {first}: the archive has no picture from then to {first + WEEK}")
    return week
