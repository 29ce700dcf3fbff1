"""A folder of fresh pictures, read as ingest reads an archive: the same names, checks and comparisons; nothing is kept.

What becomes of the pictures, whoever asks decides; `vectors.fresh` makes a query of them.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wxpipe.archive.choice import UNREADABLE, by_size, choose, duplicate, read_raw, require_new
from wxpipe.archive.comparison import Cell, Comparison
from wxpipe.archive.decode import require_sane_size
from wxpipe.archive.inventory import RawFile
from wxpipe.archive.picture import PictureReader, SoundPicture
from wxpipe.archive.quality import Doubt
from wxpipe.errors import NotFoundError, Quarantine
from wxpipe.satellites.catalog import Source
from wxpipe.satellites.names import NO_GRAMMAR, Named, NameReader
from wxpipe.store.frames import FrameStore
from wxpipe.store.objects import LocalObjects
from wxpipe.store.quarantine import Record

Bytes = NDArray[np.uint8]
Counts = NDArray[np.unsignedinteger[Any]]
Count = Callable[[SoundPicture, Bytes], Counts]
"""A sound picture, and the pixels that it was made of, to its grid CDF: counting is a higher room's."""


@dataclass(frozen=True, eq=False)
class FreshPicture:
    """What is kept in memory of a sound picture; see `picture.SoundPicture`.

    Attributes:
        rows: its true height.
        counts: its grid CDF (bin, cell).
    """

    reduced: Bytes
    doubts: tuple[Doubt, ...]
    dark: bool
    weather: bytes
    rows: int
    counts: Counts

    @classmethod
    def of(cls, made: SoundPicture, rgb: Bytes, count: Count) -> FreshPicture:
        return cls(made.reduced, made.doubts, made.dark, made.weather, made.picture.shape[0], count(made, rgb))


@dataclass(frozen=True)
class Listing:
    """What the names in a folder say.

    Attributes:
        files: of the source, by slot and channel.
        others: files of other sources, by source.
        unparsed: files that bear no archive name.
        refused: what cannot be listed, or bears a name that cannot be.
    """

    files: Mapping[Cell, tuple[RawFile, ...]]
    others: Mapping[str, int] = field(default_factory=dict)
    unparsed: int = 0
    refused: tuple[Record, ...] = ()

    @property
    def slots(self) -> list[int]:
        """That have a file, in order."""
        return sorted({slot for slot, _ in self.files})


def list_folder(folder: Path, source: Source, names: NameReader) -> Listing:
    """Lists a folder at any depth by the names of its files; links are followed, each folder once.

    Raises:
        NotFoundError: it is no folder.
    """
    if not folder.is_dir():
        raise NotFoundError(f"{folder} is no folder; give one of pictures with their archive names")
    refused: list[Record] = []

    def tell(path: str, error: OSError) -> None:
        refused.append(Record(path, UNREADABLE, "a file that can be read", str(error.strerror)))

    channels = source.satellite.channel_names
    files: dict[Cell, list[RawFile]] = defaultdict(list)
    others: Counter[str] = Counter()
    unparsed = 0
    for info in sorted(LocalObjects(folder).walk(on_error=tell), key=lambda info: info.key):
        named = names.read(info.key)
        if isinstance(named, Named) and named.source == source.id:
            file = RawFile(named.slot, named.channel, info.key, info.size, info.version, named.time)
            files[named.slot, channels.index(named.channel)].append(file)
        elif isinstance(named, Named):
            others[named.source] += 1
        elif named.reason == NO_GRAMMAR:
            unparsed += 1
        else:
            refused.append(Record(info.key, named.kind, "a picture of a configured source", named.reason))
    return Listing({cell: tuple(found) for cell, found in files.items()}, others, unparsed, tuple(refused))


@dataclass(frozen=True)
class FreshFrames:
    """Pictures of a stretch of slots, by slot and channel, and what there is to say of files."""

    pictures: Mapping[Cell, FreshPicture]
    records: tuple[Record, ...]

    def good(self, slots: range, required: tuple[bool, ...]) -> NDArray[np.bool_]:
        """(slot,): which have a picture of every required channel, as `FrameStore.good_frames` says it of a store."""
        needed = [channel for channel, must in enumerate(required) if must]
        return np.array([all((slot, channel) in self.pictures for channel in needed) for slot in slots], np.bool_)


class FreshReader:
    """Reads pictures of a folder, each file once, whatever stretches are asked for.

    Every rule of ingest holds: a file is decoded and checked by itself, the better of two copies is taken, a picture
    that its channel had before is refused, and once a day has been seen, strangers in it are doubted. Overlays are the
    registered ones: nothing is learned from a few pictures. Rules that compare see what is in the stretch and the slot
    before it, where ingest sees the whole day.
    """

    def __init__(self, frames: FrameStore, folder: Path, listing: Listing, count: Count) -> None:
        self.listing = listing
        self._axis, self._source = frames.axis, frames.source
        self._archive = LocalObjects(folder)
        self._reader = PictureReader(frames.source, frames.layers())
        self._count = count
        self._content: dict[str, str] = {}
        self._read: dict[str, FreshPicture | Quarantine] = {}

    def read(self, slots: range) -> FreshFrames:
        """The pictures of a stretch of slots."""
        pictures: dict[Cell, FreshPicture] = {}
        records: list[Record] = []
        for part in self._by_day(slots):
            compared, taken = Comparison(self._source), dict[Cell, RawFile]()
            for channel in range(len(self._source.satellite.channels)):
                self._look_before(compared, part.start - 1, channel)
                for slot in part:
                    found = self._take(compared, (slot, channel), records)
                    if found is not None:
                        taken[slot, channel], pictures[slot, channel] = found
                        compared.add(slot, channel, found[1])
            records += [_doubtful(taken[cell], doubt) for cell, doubt in sorted(compared.doubts(part).items())]
        return FreshFrames(pictures, tuple(records))

    def _by_day(self, slots: range) -> Iterator[range]:
        start = slots.start
        while start < slots.stop:
            stop = min(slots.stop, self._axis.day_slots(self._axis.day(start)).stop)
            yield range(start, stop)
            start = stop

    def _look_before(self, compared: Comparison, slot: int, channel: int) -> None:
        found = self._take(compared, (slot, channel), [])
        if found is not None:
            compared.add(slot, channel, found[1])

    def _take(self, compared: Comparison, cell: Cell, records: list[Record]) -> tuple[RawFile, FreshPicture] | None:
        """The file that is taken of a slot and channel, and its picture; what there is to say of them is added."""

        def examine(file: RawFile, best: tuple[RawFile, FreshPicture] | None) -> FreshPicture:
            data = None if file.path in self._content else self._bytes_of(file)
            if best is not None and self._content[best[0].path] == self._content[file.path]:
                return best[1]
            picture = self._picture(file, data)
            require_new(compared, file, channel, picture)
            return picture

        channel = cell[1]
        choice = choose(by_size(self.listing.files.get(cell, ())), examine)
        for file, fault in choice.faults:
            digest = self._content.get(file.path, "")
            said = Record(file.path, fault.reason, fault.expected, fault.found, digest=digest)
            records.append(replace(said, channel=file.channel, slot=file.slot))
        if choice.best is None:
            return None
        for other in choice.others:
            said = duplicate(other, choice.best, self._content[other[0].path])
            records.append(replace(said, channel=other[0].channel, slot=other[0].slot))
        records += [_doubtful(choice.best[0], doubt) for doubt in choice.best[1].doubts]
        return choice.best

    def _bytes_of(self, file: RawFile) -> bytes:
        """A file's bytes, whose digest is kept.

        Raises:
            Quarantine: it is too large, or cannot be read.
        """
        require_sane_size(file.size, file.path, self._source.area)
        data = read_raw(self._archive, file)
        self._content[file.path] = hashlib.sha256(data).hexdigest()
        return data

    def _picture(self, file: RawFile, data: bytes | None) -> FreshPicture:
        """What a file shows by itself; ``data`` is what is in it, where it was just read.

        Raises:
            Quarantine: it is unusable.
        """
        if file.path not in self._read:
            try:
                rgb = self._reader.decode(self._bytes_of(file) if data is None else data, file.path)
                made = self._reader.check(rgb, file.path, file.channel, file.time)
                self._read[file.path] = FreshPicture.of(made, rgb, self._count)
            except Quarantine as fault:
                self._read[file.path] = fault
        found = self._read[file.path]
        if isinstance(found, Quarantine):
            raise found
        return found


def _doubtful(file: RawFile, doubt: Doubt) -> Record:
    return Record(file.path, doubt.reason, doubt.expected, doubt.found, "suspect", file.channel, file.slot)
