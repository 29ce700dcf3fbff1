"""How similar clips are: the mean over their frames, i-th with i-th, each pair of frames compared once.

Clips that overlap share frames, so the pairs of frames are far fewer than the frames of the pairs of clips: for
567 clips of one week 172,000, not 3.2 million. Frames are compared by `ks`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wxpipe.errors import UsageError
from wxpipe.kernels import kernel
from wxpipe.similarity.ks import CountArray, FloatArray, IntArray, frame_pair_similarities

# Up to here a table of all pairs of frames (9 bytes each, 150 MB) marks and holds the similarities; with more
# frames the pairs that occur are sorted out, which takes 70 bytes for each frame of each pair of clips.
TABLE_FRAMES = 4096
TABLE_USE = 16


def clip_similarities(
    cdfs: CountArray,
    clip_frames: IntArray,
    clip_pairs: IntArray,
    sizes: IntArray | None = None,
    *,
    device: str = "cpu",
) -> FloatArray:
    """How similar pairs of clips are.

    Args:
        cdfs: (frame, channel, bin, cell), as `ks.frame_pair_channel_similarities`.
        clip_frames: (clip, 20) positions of the clips' frames on the first axis of `cdfs`.
        clip_pairs: (m, 2) positions of the clips on the first axis of `clip_frames`.
        sizes: pixels of each cell, as `ks.frame_pair_channel_similarities`.
        device: as `ks.frame_pair_channel_similarities`.

    Returns:
        (m,) float64, 0..1: mean over frames, i-th with i-th, channels and cells.

    Raises:
        UsageError: arrays that do not fit together, or a device that is unknown or absent.
    """
    _check(cdfs, clip_frames, clip_pairs)
    if not len(clip_pairs):
        return np.empty(0)
    pairs = np.ascontiguousarray(clip_pairs, np.int64)
    frames, local = np.unique(clip_frames, return_inverse=True)
    positions = np.ascontiguousarray(local.reshape(clip_frames.shape), np.int64)
    # A table costs by the square of the frames, sorting by the pairs: where few of the table would be used, sorting is
    # quicker.
    if len(frames) > TABLE_FRAMES or len(frames) ** 2 > TABLE_USE * positions.shape[1] * len(pairs):
        return _by_sorting(cdfs, frames, positions, pairs, sizes, device)
    wanted = np.zeros((len(frames), len(frames)), np.bool_)
    _mark(positions, pairs, wanted)
    occurring = np.argwhere(wanted)
    table = np.zeros(wanted.shape)
    table[wanted] = frame_pair_similarities(cdfs, frames[occurring], sizes, device=device)
    result = np.empty(len(pairs))
    _gather(positions, pairs, table, result)
    return result


def clip_similarity_matrix(
    cdfs: CountArray, clip_frames: IntArray, sizes: IntArray | None = None, *, device: str = "cpu"
) -> FloatArray:
    """How similar all clips are to each other.

    Args:
        cdfs: (frame, channel, bin, cell), as `ks.frame_pair_channel_similarities`.
        clip_frames: (clip, 20) positions of the clips' frames on the first axis of `cdfs`.
        sizes: pixels of each cell, as `ks.frame_pair_channel_similarities`.
        device: as `ks.frame_pair_channel_similarities`.

    Returns:
        (clip, clip) float64, symmetric, its diagonal 1.

    Raises:
        UsageError: arrays that do not fit together, or a device that is unknown or absent.
    """
    first, second = np.triu_indices(len(clip_frames), k=1)
    values = clip_similarities(cdfs, clip_frames, np.stack((first, second), axis=1), sizes, device=device)
    matrix = np.eye(len(clip_frames))
    matrix[first, second] = values
    matrix[second, first] = values
    return matrix


def _by_sorting(
    cdfs: CountArray,
    frames: IntArray,
    positions: npt.NDArray[np.int64],
    pairs: npt.NDArray[np.int64],
    sizes: IntArray | None,
    device: str,
) -> FloatArray:
    """`clip_similarities` where a table of all pairs of frames would be too large."""
    first, second = positions[pairs[:, 0]], positions[pairs[:, 1]]
    keys = np.minimum(first, second) * len(frames) + np.maximum(first, second)
    occurring, where = np.unique(keys, return_inverse=True)
    compared = frames[np.stack(np.divmod(occurring, len(frames)), axis=1)]
    similarities = frame_pair_similarities(cdfs, compared, sizes, device=device)
    result: FloatArray = similarities[where.reshape(keys.shape)].mean(axis=1)
    return result


def _check(cdfs: CountArray, clip_frames: IntArray, clip_pairs: IntArray) -> None:
    if clip_frames.ndim != 2 or clip_frames.shape[1] < 1:
        raise UsageError(f"clip_frames have shape {clip_frames.shape}; expected (clip, frames)")
    if clip_frames.size and (clip_frames.min() < 0 or clip_frames.max() >= len(cdfs)):
        raise UsageError(f"clips name frames {clip_frames.min()} to {clip_frames.max()}; expected 0 to {len(cdfs) - 1}")
    if clip_pairs.ndim != 2 or clip_pairs.shape[1] != 2:
        raise UsageError(f"clip_pairs have shape {clip_pairs.shape}; expected (m, 2)")
    if clip_pairs.size and (clip_pairs.min() < 0 or clip_pairs.max() >= len(clip_frames)):
        raise UsageError(
            f"pairs name clips {clip_pairs.min()} to {clip_pairs.max()}; expected 0 to {len(clip_frames) - 1}"
        )


@kernel
def _mark(clip_frames: npt.NDArray[np.int64], clip_pairs: npt.NDArray[np.int64], wanted: npt.NDArray[np.bool_]) -> None:
    """Mark in `wanted` (frame, frame), above its diagonal and on it, the pairs of frames that occur."""
    for p in range(len(clip_pairs)):
        first, second = clip_frames[clip_pairs[p, 0]], clip_frames[clip_pairs[p, 1]]
        for i in range(first.size):
            wanted[min(first[i], second[i]), max(first[i], second[i])] = True


@kernel
def _gather(
    clip_frames: npt.NDArray[np.int64],
    clip_pairs: npt.NDArray[np.int64],
    table: FloatArray,
    result: FloatArray,
) -> None:
    """Fill `result` (m,) with the means over frames of `table` (frame, frame), its upper half filled."""
    for p in range(len(clip_pairs)):
        first, second = clip_frames[clip_pairs[p, 0]], clip_frames[clip_pairs[p, 1]]
        total = 0.0
        for i in range(first.size):
            total += table[min(first[i], second[i]), max(first[i], second[i])]
        result[p] = total / first.size
