"""Reads and draws a picture's title bar by its fixed font; what the text must say, the satellite's settings know.

The glyphs are cut from pictures of KMA NMSC, by way of geon0325/weather_similarity (MIT), where every one
of them is drawn the same to the last grey value. They hold what the titles of COMS use, VIS included, which
none of those pictures shows; the other letters occur nowhere there and are not in the font.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from wxpipe.errors import NotFoundError

UNREADABLE = "?"

# A cell may differ from its glyph by this much of the squared distance (256 ** 2 a pixel, 144 pixels) between
# the two most alike glyphs, 1 and I at 293,022: a few grey levels of noise pass, a missing stroke does not.
_TOLERANCE = 293_022 // 16


@dataclass(frozen=True)
class Font:
    """A fixed font and where its text is drawn.

    Attributes:
        characters: one for each glyph, in order.
        glyphs: (character, y, x) uint8, grey on black.
        top: row of the bar where glyphs begin.
        left: column where the first glyph begins; the next ones follow without a gap.
    """

    characters: str
    glyphs: NDArray[np.uint8]
    top: int
    left: int


# Name of the font, which is that of its file, to: its characters in the file's order, top, left.
_FONTS = {"kma-9x16": (" ()-.0123456789:ACIKMORSTUVW", 4, 10)}


@cache
def load_font(name: str) -> Font:
    """The font of that name, read once from ``fonts/<name>.png``, a strip of glyphs side by side.

    Raises:
        NotFoundError: no such font; says which there are.
    """
    if name not in _FONTS:
        raise NotFoundError(f"no title font {name!r}; there are: {', '.join(_FONTS)}")
    characters, top, left = _FONTS[name]
    file = resources.files("wxpipe.archive") / "fonts" / f"{name}.png"
    strip = imagecodecs.png_decode(file.read_bytes())
    glyphs = strip.reshape(strip.shape[0], len(characters), -1).transpose(1, 0, 2)
    return Font(characters, np.ascontiguousarray(glyphs), top, left)


def read_title(rows: NDArray[np.uint8], font: Font) -> str:
    """The text of a title bar, ``?`` for a cell that is no glyph, without trailing blanks; empty for a blank bar.

    Args:
        rows: grey, uint8 (title_rows, x).
        font: what the text is drawn in.

    Raises:
        ValueError: where the bar is lower than the font.
    """
    glyphs = font.glyphs.reshape(len(font.characters), -1).astype(np.float32)
    cells = _cells(rows, font)
    drawn = np.flatnonzero(cells.any(axis=(1, 2)))
    if not drawn.size:
        return ""
    # Sums of products of bytes over 144 pixels stay under 2 ** 24: float32 holds them exactly.
    seen = cells[drawn].reshape(drawn.size, -1).astype(np.float32)
    product = seen @ glyphs.T
    distance = (seen**2).sum(1)[:, np.newaxis] - 2 * product + (glyphs**2).sum(1)
    text = [" "] * (int(drawn[-1]) + 1)
    for cell, best, worst in zip(drawn, distance.argmin(1), distance.min(1), strict=True):
        text[cell] = font.characters[best] if worst <= _TOLERANCE else UNREADABLE
    return "".join(text).rstrip()


def draw_title(rows: NDArray[np.uint8], text: str, font: Font) -> None:
    """Clear a title bar to black and draw `text` into it, in place, so that `read_title` reads it back.

    Args:
        rows: grey, uint8 (title_rows, x).
        text: characters of the font.
        font: what to draw in.

    Raises:
        ValueError: a character that the font lacks, or a text or font that does not fit.
    """
    missing = sorted(set(text) - set(font.characters))
    if missing:
        raise ValueError(f"the font has no {''.join(missing)!r}; it has {font.characters!r}")
    cells = _cells(rows, font)
    if len(text) > len(cells):
        raise ValueError(f"{len(text)} characters in a bar of {len(cells)}: {text!r}")
    rows[:] = 0
    for cell, character in zip(cells, text, strict=False):
        cell[:] = font.glyphs[font.characters.index(character)]


def _cells(rows: NDArray[np.uint8], font: Font) -> NDArray[np.uint8]:
    """The bar's character cells (cell, y, x), a view."""
    _, height, width = font.glyphs.shape
    if rows.shape[0] < font.top + height:
        raise ValueError(f"a bar of {rows.shape[0]} rows is lower than the font's {font.top + height}")
    count = max(0, (rows.shape[1] - font.left) // width)
    text = rows[font.top : font.top + height, font.left : font.left + count * width]
    cells: NDArray[np.uint8] = text.reshape(height, count, width, copy=False).transpose(1, 0, 2)
    return cells
