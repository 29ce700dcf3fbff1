"""The overlay comes off, what it hid is filled, and the source picture comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wxpipe.archive.overlay import (
    YELLOW,
    FillStencil,
    build_stencil,
    fill,
    layer_digest,
    learn_layer,
    luminance,
    restore,
    separate,
)
from wxpipe.archive.png import decode_png

Bytes = NDArray[np.uint8]
Layer = NDArray[np.bool_]
TITLE = 4


def drawn(grey: Bytes, layer: Layer, title_rows: int = TITLE) -> Bytes:
    """A picture as the archive has them: yellow lines on grey, yellow text in the title rows."""
    rgb = np.stack([grey] * 3, axis=-1)
    rgb[layer] = YELLOW
    rgb[:title_rows, :, 2] = 0
    return rgb


def layers(rows: int = 40, columns: int = 50) -> Layer:
    """A line across, a line down, both to the edge, and a thick area."""
    layer = np.zeros((rows, columns), np.bool_)
    layer[15], layer[TITLE:, 9], layer[22:36, 28:46] = True, True, True
    return layer


def noise(seed: int, shape: tuple[int, int] = (40, 50)) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_the_layer_is_what_most_pictures_have() -> None:
    layer = layers()
    sample = [drawn(noise(seed), layer) for seed in range(5)]
    sample[0][30, 3] = YELLOW  # a stray pixel in one
    sample[1][layer] = 0  # a picture without its overlay
    assert np.array_equal(learn_layer(sample, TITLE), layer)
    assert layer_digest(learn_layer(sample, TITLE)) == layer_digest(layer)


def test_yellow_title_text_is_no_overlay() -> None:
    picture = np.full((6, 8, 3), YELLOW, np.uint8)
    assert learn_layer([picture], TITLE).sum() == 2 * 8


def test_a_layer_needs_pictures_of_one_size() -> None:
    with pytest.raises(ValueError, match="no pictures"):
        learn_layer([], TITLE)
    with pytest.raises(ValueError, match="one size"):
        learn_layer([np.zeros((5, 5, 3), np.uint8), np.zeros((5, 6, 3), np.uint8)], TITLE)


def test_a_digest_tells_shapes_apart() -> None:
    assert layer_digest(np.zeros((2, 8), np.bool_)) != layer_digest(np.zeros((8, 2), np.bool_))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.integers(0, 6), st.floats(0, 0.5))
def test_what_was_taken_apart_goes_together_again(seed: int, title_rows: int, share: float) -> None:
    generator = np.random.default_rng(seed)
    layer = generator.random((12, 17)) < share
    layer[:title_rows] = False
    rgb = drawn(noise(seed, (12, 17)), layer, title_rows)
    grey, mismatches = separate(rgb, layer, title_rows)
    assert mismatches == 0
    fill(grey, build_stencil(layer, title_rows))
    assert np.array_equal(restore(grey, layer, title_rows), rgb)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 39), st.integers(0, 49), st.tuples(*[st.integers(0, 255)] * 3))
def test_no_mismatch_is_said_exactly_when_the_picture_can_be_restored(
    y: int, x: int, pixel: tuple[int, int, int]
) -> None:
    layer = layers()
    rgb = drawn(noise(1), layer)
    rgb[y, x] = pixel
    grey, mismatches = separate(rgb, layer, TITLE)
    assert (mismatches == 0) == np.array_equal(restore(grey, layer, TITLE), rgb)


def test_a_missing_overlay_is_counted_pixel_by_pixel() -> None:
    layer = layers()
    bare = drawn(noise(2), np.zeros_like(layer))
    assert separate(bare, layer, TITLE)[1] == layer[TITLE:].sum()
    assert separate(bare, np.zeros_like(layer), TITLE)[1] == 0


def test_a_layer_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="the layer is"):
        separate(np.zeros((5, 5, 3), np.uint8), np.zeros((5, 6), np.bool_), 0)


def test_filling_reads_known_pixels_only_and_writes_hidden_ones_only() -> None:
    layer = layers()
    hidden = layer.copy()
    hidden[:TITLE] = False
    stencil = build_stencil(layer, TITLE)
    first, second = noise(3), noise(3)
    second[hidden], second[:TITLE] = 255 - second[hidden], 7
    before = first.copy()
    fill(first, stencil)
    fill(second, stencil)
    assert np.array_equal(first[TITLE:], second[TITLE:])
    assert np.array_equal(first[~hidden], before[~hidden])


def test_an_even_ground_and_a_slope_show_no_seam() -> None:
    stencil = build_stencil(layers(), TITLE)
    even = np.where(layers(), 255, 77).astype(np.uint8)
    fill(even, stencil)
    assert (even[TITLE:] == 77).all()
    slope = np.broadcast_to(np.arange(50, dtype=np.uint8) * 4, (40, 50)).copy()
    filled = slope.copy()
    fill(filled, stencil)
    line = np.zeros((40, 50), np.bool_)
    line[15, 10:], line[16:22, 9] = True, True
    assert np.abs(filled[line].astype(int) - slope[line]).max() <= 4  # a line: within a pixel's slope
    assert np.abs(filled.astype(int) - slope)[TITLE:, 2:-2].max() <= 16  # thick: drawn from all sides


def test_weights_are_whole() -> None:
    stencil = build_stencil(layers(), TITLE)
    assert (stencil.weights.sum(axis=1, dtype=np.int64) == 2**14).all()
    assert not layers().ravel()[stencil.sources].any()
    assert (stencil.sources >= TITLE * 50).all()


def test_a_far_rim_is_found() -> None:
    layer = np.ones((10, 40), np.bool_)
    layer[:, -1] = False
    picture = np.full((10, 40), 50, np.uint8)
    picture[layer] = 0
    fill(picture, build_stencil(layer, 0))
    assert (picture == 50).all()


def test_nothing_known_and_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="hides every pixel"):
        build_stencil(np.ones((5, 5), np.bool_), 1)
    with pytest.raises(ValueError, match="contiguous picture of"):
        fill(np.zeros((5, 6), np.uint8), build_stencil(np.zeros((5, 5), np.bool_), 1))


def test_luminance_serves_where_no_layer_is_known() -> None:
    rgb = np.array([[[255, 255, 255], [255, 255, 0], [100, 100, 100], [0, 0, 0]]], np.uint8)
    assert luminance(rgb).tolist() == [[255, 226, 100, 0]]


def real_pictures(folder: Path, name: str) -> list[Path]:
    return sorted((folder / name).rglob("*.png"))


def decoded(files: list[Path]) -> list[Bytes]:
    return [decode_png(file.read_bytes(), file.name) for file in files]


@pytest.fixture(scope="module")
def real_layer(real_archive: Path) -> tuple[Layer, FillStencil]:
    layer = learn_layer(decoded(real_pictures(real_archive, "coms")[::20]), 20)
    return layer, build_stencil(layer, 20)


def test_the_layer_of_one_year_is_that_of_another(real_archive: Path, real_layer: tuple[Layer, FillStencil]) -> None:
    layer, _ = real_layer
    later = learn_layer(decoded(real_pictures(real_archive, "coms_events")[::8]), 20)
    assert layer.sum() == 23_929
    assert np.array_equal(layer, later)


def test_every_real_picture_comes_back_bit_for_bit(real_archive: Path, real_layer: tuple[Layer, FillStencil]) -> None:
    layer, stencil = real_layer
    for name in ("coms", "coms_events"):
        for file in real_pictures(real_archive, name):
            rgb = decode_png(file.read_bytes(), file.name)
            grey, mismatches = separate(rgb, layer, 20)
            assert mismatches == 0, file.name
            fill(grey, stencil)
            assert np.array_equal(restore(grey, layer, 20), rgb), file.name


def test_filling_real_weather_is_near_the_truth(real_archive: Path, real_layer: tuple[Layer, FillStencil]) -> None:
    """The layer is moved to where the truth is known: the fill must beat OpenCV's inpainting by a fifth."""
    cv2 = pytest.importorskip("cv2")
    layer, _ = real_layer
    moved = np.roll(layer, (31, 17), (0, 1))
    moved[:60] = False
    test = moved & ~layer
    hidden = layer | moved
    stencil = build_stencil(hidden, 20)
    ours, theirs = [], []
    for rgb in decoded(real_pictures(real_archive, "coms")[::25]):
        truth = rgb[..., 1].copy()
        filled = truth.copy()
        fill(filled, stencil)
        painted = cv2.inpaint(truth, hidden.astype(np.uint8), 3, cv2.INPAINT_TELEA)
        ours.append(filled[test].astype(float) - truth[test])
        theirs.append(painted[test].astype(float) - truth[test])
    assert np.sqrt(np.mean(np.square(ours))) < 0.8 * np.sqrt(np.mean(np.square(theirs)))
    assert abs(np.mean(ours)) < 0.1
