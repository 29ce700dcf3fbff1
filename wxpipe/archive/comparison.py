"""What only several pictures of a day show together: copies, one picture in two channels, a stranger in its sequence.

Black pictures of reflective channels at night are all alike, and are left out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wxpipe.archive.quality import Doubt
from wxpipe.satellites.catalog import Source

Cell = tuple[int, int]
"""A slot and the number of a channel."""

# The three pictures that are nearest in time agree with one another, and with a sound one about as well: of the
# thermal channels of COMS, of all fours up to 6 hours apart, its best correlation is at least .99 of their worst.
# A mirrored picture has .5 of it, another event's .65, another channel's .75 to .95.
_ALIKE, _STRANGE, _WITNESSES = 0.8, 0.85, 3
_PIXELS = 10_000
"""Of a reduced picture that are compared, about: every so many rows and columns of a larger one."""


class Comparable(Protocol):
    """What is looked at of a picture, whether it was just read or is recorded; see `picture.SoundPicture`."""

    @property
    def reduced(self) -> NDArray[np.uint8]: ...
    @property
    def doubts(self) -> tuple[Doubt, ...]: ...
    @property
    def dark(self) -> bool: ...
    @property
    def weather(self) -> bytes: ...


@dataclass(frozen=True)
class _Thumb:
    """A few pixels of a picture, for correlations: int64 (n,), less their mean, and the root of their sum of squares.

    Values are multiplied by their number, so that all sums are of integers and the same on every machine.
    """

    slot: int
    values: NDArray[np.int64]
    norm: float


@dataclass
class _Channel:
    """What was seen of one channel: the pixels of its pictures, and those that may stand in a sequence, in order."""

    slots: dict[bytes, int] = field(default_factory=dict)
    thumbs: list[_Thumb] = field(default_factory=list)


class Comparison:
    """The pictures of a day, told one after the other; each channel's in order of time, the day before's last first."""

    def __init__(self, source: Source) -> None:
        self.source, self.axis = source, source.satellite.axis
        self._names, self._channels = source.satellite.channel_names, defaultdict[int, _Channel](_Channel)
        self._weather: dict[bytes, list[Cell]] = defaultdict(list)

    def copied(self, slot: int, channel: int, picture: Comparable) -> str:
        """Of which earlier picture of its channel this is a copy below the title; empty where it is new."""
        first = None if picture.dark else self._channels[channel].slots.get(picture.weather)
        if first is None or first == slot:
            return ""
        name = "the previous slot" if first == slot - 1 else "an earlier slot"
        return f"copy of {name}, {self.axis.time(first):%Y-%m-%dT%H:%MZ}"

    def add(self, slot: int, channel: int, picture: Comparable) -> None:
        """Takes a picture that is stored, or the last one of the day before."""
        if picture.dark:
            return
        seen = self._channels[channel]
        seen.slots.setdefault(picture.weather, slot)
        self._weather[picture.weather].append((slot, channel))
        # Reflective channels change too much at dawn; a picture that is doubtful already is no measure for others.
        if not picture.doubts and not self.source.satellite.channels[self._names[channel]].reflective:
            thumb = _thumb(slot, picture.reduced, self.source.area.full_disk)
            seen.thumbs.extend([thumb] if thumb.norm > 0 else [])

    def doubts(self, day: range) -> dict[Cell, Doubt]:
        """What is wrong with pictures of the day once all have been told."""
        strange = {
            (slot, channel): doubt
            for channel, seen in self._channels.items()
            for slot, doubt in _strangers(seen.thumbs).items()
            if slot in day
        }
        for cells in self._weather.values():
            for slot in {slot for slot, _ in cells if slot in day}:
                same = sorted(cell for cell in cells if cell[0] == slot)
                strange.update(self._same(same) if len(same) > 1 else ())
        return strange

    def _same(self, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Doubt]]:
        """Doubts of channels that show one picture: which of them it is of, a title bar would have told."""
        for cell in cells:
            others = " and ".join(self._names[channel] for _, channel in cells if channel != cell[1])
            yield cell, Doubt("same picture in two channels", "a picture of its own", f"the pixels of {others}")


def _thumb(slot: int, reduced: NDArray[np.uint8], full_disk: bool) -> _Thumb:
    if full_disk:  # space is the same in all
        rows, columns = reduced.shape[0] // 6, reduced.shape[1] // 6
        reduced = reduced[rows : reduced.shape[0] - rows, columns : reduced.shape[1] - columns]
    step = max(1, math.isqrt(reduced.size // _PIXELS))
    values = reduced[::step, ::step].astype(np.int64).ravel()
    values = values * values.size - values.sum()
    return _Thumb(slot, values, math.sqrt(int(values @ values)))


def _correlation(first: _Thumb, second: _Thumb) -> float:
    return float(first.values @ second.values) / (first.norm * second.norm)


def _strangers(thumbs: Sequence[_Thumb]) -> dict[int, Doubt]:
    """Doubts, by slot, of pictures that those around them agree not to know.

    In a second round, the strangers of the first are no witnesses any more.
    """
    found: dict[int, Doubt] = {}
    for _ in range(2):
        sound = [thumb for thumb in thumbs if thumb.slot not in found]
        judged = (
            (thumb.slot, _judged(thumb, sound[max(0, n - 3) : n] + sound[n + 1 : n + 4]))
            for n, thumb in enumerate(sound)
        )
        found.update({slot: doubt for slot, doubt in judged if doubt is not None})
    return found


def _judged(thumb: _Thumb, around: Sequence[_Thumb]) -> Doubt | None:
    """A doubt of a picture that is unlike the three nearest, where these are alike and yet further apart."""
    nearest = sorted(around, key=lambda other: abs(other.slot - thumb.slot))[:_WITNESSES]
    slots = [other.slot for other in nearest]
    if len(nearest) < _WITNESSES or max(slots) - min(slots) < 2 * abs(slots[0] - thumb.slot):
        return None
    alike = min(_correlation(first, second) for first, second in combinations(nearest, 2))
    best = max(_correlation(thumb, other) for other in nearest)
    if alike < _ALIKE or best >= _STRANGE * alike:
        return None
    found = f"a correlation of {best:.2f}, where theirs is {alike:.2f}"
    return Doubt("unlike its neighbours", "a picture like the three that are nearest in time", found)
