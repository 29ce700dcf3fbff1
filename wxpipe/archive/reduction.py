"""Block means of pictures, and the published weighted grey; which picture is reduced is for the caller."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wxpipe.kernels import kernel

# The published encoder and ground truth weigh red, green and blue so; they add up to .9999, not to 1.
RED, GREEN, BLUE = 0.2989, 0.5870, 0.1140


def block_mean(
    values: NDArray[np.uint8] | NDArray[np.float64], crop_rows: int, factor: tuple[int, int]
) -> NDArray[np.uint8]:
    """Floor of the mean of each block, exact for uint8 (integer sums), rounded as doubles are for float64.

    Args:
        values: (y, x) uint8, or float64 within 0..255.
        crop_rows: rows left out at the top before blocks are laid.
        factor: rows and columns of a block. Rows and columns that fill no whole block are left out.

    Returns:
        (y_reduced, x_reduced) uint8.

    Raises:
        ValueError: where not even one block fits.
    """
    tall, wide = factor
    if min(tall, wide) < 1 or crop_rows < 0:
        raise ValueError(f"crop_rows {crop_rows} and factor {tall} x {wide}: expected 0 or more, and 1 or more")
    rows, columns = (values.shape[0] - crop_rows) // tall, values.shape[1] // wide
    if rows < 1 or columns < 1:
        raise ValueError(f"no {tall} x {wide} block fits {values.shape} less {crop_rows} rows")
    reduced = np.empty((rows, columns), np.uint8)
    blocks = values[crop_rows : crop_rows + rows * tall, : columns * wide]
    if blocks.dtype == np.uint8:
        dtype = np.int32 if tall * wide < 2**23 else np.int64  # 2**23 pixels of 255 still fit 32 bits
        _block_mean(blocks, np.zeros(columns * wide, dtype), dtype(tall * wide), reduced)
    elif blocks.dtype == np.float64:
        _block_mean(blocks, np.zeros(columns * wide, np.float64), np.float64(tall * wide), reduced)
    else:
        raise ValueError(f"expected uint8 or float64, found {blocks.dtype}")
    return reduced


def weighted_grey(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """``.2989 R + .5870 G + .1140 B`` of (y, x, 3) uint8, float64 (y, x), added from left to right."""
    grey = np.empty(rgb.shape[:2], np.float64)
    _weighted_grey(np.ascontiguousarray(rgb), grey)
    return grey


def published_reduction(rgb: NDArray[np.uint8], crop_rows: int, factor: tuple[int, int]) -> NDArray[np.uint8]:
    """The reduction behind the published vectors: of a source picture as it came, its overlay kept.

    Args:
        rgb: (y, x, 3) uint8.
        crop_rows: rows left out at the top; 100 for COMS.
        factor: rows and columns of a block; 4 x 4 for COMS, which gives 300 x 375.

    Returns:
        (y_reduced, x_reduced) uint8, equal to geon0325/weather_similarity's own reduced pictures.
    """
    return block_mean(weighted_grey(rgb[crop_rows:]), 0, factor)


@kernel
def _block_mean(
    values: NDArray[np.uint8] | NDArray[np.float64],
    sums: NDArray[np.int32] | NDArray[np.int64] | NDArray[np.float64],
    count: np.int32 | np.int64 | np.float64,
    reduced: NDArray[np.uint8],
) -> None:
    """Add up a block's rows first, a loop that vectorises, then `sums` (x,) across, in its dtype."""
    tall, wide = values.shape[0] // reduced.shape[0], values.shape[1] // reduced.shape[1]
    for row in range(reduced.shape[0]):
        sums[:] = 0
        for y in range(row * tall, row * tall + tall):
            for x in range(sums.size):
                sums[x] += values[y, x]
        for column in range(reduced.shape[1]):
            total = sums[column * wide]
            for x in range(column * wide + 1, column * wide + wide):
                total += sums[x]
            reduced[row, column] = np.uint8(total // count)


@kernel
def _weighted_grey(rgb: NDArray[np.uint8], grey: NDArray[np.float64]) -> None:
    for y in range(grey.shape[0]):
        for x in range(grey.shape[1]):
            grey[y, x] = RED * rgb[y, x, 0] + GREEN * rgb[y, x, 1] + BLUE * rgb[y, x, 2]
