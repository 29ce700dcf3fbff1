"""Titles are read exactly or not at all."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.archive.png import decode_png
from wxpipe.archive.title import draw_title, load_font, read_title
from wxpipe.errors import NotFoundError

FONT = load_font("kma-9x16")
TITLE = "COMS IR1 2011-03-03 06:45 UTC(03.03 15:45 KST)KMA"
LABELS = {"ir01": "IR1", "ir02": "IR2", "swir": "SWIR", "wv": "WV"}


def bar(text: str, columns: int = 600) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    rows = np.zeros((20, columns), np.uint8)
    draw_title(rows, text, FONT)
    return rows


@settings(deadline=None)
@given(st.text(alphabet=FONT.characters, max_size=60))
def test_what_is_drawn_is_read(text: str) -> None:
    assert read_title(bar(text), FONT) == text.rstrip()


@pytest.mark.parametrize("label", [*LABELS.values(), "VIS"])
def test_the_font_has_every_label_of_coms(label: str) -> None:
    assert read_title(bar(f"COMS {label} 0123456789"), FONT) == f"COMS {label} 0123456789"


def test_a_blank_bar_is_empty() -> None:
    assert read_title(np.zeros((20, 1500), np.uint8), FONT) == ""


def test_drawing_clears_what_was_there() -> None:
    rows = np.full((20, 600), 200, np.uint8)
    draw_title(rows, TITLE, FONT)
    assert np.array_equal(rows, bar(TITLE))


def test_a_little_noise_is_read_and_a_damaged_character_is_not() -> None:
    noisy = np.clip(bar(TITLE) + np.random.default_rng(0).normal(0, 5, (20, 600)), 0, 255).astype(np.uint8)
    assert read_title(noisy, FONT) == TITLE
    damaged = bar(TITLE)
    damaged[4:12, 10 + 9 * 7 : 19 + 9 * 7] = 0
    assert read_title(damaged, FONT) == TITLE.replace("IR1", "IR?")


def test_a_title_moved_by_a_pixel_is_not_guessed() -> None:
    assert "?" in read_title(np.roll(bar(TITLE), 1, axis=1), FONT)


def test_weather_where_the_bar_should_be_is_unreadable() -> None:
    rows = np.random.default_rng(1).integers(1, 256, (20, 600)).astype(np.uint8)
    assert set(read_title(rows, FONT)) == {"?"}


def test_what_the_font_cannot_draw_is_named() -> None:
    with pytest.raises(ValueError, match="the font has no 'Ha'"):
        bar("HWa")
    with pytest.raises(ValueError, match="60 characters in a bar of 10"):
        bar("1" * 60, 100)
    with pytest.raises(ValueError, match="lower than the font"):
        read_title(np.zeros((12, 100), np.uint8), FONT)


def test_an_unknown_font_lists_the_known() -> None:
    with pytest.raises(NotFoundError, match="kma-9x16"):
        load_font("times")


def title_of(name: str) -> str:
    match = re.search(r"le1b_(\w+)_ea040ps_(\d{12})", name)
    assert match
    time = datetime.strptime(match[2], "%Y%m%d%H%M")
    local = time + timedelta(hours=9)
    return f"COMS {LABELS[match[1]]} {time:%Y-%m-%d %H:%M} UTC({local:%m.%d %H:%M} KST)KMA"


def test_every_real_title_is_read_and_says_what_the_name_says(real_archive: Path) -> None:
    for folder in ("coms", "coms_events"):
        for file in (real_archive / folder).rglob("*.png"):
            rows = decode_png(file.read_bytes(), file.name)[:20, :, 0]
            assert read_title(rows, FONT) == title_of(file.name)
            assert np.array_equal(bar(title_of(file.name), 1500), rows), file.name
