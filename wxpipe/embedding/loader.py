"""Clips' mean pictures out of the frame store, for a training that does not fit in memory.

Each frame is read once, in the order of the store, before training begins. What training then reads again and again
in its own order, the clips' sums, is in memory where it fits a limit, else in a scratch file that ends with the
process, else (no room on the disk either) made anew of frames each time.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Literal

import numpy as np
import numpy.typing as npt

from wxpipe.embedding.history import ClipsRead, Remark, TrainingEvent, tell_nobody
from wxpipe.embedding.pictures import CachedMeans, SummedMeans, sum_frames
from wxpipe.store.frames import FrameStore

SPARE_BYTES = 1 << 30
"""What a scratch file leaves free on its disk."""

Slots = npt.NDArray[np.int64]
Sums = npt.NDArray[np.uint16]
Place = Literal["memory", "scratch", "frames"]


@dataclass(frozen=True)
class SumsPlan:
    """Where the sums of a training's clips will be.

    Attributes:
        clips: how many.
        bytes: of all sums.
        limit: of memory.
        free: on the disk of the scratch folder.
    """

    place: Place
    clips: int
    bytes: int
    limit: int
    free: int
    folder: str

    def __str__(self) -> str:
        what = f"mean pictures of {self.clips:,} clips: {_size(self.bytes)}"
        if self.place == "memory":
            return f"{what} in memory (at most {_size(self.limit)})"
        if self.place == "scratch":
            return f"{what} in a scratch file in {self.folder} ({_size(self.free)} free)"
        return (
            f"{what} fit neither the {_size(self.limit)} of memory nor {self.folder} ({_size(self.free)} free): frames "
            "are read again in every epoch, which is slow; TMPDIR names another folder, WXPIPE_CLIP_CACHE_BYTES a limit"
        )


def plan_sums(clips: int, values: int, limit: int) -> SumsPlan:
    """Where sums go: memory, the scratch folder (TMPDIR, else the system's), or nowhere.

    Args:
        values: pixels of a clip's picture, all channels together.
        limit: bytes of memory that sums may take.
    """
    folder, size = tempfile.gettempdir(), 2 * clips * values
    free = shutil.disk_usage(folder).free
    fits = size + SPARE_BYTES <= free
    place: Place = "memory" if size <= limit else "scratch" if fits else "frames"
    return SumsPlan(place, clips, size, limit, free, folder)


@contextmanager
def stored_means(
    frames: FrameStore,
    slots: Slots,
    channels: tuple[str, ...],
    limit: int,
    tell: Callable[[TrainingEvent], None] = tell_nobody,
) -> Iterator[SummedMeans]:
    """The mean pictures of clips, read for the first time now; a scratch file lasts as long as the context.

    Args:
        slots: int64 (clip, frames a clip), slots of each clip's frames.
        limit: bytes of memory that sums may take.
        tell: is told of the plan and of each day that was read.

    Raises:
        WxpipeError: frames cannot be read.
    """
    pixels = int(np.prod(frames.source.area.reduced_shape))
    plan = plan_sums(len(slots), len(channels) * pixels, limit)
    tell(Remark(str(plan)))
    if plan.place == "frames":
        yield StoredFrames(frames, slots, channels, limit)
        return
    with _room(plan) as (sums, file):
        write_sums(frames, slots, channels, sums, tell)
        yield StoredSums(sums, len(channels), pixels, slots.shape[1], file)


class StoredSums(SummedMeans):
    """Mean pictures of clips whose sums were made beforehand.

    Args:
        sums: uint16 (clip, channel * pixels), in memory or a mapped file.
        frames: of a clip.
        file: that is mapped, if one is.
    """

    def __init__(self, sums: Sums, channels: int, pixels: int, frames: int, file: IO[bytes] | None = None) -> None:
        super().__init__(channels, pixels, frames)
        self._sums, self._file = sums, file

    def read(self, clips: npt.NDArray[np.int64], out: npt.NDArray[np.float32]) -> None:
        if self._file is not None:  # a batch that is not in memory then comes in .1 to .2 s, else in .2 to .7
            size = 2 * self._values
            for clip in clips.tolist():
                os.posix_fadvise(self._file.fileno(), clip * size, size, os.POSIX_FADV_WILLNEED)
        super().read(clips, out)

    def _sum(self, clip: int) -> Sums:
        found: Sums = self._sums[clip]
        return found


class StoredFrames(CachedMeans):
    """Mean pictures of clips whose frames are read from the store whenever their sum is not in the cache."""

    def __init__(self, frames: FrameStore, slots: Slots, channels: tuple[str, ...], limit: int) -> None:
        super().__init__(len(channels), int(np.prod(frames.source.area.reduced_shape)), slots.shape[1], limit)
        self._frames, self._slots, self._channels = frames, slots, channels

    def _make(self, clip: int, out: Sums) -> None:
        read = _read(self._frames, self._slots[clip], self._channels)
        sum_frames(read, np.arange(len(read)), out)


def write_sums(
    frames: FrameStore,
    slots: Slots,
    channels: tuple[str, ...],
    out: Sums,
    tell: Callable[[TrainingEvent], None] = tell_nobody,
) -> None:
    """Write the sum of each clip's frames to `out`, uint16 (clip, channel * pixels); reads each frame once.

    Goes by the days on which clips begin, in the order of the store. A thread reads the next day while this one is
    added up, so that memory holds the frames of a few days, however many there are: at most 7, 0.3 GB of COMS.
    """
    days = _by_day(slots, frames.axis.slots_per_day)
    each = [np.unique(slots[day]) for day in days]
    fresh = [np.setdiff1d(mine, before) for mine, before in zip(each, [each[0][:0], *each[:-1]], strict=True)]
    done, before, held = 0, each[0][:0], np.empty((0, out.shape[1]), np.uint8)
    for day, mine, new, read in zip(days, each, fresh, _read_ahead(frames, fresh, channels), strict=True):
        block = np.empty((len(mine), out.shape[1]), np.uint8)
        block[np.searchsorted(mine, new)] = read
        shared = np.intersect1d(mine, before)
        block[np.searchsorted(mine, shared)] = held[np.searchsorted(before, shared)]
        for clip, members in zip(day.tolist(), np.searchsorted(mine, slots[day]), strict=True):
            sum_frames(block, members, out[clip])
        before, held, done = mine, block, done + len(day)
        tell(ClipsRead(done, len(slots)))


def _by_day(slots: Slots, slots_per_day: int) -> list[npt.NDArray[np.int64]]:
    """Indexes of clips by the day on which they begin, in the order of time."""
    order = np.argsort(slots[:, 0], kind="stable").astype(np.int64)
    edges = np.flatnonzero(np.diff(slots[order, 0] // slots_per_day)) + 1
    return np.split(order, edges)


def _read_ahead(frames: FrameStore, wanted: list[Slots], channels: tuple[str, ...]) -> Iterator[npt.NDArray[np.uint8]]:
    """The frames of each list of slots, (slot, channel * pixels); the next is read while one is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="wxpipe-frames") as thread:
        coming = thread.submit(_read, frames, wanted[0], channels)
        for following in wanted[1:]:
            read = coming.result()
            coming = thread.submit(_read, frames, following, channels)
            yield read
        yield coming.result()


def _read(frames: FrameStore, slots: Slots, channels: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    read = frames.reduced(slots, channels)
    return read.reshape(len(slots), -1 if len(slots) else int(np.prod(read.shape[1:])))


@contextmanager
def _room(plan: SumsPlan) -> Iterator[tuple[Sums, IO[bytes] | None]]:
    """Memory for all sums, or a scratch file without a name, which is gone when the process is, however it ends."""
    shape = (plan.clips, plan.bytes // (2 * plan.clips))
    if plan.place == "memory":
        yield np.empty(shape, np.uint16), None
        return
    with tempfile.TemporaryFile(dir=plan.folder) as file:
        os.posix_fallocate(file.fileno(), 0, plan.bytes)  # a full disk is an error here, and a SIGBUS later
        yield np.asarray(np.memmap(file, np.uint16, "r+", shape=shape)), file


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
