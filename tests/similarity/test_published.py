"""The reference layout is the published program's, bit for bit: on small pictures and on the real ones.

The program's arithmetic is written out here slowly, sample by sample, from its description.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import imagecodecs
import numba
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.similarity.cdf import grid_cdf_reference
from wxpipe.similarity.ks import frame_pair_count_sums, frame_pair_similarities
from wxpipe.similarity.layout import GridSpec, cell_sizes

CHANNELS = ("ir01", "ir02", "swir", "wv")
Picture = npt.NDArray[np.uint8]
FrameCdf = Callable[[str, GridSpec, tuple[str, ...]], npt.NDArray[Any]]


def flat_grey(rgb: Picture) -> list[np.float32]:
    """Grey of each pixel, row by row, then the zeros of the margin."""
    rows, columns = rgb.shape[:2]
    flat = [np.float32(0)] * ((columns + 50) * (rows + 50))
    for i in range(rows):
        for j in range(columns):
            r, g, b = (float(v) for v in rgb[i, j])
            flat[i * columns + j] = np.float32(0.2989 * r + 0.5870 * g + 0.1140 * b)
    return flat


def cell_bins(rgb: Picture, grid: int, bins: int) -> list[list[int]]:
    """Bins of the samples of each cell, cells row by row."""
    rows, columns = rgb.shape[:2]
    height, width = math.ceil(rows / grid), math.ceil(columns / grid)
    flat = flat_grey(rgb)
    return [
        [
            int(flat[i * columns + j] / np.float32(255) * np.float32(bins))
            for i in range(height * cell_row, height * (cell_row + 1))
            for j in range(width * cell_column, width * (cell_column + 1))
        ]
        for cell_row in range(grid)
        for cell_column in range(grid)
    ]


def picture_similarity(a: Picture, b: Picture, grid: int, bins: int) -> float:
    """Mean over cells of 1 - D, D over the bins that occur in either cell."""
    total = 0.0
    for x, y in zip(cell_bins(a, grid, bins), cell_bins(b, grid, bins), strict=True):
        distances = [abs(sum(v <= k for v in x) / len(x) - sum(v <= k for v in y) / len(y)) for k in set(x) | set(y)]
        total += 1 - max(distances)
    return total / grid**2


def colours(rng: np.random.Generator, rows: int, columns: int) -> Picture:
    """A picture of grey, drawn-on and arbitrary pixels, white among them."""
    rgb = rng.integers(0, 256, (rows, columns, 3), np.uint8)
    kind = rng.integers(0, 3, (rows, columns))
    rgb[kind < 2] = rgb[kind < 2][:, :1]
    rgb[kind == 1, 2] = 0
    rgb[rng.random((rows, columns)) < 0.1] = 255
    return rgb


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(2, 256), st.integers(1, 17), st.integers(1, 17))
def test_counts_and_similarity_are_those_of_the_slow_transcription(
    seed: int, grid: int, bins: int, rows: int, columns: int
) -> None:
    rng = np.random.default_rng(seed)
    spec = GridSpec(grid, bins, "reference")
    pictures = [colours(rng, rows, columns) for _ in range(2)]
    cdfs = np.stack([grid_cdf_reference(rgb, spec)[np.newaxis] for rgb in pictures])
    for rgb, cdf in zip(pictures, cdfs, strict=True):
        for cell, values in enumerate(cell_bins(rgb, grid, bins)):
            expected = np.cumsum(np.bincount(values, minlength=bins))
            assert len(expected) == bins
            assert (cdf[0, :, cell] == expected[:-1]).all()
    similarity = frame_pair_similarities(cdfs, np.array([[0, 1]]), cell_sizes(spec, rows, columns, 0))
    assert similarity == pytest.approx(picture_similarity(*pictures, grid, bins), abs=1e-12)


@pytest.fixture(scope="module")
def frame_cdf(real_archive: Path) -> FrameCdf:
    """CDFs (channel, bin, cell) of the real frame of a time; each picture is decoded once for all grids."""
    if numba.config.DISABLE_JIT:
        pytest.skip("real pictures take hours without compiled kernels")
    files = {path.name.split("_")[3] + path.stem[-12:]: path for path in real_archive.glob("coms*/*/*/*.png")}
    cases = json.loads((real_archive / "expected" / "grid_similarity.json").read_text())["cases"]
    cases += json.loads((real_archive / "expected" / "frame_similarity.json").read_text())
    specs = {GridSpec(case["grid"], case["bins"], "reference") for case in cases}

    @cache
    def picture_cdfs(channel: str, time: str) -> dict[GridSpec, npt.NDArray[Any]]:
        rgb = imagecodecs.png_decode(files[channel + time].read_bytes())
        return {spec: grid_cdf_reference(rgb, spec) for spec in specs}

    return lambda time, spec, channels: np.stack([picture_cdfs(c, time)[spec] for c in channels])


def check_case(first: npt.NDArray[Any], second: npt.NDArray[Any], spec: GridSpec, expected: float) -> None:
    """Frames i-th with i-th have the similarity that the program printed, and the integer behind it."""
    cdfs, length = np.concatenate((first, second)), len(first)
    pairs = np.stack((np.arange(length), np.arange(length) + length), axis=1)
    sizes = cell_sizes(spec, 1300, 1500, 0)
    assert frame_pair_similarities(cdfs, pairs, sizes).mean() == pytest.approx(expected, abs=1e-9)
    counts = frame_pair_count_sums(cdfs, pairs, sizes)
    assert counts.sum() == round((1 - expected) * counts.size * spec.cells * int(sizes[0]))


def test_real_clips_are_as_similar_as_the_published_program_says(real_archive: Path, frame_cdf: FrameCdf) -> None:
    expected = json.loads((real_archive / "expected" / "grid_similarity.json").read_text())
    for case in expected["cases"]:
        spec = GridSpec(case["grid"], case["bins"], "reference")
        first, second = (
            np.stack([frame_cdf(time, spec, CHANNELS) for time in expected["clips"][case[side]]])
            for side in ("first", "second")
        )
        check_case(first, second, spec, case["similarity"])


def test_real_frames_are_as_similar_as_the_published_program_says(real_archive: Path, frame_cdf: FrameCdf) -> None:
    for case in json.loads((real_archive / "expected" / "frame_similarity.json").read_text()):
        spec = GridSpec(case["grid"], case["bins"], "reference")
        channels = CHANNELS if case["channel"] == "all" else (case["channel"],)
        first, second = (frame_cdf(case[side], spec, channels)[np.newaxis] for side in ("first", "second"))
        check_case(first, second, spec, case["similarity"])
