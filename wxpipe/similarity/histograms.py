"""Grid CDFs of every stored picture, made once by the `histograms` stage and kept as a Zarr group beside the frames."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import date
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from wxpipe.archive.source_pictures import source_picture
from wxpipe.errors import DamagedError, NotFoundError
from wxpipe.satellites.catalog import Source
from wxpipe.similarity.cdf import CountArray, cdf_dtype, grid_cdf_exact, grid_cdf_reference
from wxpipe.similarity.counting import CountingDay
from wxpipe.similarity.layout import GridSpec, cell_sizes
from wxpipe.store.arrays import (
    ArraySpec,
    create_arrays,
    decode_chunk,
    encode_chunk,
    layout_faults,
    parse_shard,
    restore_layout,
    shard_key,
    write_shard,
)
from wxpipe.store.chunk_reads import map_chunks
from wxpipe.store.counted import write_counted
from wxpipe.store.frames import FrameStore, frame_store, runs
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Outcome, Partition, done_partitions, fingerprint_of

Made = TypeVar("Made")
CONTRACT = 1
LARGEST_CHUNK = 16
"""Slots of a chunk: 16 read three times as fast as one, and a clip's 20 frames touch two or three of them."""


class HistogramStore:
    """The grid CDFs of one source in one layout: ``cdf`` (slot, channel, bin, cell); zeros where nothing is."""

    def __init__(self, root: Root, source: Source, spec: GridSpec) -> None:
        self.root, self.source, self.spec = root, source, spec
        self.axis, self.area = source.satellite.axis, source.area
        self.folder = f"histograms/{source.id}.zarr/{spec.name}"

    @cached_property
    def array_spec(self) -> ArraySpec:
        day, channels = self.axis.slots_per_day, len(self.source.satellite.channels)
        counts = (self.spec.bins - 1, self.spec.cells)
        chunk = next(n for n in range(min(LARGEST_CHUNK, day), 0, -1) if day % n == 0)
        return ArraySpec(
            "cdf", ("slot", "channel", "bin", "cell"), (self.axis.count, channels, *counts),
            cdf_dtype(self.spec, self.area.rows, self.area.columns, self.area.title_rows).str,
            (chunk, channels, *counts), (day, channels, *counts),
            attributes={"long_name": "cumulative pixel counts of each cell; the last bin is the cell's size, not kept"},
        )  # fmt: skip

    def create(self) -> None:
        """Lays the group out, once."""
        create_arrays(self.root.objects, self.folder, [self.array_spec], self._attributes)

    def layout_faults(self) -> dict[str, str]:
        """What of the layout is damaged: key to what is wrong."""
        return layout_faults(self.root.objects, self.folder, [self.array_spec], self._attributes)

    def restore_layout(self) -> list[str]:
        """Writes damaged documents again; returns their keys."""
        return restore_layout(self.root.objects, self.folder, [self.array_spec], self._attributes)

    @property
    def _attributes(self) -> dict[str, Any]:
        return {"layout": self.spec.name, "cell_sizes": self.cell_sizes().tolist()}

    def write_day(self, day: date, cdfs: CountArray) -> None:
        """Writes the CDFs of a day, (slot, channel, bin, cell); chunks without any are not stored."""
        spec = self.array_spec
        steps = range(0, len(cdfs), spec.chunk[0])
        chunks = {n: encode_chunk(spec, cdfs[at : at + spec.chunk[0]]) for n, at in enumerate(steps)
                  if cdfs[at : at + spec.chunk[0]].any()}  # fmt: skip
        write_shard(self.root.objects, self.folder, spec, (self.axis.day_start(day) // len(cdfs), 0, 0, 0), chunks)

    def read(self, slots: npt.NDArray[np.integer[Any]]) -> CountArray:
        """CDFs of some slots in their order, (n, channel, bin, cell); zeros where no picture is stored.

        Raises:
            NotFoundError: no CDFs of this layout were ever made.
        """
        assert self._laid_out
        spec, wanted = self.array_spec, np.asarray(slots, np.int64)
        out = np.zeros((len(wanted), *spec.shape[1:]), spec.dtype)
        order = np.argsort(wanted, kind="stable")
        ordered = wanted[order]

        def take(number: int, data: bytes | None) -> None:
            if data is not None:
                first = number * spec.chunk[0]
                low, high = np.searchsorted(ordered, (first, first + spec.chunk[0]))
                out[order[low:high]] = decode_chunk(spec, data)[ordered[low:high] - first]

        self.map_chunks(np.unique(wanted // spec.chunk[0]).tolist(), take)
        return out

    @cached_property
    def _laid_out(self) -> bool:
        if "cdf" not in self.root.group(self.folder):
            raise NotFoundError(f"{self.root.url}/{self.folder} has no CDFs; `wxpipe backfill` makes them")
        return True

    def map_chunks(self, numbers: Iterable[int], use: Callable[[int, bytes | None], Made]) -> list[Made]:
        """As `chunk_reads.map_chunks`, of the CDFs: chunk n has the slots from n times the length of a chunk on."""
        return map_chunks(self.root.objects, self.folder, self.array_spec, numbers, use)

    def read_through(self, day: date, pictures: int) -> CountArray:
        """CDFs of a day, (slot, channel, bin, cell), every byte of them checked.

        Args:
            pictures: how many must be among them.

        Raises:
            DamagedError: a chunk is damaged, or the day is gone.
        """
        spec, slots = self.array_spec, self.axis.slots_per_day
        key = shard_key(self.folder, spec, (self.axis.day_start(day) // slots, 0, 0, 0))
        out = np.zeros((slots, *spec.shape[1:]), spec.dtype)
        try:
            chunks, damaged = parse_shard(spec, self.root.objects.get(key))
        except NotFoundError as error:
            if pictures:
                raise DamagedError(f"{key}: gone, with the CDFs of {pictures} pictures") from error
            return out
        except DamagedError as error:
            raise DamagedError(f"{key}: {error}") from error
        if damaged:
            times = ", ".join(f"{self.axis.time(n * spec.chunk[0]):%H:%MZ}" for n in damaged)
            raise DamagedError(f"{key}: the CDFs of {day} from {times} on are not as their checksums say")
        for number, data in chunks.items():
            at = number * spec.chunk[0]
            out[at : at + spec.chunk[0]] = decode_chunk(spec, data)
        return out

    def cell_sizes(self, rows: int = 0) -> npt.NDArray[np.int64]:
        """Pixels of each cell, (cell,), of a picture of a height (the area's full one by default)."""
        return cell_sizes(self.spec, rows or self.area.rows, self.area.columns, self.area.title_rows)

    def count(
        self, frames: FrameStore, slot: int, channel: str, picture: npt.NDArray[np.uint8] | None = None
    ) -> CountArray:
        """Counts one stored picture anew, (bin, cell); ``picture`` is it, where the caller has read it already."""
        if picture is None:
            picture = frames.picture(slot, channel)
        if self.spec.layout == "reference":
            return grid_cdf_reference(source_picture(frames, slot, channel, picture), self.spec)
        return grid_cdf_exact(picture, picture.shape[0], self.area.title_rows, self.spec)


def counted(cdfs: CountArray) -> npt.NDArray[np.bool_]:
    """Whether there are counts of pictures, (n, channel), by CDFs (n, channel, bin, cell).

    A counted picture is never all zeros, unless every pixel is in the top bin: then nothing can be told of it either.
    """
    # Cumulative: no bin has more than the last one.
    return np.asarray(cdfs[:, :, -1].any(axis=2), np.bool_)


def histogram_store(root: Root, source: Source | str, name: str | None = None) -> HistogramStore:
    """The histogram store of a source and layout (the root's ground truth by default), opened once."""
    found = source if isinstance(source, Source) else root.source(source)
    layout = name or root.settings.histograms[0]
    key = ("histograms", found.id, layout)
    if key not in root.memo:
        root.memo[key] = HistogramStore(root, found, GridSpec.parse(layout))
    store: HistogramStore = root.memo[key]
    return store


class Histograms:
    """Counts every stored picture of a day, in every layout that the root keeps; those that are counted, not again."""

    name = "histograms"
    trigger = "by day"
    needs = ("ingest",)

    def partitions(self, context: Context) -> Iterable[Partition]:
        return done_partitions(context, "ingest")

    def fingerprint(self, partition: Partition, context: Context) -> str:
        pictures = context.root.ledger.output("ingest", partition.key)
        passing = passing_request(context.root, partition)
        return fingerprint_of(contract=CONTRACT, layouts=context.root.settings.histograms, pictures=pictures, **passing)

    def prepare(self, partitions: list[Partition], context: Context) -> None:
        for source in sorted({partition.source for partition in partitions}):
            for name in context.root.settings.histograms:
                histogram_store(context.root, source, name).create()

    def run(self, partition: Partition, context: Context) -> Outcome:
        assert partition.day is not None
        root, frames = context.root, frame_store(context.root, partition.source)
        counting = CountingDay.of(partition, context, CONTRACT)
        digest = hashlib.sha256()
        for name in root.settings.histograms:
            store = histogram_store(root, partition.source, name)
            store.write_day(partition.day, counting.count(store))
            _add_day(digest, store.read(np.asarray(counting.slots)))
        write_counted(root, partition.source, partition.day, counting.counted())
        obsolete = () if root.settings.keep_pictures else frames.picture_keys(partition.day)
        return Outcome({"pictures": int(counting.stored.sum())}, digest.hexdigest()[:32], obsolete=obsolete)

    def read_back(self, partition: Partition, context: Context) -> str:
        assert partition.day is not None
        entry = context.root.ledger.get(self.name, partition.key)
        pictures = entry.counts.get("pictures", 0) if entry is not None else 0
        digest = hashlib.sha256()
        for name in context.root.settings.histograms:
            store = histogram_store(context.root, partition.source, name)
            _add_day(digest, store.read_through(partition.day, pictures))
        return digest.hexdigest()[:32]


def passing_request(root: Root, partition: Partition) -> dict[str, int]:
    """What makes CDFs stale where pictures only pass: an ingest that was asked for anew leaves them to be let go of."""
    if root.settings.keep_pictures:
        return {}
    entry = root.ledger.get("ingest", partition.key)
    return {"request": entry.request} if entry is not None and entry.request else {}


def passed_pictures(root: Root) -> dict[str, list[str]]:
    """Picture shards that a root which keeps none has still, though they are counted: its run was killed too soon.

    They are of no use; `wxpipe gc` removes them.

    Returns:
        Keys by the lease under which they are written.
    """
    found: dict[str, list[str]] = {}
    stage, context = Histograms(), Context(root)
    for key, entry in sorted({} if root.settings.keep_pictures else root.ledger.entries("histograms").items()):
        source, _, day = key.rpartition("/")
        partition = Partition(source, date.fromisoformat(day))
        if entry.state == "done" and entry.fingerprint == stage.fingerprint(partition, context):
            keys = frame_store(root, source).picture_keys(date.fromisoformat(day))
            there = [key for key in keys if root.objects.exists(key)]
            found.setdefault(partition.lease_key, []).extend(there)
    return {lease: keys for lease, keys in found.items() if keys}


def _add_day(digest: Any, cdfs: CountArray) -> None:
    digest.update(np.ascontiguousarray(cdfs).data)


def read_or_count(root: Root, source: Source, spec: GridSpec, slots: npt.NDArray[np.int64]) -> CountArray:
    """CDFs of stored frames in any layout: those that the root keeps, others counted from the pictures now.

    Raises:
        NotFoundError: a picture of one of the slots is not stored.
    """
    store = histogram_store(root, source, spec.name)
    frames = frame_store(root, source)
    kept = spec.name in root.settings.histograms
    counted = store.read(slots) if kept else np.zeros((len(slots), *store.array_spec.shape[1:]), store.array_spec.dtype)
    for n, slot in enumerate(np.asarray(slots).tolist()):
        for index, channel in enumerate(frames.channels):
            if not kept or not counted[n, index].any():
                counted[n, index] = _counted(store, frames, slot, channel)
    return counted


def stored_cell_sizes(
    root: Root, source: Source, spec: GridSpec, slots: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.int64]:
    """Pixels of each cell of stored pictures by their true heights, (n, channel, cell).

    Where nothing is stored, and in a source whose pictures have one height, those of the area's full height; the
    array is then a view that repeats one row.
    """
    store, frames = histogram_store(root, source, spec.name), frame_store(root, source)
    shape = (len(slots), len(frames.channels), spec.cells)
    if len(source.area.heights) == 1:
        return np.broadcast_to(store.cell_sizes(), shape)
    sizes = np.empty(shape, np.int64)
    for start, stop, where in runs(np.asarray(slots, np.int64)):
        rows = frames.slots("rows", start, stop)
        for height in np.unique(rows).tolist():
            sizes[where][rows == height] = store.cell_sizes(height)
    return sizes


def _counted(store: HistogramStore, frames: FrameStore, slot: int, channel: str) -> CountArray:
    try:
        return store.count(frames, slot, channel)
    except NotFoundError as error:
        raise NotFoundError(f"{error}; a similarity needs every channel of every frame") from error
