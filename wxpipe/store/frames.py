"""The frames of one source as a Zarr group: its layout, a day's write, and the reads that the rooms above need.

The slot axis is laid out once, whole; the slot of a time is arithmetic. A day of one channel of ``picture`` is one
shard and one picture one chunk; the small arrays hold a day of all channels a chunk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wxpipe.errors import DamagedError, NotFoundError, RefusedError, WxpipeError
from wxpipe.satellites.catalog import Source
from wxpipe.store.arrays import (
    ArraySpec,
    StoredShard,
    create_arrays,
    encode_chunk,
    layout_faults,
    read_shard,
    restore_layout,
    shard_key,
    write_chunk,
    write_shard,
)
from wxpipe.store.root import Root

if TYPE_CHECKING:
    import xarray

UInt8 = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

READ_AHEAD = 8
"""Pictures read at once where many are wanted: 16 MB of COMS."""
NO_LAYER = 0
UNKNOWN_LAYER = 255
"""Values of ``layer`` beside the ids 1..254 of the overlay array."""
NEVER = -1
"""``time_observed`` of a picture that is not stored: the epoch second -1."""


class Status(IntEnum):
    """Of a picture; see DESIGN's words."""

    ABSENT = 0
    UNSCHEDULED = 1
    MISSING = 2
    GOOD = 3
    SUSPECT = 4
    QUARANTINED = 5

    @property
    def stored(self) -> bool:
        return self in (Status.GOOD, Status.SUSPECT)


STATUS_ATTRIBUTES = {
    "long_name": "what became of the picture",
    "flag_values": [int(s) for s in Status],
    "flag_meanings": " ".join(s.name.lower() for s in Status),
}


@dataclass
class DayFrames:
    """One day of a source, ready to be written.

    Attributes:
        pictures: encoded chunks of ``picture``, by (slot of the day, channel).
        reduced: encoded chunks of ``reduced``, by the same.
        status, layer: uint8 (slot, channel); rows: uint16; time_observed: int64 epoch seconds.
    """

    pictures: dict[tuple[int, int], bytes]
    reduced: dict[tuple[int, int], bytes]
    status: UInt8
    layer: UInt8
    rows: npt.NDArray[np.uint16]
    time_observed: npt.NDArray[np.int64]

    @classmethod
    def empty(cls, slots: int, channels: int) -> DayFrames:
        shape = (slots, channels)
        return cls(
            {}, {}, np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), np.zeros(shape, np.uint16),
            np.full(shape, NEVER, np.int64),
        )  # fmt: skip


class FrameStore:
    """Reads and writes the frames of one source. A write covers one whole day."""

    def __init__(self, root: Root, source: Source) -> None:
        self.root, self.source = root, source
        self.folder = f"frames/{source.id}.zarr"
        self.axis = source.satellite.axis
        self.channels = source.satellite.channel_names
        self.specs = {spec.name: spec for spec in _specs(source)}
        self._group: Any = None

    def create(self) -> None:
        """Lays the group out, once, with its coordinates; the same again changes nothing."""
        create_arrays(self.root.objects, self.folder, list(self.specs.values()), self._attributes)

    @property
    def _attributes(self) -> dict[str, Any]:
        passing = {"comment": "no pictures are kept: read `reduced`; `picture` is all zeros"}
        return {**_attributes(self.source), **({} if self.root.settings.keep_pictures else passing)}

    def layout_faults(self) -> dict[str, str]:
        """What of the layout is damaged: key to what is wrong."""
        return layout_faults(self.root.objects, self.folder, list(self.specs.values()), self._attributes)

    def restore_layout(self) -> list[str]:
        """Writes damaged documents and coordinates again; returns their keys."""
        self._group = None
        return restore_layout(self.root.objects, self.folder, list(self.specs.values()), self._attributes)

    @property
    def group(self) -> Any:
        if self._group is None:
            self._group = self.root.group(self.folder)
        return self._group

    # --- writing ---------------------------------------------------------------------------------------------

    def encode_picture(self, picture: UInt8) -> bytes:
        """One chunk of ``picture`` out of uint8 (rows, x); a lower picture is padded with zeros below.

        Raises:
            WxpipeError: the picture is higher than the array's, not as wide, or of another type.
        """
        spec = self.specs["picture"]
        missing = spec.chunk[2] - picture.shape[0]
        full = np.pad(picture, ((0, missing), (0, 0))) if missing > 0 else picture
        return encode_chunk(spec, full[np.newaxis, np.newaxis])

    def encode_reduced(self, reduced: UInt8) -> bytes:
        spec = self.specs["reduced"]
        return encode_chunk(spec, reduced[np.newaxis, np.newaxis])

    def write_pictures(self, day: date, channel: int, chunks: Mapping[int, bytes], there: bytes = b"") -> None:
        """Writes one day of one channel of ``picture``: encoded chunks by slot of the day.

        Args:
            there: the shard that was just read: the same is not written again.
        """
        write_shard(
            self.root.objects, self.folder, self.specs["picture"], self._picture_at(day, channel), chunks, there
        )

    def write_rest(self, day: date, frames: DayFrames, reduced_there: bytes = b"") -> None:
        """Writes the other arrays of a day, once its pictures are there; statuses last."""
        at, width = self._shard(day), len(self.channels)
        reduced = {slot * width + channel: data for (slot, channel), data in frames.reduced.items()}
        write_shard(self.root.objects, self.folder, self.specs["reduced"], (at, 0, 0, 0), reduced, reduced_there)
        for name in ("layer", "rows", "time_observed", "status"):
            write_chunk(self.root.objects, self.folder, self.specs[name], (at, 0), getattr(frames, name))

    def write_day(self, day: date, frames: DayFrames) -> None:
        """Writes every shard of a day, pictures first and statuses last."""
        for channel in range(len(self.channels)):
            self.write_pictures(day, channel, {slot: d for (slot, c), d in frames.pictures.items() if c == channel})
        self.write_rest(day, frames)

    def register_layer(self, layer: Mask) -> int:
        """The id of an overlay layer, bool (y, x); a new one takes the next free id by put-if-absent."""
        spec = self.specs["overlay"]
        for number in range(1, UNKNOWN_LAYER):
            if not self.root.objects.exists(f"{self.folder}/overlay/c/{number}/0/0"):
                data = encode_chunk(spec, layer.reshape(spec.chunk))
                if self.root.objects.put_if_absent(f"{self.folder}/overlay/c/{number}/0/0", data):
                    return number
            if np.array_equal(self.layer(number), layer):
                return number
        raise WxpipeError(
            f"{self.source.id}: {UNKNOWN_LAYER - 1} overlay layers are registered and this is another one"
        )

    # --- reading ---------------------------------------------------------------------------------------------

    def stored_pictures(self, day: date, channel: int) -> StoredShard:
        """One day of one channel of ``picture`` as it lies: encoded chunks by slot of the day."""
        return read_shard(self.root.objects, self.folder, self.specs["picture"], self._picture_at(day, channel))

    def stored_reduced(self, day: date) -> StoredShard:
        """One day of ``reduced`` as it lies: encoded chunks by slot of the day * channels + channel."""
        return read_shard(self.root.objects, self.folder, self.specs["reduced"], (self._shard(day), 0, 0, 0))

    def decode_reduced(self, chunk: bytes) -> UInt8:
        """A reduced picture out of its sound chunk: its codec is ``raw``."""
        return np.frombuffer(chunk, np.uint8, len(chunk) - 4).reshape(self.source.area.reduced_shape)

    def picture_keys(self, day: date) -> tuple[str, ...]:
        """The objects that hold a day of ``picture``, where they are stored."""
        places = (self._picture_at(day, channel) for channel in range(len(self.channels)))
        return tuple(shard_key(self.folder, self.specs["picture"], at) for at in places)

    def _shard(self, day: date) -> int:
        return self.axis.day_start(day) // self.axis.slots_per_day

    def _picture_at(self, day: date, channel: int) -> tuple[int, ...]:
        return self._shard(day), channel, 0, 0

    def layer(self, number: int) -> Mask:
        """An overlay layer, bool (y, x)."""
        return np.asarray(self._read("overlay", number), np.bool_)

    def layers(self) -> dict[int, Mask]:
        """Every registered layer by its id."""
        return {number: self.layer(number) for number in self.layer_ids()}

    def layer_ids(self) -> list[int]:
        folder = f"{self.folder}/overlay/c"
        numbers = sorted(map(int, self.root.objects.names(folder)))
        return [n for n in numbers if self.root.objects.exists(f"{folder}/{n}/0/0")]  # a removed one leaves its folder

    def day(self, name: str, day: date) -> npt.NDArray[Any]:
        """One day of a small array (``status``, ``layer``, ``rows``, ``time_observed``): (slot, channel)."""
        slots = self.axis.day_slots(day)
        return self.slots(name, slots.start, slots.stop)

    def slots(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        """A stretch of slots of a small array, (slot, channel)."""
        return self._read(name, slice(start, stop))

    def good_frames(self, start: int, stop: int) -> Mask:
        """Which slots of a stretch hold a good frame: every required channel is good or suspect."""
        status = self.slots("status", max(start, 0), min(stop, self.axis.count))
        required = np.asarray(self.source.satellite.required)
        usable = (status == Status.GOOD) | (status == Status.SUSPECT)
        return np.asarray(usable[:, required].all(axis=1), np.bool_)

    def picture(self, slot: int, channel: str) -> UInt8:
        """The stored picture, filled, uint8 (rows, x) at its true height.

        Raises:
            NotFoundError: nothing is stored for this slot and channel, or the root keeps no pictures.
            DamagedError: it is damaged, or gone though it was stored.
        """
        self._require_kept()
        index = self.channel_index(channel)
        rows = int(self._read("rows", (slot, index)))
        if not rows:
            raise NotFoundError(
                f"{self.source.id} {channel} {self.axis.time(slot):%Y-%m-%dT%H:%MZ}: no picture is stored"
            )
        picture = self._read("picture", (slot, index, slice(rows)))
        self._require_shard("picture", slot, index, picture)
        return picture

    def pictures(self, slots: Iterable[int], channel: str) -> Iterator[tuple[int, UInt8]]:
        """Stored pictures of one channel, (slot, picture), read a few at a time: one read costs what many do.

        Raises:
            NotFoundError: the root keeps no pictures.
        """
        self._require_kept()
        yield from self._pictures(slots, channel)

    def passing_pictures(self, day: date, slots: Iterable[int], channel: str) -> Iterator[tuple[int, UInt8]]:
        """As `pictures`, of one day of a root that keeps none: between ingest and histograms they are there.

        Raises:
            RefusedError: some of them are not there any more; names them.
        """
        wanted, start = list(slots), self.axis.day_start(day)
        there = self.stored_pictures(day, self.channel_index(channel)).chunks
        gone = [f"{self.axis.time(slot):%H:%MZ}" for slot in wanted if slot - start not in there]
        if gone:
            raise RefusedError(
                f"{self.source.id} {channel} {day}: {len(gone)} pictures are to be counted ({', '.join(gone[:3])}"
                f"{', ...' if len(gone) > 3 else ''}), and this root keeps none; read them from the archive again: "
                f"`wxpipe reprocess --stage ingest --stage histograms --reason ...` for this day, with the files there"
            )
        yield from self._pictures(wanted, channel)

    def _require_kept(self) -> None:
        if not self.root.settings.keep_pictures:
            raise NotFoundError(
                f"{self.root.url} keeps no pictures, only reduced ones and grid CDFs of "
                f"{', '.join(self.root.settings.histograms)}; for anything else make a root with --keep-pictures yes"
            )

    def _pictures(self, slots: Iterable[int], channel: str) -> Iterator[tuple[int, UInt8]]:
        index = self.channel_index(channel)
        wanted = np.asarray(list(slots), np.int64)
        for start, stop, _ in runs(wanted):
            rows = self._read("rows", (slice(start, stop), index))
            for at in range(start, stop, READ_AHEAD):
                end = min(at + READ_AHEAD, stop)
                read = self._read("picture", (slice(at, end), index))
                for slot in range(at, end):
                    picture = read[slot - at, : int(rows[slot - start])]
                    self._require_shard("picture", slot, index, picture)
                    yield slot, picture

    def reduced(self, slots: Sequence[int] | npt.NDArray[np.int64], channels: Sequence[str]) -> UInt8:
        """Reduced pictures, uint8 (slot, channel, y_reduced, x_reduced)."""
        wanted = [self.channel_index(channel) for channel in channels]
        out = np.empty((len(slots), len(wanted), *self.source.area.reduced_shape), np.uint8)
        for start, stop, where in runs(np.asarray(slots, np.int64)):
            out[where] = self._read("reduced", slice(start, stop))[:, wanted]
        for n in np.flatnonzero(~out.any(axis=(1, 2, 3))).tolist():
            if self._read("rows", int(slots[n])).any():
                self._require_shard("reduced", int(slots[n]), 0, out[n])
        return out

    def dataset(self) -> xarray.Dataset:
        """The group as xarray opens it, with Dask chunks that follow the shards and ``time`` as an index.

        Without ``picture`` where the root keeps none.
        """
        import xarray

        chunks = {"slot": self.axis.slots_per_day, "channel": 1}
        data = xarray.open_zarr(self.root.zarr_store(self.folder), chunks=None, consolidated=False)
        kept = data if self.root.settings.keep_pictures else data.drop_vars("picture")
        indexed: xarray.Dataset = kept.set_xindex("time").chunk(chunks)
        return indexed

    def _require_shard(self, name: str, slot: int, channel: int, read: npt.NDArray[Any]) -> None:
        """Zeros may be a picture, or what zarr reads where a shard is gone: only then is the shard looked for.

        Raises:
            DamagedError: it is gone.
        """
        if read.any():
            return
        at = slot // self.axis.slots_per_day
        key = shard_key(self.folder, self.specs[name], (at, channel, 0, 0))
        if not self.root.objects.exists(key):
            raise DamagedError(
                f"{self.root.url}/{key}: gone, with the pictures of {self.axis.day(slot)}; "
                "`wxpipe validate --repair` and then `wxpipe backfill` make it again"
            )

    def _read(self, name: str, where: Any) -> npt.NDArray[Any]:
        try:
            return np.asarray(self.group[name][where])
        except (ValueError, RuntimeError) as error:  # zarr's and the codecs' words for bytes that are not as written
            raise DamagedError(
                f"{self.root.url}/{self.folder}/{name} at {where}: damaged where it lies ({error}); "
                "`wxpipe validate --repair` and then `wxpipe backfill` make it again"
            ) from error

    def channel_index(self, name: str) -> int:
        """The place of a channel on the channel axis.

        Raises:
            NotFoundError: the source has no such channel; names those that it has.
        """
        try:
            return self.channels.index(name)
        except ValueError:
            raise NotFoundError(
                f"{self.source.id} has no channel {name!r}; it has {', '.join(self.channels)}"
            ) from None


def frame_store(root: Root, source: Source | str) -> FrameStore:
    """The frame store of a source, opened once a process."""
    found = source if isinstance(source, Source) else root.source(source)
    key = ("frames", found.id)
    if key not in root.memo:
        root.memo[key] = FrameStore(root, found)
    store: FrameStore = root.memo[key]
    return store


def runs(slots: npt.NDArray[np.int64]) -> list[tuple[int, int, slice]]:
    """Stretches of consecutive slots: (first, one past the last, where they stand in ``slots``)."""
    if not len(slots):
        return []
    edges = np.flatnonzero(np.diff(slots) != 1) + 1
    starts, stops = np.r_[0, edges], np.r_[edges, len(slots)]
    return [(int(slots[a]), int(slots[b - 1]) + 1, slice(int(a), int(b))) for a, b in zip(starts, stops, strict=True)]


def content_digest(parts: Mapping[str, bytes | npt.NDArray[Any]]) -> str:
    """sha256 of named arrays or bytes, with their types and shapes."""
    digest = hashlib.sha256()
    for name in sorted(parts):
        value = parts[name]
        if isinstance(value, np.ndarray):
            digest.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
            digest.update(np.ascontiguousarray(value).data)
        else:
            digest.update(f"{name} {len(value)}\n".encode())
            digest.update(value)
    return digest.hexdigest()[:32]


def _specs(source: Source) -> list[ArraySpec]:
    area, axis, channels = source.area, source.satellite.axis, len(source.satellite.channels)
    day, slots = axis.slots_per_day, axis.count
    size, small = (area.rows, area.columns), area.reduced_shape
    grid, day_grid = ("slot", "channel"), (day, channels)
    minutes = np.arange(slots, dtype=np.int64) * int(axis.cadence.total_seconds() // 60)
    names = list(source.satellite.channel_names)
    return [
        ArraySpec("picture", (*grid, "y", "x"), (slots, channels, *size), "|u1", (1, 1, *size), (day, 1, *size),
                  "picture", attributes={"long_name": "grey value, filled under the overlay", "units": "1",
                                         "coordinates": "time"}),
        ArraySpec("reduced", (*grid, "y_reduced", "x_reduced"), (slots, channels, *small), "|u1", (1, 1, *small),
                  (day, channels, *small), "raw", attributes={"long_name": "block means of picture", "units": "1",
                                                              "coordinates": "time"}),
        ArraySpec("status", grid, (slots, channels), "|u1", day_grid, attributes=STATUS_ATTRIBUTES),
        ArraySpec("layer", grid, (slots, channels), "|u1", day_grid,
                  attributes={"long_name": "overlay_id; 0 no layer, 255 unknown layer"}),
        ArraySpec("rows", grid, (slots, channels), "<u2", day_grid,
                  attributes={"long_name": "true height of the picture", "units": "pixel"}),
        ArraySpec("time_observed", grid, (slots, channels), "<i8", day_grid, fill=NEVER,
                  attributes={"long_name": "time that the file's name gives; -1: none",
                              "units_of_values": "seconds since 1970-01-01 00:00:00 UTC"}),
        ArraySpec("overlay", ("overlay_id", "y", "x"), (UNKNOWN_LAYER, *size), "|b1", (1, *size),
                  attributes={"long_name": "pixels that are drawn on the picture"}),
        ArraySpec("time", ("slot",), (slots,), "<i8", (slots,), data=minutes,
                  attributes={"standard_name": "time", "long_name": "nominal time (UTC)", "calendar": "standard",
                              "units": f"minutes since {axis.first:%Y-%m-%d} 00:00:00"}),
        ArraySpec("channel", ("channel",), (channels,), "string", (channels,), data=np.array(names, object),
                  attributes={"long_name": "the satellite's own name of the channel"}),
    ]  # fmt: skip


def _attributes(source: Source) -> dict[str, Any]:
    satellite = source.satellite
    return {
        "Conventions": "CF-1.11",
        "title": f"{satellite.title}, {source.area.name}",
        "source": source.id,
        "imagery": satellite.imagery,
        "bands": {name: channel.band for name, channel in satellite.channels.items()},
        "title_rows": source.area.title_rows,
        "coordinates": "time",
    }
