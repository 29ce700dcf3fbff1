"""Decodes the archive's 8-bit RGB PNG fast and strictly; what pixels mean, `overlay` and `title` know.

Chunks are walked and their CRCs checked here, libdeflate inflates, compiled loops undo the row filters.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from wxpipe.errors import Quarantine
from wxpipe.kernels import kernel

Bytes = NDArray[np.uint8]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
EXPECTED_MODE = "8-bit RGB"
_COLOUR_TYPES = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGBA"}
_LANES = {"grey": 1, "RGB": 3, "palette": 1, "grey with alpha": 2, "RGBA": 4}
_LARGEST_RATIO = 1032  # what deflate can at best expand to; a header that claims more than this is lying


class Header(NamedTuple):
    """What a PNG says of itself: size in pixels, and mode in words, e.g. ``8-bit RGB``."""

    rows: int
    columns: int
    mode: str


def png_size_mode(data: bytes, path: str) -> Header:
    """Size and mode from the first chunk alone, which must be sound; nothing else is looked at.

    Raises:
        Quarantine: ``empty``, ``not a picture``, ``truncated`` or ``corrupt``.
    """
    _check_signature(data, path)
    kind, content, _ = _chunk(data, len(SIGNATURE), 0, path)
    if kind != b"IHDR" or len(content) != 13:
        raise Quarantine(path, "corrupt", "IHDR of 13 bytes first", f"{printable(kind)} of {len(content)}")
    columns, rows, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", content)
    if not (0 < rows < 2**31 and 0 < columns < 2**31) or compression or filtering or interlace > 1:
        raise Quarantine(path, "corrupt", "a legal IHDR", content.hex())
    mode = f"{depth}-bit {_COLOUR_TYPES.get(colour, f'colour type {colour}')}"
    return Header(rows, columns, mode + (" interlaced" if interlace else ""))


def decode_png(data: bytes, path: str) -> Bytes:
    """Pixels of an 8-bit RGB PNG of any size, that are not interlaced.

    Bytes after IEND, and in IDAT after the compressed stream, are let pass as libpng does: by then every
    pixel is there and its checksums were right.

    Args:
        data: the whole file.
        path: the file's name for errors, relative to the archive.

    Returns:
        (y, x, 3) uint8, C-contiguous.

    Raises:
        Quarantine: ``empty``, ``not a picture``, ``truncated`` (ends before IEND), ``wrong mode``, or
            ``corrupt`` (a checksum, the order of chunks, the compressed stream, a row filter).
    """
    header = png_size_mode(data, path)
    if header.mode != EXPECTED_MODE:
        raise Quarantine(path, "wrong mode", EXPECTED_MODE, header.mode)
    filtered = _inflate(_image_data(data, path), header, path)
    pixels = np.empty((header.rows, 3 * header.columns), np.uint8)
    row = _unfilter(filtered, pixels)
    if row >= 0:
        raise Quarantine(path, "corrupt", "row filters 0 to 4", f"{filtered[row, 0]} in row {row}")
    return pixels.reshape(header.rows, header.columns, 3)


def _check_signature(data: bytes, path: str) -> None:
    if not data:
        raise Quarantine(path, "empty", "a PNG file", "0 bytes")
    if data.startswith(SIGNATURE):
        return
    if SIGNATURE.startswith(data):
        raise Quarantine(path, "truncated", "a PNG file", f"{len(data)} bytes of its signature")
    raise Quarantine(path, "not a picture", "a PNG file", f"{printable(data[:24])!r}")


def check_png(data: bytes, path: str) -> None:
    """Checks a PNG of any mode that is not interlaced: its chunks up to IEND, and that the stream is whole and sound.

    Raises:
        Quarantine: as `decode_png`.
    """
    _inflate(_image_data(data, path), png_size_mode(data, path), path)


def printable(data: bytes) -> str:
    """The first line of `data`, what is no plain character shown as a dot."""
    line = data.lstrip().split(b"\n")[0].rstrip()
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)


def _chunk(data: bytes, start: int, seen: int, path: str) -> tuple[bytes, bytes, int]:
    """The chunk at `start`: its type, its content, where the next one starts; `seen` is IDAT bytes so far."""
    if start + 8 > len(data):
        found = f"the end of the file at byte {len(data)}, after {seen} bytes of IDAT"
        raise Quarantine(path, "truncated", "chunks up to IEND", found)
    size, kind = struct.unpack_from(">I4s", data, start)
    if size >= 2**31 or not kind.isalpha():
        found = f"{printable(kind)!r} of {size} bytes at byte {start}"
        raise Quarantine(path, "corrupt", "a chunk's length and type", found)
    end = start + 8 + size
    if end + 4 > len(data):
        part = max(0, min(size, len(data) - start - 8))
        inside = f"the end of the file inside {kind.decode()}, {part} of {size} bytes of it"
        seen += part if kind == b"IDAT" else 0
        raise Quarantine(path, "truncated", "chunks up to IEND", f"{inside}, {seen} bytes of IDAT in all")
    stored = int.from_bytes(data[end : end + 4], "big")
    computed = imagecodecs.deflate_crc32(data[start + 4 : end])
    if computed != stored:
        expected = f"CRC {stored:08x} of {kind.decode()} at byte {start}"
        raise Quarantine(path, "corrupt", expected, f"{computed:08x}")
    return kind, data[start + 8 : end], end + 4


def _image_data(data: bytes, path: str) -> bytes:
    """The joined contents of all IDAT chunks, every chunk of the file checked up to and with IEND."""
    parts: list[bytes] = []
    start, seen, closed = len(SIGNATURE), 0, False
    while True:
        kind, content, following = _chunk(data, start, seen, path)
        if kind == b"IEND":
            break
        if kind == b"IDAT":
            if closed:
                raise Quarantine(path, "corrupt", "IDAT chunks in a row", f"another at byte {start}")
            parts.append(content)
            seen += len(content)
        else:
            closed = bool(parts)
            first = start == len(SIGNATURE)
            # An upper-case first letter says that the picture cannot be understood without the chunk.
            if kind[:1].isupper() and kind != b"PLTE" and not first:
                raise Quarantine(path, "corrupt", "known chunks", f"{kind.decode()} at byte {start}")
        start = following
    if not parts:
        raise Quarantine(path, "corrupt", "at least one IDAT", "none before IEND")
    return b"".join(parts)


def _inflate(stream: bytes, header: Header, path: str) -> Bytes:
    """Inflate to (row, 1 + bytes) uint8: each row's filter type, then its filtered bytes, 3 a column of 8-bit RGB."""
    width = 1 + _row_bytes(header)
    size = header.rows * width
    expected = f"{size} bytes for {header.rows} x {header.columns} pixels"
    if size > _LARGEST_RATIO * len(stream):
        raise Quarantine(path, "corrupt", expected, f"only {len(stream)} compressed bytes")
    filtered = np.empty(size, np.uint8)
    try:
        inflated = len(imagecodecs.deflate_decode(stream, out=filtered.data))
    except imagecodecs.DeflateError as error:
        raise Quarantine(path, "corrupt", expected, str(error).rpartition("LIBDEFLATE_")[2]) from error
    if inflated != size:
        raise Quarantine(path, "corrupt", expected, f"{inflated}")
    return filtered.reshape(header.rows, width)


def _row_bytes(header: Header) -> int:
    depth, _, colour = header.mode.partition("-bit ")
    return (int(depth) * _LANES[colour] * header.columns + 7) // 8


@kernel
def _unfilter(filtered: Bytes, pixels: Bytes) -> int:
    """Undo the row filters into `pixels` (row, 3 * column); the first row of unknown filter, or -1."""
    above = np.zeros(pixels.shape[1], np.uint8)
    for row in range(pixels.shape[0]):
        source, target = filtered[row, 1:], pixels[row]
        kind = filtered[row, 0]
        if kind == 0:
            target[:] = source
        elif kind == 1:
            _undo_sub(source, target)
        elif kind == 2:
            _undo_up(source, above, target)
        elif kind == 3:
            _undo_average(source, above, target)
        elif kind == 4:
            _undo_paeth(source, above, target)
        else:
            return row
        above = target
    return -1


# The three channels are written out, not looped over: their chains of dependent steps then run side by side
# in registers, and the time of a row is that of one chain. 32-bit integers are what LLVM does this best with.
@kernel
def _undo_sub(source: Bytes, target: Bytes) -> None:
    red, green, blue = np.int32(0), np.int32(0), np.int32(0)
    for i in range(0, source.size, 3):
        red = (red + np.int32(source[i])) & np.int32(255)
        green = (green + np.int32(source[i + 1])) & np.int32(255)
        blue = (blue + np.int32(source[i + 2])) & np.int32(255)
        target[i], target[i + 1], target[i + 2] = red, green, blue


@kernel
def _undo_up(source: Bytes, above: Bytes, target: Bytes) -> None:
    for i in range(source.size):
        target[i] = (np.int32(source[i]) + np.int32(above[i])) & np.int32(255)


@kernel
def _undo_average(source: Bytes, above: Bytes, target: Bytes) -> None:
    red, green, blue = np.int32(0), np.int32(0), np.int32(0)
    for i in range(0, source.size, 3):
        red = (np.int32(source[i]) + ((red + np.int32(above[i])) >> 1)) & np.int32(255)
        green = (np.int32(source[i + 1]) + ((green + np.int32(above[i + 1])) >> 1)) & np.int32(255)
        blue = (np.int32(source[i + 2]) + ((blue + np.int32(above[i + 2])) >> 1)) & np.int32(255)
        target[i], target[i + 1], target[i + 2] = red, green, blue


@kernel
def _undo_paeth(source: Bytes, above: Bytes, target: Bytes) -> None:
    red, green, blue = np.int32(0), np.int32(0), np.int32(0)
    red_corner, green_corner, blue_corner = np.int32(0), np.int32(0), np.int32(0)
    for i in range(0, source.size, 3):
        red_above = np.int32(above[i])
        green_above = np.int32(above[i + 1])
        blue_above = np.int32(above[i + 2])
        red = (np.int32(source[i]) + _paeth(red, red_above, red_corner)) & np.int32(255)
        green = (np.int32(source[i + 1]) + _paeth(green, green_above, green_corner)) & np.int32(255)
        blue = (np.int32(source[i + 2]) + _paeth(blue, blue_above, blue_corner)) & np.int32(255)
        red_corner, green_corner, blue_corner = red_above, green_above, blue_above
        target[i], target[i + 1], target[i + 2] = red, green, blue


@kernel
def _paeth(left: np.int32, above: np.int32, corner: np.int32) -> np.int32:
    """The Paeth predictor without branches: same result as the specification's, by bounds on 3c - (a + b)."""
    bound = np.int32(3) * corner - (left + above)
    low, high = min(left, above), max(left, above)
    inner = low if high <= bound else corner
    return high if bound <= low else inner
