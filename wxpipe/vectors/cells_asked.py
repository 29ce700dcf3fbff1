"""What a search by cells is of: the region or the cells that a request names, and where else analogs may have them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from wxpipe.errors import UsageError
from wxpipe.satellites.catalog import Source
from wxpipe.satellites.geography import Cell, GridEdges, parse_cells
from wxpipe.similarity.histograms import histogram_store
from wxpipe.similarity.layout import cell_edges
from wxpipe.store.root import Root
from wxpipe.vectors.answers import SearchRequest
from wxpipe.vectors.bands import WHOLE, Bands

MOST_CELLS = 144
"""A quarter of 24 x 24: beyond that a search of whole pictures says the same, and costs nothing."""
MOST_SHIFTED_CELLS = 48
"""Where they may be shifted, by which they are compared up to 25 times."""
LEAST_OVERLAP = 0.75
"""Of the cells, that must stay on the grid where they are shifted: over few of them anything resembles anything."""

Shift = tuple[int, int]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CellsAsked:
    """What a request names.

    Attributes:
        cells: rows and columns in the grid, in order of rows.
        shifts: rows down and columns to the right that candidates may lie further, the nearest first.
        channels: positions of the channels that are compared.
    """

    region: str
    cells: tuple[Cell, ...]
    shifts: tuple[Shift, ...]
    channels: tuple[int, ...]
    grid: int

    def pairs(self, shift: Shift) -> tuple[Ints, Ints]:
        """Of a shift, cells of the query and of candidates, as numbers in the grid; what leaves it is left out."""
        there = np.array(self.cells, np.int64)
        moved = there + np.array(shift, np.int64)
        within = ((moved >= 0) & (moved < self.grid)).all(axis=1)
        numbers = np.array([self.grid, 1], np.int64)
        return there[within] @ numbers, moved[within] @ numbers


def cells_asked(root: Root, source: Source, request: SearchRequest, bands: Bands = WHOLE) -> CellsAsked | None:
    """The cells of a request; None for one of whole pictures.

    Raises:
        UsageError: no such region or cell, or too many.
    """
    if not (request.region or request.cells):
        return None
    store, area = histogram_store(root, source), source.area
    grid = store.spec.grid
    if request.region:
        edges = cell_edges(store.spec, area.rows, area.columns, area.title_rows)
        cells = source.geography.region_cells(request.region, GridEdges(*edges, (area.rows, area.columns)))
    else:
        cells = parse_cells(request.cells, grid)
    if len(cells) > MOST_CELLS:
        raise UsageError(f"{len(cells)} cells are asked for; at most {MOST_CELLS}: search whole pictures instead")
    if request.shift and len(cells) > MOST_SHIFTED_CELLS:
        raise UsageError(f"{len(cells)} cells are asked for; with a shift at most {MOST_SHIFTED_CELLS}")
    reach = range(-request.shift, request.shift + 1)
    shifts = sorted(((dy, dx) for dy in reach for dx in reach), key=lambda s: (s[0] ** 2 + s[1] ** 2, s))
    channels = bands.places(source) or range(len(source.satellite.channels))
    asked = CellsAsked(request.region or "", cells, tuple(shifts), tuple(channels), grid)
    kept = [shift for shift in shifts if len(asked.pairs(shift)[0]) >= LEAST_OVERLAP * len(cells)]
    return replace(asked, shifts=tuple(kept))
