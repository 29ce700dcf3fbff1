"""The `ingest` stage: a day of raw files becomes whole shards of the frame store, with a status for every picture."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from wxpipe.archive.ingest_day import (
    CONTRACT,
    Day,
    DayIngest,
    contents,
    counted_layouts,
    digest_of,
    reading_digest,
    satellite_digest,
)
from wxpipe.archive.inventory import RawFile, inventory_of
from wxpipe.archive.layers import register_layers
from wxpipe.archive.reuse import Reuse
from wxpipe.archive.stored_day import read_back_day
from wxpipe.errors import DamagedError, RefusedError
from wxpipe.store.frames import UNKNOWN_LAYER, FrameStore, frame_store
from wxpipe.store.objects import Objects, open_objects
from wxpipe.store.stage import Context, Outcome, Partition, fingerprint_of


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
        assert partition.day is not None
        inventory = inventory_of(context.root, partition.source)
        files, before = inventory.digests(partition.day)
        expected = inventory.expected(partition.day)
        return fingerprint_of(
            contract=CONTRACT,
            satellite=satellite_digest(context.root, partition.source),
            files=files,
            before=before,
            expected=(expected.start, expected.stop),
            **counted_layouts(context.root),
        )

    def prepare(self, partitions: list[Partition], context: Context) -> None:
        """Lays the frame store out, and registers overlay layers from a sample of the files to come."""
        for source in sorted({partition.source for partition in partitions}):
            frames = frame_store(context.root, source)
            frames.create()
            inventory = inventory_of(context.root, source)
            days = [p.day for p in partitions if p.source == source and p.day is not None]
            files = [file for day in days for file in unexplained(frames, inventory.day(day), day)]
            register_layers(frames, _archive(context), files)

    def run(self, partition: Partition, context: Context) -> Outcome:
        day = Day.of(partition, context)
        archive = _archive(context)
        known = self._unchanged(partition, day, archive, context)
        if known is not None:
            return known
        return DayIngest(day, frame_store(context.root, partition.source), archive, context.anew).run()

    def read_back(self, partition: Partition, context: Context) -> str:
        assert partition.day is not None
        return read_back_day(frame_store(context.root, partition.source), partition.day)

    def _unchanged(self, partition: Partition, day: Day, archive: Objects, context: Context) -> Outcome | None:
        """The recorded outcome, where files were touched and their content is what it was: one hash, no decoding."""
        entry = context.previous
        if entry is None or not entry.inputs or entry.counts.get("files") != len(day.files):
            return None
        frames = frame_store(context.root, partition.source)
        if digest_of(day, contents(day, archive, frames), frames) != entry.inputs:
            return None
        try:
            records = context.root.quarantine.get(self.name, partition.source, day.day)
        except DamagedError:
            return None
        return Outcome(entry.counts, entry.output, entry.inputs, tuple(records))


def unexplained(frames: FrameStore, files: list[RawFile], day: date) -> list[RawFile]:
    """Files of which it is not recorded that a registered layer explains them: where a new one may show."""
    reuse = Reuse(frames, frames.axis.day_start(day), reading_digest(frames))
    rows = {file.path: reuse.unchanged(file) for file in files}
    explained = {
        path for path, row in rows.items() if row is not None and row.sight and row.sight.layer != UNKNOWN_LAYER
    }
    return [file for file in files if file.path not in explained]


def _archive(context: Context) -> Objects:
    if not context.archive:
        raise RefusedError("ingest reads raw files, and no archive was named; give --archive")
    return open_objects(context.archive)
