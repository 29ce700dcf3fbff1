"""Faults of a file's bytes: cut, damaged, of another kind, or odd and harmless. `fault_pixels` spoils what it shows."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image

from wxpipe.archive.png import SIGNATURE
from wxpipe.archive.synthetic.fault_victim import Fault, Victim, png

HTML = b"<!DOCTYPE html>\n<html><head><title>503 Service Unavailable</title></head></html>\n"
_IHDR_END = len(SIGNATURE) + 25
_BOMB, _SPARSE = 16 << 20, 64 << 20
"""Bytes that a small stream of a picture unpacks to, and size of a file with nothing in it but its beginning."""


def _spoil(change: Callable[[bytes], bytes]) -> Callable[[Victim], str]:
    """Changes the bytes of the victim's file where it lies."""
    return lambda victim: victim.write(change(victim.read()))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _flip(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def _resized(data: bytes, rows: int, columns: int) -> bytes:
    """The header says another size, with a right checksum, or so many rows and columns more where negative."""
    width, height = struct.unpack_from(">II", data, len(SIGNATURE) + 8)
    size = struct.pack(">II", columns if columns > 0 else width - columns, rows if rows > 0 else height - rows)
    content = size + data[len(SIGNATURE) + 16 : len(SIGNATURE) + 21]
    return SIGNATURE + _chunk(b"IHDR", content) + data[_IHDR_END:]


def _with_chunks(data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Further chunks between header and pixels."""
    return data[:_IHDR_END] + b"".join(_chunk(*chunk) for chunk in chunks) + data[_IHDR_END:]


def _pixel_stream(data: bytes) -> bytes:
    """The contents of all IDAT chunks of a sound PNG."""
    at, stream = len(SIGNATURE), b""
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        stream += data[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    return stream


def _in_many_chunks(data: bytes) -> bytes:
    stream = _pixel_stream(data)
    parts = [stream[at : at + 997] for at in range(0, len(stream), 997)]
    return data[:_IHDR_END] + b"".join(_chunk(b"IDAT", part) for part in (b"", *parts)) + _chunk(b"IEND", b"")


def _bomb(data: bytes) -> bytes:
    """A sound header, and pixels that unpack to far more than it says."""
    return data[:_IHDR_END] + _chunk(b"IDAT", zlib.compress(bytes(_BOMB), 9)) + _chunk(b"IEND", b"")


def _animated(data: bytes) -> bytes:
    """A second frame behind the picture, as APNG has it."""
    width, height = struct.unpack_from(">II", data, len(SIGNATURE) + 8)
    frame = struct.pack(">IIIIIHHBB", 0, width, height, 0, 0, 1, 10, 0, 0)
    first = _with_chunks(data[:-12], (b"acTL", struct.pack(">II", 2, 0)), (b"fcTL", frame))
    second = _chunk(b"fcTL", struct.pack(">I", 1) + frame[4:]) + _chunk(
        b"fdAT", struct.pack(">I", 2) + _pixel_stream(data)
    )
    return first + second + _chunk(b"IEND", b"")


def _interlaced(data: bytes) -> bytes:
    """The header says that rows are interlaced."""
    content = data[len(SIGNATURE) + 8 : len(SIGNATURE) + 20] + b"\x01"
    return SIGNATURE + _chunk(b"IHDR", content) + data[_IHDR_END:]


def _pillow(mode: str, form: str) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        out = io.BytesIO()
        Image.open(io.BytesIO(data)).convert(mode).save(out, form)
        return out.getvalue()

    return change


def _zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("picture.png"), data)
    return out.getvalue()


def _spliced(victim: Victim) -> str:
    """The first half of the file, and the end of the one of the slot before, as long as its own was."""
    ours, theirs = victim.read(), victim.at(-1).read()
    half = len(ours) // 2
    return victim.write(ours[:half] + (theirs + theirs)[half - len(ours) :])


def _sparse(victim: Victim) -> str:
    """Grown to many times any picture's size, of which the disk holds nothing."""
    os.truncate(victim.pictures / victim.path, _SPARSE)
    return victim.path


def _odd_texts(data: bytes) -> bytes:
    return _with_chunks(
        data, (b"tEXt", b"Comment\0\xff\xfe\n\x07 \xb1\xb8"), (b"zTXt", b"Odd\0\0not packed"), (b"tIME", b"?")
    )


def _profiled(data: bytes) -> bytes:
    profile = b"any\0\0" + zlib.compress(b"no real profile" * 9)
    return _with_chunks(
        data, (b"gAMA", struct.pack(">I", 45455)), (b"iCCP", profile), (b"pHYs", struct.pack(">IIB", 1, 2, 0))
    )


_BAD: Final = "quarantined"

BYTES: dict[str, Fault] = {
    "truncated": Fault(_spoil(lambda d: d[: len(d) // 2]), _BAD, "truncated"),
    "without its end": Fault(_spoil(lambda d: d[:-12]), _BAD, "truncated"),
    "nothing but a signature": Fault(_spoil(lambda _: SIGNATURE), _BAD, "truncated"),
    "zero bytes": Fault(_spoil(lambda _: b""), _BAD, "empty"),
    "zeros of the right size": Fault(_spoil(lambda d: bytes(len(d))), _BAD, "not a picture"),
    "HTML named .png": Fault(_spoil(lambda _: HTML), _BAD, "not a picture"),
    "JPEG named .png": Fault(_spoil(_pillow("RGB", "jpeg")), _BAD, "not a picture"),
    "GIF named .png": Fault(_spoil(_pillow("P", "gif")), _BAD, "wrong mode", mode="GIF"),
    "zip around it": Fault(_spoil(_zipped), _BAD, "not a picture"),
    "gzip around it": Fault(_spoil(lambda d: gzip.compress(d, mtime=0)), _BAD, "wrong mode", mode="8-bit RGB in gzip"),
    "sent as text": Fault(_spoil(lambda d: d.replace(b"\r\n", b"\n")), _BAD, "not a picture"),
    "one bit flipped": Fault(_spoil(lambda d: _flip(d, len(d) // 2)), _BAD, "corrupt"),
    "header's checksum wrong": Fault(_spoil(lambda d: _flip(d, _IHDR_END - 1)), _BAD, "corrupt"),
    "end's checksum wrong": Fault(_spoil(lambda d: _flip(d, len(d) - 1)), _BAD, "corrupt"),
    "header says a row more": Fault(_spoil(lambda d: _resized(d, -1, 0)), _BAD, "wrong size"),
    "header says 60,000 x 60,000": Fault(_spoil(lambda d: _resized(d, 60_000, 60_000)), _BAD, "wrong size"),
    "unpacks to far more": Fault(_spoil(_bomb), _BAD, "corrupt"),
    "far too large": Fault(_sparse, _BAD, "too large"),
    "half of another file": Fault(_spliced, _BAD, "corrupt"),
    "unknown critical chunk": Fault(_spoil(lambda d: _with_chunks(d, (b"NEED", b""))), _BAD, "corrupt"),
    "grey": Fault(lambda v: v.write(png(v.rgb()[..., 0])), _BAD, "wrong mode", mode="8-bit grey"),
    "palette": Fault(_spoil(_pillow("P", "png")), _BAD, "wrong mode", mode="8-bit palette"),
    "RGBA": Fault(_spoil(_pillow("RGBA", "png")), _BAD, "wrong mode", mode="8-bit RGBA"),
    "16 bits": Fault(lambda v: v.write(png(v.rgb() * np.uint16(257))), _BAD, "wrong mode", mode="16-bit RGB"),
    "interlaced": Fault(_spoil(_interlaced), _BAD, "wrong mode"),
    "bytes after its end": Fault(_spoil(lambda d: d + b"\0" * 100 + HTML), "good"),
    "in many chunks": Fault(_spoil(_in_many_chunks), "good"),
    "odd texts in it": Fault(_spoil(_odd_texts), "good"),
    "colour profile in it": Fault(_spoil(_profiled), "good"),
    "animated": Fault(_spoil(_animated), "good"),
}
