"""Months of the cell-major copy as a search reads them: some cells, with the beginning of the next month behind.

What was read stays in memory for the next search, within limits: a month that is named by its content never changes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.errors import DamagedError
from wxpipe.satellites.catalog import Source
from wxpipe.similarity.cell_copy import Month, open_store, read_cells, read_small
from wxpipe.similarity.cell_months import MonthRecord, Wanted
from wxpipe.store.root import Root
from wxpipe.vectors.tables import Unit

KEPT_BYTES = 1 << 30
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class MonthPart:
    """Some cells of a month and of the window after it.

    Attributes:
        start: slot of the first on its axis.
        cdf: uint8 (cell, channel, bin, slot); present: bool (channel, slot); clips: as `MonthArrays.clips`.
        fresh: bool (slot,), of days that are in the copy as they are now.
        frames: of a clip.
    """

    start: int
    cdf: npt.NDArray[np.uint8]
    present: Flags
    clips: npt.NDArray[np.uint16]
    fresh: Flags

    def clips_of(self, slots: Ints, unit: Unit, channels: Sequence[int]) -> tuple[Ints, Flags, Flags]:
        """Frames (n, frame) of the clips, or frames, that begin at slots of the month.

        Returns:
            Them; which have frames of days that are not in the copy as they are now; and which of the others have
            pictures missing in the channels.
        """
        if unit == "frame":
            frames, begun = slots[:, None], np.ones(len(slots), np.bool_)
        else:
            steps = self.clips[slots].astype(np.int64)
            begun = steps[:, 0] > 0
            frames = slots[:, None] + np.where(begun[:, None], steps - 1, 0)
        inside = (frames < self.cdf.shape[3]).all(axis=1)
        within = np.minimum(frames, self.cdf.shape[3] - 1)
        stale = ~(inside & self.fresh[within].all(axis=1))
        there: Flags = np.asarray(self.present[list(channels)].min(axis=0), np.bool_)
        return frames, stale, ~stale & ~(begun & there[within].all(axis=1))


def read_part(
    root: Root, source: Source, records: Sequence[MonthRecord], wanted: Mapping[str, Wanted], cells: Ints
) -> MonthPart:
    """A month, and of the one after it (if that is given) as many slots as a clip may reach.

    Raises:
        DamagedError: something of either is not as it was written.
    """
    parts = [_read(root, source, record, wanted, cells) for record in records]
    if len(parts) == 1:
        return parts[0]
    first, then = parts
    reach = min(source.satellite.window_slots, then.cdf.shape[3])
    if first.start + first.cdf.shape[3] != then.start or not reach:
        return first
    return MonthPart(
        first.start,
        np.concatenate([first.cdf, then.cdf[..., :reach]], axis=3),
        np.concatenate([first.present, then.present[:, :reach]], axis=1),
        first.clips,
        np.concatenate([first.fresh, then.fresh[:reach]]),
    )


def _read(root: Root, source: Source, record: MonthRecord, wanted: Mapping[str, Wanted], cells: Ints) -> MonthPart:
    month, store = Month.of(source, record.month), open_store(root, source)
    key = (root.url, record.folder)
    present, clips = _kept.get((*key, b""), lambda: read_small(root, record.folder, month, store))
    if (int(present.sum()), int((clips[:, 0] > 0).sum())) != (record.pictures, record.clips):
        raise DamagedError(f"{root.url}/{record.folder}: pictures or clips are lost; `wxpipe cells build --anew`")
    cdf = _kept.get(
        (*key, cells.tobytes()),
        lambda: (read_cells(root, record.folder, month, store, record.size, cells.tolist()),),
    )[0]
    now = wanted[record.month].days if record.month in wanted else {}
    fresh = [str(day) in now and record.days.get(str(day)) == now[str(day)] for day in month.day_list]
    return MonthPart(
        month.start, cdf, present.astype(np.bool_), clips, np.repeat(fresh, source.satellite.axis.slots_per_day)
    )


class _Kept:
    """Arrays that were read last, up to a number of bytes."""

    def __init__(self, limit: int) -> None:
        self.limit, self.bytes = limit, 0
        self._arrays: OrderedDict[tuple[Any, ...], tuple[Any, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[Any, ...], read: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
                return self._arrays[key]
        found = read()
        with self._lock:
            if key not in self._arrays:
                self._arrays[key] = found
                self.bytes += _size(found)
            while self.bytes > self.limit and self._arrays:
                self.bytes -= _size(self._arrays.popitem(last=False)[1])
        return found


def _size(arrays: tuple[Any, ...]) -> int:
    return sum(int(array.nbytes) for array in arrays)


_kept = _Kept(KEPT_BYTES)
