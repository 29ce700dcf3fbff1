"""Grid CDFs: the cumulative histogram of every cell of one picture, in either layout.

Pictures in, counts out. Where pictures come from and where counts are kept is the stage's; cells are `layout`'s.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.errors import UsageError
from wxpipe.kernels import kernel
from wxpipe.similarity.layout import GridSpec, cell_edges, cell_sizes, reference_samples

GREY_WEIGHTS = (0.2989, 0.5870, 0.1140)  # red, green, blue; of the published program

CountArray = npt.NDArray[np.unsignedinteger[Any]]


def cdf_dtype(spec: GridSpec, rows: int, columns: int, title_rows: int) -> np.dtype[np.uint16] | np.dtype[np.uint32]:
    """What counts are kept as: uint16, or uint32 where a cell has over 65,535 pixels.

    Where heights vary, ask for the largest: it then holds the counts of all.
    """
    largest = int(cell_sizes(spec, rows, columns, title_rows).max())
    return np.dtype(np.uint16) if largest <= np.iinfo(np.uint16).max else np.dtype(np.uint32)


def grid_cdf_exact(picture: npt.NDArray[np.uint8], rows: int, title_rows: int, spec: GridSpec) -> CountArray:
    """Count a filled grey picture in the `exact` layout.

    Args:
        picture: (y, x) uint8; rows from `rows` on are padding and are not read.
        rows: the picture's true height.
        title_rows: rows at the top that are left out.
        spec: a grid of layout `exact`; the bin of v is ``floor(v * B / 256)``.

    Returns:
        (bin, cell) of `cdf_dtype`: pixels of the cell whose bin is at most b, for b = 0 .. B - 2. The last
        count would always be the cell's size and is not kept.

    Raises:
        UsageError: another layout, another kind of array, or a grid that does not fit.
    """
    _check_layout(spec, "exact")
    if picture.ndim != 2 or picture.dtype != np.uint8:
        raise UsageError(f"picture is {picture.dtype} {picture.shape}; expected uint8 (y, x)")
    height, columns = picture.shape
    if not 0 < rows <= height:
        raise UsageError(f"rows is {rows} of a picture of {height} rows; expected 1 to {height}")
    row_edges, column_edges = cell_edges(spec, rows, columns, title_rows)
    # First grey value of each bin: the least v with v * B >= 256 b.
    value_edges = -(-256 * np.arange(spec.bins + 1, dtype=np.int64) // spec.bins)
    counts = np.empty((spec.bins - 1, spec.cells), cdf_dtype(spec, rows, columns, title_rows))
    flat = np.ascontiguousarray(picture).reshape(-1)
    _count_cells(flat, columns, row_edges, column_edges, value_edges, counts)
    return counts


def grid_cdf_reference(rgb: npt.NDArray[np.uint8], spec: GridSpec) -> CountArray:
    """Count a source picture as the published program does, title bar and overlay included.

    Grey is ``.2989 R + .5870 G + .1140 B`` in double, rounded to float32; the bin is ``int(v / 255 * B)`` in
    float32. The weights add to .9999, so no colour reaches bin B.

    Args:
        rgb: (y, x, 3) uint8, the picture as its file has it (a fourth band is not read).
        spec: a grid of layout `reference`.

    Returns:
        (bin, cell) of `cdf_dtype`, as `grid_cdf_exact`.

    Raises:
        UsageError: another layout, another kind of array, or a grid that the published program cannot do.
    """
    _check_layout(spec, "reference")
    if rgb.ndim != 3 or rgb.dtype != np.uint8 or rgb.shape[2] < 3:
        raise UsageError(f"picture is {rgb.dtype} {rgb.shape}; expected uint8 (y, x, 3)")
    rows, columns = rgb.shape[:2]
    row_edges, column_edges = cell_edges(spec, rows, columns, 0)
    flat = np.zeros(reference_samples(spec, rows, columns), np.uint8)
    _reference_bins(np.ascontiguousarray(rgb), reference_bin_table(spec.bins), spec.bins, flat)
    value_edges = np.arange(spec.bins + 1, dtype=np.int64)
    counts = np.empty((spec.bins - 1, spec.cells), cdf_dtype(spec, rows, columns, 0))
    _count_cells(flat, columns, row_edges, column_edges, value_edges, counts)
    return counts


def reference_bin_table(bins: int) -> npt.NDArray[np.uint8]:
    """Bins of the two kinds of pixel that archives hold, (2, 256): ``(g, g, g)``, and drawn ``(g, g, 0)``."""
    table = np.empty((2, 256), np.uint8)
    for grey in range(256):
        table[0, grey] = _reference_bin(float(grey), float(grey), float(grey), bins)
        table[1, grey] = _reference_bin(float(grey), float(grey), 0.0, bins)
    return table


def _check_layout(spec: GridSpec, layout: str) -> None:
    if spec.layout != layout:
        raise UsageError(f"grid {spec.name} is of layout {spec.layout}; expected a grid of layout {layout}")


@kernel
def _reference_bin(red: float, green: float, blue: float, bins: int) -> int:
    grey = np.float32(0.2989 * red + 0.5870 * green + 0.1140 * blue)
    return int(grey / np.float32(255) * np.float32(bins))


@kernel
def _reference_bins(
    rgb: npt.NDArray[np.uint8], table: npt.NDArray[np.uint8], bins: int, flat: npt.NDArray[np.uint8]
) -> None:
    """Write the bin of each pixel of `rgb` (y, x, 3 or 4) into `flat`, row by row."""
    rows, columns, _ = rgb.shape
    plain, drawn = table[0], table[1]
    for y in range(rows):
        line = rgb[y]
        bins_of_row = flat[y * columns : (y + 1) * columns]
        for x in range(columns):
            red, green, blue = line[x, 0], line[x, 1], line[x, 2]
            if red == green and blue == green:
                bins_of_row[x] = plain[green]
            elif red == green and blue == 0:
                bins_of_row[x] = drawn[green]
            else:
                bins_of_row[x] = _reference_bin(float(red), float(green), float(blue), bins)


@kernel
def _count_cells(
    flat: npt.NDArray[np.uint8],
    stride: int,
    row_edges: npt.NDArray[np.int64],
    column_edges: npt.NDArray[np.int64],
    value_edges: npt.NDArray[np.int64],
    counts: CountArray,
) -> None:
    """Fill `counts` (bin, cell) from ``flat[i * stride + j]``; bin b holds values below ``value_edges[b + 1]``.

    Neighbouring pixels are often equal, and adding to one counter twice in a row waits for memory: four
    histograms take turns. Unsigned positions spare the compiler Python's negative indexes; together 2.5 times.
    """
    grid = row_edges.size - 1
    histograms = np.empty((grid, 4, 256), np.uint32)
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    for cell_row in range(grid):
        histograms[:] = 0
        for y in range(row_edges[cell_row], row_edges[cell_row + 1]):
            line = flat[y * stride : y * stride + column_edges[grid]]
            for cell_column in range(grid):
                first, second = histograms[cell_column, 0], histograms[cell_column, 1]
                third, fourth = histograms[cell_column, 2], histograms[cell_column, 3]
                x, stop = np.uint64(column_edges[cell_column]), np.uint64(column_edges[cell_column + 1])
                while x + four <= stop:
                    first[line[x]] += one
                    second[line[x + one]] += one
                    third[line[x + two]] += one
                    fourth[line[x + three]] += one
                    x += four
                while x < stop:
                    first[line[x]] += one
                    x += one
        for cell_column in range(grid):
            _accumulate(histograms[cell_column], value_edges, counts[:, cell_row * grid + cell_column])


@kernel
def _accumulate(histograms: npt.NDArray[np.uint32], value_edges: npt.NDArray[np.int64], counts: CountArray) -> None:
    """Add up one cell's four histograms (4, 256) into its cumulative counts (bin,)."""
    total = 0
    for b in range(counts.size):
        for value in range(value_edges[b], value_edges[b + 1]):
            for part in range(4):
                total += int(histograms[part, value])
        counts[b] = total
