"""Few chunks of many shards, each read once and several at a time: what zarr would read and decode once a stretch.

For arrays that are cut along their first axis alone, as those by slot are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from itertools import groupby
from typing import TypeVar

import numpy as np

from wxpipe.errors import DamagedError, NotFoundError
from wxpipe.store.arrays import ArraySpec, parse_index, parse_shard, shard_key, sound
from wxpipe.store.objects import Objects

Made = TypeVar("Made")


def map_chunks(
    objects: Objects, folder: str, spec: ArraySpec, numbers: Iterable[int], use: Callable[[int, bytes | None], Made]
) -> list[Made]:
    """What a function makes of each of some chunks, in order of their numbers along the first axis.

    Args:
        numbers: of chunks; each is read once.
        use: is called in threads with a number and the chunk as it lies, its checksum held; None where nothing is
            stored. The encoded bytes are `decode_chunk`'s.

    Raises:
        DamagedError: a shard's index or a chunk's checksum does not hold.
    """
    a_shard = spec.inner_grid[0]
    shards = [(shard, list(inside)) for shard, inside in groupby(sorted(set(numbers)), lambda n: n // a_shard)]

    def work(part: tuple[int, list[int]]) -> list[Made]:
        shard, inside = part
        stored = _stored(objects, folder, spec, shard, [number % a_shard for number in inside])
        return [use(number, stored.get(number % a_shard)) for number in inside]

    if len(shards) == 1:
        return work(shards[0])
    pool = _pool(objects.readers if objects.far else os.cpu_count() or 1)
    # Each in a copy of this context: what is read counts for whoever has it read.
    under_way = [pool.submit(copy_context().run, work, shard) for shard in shards]
    return [one for future in under_way for one in future.result()]


def _stored(objects: Objects, folder: str, spec: ArraySpec, shard: int, wanted: Sequence[int]) -> dict[int, bytes]:
    """Those of some chunks of a shard that are stored, by their place in it."""
    key = shard_key(folder, spec, (shard, *(0 for _ in spec.shape[1:])))
    try:
        found = _few(objects, key, spec, wanted)
        if found is None:  # it was made anew between two reads, or is damaged: as a whole it is one or the other
            whole, damaged = parse_shard(spec, objects.get(key))
            if set(damaged) & set(wanted):
                raise DamagedError(f"chunks {damaged} are not as their checksums say")
            found = {place: data for place, data in whole.items() if place in wanted}
    except NotFoundError:
        return {}
    except DamagedError as error:
        raise DamagedError(f"{key}: {error}; `wxpipe validate` tells what to do") from error
    return found


def _few(objects: Objects, key: str, spec: ArraySpec, wanted: Sequence[int]) -> dict[int, bytes] | None:
    """By two reads: the index, and one stretch that holds them all. None where a checksum does not hold."""
    count = int(np.prod(spec.inner_grid))
    try:
        index = parse_index(objects.get_range(key, -(16 * count + 4)), count)
    except DamagedError:
        return None
    places = [place for place in wanted if place in index]
    if not places:
        return {}
    first = min(index[place][0] for place in places)
    last = max(sum(index[place]) for place in places)
    data = objects.get_range(key, first, last)
    found = {}
    for place in places:
        begin = index[place][0] - first
        found[place] = data[begin : begin + index[place][1]]
    return found if all(map(sound, found.values())) else None


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="wxpipe-chunks")
