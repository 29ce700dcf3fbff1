"""What is drawn on an area's pictures, in the way that its TOML says: parted from them, and learned from a sample.

Drawn in one opaque colour: `overlay`, which gives every source picture back. Drawn in any colours, smoothed, half
transparent, with logos (`learn_overlay`): this module. A layer then holds what hides the Earth, and is filled. Where
the TOML names the colour of the lines, a pixel that is mostly Earth is solved for the grey under the line. The colours
are not kept, so that a source picture does not come back.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from wxpipe.archive.overlay import Bytes, Layer, learn_layer, separate
from wxpipe.kernels import kernel
from wxpipe.satellites.satellite import Area

_LEARNED, _ACCEPTED = (0.4, 2.0), (0.6, 8.0)
"""Most share of line, and most distance in grey levels from a blend with it or from grey, of a pixel that is not under
a layer: narrow where one is learned, wide where it is checked, so that what rounding moves between pictures passes."""
_EVEN_AREA = 9  # pixels: a constant area that holds a square of so many is ground, space say, and not drawn
_ENOUGH_FOR_CONSTANT = 5
_EXTREME = 5  # grey levels from black or white, where any picture of the Earth may be constant


def draws(area: Area) -> bool:
    """Whether anything is drawn on the area's pictures."""
    return area.learn_overlay or area.overlay_colour is not None


def learn(pictures: Sequence[Bytes], area: Area) -> Layer:
    """The layer that a sample of pictures shows, bool (y, x), False in the title rows.

    Where any colours are drawn, that is what is in more than half of the pictures neither grey nor a thin blend of the
    line's colour, and, in a sample of five or more, what is the same in all but one: unless it is a wide even area, or
    black or white like the darkest sea and the coldest cloud, with nothing else constant near it. The pictures must be
    of different times or channels.

    Args:
        pictures: (y, x, 3) uint8 of one size.

    Raises:
        ValueError: for no pictures, or of different sizes.
    """
    if not area.learn_overlay:
        return learn_layer(pictures, area.title_rows, area.overlay_colour or (255, 255, 255))
    shapes = sorted({picture.shape for picture in pictures})
    if len(shapes) != 1:
        raise ValueError(f"a layer is learned from pictures of one size, found {shapes or 'no pictures'}")
    count, grey = np.zeros(shapes[0][:2], np.int32), np.empty(shapes[0][:2], np.uint8)
    none, hides = np.zeros(shapes[0][:2], np.bool_), np.zeros(shapes[0][:2], np.bool_)
    for picture in pictures:
        _part(picture, none, *_blend(area), *_LEARNED, grey, hides)
        count += hides
    layer: Layer = count * 2 > len(pictures)
    if len(pictures) >= _ENOUGH_FOR_CONSTANT:
        layer |= _constant(pictures, area)
    layer[: area.title_rows] = False
    return layer


def part(rgb: Bytes, layer: Layer, area: Area) -> tuple[Bytes, int]:
    """Grey values of a picture, to be filled under the layer, and how many pixels layer and area do not explain.

    Args:
        rgb: (y, x, 3) uint8, as decoded.
        layer: bool (y, x).

    Returns:
        Grey, uint8 (y, x), its title rows the brightest lane, and the pixels that are neither under the layer nor grey
        nor a blend of the line's colour; for areas of one opaque colour, see `separate`.

    Raises:
        ValueError: where layer and picture differ in size.
    """
    if not area.learn_overlay:
        return separate(rgb, layer, area.title_rows, area.overlay_colour or (255, 255, 255))
    if layer.shape != rgb.shape[:2]:
        raise ValueError(f"the layer is {layer.shape}, the picture {rgb.shape[:2]}")
    grey, strange = np.empty(layer.shape, np.uint8), np.zeros(layer.shape, np.bool_)
    _part(rgb, layer, *_blend(area), *_ACCEPTED, grey, strange)
    grey[: area.title_rows] = rgb[: area.title_rows].max(axis=2)
    return grey, int(strange[area.title_rows :].sum())


def _blend(area: Area) -> tuple[NDArray[np.float64], bool]:
    """Colour of the lines, and whether it is known and a colour, so that its share in a pixel shows."""
    colour = area.overlay_colour or (0, 0, 0)
    return np.array(colour, np.float64), max(colour) - min(colour) > 128


def _constant(pictures: Sequence[Bytes], area: Area) -> Layer:
    """Pixels that all but one of the pictures have the same, and that the Earth does not explain (see `learn`)."""
    stack = np.stack(pictures)
    middle = np.sort(stack, axis=0)[len(pictures) // 2]
    constant = (stack == middle).all(axis=-1).sum(axis=0) >= len(pictures) - 1
    packed = (middle.astype(np.float32) * np.array([65536, 256, 1], np.float32)).sum(axis=-1)
    square = np.ones((_EVEN_AREA, _EVEN_AREA), np.uint8)
    even = (cv2.erode(packed, square) == cv2.dilate(packed, square)) & (
        cv2.erode(constant.astype(np.uint8), square) > 0
    )
    drawn = constant & ~(cv2.dilate(even.astype(np.uint8), square) > 0)
    grey, none = np.empty(middle.shape[:2], np.uint8), np.zeros(middle.shape[:2], np.bool_)
    _part(middle, none, *_blend(area), *_LEARNED, grey, none.copy())
    extreme = (grey >= 255 - _EXTREME) | (grey <= _EXTREME)
    near = cv2.dilate((drawn & ~extreme).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    layer: Layer = drawn & (near | ~extreme)
    return layer


@kernel
def _part(
    rgb: Bytes, layer: Layer, colour: NDArray[np.float64], known: bool, share: float, residual: float, grey: Bytes,
    strange: Layer,
) -> None:  # fmt: skip
    """Grey values, and which pixels beside the layer are neither grey nor a blend that is thin enough."""
    low, high = min(colour[0], colour[1], colour[2]), max(colour[0], colour[1], colour[2])
    for y in range(grey.shape[0]):
        for x in range(grey.shape[1]):
            red, green, blue = np.int32(rgb[y, x, 0]), np.int32(rgb[y, x, 1]), np.int32(rgb[y, x, 2])
            if red == green == blue:
                grey[y, x], strange[y, x] = red, False
                continue
            darkest, brightest = min(red, green, blue), max(red, green, blue)
            grey[y, x] = red + green + blue - darkest - brightest
            strange[y, x] = brightest - darkest > residual and not layer[y, x]
            if not known or layer[y, x]:
                continue
            line = (brightest - darkest) / (high - low)
            if line > share:
                continue
            under = min(max((darkest - line * low) / (1 - line), 0.0), 255.0)
            error = 0.0
            for lane in range(3):
                error = max(error, abs(rgb[y, x, lane] - (1 - line) * under - line * colour[lane]))
            if error <= residual:
                grey[y, x] = np.uint8(under + 0.5)
                strange[y, x] = False
