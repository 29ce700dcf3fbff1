"""Takes the overlay off a picture, fills what it hid, and puts it back; which layer is whose, the store knows.

A layer is a bool (y, x) array: the pixels that are always drawn on, in one colour. Title rows are not in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wxpipe.archive.reduction import weighted_grey
from wxpipe.kernels import kernel

Bytes = NDArray[np.uint8]
Layer = NDArray[np.bool_]
Colour = tuple[int, int, int]

YELLOW: Colour = (255, 255, 0)
_WEIGHT_BITS = 14
_SECTORS = 8  # a hidden pixel is filled from the nearest known pixel in each of eight directions
_REACH = 4  # nothing further than this many times the nearest of them: its weight would be under a sixteenth


def learn_layer(pictures: Sequence[Bytes], title_rows: int, colour: Colour = YELLOW) -> Layer:
    """The pixels that have the overlay's colour in more than half of the sample.

    Args:
        pictures: (y, x, 3) uint8 of one size, of different times; an odd number of five or more serves well.
        title_rows: rows at the top that belong to no layer.
        colour: red, green, blue of the overlay.

    Returns:
        bool (y, x), False in the title rows.

    Raises:
        ValueError: for no pictures, or of different sizes.
    """
    shapes = sorted({picture.shape for picture in pictures})
    if len(shapes) != 1:
        raise ValueError(f"a layer is learned from pictures of one size, found {shapes or 'no pictures'}")
    count = np.zeros(shapes[0][:2], np.int32)
    for picture in pictures:
        count += np.all(picture == np.array(colour, np.uint8), axis=-1)
    layer: Layer = count * 2 > len(pictures)
    layer[:title_rows] = False
    return layer


def layer_digest(layer: Layer) -> str:
    """SHA-256, in hex, of the layer's shape and packed bits: what a layer is looked up by."""
    shape = "x".join(str(size) for size in layer.shape).encode()
    return hashlib.sha256(shape + b"\0" + np.packbits(layer).tobytes()).hexdigest()


def separate(rgb: Bytes, layer: Layer, title_rows: int, colour: Colour = YELLOW) -> tuple[Bytes, int]:
    """Grey values without the overlay, and how many pixels `restore` would not give back with this layer.

    A pixel is as expected where it is the overlay's colour under the layer, ``(g, g, g)`` elsewhere, and in
    the title rows g times the colour's lanes: ``(g, g, 0)`` for the yellow text of COMS.

    Args:
        rgb: (y, x, 3) uint8, as decoded.
        layer: bool (y, x).
        title_rows: rows at the top that hold the title bar.
        colour: red, green, blue of the overlay, title text included.

    Returns:
        Grey, uint8 (y, x), what was drawn still in place under the layer (for `fill`), and the mismatches.

    Raises:
        ValueError: where layer and picture differ in size.
    """
    if layer.shape != rgb.shape[:2]:
        raise ValueError(f"the layer is {layer.shape}, the picture {rgb.shape[:2]}")
    grey = np.empty(layer.shape, np.uint8)
    drawn = np.array(colour, np.uint8)
    bad = _separate_title(rgb[:title_rows], drawn, grey[:title_rows])
    bad += _separate(rgb[title_rows:], layer[title_rows:], drawn, grey[title_rows:])
    return grey, bad


def luminance(rgb: Bytes) -> Bytes:
    """``.2989 R + .5870 G + .1140 B`` rounded, uint8 (y, x): for pictures whose layer is not known."""
    return np.rint(weighted_grey(rgb)).astype(np.uint8)


def restore(picture: Bytes, layer: Layer, title_rows: int, colour: Colour = YELLOW) -> Bytes:
    """The source picture's pixels, (y, x, 3) uint8: bit for bit, where `separate` found no mismatch.

    Args:
        picture: grey, uint8 (y, x), filled under the layer or not.
        layer: bool (y, x) that it was separated with.
        title_rows: rows at the top that hold the title bar.
        colour: red, green, blue of the overlay.
    """
    rgb = np.empty((*picture.shape, 3), np.uint8)
    drawn = np.array(colour, np.uint8)
    rgb[:title_rows] = picture[:title_rows, :, np.newaxis] * (drawn > 0)
    _restore(picture[title_rows:], layer[title_rows:], drawn, rgb[title_rows:])
    return rgb


@dataclass(frozen=True)
class FillStencil:
    """Where each hidden pixel's value comes from; made once a layer by `build_stencil`, used by `fill`.

    Attributes:
        targets: (n,) int32, flat indexes of hidden pixels.
        sources: (n, 8) int32, flat indexes of known pixels; a direction without one repeats another's.
        weights: (n, 8) uint16, that sum to 2 ** 14; 0 for a repeated one.
        shape: rows and columns of the pictures that it fits.
    """

    targets: NDArray[np.int32]
    sources: NDArray[np.int32]
    weights: NDArray[np.uint16]
    shape: tuple[int, int]


def build_stencil(layer: Layer, title_rows: int) -> FillStencil:
    """Nearest known pixel in each of eight directions, weighted by the inverse square of its distance.

    Known is what is neither under the layer nor in the title rows. The search widens until it ends, so a
    thick area (a logo) is filled from its rim, from all sides.

    Raises:
        ValueError: where the layer hides everything.
    """
    hidden = layer.copy()
    hidden[:title_rows] = False
    known = ~hidden
    known[:title_rows] = False
    targets = np.flatnonzero(hidden).astype(np.int32)
    if targets.size and not known.any():
        raise ValueError("the layer hides every pixel below the title rows: nothing to fill it from")
    sources = np.full((targets.size, _SECTORS), -1, np.int32)
    squares = np.zeros((targets.size, _SECTORS), np.int32)
    open_, radius = np.arange(targets.size), 16
    while open_.size:
        whole = radius >= max(layer.shape)
        found = _search(known, targets[open_], *_offsets(radius))
        done = found[2] | whole
        sources[open_[done]], squares[open_[done]] = found[0][done], found[1][done]
        open_, radius = open_[~done], 2 * radius
    return FillStencil(targets, *_weigh(sources, squares), (layer.shape[0], layer.shape[1]))


def fill(picture: Bytes, stencil: FillStencil) -> None:
    """Replace the pixels under the layer, in place, by integer means of known pixels.

    Only known pixels are read and only hidden ones written, so the order makes no difference.

    Args:
        picture: grey, uint8 (y, x), C-contiguous.
        stencil: of the picture's layer.

    Raises:
        ValueError: where the picture is not of the stencil's size, or not contiguous.
    """
    if picture.shape != stencil.shape or not picture.flags.c_contiguous:
        raise ValueError(f"expected a contiguous picture of {stencil.shape}, found {picture.shape}")
    _fill(picture.reshape(-1), stencil.targets, stencil.sources, stencil.weights)


def _offsets(radius: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Steps (n, 2) of row and column within `radius`, nearest first, and the direction 0..7 of each."""
    axis = np.arange(-radius, radius + 1)
    rows, columns = (grid.ravel() for grid in np.meshgrid(axis, axis, indexing="ij"))
    square = rows**2 + columns**2
    order = np.lexsort((columns, rows, square))
    order = order[(square[order] > 0) & (square[order] <= radius**2)]
    rows, columns = rows[order], columns[order]
    # Directions from compared integers, not angles: no rounding decides. 12/29 is tan 22.5 degrees, nearly.
    along_row = 29 * np.abs(rows) <= 12 * np.abs(columns)
    along_column = 29 * np.abs(columns) <= 12 * np.abs(rows)
    diagonal = 4 + 2 * (rows > 0) + (columns > 0)
    sector = np.where(along_row, 0 + (columns > 0), np.where(along_column, 2 + (rows > 0), diagonal))
    return np.stack((rows, columns), 1).astype(np.int32), sector.astype(np.int32)


@kernel
def _search(
    known: Layer, targets: NDArray[np.int32], steps: NDArray[np.int32], sectors: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32], Layer]:
    """For each target its sources and squared distances (n, 8), -1 and 0 where none, and whether it is done.

    It is, once all directions have a source, or the steps have gone `_REACH` times as far as the nearest.
    """
    sources = np.full((targets.size, _SECTORS), -1, np.int32)
    squares = np.zeros((targets.size, _SECTORS), np.int32)
    done = np.zeros(targets.size, np.bool_)
    for i in range(targets.size):
        row, column = targets[i] // known.shape[1], targets[i] % known.shape[1]
        nearest, count = np.int64(0), 0
        for j in range(sectors.size):
            square = np.int64(steps[j, 0]) ** 2 + np.int64(steps[j, 1]) ** 2
            if count == _SECTORS or (nearest and square > _REACH**2 * nearest):
                done[i] = True
                break
            y, x = row + steps[j, 0], column + steps[j, 1]
            inside = 0 <= y < known.shape[0] and 0 <= x < known.shape[1]
            if inside and known[y, x] and sources[i, sectors[j]] < 0:
                sources[i, sectors[j]], squares[i, sectors[j]] = y * known.shape[1] + x, square
                nearest = nearest or square
                count += 1
    return sources, squares, done


def _weigh(sources: NDArray[np.int32], squares: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
    """Sources without gaps, and integer weights (n, 8) that sum to 2 ** 14 exactly."""
    inverse = np.where(sources >= 0, 1 / np.maximum(squares, 1), 0.0)
    total = 1 << _WEIGHT_BITS
    weights = np.floor(inverse / inverse.sum(1, keepdims=True) * total).astype(np.int64)
    largest, lines = weights.argmax(1), np.arange(len(weights))
    weights[lines, largest] += total - weights.sum(1)
    filled = np.where(sources >= 0, sources, sources[lines, largest][:, np.newaxis])
    return filled.astype(np.int32), weights.astype(np.uint16)


@kernel
def _separate_title(rgb: Bytes, drawn: Bytes, grey: Bytes) -> int:
    bad = 0
    for y in range(grey.shape[0]):
        for x in range(grey.shape[1]):
            value = max(rgb[y, x, 0], rgb[y, x, 1], rgb[y, x, 2])
            grey[y, x] = value
            for lane in range(3):
                bad += rgb[y, x, lane] != (value if drawn[lane] else 0)
    return bad


@kernel
def _separate(rgb: Bytes, layer: Layer, drawn: Bytes, grey: Bytes) -> int:
    # 32-bit integers and masks in place of branches let LLVM do this in vectors: a third of the time.
    bad = 0
    first, second, third = np.int32(drawn[0]), np.int32(drawn[1]), np.int32(drawn[2])
    for y in range(grey.shape[0]):
        flat = rgb[y].reshape(-1)
        for x in range(grey.shape[1]):
            grey[y, x] = flat[3 * x + 1]
        count = np.int32(0)
        for x in range(grey.shape[1]):
            red, green, blue = np.int32(flat[3 * x]), np.int32(flat[3 * x + 1]), np.int32(flat[3 * x + 2])
            coloured = (red ^ green) | (green ^ blue)
            not_drawn = (red ^ first) | (green ^ second) | (blue ^ third)
            under = -np.int32(layer[y, x])
            count += np.int32(((coloured & ~under) | (not_drawn & under)) != 0)
        bad += int(count)
    return bad


@kernel
def _restore(picture: Bytes, layer: Layer, drawn: Bytes, rgb: Bytes) -> None:
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            for lane in range(3):
                rgb[y, x, lane] = drawn[lane] if layer[y, x] else picture[y, x]


@kernel
def _fill(picture: Bytes, targets: NDArray[np.int32], sources: NDArray[np.int32], weights: NDArray[np.uint16]) -> None:
    half = np.int32(1 << (_WEIGHT_BITS - 1))
    for i in range(targets.size):
        total = half
        for j in range(_SECTORS):
            total += np.int32(weights[i, j]) * np.int32(picture[sources[i, j]])
        picture[targets[i]] = total >> _WEIGHT_BITS
