"""Lines and logos of any colour are found in a sample, what they hide is filled, and thin ones are taken off."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from wxpipe.archive.drawing import draws, learn, part
from wxpipe.archive.overlay import build_stencil, fill
from wxpipe.archive.png import decode_png
from wxpipe.satellites.catalog import shipped_satellites
from wxpipe.satellites.satellite import Area

Bytes = NDArray[np.uint8]
Layer = NDArray[np.bool_]

ROWS, COLUMNS, TITLE = 60, 80, 8
COLOURS = [(255, 255, 0), (0, 255, 255), (200, 30, 30), (20, 160, 240)]


def area(colour: tuple[int, int, int] | None = None, *, learned: bool = True) -> Area:
    return Area(
        name="x", rows=ROWS, columns=COLUMNS, title_rows=TITLE, reduce=(1, 1), learn_overlay=learned,
        overlay_colour=colour,
    )  # fmt: skip


def sky(seed: int) -> Bytes:
    """Smooth weather with a wide black corner of space, grey (y, x)."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:ROWS, :COLUMNS]
    phases = generator.uniform(0, 6.3, 4)
    waves = np.sin(y / 7 + phases[0]) + np.sin(x / 9 + phases[1]) + np.sin((x + y) / 11 + phases[2])
    grey = np.clip(128 + 35 * waves, 20, 235).astype(np.uint8)
    grey[40:, :25] = 0
    return grey


def lines() -> Layer:
    mask = np.zeros((ROWS, COLUMNS), np.bool_)
    mask[20, 26:], mask[TITLE:, 50] = True, True
    return mask


def logo() -> Bytes:
    """A disc of red and blue, and white letters that are not coloured at all; 0 where there is none."""
    rgb = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    rgb[48:54, 3:9] = (200, 20, 40)
    rgb[54:57, 3:9] = (10, 60, 160)
    rgb[50:56, 11:20:2] = 255
    rgb[50:56, 12:20:2] = 90
    return rgb


def drawn(seed: int, colour: tuple[int, int, int], share: float = 1.0) -> Bytes:
    """Weather with a title, lines that cover so much of what is under them, and the logo."""
    rgb = np.repeat(sky(seed)[..., np.newaxis], 3, axis=2).astype(float)
    mask = lines()
    rgb[mask] = (1 - share) * rgb[mask] + share * np.array(colour)
    mark = logo()
    rgb[mark.any(axis=2)] = mark[mark.any(axis=2)]
    rgb[:TITLE] = 0
    rgb[2:6, seed % 40 : seed % 40 + 20] = 255
    return np.floor(rgb + 0.5).astype(np.uint8)


def hidden() -> Layer:
    return lines() | logo().any(axis=2)


@pytest.mark.parametrize("colour", COLOURS)
def test_lines_and_logo_are_found_whatever_their_colour(colour: tuple[int, int, int]) -> None:
    sample = [drawn(seed, colour) for seed in range(7)]
    layer = learn(sample, area())
    wanted = hidden() & (np.arange(ROWS) >= TITLE)[:, np.newaxis]
    assert layer[wanted].all()
    beside = cv2.dilate(wanted.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert not (layer & ~wanted)[~(beside & (sky(0) == 0))].any(), "at most a rim of the logo, in space"
    assert [part(rgb, layer, area())[1] for rgb in sample] == [0] * 7


def test_white_lines_are_found_by_not_changing() -> None:
    sample = [drawn(seed, (250, 250, 250)) for seed in range(7)]
    found = learn(sample, area())
    lines_below = lines()
    lines_below[:TITLE] = False
    assert found[lines_below].mean() < 0.1, "white like the coldest cloud: it takes a colour, or a grey, to be seen"
    sample = [drawn(seed, (160, 160, 160)) for seed in range(7)]
    assert np.array_equal(learn(sample, area())[lines_below], np.ones(lines_below.sum(), np.bool_))


def test_a_damaged_and_a_foreign_picture_in_the_sample_change_nothing() -> None:
    sample = [drawn(seed, COLOURS[2]) for seed in range(7)]
    layer = learn(sample, area())
    sample[1][30:40] = 0
    assert np.array_equal(learn(sample, area()), layer)
    sample[1] = np.random.default_rng(0).integers(0, 256, sample[0].shape).astype(np.uint8)
    assert np.array_equal(learn(sample, area()), layer)
    assert part(sample[1], layer, area())[1] > 0.5 * ROWS * COLUMNS


def test_space_is_no_layer_and_what_is_in_it_is_filled_with_it() -> None:
    sample = [drawn(seed, COLOURS[0]) for seed in range(5)]
    layer = learn(sample, area())
    assert not layer[42:46, :24].any()
    grey, _ = part(sample[0], layer, area())
    fill(grey, build_stencil(layer, TITLE))
    assert grey[50:, :18].max() <= 8
    near_line = np.abs(grey.astype(int) - sky(0))[lines() & (np.arange(ROWS) >= TITLE)[:, np.newaxis]]
    assert near_line.max() <= 12


@pytest.mark.parametrize("share", [0.05, 0.2, 0.35])
@pytest.mark.parametrize("colour", COLOURS)
def test_lines_of_a_named_colour_that_let_the_earth_through_are_solved(
    colour: tuple[int, int, int], share: float
) -> None:
    named = area(colour)
    sample = [drawn(seed, colour, share) for seed in range(7)]
    layer = learn(sample, named)
    mask = lines()
    mask[:TITLE] = False
    assert not layer[mask].any()
    grey, strange = part(sample[3], layer, named)
    assert strange == 0
    error = np.abs(grey.astype(int) - sky(3))
    assert error[mask].max() <= 3
    assert not error[~hidden() & (np.arange(ROWS) >= TITLE)[:, np.newaxis]].any()


def test_a_named_colour_that_hides_the_earth_is_filled() -> None:
    named = area(COLOURS[0])
    sample = [drawn(seed, COLOURS[0], 0.9) for seed in range(7)]
    layer = learn(sample, named)
    mask = lines()
    mask[:TITLE] = False
    assert layer[mask].all()


def test_another_colour_beside_the_layer_is_counted() -> None:
    named = area(COLOURS[0])
    sample = [drawn(seed, COLOURS[0]) for seed in range(7)]
    layer = learn(sample, named)
    spoiled = sample[0].copy()
    spoiled[30:33, 60:64] = (200, 20, 200)
    assert part(spoiled, layer, named)[1] == 12


def test_an_area_of_one_colour_or_none_is_left_to_the_exact_way() -> None:
    assert [draws(a) for a in (area(learned=False), area(COLOURS[0], learned=False), area())] == [False, True, True]
    one = area(COLOURS[0], learned=False)
    rgb = np.repeat(sky(1)[..., np.newaxis], 3, axis=2)
    rgb[:TITLE] = 0
    rgb[lines()] = COLOURS[0]
    layer = learn([rgb] * 5, one)
    assert part(rgb, layer, one)[1] == 0
    assert np.array_equal(layer, lines() & (np.arange(ROWS) >= TITLE)[:, np.newaxis])


def test_pictures_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="one size"):
        learn([np.zeros((5, 5, 3), np.uint8), np.zeros((5, 6, 3), np.uint8)], area())
    with pytest.raises(ValueError, match="the layer is"):
        part(np.zeros((5, 5, 3), np.uint8), np.zeros((5, 6), np.bool_), area())


def test_real_lines_of_one_colour_are_found_this_way_too(real_archive: Path) -> None:
    """The way of any colours and that of one find the same lines on COMS, but for pixels where nothing ever moves."""
    files = sorted((real_archive / "coms").rglob("*.png"))[::15]
    sample = [decode_png(file.read_bytes(), file.name) for file in files]
    coms = shipped_satellites()["coms"].areas["ea"]
    learned = coms.model_copy(update={"learn_overlay": True})
    exact, found = learn(sample, coms), learn(sample, learned)
    assert exact.sum() == 23_929
    assert found[exact].all()
    assert (found & ~exact).sum() <= 20
    for rgb in sample:
        grey, strange = part(rgb, found, learned)
        assert strange == 0
        assert np.array_equal(grey[~found], part(rgb, exact, coms)[0][~found])
