"""Any raw file to pixels, told apart by its content and never by its name; which modes are legal, its area says.

8-bit RGB PNG goes to `png`, the fast path. What is rarer is checked here as strictly as its format allows, and decoded
by libraries: PNG and gzip have checksums; a byte that is changed in a GIF or PGM can stay unnoticed.
"""

from __future__ import annotations

import gzip
import io
import re
import warnings
import zlib
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wxpipe.archive.png import EXPECTED_MODE, SIGNATURE, check_png, decode_png, png_size_mode, printable
from wxpipe.errors import Quarantine
from wxpipe.satellites.satellite import Area

Bytes = NDArray[np.uint8]

GZIP, GIF, PGM = b"\x1f\x8b", b"GIF8", b"P5"
IN_GZIP = " in gzip"
_WHOLE_GIF = (b"GIF87a", b"GIF89a")
_PGM_HEADER = re.compile(
    rb"P5(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})(?:#[^\n]*\n)?\s"
)
_BYTES_A_PIXEL = 10
"""More than any mode needs, uncompressed: what is larger for an area is not looked at further."""
_BESIDES = 2**20
"""Bytes that a file may hold beside its pixels."""


def require_sane_size(size: int, path: str, area: Area) -> None:
    """A file far too large for a picture is not even read: it would fill the memory.

    Raises:
        Quarantine: ``too large``.
    """
    limit = _largest(area)
    if size > limit:
        raise Quarantine(path, "too large", f"at most {limit} bytes for {area.rows} x {area.columns} pixels", f"{size}")


def _largest(area: Area) -> int:
    return area.rows * area.columns * _BYTES_A_PIXEL + _BESIDES


def decode(data: bytes, path: str, area: Area) -> Bytes:
    """Pixels of a file, of a mode and size that the area allows.

    Grey is given three times. What is transparent is blended over black, as it is seen in space. A depth of other
    than 8 bits is scaled: value * 255 / largest value, rounded to the nearest, halves up.

    Args:
        data: the whole file.
        path: the file's name for errors, relative to the archive.
        area: what the picture is of.

    Returns:
        (y, x, 3) uint8, C-contiguous.

    Raises:
        Quarantine: ``empty``, ``not a picture``, ``truncated``, ``corrupt``, ``wrong mode`` or ``wrong size``.
    """
    pixels = _unpacked(data, path, area) if data.startswith(GZIP) else _picture(data, path, area)
    _require_size(pixels.shape[0], pixels.shape[1], path, area)
    return pixels


def _picture(data: bytes, path: str, area: Area, around: str = "") -> Bytes:
    """Decodes what is in no gzip; `around` is the end of the mode's name of what was."""
    if data.startswith(GIF):
        _require_mode("GIF" + around, path, area)
        return _decode_gif(data, path, area)
    if data.startswith(PGM):
        return _decode_pgm(data, path, area, around)
    if not data.startswith(SIGNATURE[: max(len(data), 1)]) and any("PNG" not in _file_kind(m) for m in area.modes):
        kinds = " or ".join(sorted({_file_kind(mode) for mode in area.modes}))
        reason = "not a picture" if data else "empty"
        raise Quarantine(path, reason, f"a {kinds} file", repr(printable(data[:24])) if data else "0 bytes")
    header = png_size_mode(data, path)
    _require_mode(header.mode + around, path, area)
    _require_size(header.rows, header.columns, path, area)  # before there is memory taken for it
    return decode_png(data, path) if header.mode == EXPECTED_MODE else _decode_other_png(data, path)


def _file_kind(mode: str) -> str:
    kind = mode.removesuffix(IN_GZIP)
    packed = " in gzip" if mode.endswith(IN_GZIP) else ""
    return ("GIF" if kind == "GIF" else "PGM" if kind.endswith("PGM") else "PNG") + packed


def _require_mode(mode: str, path: str, area: Area) -> None:
    if mode not in area.modes:
        raise Quarantine(path, "wrong mode", " or ".join(area.modes), mode)


def _require_size(rows: int, columns: int, path: str, area: Area) -> None:
    if rows not in area.heights or columns != area.columns:
        heights = " or ".join(map(str, area.heights))
        raise Quarantine(path, "wrong size", f"{heights} x {area.columns} pixels", f"{rows} x {columns}")


def _unpacked(data: bytes, path: str, area: Area) -> Bytes:
    """The picture in a gzip; its checksum is right."""
    if not any(mode.endswith(IN_GZIP) for mode in area.modes):
        raise Quarantine(path, "wrong mode", " or ".join(area.modes), "gzip")
    limit = _largest(area)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            content = file.read(limit + 1)
    except EOFError as error:
        raise Quarantine(
            path, "truncated", "a gzip up to its end", f"the end of the file at byte {len(data)}"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise Quarantine(path, "corrupt", "a sound gzip", str(error)) from error
    if len(content) > limit:
        raise Quarantine(path, "corrupt", f"at most {limit} bytes in a gzip", "more")
    if content.startswith(GZIP):
        raise Quarantine(path, "not a picture", "a picture in a gzip", "another gzip in it")
    return _picture(content, path, area, IN_GZIP)


# --- PNG of other modes ----------------------------------------------------------------------------------------------


def _decode_other_png(data: bytes, path: str) -> Bytes:
    check_png(data, path)  # libpng lets some faults of the compressed stream pass
    try:
        decoded = imagecodecs.png_decode(data)
    except (imagecodecs.PngError, ValueError, MemoryError) as error:
        raise Quarantine(path, "corrupt", "a PNG that can be decoded", str(error)) from error
    lanes = decoded if decoded.ndim == 3 else decoded[..., np.newaxis]
    return _on_black(to_8_bits(lanes, 65535) if lanes.dtype == np.uint16 else lanes)


def _on_black(lanes: Bytes) -> Bytes:
    """(y, x, 3) of grey, grey with alpha, RGB or RGBA (y, x, lanes)."""
    count = lanes.shape[2]
    colours = lanes[..., : count - 1] if count in (2, 4) else lanes
    if count in (2, 4):
        alpha = lanes[..., -1:].astype(np.uint16)
        colours = ((colours * alpha + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(colours, (*colours.shape[:2], 3)))


def to_8_bits(values: NDArray[Any], largest: int) -> Bytes:
    """Integers of 0 to `largest` as 0 to 255: value * 255 / largest, rounded to the nearest, halves up."""
    wide = values.astype(np.uint32)
    scaled: Bytes = ((wide * 255 + largest // 2) // largest).astype(np.uint8)
    return scaled


# --- GIF -------------------------------------------------------------------------------------------------------------


def _decode_gif(data: bytes, path: str, area: Area) -> Bytes:
    """The first frame of a GIF, on its whole screen."""
    _check_gif(data, path, area)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=["GIF"]) as image:
            rgba = np.asarray(image.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, Image.DecompressionBombError) as error:
        raise Quarantine(path, "corrupt", "a GIF that can be decoded", str(error)) from error
    return _on_black(rgba)


def _check_gif(data: bytes, path: str, area: Area) -> None:
    """Walks the blocks up to the trailer, so that a GIF that was cut off is told from one that is broken."""
    if len(data) < 6 or data[:6] not in _WHOLE_GIF:
        broken = len(data) >= 6
        reason, found = ("not a picture", repr(printable(data[:24]))) if broken else ("truncated", f"{len(data)} bytes")
        raise Quarantine(path, reason, "a GIF file", found)
    walk = _Walk(data, path, 6)
    screen = walk.take(7)
    columns, rows = int.from_bytes(screen[0:2], "little"), int.from_bytes(screen[2:4], "little")
    _require_size(rows, columns, path, area)
    walk.take_colours(screen[4])
    frames = 0
    while (kind := walk.take(1)) != b";":
        if kind == b"!":
            walk.take(1)
        elif kind == b",":
            place = walk.take(9)
            left, top, width, height = (int.from_bytes(place[i : i + 2], "little") for i in (0, 2, 4, 6))
            if not width or not height or left + width > columns or top + height > rows:
                found = f"{height} x {width} at {top}, {left}"
                raise Quarantine(path, "corrupt", f"a frame within {rows} x {columns}", found)
            walk.take_colours(place[8])
            walk.take(1)
            frames += 1
        else:
            raise Quarantine(path, "corrupt", "a GIF's block", f"{printable(kind)!r} at byte {walk.at - 1}")
        while size := walk.take(1)[0]:
            walk.take(size)
    if not frames:
        raise Quarantine(path, "corrupt", "at least one frame", "none before the trailer")


class _Walk:
    """Reads a GIF from front to back."""

    def __init__(self, data: bytes, path: str, at: int) -> None:
        self.data, self.path, self.at = data, path, at

    def take(self, size: int) -> bytes:
        part = self.data[self.at : self.at + size]
        if len(part) < size:
            found = f"the end of the file at byte {len(self.data)}"
            raise Quarantine(self.path, "truncated", "blocks up to a GIF's trailer", found)
        self.at += size
        return part

    def take_colours(self, flags: int) -> None:
        if flags & 0x80:
            self.take(3 * 2 ** ((flags & 7) + 1))


# --- PGM -------------------------------------------------------------------------------------------------------------


def _decode_pgm(data: bytes, path: str, area: Area, around: str) -> Bytes:
    header = _PGM_HEADER.match(data)
    if header is None:
        broken = len(data) >= 2**10 or re.match(rb"P5[\s#]", data + b"\n") is None
        reason, found = ("corrupt", repr(printable(data[:24]))) if broken else ("truncated", f"{len(data)} bytes")
        raise Quarantine(path, reason, "a PGM's header", found)
    columns, rows, largest = (int(number) for number in header.groups())
    if not (0 < largest < 2**16 and rows and columns):
        raise Quarantine(path, "corrupt", "a PGM's size and largest value", f"{rows} x {columns}, {largest}")
    _require_mode(("8" if largest < 256 else "16") + "-bit PGM" + around, path, area)
    body, wide = len(data) - header.end(), 1 if largest < 256 else 2
    size = rows * columns * wide
    if body < size:
        raise Quarantine(path, "truncated", f"{size} bytes for {rows} x {columns} pixels", f"{body}")
    if body > size:
        raise Quarantine(path, "corrupt", f"{size} bytes for {rows} x {columns} pixels", f"{body}")
    values = np.frombuffer(data, "u1" if wide == 1 else ">u2", rows * columns, header.end()).reshape(rows, columns, 1)
    if int(values.max()) > largest:
        raise Quarantine(path, "corrupt", f"values up to {largest}", f"{values.max()}")
    return _on_black(to_8_bits(values, largest) if largest != 255 else values.astype(np.uint8))
