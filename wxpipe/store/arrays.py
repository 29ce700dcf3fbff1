"""Zarr v3 arrays, written whole shard by whole shard through the root's objects, read by plain zarr.

We encode chunks and lay out shards ourselves (Zarr v3 core specification and its sharding codec, ZEP 2) for three
reasons: pictures are compressed one at a time as they are decoded, so a day never sits in memory raw; a shard is one
durable put, the same on a local disk and on S3; and a write that does not cover a whole shard cannot be expressed,
where two writers of one shard would silently lose data. Every inner chunk carries a crc32c.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from google_crc32c import value as crc32c

from wxpipe.errors import DamagedError, NotFoundError, RefusedError, WxpipeError
from wxpipe.store.objects import Objects
from wxpipe.store.writepoints import write_point

Codec = Literal["picture", "zstd", "raw"]
"""``picture``: difference along the row, then zstd 1 (a third smaller than zstd alone on real pictures);
``zstd``: zstd 1; ``raw``: as is (reduced pictures do not compress)."""

ABSENT = np.uint64(2**64 - 1)
LAID_OUT = frozenset(
    {"node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs", "dimension_names"}
)
"""What may not differ between an array that is there and one that is asked for."""
Block = npt.NDArray[Any]

# zarr says on every opening that `delta` is numcodecs' and not in the v3 core specification: known, and chosen.
warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr version 3 specification")


@dataclass(frozen=True)
class ArraySpec:
    """One array: what zarr calls a shard is what one partition writes; ``shard`` None means unsharded chunks."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    chunk: tuple[int, ...]
    shard: tuple[int, ...] | None = None
    codec: Codec = "zstd"
    fill: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict)
    data: Block | None = None
    """Content of a coordinate, written with the layout; None: written day by day."""

    @property
    def inner_grid(self) -> tuple[int, ...]:
        """Chunks along each axis of a shard."""
        shard = self.shard or self.chunk
        return tuple(s // c for s, c in zip(shard, self.chunk, strict=True))


def encode_chunk(spec: ArraySpec, block: Block) -> bytes:
    """One chunk's bytes with its checksum.

    Raises:
        WxpipeError: the block is not exactly one chunk of the array's type.
    """
    if block.shape != spec.chunk or block.dtype != np.dtype(spec.dtype):
        raise WxpipeError(
            f"array {spec.name}: a chunk is {spec.chunk} {spec.dtype}, this block is {block.shape} {block.dtype}; "
            "a partial chunk would race with other writers"
        )
    data: bytes
    if spec.codec == "raw":
        data = np.ascontiguousarray(block).tobytes()
    else:
        values = np.ascontiguousarray(block)
        data = bytes(_zstd().encode(_difference(values) if spec.codec == "picture" else values))
    return data + int(crc32c(data)).to_bytes(4, "little")


def shard_bytes(spec: ArraySpec, chunks: Mapping[int, bytes]) -> bytes:
    """A shard's bytes: its stored chunks by flat inner index, then the index and the index's checksum."""
    count = int(np.prod(spec.inner_grid))
    index = np.full((count, 2), ABSENT, np.uint64)
    parts: list[bytes] = []
    offset = 0
    for position in sorted(chunks):
        data = chunks[position]
        index[position] = offset, len(data)
        parts.append(data)
        offset += len(data)
    table = index.astype("<u8").tobytes()
    return b"".join([*parts, table, crc32c(table).to_bytes(4, "little")])


@dataclass(frozen=True)
class StoredShard:
    """A shard as it lies.

    Attributes:
        data: the whole object; empty where there is none.
        chunks: its sound chunks, encoded, by flat inner index. One whose checksum is wrong is not among them.
    """

    data: bytes = b""
    chunks: Mapping[int, bytes] = field(default_factory=dict)


def read_shard(objects: Objects, folder: str, spec: ArraySpec, at: Sequence[int]) -> StoredShard:
    """What lies at a position of the shard grid; of a shard whose index is damaged, no chunks."""
    try:
        data = objects.get(shard_key(folder, spec, at))
    except NotFoundError:
        return StoredShard()
    try:
        return StoredShard(data, parse_shard(spec, data)[0])
    except DamagedError:
        return StoredShard(data)


def chunk_checksum(chunk: bytes) -> int:
    """The crc32c that ends an encoded chunk."""
    return int.from_bytes(chunk[-4:], "little")


def parse_shard(spec: ArraySpec, data: bytes) -> tuple[dict[int, bytes], list[int]]:
    """A shard's stored chunks by flat inner index, and which others are stored and not as their checksums say.

    Raises:
        DamagedError: its index cannot be believed.
    """
    if spec.shard is None:
        found = {0: data}
    else:
        index = parse_index(data, int(np.prod(spec.inner_grid)))
        found = {n: data[start : start + length] for n, (start, length) in index.items()}
    damaged = [n for n, chunk in found.items() if not sound(chunk)]
    return {n: chunk for n, chunk in found.items() if n not in damaged}, damaged


def decode_chunk(spec: ArraySpec, data: bytes, into: Block | None = None) -> Block:
    """One chunk's values, of the shape ``spec.chunk``, out of bytes whose checksum holds.

    Args:
        into: contiguous, of that shape and type: where they are written, of an array of the codec ``zstd``.

    Raises:
        DamagedError: they do not make a chunk of this array.
    """
    try:
        if into is not None:
            _zstd().decode(data[:-4], out=into)
            return into
        raw = data[:-4] if spec.codec == "raw" else _zstd().decode(data[:-4])
        block = np.frombuffer(raw, spec.dtype).reshape(spec.chunk)
    except (ValueError, RuntimeError) as error:
        raise DamagedError(f"array {spec.name}: a chunk cannot be decoded ({error})") from error
    return _sum_up(block) if spec.codec == "picture" else block


def parse_index(data: bytes, count: int) -> dict[int, tuple[int, int]]:
    """Start and length of a shard's stored chunks by flat inner index, out of its bytes or its last ones.

    Raises:
        DamagedError: it cannot be believed.
    """
    table, check = data[-16 * count - 4 : -4], data[-4:]
    if len(table) != 16 * count or crc32c(table).to_bytes(4, "little") != check:
        raise DamagedError(f"{len(data)} bytes, whose end is not the index of {count} chunks: cut short, or changed")
    index = np.frombuffer(table, "<u8").reshape(count, 2)
    return {n: (int(index[n, 0]), int(index[n, 1])) for n in np.flatnonzero(index[:, 0] != ABSENT).tolist()}


def sound(data: bytes) -> bool:
    """Whether an encoded chunk's checksum holds."""
    return len(data) > 4 and crc32c(data[:-4]).to_bytes(4, "little") == data[-4:]


def shard_key(folder: str, spec: ArraySpec, at: Sequence[int]) -> str:
    """Where a shard lies, by its position in the shard grid."""
    return f"{folder}/{spec.name}/c/{'/'.join(map(str, at))}"


def write_shard(
    objects: Objects, folder: str, spec: ArraySpec, at: Sequence[int], chunks: Mapping[int, bytes], there: bytes = b""
) -> None:
    """Writes one whole shard at a position of the shard grid and reads it back; without chunks, removes it.

    Args:
        there: what was just read at this place: the same is not written again.
    """
    key = shard_key(folder, spec, at)
    if not chunks:
        if objects.exists(key):
            write_point(f"before delete {key}")
            objects.delete(key)
            write_point(f"after delete {key}")
        return
    data = shard_bytes(spec, chunks) if spec.shard is not None else chunks[0]
    if data == there:
        return
    objects.put(key, data)
    if not objects.holds(key, data):
        raise WxpipeError(f"{objects.url}/{key}: {len(data)} bytes were written and others came back; check the disk")


def write_chunk(objects: Objects, folder: str, spec: ArraySpec, at: Sequence[int], block: Block) -> None:
    """Writes one chunk of an unsharded array; a block of fill values only is not stored."""
    empty = bool((block == spec.fill).all())
    write_shard(objects, folder, spec, at, {} if empty else {0: encode_chunk(spec, block)})


def create_arrays(objects: Objects, folder: str, specs: Sequence[ArraySpec], attributes: Mapping[str, Any]) -> None:
    """Lays out a Zarr group, its arrays and its coordinates, once; the same layout again changes nothing.

    Raises:
        RefusedError: the group is there with another layout.
    """
    layout = _layout(specs, attributes)
    coordinates = {spec.name: spec for spec in specs if spec.data is not None}
    for name, data in layout.items():
        key = f"{folder}/{name}"
        if objects.put_if_absent(key, data):
            continue
        found = objects.get(key)
        if not name.endswith("zarr.json"):
            coordinate = coordinates[name.partition("/")[0]]
            if found != data and not _same_values(objects, folder, coordinate):
                raise RefusedError(f"{objects.url}/{key} holds other coordinates; use `wxpipe migrate` or another root")
            continue
        wanted, there = json.loads(data), json.loads(found)
        different = [k for k in wanted if k in _fixed(name, coordinates) and wanted[k] != there.get(k)]
        if different:
            raise RefusedError(
                f"{objects.url}/{key} is laid out differently ({', '.join(different)}: expected "
                f"{wanted[different[0]]}, found {there.get(different[0])}); use `wxpipe migrate` or another root"
            )


def layout_faults(
    objects: Objects, folder: str, specs: Sequence[ArraySpec], attributes: Mapping[str, Any]
) -> dict[str, str]:
    """What of a group's documents and coordinates is not as it was laid out: key to what is wrong with it."""
    layout = _layout(specs, attributes)
    coordinates = {spec.name: spec for spec in specs if spec.data is not None}
    faults = {}
    for name, data in layout.items():
        key = f"{folder}/{name}"
        try:
            found = objects.get(key)
            if name.endswith("zarr.json"):
                wanted, there = json.loads(data), json.loads(found)
                different = [k for k in wanted if k in _fixed(name, coordinates) and wanted[k] != there.get(k)]
                if different:
                    faults[key] = f"another {different[0]}: {there.get(different[0])}"
            elif found != data and not _same_values(objects, folder, coordinates[name.partition("/")[0]]):
                faults[key] = "other values"
        except NotFoundError:
            faults[key] = "gone"
        except (ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
            faults[key] = f"not to be read ({str(error)[:200]})"
    return faults


def restore_layout(
    objects: Objects, folder: str, specs: Sequence[ArraySpec], attributes: Mapping[str, Any]
) -> list[str]:
    """Writes what `layout_faults` finds again, as it was; returns the keys. No data is touched."""
    layout = _layout(specs, attributes)
    keys = sorted(layout_faults(objects, folder, specs, attributes))
    for key in keys:
        objects.put(key, layout[key.removeprefix(f"{folder}/")])
    return keys


def _fixed(name: str, coordinates: Container[str]) -> frozenset[str]:
    """What of an array's document may not differ. A coordinate that was lengthened has more chunks; see `extend`."""
    return LAID_OUT - {"chunk_grid"} if name.partition("/")[0] in coordinates else LAID_OUT


def _same_values(objects: Objects, folder: str, spec: ArraySpec) -> bool:
    """Whether a coordinate's values are there, where its bytes differ: another version of zstd may have made them."""
    import zarr
    from zarr.buffer.cpu import Buffer
    from zarr.storage import MemoryStore

    chunks = [f"{spec.name}/c/{n}" for n in objects.names(f"{folder}/{spec.name}/c")]
    names = [f"{spec.name}/zarr.json", *chunks]
    store = MemoryStore({name: Buffer.from_bytes(objects.get(f"{folder}/{name}")) for name in names})
    found = np.asarray(zarr.open_array(store, path=spec.name, mode="r")[...])
    return spec.data is not None and np.array_equal(found, spec.data)


def _layout(specs: Sequence[ArraySpec], attributes: Mapping[str, Any]) -> dict[str, bytes]:
    """The objects of a freshly made group, as zarr itself writes them; the group's own document comes last."""
    import zarr
    from zarr.storage import MemoryStore

    memory: dict[str, Any] = {}
    store = MemoryStore(memory)
    for spec in specs:
        array = zarr.create_array(
            store,
            name=spec.name,
            shape=spec.shape,
            dtype=str if spec.dtype == "string" else spec.dtype,
            chunks=spec.chunk,
            shards=spec.shard,
            fill_value="" if spec.dtype == "string" else spec.fill,
            dimension_names=spec.dims,
            attributes=dict(spec.attributes),
            **_codecs(spec),
        )
        if spec.data is not None:
            array[...] = spec.data
    memory.pop("zarr.json", None)
    zarr.create_group(store, zarr_format=3, attributes=dict(attributes))
    return {name: buffer.to_bytes() for name, buffer in memory.items()}


def _codecs(spec: ArraySpec) -> dict[str, Any]:
    from zarr.codecs import Crc32cCodec, ZstdCodec

    compressors = [Crc32cCodec()] if spec.codec == "raw" else [ZstdCodec(level=1), Crc32cCodec()]
    if spec.codec != "picture":
        return {"filters": None, "compressors": compressors}
    from zarr.codecs.numcodecs import Delta

    return {"filters": [Delta(dtype="|u1")], "compressors": compressors}


def _difference(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """First differences of the flattened block, modulo 256: numcodecs' ``delta``."""
    flat = values.reshape(-1)
    out = np.empty_like(flat)
    out[0] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=out[1:])
    return out


def _sum_up(block: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """What `_difference` was taken of."""
    return np.add.accumulate(block.reshape(-1), dtype=np.uint8).reshape(block.shape)


@cache
def _zstd() -> Any:
    from numcodecs import Zstd

    return Zstd(level=1)
