"""The mean picture of a clip, which is all that a linear encoder can see of it, from its uint8 frames.

The mean commutes with a linear map, so that training reads one picture a clip and not its 20 frames.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import Protocol

import numba
import numpy as np
import numpy.typing as npt

GREY_SCALE = 1 / 255
"""What a uint8 grey value is multiplied by to be in 0..1."""

MAX_CLIP_FRAMES = 257
"""65,535 // 255: as many frames' grey values as a uint16 can add up."""

_ALIGNMENT = 64
_TILE = 8192  # pixels whose sums stay in the first-level cache while all frames are added


class MeanPictures(Protocol):
    """Where a training step takes clips from."""

    def __getitem__(self, clips: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the mean pictures of clips (n,) by their indexes: float32 in 0..1 (n, channel, pixels)."""


class SpareBuffers:
    """Memory for batches of pictures that is not in use, kept for the next who wants as much.

    Touching fresh memory takes longer than filling it: of a short epoch of COMS it was half of all reading.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self._spare: list[npt.NDArray[np.float32]] = []

    def take(self, rows: int) -> npt.NDArray[np.float32]:
        """Return an aligned buffer, uninitialised float32 (rows, channel, pixels); others' rows than asked go."""
        self._spare = [buffer for buffer in self._spare if len(buffer) == rows]
        return self._spare.pop() if self._spare else aligned_empty((rows, *self._shape))

    def give(self, buffer: npt.NDArray[np.float32]) -> None:
        """Take a buffer back that nobody reads or writes any more."""
        self._spare.append(buffer)


class SummedMeans(ABC):
    """Mean pictures out of the sums of clips' frames, uint16: exact, and half the size (0.9 MB a COMS clip).

    Wherever sums come from, a clip's picture is the same bit for bit.

    Args:
        channels, pixels: of a picture.
        frames: of a clip.

    Raises:
        ValueError: a clip has more than 257 frames.
    """

    def __init__(self, channels: int, pixels: int, frames: int) -> None:
        if frames > MAX_CLIP_FRAMES:
            raise ValueError(f"a clip may have {MAX_CLIP_FRAMES} frames, found {frames}")
        self.shape = (channels, pixels)
        self.spare = SpareBuffers(self.shape)
        self._values = channels * pixels
        self._scale = np.float32(GREY_SCALE / frames)

    def __getitem__(self, clips: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the mean pictures of clips (n,) by their indexes: float32 in 0..1 (n, channel, pixels)."""
        out = aligned_empty((len(clips), *self.shape))
        self.read(clips, out)
        return out

    def read(self, clips: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        """Write the mean pictures of clips (n,) to `out`, float32 (n, channel, pixels), contiguous."""
        rows = out.reshape(len(clips), self._values)
        for row, clip in enumerate(clips.tolist()):
            scale_pixels(self._sum(clip), self._scale, rows[row])

    @abstractmethod
    def _sum(self, clip: int) -> npt.NDArray[np.uint16]:
        """The sum of a clip's frames, (channel * pixels,)."""


class CachedMeans(SummedMeans):
    """Sums are made when they are asked for, and kept while they fit; the least recently used go first.

    Args:
        cache_bytes: how much memory sums may take.
    """

    def __init__(self, channels: int, pixels: int, frames: int, cache_bytes: int) -> None:
        super().__init__(channels, pixels, frames)
        self._capacity = cache_bytes // (2 * self._values)
        self._sums: OrderedDict[int, npt.NDArray[np.uint16]] = OrderedDict()

    def _sum(self, clip: int) -> npt.NDArray[np.uint16]:
        known = self._sums.get(clip)
        if known is not None:
            self._sums.move_to_end(clip)
            return known
        fresh = np.empty(self._values, np.uint16)
        self._make(clip, fresh)
        if self._capacity > 0:
            while len(self._sums) >= self._capacity:
                self._sums.popitem(last=False)
            self._sums[clip] = fresh
        return fresh

    @abstractmethod
    def _make(self, clip: int, out: npt.NDArray[np.uint16]) -> None:
        """Write the sum of a clip's frames to `out`."""


class ClipMeans(CachedMeans):
    """Mean pictures of clips whose frames are in memory.

    Args:
        frames: uint8 (frame, channel, y, x), reduced frames.
        clip_frames: integer (clip, frames a clip), each clip's frames as indexes into `frames`.
        cache_bytes: how much memory sums may take.

    Raises:
        ValueError: dtype, shape or an index is out of range, or a clip has more than 257 frames.
    """

    def __init__(
        self,
        frames: npt.NDArray[np.uint8],
        clip_frames: npt.NDArray[np.integer],
        cache_bytes: int = 1 << 30,
    ) -> None:
        check_frames(frames)
        check_clip_frames(clip_frames, len(frames))
        super().__init__(frames.shape[1], frames.shape[2] * frames.shape[3], clip_frames.shape[1], cache_bytes)
        self._frames = np.ascontiguousarray(frames).reshape(len(frames), -1)
        self._clip_frames = np.ascontiguousarray(clip_frames, np.int64)

    def __len__(self) -> int:
        return len(self._clip_frames)

    def _make(self, clip: int, out: npt.NDArray[np.uint16]) -> None:
        sum_frames(self._frames, self._clip_frames[clip], out)


def aligned_empty(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return uninitialised float32 memory that begins at a multiple of 64 bytes.

    Products begin differently on other alignments, and their last digits with them. numpy's own memory may
    begin at any multiple of 16; torch's is aligned, but comes in small pages that take 2.6 times as long.
    """
    size = math.prod(shape)
    memory = np.empty(size + _ALIGNMENT // 4, np.float32)
    begin = -memory.ctypes.data % _ALIGNMENT // 4
    return memory[begin : begin + size].reshape(shape)


def aligned(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the array, or a copy where it does not begin at a multiple of 64 bytes or has gaps."""
    if array.ctypes.data % _ALIGNMENT == 0 and array.flags.c_contiguous:
        return array
    copy = aligned_empty(array.shape)
    copy[...] = array
    return copy


def check_frames(frames: npt.NDArray[np.uint8]) -> None:
    """Raise ValueError unless `frames` is uint8 (frame, channel, y, x)."""
    if frames.dtype != np.uint8 or frames.ndim != 4:
        raise ValueError(f"frames expected uint8 (frame, channel, y, x), found {frames.dtype} {frames.shape}")


def check_clip_frames(clip_frames: npt.NDArray[np.integer], frames: int) -> None:
    """Raise ValueError unless `clip_frames` is integer (clip, k), k >= 1, of indexes 0 to `frames` - 1.

    A negative index would otherwise silently count from the end.
    """
    if not np.issubdtype(clip_frames.dtype, np.integer) or clip_frames.ndim != 2 or not clip_frames.shape[1]:
        raise ValueError(f"clip frames expected integer (clip, k), found {clip_frames.dtype} {clip_frames.shape}")
    if clip_frames.size and not (clip_frames.min() >= 0 and clip_frames.max() < frames):
        low, high = clip_frames.min(), clip_frames.max()
        raise ValueError(f"clip frames expected indexes 0 to {frames - 1}, found {low} to {high}")


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def sum_frames(frames: npt.NDArray[np.uint8], members: npt.NDArray[np.int64], out: npt.NDArray[np.uint16]) -> None:
    """Write the sum of frames `members` of uint8 (frame, values) to `out`, uint16 (values,)."""
    for begin in range(0, out.size, _TILE):
        end = min(begin + _TILE, out.size)
        sums = out[begin:end]
        sums[:] = 0
        for member in members:
            sums += frames[member, begin:end]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def scale_pixels(values: npt.NDArray[np.unsignedinteger], scale: np.float32, out: npt.NDArray[np.float32]) -> None:
    """Write `values` * `scale` to `out`, float32, in one pass; both of one shape (n,)."""
    for i in range(values.size):
        out[i] = np.float32(values[i]) * scale
