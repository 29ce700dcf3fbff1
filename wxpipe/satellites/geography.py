"""Where on the Earth the pictures of an area lie, and its named regions; which cells of a grid a region takes.

Data of a satellite's TOML. It defines no picture and no result of the archive, so it may change under a root.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from wxpipe.config import Strict
from wxpipe.errors import UsageError

Cell = tuple[int, int]
"""Row and column of a cell in a grid, from the upper left, from 0."""
Floats = npt.NDArray[np.float64]

ECCENTRICITY = 0.0818191908  # of the Earth: WGS 84
LEAST_SHARE = 1 / 3
"""Of a cell, that must lie within an outline: at a half, seas as narrow as a cell would lose their shores."""
SAMPLES = 8
"""Points along each side of a cell by which its share is told."""


class PolarStereographic(Strict):
    """A map that looks down on the north pole, in pixels of a picture of a size; others are taken to be scaled."""

    size: tuple[int, int] = Field(description="Rows and columns of the picture that the other numbers are of.")
    pole: tuple[float, float] = Field(description="Row and column of the north pole, which lies outside.")
    scale: float = Field(gt=0, description="Pixels from the pole to where tan(colatitude / 2) would be 1.")
    meridian: float = Field(ge=-180, le=180, description="Degrees east of the one that runs straight down.")

    def place(self, latitude: npt.ArrayLike, longitude: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Row and column of places, as shares of the picture's height and width; outside 0..1 they are not on it."""
        phi, east = np.radians(np.asarray(latitude, np.float64)), np.asarray(longitude, np.float64)
        bent = ECCENTRICITY * np.sin(phi)
        away = self.scale * np.tan(np.pi / 4 - phi / 2) / ((1 - bent) / (1 + bent)) ** (ECCENTRICITY / 2)
        turned = np.radians(east - self.meridian)
        rows, columns = self.size
        return (self.pole[0] + away * np.cos(turned)) / rows, (self.pole[1] + away * np.sin(turned)) / columns


class Region(Strict):
    """A named part of an area: an outline on the Earth, or cells of a grid where nobody knows where pictures lie."""

    title: str
    outline: tuple[tuple[float, float], ...] = Field(
        default=(), description="Latitude and longitude of its corners, degrees, in order around it."
    )
    cells: tuple[str, ...] = Field(default=(), description="Cells, as `--cells` takes them, e.g. 3.9-6.14.")
    grid: int = Field(default=0, ge=0, description="N of the N x N grid that `cells` are of.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.outline) == bool(self.cells):
            raise ValueError(f"region {self.title!r}: give its outline or its cells: one of the two")
        if self.outline and len(self.outline) < 3:
            raise ValueError(f"region {self.title!r}: an outline has at least three corners")
        if self.cells:
            if not self.grid:
                raise ValueError(f"region {self.title!r}: say of which grid its cells are, e.g. grid = 24")
            try:
                parse_cells(" ".join(self.cells), self.grid)
            except UsageError as error:
                raise ValueError(f"region {self.title!r}: {error}") from error
        return self


class Geography(Strict):
    """Where the pictures of one area lie, as far as it is known, and its regions by name."""

    middle: tuple[float, float] | None = Field(
        default=None, description="Latitude and longitude of the area's middle, where the area itself has none."
    )
    projection: PolarStereographic | None = None
    regions: dict[str, Region] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _placed(self) -> Self:
        lost = [name for name, region in self.regions.items() if region.outline and self.projection is None]
        if lost:
            raise ValueError(f"regions {', '.join(lost)} have outlines, and no projection says where they lie")
        return self

    def region_cells(self, name: str, edges: GridEdges) -> tuple[Cell, ...]:
        """The cells of a region in a grid, in order of rows; see `LEAST_SHARE`.

        Raises:
            UsageError: no such region, or it lies outside of the pictures.
        """
        if name not in self.regions:
            known = ", ".join(sorted(self.regions)) or "none: say it in cells, e.g. --cells 3.9-6.14"
            raise UsageError(f"no region is called {name!r}; known regions: {known}")
        region = self.regions[name]
        if region.outline:
            assert self.projection is not None
            corners = np.array(region.outline, np.float64)
            shares = _shares_within(*self.projection.place(corners[:, 0], corners[:, 1]), edges)
        else:
            shares = _shares_of_cells(parse_cells(" ".join(region.cells), region.grid), region.grid, edges)
        found = tuple((int(row), int(column)) for row, column in np.argwhere(shares >= LEAST_SHARE))
        if not found:
            raise UsageError(f"region {name!r} covers no cell of this grid of {len(edges.rows) - 1} to a third")
        return found


class GridEdges:
    """Where the cells of a grid begin and end: (N + 1,) rows and columns as shares of the picture, 0..1."""

    def __init__(self, rows: npt.ArrayLike, columns: npt.ArrayLike, size: tuple[int, int]) -> None:
        self.rows: Floats = np.asarray(rows, np.float64) / size[0]
        self.columns: Floats = np.asarray(columns, np.float64) / size[1]

    def samples(self) -> tuple[Floats, Floats]:
        """Points of each cell: rows (N, SAMPLES) and columns (N, SAMPLES)."""
        within = (np.arange(SAMPLES) + 0.5) / SAMPLES
        return tuple(  # type: ignore[return-value]
            edges[:-1, None] + np.diff(edges)[:, None] * within for edges in (self.rows, self.columns)
        )


def parse_cells(text: str, grid: int) -> tuple[Cell, ...]:
    """Cells as people write them: ``3.9`` is row 3, column 9, ``3.9-6.14`` all from there to row 6, column 14.

    Several are set apart by commas or spaces.

    Raises:
        UsageError: it cannot be understood, or a cell lies outside of the grid.
    """
    found: set[Cell] = set()
    for part in text.replace(",", " ").split():
        corners = part.split("-")
        try:
            (top, left), (bottom, right) = (_corner(corner) for corner in (corners[0], corners[-1]))
        except ValueError as error:
            raise UsageError(f"cells {part!r}: expected row.column or a range of them, e.g. 3.9-6.14") from error
        if len(corners) > 2 or top > bottom or left > right:
            raise UsageError(f"cells {part!r}: expected the upper left cell first, then the lower right, e.g. 3.9-6.14")
        if bottom >= grid or right >= grid:
            raise UsageError(f"cells {part!r} lie outside of the grid; its rows and columns are 0 to {grid - 1}")
        found |= {(row, column) for row in range(top, bottom + 1) for column in range(left, right + 1)}
    if not found:
        raise UsageError("no cells are named; expected row.column or ranges of them, e.g. 3.9-6.14")
    return tuple(sorted(found))


def _corner(text: str) -> Cell:
    row, column = text.split(".")
    if (
        not (row.isascii() and row.isdigit() and column.isascii() and column.isdigit())
        or max(len(row), len(column)) > 5
    ):
        raise ValueError(text)
    return int(row), int(column)


def _shares_within(rows: Floats, columns: Floats, edges: GridEdges) -> Floats:
    """Of each cell (N, N), the share that lies within a polygon: a ray crosses its sides an odd number of times."""
    y, x = edges.samples()
    py, px = np.broadcast_arrays(y[:, None, :, None], x[None, :, None, :])
    inside = np.zeros(py.shape, np.bool_)
    for n in range(len(rows)):
        (y0, x0), (y1, x1) = (rows[n - 1], columns[n - 1]), (rows[n], columns[n])
        if y0 != y1:
            crosses = (y0 > py) != (y1 > py)
            inside ^= crosses & (px < x0 + (x1 - x0) * (py - y0) / (y1 - y0))
    shares: Floats = inside.mean(axis=(2, 3))
    return shares


def _shares_of_cells(cells: tuple[Cell, ...], grid: int, edges: GridEdges) -> Floats:
    """The same of cells of another grid, whose cells are taken as equal parts of the one at hand."""
    marked = np.zeros((grid, grid), np.bool_)
    marked[tuple(np.array(cells).T)] = True
    count = len(edges.rows) - 1
    points: Any = (np.arange(count)[:, None] + (np.arange(SAMPLES) + 0.5) / SAMPLES) / count * grid
    places = points.astype(np.int64)
    shares: Floats = marked[places[:, None, :, None], places[None, :, None, :]].mean(axis=(2, 3))
    return shares
