"""Counting the pictures of one day: each once, and not again while picture and counts are what they were.

Which picture a slot holds, ingest has recorded; which was counted, and the checksum of its counts, is recorded here.
Both are checked, so a run that was killed half-way, and counts that were damaged since, are counted again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from google_crc32c import value as crc32c

from wxpipe.archive.day_record import read_record
from wxpipe.errors import DamagedError
from wxpipe.similarity.cdf import CountArray
from wxpipe.store.counted import Cell, CountedDay, read_counted
from wxpipe.store.frames import FrameStore, Status, frame_store
from wxpipe.store.stage import Context, Partition, fingerprint_of

if TYPE_CHECKING:
    from wxpipe.similarity.histograms import HistogramStore


@dataclass
class CountingDay:
    """One day's work.

    Attributes:
        stored: bool (slot, channel), of which there is a picture.
        identities: of the stored pictures, where ingest has recorded them.
        known: what was counted before, and may be believed.
        basis: digest of what counts depend on beside the picture.
    """

    frames: FrameStore
    day: date
    stored: npt.NDArray[np.bool_]
    identities: Mapping[Cell, str]
    known: CountedDay
    basis: str
    made: dict[str, Mapping[Cell, tuple[str, int]]] = field(default_factory=dict)

    @classmethod
    def of(cls, partition: Partition, context: Context, contract: int) -> CountingDay:
        assert partition.day is not None
        frames, area = frame_store(context.root, partition.source), context.root.source(partition.source).area
        stored = np.isin(frames.day("status", partition.day), [s for s in Status if s.stored])
        basis = fingerprint_of(contract=contract, area=(area.rows, area.columns, area.title_rows))
        known = CountedDay() if context.anew else read_counted(context.root, partition.source, partition.day)
        identities = _identities(frames, partition, context)
        known = known if known.basis == basis else CountedDay()
        return cls(frames, partition.day, stored, identities, known, basis)

    @property
    def slots(self) -> range:
        return self.frames.axis.day_slots(self.day)

    def count(self, store: HistogramStore) -> CountArray:
        """The counts of the day in a store's layout, (slot, channel, bin, cell); zeros where nothing is stored."""
        spec, name, start = store.array_spec, store.spec.name, self.slots.start
        cdfs = np.zeros((len(self.slots), *spec.shape[1:]), spec.dtype)
        known = self._known(store)
        for channel, channel_name in enumerate(self.frames.channels):
            there = (start + np.flatnonzero(self.stored[:, channel])).tolist()
            due = [slot for slot in there if (slot, channel) not in known]
            for slot in set(there) - set(due):
                cdfs[slot - start, channel] = known[slot, channel]
            for slot, picture in self._pictures(due, channel_name):
                cdfs[slot - start, channel] = store.count(self.frames, slot, channel_name, picture)
        self.made[name] = {
            (slot, channel): (identity, _checksum(cdfs[slot - start, channel]))
            for (slot, channel), identity in self.identities.items()
            if self.stored[slot - start, channel]
        }
        return cdfs

    def counted(self) -> CountedDay:
        """What is to be recorded."""
        return CountedDay(self.basis, self.made)

    def _known(self, store: HistogramStore) -> Mapping[Cell, CountArray]:
        """Counts of this very picture, as they are stored."""
        recorded = self.known.pictures.get(store.spec.name, {})
        same = {cell: recorded[cell] for cell, identity in self.identities.items()
                if cell in recorded and recorded[cell][0] == identity}  # fmt: skip
        if not same:
            return {}
        try:
            stored: Any = store.read(np.asarray(self.slots))
        except (ValueError, RuntimeError, DamagedError):  # damaged: it is counted again
            return {}
        found = {(slot, channel): stored[slot - self.slots.start, channel] for slot, channel in same}
        return {cell: counts for cell, counts in found.items() if _checksum(counts) == same[cell][1]}

    def _pictures(self, slots: list[int], channel: str) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        if self.frames.root.settings.keep_pictures:
            return self.frames.pictures(slots, channel)
        return self.frames.passing_pictures(self.day, slots, channel)


def _identities(frames: FrameStore, partition: Partition, context: Context) -> dict[Cell, str]:
    """What picture each slot holds; nothing where the record is not of the ingest that the ledger tells of."""
    assert partition.day is not None
    record = read_record(context.root, partition.source, partition.day)
    if record.output != context.root.ledger.output("ingest", partition.key):
        return {}
    return {
        (slot, frames.channels.index(channel)): row.sight.identity
        for (slot, channel), row in record.stored().items()
        if row.sight is not None
    }


def _checksum(counts: CountArray) -> int:
    return int(crc32c(np.ascontiguousarray(counts).tobytes()))
