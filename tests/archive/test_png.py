"""What the decoder gives back, and what it refuses."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wxpipe.archive.png import SIGNATURE, decode_png, png_size_mode
from wxpipe.errors import Quarantine

Bytes = NDArray[np.uint8]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def ihdr(rows: int, columns: int, depth: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, depth, colour, 0, 0, interlace))


def predictor(kind: int, left: int, above: int, corner: int) -> int:
    """The five predictors as the PNG specification words them."""
    if kind == 4:
        estimate = left + above - corner
        return min((left, above, corner), key=lambda value: abs(estimate - value))
    return (0, left, above, (left + above) // 2)[kind]


def filtered_rows(pixels: Bytes, filters: Sequence[int]) -> bytes:
    lines = pixels.reshape(len(pixels), -1).astype(int)
    padded = np.pad(lines, ((1, 0), (3, 0)))
    content = bytearray()
    for y, kind in enumerate(filters):
        content.append(kind)
        for x in range(lines.shape[1]):
            left, above, corner = padded[y + 1, x], padded[y, x + 3], padded[y, x]
            content.append((lines[y, x] - predictor(kind, left, above, corner)) % 256)
    return bytes(content)


def png(pixels: Bytes, filters: Sequence[int], cuts: Sequence[int] = (), extra: bytes = b"") -> bytes:
    """A PNG with the given row filters, its compressed stream cut into several IDAT chunks."""
    stream = zlib.compress(filtered_rows(pixels, filters))
    edges = sorted({0, len(stream), *(cut % len(stream) for cut in cuts)})
    parts = [chunk(b"IDAT", stream[a:b]) for a, b in pairwise(edges)]
    return SIGNATURE + ihdr(*pixels.shape[:2]) + extra + b"".join(parts) + chunk(b"IEND", b"")


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Bytes, list[int]]:
    rows, columns = draw(st.integers(1, 7)), draw(st.integers(1, 9))
    content = draw(st.binary(min_size=rows * columns * 3, max_size=rows * columns * 3))
    filters = draw(st.lists(st.integers(0, 4), min_size=rows, max_size=rows))
    return np.frombuffer(content, np.uint8).reshape(rows, columns, 3), filters


SMALL = np.random.default_rng(3).integers(0, 256, (5, 4, 3)).astype(np.uint8)
SOUND = png(SMALL, [0, 1, 2, 3, 4], cuts=[20, 50], extra=chunk(b"tEXt", b"date"))


def refusal(data: bytes) -> Quarantine:
    with pytest.raises(Quarantine) as caught:
        decode_png(data, "a/b.png")
    assert caught.value.path == "a/b.png"
    assert str(caught.value).startswith("a/b.png: ")
    return caught.value


@settings(deadline=None)
@given(pictures(), st.lists(st.integers(0, 10**6), max_size=4))
def test_every_filter_size_and_cut_decodes_as_elsewhere(picture: tuple[Bytes, list[int]], cuts: list[int]) -> None:
    pixels, filters = picture
    data = png(pixels, filters, cuts)
    assert np.array_equal(decode_png(data, "x.png"), pixels)
    assert np.array_equal(imagecodecs.png_decode(data), pixels)


def test_a_file_cut_anywhere_is_refused_and_says_where() -> None:
    assert refusal(b"").reason == "empty"
    for size in range(1, len(SOUND)):
        assert refusal(SOUND[:size]).reason == "truncated", size
    after = SOUND.index(b"IDAT") + 9
    assert "5 of 20 bytes of it, 5 bytes of IDAT in all" in refusal(SOUND[:after]).found


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80, 0xFF])
def test_any_flipped_byte_is_refused(mask: int) -> None:
    for place in range(len(SOUND)):
        flipped = bytearray(SOUND)
        flipped[place] ^= mask
        assert refusal(bytes(flipped)).reason in {"not a picture", "truncated", "corrupt"}, place


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"<!DOCTYPE html>\n<html>", "'<!DOCTYPE html>'"),
        (b"\n\n<html><body>Service unavailable", "'<html><body>Service un'"),
        (b"\xff\xd8\xff\xe0JFIF", "'....JFIF'"),
        (bytes(30), "'" + 24 * "." + "'"),
    ],
)
def test_what_is_no_png_is_shown_by_its_first_line(data: bytes, found: str) -> None:
    error = refusal(data)
    assert (error.reason, error.found) == ("not a picture", found)


@pytest.mark.parametrize(
    ("depth", "colour", "interlace", "found"),
    [
        (8, 3, 0, "8-bit palette"),
        (8, 0, 0, "8-bit grey"),
        (8, 6, 0, "8-bit RGBA"),
        (16, 2, 0, "16-bit RGB"),
        (8, 2, 1, "8-bit RGB interlaced"),
        (8, 9, 0, "8-bit colour type 9"),
    ],
)
def test_another_mode_is_named(depth: int, colour: int, interlace: int, found: str) -> None:
    data = SIGNATURE + ihdr(2, 3, depth, colour, interlace) + SOUND[33:]
    error = refusal(data)
    assert (error.reason, error.expected, error.found) == ("wrong mode", "8-bit RGB", found)
    assert png_size_mode(data, "x") == (2, 3, found)


def assembled(header: bytes, *chunks: bytes) -> bytes:
    return SIGNATURE + header + b"".join(chunks) + chunk(b"IEND", b"")


STREAM = zlib.compress(filtered_rows(SMALL, [0] * 5))
IDAT = chunk(b"IDAT", STREAM)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (assembled(ihdr(6, 4), IDAT), "65"),
        (assembled(ihdr(4, 4), IDAT), "INSUFFICIENT_SPACE"),
        (assembled(ihdr(2**30, 2**30), IDAT), f"only {len(STREAM)} compressed bytes"),
        (assembled(ihdr(0, 4), IDAT), "000000040000000008020000"),
        (assembled(ihdr(5, 4), chunk(b"IDAT", STREAM[:-1] + b"!")), "BAD_DATA"),
        (assembled(ihdr(5, 4)), "none before IEND"),
        (assembled(IDAT, ihdr(5, 4)), "IDAT of"),
        (assembled(ihdr(5, 4), IDAT, chunk(b"tEXt", b""), IDAT), "another at byte"),
        (assembled(ihdr(5, 4), chunk(b"FUNY", b""), IDAT), "FUNY at byte 33"),
        (assembled(ihdr(1, 1), chunk(b"IDAT", zlib.compress(b"\5abc"))), "5 in row 0"),
    ],
)
def test_a_file_that_contradicts_itself_is_corrupt_though_its_checksums_hold(data: bytes, found: str) -> None:
    error = refusal(data)
    assert error.reason == "corrupt"
    assert found in error.found


def test_bytes_after_the_end_do_not_cost_a_picture() -> None:
    assert np.array_equal(decode_png(SOUND + b"\0" * 512, "x"), SMALL)


def test_every_real_picture_decodes_as_elsewhere(real_archive: Path) -> None:
    files = [*real_archive.glob("coms/**/*.png"), *real_archive.glob("coms_events/**/*.png")]
    assert len(files) >= 100
    for file in files:
        data = file.read_bytes()
        assert png_size_mode(data, file.name) == (1300, 1500, "8-bit RGB")
        assert np.array_equal(decode_png(data, file.name), imagecodecs.png_decode(data)), file.name


def test_a_real_picture_cut_short_is_refused(real_archive: Path) -> None:
    data = min(real_archive.glob("coms/**/*.png")).read_bytes()
    error = refusal(data[: len(data) // 2])
    assert error.reason == "truncated"
    assert "inside IDAT" in error.found
