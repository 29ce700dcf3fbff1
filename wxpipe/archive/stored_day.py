"""A day of frames as it lies in the store: its digest, and the reading through that tells whether it is still whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.archive.day_record import read_record
from wxpipe.errors import DamagedError, NotFoundError
from wxpipe.store.arrays import Block, decode_chunk, parse_shard, shard_key
from wxpipe.store.frames import FrameStore, Status, content_digest

SMALL = ("status", "layer", "rows", "time_observed")
NAMED = 5
"""Damaged pictures that a message names; it counts the others."""

Cell = tuple[int, int]
"""Slot of the day, and number of a channel."""


def pixel_digest(picture: npt.NDArray[np.uint8], reduced: npt.NDArray[np.uint8]) -> bytes:
    """What a day's digest has of one picture: of its filled pixels at their true height, and of the reduced ones."""
    return b"".join(hashlib.sha256(array.tobytes()).digest() for array in (picture, reduced))


def day_digest(small: Mapping[str, npt.NDArray[Any]], pixels: Mapping[Cell, bytes]) -> str:
    """The digest of a day: of its small arrays (`SMALL`), and `pixel_digest` of each picture that is stored."""
    return content_digest({**small, **{f"{at}": digest for at, digest in pixels.items()}})


def read_back_day(frames: FrameStore, day: date) -> str:
    """Reads a stored day through, every byte of it, and digests what it finds.

    Raises:
        DamagedError: a chunk is damaged, is gone, or is there and no status speaks of it; names what and where.
    """
    small = {name: frames.day(name, day) for name in SMALL}
    reading = _Reading(frames, day, small, {(int(s), int(c)) for s, c in np.argwhere(stored(small["status"]))})
    width, shard = len(frames.channels), frames.axis.day_start(day) // frames.axis.slots_per_day
    reduced: dict[Cell, npt.NDArray[np.uint8]] = {}
    reading.shard("reduced", (shard, 0, 0, 0), reading.cells, lambda n: divmod(n, width), reduced.__setitem__)
    digests: dict[Cell, bytes] = {}

    def digest(cell: Cell, picture: Block) -> None:
        if cell in reduced:
            digests[cell] = pixel_digest(picture[: int(small["rows"][cell])], reduced[cell])

    if not frames.root.settings.keep_pictures:
        return _with_recorded(reading, reduced)
    for channel in range(width):
        mine = {cell for cell in reading.cells if cell[1] == channel}
        reading.shard("picture", (shard, channel, 0, 0), mine, lambda n, c=channel: (n, c), digest)  # type: ignore[misc]
    reading.raise_faults()
    return day_digest(small, digests)


def _with_recorded(reading: _Reading, reduced: Mapping[Cell, npt.NDArray[np.uint8]]) -> str:
    """The digest of a day of a root that keeps no pictures: theirs are as the day's record has them."""
    frames, start = reading.frames, reading.frames.axis.day_start(reading.day)
    recorded = read_record(frames.root, frames.source.id, reading.day).stored()
    digests: dict[Cell, bytes] = {}
    for slot, channel in sorted(reading.cells & reduced.keys()):
        row = recorded.get((start + slot, frames.channels[channel]))
        if row is None or row.sight is None:
            reading.faults.append(f"ingested/{frames.source.id}/{reading.day}.parquet: gone, damaged, or not complete")
            break
        digests[slot, channel] = row.sight.picture + hashlib.sha256(reduced[slot, channel].tobytes()).digest()
    reading.raise_faults()
    return day_digest(reading.small, digests)


def stored(status: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Where a status says that a picture is stored."""
    return np.isin(status, [s for s in Status if s.stored])


@dataclass
class _Reading:
    """One day that is read through: what should be there, and what is wrong with it so far."""

    frames: FrameStore
    day: date
    small: Mapping[str, npt.NDArray[Any]]
    cells: set[Cell]
    faults: list[str] = field(default_factory=list)

    def shard(
        self,
        name: str,
        at: tuple[int, ...],
        expected: set[Cell],
        cell_of: Callable[[int], Cell],
        take: Callable[[Cell, Block], None],
    ) -> None:
        """Checks a shard, and hands each of its pictures over; at most one shard is in memory."""
        spec = self.frames.specs[name]
        key = shard_key(self.frames.folder, spec, at)
        try:
            chunks, damaged = parse_shard(spec, self.frames.root.objects.get(key))
        except NotFoundError:
            if expected:
                self.faults.append(f"{key}: gone, with {len(expected)} pictures")
            return
        except DamagedError as error:
            self.faults.append(f"{key}: {error}")
            return
        there = {cell_of(n) for n in (*chunks, *damaged)}
        self._tell(key, "is not as its checksum says", {cell_of(n) for n in damaged})
        self._tell(key, "is not stored, and its status says that it is", expected - there)
        self._tell(key, "is stored, and its status says that it is not", there - expected)
        for number, data in chunks.items():
            if cell_of(number) in expected:
                take(cell_of(number), decode_chunk(spec, data)[0, 0])

    def raise_faults(self) -> None:
        if self.faults:
            more = f" and {len(self.faults) - NAMED} more" if len(self.faults) > NAMED else ""
            raise DamagedError("; ".join(self.faults[:NAMED]) + more)

    def _tell(self, key: str, fault: str, cells: set[Cell]) -> None:
        axis, start = self.frames.axis, self.frames.axis.day_start(self.day)
        for slot, channel in sorted(cells):
            time = f"{axis.time(start + slot):%Y-%m-%dT%H:%MZ}"
            self.faults.append(f"{key}: the picture {self.frames.channels[channel]} {time} {fault}")
