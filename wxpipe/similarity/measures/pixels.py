"""Comparisons pixel by pixel: mean squared error, and the same in decibels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.kernels import kernel

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]

PEAK = 255.0
MOST_DECIBELS = 100.0
"""PSNR of equal pictures, which is infinite; pictures of up to 150,000 pixels that differ anywhere have less."""


def mse(material: npt.NDArray[Any], pairs: Ints, sizes: Ints | None = None) -> Floats:  # noqa: ARG001
    """The mean of the squared differences of grey values, 0 to 65,025."""
    frames, channels = material.shape[:2]
    flat = np.ascontiguousarray(material).reshape(frames, channels, -1)
    sums = np.empty((len(pairs), channels), np.int64)
    _squares(flat, np.ascontiguousarray(pairs, np.int64), sums)
    found: Floats = sums / flat.shape[2]
    return found


def psnr(material: npt.NDArray[Any], pairs: Ints, sizes: Ints | None = None) -> Floats:
    """``10 log10(255^2 / mse)`` decibels, at most `MOST_DECIBELS`."""
    errors = mse(material, pairs, sizes)
    found: Floats = np.full(errors.shape, MOST_DECIBELS)
    np.log10(PEAK**2 / np.where(errors > 0, errors, 1), out=found, where=errors > 0)
    return np.minimum(np.where(errors > 0, 10 * found, found), MOST_DECIBELS)


@kernel
def _squares(pictures: npt.NDArray[np.uint8], pairs: npt.NDArray[np.int64], sums: npt.NDArray[np.int64]) -> None:
    """Fill `sums` (n, channel) with the squared differences of `pictures` (frame, channel, pixel), pair by pair."""
    for n in range(len(pairs)):
        for channel in range(pictures.shape[1]):
            first, second = pictures[pairs[n, 0], channel], pictures[pairs[n, 1], channel]
            total = np.int64(0)
            for i in range(first.size):
                apart = np.int64(first[i]) - np.int64(second[i])
                total += apart * apart
            sums[n, channel] = total
