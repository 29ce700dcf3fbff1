"""Raw files of synthetic pictures, in every mode that an area's TOML may name: PNG, GIF and PGM, in gzip or not."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wxpipe.archive.decode import IN_GZIP
from wxpipe.archive.png import SIGNATURE
from wxpipe.archive.synthetic.ground import Bytes
from wxpipe.errors import UsageError


def encode(rgb: Bytes, mode: str) -> bytes:
    """A raw file of some pixels.

    A palette has 256 colours: the brightest greys give way to those that are drawn. Grey modes hold the brightest lane.

    Args:
        rgb: uint8 (y, x, 3).
        mode: one of those that `Area.modes` names.

    Raises:
        UsageError: the mode is one that no synthetic file is made in.
    """
    if mode.endswith(IN_GZIP):
        return gzip.compress(encode(rgb, mode.removesuffix(IN_GZIP)), 1, mtime=0)
    grey = rgb.max(axis=2)
    match mode:
        case "8-bit RGB":
            return _rgb_png(rgb)
        case "8-bit RGBA":
            return _saved(Image.fromarray(np.dstack((rgb, np.full(grey.shape, 255, np.uint8)))), "png")
        case "8-bit grey":
            return _saved(Image.fromarray(grey), "png")
        case "16-bit grey":
            return _saved(Image.fromarray(grey.astype(np.uint16) * 257), "png")
        case "8-bit palette" | "GIF":
            return _saved(_with_palette(rgb), "gif" if mode == "GIF" else "png", transparency=0)
        case "8-bit PGM":
            return _pgm(grey, 255)
        case "16-bit PGM":
            return _pgm((grey.astype(np.uint16) * 257).astype(">u2"), 65535)
    raise UsageError(f"no synthetic file is made as {mode!r}; let the area's modes begin with another")


def _with_palette(rgb: Bytes) -> Image.Image:
    """Greys by their value, drawn colours in the last places; black, which is the first, may be seen through."""
    grey = rgb[..., 0].copy()
    drawn = (rgb[..., 1] != grey) | (rgb[..., 2] != grey)
    colours, numbers = np.unique(rgb[drawn].reshape(-1, 3), axis=0, return_inverse=True)
    np.minimum(grey, 255 - len(colours), out=grey)
    grey[drawn] = (256 - len(colours) + numbers).astype(np.uint8)
    palette = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(256, 3)
    palette[256 - len(colours) :] = colours
    image = Image.fromarray(grey)
    image.putpalette(palette.tobytes())
    return image


def _pgm(values: NDArray[np.unsignedinteger[Any]], largest: int) -> bytes:
    rows, columns = values.shape
    return f"P5\n{columns} {rows}\n{largest}\n".encode() + values.tobytes()


def _saved(image: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _rgb_png(rgb: Bytes) -> bytes:
    """An 8-bit RGB PNG: each row as its difference from the one above, packed fast (libdeflate)."""
    rows, columns = rgb.shape[:2]
    lines = rgb.reshape(rows, -1)
    filtered = np.full((rows, 1 + 3 * columns), 2, np.uint8)
    filtered[0, 1:] = lines[0]
    np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    packed = bytes(imagecodecs.deflate_encode(filtered.tobytes(), level=1))
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
