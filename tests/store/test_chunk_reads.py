"""Few chunks of many shards: what zarr reads, each once; damage and shards that are made anew meanwhile are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.errors import DamagedError, NotFoundError
from wxpipe.store.arrays import (
    ArraySpec,
    create_arrays,
    decode_chunk,
    encode_chunk,
    shard_bytes,
    shard_key,
    write_shard,
)
from wxpipe.store.chunk_reads import map_chunks
from wxpipe.store.meter import metering
from wxpipe.store.objects import LocalObjects, Objects

SPEC = ArraySpec("a", ("slot", "x"), (60, 5), "<u2", (3, 5), (12, 5))
CHUNKS, A_SHARD = 20, 4


def write(objects: Objects, missing: set[int] = frozenset()) -> np.ndarray[Any, Any]:  # type: ignore[assignment]
    """Five shards, of which some chunks are not stored."""
    values = np.arange(1, 301, dtype="<u2").reshape(60, 5)
    create_arrays(objects, "g", [SPEC], {})
    for shard in range(5):
        inside = {n: values[3 * (4 * shard + n) : 3 * (4 * shard + n) + 3] for n in range(A_SHARD)}
        kept = {n: encode_chunk(SPEC, block) for n, block in inside.items() if 4 * shard + n not in missing}
        write_shard(objects, "g", SPEC, (shard, 0), kept)
    for chunk in missing:
        values[3 * chunk : 3 * chunk + 3] = 0
    return values


def read(objects: Objects, numbers: list[int]) -> list[Any]:
    return map_chunks(objects, "g", SPEC, numbers, lambda n, data: (n, data and decode_chunk(SPEC, data).tolist()))


@settings(max_examples=40, deadline=None)
@given(numbers=st.lists(st.integers(0, CHUNKS - 1), max_size=30), missing=st.sets(st.integers(0, CHUNKS - 1)))
def test_chunks_are_what_zarr_reads(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], missing: set[int]
) -> None:
    objects = LocalObjects(tmp_path_factory.mktemp("chunks"))
    values = write(objects, missing)
    there = zarr.open_group(objects.folder / "g", mode="r")["a"]
    assert (there[:] == values).all()
    found = read(objects, numbers)
    assert [n for n, _ in found] == sorted(set(numbers))
    for n, block in found:
        assert block == (None if n in missing else values[3 * n : 3 * n + 3].tolist())


def test_a_bucket_is_read_in_stretches(s3_url: str) -> None:
    from wxpipe.store.objects import open_objects

    objects = open_objects(s3_url)
    values = write(objects, {7})
    with metering() as meter:
        found = read(objects, [1, 2, 7, 13])
    assert found == [(n, values[3 * n : 3 * n + 3].tolist()) if n != 7 else (7, None) for n in (1, 2, 7, 13)]
    assert meter.reads == 5, "an index and a stretch of each shard, and no stretch where nothing is stored"
    whole = objects.get(shard_key("g", SPEC, (0, 0)))
    for start, stop in ((0, None), (4, None), (5, 9), (-7, None), (3, len(whole) + 50)):
        assert objects.get_range(shard_key("g", SPEC, (0, 0)), start, stop) == whole[slice(start, stop)]
    with pytest.raises(NotFoundError):
        objects.get_range("g/nothing", 0, 5)


def test_ranges_of_files_are_ranges_of_bytes(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path)
    objects.put("a/b", bytes(range(20)))
    for start, stop in ((0, None), (4, None), (5, 9), (-7, None), (-50, None), (3, 50), (30, 40)):
        assert objects.get_range("a/b", start, stop) == bytes(range(20))[slice(start, stop)]
    with pytest.raises(NotFoundError):
        objects.get_range("a", 0, 1)


def test_damage_is_told_and_names_the_shard(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path)
    write(objects)
    path = objects.path(shard_key("g", SPEC, (1, 0)))
    sound = path.read_bytes()
    path.write_bytes(bytes([sound[0] ^ 1]) + sound[1:])
    with pytest.raises(
        DamagedError, match=r"g/a/c/1/0: chunks \[0\] are not as their checksums say; `wxpipe validate`"
    ):
        read(objects, [4, 9])
    assert [n for n, _ in read(objects, [5, 9])] == [5, 9], "a chunk beside the damaged one is sound"
    path.write_bytes(sound[:-5])
    with pytest.raises(DamagedError, match="whose end is not the index"):
        read(objects, [5, 9])


def test_a_shard_that_is_made_anew_between_two_reads_is_read_as_a_whole(tmp_path: Path) -> None:
    """The index was read of the old one, the stretch of the new."""

    class Racing(LocalObjects):
        def _get_range(self, key: str, start: int, stop: int | None) -> bytes:
            found = super()._get_range(key, start, stop)
            if start < 0 and key == shard_key("g", SPEC, (2, 0)):
                self.path(key).write_bytes(shard_bytes(SPEC, {3: encode_chunk(SPEC, np.full((3, 5), 9, "<u2"))}))
            return found

    objects = Racing(tmp_path)
    write(objects)
    assert read(objects, [9, 11, 12])[:2] == [(9, None), (11, np.full((3, 5), 9).tolist())]
