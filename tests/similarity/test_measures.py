"""The registered measures are what their definitions say, and what the libraries that people know compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.errors import UsageError
from wxpipe.similarity.cdf import grid_cdf_exact
from wxpipe.similarity.layout import GridSpec, cell_sizes
from wxpipe.similarity.measures import Measure, get_measure, measure_names
from wxpipe.similarity.measures.registry import MEASURES
from wxpipe.similarity.measures.whole_histograms import shares

Pictures = npt.NDArray[np.uint8]
Seeds = st.integers(0, 2**32 - 1)
PAIR = np.array([[0, 1]], np.int64)
SPEC = GridSpec(3, 7)
OPENCV = {
    "hist-correlation": cv2.HISTCMP_CORREL,
    "hist-intersection": cv2.HISTCMP_INTERSECT,
    "hist-chi-square": cv2.HISTCMP_CHISQR,
    "hist-bhattacharyya": cv2.HISTCMP_BHATTACHARYYA,
}


def some(seed: int, frames: int = 2, channels: int = 1) -> Pictures:
    """Pictures (frame, channel, 14, 17) of few or many grey values."""
    rng = np.random.default_rng(seed)
    most = rng.integers(1, 257, (frames, channels, 1, 1))
    return (rng.integers(0, 256, (frames, channels, 14, 17)) * most // 256).astype(np.uint8)


def counted(pictures: Pictures) -> tuple[Any, npt.NDArray[np.int64]]:
    cdfs = np.stack([[grid_cdf_exact(one, 14, 0, SPEC) for one in frame] for frame in pictures])
    return cdfs, cell_sizes(SPEC, 14, 17, 0)


def score(measure: Measure, pictures: Pictures, pairs: npt.NDArray[np.int64] = PAIR) -> npt.NDArray[np.float64]:
    if measure.needs == "pictures":
        return measure.score(pictures, pairs)
    return measure.score(*_arguments(pictures, pairs))


def _arguments(pictures: Pictures, pairs: npt.NDArray[np.int64]) -> tuple[Any, Any, Any]:
    cdfs, sizes = counted(pictures)
    return cdfs, pairs, sizes


@settings(max_examples=25, deadline=None)
@given(Seeds)
def test_whole_histograms_are_those_of_the_pictures(seed: int) -> None:
    pictures = some(seed)
    for picture, found in zip(pictures[:, 0], shares(*counted(pictures))[:, 0], strict=True):
        bins = picture.astype(np.int64) * SPEC.bins // 256
        assert found == pytest.approx(np.bincount(bins.ravel(), minlength=SPEC.bins) / picture.size, abs=1e-15)


@pytest.mark.parametrize("name", OPENCV)
@settings(max_examples=25, deadline=None)
@given(Seeds)
def test_comparisons_of_histograms_are_those_of_opencv(name: str, seed: int) -> None:
    pictures = some(seed)
    first, second = shares(*counted(pictures))[:, 0].astype(np.float32)
    found = score(get_measure(name), pictures)[0, 0]
    # OpenCV takes the root of float32: at Bhattacharyya's 0 that is 3e-4 of error.
    assert found == pytest.approx(cv2.compareHist(first, second, OPENCV[name]), rel=1e-4, abs=5e-4)


def plain_ssim(first: Pictures, second: Pictures) -> float:
    """The paper's formula, window by window."""
    apart = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(apart, apart) / apart.sum() ** 2
    found = []
    for y in range(first.shape[0] - 10):
        for x in range(first.shape[1] - 10):
            a, b = (one[y : y + 11, x : x + 11].astype(np.float64) for one in (first, second))
            means = (window * a).sum(), (window * b).sum()
            spread = [(window * (one - mean) ** 2).sum() for one, mean in zip((a, b), means, strict=True)]
            together = (window * (a - means[0]) * (b - means[1])).sum()
            c1, c2 = 2.55**2, 7.65**2
            top = (2 * means[0] * means[1] + c1) * (2 * together + c2)
            found.append(top / ((means[0] ** 2 + means[1] ** 2 + c1) * (sum(spread) + c2)))
    return float(np.mean(found))


PLAINLY: dict[str, Callable[[Any, Any], float]] = {
    "mse": lambda a, b: float(((a.astype(float) - b) ** 2).mean()),
    "psnr": lambda a, b: min(100.0, 10 * np.log10(255**2 / max(((a.astype(float) - b) ** 2).mean(), 1e-9))),
    "ssim": plain_ssim,
}


@pytest.mark.parametrize("name", PLAINLY)
@settings(max_examples=10, deadline=None)
@given(Seeds)
def test_measures_of_pixels_are_their_definitions(name: str, seed: int) -> None:
    pictures = some(seed, channels=2)
    found = score(get_measure(name), pictures)[0]
    assert found == pytest.approx([PLAINLY[name](*pictures[:, channel]) for channel in (0, 1)], rel=1e-9, abs=1e-9)


def test_values_of_scikit_image() -> None:
    """`structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)`, scikit-image 0.26."""
    y, x = np.mgrid[:40, :48]
    first = (128 + 90 * np.sin(x / 5) + 30 * np.cos(y / 7)).astype(np.uint8)
    noisy = np.clip(first.astype(int) + ((x * 7 + y * 13) % 31 - 15), 0, 255).astype(np.uint8)
    pictures = np.stack([first, noisy, 255 - first])[:, np.newaxis]
    pairs = np.array([[0, 1], [0, 2], [0, 0]])
    ssim, psnr = (get_measure(name).score(pictures, pairs)[:, 0] for name in ("ssim", "psnr"))
    assert ssim == pytest.approx([0.8533726156311968, -0.4844471173583027, 1], abs=1e-9)
    assert psnr[:2] == pytest.approx([29.11366687280973, 5.783990246675572], abs=1e-9)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
@settings(max_examples=15, deadline=None)
@given(Seeds)
def test_a_measure_is_what_its_entry_says(measure: Measure, seed: int) -> None:
    pictures = some(seed, frames=4, channels=2)
    pairs = np.array([[0, 1], [1, 0], [2, 2], [3, 0]])
    found = score(measure, pictures, pairs)
    assert found.shape == (4, 2)
    assert found.dtype == np.float64
    low, high = measure.range
    assert (found >= low - 1e-9).all()
    assert (found <= high + 1e-9).all()
    if measure.symmetric:
        assert found[0] == pytest.approx(found[1], abs=1e-9)
    best = measure.range[measure.direction == "higher"]
    assert found[2] == pytest.approx([best, best], abs=1e-7)
    assert measure.best_first(float(found[2, 0])) <= measure.best_first(float(found[3, 0])) + 1e-7
    assert measure.best_first(None) > measure.best_first(low if measure.direction == "higher" else 1e9)


def test_one_that_is_unknown_is_told_the_known() -> None:
    with pytest.raises(UsageError, match="no measure is called 'taste'; known measures: ground-truth, hist-bh"):
        get_measure("taste")
    assert measure_names() == sorted({measure.name for measure in MEASURES})


def test_a_picture_smaller_than_the_window_is_refused() -> None:
    with pytest.raises(UsageError, match="11 x 11"):
        get_measure("ssim").score(np.zeros((2, 1, 10, 30), np.uint8), PAIR)
