"""What we write is Zarr: plain zarr reads it back, notices damage, and nothing but whole blocks can be written."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from google_crc32c import value as crc32c
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import Zstd

from wxpipe.errors import RefusedError, WxpipeError
from wxpipe.store.arrays import ArraySpec, create_arrays, encode_chunk, write_chunk, write_shard
from wxpipe.store.objects import LocalObjects, Objects

Block = np.ndarray[Any, Any]


@st.composite
def specs(draw: st.DrawFn) -> ArraySpec:
    """Arrays of 1 to 3 dimensions; the last shard and the last chunk may stick out over the edge."""
    rank = draw(st.integers(1, 3))
    chunk = tuple(draw(st.integers(1, 5)) for _ in range(rank))
    grid = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    shard = tuple(c * g for c, g in zip(chunk, grid, strict=True))
    sharded = draw(st.booleans())
    shape = tuple(draw(st.integers(max(1, s - 2), 2 * s)) for s in (shard if sharded else chunk))
    codec = draw(st.sampled_from(["picture", "zstd", "lz4", "raw"]))
    dtype = "|u1" if codec == "picture" else draw(st.sampled_from(["|u1", "<u2", "<i8", "<f4", "<f8", "|b1", "<u4"]))
    fill = draw(st.sampled_from([0, 1])) if dtype != "|u1" else draw(st.sampled_from([0, 255]))
    return ArraySpec("a", tuple("xyz"[:rank]), shape, dtype, chunk, shard if sharded else None, codec, fill)


def blocks(spec: ArraySpec) -> list[tuple[tuple[int, ...], int, tuple[slice, ...]]]:
    """Every chunk: its shard, its place in the shard, its place in the array."""
    shard = spec.shard or spec.chunk
    counts = [-(-size // step) for size, step in zip(spec.shape, shard, strict=True)]
    found = []
    for at in itertools.product(*map(range, counts)):
        for position, inner in enumerate(itertools.product(*map(range, spec.inner_grid))):
            begin = [a * s + i * c for a, s, i, c in zip(at, shard, inner, spec.chunk, strict=True)]
            found.append((at, position, tuple(slice(b, b + c) for b, c in zip(begin, spec.chunk, strict=True))))
    return found


def content(spec: ArraySpec, seed: int) -> Block:
    """Random values for the array, and for what its last chunks hold beyond its edge."""
    whole = [-(-n // s) * s for n, s in zip(spec.shape, spec.shard or spec.chunk, strict=True)]
    draws = np.random.default_rng(seed)
    return draws.integers(0, 2 if spec.dtype == "|b1" else 200, whole).astype(spec.dtype)


def write(objects: Objects, spec: ArraySpec, values: Block, stored: Callable[[int], bool]) -> Block:
    """Writes the chosen chunks, and returns what a reader should see."""
    expected = np.full(values.shape, spec.fill, spec.dtype)
    shards: dict[tuple[int, ...], dict[int, bytes]] = {}
    for number, (at, position, where) in enumerate(blocks(spec)):
        chunks = shards.setdefault(at, {})
        if stored(number):
            chunks[position] = encode_chunk(spec, values[where])
            expected[where] = values[where]
    for at, chunks in shards.items():
        write_shard(objects, "group.zarr", spec, at, chunks)
    return expected[tuple(slice(n) for n in spec.shape)]


@settings(max_examples=40, deadline=None)
@given(specs(), st.integers(0, 2**32), st.sets(st.integers(0, 60)))
def test_plain_zarr_reads_what_we_write_and_fill_where_we_did_not(
    spec: ArraySpec, seed: int, left_out: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        objects = LocalObjects(folder)
        create_arrays(objects, "group.zarr", [spec], {})
        expected = write(objects, spec, content(spec, seed), lambda number: number not in left_out)
        found = zarr.open_group(f"{folder}/group.zarr", mode="r")["a"]
        assert found.dtype == np.dtype(spec.dtype)
        np.testing.assert_array_equal(found[...], expected)


@settings(max_examples=20, deadline=None)
@given(specs(), st.integers(0, 2**32))
def test_a_chunk_of_ours_is_byte_for_byte_the_one_zarr_writes(spec: ArraySpec, seed: int) -> None:
    """Unsharded, so that a file is a chunk: what zarr writes for the same values is what we encode."""
    spec = replace(spec, shard=None)
    values = content(spec, seed)
    with tempfile.TemporaryDirectory() as folder:
        create_arrays(LocalObjects(folder), "group.zarr", [spec], {})
        array = zarr.open_group(f"{folder}/group.zarr", mode="r+")["a"]
        array[...] = values[tuple(slice(n) for n in spec.shape)]
        for at, _, where in blocks(spec):
            inside = all(w.stop <= n for w, n in zip(where, spec.shape, strict=True))
            block = values[where]
            if inside and not (block == spec.fill).all():
                stored = Path(folder, "group.zarr", "a", "c", *map(str, at)).read_bytes()
                assert encode_chunk(spec, block) == stored


SHARDED = [
    ArraySpec("a", ("n", "y", "x"), (4, 6, 8), "|u1", (1, 6, 8), (4, 6, 8), codec)
    for codec in ("picture", "zstd", "lz4", "raw")
]
WHOLE = [replace(spec, chunk=(4, 6, 8), shard=None) for spec in SHARDED]


def stored_file(folder: Path, spec: ArraySpec) -> Path:
    """The one file of an array of one shard, full of random values."""
    objects = LocalObjects(folder)
    create_arrays(objects, "group.zarr", [spec], {})
    write(objects, spec, content(spec, 5), lambda _: True)
    return folder / "group.zarr" / "a" / "c" / "0" / "0" / "0"


@pytest.mark.parametrize("spec", SHARDED + WHOLE, ids=lambda s: f"{s.codec}-{'sharded' if s.shard else 'whole'}")
def test_a_flipped_bit_anywhere_is_an_error_on_reading(tmp_path: Path, spec: ArraySpec) -> None:
    file = stored_file(tmp_path, spec)
    sound = file.read_bytes()
    array = zarr.open_group(tmp_path / "group.zarr", mode="r")["a"]
    expected = array[...]
    for place in range(0, len(sound), 3):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << (place % 8)
        file.write_bytes(damaged)
        with pytest.raises((ValueError, RuntimeError)):
            array[...]
    file.write_bytes(sound)
    np.testing.assert_array_equal(array[...], expected)


def test_damage_to_one_picture_leaves_the_others_of_its_shard_readable(tmp_path: Path) -> None:
    spec = SHARDED[0]
    file = stored_file(tmp_path, spec)
    array = zarr.open_group(tmp_path / "group.zarr", mode="r")["a"]
    expected = array[...]
    damaged = bytearray(file.read_bytes())
    damaged[2] ^= 1  # the first bytes are the first chunk's
    file.write_bytes(damaged)
    np.testing.assert_array_equal(array[1:], expected[1:])
    with pytest.raises(ValueError, match=r"(?i)checksum"):
        array[0]


@pytest.mark.parametrize("spec", SHARDED + WHOLE, ids=lambda s: f"{s.codec}-{'sharded' if s.shard else 'whole'}")
def test_a_truncated_file_is_an_error_on_reading(tmp_path: Path, spec: ArraySpec) -> None:
    file = stored_file(tmp_path, spec)
    sound = file.read_bytes()
    array = zarr.open_group(tmp_path / "group.zarr", mode="r")["a"]
    for length in (1, len(sound) // 2, len(sound) - 5, len(sound) - 1):
        file.write_bytes(sound[:length])
        with pytest.raises((ValueError, RuntimeError)):
            array[...]


@pytest.mark.parametrize(
    "block",
    [np.zeros((1, 6, 7), "u1"), np.zeros((6, 8), "u1"), np.zeros((2, 6, 8), "u1"), np.zeros((1, 6, 8), "u2")],
    ids=["narrow", "flat", "two", "type"],
)
@pytest.mark.parametrize("spec", SHARDED, ids=lambda s: s.codec)
def test_what_is_not_exactly_one_chunk_is_refused(spec: ArraySpec, block: Block) -> None:
    with pytest.raises(WxpipeError, match=r"array a: a chunk is \(1, 6, 8\) \|u1, this block is .*; a partial chunk"):
        encode_chunk(spec, block)


def test_a_chunk_in_any_memory_order_is_written_as_it_reads(tmp_path: Path) -> None:
    spec = WHOLE[0]
    objects = LocalObjects(tmp_path)
    create_arrays(objects, "group.zarr", [spec], {})
    values = np.asfortranarray(content(spec, 3))
    write_chunk(objects, "group.zarr", spec, (0, 0, 0), values)
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "group.zarr", mode="r")["a"][...], values)


def test_rewriting_a_shard_with_fewer_chunks_or_none_takes_the_others_away(tmp_path: Path) -> None:
    spec = SHARDED[1]
    file = stored_file(tmp_path, spec)
    objects, values = LocalObjects(tmp_path), content(spec, 5)
    write_shard(objects, "group.zarr", spec, (0, 0, 0), {2: encode_chunk(spec, values[2:3])})
    found = zarr.open_group(tmp_path / "group.zarr", mode="r")["a"]
    np.testing.assert_array_equal(found[2], values[2])
    assert not found[[0, 1, 3]].any()
    write_shard(objects, "group.zarr", spec, (0, 0, 0), {})
    write_shard(objects, "group.zarr", spec, (0, 0, 0), {})
    assert not file.exists()
    assert not found[...].any()


def test_a_chunk_of_fill_values_is_not_stored_and_replaces_one_that_was(tmp_path: Path) -> None:
    spec = WHOLE[1]
    file = stored_file(tmp_path, spec)
    write_chunk(LocalObjects(tmp_path), "group.zarr", spec, (0, 0, 0), np.zeros(spec.chunk, "u1"))
    assert not file.exists()


LAYOUT = [
    SHARDED[0],
    ArraySpec("time", ("n",), (4,), "<i8", (4,), data=np.arange(4), attributes={"units": "days since 2020-01-01"}),
    ArraySpec("channel", ("c",), (2,), "string", (2,), data=np.array(["ir", "wv"], object)),
]


def everything(objects: Objects) -> dict[str, bytes]:
    return {info.key: objects.get(info.key) for info in objects.walk()}


def test_laying_out_twice_changes_nothing(objects: Objects) -> None:
    create_arrays(objects, "g.zarr", LAYOUT, {"title": "x"})
    write_shard(objects, "g.zarr", LAYOUT[0], (0, 0, 0), {0: encode_chunk(LAYOUT[0], content(LAYOUT[0], 1)[:1])})
    before = everything(objects)
    create_arrays(objects, "g.zarr", LAYOUT, {"title": "x"})
    assert everything(objects) == before


def test_the_groups_own_document_is_laid_out_last(objects: Objects, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("WXPIPE_WRITE_POINT_LOG", str(tmp_path / "log"))
    create_arrays(objects, "g.zarr", LAYOUT, {})
    assert (tmp_path / "log").read_text().splitlines()[-1].endswith("after put-if-absent g.zarr/zarr.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [({"shape": (8, 6, 8)}, "shape"), ({"codec": "zstd"}, "codecs"), ({"fill": 9}, "fill_value"),
     ({"dims": ("n", "y", "z")}, "dimension_names")],
)  # fmt: skip
def test_another_layout_is_refused_and_named(objects: Objects, change: dict[str, Any], said: str) -> None:
    create_arrays(objects, "g.zarr", LAYOUT, {})
    before = everything(objects)
    with pytest.raises(RefusedError, match=rf"g\.zarr/a/zarr\.json is laid out differently \({said}.*wxpipe migrate"):
        create_arrays(objects, "g.zarr", [replace(LAYOUT[0], **change), *LAYOUT[1:]], {})
    assert everything(objects) == before


@pytest.mark.parametrize("number", [1, 2])
def test_other_coordinates_are_refused(objects: Objects, number: int) -> None:
    """Channels in another order, say, would rename every picture that is there."""
    create_arrays(objects, "g.zarr", LAYOUT, {})
    other = list(LAYOUT)
    assert other[number].data is not None
    other[number] = replace(other[number], data=other[number].data[::-1].copy())
    with pytest.raises(RefusedError, match=rf"g\.zarr/{LAYOUT[number].name}.* holds other coordinates"):
        create_arrays(objects, "g.zarr", other, {})


def test_coordinates_compressed_by_another_version_are_the_same_coordinates(objects: Objects) -> None:
    create_arrays(objects, "g.zarr", LAYOUT, {})
    data = bytes(Zstd(level=19, checksum=True).encode(np.arange(4, dtype="<i8")))
    objects.put("g.zarr/time/c/0", data + int(crc32c(data)).to_bytes(4, "little"))
    before = everything(objects)
    create_arrays(objects, "g.zarr", LAYOUT, {})
    assert everything(objects) == before


def test_attributes_alone_may_differ(objects: Objects) -> None:
    create_arrays(objects, "g.zarr", LAYOUT, {"title": "before"})
    create_arrays(objects, "g.zarr", LAYOUT, {"title": "after"})
    assert json.loads(objects.get("g.zarr/zarr.json"))["attributes"] == {"title": "before"}
