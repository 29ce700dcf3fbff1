"""Block means are exact, and the published reduction is the published one."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.archive.png import decode_png
from wxpipe.archive.reduction import block_mean, published_reduction, weighted_grey


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 3), st.integers(1, 5), st.integers(1, 5), st.integers(0))
def test_each_block_is_the_floor_of_its_mean(
    down: int, across: int, crop: int, tall: int, wide: int, seed: int
) -> None:
    rows, columns = crop + down * tall + seed % tall, across * wide + seed % wide
    values = np.random.default_rng(seed).integers(0, 256, (rows, columns)).astype(np.uint8)
    reduced = block_mean(values, crop, (tall, wide))
    for y in range(down):
        for x in range(across):
            block = values[crop + y * tall : crop + (y + 1) * tall, x * wide : (x + 1) * wide]
            assert reduced[y, x] == int(block.sum()) // block.size
    assert reduced.shape == (down, across)
    assert np.array_equal(block_mean(values.astype(np.float64), crop, (tall, wide)), reduced)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="minutes long without compiled loops")
def test_a_white_picture_stays_white_however_large_the_block() -> None:
    assert block_mean(np.full((4000, 4000), 255, np.uint8), 0, (4000, 4000)).tolist() == [[255]]


@pytest.mark.parametrize(("crop", "factor"), [(0, (9, 1)), (8, (1, 1)), (0, (0, 2)), (-1, (1, 1))])
def test_what_does_not_fit_is_refused(crop: int, factor: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"block fits|expected 0 or more"):
        block_mean(np.zeros((8, 8), np.uint8), crop, factor)


def test_another_dtype_is_refused() -> None:
    with pytest.raises(ValueError, match="float32"):
        block_mean(np.zeros((8, 8), np.float32), 0, (2, 2))  # type: ignore[arg-type]


def test_weights_add_up_to_less_than_one() -> None:
    rgb = np.array([[[255, 255, 255], [255, 255, 0]]], np.uint8)
    assert weighted_grey(rgb)[0, 0] == 0.2989 * 255 + 0.5870 * 255 + 0.1140 * 255
    assert published_reduction(rgb, 0, (1, 2)).tolist() == [[240]]


def test_the_published_reduction_comes_out_as_published(real_archive: Path) -> None:
    published = sorted((real_archive / "coms_reduced").glob("*.png"))
    assert len(published) == 4
    for file in published:
        source = real_archive / "coms" / "201103" / "03" / file.name
        rgb = decode_png(source.read_bytes(), file.name)
        ours = published_reduction(rgb, 100, (4, 4)).astype(int)
        assert np.abs(ours - imagecodecs.png_decode(file.read_bytes())).max() == 0, file.name
