"""How similar one clip is to many others, straight from the store: each chunk of CDFs is decoded where it is compared.

A clip's frames lie in two or three chunks, hundreds of candidates in hundreds of them: to read all first, and then
compare, would move each number through memory twice.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.similarity.histograms import HistogramStore, counted
from wxpipe.similarity.ks import FloatArray, frame_pair_channel_similarities
from wxpipe.store.arrays import decode_chunk

Slots = npt.NDArray[np.int64]


def one_to_many(
    store: HistogramStore,
    query: Slots,
    others: Slots,
    sizes: npt.NDArray[np.int64],
    channels: Sequence[int] | None = None,
) -> FloatArray:
    """Similarity of a clip to each of others, i-th frame with i-th.

    Args:
        store: of the CDFs.
        query: slots, (frame,).
        others: slots, (clip, frame).
        sizes: pixels of each cell, (cell,); or, where pictures differ in height, (1 + clip, frame, cell), the query's
            first.
        channels: positions of those that are compared; None: all of them.

    Returns:
        (clip,) float64, 0..1: mean over frames, channels and cells; NaN where CDFs of either are not there.

    Raises:
        NotFoundError: no CDFs of this layout were ever made.
        DamagedError: a chunk is damaged.
    """
    own = store.read(query)
    chosen = list(range(own.shape[1])) if channels is None else list(channels)
    if not len(others) or not counted(own)[:, chosen].all():
        return np.full(len(others), np.nan)
    comparison = _Comparison(store, own, chosen, np.asarray(others, np.int64), sizes)
    return comparison.values()


class _Comparison:
    """Pairs of a frame of the query and a slot, each compared once, by chunk."""

    def __init__(
        self,
        store: HistogramStore,
        own: npt.NDArray[Any],
        channels: list[int],
        others: Slots,
        sizes: npt.NDArray[np.int64],
    ) -> None:
        self.store, self.own, self.channels, self.shape, self.sizes = store, own, channels, others.shape, sizes
        frames = len(own)
        keys = others * frames + np.arange(frames)
        self.keys, first, self.back = np.unique(keys, return_index=True, return_inverse=True)
        self.first = first  # where each pair occurs first, of the flattened clips: its sizes are read there
        self.slots, self.frames = np.divmod(self.keys, frames)
        self.found = np.full(len(self.keys), np.nan)
        self.local = threading.local()

    def values(self) -> FloatArray:
        chunk = self.store.array_spec.chunk[0]
        self.store.map_chunks(np.unique(self.slots // chunk).tolist(), self._compare)
        found: FloatArray = self.found[self.back].reshape(self.shape).mean(axis=1)
        return found

    def _compare(self, number: int, data: bytes | None) -> None:
        if data is None:
            return
        spec, frames = self.store.array_spec, len(self.own)
        block = self._buffer()[frames:]
        decode_chunk(spec, data, block)
        there = np.asarray(counted(block)[:, self.channels].all(axis=1), np.bool_)
        low, high = np.searchsorted(self.slots, (number * spec.chunk[0], (number + 1) * spec.chunk[0]))
        inside = self.slots[low:high] - number * spec.chunk[0]
        known = np.flatnonzero(there[inside])
        pairs = np.stack([self.frames[low:high][known], frames + inside[known]], axis=1)
        sizes = self.sizes if self.sizes.ndim == 1 else self._sizes(low + known, inside[known])
        similar = frame_pair_channel_similarities(self._buffer(), pairs, sizes)
        self.found[low + known] = similar[:, self.channels].mean(axis=1)

    def _sizes(self, places: Slots, inside: Slots) -> npt.NDArray[np.int64]:
        """Sizes of each row of the buffer."""
        frames = len(self.own)
        sizes = np.repeat(self.sizes[0, :1], len(self._buffer()), axis=0)
        sizes[:frames] = self.sizes[0]
        sizes[frames + inside] = self.sizes[1:].reshape(-1, sizes.shape[1])[self.first[places]]
        return sizes

    def _buffer(self) -> npt.NDArray[Any]:
        """This thread's: the query's CDFs, and room for a chunk behind them."""
        found: npt.NDArray[Any] | None = getattr(self.local, "buffer", None)
        if found is None:
            chunk = self.store.array_spec.chunk[0]
            found = np.empty((len(self.own) + chunk, *self.own.shape[1:]), self.own.dtype)
            found[: len(self.own)] = self.own
            self.local.buffer = found
        return found
