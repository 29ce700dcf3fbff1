"""The cell-major copy of a source-month's grid CDFs: rounded to uint8, each cell's history in one piece.

The histograms lie by time, all cells of a day together, so what a few cells were like for years could only be read with
all others. Here a chunk is one cell's month. Derived, and made again from the histograms; `cell_months` says what
there is of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.errors import DamagedError, NotFoundError
from wxpipe.satellites.catalog import Source
from wxpipe.similarity.clip_stage import SCHEMA as CLIPS
from wxpipe.similarity.histograms import HistogramStore, counted, histogram_store, stored_cell_sizes
from wxpipe.similarity.ks_kernels import round_counts
from wxpipe.store.arrays import (
    ArraySpec,
    create_arrays,
    decode_chunk,
    encode_chunk,
    parse_index,
    parse_shard,
    shard_key,
    sound,
    write_chunk,
    write_shard,
)
from wxpipe.store.frames import content_digest
from wxpipe.store.root import Root
from wxpipe.store.tables import get_table

CONTRACT = 1
Counts = npt.NDArray[np.uint8]
INDEX_ENTRY, INDEX_CHECK = 16, 4  # of a shard, in bytes; see `arrays.shard_bytes`


@dataclass(frozen=True)
class Month:
    """A source's calendar month, UTC, whole even where the satellite's life ends within: it may be lengthened.

    Attributes:
        first: its first day that is not before the slot axis; ``days``: how many from there on.
        start: slot of the beginning of that day.
    """

    source: Source
    name: str
    first: date
    days: int
    start: int

    @classmethod
    def of(cls, source: Source, name: str) -> Month:
        axis = source.satellite.axis
        begin = date.fromisoformat(f"{name}-01")
        end = (begin + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        first = max(begin, source.satellite.first_day)
        return cls(source, name, first, (end - first).days + 1, axis.day_start(first))

    @property
    def slots(self) -> int:
        return self.days * self.source.satellite.axis.slots_per_day

    @property
    def day_list(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range(self.days)]


@dataclass(frozen=True, eq=False)
class MonthArrays:
    """What a copy holds of one month.

    Attributes:
        cdf: uint8 (cell, channel, bin, slot), shares of the cell's pixels of 255, rounded half up (see `round_cdfs`).
        present: uint8 (channel, slot), 1 where a picture was counted.
        clips: uint16 (slot, frame): for a slot at which a clip begins, how many slots later its frames are, plus 1; the
            first is thus 1, and 0 where none begins. One column of zeros for a satellite without clips.
    """

    cdf: Counts
    present: Counts
    clips: npt.NDArray[np.uint16]

    @property
    def digest(self) -> str:
        return content_digest({"cdf": self.cdf, "present": self.present, "clips": self.clips})


def month_specs(month: Month, store: HistogramStore) -> tuple[ArraySpec, ArraySpec, ArraySpec]:
    """The arrays of a month; the first is sharded: the month one object, a cell one chunk."""
    _, channels, bins, cells = store.array_spec.shape
    clip, slots = month.source.satellite.clip, month.slots
    frames = clip.frames if clip is not None else 1
    about = "cumulative share of pixels of each cell in 255ths, rounded; the last bin would be 255 and is not kept"
    return (
        ArraySpec("cdf", ("cell", "channel", "bin", "slot"), (cells, channels, bins, slots), "uint8",
                  (1, channels, bins, slots), (cells, channels, bins, slots), "lz4",
                  attributes={"long_name": about}),
        ArraySpec("present", ("channel", "slot"), (channels, slots), "uint8", (channels, slots),
                  attributes={"long_name": "1 where a picture was counted"}),
        ArraySpec("clips", ("slot", "frame"), (slots, frames), "uint16", (slots, frames),
                  attributes={"long_name": "1 + slots from a clip's first to each of its frames; 0: no clip begins"}),
    )  # fmt: skip


def copy_month(root: Root, store: HistogramStore, month: Month, done: Mapping[date, tuple[int, bool]]) -> MonthArrays:
    """Reads the histograms and clips of a month, every byte checked, and turns them round.

    Args:
        done: of each day that is done, how many pictures it must have, and whether its clips are found.

    Raises:
        DamagedError: histograms or clips are not what was written, or are gone.
    """
    specs = month_specs(month, store)
    cdf, present = np.zeros(specs[0].shape, np.uint8), np.zeros(specs[1].shape, np.uint8)
    clips = np.zeros(specs[2].shape, np.uint16)
    a_day = month.source.satellite.axis.slots_per_day
    for day, (pictures, has_clips) in sorted(done.items()):
        at = (day - month.first).days * a_day
        cdfs = store.read_through(day, pictures)
        present[:, at : at + a_day] = counted(cdfs).T
        slots = np.arange(month.start + at, month.start + at + a_day)
        rounded = _rounded(cdfs, stored_cell_sizes(root, month.source, store.spec, slots))
        cdf[:, :, :, at : at + a_day] = rounded.transpose(3, 1, 2, 0)
        if has_clips:
            _put_clips(root, month, day, clips)
    return MonthArrays(cdf, present, clips)


def _rounded(cdfs: Any, sizes: npt.NDArray[np.int64]) -> Counts:
    """(slot, channel, bin, cell), with the sizes of each picture's own height."""
    rounded = np.empty(cdfs.shape, np.uint8)
    for channel in range(cdfs.shape[1]):
        part = np.empty((len(cdfs), 1, *cdfs.shape[2:]), np.uint8)
        round_counts(
            np.ascontiguousarray(cdfs[:, channel : channel + 1]), np.ascontiguousarray(sizes[:, channel]), part
        )
        rounded[:, channel] = part[:, 0]
    return rounded


def _put_clips(root: Root, month: Month, day: date, clips: npt.NDArray[np.uint16]) -> None:
    key = f"clips/{month.source.id}/{day}.parquet"
    try:
        table = get_table(root.objects, key)
    except NotFoundError as error:
        raise DamagedError(f"{root.url}/{key}: gone; `wxpipe validate` tells what to do") from error
    if table.schema.names != CLIPS.names:
        raise DamagedError(f"{root.url}/{key}: not a table of clips; `wxpipe validate` tells what to do")
    for slots in table["slots"].to_pylist():
        clips[slots[0] - month.start] = np.asarray(slots, np.int64) - slots[0] + 1


def write_month(root: Root, folder: str, month: Month, store: HistogramStore, arrays: MonthArrays) -> int:
    """Writes a month's Zarr group; returns the size of its shard. Nobody sees it before a record names it."""
    specs = month_specs(month, store)
    attributes = {
        "title": f"grid CDFs of {month.source.id}, {month.name}, cell by cell",
        "layout": store.spec.name,
        "first_slot": f"{month.first}T00:00Z",
        "cadence_minutes": month.source.satellite.cadence_minutes,
    }
    create_arrays(root.objects, folder, specs, attributes)
    chunks = {cell: encode_chunk(specs[0], arrays.cdf[cell : cell + 1]) for cell in np.flatnonzero(_any(arrays.cdf))}
    write_shard(root.objects, folder, specs[0], (0, 0, 0, 0), {int(cell): data for cell, data in chunks.items()})
    write_chunk(root.objects, folder, specs[1], (0, 0), arrays.present)
    write_chunk(root.objects, folder, specs[2], (0, 0), arrays.clips)
    root.objects.settle(folder)
    return sum(map(len, chunks.values())) + (INDEX_ENTRY * len(arrays.cdf) + INDEX_CHECK if chunks else 0)


def _any(cdf: Counts) -> npt.NDArray[np.bool_]:
    return np.array([cell.any() for cell in cdf], np.bool_)


def read_month(root: Root, folder: str, month: Month, store: HistogramStore) -> MonthArrays:
    """A whole month, each chunk against its checksum.

    Raises:
        DamagedError: something of it is not as it was written.
    """
    specs = month_specs(month, store)
    cdf = np.zeros(specs[0].shape, np.uint8)
    key = shard_key(folder, specs[0], (0, 0, 0, 0))
    try:
        chunks, damaged = parse_shard(specs[0], root.objects.get(key))
    except NotFoundError:
        chunks, damaged = {}, []  # a month of black pictures has none, and a lost one another digest
    except DamagedError as error:
        raise DamagedError(f"{root.url}/{key}: {error}") from error
    if damaged:
        raise DamagedError(f"{root.url}/{key}: {len(damaged)} cells are not as their checksums say")
    for cell, data in chunks.items():
        cdf[cell] = decode_chunk(specs[0], data)[0]
    return MonthArrays(cdf, *read_small(root, folder, month, store))


def read_small(root: Root, folder: str, month: Month, store: HistogramStore) -> tuple[Counts, npt.NDArray[np.uint16]]:
    """`MonthArrays.present` and ``clips``.

    Raises:
        DamagedError: one of them is not as it was written.
    """
    found = []
    for spec in month_specs(month, store)[1:]:
        key = shard_key(folder, spec, (0, 0))
        try:
            chunks, damaged = parse_shard(spec, root.objects.get(key))
        except NotFoundError:
            found.append(np.zeros(spec.shape, spec.dtype))
            continue
        if damaged:
            raise DamagedError(f"{root.url}/{key}: not as its checksum says")
        found.append(decode_chunk(spec, chunks[0]))
    return found[0], found[1]


def read_cells(root: Root, folder: str, month: Month, store: HistogramStore, size: int, cells: Sequence[int]) -> Counts:
    """Some cells of a month, (n, channel, bin, slot), in their order; of the others nothing is read.

    Args:
        size: of the shard, as `write_month` returned it; 0: nothing was counted in that month.

    Raises:
        DamagedError: a cell is not as it was written, or the month is gone.
    """
    spec = month_specs(month, store)[0]
    out = np.zeros((len(cells), *spec.shape[1:]), np.uint8)
    if not size:
        return out
    key = shard_key(folder, spec, (0, 0, 0, 0))
    try:
        index = parse_index(root.objects.get_range(key, size - _index_bytes(spec), size), spec.inner_grid[0])
        order = sorted((n for n in range(len(cells)) if cells[n] in index), key=lambda n: index[cells[n]][0])
        spans = _merged([index[cells[n]] for n in order])
        parts = {span: root.objects.get_range(key, *span) for span in spans}
    except NotFoundError as error:
        raise DamagedError(f"{root.url}/{key}: gone") from error
    except DamagedError as error:
        raise DamagedError(f"{root.url}/{key}: {error}") from error
    for n in order:
        start, length = index[cells[n]]
        first, data = next((begin, data) for (begin, end), data in parts.items() if begin <= start < end)
        chunk = data[start - first : start - first + length]
        if not sound(chunk):
            raise DamagedError(f"{root.url}/{key}: cell {cells[n]} is not as its checksum says")
        out[n] = decode_chunk(spec, chunk)[0]
    return out


def _index_bytes(spec: ArraySpec) -> int:
    return INDEX_ENTRY * spec.inner_grid[0] + INDEX_CHECK


def _merged(chunks: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """First bytes and ends of chunks (start, length) in order, those that touch made one."""
    found: list[tuple[int, int]] = []
    for start, length in chunks:
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], start + length)
        else:
            found.append((start, start + length))
    return found


def open_store(root: Root, source: Source) -> HistogramStore:
    """The histograms that are copied: those of the root's ground truth."""
    return histogram_store(root, source)
