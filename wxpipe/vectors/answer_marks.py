"""Marks on the pictures of a search by cells: the outline of what was compared, and an arrow where it was shifted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.satellites.catalog import Source
from wxpipe.satellites.geography import Cell
from wxpipe.similarity.histograms import histogram_store
from wxpipe.similarity.layout import cell_edges
from wxpipe.store.root import Root

COLOUR, ARROW, SHADE = "#ffd23f", "#ff5a36", "#101820"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Marks:
    """What is drawn on each picture of a row, in shares of a reduced picture's height and width.

    Attributes:
        sides: of the outline, (n, 2 ends, y and x).
        arrow: from the middle of the query's cells to that of the analog's; None where they lie at one place.
    """

    sides: Floats
    arrow: Floats | None


def marks_of(root: Root, source: Source, cells: Sequence[Cell], shift: tuple[int, int]) -> Marks:
    """The outline of cells where a shift takes them."""
    store, area = histogram_store(root, source), source.area
    grid, crop = store.spec.grid, area.crop_rows
    rows, columns = cell_edges(store.spec, area.rows, area.columns, area.title_rows)
    y, x = (rows - crop) / (area.rows - crop), columns / area.columns
    moved = {(row + shift[0], column + shift[1]) for row, column in cells}
    there = {cell for cell in moved if 0 <= cell[0] < grid and 0 <= cell[1] < grid}
    sides = [[(y[a], x[b]), (y[c], x[d])] for row, column in sorted(there) for a, b, c, d in _sides(there, row, column)]
    arrow = np.array([_middle(cells, y, x), _middle(cells, y, x, shift)]) if any(shift) else None
    return Marks(np.clip(np.array(sides).reshape(-1, 2, 2), 0, 1), arrow)


def _sides(there: set[Cell], row: int, column: int) -> list[tuple[int, int, int, int]]:
    """Sides of a cell beyond which lies none, by the corners of the grid."""
    around = {
        (row - 1, column): (row, column, row, column + 1),
        (row + 1, column): (row + 1, column, row + 1, column + 1),
        (row, column - 1): (row, column, row + 1, column),
        (row, column + 1): (row, column + 1, row + 1, column + 1),
    }
    return [side for cell, side in around.items() if cell not in there]


def _middle(cells: Sequence[Cell], y: Floats, x: Floats, shift: tuple[int, int] = (0, 0)) -> tuple[float, float]:
    rows, columns = np.array(cells).T
    steps = (y[-1] - y[0]) / (len(y) - 1), (x[-1] - x[0]) / (len(x) - 1)
    return (
        float((y[rows] + y[rows + 1]).mean() / 2 + shift[0] * steps[0]),
        float((x[columns] + x[columns + 1]).mean() / 2 + shift[1] * steps[1]),
    )


def draw_marks(axes: Any, marks: Marks, shape: tuple[int, ...]) -> None:
    """Draws on a picture (y, x) of the same axes; a dark line under a bright one is seen on any cloud."""
    size = np.array(shape[:2])
    for width, colour in ((2.6, SHADE), (1.2, COLOUR)):
        for start, stop in marks.sides * size - 0.5:
            axes.plot([start[1], stop[1]], [start[0], stop[0]], color=colour, linewidth=width, solid_capstyle="round")
    if marks.arrow is not None:
        start, stop = marks.arrow * size - 0.5
        for width, colour in ((3.0, SHADE), (1.6, ARROW)):
            style = {"arrowstyle": "-|>,head_width=0.22,head_length=0.4", "linewidth": width, "color": colour,
                     "shrinkA": 0, "shrinkB": 0}  # fmt: skip
            axes.annotate("", (stop[1], stop[0]), (start[1], start[0]), arrowprops=style)
    axes.set_xlim(-0.5, size[1] - 0.5)
    axes.set_ylim(size[0] - 0.5, -0.5)
