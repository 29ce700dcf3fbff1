"""A file is what its content says: every mode decodes to what libraries make of it, and every fault has its reason."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zlib

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from wxpipe.archive.decode import decode, require_sane_size, to_8_bits
from wxpipe.errors import Quarantine
from wxpipe.satellites.satellite import Area

Bytes = NDArray[np.uint8]

ROWS, COLUMNS = 5, 7
GREY = np.random.default_rng(5).integers(0, 256, (ROWS, COLUMNS)).astype(np.uint8)
RGB = np.random.default_rng(6).integers(0, 256, (ROWS, COLUMNS, 3)).astype(np.uint8)
ALPHA = np.array([0, 255, 128, 1, 254, 255, 0], np.uint8) * np.ones((ROWS, 1), np.uint8)
REASONS = {"empty", "not a picture", "truncated", "corrupt", "wrong mode", "wrong size"}
ANY = (
    "8-bit RGB", "8-bit RGBA", "8-bit grey", "8-bit grey with alpha", "8-bit palette", "4-bit palette", "2-bit palette",
    "1-bit palette", "1-bit grey", "2-bit grey", "4-bit grey", "16-bit grey", "16-bit RGB", "16-bit RGBA",
    "16-bit grey with alpha", "GIF", "8-bit PGM", "16-bit PGM", "8-bit PGM in gzip", "8-bit RGB in gzip",
)  # fmt: skip


def area(*modes: str, rows: int = ROWS, columns: int = COLUMNS) -> Area:
    more = {"modes": modes} if modes else {}
    return Area.model_validate({"name": "x", "rows": rows, "columns": columns, "reduce": (1, 1), **more})


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pgm(values: NDArray[np.unsignedinteger], largest: int, comment: bytes = b"# N70\n") -> bytes:
    body = values.astype(">u2" if largest > 255 else "u1").tobytes()
    return b"P5\n" + comment + f"{values.shape[1]} {values.shape[0]}\n{largest}\n".encode() + body


def thrice(grey: Bytes) -> Bytes:
    return np.repeat(grey[..., np.newaxis], 3, axis=2)


def blended(colours: Bytes, alpha: Bytes) -> Bytes:
    """Over black, as floating point has it."""
    return np.floor(colours * (alpha[..., np.newaxis] / 255) + 0.5).astype(np.uint8)


def palette_image(colours: int) -> Image.Image:
    image = Image.frombytes("P", (COLUMNS, ROWS), (GREY.astype(int) % colours).astype(np.uint8).tobytes())
    image.putpalette(np.random.default_rng(colours).integers(0, 256, 3 * colours).astype(np.uint8).tobytes())
    return image


def clear_palette() -> tuple[Image.Image, Bytes]:
    """A palette whose colour 3 is transparent, and its pixels over black."""
    image = palette_image(16)
    pixels = np.asarray(image.convert("RGB")).copy()
    pixels[GREY % 16 == 3] = 0
    return image, pixels


DEEP = np.random.default_rng(7).integers(0, 65536, (ROWS, COLUMNS)).astype(np.uint16)
DEEP[0, :2] = 0, 65535
TRANSPARENT = np.dstack([RGB, ALPHA])
FOUR_BIT = palette_image(16)

MODES: dict[str, tuple[str, bytes, Bytes]] = {
    "rgb": ("8-bit RGB", imagecodecs.png_encode(RGB), RGB),
    "rgba": ("8-bit RGBA", imagecodecs.png_encode(TRANSPARENT), blended(RGB, ALPHA)),
    "grey": ("8-bit grey", imagecodecs.png_encode(GREY), thrice(GREY)),
    "grey with alpha": (
        "8-bit grey with alpha", saved(Image.fromarray(np.dstack([GREY, ALPHA])), "png"),
        blended(thrice(GREY), ALPHA),
    ),
    "palette": ("8-bit palette", saved(palette_image(256), "png"), np.asarray(palette_image(256).convert("RGB"))),
    "narrow palette": ("4-bit palette", saved(FOUR_BIT, "png"), np.asarray(FOUR_BIT.convert("RGB"))),
    "one bit": (
        "1-bit grey", saved(Image.fromarray(GREY > 99), "png"), thrice(np.where(GREY > 99, 255, 0).astype(np.uint8))
    ),
    "clear palette": ("4-bit palette", saved(clear_palette()[0], "png", transparency=3), clear_palette()[1]),
    "16 bits": ("16-bit grey", imagecodecs.png_encode(DEEP), thrice(to_8_bits(DEEP, 65535))),
    "16 bits rgb": (
        "16-bit RGB", imagecodecs.png_encode(np.dstack([DEEP] * 3)), thrice(to_8_bits(DEEP, 65535))
    ),
    "gif": ("GIF", saved(palette_image(256), "gif"), np.asarray(palette_image(256).convert("RGB"))),
    "clear gif": ("GIF", saved(clear_palette()[0], "gif", transparency=3), clear_palette()[1]),
    "pgm": ("8-bit PGM", pgm(GREY, 255), thrice(GREY)),
    "narrow pgm": ("8-bit PGM", pgm(GREY % 16, 15), thrice((GREY % 16) * 17)),
    "deep pgm": ("16-bit PGM", pgm(DEEP, 65535), thrice(to_8_bits(DEEP, 65535))),
    "pgm in gzip": ("8-bit PGM in gzip", gzip.compress(pgm(GREY, 255), mtime=0), thrice(GREY)),
    "png in gzip": ("8-bit RGB in gzip", gzip.compress(imagecodecs.png_encode(RGB), mtime=0), RGB),
}  # fmt: skip


def refusal(data: bytes, where: Area) -> Quarantine:
    with pytest.raises(Quarantine) as caught:
        decode(data, "a/b", where)
    assert caught.value.path == "a/b"
    assert caught.value.reason in REASONS
    assert caught.value.expected
    return caught.value


@pytest.mark.parametrize("name", MODES)
def test_every_mode_decodes_where_its_area_allows_it_and_nowhere_else(name: str) -> None:
    mode, data, pixels = MODES[name]
    found = decode(data, "x", area(mode))
    assert np.array_equal(found, pixels)
    assert (found.dtype, found.flags.c_contiguous) == (np.uint8, True)
    assert np.array_equal(decode(data, "x", area(*ANY)), pixels)
    others = tuple(other for other in ANY if other != mode)
    error = refusal(data, area(*others))
    assert (error.reason, error.found) == ("wrong mode", mode)
    assert error.expected == " or ".join(others)


@pytest.mark.parametrize("name", [n for n in MODES if n != "rgb"])
def test_an_area_that_says_nothing_takes_8_bit_rgb_only(name: str) -> None:
    error = refusal(MODES[name][1], area())
    assert (error.reason, error.expected) == ("wrong mode", "8-bit RGB")


@pytest.mark.parametrize("name", MODES)
def test_a_file_cut_anywhere_is_refused(name: str) -> None:
    mode, data, _ = MODES[name]
    for size in range(len(data)):
        reason = refusal(data[:size], area(mode)).reason
        assert reason in {"empty", "truncated"} | ({"not a picture"} if size < 4 else set()), (size, reason)


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80, 0xFF])
@pytest.mark.parametrize("name", MODES)
def test_a_flipped_byte_is_refused_or_makes_a_picture_and_never_more(name: str, mask: int) -> None:
    """PNG and gzip have checksums; what their flips let pass (a gzip's time) changes no pixel."""
    mode, data, pixels = MODES[name]
    reasons: set[str] = set()
    checked = mode not in {"GIF", "8-bit PGM", "16-bit PGM"}
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= mask
        try:
            found = decode(bytes(flipped), "x", area(mode))
        except Quarantine as fault:
            reasons.add(fault.reason)
        else:
            assert found.shape == pixels.shape
            assert not checked or np.array_equal(found, pixels), place
    assert reasons <= REASONS


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([b"GIF89a", b"GIF87a", b"P5 ", b"\x1f\x8b\x08", b"\x89PNG\r\n\x1a\n", b""]), st.binary(max_size=80)
)
def test_rubbish_is_refused_with_a_reason(start: bytes, rest: bytes) -> None:
    refusal(start + rest, area(*ANY))


SOUND_GIF = MODES["gif"][1]
GIF_COLOURS_END = 13 + 3 * 2 ** ((SOUND_GIF[10] & 7) + 1)
GIF_HEAD = SOUND_GIF[:GIF_COLOURS_END]
GIF_FRAME = b"," + bytes(4) + bytes([COLUMNS, 0, ROWS, 0, 0])


@pytest.mark.parametrize(
    ("data", "reason", "found"),
    [
        (b"", "empty", "0 bytes"),
        (b"<html>sorry", "not a picture", "<html>"),
        (b"GIF90a" + bytes(99), "not a picture", "GIF90a"),
        (b"P6\n7 5\n255\n" + bytes(105), "not a picture", "P6"),
        (GIF_HEAD + GIF_FRAME + b"\x08\0;", "corrupt", ""),
        (GIF_HEAD + GIF_FRAME + b"\x08\x01\x08\0;", "corrupt", ""),
        (GIF_HEAD + b";", "corrupt", "none before"),
        (GIF_HEAD + b"?;", "corrupt", "'?' at byte"),
        (b"GIF89a\xff\xff\xff\xff\0\0\0;", "wrong size", "65535 x 65535"),
        (pgm(GREY, 255) + b"\0", "corrupt", "36"),
        (pgm(GREY, 100), "corrupt", "25"),
        (b"P5 7 5 0 " + bytes(35), "corrupt", "5 x 7, 0"),
        (b"P5 7 5 99999 " + bytes(35), "corrupt", "99999"),
        (b"P5 seven 5 255 " + bytes(1035), "corrupt", "seven"),
        (b"P5 99999 99999 255 " + bytes(35), "truncated", "35"),
        (pgm(GREY[:4], 255), "wrong size", "4 x 7"),
        (gzip.compress(gzip.compress(pgm(GREY, 255), mtime=0), mtime=0), "not a picture", "another gzip"),
        (gzip.compress(b"<html>", mtime=0), "not a picture", "<html>"),
        (gzip.compress(bytes(10**7), mtime=0), "corrupt", "more"),
        (imagecodecs.png_encode(np.zeros((9, 9), np.uint8)), "wrong size", "9 x 9"),
    ],
)
def test_what_contradicts_itself_or_is_something_else_is_named(data: bytes, reason: str, found: str) -> None:
    error = refusal(data, area(*ANY))
    assert error.reason == reason
    assert found in error.found


def with_stream(stream: bytes) -> bytes:
    """The grey PNG of `MODES` with another stream, its checksums right."""
    parts = [(b"IHDR", MODES["grey"][1][16:29]), (b"IDAT", stream), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


ROWS_OF_GREY = b"".join(b"\0" + row.tobytes() for row in GREY)


@pytest.mark.parametrize(
    "stream",
    [
        zlib.compress(ROWS_OF_GREY)[:-1] + b"!",
        zlib.compress(ROWS_OF_GREY)[:-5],
        zlib.compress(ROWS_OF_GREY[:-1]),
        zlib.compress(ROWS_OF_GREY + b"\0"),
        zlib.compress(b"\7" + ROWS_OF_GREY[1:]),
        b"",
    ],
    ids=["checksum", "cut", "too short", "too long", "unknown filter", "nothing"],
)
def test_a_stream_that_is_not_the_pictures_is_corrupt_though_its_chunks_are_whole(stream: bytes) -> None:
    assert np.array_equal(decode(with_stream(zlib.compress(ROWS_OF_GREY)), "x", area("8-bit grey")), thrice(GREY))
    assert refusal(with_stream(stream), area("8-bit grey")).reason == "corrupt"


def test_depths_are_scaled_to_the_nearest_and_keep_both_ends() -> None:
    every = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(to_8_bits(every, 65535), np.floor(every * (255 / 65535) + 0.5))
    assert to_8_bits(np.arange(16, dtype=np.uint8), 15).tolist() == list(range(0, 256, 17))


def test_a_later_frame_of_a_gif_is_not_looked_at() -> None:
    first = palette_image(256)
    data = saved(
        first, "gif", save_all=True, append_images=[Image.frombytes("P", (COLUMNS, ROWS), (255 - GREY).tobytes())]
    )
    assert np.array_equal(decode(data, "x", area("GIF")), np.asarray(first.convert("RGB")))


@pytest.mark.parametrize("mode", ["8-bit rgb", "12-bit grey", "GIF in zip", "JPEG"])
def test_an_unknown_mode_is_refused_in_the_toml(mode: str) -> None:
    with pytest.raises(ValueError, match="modes"):
        area(mode)


@pytest.mark.parametrize("modes", [(), ("8-bit RGB", "8-bit RGBA")], ids=["one mode", "several"])
def test_a_header_that_promises_too_much_takes_no_memory(modes: tuple[str, ...]) -> None:
    """A few bytes of zeros unpack to a thousand times as much: size is looked at before there is memory taken."""
    side = 6000
    bomb = zlib.compress(bytes((1 + 3 * side) * side), 9)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)), (b"IDAT", bomb), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    tracemalloc.start()
    try:
        with pytest.raises(Quarantine) as caught:
            decode(data, "a.png", area(*modes))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (caught.value.reason, caught.value.found) == ("wrong size", "6000 x 6000")
    assert peak < 4 * len(data) + 2**20


def test_a_file_far_larger_than_any_picture_is_not_read() -> None:
    require_sane_size(2**20, "a.png", area())
    with pytest.raises(Quarantine, match=r"too large; expected at most 1048926 bytes for 5 x 7 pixels, found 2097152"):
        require_sane_size(2**21, "a.png", area())
