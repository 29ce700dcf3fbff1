"""Where the cells of an N x N grid lie on a picture, for the two layouts, and what their name is.

Arithmetic on sizes alone: counting pixels is `cdf`, comparing counts is `ks`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from wxpipe.errors import UsageError

Layout = Literal["exact", "reference"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

MAXIMUM_GRID = 4096
MAXIMUM_BINS = 256  # pictures hold 256 values; more bins than that are empty by construction

# The published program allocates (W + 50) * (H + 50) samples and reads past the end without noticing.
REFERENCE_MARGIN = 50

_NAME = re.compile(r"(\d{1,9})x(\d{1,9})-([a-z]+)")


@dataclass(frozen=True)
class GridSpec:
    """How a picture is cut and counted.

    Args:
        grid: N, cells along each side, 1 to 4096.
        bins: B, equal bins of the grey values 0..255, 2 to 256.
        layout: `exact` cuts the picture below its title rows at ``floor(i * size / N)``; `reference` repeats
            the published program: cells of ``ceil(H / N) x ceil(W / N)`` over the whole flat buffer.

    Raises:
        UsageError: a value is outside its limits.
    """

    grid: int = 24
    bins: int = 20
    layout: Layout = "exact"

    def __post_init__(self) -> None:
        if not 1 <= self.grid <= MAXIMUM_GRID:
            raise UsageError(f"grid is {self.grid}; choose 1 to {MAXIMUM_GRID} cells along a side, e.g. 24")
        if not 2 <= self.bins <= MAXIMUM_BINS:
            raise UsageError(f"bins is {self.bins}; choose 2 to {MAXIMUM_BINS} bins of grey values, e.g. 20")
        if self.layout not in LAYOUTS:
            raise UsageError(f"layout is {self.layout!r}; choose one of {', '.join(LAYOUTS)}")

    @property
    def name(self) -> str:
        """What stores and tables call it, e.g. ``24x20-exact``."""
        return f"{self.grid}x{self.bins}-{self.layout}"

    @property
    def cells(self) -> int:
        """N * N."""
        return self.grid * self.grid

    @classmethod
    def parse(cls, name: str) -> GridSpec:
        """Read `name` back.

        Raises:
            UsageError: not of the form ``<grid>x<bins>-<layout>``, or a value outside its limits.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            raise UsageError(f"{name!r} names no grid; expected <grid>x<bins>-<layout>, e.g. 24x20-exact")
        grid, bins, layout = match.groups()
        return cls(int(grid), int(bins), cast(Layout, layout))


def cell_edges(
    spec: GridSpec, rows: int, columns: int, title_rows: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where cells begin and end.

    Args:
        spec: the grid.
        rows: H, the picture's true height.
        columns: W, its width.
        title_rows: rows at the top that `exact` leaves out; `reference` takes the whole picture.

    Returns:
        Row edges (N + 1,) and column edges (N + 1,): cell i covers ``edges[i] .. edges[i + 1] - 1``. In the
        `reference` layout they may pass the picture's sides (see `reference_samples`).

    Raises:
        UsageError: the grid does not fit the picture.
    """
    step = np.arange(spec.grid + 1, dtype=np.int64)
    if spec.layout == "reference":
        height, width = reference_cell(spec, rows, columns)
        return step * height, step * width
    _check_exact(spec, rows, columns, title_rows)
    return title_rows + step * (rows - title_rows) // spec.grid, step * columns // spec.grid


def cell_sizes(spec: GridSpec, rows: int, columns: int, title_rows: int) -> npt.NDArray[np.int64]:
    """Pixels of each cell, row by row, (cells,); unequal where the layout is `exact` and N does not divide.

    Raises:
        UsageError: the grid does not fit the picture.
    """
    row_edges, column_edges = cell_edges(spec, rows, columns, title_rows)
    return np.outer(np.diff(row_edges), np.diff(column_edges)).ravel()


def reference_cell(spec: GridSpec, rows: int, columns: int) -> tuple[int, int]:
    """Height and width of every cell of the `reference` layout.

    Raises:
        UsageError: the published program would read outside its buffer, where nothing is defined.
    """
    if min(rows, columns) < 1:
        raise UsageError(f"a picture of {rows} x {columns} has no pixels to count")
    height, width = -(-rows // spec.grid), -(-columns // spec.grid)
    last = (height * spec.grid - 1) * columns + width * spec.grid - 1
    buffer = (columns + REFERENCE_MARGIN) * (rows + REFERENCE_MARGIN)
    if last >= buffer:
        raise UsageError(
            f"grid {spec.grid} on a picture of {rows} x {columns}, layout reference: the published program "
            f"would read sample {last:,} of a buffer of {buffer:,}, so it has no defined result; "
            "choose another grid, or layout exact"
        )
    return height, width


def reference_samples(spec: GridSpec, rows: int, columns: int) -> int:
    """Length of the flat buffer that holds the whole picture and every sample that the cells reach.

    Sample (i, j) is ``flat[i * W + j]``: columns past W read the start of the next row, rows past H read zeros.
    """
    height, width = reference_cell(spec, rows, columns)
    return max(rows * columns, (height * spec.grid - 1) * columns + width * spec.grid)


def _check_exact(spec: GridSpec, rows: int, columns: int, title_rows: int) -> None:
    if title_rows < 0 or rows <= title_rows:
        raise UsageError(f"title_rows is {title_rows} of a picture of {rows} rows; expected 0 to {rows - 1}")
    limit = min(rows - title_rows, columns)
    if spec.grid > limit:
        raise UsageError(
            f"grid {spec.grid} on a picture of {rows - title_rows} x {columns} (below {title_rows} title rows) "
            f"would leave cells without pixels; choose at most {limit}"
        )
