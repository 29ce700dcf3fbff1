"""Ground-truth similarity of a query to candidates, from the histograms in the root; unknown where they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from math import isnan

import numpy as np
import numpy.typing as npt

from wxpipe.errors import NotFoundError
from wxpipe.satellites.catalog import Source
from wxpipe.similarity.clip_ks import clip_similarities
from wxpipe.similarity.clip_stage import read_clips
from wxpipe.similarity.histograms import counted, histogram_store
from wxpipe.similarity.one_to_many import one_to_many
from wxpipe.store.frames import frame_store
from wxpipe.store.root import Root
from wxpipe.vectors.tables import Unit

Slots = npt.NDArray[np.int64]


def slots_of(root: Root, source: Source, unit: Unit, epochs: Mapping[str, int]) -> dict[str, Slots]:
    """The slots of units by id, given the epoch seconds at which they begin; clips that are not there are left out."""
    axis = source.satellite.axis
    at = {
        name: (epoch - int(axis.first.timestamp())) // int(axis.cadence.total_seconds())
        for name, epoch in epochs.items()
    }
    if unit == "frame":
        return {name: np.array([slot], np.int64) for name, slot in at.items()}
    found: dict[str, Slots] = {}
    days: set[date] = {axis.day(slot) for slot in at.values() if 0 <= slot < axis.count}
    for day in sorted(days):
        clips = read_clips(root, source.id, day)
        for name, slots in zip(clips["clip_id"].to_pylist(), clips["slots"].to_pylist(), strict=True):
            if name in at:
                found[name] = np.asarray(slots, np.int64)
    return found


def similarities(
    root: Root, source: Source, query: Slots, others: Mapping[str, Slots], channels: Sequence[int] | None = None
) -> dict[str, float | None]:
    """Similarity of the query to each of the others, 0..1; None where a histogram of either is not there.

    Args:
        channels: positions of those that are compared; None: all of them.
    """
    result: dict[str, float | None] = dict.fromkeys(others)
    names = [name for name, slots in others.items() if len(slots) == len(query)]
    if not names:
        return result
    members = np.stack([query, *(others[name] for name in names)])
    try:
        values = one_to_many(
            histogram_store(root, source), query, members[1:], _sizes_of(root, source, members), channels
        )
    except NotFoundError:
        return result
    found = {name: value for name, value in zip(names, values.tolist(), strict=True) if not isnan(value)}
    return {**result, **found}


def pair_similarities(
    root: Root,
    source: Source,
    members: Slots,
    pairs: Sequence[tuple[int, int]],
    channels: Sequence[int] | None = None,
) -> list[float | None]:
    """Similarity of pairs of units, 0..1; None where a histogram of either is not there. All of them are read at once.

    Args:
        members: slots of each unit, (unit, frame).
        pairs: positions of two units each.
        channels: positions of those that are compared; None: all of them.
    """
    slots, positions = np.unique(members, return_inverse=True)
    positions = positions.reshape(members.shape)
    try:
        cdfs = histogram_store(root, source).read(slots)
    except NotFoundError:
        return [None] * len(pairs)
    if channels is not None and len(channels) < cdfs.shape[1]:
        cdfs = cdfs[:, list(channels)]
    whole = np.asarray(counted(cdfs).all(axis=1), np.bool_)
    present = whole[positions].min(axis=1)
    values: list[float | None] = [None] * len(pairs)
    known = [n for n, (a, b) in enumerate(pairs) if present[a] and present[b]]
    if known:
        wanted = np.array([pairs[n] for n in known], np.int64)
        found = clip_similarities(cdfs, positions, wanted, _sizes(root, source, slots))
        for n, value in zip(known, found.tolist(), strict=True):
            values[n] = value
    return values


def _sizes_of(root: Root, source: Source, members: Slots) -> npt.NDArray[np.int64]:
    """Pixels of each cell of units (unit, frame): (cell,), or (unit, frame, cell) where pictures differ in height."""
    slots, positions = np.unique(members, return_inverse=True)
    sizes = _sizes(root, source, slots)
    return sizes if sizes.ndim == 1 else sizes[positions.reshape(members.shape)]


def _sizes(root: Root, source: Source, slots: Slots) -> npt.NDArray[np.int64]:
    """Pixels of each cell: (cell,), or (frame, cell) where an area's pictures differ in height."""
    store = histogram_store(root, source)
    if len(source.area.heights) == 1:
        return store.cell_sizes()
    frames = frame_store(root, source)
    rows = [int(frames.slots("rows", int(slot), int(slot) + 1).max()) for slot in slots]
    return np.stack([store.cell_sizes(height) for height in rows])
