"""What two frames are to each other, out of the root: by ground truth, by histograms, by pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.evaluation.frame_pairs import add_l1, squared_distances
from wxpipe.satellites.catalog import Source
from wxpipe.similarity.clip_ks import clip_similarity_matrix
from wxpipe.similarity.histograms import histogram_store
from wxpipe.similarity.ks import ROUNDED_SIZE, CountArray
from wxpipe.similarity.pairs import read_rounded
from wxpipe.store.frames import Status, frame_store
from wxpipe.store.root import Root

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Read = Callable[[Ints], npt.NDArray[Any]]

WORKING_SET = 2 << 30
"""Bytes up to which all frames are read once and kept; more are read again for each place within a clip."""
TILE_BYTES = 400_000  # two tiles of frames of one channel are to stay in a core's second-level cache
_GAP, _LONGEST = 8, 96  # slots: one read costs what so many more do; and what a read may take in memory


@dataclass(frozen=True, eq=False)
class FrameReader:
    """Compares frames of one source.

    Attributes:
        slots: int64, those of all frames that will be asked for, ascending.
        channels: positions among the satellite's channels, of those that every one of these frames has.
    """

    root: Root
    source: Source
    slots: Ints
    channels: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        every = self.source.satellite.channel_names
        return tuple(every[n] for n in self.channels)

    def similarity(self, slots: Ints) -> Floats:
        """Ground-truth similarity of frames, float64 (m, m), 0..1."""
        return clip_similarity_matrix(self._cdfs(slots), np.arange(len(slots))[:, np.newaxis], self._sizes)

    def histogram_l1(self, slots: Ints) -> Floats:
        """Half the L1 between histograms of cells, mean over cells and channels, float64 (m, m), 0..1.

        Histograms, not cumulative ones: the differences of the CDF's bins, the last bin what is left of the cell.
        """
        cdfs = self._cdfs(slots)
        sizes = np.full(cdfs.shape[3], ROUNDED_SIZE) if self._sizes is None else self._sizes
        total = np.zeros((len(slots), len(slots)))
        for channel in range(cdfs.shape[1]):
            planes = histograms(cdfs[:, channel], sizes)
            add_l1(planes, sizes, max(1, TILE_BYTES // planes[0].nbytes), total)
        total /= 2 * sizes.size * cdfs.shape[1]
        return total + total.T

    def squared_l2(self, slots: Ints) -> Floats:
        """Sum over channels and pixels of the squared difference of reduced pictures, float64 (m, m), exact."""
        return squared_distances(self._reduced(slots).reshape(len(slots), -1))

    @cached_property
    def _sizes(self) -> Ints | None:
        """Pixels of each cell; None where pictures differ in height, and CDFs are rounded."""
        return None if len(self.source.area.heights) > 1 else histogram_store(self.root, self.source).cell_sizes()

    @cached_property
    def _cdfs(self) -> Read:
        store = histogram_store(self.root, self.source)
        read: Read = store.read if self._sizes is not None else lambda slots: read_rounded(store, slots)
        return keeping(lambda slots: read(slots)[:, list(self.channels)], self.slots)

    @cached_property
    def _reduced(self) -> Read:
        store = frame_store(self.root, self.source)
        return keeping(lambda slots: store.reduced(slots, self.names), self.slots)


def common_channels(root: Root, source: Source, slots: Ints) -> tuple[int, ...]:
    """Channels of which every one of some frames has a picture, by their place among the satellite's.

    Args:
        slots: of the frames, ascending, each once.
    """
    frames, stored = frame_store(root, source), [status for status in Status if status.stored]
    there = np.ones(len(frames.channels), np.bool_)
    for start, stop, where in stretches(slots):
        there &= np.isin(frames.slots("status", start, stop)[slots[where] - start], stored).all(axis=0)
    return tuple(np.flatnonzero(there).tolist())


def histograms(cdfs: CountArray, sizes: Ints) -> CountArray:
    """Histograms of cells, (frame, bins, cell), from their CDFs (frame, bins - 1, cell) and sizes (cell,)."""
    found = np.empty((cdfs.shape[0], cdfs.shape[1] + 1, cdfs.shape[2]), cdfs.dtype)
    found[:, :-1] = cdfs
    found[:, -1] = sizes.astype(cdfs.dtype)
    found[:, 1:] -= cdfs  # each bin less the one before it
    return found


def keeping(read: Read, slots: Ints) -> Read:
    """A reader that has read all of some slots at once where they fit `WORKING_SET`, else the reader itself.

    Args:
        read: from slots (m,) to an array (m, ...).
        slots: ascending, each once.
    """
    one = read(slots[:1])
    if one.nbytes * len(slots) > WORKING_SET:
        return read
    kept = np.empty((len(slots), *one.shape[1:]), one.dtype)
    for start, stop, where in stretches(slots):
        kept[where] = read(np.arange(start, stop))[slots[where] - start]
    return lambda wanted: kept[np.searchsorted(slots, wanted)]


def stretches(slots: Ints) -> list[tuple[int, int, slice]]:
    """Stretches of slots (first, one past the last, where they stand in `slots`), small gaps within them."""
    if not len(slots):
        return []
    ends = np.flatnonzero((np.diff(slots) > _GAP) | (np.diff(slots // _LONGEST) > 0)) + 1
    starts, stops = np.r_[0, ends], np.r_[ends, len(slots)]
    return [(int(slots[a]), int(slots[b - 1]) + 1, slice(int(a), int(b))) for a, b in zip(starts, stops, strict=True)]
