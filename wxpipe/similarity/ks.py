"""The ground truth: how similar frames are, from the grid CDFs of their channels, on the CPU or a GPU.

Similarity of two pictures is the mean over cells of 1 - D, where D is the two-sample Kolmogorov-Smirnov statistic
of the cells' binned pixels. Counts come from `cdf`; clips are put together from frames in `clip_ks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wxpipe.errors import UsageError
from wxpipe.similarity import ks_kernels

CountArray = npt.NDArray[np.unsignedinteger[Any]]
IntArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.float64]

ROUNDED_SIZE = 255  # what a full cell counts in rounded CDFs
DEVICES = ("cpu", "cuda", "auto", "torch-cpu")


class Engine(Protocol):
    """What a device has to be able to do; arguments are checked before."""

    def largest_difference_sums(
        self, cdfs: CountArray, pairs: npt.NDArray[np.int64], members: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.int64]:
        """Sum the cells' largest absolute differences of counts, group by group of cells.

        Args:
            cdfs: (frame, channel, bin, cell).
            pairs: (n, 2) frames.
            members: (group, cell) which cells are added up in which group.

        Returns:
            (n, channel, group) int64.
        """

    def largest_share_sums(
        self, cdfs: CountArray, pairs: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
    ) -> FloatArray:
        """Sum the cells' largest absolute differences of shares ``count / size``, where sizes (frame, cell) vary.

        Returns:
            (n, channel) float64.
        """


def frame_pair_similarities(
    cdfs: CountArray, pairs: IntArray, sizes: IntArray | None = None, *, device: str = "cpu"
) -> FloatArray:
    """How similar pairs of frames are: the mean over channels of `frame_pair_channel_similarities`.

    Returns:
        (n,) float64, 0..1.
    """
    channels = frame_pair_channel_similarities(cdfs, pairs, sizes, device=device)
    similarities: FloatArray = channels.mean(axis=1)
    return similarities


def frame_pair_channel_similarities(
    cdfs: CountArray, pairs: IntArray, sizes: IntArray | None = None, *, device: str = "cpu"
) -> FloatArray:
    """How similar pairs of frames are, channel by channel.

    Largest differences are added up as integers, one sum for each size of cell, and divided last: the result does
    not depend on order, machine or device. Only frames whose cells differ in size are added up as fractions.

    Args:
        cdfs: (frame, channel, bin, cell) uint16 or uint32 counts as `cdf` makes them, or uint8 as `round_cdfs`.
        pairs: (n, 2) positions on the first axis of `cdfs`.
        sizes: (cell,) pixels of each cell; (frame, cell) where pictures differ in height; None for rounded CDFs.
        device: `cpu` (numba, one thread), `cuda` or `torch-cpu` (torch), or `auto` (cuda where there is one).

    Returns:
        (n, channel) float64, 0..1.

    Raises:
        UsageError: arrays that do not fit together, or a device that is unknown or absent.
    """
    checked = _check_pairs(cdfs, pairs)
    layout = _sizes(cdfs, sizes)
    engine = engine_for(device)
    if layout.ndim == 1:
        return _from_sums(engine, cdfs, checked, layout)
    kinds, kind_of = np.unique(layout, axis=0, return_inverse=True)
    kind_of = kind_of.reshape(-1)
    first, second = kind_of[checked[:, 0]], kind_of[checked[:, 1]]
    result = np.empty((len(checked), cdfs.shape[1]))
    for kind in range(len(kinds)):
        chosen = (first == kind) & (second == kind)
        result[chosen] = _from_sums(engine, cdfs, checked[chosen], kinds[kind])
    mixed = first != second
    if mixed.any():
        sums = engine.largest_share_sums(cdfs, checked[mixed], layout)
        result[mixed] = 1 - sums / cdfs.shape[3]
    return result


def frame_pair_count_sums(
    cdfs: CountArray, pairs: IntArray, sizes: IntArray, *, device: str = "cpu"
) -> npt.NDArray[np.int64]:
    """Sum over cells of the largest absolute difference of cumulative counts, which is exact.

    Args:
        cdfs: (frame, channel, bin, cell) uint16 or uint32 counts.
        pairs: (n, 2) positions on the first axis of `cdfs`.
        sizes: (cell,) pixels of each cell, all equal; else counts of different cells do not add up.
        device: as `frame_pair_channel_similarities`.

    Returns:
        (n, channel) int64; similarity is ``1 - sum / (cells * size)``.

    Raises:
        UsageError: cells of different sizes, rounded CDFs, or as `frame_pair_channel_similarities`.
    """
    checked = _check_pairs(cdfs, pairs)
    layout = _sizes(cdfs, sizes)
    if cdfs.dtype == np.uint8 or layout.min() != layout.max():
        raise UsageError(
            f"count sums of {cdfs.dtype} CDFs with cells of {layout.min()} to {layout.max()} pixels; "
            "they are defined for unrounded counts and cells of one size: use similarities"
        )
    members = np.ones((1, cdfs.shape[3]), np.bool_)
    return engine_for(device).largest_difference_sums(cdfs, checked, members)[:, :, 0]


def round_cdfs(cdfs: CountArray, sizes: IntArray) -> npt.NDArray[np.uint8]:
    """Round counts to 1/255 of the cell's size (half up), which halves the working set.

    Each share moves by at most 1/510, so a D, and with it a similarity, by at most 1/255. Between real frames,
    whose cells' errors cancel, a similarity of frames moved by at most 1.4e-4.

    Args:
        cdfs: (frame, channel, bin, cell) uint16 or uint32 counts.
        sizes: (cell,) or (frame, cell) pixels of each cell. Rounded frames need no sizes any more: where heights
            differ, they compare like any others.

    Returns:
        uint8 of the same shape.

    Raises:
        UsageError: arrays that do not fit together, or CDFs that are rounded already.
    """
    if cdfs.dtype == np.uint8:
        raise UsageError("these CDFs are rounded already; expected uint16 or uint32 counts")
    layout = np.atleast_2d(_sizes(cdfs, sizes))
    rounded = np.empty(cdfs.shape, np.uint8)
    ks_kernels.round_counts(np.ascontiguousarray(cdfs), np.ascontiguousarray(layout), rounded)
    return rounded


def engine_for(device: str) -> Engine:
    """The engine of a device; torch is imported only where it is asked for.

    Raises:
        UsageError: unknown, or a GPU that is not there.
    """
    if device not in DEVICES:
        raise UsageError(f"device is {device!r}; choose one of {', '.join(DEVICES)}")
    if device == "cpu":
        return ks_kernels.NumbaEngine()
    from wxpipe.similarity import ks_torch

    if device == "torch-cpu":
        return ks_torch.TorchEngine("cpu")
    if ks_torch.has_cuda():
        return ks_torch.TorchEngine("cuda")
    if device == "auto":
        return ks_kernels.NumbaEngine()
    raise UsageError("device is 'cuda', and torch finds no GPU here; choose cpu or auto")


@dataclass(frozen=True)
class _SizeGroups:
    """Cells grouped by size: sizes (group,), members (group, cell)."""

    sizes: npt.NDArray[np.int64]
    members: npt.NDArray[np.bool_]


def _group(sizes: npt.NDArray[np.int64]) -> _SizeGroups:
    distinct = np.unique(sizes)
    return _SizeGroups(distinct, sizes[np.newaxis, :] == distinct[:, np.newaxis])


def _from_sums(
    engine: Engine, cdfs: CountArray, pairs: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
) -> FloatArray:
    """Similarities (n, channel) of frames whose cells have the same sizes (cell,)."""
    groups = _group(sizes)
    sums = engine.largest_difference_sums(cdfs, pairs, groups.members)
    distances = np.zeros(sums.shape[:2])
    for group, size in enumerate(groups.sizes.tolist()):
        distances += sums[:, :, group] / size
    return 1 - distances / sizes.size


def _check_pairs(cdfs: CountArray, pairs: IntArray) -> npt.NDArray[np.int64]:
    if cdfs.ndim != 4 or cdfs.dtype not in (np.uint8, np.uint16, np.uint32):
        raise UsageError(f"CDFs are {cdfs.dtype} {cdfs.shape}; expected uint8, 16 or 32 (frame, channel, bin, cell)")
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise UsageError(f"pairs have shape {pairs.shape}; expected (n, 2)")
    if pairs.size and (pairs.min() < 0 or pairs.max() >= len(cdfs)):
        raise UsageError(
            f"pairs name frames {pairs.min()} to {pairs.max()}; expected 0 to {len(cdfs) - 1}, the frames given"
        )
    return np.ascontiguousarray(pairs, np.int64)


def _sizes(cdfs: CountArray, sizes: IntArray | None) -> npt.NDArray[np.int64]:
    """Sizes (cell,) or (frame, cell), checked against the CDFs; those of rounded ones are 255."""
    if (sizes is None) != (cdfs.dtype == np.uint8):
        raise UsageError("give sizes with uint16 or uint32 counts, and none with rounded (uint8) CDFs")
    if sizes is None:
        return np.full(cdfs.shape[3], ROUNDED_SIZE, np.int64)
    if sizes.shape not in ((cdfs.shape[3],), (cdfs.shape[0], cdfs.shape[3])) or sizes.min(initial=1) < 1:
        raise UsageError(
            f"sizes have shape {sizes.shape}, least {sizes.min(initial=1)}; expected at least 1 pixel each of "
            f"{cdfs.shape[3]} cells, or of (frame, cell) {(cdfs.shape[0], cdfs.shape[3])}"
        )
    return sizes.astype(np.int64)
