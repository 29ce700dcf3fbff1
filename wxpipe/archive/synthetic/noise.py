"""Smooth noise on an endless plane: octaves of cubic B-splines over nodes that are hashes of their place.

The plane is the sky's map: one unit is as wide as a picture of East Asia, its first coordinate goes down (south), its
second right (east). Whatever window of it one looks at, at whatever resolution, shows the same noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wxpipe.draws import derived_seed, splitmix64
from wxpipe.kernels import kernel

Floats = NDArray[np.float32]

_SPREAD = 0.277  # standard deviation of a cubic B-spline surface over nodes uniform on [-1, 1)
_ORIGIN = 1 << 31  # nodes of the plane's far north-west, so that their numbers are not negative


@dataclass(frozen=True)
class Window:
    """A part of the plane as a raster of square pixels.

    Attributes:
        rows, columns: of the raster.
        top, left: the plane's coordinates of its upper left corner.
        width: of the plane that it shows.
    """

    rows: int
    columns: int
    top: float
    left: float
    width: float

    @property
    def pixel(self) -> float:
        """Side of a pixel on the plane."""
        return self.width / self.columns

    @cached_property
    def down(self) -> NDArray[np.float64]:
        """First coordinate of each row's middle, (rows,)."""
        down: NDArray[np.float64] = self.top + (np.arange(self.rows, dtype=np.float64) + 0.5) * self.pixel
        return down

    @cached_property
    def right(self) -> NDArray[np.float64]:
        """Second coordinate of each column's middle, (columns,)."""
        right: NDArray[np.float64] = self.left + (np.arange(self.columns, dtype=np.float64) + 0.5) * self.pixel
        return right

    def padded(self, margin: int) -> Window:
        """The window with so many pixels more on every side."""
        off = margin * self.pixel
        columns = self.columns + 2 * margin
        return Window(self.rows + 2 * margin, columns, self.top - off, self.left - off, columns * self.pixel)

    def coarse(self, step: int) -> Window:
        """About the same part of the plane, in pixels `step` times as wide; covers all of it."""
        rows, columns = -(-self.rows // step), -(-self.columns // step)
        return Window(rows, columns, self.top, self.left, columns * step * self.pixel)

    def blank(self) -> Floats:
        """Zeros, float32 (rows, columns)."""
        return np.zeros((self.rows, self.columns), np.float32)


@dataclass(frozen=True)
class Blend:
    """Nodes as a weighted sum of draws.

    Attributes:
        seeds: of each draw.
        weights: of each draw; where their squares add to 1, the noise keeps its spread.
    """

    seeds: tuple[int, ...]
    weights: tuple[float, ...]


def between(seed: int, time: float, weight: float = 1.0) -> Blend:
    """Nodes that change with time: draw n at ``time == n``, on a circle between two, so that their spread stays.

    Args:
        time: in lives of the noise, from -10^6 on.
        weight: of the whole.
    """
    key = int(np.floor(time))
    angle = (time - key) * np.pi / 2
    seeds = tuple(derived_seed(seed, key + number + 1_000_000) for number in (0, 1))
    return Blend(seeds, (weight * float(np.cos(angle)), weight * float(np.sin(angle))))


def add_noise(
    out: Floats, window: Window, nodes: int, blend: Blend, moved: tuple[float, float], stretch: float = 1.0
) -> None:
    """Adds noise of unit spread (times the blend's weights) to a raster.

    Args:
        out: float32 (rows, columns) of the window.
        nodes: to a unit of the plane, from north to south.
        moved: how far (down, right) on the plane it was carried from where its nodes are drawn.
        stretch: how much longer than high it is, from west to east.
    """
    y, y_weights = _taps(window.down - moved[0], nodes)
    x, x_weights = _taps(window.right - moved[1], nodes / stretch)
    first_row, first_column = int(y.min()), int(x.min())
    shape = int(y.max()) + 4 - first_row, int(x.max()) + 4 - first_column
    lattice = np.zeros(shape, np.float32)
    for seed, weight in zip(blend.seeds, blend.weights, strict=True):
        if weight:
            lattice += np.float32(weight / _SPREAD) * _draw(derived_seed(seed, nodes), first_row, first_column, shape)
    _expand(lattice, y - first_row, y_weights, x - first_column, x_weights, out)


def _taps(place: NDArray[np.float64], nodes: float) -> tuple[NDArray[np.int64], Floats]:
    """For each row or column the first of its four nodes, and their cubic B-spline weights, (count, 4)."""
    scaled = place * nodes
    first = np.floor(scaled)
    t = scaled - first
    weights = np.stack(((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3), 1) / 6
    return first.astype(np.int64), weights.astype(np.float32)


def _draw(seed: int, first_row: int, first_column: int, shape: tuple[int, int]) -> Floats:
    """Nodes uniform on [-1, 1), each the hash of its row and column."""
    rows = (np.arange(shape[0], dtype=np.int64) + (first_row + _ORIGIN)).astype(np.uint64) << np.uint64(32)
    columns = (np.arange(shape[1], dtype=np.int64) + (first_column + _ORIGIN)).astype(np.uint64)
    words = splitmix64(seed, rows[:, np.newaxis] | columns)
    unit = (words >> np.uint64(40)).astype(np.float32)
    nodes: Floats = unit * np.float32(2.0**-23) - np.float32(1)
    return nodes


@kernel
def _expand(
    lattice: Floats, y: NDArray[np.int64], y_weights: Floats, x: NDArray[np.int64], x_weights: Floats, out: Floats
) -> None:
    line = np.empty(lattice.shape[1], np.float32)
    for row in range(out.shape[0]):
        first = y[row]
        for node in range(line.size):
            total = y_weights[row, 0] * lattice[first, node] + y_weights[row, 1] * lattice[first + 1, node]
            total += y_weights[row, 2] * lattice[first + 2, node] + y_weights[row, 3] * lattice[first + 3, node]
            line[node] = total
        for column in range(out.shape[1]):
            node = x[column]
            total = x_weights[column, 0] * line[node] + x_weights[column, 1] * line[node + 1]
            total += x_weights[column, 2] * line[node + 2] + x_weights[column, 3] * line[node + 3]
            out[row, column] += total
