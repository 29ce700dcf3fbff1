"""Comparisons of the histograms of whole pictures, which their grid CDFs add up to; as OpenCV's `compareHist` has them.

Histograms are shares of a picture's pixels (they add up to 1), so that pictures of different heights compare; where
weather lies in the picture they do not see.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]

ROUNDED_SIZE = 255
"""What a full cell counts in rounded CDFs."""
_NOTHING = np.finfo(np.float64).eps


def shares(cdfs: npt.NDArray[Any], sizes: Ints | None = None) -> Floats:
    """The share of a picture's pixels in each bin, (frame, channel, bin); arguments as `registry.Score`."""
    cells = np.full(cdfs.shape[3], ROUNDED_SIZE, np.int64) if sizes is None else np.asarray(sizes, np.int64)
    whole = np.broadcast_to(cells.sum(axis=-1), len(cdfs))[:, np.newaxis, np.newaxis]
    below = cdfs.sum(axis=3, dtype=np.int64)
    counts = np.diff(np.concatenate([below, np.broadcast_to(whole, (*below.shape[:2], 1))], axis=2), axis=2, prepend=0)
    found: Floats = counts / whole
    return found


def correlation(material: npt.NDArray[Any], pairs: Ints, sizes: Ints | None = None) -> Floats:
    """Pearson's, over the bins; 1 where one of the histograms is the same in all of them, as in OpenCV."""
    first, second = _pairs(material, pairs, sizes)
    first, second = (one - one.mean(axis=2, keepdims=True) for one in (first, second))
    scale = np.sqrt((first**2).sum(axis=2) * (second**2).sum(axis=2))
    found: Floats = np.divide(
        (first * second).sum(axis=2), scale, out=np.ones(scale.shape), where=scale > _NOTHING
    ).clip(-1, 1)
    return found


def intersection(material: npt.NDArray[Any], pairs: Ints, sizes: Ints | None = None) -> Floats:
    """The sum of the smaller shares."""
    found: Floats = np.minimum(*_pairs(material, pairs, sizes)).sum(axis=2)
    return found


def chi_square(material: npt.NDArray[Any], pairs: Ints, sizes: Ints | None = None) -> Floats:
    """The sum of ``(a - b)^2 / a``; bins that the first picture has nothing in say nothing, as in OpenCV."""
    first, second = _pairs(material, pairs, sizes)
    found: Floats = np.divide((first - second) ** 2, first, out=np.zeros(first.shape), where=first > _NOTHING).sum(
        axis=2
    )
    return found


def bhattacharyya(material: npt.NDArray[Any], pairs: Ints, sizes: Ints | None = None) -> Floats:
    """The root of 1 less the sum of ``sqrt(a b)``: the Hellinger distance, which OpenCV calls so."""
    first, second = _pairs(material, pairs, sizes)
    found: Floats = np.sqrt(np.maximum(1 - np.sqrt(first * second).sum(axis=2), 0))
    return found


def _pairs(cdfs: npt.NDArray[Any], pairs: Ints, sizes: Ints | None) -> tuple[Floats, Floats]:
    """Histograms of the first and of the second frames, (n, channel, bin) each."""
    found = shares(cdfs, sizes)
    return found[pairs[:, 0]], found[pairs[:, 1]]
