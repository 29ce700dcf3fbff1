"""The similarity of two things that a person names: clips or frames of a root, lists of times, folders of pictures.

Here operands are found, matched frame by frame and put together into one answer; counting is `cdf`'s and `folders`',
comparing counts is `ks`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.config import RunSettings
from wxpipe.errors import NotFoundError, UsageError
from wxpipe.satellites.catalog import Source, load_satellites
from wxpipe.similarity.clip_stage import clip_rule, find_clip
from wxpipe.similarity.folders import Counted, FolderCounter, PictureFolder, read_folder
from wxpipe.similarity.histograms import histogram_store, read_or_count, stored_cell_sizes
from wxpipe.similarity.identity import CLIP_EXAMPLE, FRAME_EXAMPLE, parse_clip_id, parse_frame_id
from wxpipe.similarity.ks import frame_pair_channel_similarities, frame_pair_count_sums
from wxpipe.similarity.layout import GridSpec
from wxpipe.store.frames import frame_store
from wxpipe.store.root import Root

_ONE_PAIR = np.array([[0, 1]], np.int64)


@dataclass(frozen=True)
class Comparison:
    """How similar two sequences of frames are.

    Attributes:
        spec: the grid that they were compared on.
        channels: the names of the channel axis.
        similarities: (frame, channel) float64, 0..1; i-th frame with i-th.
        count_sums: (frame, channel) int64, over the cells the sum of the largest differences of counts; None where
            cells have different sizes, since their counts do not add up.
    """

    spec: GridSpec
    channels: tuple[str, ...]
    similarities: npt.NDArray[np.float64]
    count_sums: npt.NDArray[np.int64] | None

    @property
    def similarity(self) -> float:
        return float(self.similarities.mean())

    def document(self) -> dict[str, Any]:
        """The answer as JSON has it; ``per_channel`` and ``per_frame`` are means over the other axis."""
        return {
            "similarity": self.similarity,
            "grid": self.spec.grid,
            "bins": self.spec.bins,
            "layout": self.spec.layout,
            "frames": len(self.similarities),
            "channels": list(self.channels),
            "per_channel": dict(zip(self.channels, self.similarities.mean(axis=0).tolist(), strict=True)),
            "per_frame": self.similarities.mean(axis=1).tolist(),
            "count_difference_sum": None if self.count_sums is None else int(self.count_sums.sum()),
        }


def compare(
    first: str | Path, second: str | Path, spec: GridSpec, root: Root | None, *, channel: str = ""
) -> Comparison:
    """Compares two operands, frame by frame in order, on the channels that both have.

    Each operand is a clip or frame identity of a root, or a folder of pictures (see `folders`). A file or stored
    picture that occurs several times is counted once. One picture is in memory at a time, and the CDFs of those that
    will be needed again.

    Args:
        first: e.g. ``coms-ea/20110303T0800Z/6h20``, ``coms-ea/20110303T0800Z``, or a folder.
        second: the same.
        spec: the grid; of layout `reference`, source pictures are compared as the published program does.
        root: where identities are looked up; None where there is none.
        channel: compare this one alone; empty: all that are common.

    Raises:
        UsageError: an operand cannot be understood or needs a root, a picture is damaged, numbers of frames differ,
            no channel is common, or the grid does not fit the pictures.
        NotFoundError: a folder, clip, frame or channel of a frame is not there.
    """
    site = RunSettings().satellites or None
    satellites = {**load_satellites(site), **(root.satellites if root is not None else {})}
    found = [_find(str(operand), root) or read_folder(Path(operand), satellites) for operand in (first, second)]
    folders = [operand for operand in found if isinstance(operand, PictureFolder)]
    counter = FolderCounter(spec, folders)
    operands = [
        _FolderFrames(operand, counter) if isinstance(operand, PictureFolder) else _StoredFrames(operand, spec)
        for operand in found
    ]
    return _compare((str(first), str(second)), operands, spec, channel)


def compare_frames(
    root: Root,
    source: str | Source,
    first: Sequence[datetime],
    second: Sequence[datetime],
    spec: GridSpec,
    *,
    channel: str = "",
) -> Comparison:
    """Compares frames of the store by their times, in the order given; a time counts for the slot that it falls into.

    Args:
        root: where the frames are.
        source: whose frames, e.g. ``coms-ea``.
        first: timezone-aware times.
        second: as many.
        spec: as `compare`.
        channel: as `compare`.

    Raises:
        UsageError: as `compare`, or a time without zone or outside the satellite's life.
        NotFoundError: a picture is not stored.
    """
    of = source if isinstance(source, Source) else root.source(source)
    operands = [_StoredFrames(_Slots(root, of, _slots_of(of, times)), spec) for times in (first, second)]
    return _compare(("the first list of times", "the second"), operands, spec, channel)


@dataclass(frozen=True)
class _Slots:
    """Frames of a store: slots (frame,), in order."""

    root: Root
    source: Source
    slots: npt.NDArray[np.int64]


class _StoredFrames:
    """Frames of a store, counted from what the root keeps; layouts that it does not keep, picture by picture."""

    def __init__(self, stored: _Slots, spec: GridSpec) -> None:
        self._root, self._source, self._slots, self._spec = stored.root, stored.source, stored.slots, spec
        self._frames = frame_store(stored.root, stored.source)
        self.channels = self._frames.channels
        self._kept: tuple[npt.NDArray[np.int64], Any] | None = None

    def __len__(self) -> int:
        return len(self._slots)

    def require(self, channels: Sequence[str]) -> None:
        """Whether pictures are there shows when they are read."""

    def key(self, frame: int, channel: str) -> Hashable:
        return self._source.id, int(self._slots[frame]), channel

    def count(self, frame: int, channel: str) -> Counted:
        slot, index = int(self._slots[frame]), self.channels.index(channel)
        sizes = stored_cell_sizes(self._root, self._source, self._spec, np.array([slot]))[0, index]
        if self._spec.name in self._root.settings.histograms:
            slots, cdfs = self._read()
            return Counted(cdfs[int(np.searchsorted(slots, slot)), index], sizes)
        store = histogram_store(self._root, self._source, self._spec.name)
        return Counted(store.count(self._frames, slot, channel), sizes)

    def _read(self) -> tuple[npt.NDArray[np.int64], Any]:
        """All CDFs at once: a stored chunk holds those of several slots."""
        if self._kept is None:
            slots = np.unique(self._slots)
            self._kept = slots, read_or_count(self._root, self._source, self._spec, slots)
        return self._kept


class _FolderFrames:
    """Frames of a folder."""

    def __init__(self, folder: PictureFolder, counter: FolderCounter) -> None:
        self._folder, self._counter = folder, counter
        self.channels = folder.channels

    def __len__(self) -> int:
        return len(self._folder.frames)

    def require(self, channels: Sequence[str]) -> None:
        self._folder.require(channels)

    def key(self, frame: int, channel: str) -> Hashable:
        source = self._folder.source  # decides how layout `exact` takes a picture
        return self._folder.frames[frame][channel].id, source.id if source is not None else ""

    def count(self, frame: int, channel: str) -> Counted:
        return self._counter.count(self._folder, self._folder.frames[frame][channel])


_Operand = _StoredFrames | _FolderFrames


class _Once:
    """Counts each picture once, and keeps it for as long as it will be asked for again."""

    def __init__(self, asked: Counter[Hashable]) -> None:
        self._asked = asked
        self._kept: dict[Hashable, Counted] = {}

    def take(self, operand: _Operand, frame: int, channel: str) -> Counted:
        key = operand.key(frame, channel)
        counted = self._kept[key] if key in self._kept else operand.count(frame, channel)
        self._asked[key] -= 1
        if self._asked[key]:
            self._kept[key] = counted
        else:
            self._kept.pop(key, None)
        return counted


def _compare(names: tuple[str, str], operands: Sequence[_Operand], spec: GridSpec, channel: str) -> Comparison:
    first, second = operands
    if len(first) != len(second) or not len(first):
        raise UsageError(
            f"{names[0]} has {len(first)} frames, {names[1]} has {len(second)}; expected equally many, at least one, "
            "since frames are compared i-th with i-th: name operands of one length"
        )
    channels = _common_channels(names, operands, channel)
    for operand in operands:
        operand.require(channels)
    every = [(frame, name) for frame in range(len(first)) for name in channels]
    once = _Once(Counter(operand.key(*picture) for picture in every for operand in operands))
    similarities = np.empty((len(first), len(channels)))
    sums: list[int | None] = []
    for n, picture in enumerate(every):
        pair = [once.take(operand, *picture) for operand in operands]
        similarities.reshape(-1)[n], total = _compare_pictures(*pair)
        sums.append(total)
    counts = None if None in sums else np.array(sums, np.int64).reshape(similarities.shape)
    return Comparison(spec, channels, similarities, counts)


def _common_channels(names: tuple[str, str], operands: Sequence[_Operand], wanted: str) -> tuple[str, ...]:
    first, second = (operand.channels for operand in operands)
    common = tuple(channel for channel in first if channel in second)
    if not common:
        raise UsageError(
            f"no channel is common: {names[0]} has {', '.join(first)}; {names[1]} has {', '.join(second)}; "
            "name operands that share at least one"
        )
    if wanted and wanted not in common:
        raise UsageError(f"no channel {wanted!r} is common; common are {', '.join(common)}")
    return (wanted,) if wanted else common


def _compare_pictures(first: Counted, second: Counted) -> tuple[float, int | None]:
    """Similarity of two pictures, and the sum of count differences where all their cells have one size."""
    cdfs = np.stack((first.cdf, second.cdf))[:, np.newaxis]
    sizes = np.stack((first.sizes, second.sizes))
    if sizes.min() == sizes.max():
        size, cells = int(sizes[0, 0]), sizes.shape[1]
        total = int(frame_pair_count_sums(cdfs, _ONE_PAIR, sizes[0])[0, 0])
        return 1 - total / (size * cells), total
    same = np.array_equal(sizes[0], sizes[1])
    return float(frame_pair_channel_similarities(cdfs, _ONE_PAIR, sizes[0] if same else sizes)[0, 0]), None


def _find(operand: str, root: Root | None) -> _Slots | None:
    """Frames of the root that an identity names; None for a folder."""
    look_up = next((found for parse, found in _IDENTITIES if _is_identity(parse, operand)), None)
    if look_up is not None:
        if root is None:
            raise UsageError(f"{operand} is of a root, and none was named; give --root, or a folder of pictures")
        return look_up(operand, root)
    if Path(operand).is_dir():
        return None
    raise NotFoundError(
        f"{operand!r} is no folder, and names no clip ({CLIP_EXAMPLE}) or frame ({FRAME_EXAMPLE}); give one of them"
    )


def _is_identity(parse: Callable[[str], object], operand: str) -> bool:
    try:
        parse(operand)
    except UsageError:
        return False
    return True


def _clip_slots(operand: str, root: Root) -> _Slots:
    identity = parse_clip_id(operand)
    source = root.source(identity.source)
    rule = clip_rule(root, source)
    if (identity.hours, identity.frames) != (rule.hours, rule.frames):
        raise NotFoundError(f"{operand}: clips of {source.id} in {root.url} are {rule.name}; name one of those")
    return _Slots(root, source, np.array(find_clip(root, source.id, identity.time), np.int64))


def _frame_slots(operand: str, root: Root) -> _Slots:
    identity = parse_frame_id(operand)
    source = root.source(identity.source)
    slots = _slots_of(source, [identity.time])
    nominal = source.satellite.axis.time(int(slots[0]))
    if nominal != identity.time:
        raise NotFoundError(f"{operand} is no nominal time of {source.id}; the nearest is {nominal:%Y%m%dT%H%MZ}")
    return _Slots(root, source, slots)


_IDENTITIES: tuple[tuple[Callable[[str], object], Callable[[str, Root], _Slots]], ...] = (
    (parse_clip_id, _clip_slots),
    (parse_frame_id, _frame_slots),
)


def _slots_of(source: Source, times: Sequence[datetime]) -> npt.NDArray[np.int64]:
    try:
        return np.array([source.satellite.axis.slot(time) for time in times], np.int64)
    except ValueError as error:
        raise UsageError(f"{source.id}: {error}") from error
