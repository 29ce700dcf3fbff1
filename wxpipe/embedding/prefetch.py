"""Batches of mean pictures, read by a thread while the ones before them are computed with."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np
import numpy.typing as npt

from wxpipe.embedding.pictures import SummedMeans

AHEAD = 2
"""Batches that are read while one is computed with. A step takes ten times as long as reading its batch."""

Clips = npt.NDArray[np.int64]
Buffer = npt.NDArray[np.float32]


class Prefetch:
    """Mean pictures in an order that is known beforehand, as a context that ends the thread however it is left.

    It holds `ahead` + 1 buffers and no more, which are used again and again: what is returned is valid until the
    next batch is asked for, or the context ends. They are the pictures' spare ones, so that the next epoch has them
    too. (Fresh memory for each batch would take twice as long as filling it.)

    Args:
        pictures: is read by the one thread only, while the context lasts.
        wanted: the clips (n,) of each batch, in the order in which they will be asked for.
        rows: most clips of a batch.
        ahead: batches to read ahead.
    """

    def __init__(self, pictures: SummedMeans, wanted: Iterable[Clips], rows: int, ahead: int = AHEAD) -> None:
        self._pictures = pictures
        self._wanted = iter(wanted)
        self._free = [pictures.spare.take(rows) for _ in range(ahead + 1)]
        self._coming: deque[tuple[Clips, Buffer, Future[None]]] = deque()
        self._in_use: Buffer | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wxpipe-pictures")

    def __enter__(self) -> Prefetch:
        self._read_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        for buffer in (*self._free, *(buffer for _, buffer, _ in self._coming), self._in_use):
            if buffer is not None:
                self._pictures.spare.give(buffer)

    def __getitem__(self, clips: Clips) -> Buffer:
        """Return the mean pictures of the next batch, float32 (n, channel, pixels).

        Raises:
            ValueError: these are not the clips of the next batch.
            Exception: whatever reading it raised in the thread.
        """
        if self._in_use is not None:
            self._free.append(self._in_use)
            self._in_use = None
        expected, buffer, read = self._coming.popleft() if self._coming else (np.empty(0, np.int64), None, None)
        if buffer is None or read is None or not np.array_equal(expected, clips):
            raise ValueError(f"the next batch has clips {expected.tolist()}, asked for were {clips.tolist()}")
        read.result()
        self._in_use = buffer
        self._read_on()
        return buffer[: len(clips)]

    def _read_on(self) -> None:
        while self._free:
            clips = next(self._wanted, None)
            if clips is None:
                return
            buffer = self._free.pop()
            self._coming.append((clips, buffer, self._thread.submit(self._pictures.read, clips, buffer[: len(clips)])))
