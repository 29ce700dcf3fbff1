"""A day of raw files into the day's frames: which file is taken, which is put aside, and what is said of each."""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np

from wxpipe.archive.choice import by_size, choose, duplicate, read_raw, require_new
from wxpipe.archive.comparison import Cell, Comparison
from wxpipe.archive.day_record import Became, FileRecord, write_record
from wxpipe.archive.decode import require_sane_size
from wxpipe.archive.inventory import RawFile, inventory_of
from wxpipe.archive.picture import PictureReader
from wxpipe.archive.quality import Doubt
from wxpipe.archive.reuse import EncodedPicture, Reuse
from wxpipe.archive.stored_day import SMALL, day_digest, stored
from wxpipe.errors import DamagedError, NotFoundError, Quarantine
from wxpipe.store.frames import DayFrames, FrameStore, Status
from wxpipe.store.objects import Objects
from wxpipe.store.quarantine import Record
from wxpipe.store.root import FREE_FIELDS, Root
from wxpipe.store.stage import Context, Outcome, Partition, fingerprint_of

CONTRACT = 1
"""Version of what this stage makes; a higher one makes every day stale."""

LOST = "lost"
"""Reason of a picture whose file is away, and which is damaged where it was stored."""


@dataclass(frozen=True)
class Day:
    """What a day's ingest depends on."""

    day: date
    files: list[RawFile]
    before: list[RawFile]
    expected: range
    """The day's slots between the source's first and last inventoried file."""

    @classmethod
    def of(cls, partition: Partition, context: Context) -> Day:
        assert partition.day is not None
        inventory = inventory_of(context.root, partition.source)
        day = partition.day
        return cls(day, inventory.day(day), inventory.before(day), inventory.expected(day))


@dataclass
class DayIngest:
    """One day's work; `run` goes through it picture by picture.

    What an earlier ingest of the day recorded of a file that is as it was is taken over, with the encoded chunks of its
    picture; every rule that compares pictures with each other is applied anew to the whole day.
    """

    day: Day
    frames: FrameStore
    archive: Objects
    anew: bool = False
    """Every file is to be read, whatever is recorded of it."""
    records: list[Record] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    content: dict[str, str] = field(default_factory=dict)
    pixels: dict[Cell, bytes] = field(default_factory=dict)
    """Digests of what was stored, by slot of the day and channel."""
    found: dict[str, FileRecord] = field(default_factory=dict)
    """What is to be recorded of each file, by path."""
    unread: set[str] = field(default_factory=set)
    taken: dict[Cell, RawFile] = field(default_factory=dict)
    """Which file each picture is of; one that was carried over, the first of those that it was of."""

    def run(self) -> Outcome:
        axis, channels = self.frames.axis, self.frames.channels
        self.reader = PictureReader(self.frames.source, self.frames.layers())
        self.compared = Comparison(self.frames.source)
        self.slots = axis.day_slots(self.day.day)
        self.made = DayFrames.empty(len(self.slots), len(channels))
        self.basis = reading_digest(self.frames)
        self.reuse = Reuse(self.frames, self.slots.start, self.basis, anew=self.anew)
        waiting: dict[str, dict[int, list[RawFile]]] = defaultdict(lambda: defaultdict(list))
        for file in [*self.day.files, *self.day.before]:
            waiting[file.channel][file.slot].append(file)
        for index, channel in enumerate(channels):
            self._channel(index, waiting[channel])
            # At once, and then forgotten: a day of all channels of COMS would be 400 MB, compressed.
            chunks = {slot: data for (slot, _), data in self.made.pictures.items()}
            there = b"" if self.anew else self.reuse.pictures(index).data
            self.frames.write_pictures(self.day.day, index, chunks, there)
            self.made.pictures.clear()
        self._mark_compared()
        self._mark_unseen()
        self.frames.write_rest(self.day.day, self.made, b"" if self.anew else self.reuse.reduced.data)
        outcome = self._outcome()
        write_record(self.frames.root, self.frames.source.id, self.day.day, outcome.output, self._recorded())
        return outcome

    def _channel(self, index: int, waiting: dict[int, list[RawFile]]) -> None:
        """All slots of one channel in order, each compared with those before."""
        self._read_day_before(index, waiting.get(self.slots.start - 1, []))
        for slot in self.slots:
            files = waiting.get(slot, [])
            picture = self._take(by_size(files), slot, index)
            if picture is None and all(file.path in self.unread or file.vanished for file in files):
                picture = self._carry_over(slot, index, files)
            if picture is not None:
                self.compared.add(slot, index, picture)
            elif any(not file.vanished for file in files):
                self.made.status[slot - self.slots.start, index] = Status.QUARANTINED

    def _take(self, files: list[RawFile], slot: int, index: int) -> EncodedPicture | None:
        """Stores the first file without a doubt, else the first that is usable, and says what became of each."""
        choice = choose(files, lambda file, best: self._examine(file, index, best))
        best = choice.best
        if best is not None and not best[1].whole:
            self.reuse.forget(best[0].path)
            return self._take(files, slot, index)
        for file, fault in choice.faults:
            self._put_aside(file, fault)
        if best is None:
            return None
        file, picture = best
        self.taken[slot, index] = file
        self._keep(slot, index, picture, int(file.time.timestamp()))
        self.found[file.path] = FileRecord.of(file, self.content[file.path], self.basis, sight=picture.sight)
        self.found[file.path] = replace(self.found[file.path], became="stored")
        for doubt in picture.doubts:
            self._note_doubt(file, doubt)
        for other in choice.others:
            self._note(other[0], duplicate(other, best, self.content[other[0].path]))
        return picture

    def _bytes_of(self, file: RawFile) -> bytes:
        """A file's bytes, whose digest is kept, or the note that they could not be had."""
        try:
            data = read_raw(self.archive, file)
        except Quarantine:
            self.content[file.path] = ""
            self.unread.add(file.path)
            raise
        self.content[file.path] = hashlib.sha256(data).hexdigest()
        return data

    def _examine(self, file: RawFile, index: int, best: tuple[RawFile, EncodedPicture] | None) -> EncodedPicture:
        """A file's picture, decoded unless it is the best one's again, or as recorded; see `_take`.

        Raises:
            Quarantine: it is unusable, or is an earlier picture under a new name.
        """
        row, data = self._known(file)
        if best is not None and self.content[best[0].path] == self.content[file.path]:
            return best[1]
        picture = self._judged(file, index, row, data)
        require_new(self.compared, file, index, picture)
        return picture

    def _known(self, file: RawFile) -> tuple[FileRecord | None, bytes | None]:
        """What is recorded of a file whose bytes are as they were, and these where they had to be read to tell.

        Raises:
            Quarantine: it is too large, or cannot be read.
        """
        self.content[file.path] = ""
        self.found.pop(file.path, None)
        require_sane_size(file.size, file.path, self.frames.source.area)
        row, data = self.reuse.unchanged(file), None
        if row is None:
            data = self._bytes_of(file)
            row = self.reuse.same_content(file, self.content[file.path])
        else:
            self.content[file.path] = row.content
        self.found[file.path] = FileRecord.of(file, self.content[file.path], self.basis)
        return row, data

    def _judged(self, file: RawFile, index: int, row: FileRecord | None, data: bytes | None) -> EncodedPicture:
        """What a file shows by itself, as recorded or as it is read now.

        Raises:
            Quarantine: it is unusable.
        """
        if row is None or not row.read:
            return self._read_now(file, index, self._bytes_of(file) if data is None else data)
        self.found[file.path] = FileRecord.of(file, row.content, self.basis, row.fault, row.sight)
        if row.sight is not None:
            return self.reuse.picture(row.sight, file.slot, index)
        assert row.fault is not None
        raise Quarantine(file.path, row.fault.reason, row.fault.expected, row.fault.found)

    def _read_now(self, file: RawFile, index: int, data: bytes) -> EncodedPicture:
        content = self.content[file.path]
        try:
            made = self.reader.read(data, file.path, file.channel, file.time)
        except Quarantine as fault:
            doubt = Doubt(fault.reason, fault.expected, fault.found)
            self.found[file.path] = FileRecord.of(file, content, self.basis, fault=doubt)
            raise
        picture = self.reuse.encoded(made, file.slot, index)
        self.found[file.path] = FileRecord.of(file, content, self.basis, sight=picture.sight)
        return picture

    def _put_aside(self, file: RawFile, fault: Quarantine) -> None:
        digest = self.content[file.path]
        self._note(file, Record(file.path, fault.reason, fault.expected, fault.found, digest=digest))

    def _note_doubt(self, file: RawFile, doubt: Doubt) -> None:
        self._note(file, Record(file.path, doubt.reason, doubt.expected, doubt.found, kind="suspect"))

    def _keep(self, slot: int, index: int, picture: EncodedPicture, observed: int) -> None:
        at, sight = (slot - self.slots.start, index), picture.sight
        assert picture.reduced_chunk is not None
        if picture.picture_chunk is not None and not picture.counted:
            self.made.pictures[at] = picture.picture_chunk
        self.made.reduced[at] = picture.reduced_chunk
        self.made.status[at] = Status.SUSPECT if picture.doubts else Status.GOOD
        self.made.layer[at], self.made.rows[at] = sight.layer, sight.rows
        self.made.time_observed[at] = observed
        self.pixels[at] = sight.picture + sight.reduced

    def _carry_over(self, slot: int, index: int, files: list[RawFile]) -> EncodedPicture | None:
        """The stored picture of files that have vanished, or cannot be read now: an absence erases nothing."""
        if not files:
            return None
        try:
            known = self.reuse.kept(slot, index)
            kept = known[1] if known is not None else self._stored(slot, index)
            if kept is None:
                return None
            small = (self.frames.slots(name, slot, slot + 1) for name in ("status", "time_observed"))
            status, observed = (int(values[0, index]) for values in small)
        except DamagedError as error:
            self._note_lost(files[0], slot, index, error)
            return None
        self._keep(slot, index, kept, observed)
        self.made.status[slot - self.slots.start, index] = status
        self.counts["carried_over"] += 1
        self.taken[slot, index] = files[0]
        row = known[0] if known is not None else FileRecord.of(files[0], "", "", sight=kept.sight)
        self.found[row.path] = replace(row, became="carried over", sight=kept.sight)
        return kept

    def _note_lost(self, file: RawFile, slot: int, index: int, error: DamagedError) -> None:
        """The file is away and its picture is damaged: it is lost, unless the file comes back."""
        record = Record(file.path, LOST, "the stored picture of a file that is away", str(error))
        self.records.append(replace(record, channel=self.frames.channels[index], slot=slot))

    def _stored(self, slot: int, index: int) -> EncodedPicture | None:
        """A stored picture of which nothing is recorded; its doubts are not known any more."""
        channel = self.frames.channels[index]
        try:
            picture = self.frames.picture(slot, channel)
        except NotFoundError as error:
            if stored(self.frames.slots("status", slot, slot + 1)[0, index]):
                raise DamagedError(f"{error}, and its status says that one is") from error
            return None
        layer = int(self.frames.slots("layer", slot, slot + 1)[0, index])
        reduced = self.frames.reduced([slot], [channel])[0, 0]
        return self.reuse.encoded(self.reader.stored(picture, reduced, layer, channel), slot, index)

    def _read_day_before(self, index: int, files: list[RawFile]) -> None:
        """Looks at the last picture of the day before; all its files are read, for their digests."""
        slot, found = self.slots.start - 1, None
        for file in by_size(files):
            with contextlib.suppress(Quarantine):
                row, data = self._known(file)
                if found is None:
                    found = self._judged(file, index, row, data)
                    self._record_pixels(file.path, found)
        if found is None and files and all(file.path in self.unread or file.vanished for file in files):
            with contextlib.suppress(DamagedError):  # that day's own validation finds it; here it is only looked at
                found = self._stored_before(slot, index)
        if found is not None:
            self.compared.add(slot, index, found)

    def _record_pixels(self, path: str, picture: EncodedPicture) -> None:
        sight = replace(picture.sight, pixels=picture.reduced.tobytes())
        self.found[path] = replace(self.found[path], sight=sight)

    def _stored_before(self, slot: int, index: int) -> EncodedPicture | None:
        if self.frames.root.settings.keep_pictures:
            return self._stored(slot, index)
        day_start = self.frames.axis.day_start(self.frames.axis.day(slot))
        kept = Reuse(self.frames, day_start, self.basis).kept(slot, index)
        return kept[1] if kept is not None else None

    def _mark_compared(self) -> None:
        """What only shows once the whole day has been seen makes pictures doubtful that were good."""
        for (slot, index), doubt in sorted(self.compared.doubts(self.slots).items()):
            self.made.status[slot - self.slots.start, index] = Status.SUSPECT
            self._note_doubt(self.taken[slot, index], doubt)

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

    def _recorded(self) -> Iterator[FileRecord]:
        """A record of every file; what was known of one that is not there now is kept for when it comes back."""
        stored = {path: row for path, row in self.found.items() if row.became in ("stored", "carried over")}
        yield from stored.values()
        quarantined = {record.path for record in self.records if record.kind == "quarantined"}
        for file in [*self.day.files, *self.day.before]:
            if file.path in stored:
                continue
            row = self.found.get(file.path)
            if row is None or not row.content:
                row = self.reuse.row(file.path) or FileRecord.of(file, "", self.basis)
            became: Became = "unread" if file.path not in self.found else "duplicate"
            became = "quarantined" if file.path in quarantined else became
            sight = row.sight and replace(row.sight, picture_chunk=-1, reduced_chunk=-1)
            yield replace(row, became="compared" if file.slot < self.slots.start else became, sight=sight)

    def _outcome(self) -> Outcome:
        """Counts and digests, of the small arrays as they are read back."""
        small = {name: self.frames.day(name, self.day.day) for name in SMALL}
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
        inputs = digest_of(self.day, self.content, self.frames)
        return Outcome(counts, day_digest(small, self.pixels), inputs, tuple(self.records))


def satellite_digest(root: Root, source: str) -> str:
    """Digest of what the satellite's definition says of its data; how it names files shows in the inventory."""
    key = ("satellite digest", source)
    if key not in root.memo:
        root.memo[key] = fingerprint_of(satellite=root.source(source).satellite.model_dump(exclude=set(FREE_FIELDS)))
    return str(root.memo[key])


def reading_digest(frames: FrameStore) -> str:
    """Digest of what reading a file by itself depends on, beside its bytes and its name."""
    satellite = satellite_digest(frames.root, frames.source.id)
    return fingerprint_of(contract=CONTRACT, satellite=satellite, layers=sorted(frames.layer_ids()))


def contents(day: Day, archive: Objects, frames: FrameStore) -> dict[str, str]:
    """Digests of the bytes of a day's files, by path; empty of what cannot be read. Unchanged files are not read."""
    content, known = {}, Reuse(frames, frames.axis.day_start(day.day), reading_digest(frames))
    for file in [*day.files, *day.before]:
        if not file.vanished:
            try:
                require_sane_size(file.size, file.path, frames.source.area)
                row = known.unchanged(file)
                content[file.path] = row.content if row else hashlib.sha256(read_raw(archive, file)).hexdigest()
            except Quarantine:
                content[file.path] = ""
    return content


def digest_of(day: Day, content: dict[str, str], frames: FrameStore) -> str:
    """Digest of all that a day was made of, without modification times."""
    return fingerprint_of(
        contract=CONTRACT,
        satellite=satellite_digest(frames.root, frames.source.id),
        layers=sorted(frames.layer_ids()),
        rows=[(f.path, f.slot, f.channel, f.vanished, content.get(f.path, "")) for f in day.files],
        before=[(f.path, f.slot, f.channel, f.vanished, content.get(f.path, "")) for f in day.before],
        expected=(day.expected.start, day.expected.stop),
        **counted_layouts(frames.root),
    )


def counted_layouts(root: Root) -> dict[str, tuple[str, ...]]:
    """What a root that keeps no pictures has to be ingested again for: a layout more to count them in."""
    return {} if root.settings.keep_pictures else {"counted": root.settings.histograms}
