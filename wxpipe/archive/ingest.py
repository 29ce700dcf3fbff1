"""The `ingest` stage: a day of raw files becomes whole shards of the frame store, with a status for every picture."""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np

from wxpipe.archive.inventory import RawFile, inventory_of, rows_digest
from wxpipe.archive.layers import register_layers
from wxpipe.archive.picture import PictureReader, SoundPicture
from wxpipe.archive.quality import copy_of
from wxpipe.errors import NotFoundError, Quarantine, RefusedError
from wxpipe.store.frames import DayFrames, FrameStore, Status, content_digest, frame_store
from wxpipe.store.objects import Objects, open_objects
from wxpipe.store.quarantine import Record
from wxpipe.store.root import FREE_FIELDS, Root
from wxpipe.store.stage import Context, Outcome, Partition, fingerprint_of

CONTRACT = 1
"""Version of what this stage makes; a higher one makes every day stale."""

GONE, UNREADABLE = "gone", "unreadable"
"""Reasons that lie not in a file but in the moment: `scan` looks whether they hold still."""


class Ingest:
    """Reads each picture of a day once, checks it, and writes the day whole."""

    name = "ingest"
    trigger = "by day"
    needs = ("scan",)

    def partitions(self, context: Context) -> Iterable[Partition]:
        for source in context.root.sources:
            for day in inventory_of(context.root, source.id).days():
                yield Partition(source.id, day)

    def fingerprint(self, partition: Partition, context: Context) -> str:
        day = _Day.of(partition, context)
        return fingerprint_of(
            contract=CONTRACT,
            satellite=_satellite_digest(context.root, partition.source),
            files=rows_digest(day.files),
            before=rows_digest(day.before),
            expected=(day.expected.start, day.expected.stop),
        )

    def prepare(self, partitions: list[Partition], context: Context) -> None:
        """Lays the frame store out, and registers overlay layers from a sample of the files to come."""
        for source in sorted({partition.source for partition in partitions}):
            frames = frame_store(context.root, source)
            frames.create()
            inventory = inventory_of(context.root, source)
            days = [p.day for p in partitions if p.source == source and p.day is not None]
            files = [file for day in days for file in inventory.day(day)]
            register_layers(frames, _archive(context), files)

    def run(self, partition: Partition, context: Context) -> Outcome:
        day = _Day.of(partition, context)
        archive = _archive(context)
        known = self._unchanged(partition, day, archive, context)
        return (
            known if known is not None else _DayIngest(day, frame_store(context.root, partition.source), archive).run()
        )

    def _unchanged(self, partition: Partition, day: _Day, archive: Objects, context: Context) -> Outcome | None:
        """The recorded outcome, where files were touched and their content is what it was: one hash, no decoding."""
        entry = context.previous
        if entry is None or not entry.inputs or entry.counts.get("files") != len(day.files):
            return None
        if _inputs_digest(day, archive, frame_store(context.root, partition.source)) != entry.inputs:
            return None
        records = context.root.quarantine.get(self.name, partition.source, day.day)
        return Outcome(entry.counts, entry.output, entry.inputs, tuple(records))


@dataclass(frozen=True)
class _Day:
    """What a day's ingest depends on."""

    day: date
    files: list[RawFile]
    before: list[RawFile]
    expected: range
    """The day's slots between the source's first and last inventoried file."""

    @classmethod
    def of(cls, partition: Partition, context: Context) -> _Day:
        assert partition.day is not None
        inventory = inventory_of(context.root, partition.source)
        slots = inventory.axis.day_slots(partition.day)
        first, last = inventory.span() or (slots.stop, slots.stop)
        expected = range(max(slots.start, first), min(slots.stop, last + 1))
        return cls(partition.day, inventory.day(partition.day), inventory.before(partition.day), expected)


@dataclass
class _DayIngest:
    """One day's work; `run` goes through it picture by picture."""

    day: _Day
    frames: FrameStore
    archive: Objects
    records: list[Record] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    content: dict[str, str] = field(default_factory=dict)
    pixels: dict[str, bytes] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)

    def run(self) -> Outcome:
        axis, channels = self.frames.axis, self.frames.channels
        self.reader = PictureReader(self.frames.source, self.frames.layers())
        self.slots = axis.day_slots(self.day.day)
        self.made = DayFrames.empty(len(self.slots), len(channels))
        waiting: dict[str, dict[int, list[RawFile]]] = defaultdict(lambda: defaultdict(list))
        for file in [*self.day.files, *self.day.before]:
            waiting[file.channel][file.slot].append(file)
        for index, channel in enumerate(channels):
            self._channel(index, waiting[channel])
            # At once, and then forgotten: a day of all channels of COMS would be 400 MB, compressed.
            chunks = {slot: data for (slot, _), data in self.made.pictures.items()}
            self.frames.write_pictures(self.day.day, index, chunks)
            self.made.pictures.clear()
        self._mark_unseen()
        self.frames.write_rest(self.day.day, self.made)
        return self._outcome()

    def _channel(self, index: int, waiting: dict[int, list[RawFile]]) -> None:
        """All slots of one channel in order, each compared with the one before."""
        previous = self._last_of_day_before(index, waiting.get(self.slots.start - 1, []))
        for slot in self.slots:
            best: SoundPicture | None = None
            taken = ""
            present = _by_size(waiting.get(slot, []))
            for file in present:
                if best is None:
                    best, taken = self._take(file, index, previous), file.path
                else:
                    self._note_duplicate(file, self.content[taken], previous)
            if best is None and all(file.path in self.unread for file in present):
                best = self._carry_over(slot, index, waiting.get(slot, []))
            if best is None and present:
                self.made.status[slot - self.slots.start, index] = Status.QUARANTINED
            previous = best or previous

    def _take(self, file: RawFile, index: int, previous: SoundPicture | None) -> SoundPicture | None:
        """Reads one file into the day, or quarantines it."""
        try:
            picture = self._examine(file, self._bytes_of(file), previous)
        except Quarantine as fault:
            self._put_aside(file, fault)
            return None
        self._keep(file.slot, index, picture, int(file.time.timestamp()))
        for doubt in picture.doubts:
            self._note(file, Record(file.path, doubt.reason, doubt.expected, doubt.found, kind="suspect"))
        return picture

    def _bytes_of(self, file: RawFile) -> bytes:
        """A file's bytes, whose digest is kept, or the note that they could not be had."""
        try:
            data = _read(self.archive, file)
        except Quarantine:
            self.content[file.path] = ""
            self.unread.add(file.path)
            raise
        self.content[file.path] = hashlib.sha256(data).hexdigest()
        return data

    def _examine(self, file: RawFile, data: bytes, previous: SoundPicture | None) -> SoundPicture:
        """A file's picture; raises Quarantine where it is unusable, or is the picture before it under a new name."""
        picture = self.reader.read(data, file.path, file.channel, file.time)
        before = previous.picture if previous is not None else None
        copied = copy_of(before, picture.picture, self.frames.source.area.title_rows)
        if copied is not None:
            raise Quarantine(file.path, "stale copy", "a new picture", copied)
        return picture

    def _put_aside(self, file: RawFile, fault: Quarantine) -> None:
        digest = self.content[file.path]
        self._note(file, Record(file.path, fault.reason, fault.expected, fault.found, digest=digest))

    def _note_duplicate(self, file: RawFile, taken: str, previous: SoundPicture | None) -> None:
        """Another file of a slot that has a picture: the same bytes are a duplicate, others are looked at first.

        Args:
            taken: digest of the file that the picture was made of.
        """
        try:
            data = self._bytes_of(file)
            if self.content[file.path] != taken:
                self._examine(file, data, previous)
        except Quarantine as fault:
            self._put_aside(file, fault)
            return
        digest, found = self.content[file.path], f"{file.size} bytes, not larger than the file that was taken"
        self._note(file, Record(file.path, "duplicate", "one file a slot", found, kind="duplicate", digest=digest))

    def _keep(self, slot: int, index: int, picture: SoundPicture, observed: int) -> None:
        at = (slot - self.slots.start, index)
        self.made.pictures[at] = self.frames.encode_picture(picture.picture)
        self.made.reduced[at] = self.frames.encode_reduced(picture.reduced)
        self.made.status[at] = Status.SUSPECT if picture.doubts else Status.GOOD
        self.made.layer[at], self.made.rows[at] = picture.layer, picture.picture.shape[0]
        self.made.time_observed[at] = observed
        self.pixels[f"{at}"] = b"".join(
            hashlib.sha256(array.tobytes()).digest() for array in (picture.picture, picture.reduced)
        )

    def _carry_over(self, slot: int, index: int, files: list[RawFile]) -> SoundPicture | None:
        """The stored picture of files that have vanished, or cannot be read now: an absence erases nothing."""
        kept = self._stored(slot, index) if files else None
        if kept is None:
            return None
        status, observed = (int(self.frames.slots(n, slot, slot + 1)[0, index]) for n in ("status", "time_observed"))
        self._keep(slot, index, kept, observed)
        self.made.status[slot - self.slots.start, index] = status
        self.counts["carried_over"] += 1
        return kept

    def _stored(self, slot: int, index: int) -> SoundPicture | None:
        channel = self.frames.channels[index]
        try:
            picture = self.frames.picture(slot, channel)
        except NotFoundError:
            return None
        layer = int(self.frames.slots("layer", slot, slot + 1)[0, index])
        return SoundPicture(picture, self.frames.reduced([slot], [channel])[0, 0], layer, ())

    def _last_of_day_before(self, index: int, files: list[RawFile]) -> SoundPicture | None:
        """The picture that the day's first one must not be a copy of; all its files are read, for their digests."""
        found: SoundPicture | None = None
        present = _by_size(files)
        for file in present:
            with contextlib.suppress(Quarantine):
                data = self._bytes_of(file)
                found = found or self.reader.read(data, file.path, file.channel, file.time)
        if found is None and files and all(file.path in self.unread for file in present):
            return self._stored(self.slots.start - 1, index)
        return found

    def _mark_unseen(self) -> None:
        """What did not come: outside the source's span, not on the schedule, or missing."""
        satellite = self.frames.source.satellite
        for slot in self.slots:
            row = self.made.status[slot - self.slots.start]
            unseen = row == Status.ABSENT
            if slot not in self.day.expected or not unseen.any():
                continue
            scheduled = satellite.expects(self.frames.axis.time(slot))
            row[unseen] = Status.MISSING if scheduled else Status.UNSCHEDULED

    def _note(self, file: RawFile, record: Record) -> None:
        self.counts[f"files_{record.kind}"] += record.kind != "suspect"
        self.records.append(replace(record, channel=file.channel, slot=file.slot))

    def _outcome(self) -> Outcome:
        """Counts and digests, of the small arrays as they are read back."""
        small = {n: self.frames.day(n, self.day.day) for n in ("status", "layer", "rows", "time_observed")}
        status, required = small["status"], np.asarray(self.frames.source.satellite.required)
        usable = (status == Status.GOOD) | (status == Status.SUSPECT)
        counts: dict[str, int] = {f"pictures_{s.name.lower()}": int((status == s).sum()) for s in Status}
        whole = status[:, required]
        counts |= {
            "files": len(self.day.files),
            "files_vanished": sum(file.vanished for file in self.day.files),
            "files_stored": int(usable.sum()) - self.counts["carried_over"],
            "files_quarantined": self.counts["files_quarantined"],
            "files_duplicate": self.counts["files_duplicate"],
            "carried_over": self.counts["carried_over"],
            "frames_good": int(usable[:, required].all(axis=1).sum()),
            "frames_missing": int((whole == Status.MISSING).any(axis=1).sum()),
        }
        parts: dict[str, Any] = {**small, **self.pixels}
        inputs = _digest_of(self.day, self.content, self.frames)
        return Outcome(counts, content_digest(parts), inputs, tuple(self.records))


def _by_size(files: list[RawFile]) -> list[RawFile]:
    """Those that are there, in the order in which they are tried: the largest first."""
    return sorted((file for file in files if not file.vanished), key=lambda f: (-f.size, f.path))


def _archive(context: Context) -> Objects:
    if not context.archive:
        raise RefusedError("ingest reads raw files, and no archive was named; give --archive")
    return open_objects(context.archive)


def _read(archive: Objects, file: RawFile) -> bytes:
    """A raw file's bytes; one that may not be read, or went away since the scan, is put aside like a damaged one."""
    try:
        return archive.get(file.path)
    except NotFoundError as error:
        raise Quarantine(file.path, GONE, "the file that the scan listed", "nothing") from error
    except PermissionError as error:
        raise Quarantine(file.path, UNREADABLE, "a file that may be read", "permission denied") from error
    except OSError as error:
        raise Quarantine(file.path, UNREADABLE, "a file that can be read", str(error.strerror)) from error


def _satellite_digest(root: Root, source: str) -> str:
    """Digest of what the satellite's definition says of its data; how it names files shows in the inventory."""
    key = ("satellite digest", source)
    if key not in root.memo:
        root.memo[key] = fingerprint_of(satellite=root.source(source).satellite.model_dump(exclude=set(FREE_FIELDS)))
    return str(root.memo[key])


def _inputs_digest(day: _Day, archive: Objects, frames: FrameStore) -> str:
    content = {}
    for file in [*day.files, *day.before]:
        if not file.vanished:
            try:
                content[file.path] = hashlib.sha256(_read(archive, file)).hexdigest()
            except Quarantine:
                content[file.path] = ""
    return _digest_of(day, content, frames)


def _digest_of(day: _Day, content: dict[str, str], frames: FrameStore) -> str:
    """Digest of all that a day was made of, without modification times."""
    return fingerprint_of(
        contract=CONTRACT,
        satellite=_satellite_digest(frames.root, frames.source.id),
        layers=sorted(frames.layer_ids()),
        rows=[(f.path, f.slot, f.channel, f.vanished, content.get(f.path, "")) for f in day.files],
        before=[(f.path, f.slot, f.channel, f.vanished, content.get(f.path, "")) for f in day.before],
        expected=(day.expected.start, day.expected.stop),
    )
