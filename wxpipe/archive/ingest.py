"""The `ingest` stage: a day of raw files becomes whole shards of the frame store, with a status for every picture."""

from __future__ import annotations

from collections.abc import Iterable

from wxpipe.archive.ingest_day import CONTRACT, Day, DayIngest, inputs_digest, satellite_digest
from wxpipe.archive.inventory import inventory_of
from wxpipe.archive.layers import register_layers
from wxpipe.archive.stored_day import read_back_day
from wxpipe.errors import DamagedError, RefusedError
from wxpipe.store.frames import frame_store
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
        day = Day.of(partition, context)
        archive = _archive(context)
        known = self._unchanged(partition, day, archive, context)
        return (
            known if known is not None else DayIngest(day, frame_store(context.root, partition.source), archive).run()
        )

    def read_back(self, partition: Partition, context: Context) -> str:
        assert partition.day is not None
        return read_back_day(frame_store(context.root, partition.source), partition.day)

    def _unchanged(self, partition: Partition, day: Day, archive: Objects, context: Context) -> Outcome | None:
        """The recorded outcome, where files were touched and their content is what it was: one hash, no decoding."""
        entry = context.previous
        if entry is None or not entry.inputs or entry.counts.get("files") != len(day.files):
            return None
        if inputs_digest(day, archive, frame_store(context.root, partition.source)) != entry.inputs:
            return None
        try:
            records = context.root.quarantine.get(self.name, partition.source, day.day)
        except DamagedError:
            return None
        return Outcome(entry.counts, entry.output, entry.inputs, tuple(records))


def _archive(context: Context) -> Objects:
    if not context.archive:
        raise RefusedError("ingest reads raw files, and no archive was named; give --archive")
    return open_objects(context.archive)
