"""What of a day's earlier ingest still holds: files that did not change, and the encoded chunks of their pictures.

Nothing is believed for its place. A chunk counts as a file's picture where its own checksum is right and is the one
that the file's record names, so an ingest that was killed between two shards is gone on with like any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wxpipe.archive.day_record import DayRecord, FileRecord, Sight, read_record
from wxpipe.archive.inventory import RawFile
from wxpipe.archive.picture import SoundPicture
from wxpipe.archive.quality import Doubt
from wxpipe.store.arrays import StoredShard, chunk_checksum
from wxpipe.store.counted import CountedDay, read_counted
from wxpipe.store.frames import FrameStore


@dataclass(frozen=True)
class EncodedPicture:
    """A sound picture as it is stored, and what comparisons ask of it.

    Attributes:
        picture_chunk, reduced_chunk: encoded; None where the store has not what the record names.
        counted: its grid CDFs are kept in every layout, and the root keeps no pictures: that chunk is not needed.
        shape: of the reduced picture.
    """

    sight: Sight
    picture_chunk: bytes | None
    reduced_chunk: bytes | None
    counted: bool
    shape: tuple[int, int]

    @property
    def whole(self) -> bool:
        """Whether it can be stored as it is."""
        return self.reduced_chunk is not None and (self.counted or self.picture_chunk is not None)

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        return self.sight.doubts

    @property
    def dark(self) -> bool:
        return self.sight.dark

    @property
    def weather(self) -> bytes:
        return self.sight.weather

    @cached_property
    def reduced(self) -> NDArray[np.uint8]:
        data = self.sight.pixels if self.reduced_chunk is None else self.reduced_chunk
        return np.frombuffer(data, np.uint8, self.shape[0] * self.shape[1]).reshape(self.shape)


class Reuse:
    """The record of a day, its shards as they lie, and which pictures are counted.

    Args:
        day_start: the day's first slot; its files, and those of the slot before, are what a record holds.
        basis: digest of what reading a file depends on beside its bytes.
        anew: files are to be read again, all of them. What has vanished is still taken from what is there.
    """

    def __init__(self, frames: FrameStore, day_start: int, basis: str, *, anew: bool = False) -> None:
        self.frames, self.start, self.basis, self.anew = frames, day_start, basis, anew
        self.day = frames.axis.day(day_start)
        self._forgotten: set[str] = set()
        self._pictures: tuple[int, StoredShard] = (-1, StoredShard())

    def unchanged(self, file: RawFile) -> FileRecord | None:
        """The record of a file that lies in the archive as it did."""
        row = self._believed(file)
        return row if row is not None and row.content and row.is_version_of(file) else None

    def same_content(self, file: RawFile, content: str) -> FileRecord | None:
        """The record of a file that was written again with the same bytes."""
        row = self._believed(file)
        return row if row is not None and row.content == content and row.is_named_as(file) else None

    def row(self, path: str) -> FileRecord | None:
        """What is recorded of a file, whether or not it still holds."""
        return self._record.files.get(path)

    def forget(self, path: str) -> None:
        """A file is to be read again: what was made of it is not whole any more."""
        self._forgotten.add(path)

    def picture(self, sight: Sight, slot: int, index: int) -> EncodedPicture:
        """A recorded picture with those of its chunks that are sound and its own."""
        at, width = slot - self.start, len(self.frames.channels)
        if at < 0:
            return EncodedPicture(sight, None, None, False, self.frames.source.area.reduced_shape)
        picture = _named(self.pictures(index), at, sight.picture_chunk)
        reduced = _named(self.reduced, at * width + index, sight.reduced_chunk)
        counted = self.counted(sight, slot, index)
        return EncodedPicture(sight, picture, reduced, counted, self.frames.source.area.reduced_shape)

    def encoded(self, made: SoundPicture, slot: int, index: int) -> EncodedPicture:
        """A picture that was just read, encoded."""
        picture, reduced = self.frames.encode_picture(made.picture), self.frames.encode_reduced(made.reduced)
        sight = replace(sight_of(made), picture_chunk=chunk_checksum(picture), reduced_chunk=chunk_checksum(reduced))
        counted = self.counted(sight, slot, index)
        return EncodedPicture(sight, picture, reduced, counted, self.frames.source.area.reduced_shape)

    def kept(self, slot: int, index: int) -> tuple[FileRecord, EncodedPicture] | None:
        """The stored picture of a slot and the file that it is of, where both are known and it is whole."""
        row = self._stored.get((slot, self.frames.channels[index]))
        if row is None or row.sight is None:
            return None
        found = self.picture(row.sight, slot, index)
        passed = not self.frames.root.settings.keep_pictures and found.reduced_chunk is not None
        return (row, found) if found.whole or passed else None

    def counted(self, sight: Sight, slot: int, index: int) -> bool:
        """Whether a root that keeps no pictures needs this one no more."""
        settings = self.frames.root.settings
        if settings.keep_pictures or self.anew:
            return False
        return all(self._counted.holds(layout, (slot, index), sight.identity) for layout in settings.histograms)

    def pictures(self, index: int) -> StoredShard:
        """The stored pictures of a channel; one channel is held at a time."""
        if self._pictures[0] != index:
            there = any(channel == self.frames.channels[index] for _, channel in self._stored)
            self._pictures = index, self.frames.stored_pictures(self.day, index) if there else StoredShard()
        return self._pictures[1]

    @cached_property
    def reduced(self) -> StoredShard:
        return self.frames.stored_reduced(self.day) if self._stored else StoredShard()

    def _believed(self, file: RawFile) -> FileRecord | None:
        row = self.row(file.path)
        known = row is not None and row.basis == self.basis and file.path not in self._forgotten
        return row if known and not self.anew else None

    @cached_property
    def _record(self) -> DayRecord:
        return read_record(self.frames.root, self.frames.source.id, self.day)

    @cached_property
    def _stored(self) -> Mapping[tuple[int, str], FileRecord]:
        return self._record.stored()

    @cached_property
    def _counted(self) -> CountedDay:
        return read_counted(self.frames.root, self.frames.source.id, self.day)


def sight_of(made: SoundPicture) -> Sight:
    """What is to be recorded of a picture that was just read."""
    picture, reduced = (hashlib.sha256(array.tobytes()).digest() for array in (made.picture, made.reduced))
    return Sight(made.layer, made.picture.shape[0], made.dark, made.doubts, made.weather, picture, reduced)


def _named(shard: StoredShard, at: int, checksum: int) -> bytes | None:
    chunk = shard.chunks.get(at)
    return chunk if chunk is not None and chunk_checksum(chunk) == checksum else None
