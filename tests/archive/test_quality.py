"""Pictures that decode well and still are not weather."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wxpipe.archive.png import decode_png
from wxpipe.archive.quality import constant, copy_of, dead_rows


def weather(seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (200, 60)).astype(np.uint8)


def test_one_value_below_the_title_is_constant() -> None:
    picture = weather()
    picture[20:] = 9
    assert constant(picture, 20) == "constant"
    picture[150, 3] = 10
    assert constant(picture, 20) is None


def test_a_copy_is_known_under_a_new_title() -> None:
    first, second = weather(), weather()
    second[:20] = 0
    assert copy_of(first, second, 20) == "copy of the previous slot"
    second[100, 5] ^= 1
    assert copy_of(first, second, 20) is None
    assert copy_of(None, second, 20) is None
    assert copy_of(first[:-1], second, 20) is None


def test_lost_scan_lines_are_noticed_black_or_repeated_under_drawn_lines_too() -> None:
    black, repeated = weather(), weather()
    black[100:103] = 0
    repeated[100:104] = repeated[99]
    for picture in (black, repeated):
        picture[:, 12] = 255  # a meridian
        assert dead_rows(picture, 20) == "dead rows"
    assert dead_rows(weather(), 20) is None


def test_no_real_picture_is_found_fault_with(real_archive: Path) -> None:
    previous = None
    for file in sorted((real_archive / "coms").rglob("*wv*.png")) + sorted(
        (real_archive / "coms_events").rglob("*.png")
    ):
        grey = np.ascontiguousarray(decode_png(file.read_bytes(), file.name)[..., 1])
        assert constant(grey, 20) is None
        assert dead_rows(grey, 20) is None
        assert copy_of(previous, grey, 20) is None, file.name
        previous = grey
