"""SSIM, the structural similarity of Wang, Bovik, Sheikh and Simoncelli (IEEE Trans. Image Processing 13, 2004).

As the paper has it: local means, variances and covariance under an 11 x 11 Gaussian window of 1.5 pixels, K1 = .01,
K2 = .03, dynamic range 255, and the mean over all places where the whole window lies on the picture.
"""

from __future__ import annotations

import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.errors import UsageError
from wxpipe.kernels import fast_kernel

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]

WINDOW, SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
MOST_THREADS = 4


def ssim(material: npt.NDArray[Any], pairs: Ints, sizes: Ints | None = None) -> Floats:  # noqa: ARG001
    """The mean structural similarity, -1 to 1; what is local to one picture is computed once for all its pairs.

    Raises:
        UsageError: pictures smaller than the window.
    """
    if min(material.shape[2:]) < WINDOW:
        raise UsageError(f"ssim looks at {WINDOW} x {WINDOW} pixels; the pictures are {material.shape[2:]}")
    found = np.empty((len(pairs), material.shape[1]))
    partners: dict[int, list[int]] = defaultdict(list)
    for n, second in enumerate(pairs[:, 1].tolist()):
        partners[second].append(n)

    def channel(place: int) -> None:
        pictures = material[:, place]
        known = {int(first): _Local(pictures[first]) for first in np.unique(pairs[:, 0])}
        for second, places in partners.items():
            own = known.get(second) or _Local(pictures[second])
            for n in places:
                found[n, place] = own.like(known[int(pairs[n, 0])])

    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as threads:
        list(threads.map(channel, range(material.shape[1])))
    return found


class _Local:
    """A picture, and its local mean and variance, float64."""

    def __init__(self, picture: npt.NDArray[np.uint8]) -> None:
        self.values = picture.astype(np.float64)
        self.mean = _means(self.values, np.ones_like(self.values))
        self.variance = _means(self.values, self.values) - self.mean * self.mean

    def like(self, other: _Local) -> float:
        return float(_mean_alike(self.values, other.values, self.mean, other.mean, self.variance, other.variance,
                                 _WEIGHTS))  # fmt: skip


def _window() -> Floats:
    apart = np.arange(WINDOW) - WINDOW // 2
    weights: Floats = np.exp(-0.5 * (apart / SIGMA) ** 2)
    found: Floats = weights / weights.sum()
    return found


_WEIGHTS = _window()


def _means(first: Floats, second: Floats) -> Floats:
    found = np.empty((first.shape[0] - WINDOW + 1, first.shape[1] - WINDOW + 1))
    _fill_means(first, second, _WEIGHTS, found)
    return found


@fast_kernel
def _fill_means(first: Floats, second: Floats, weights: Floats, out: Floats) -> None:
    """Fill `out` with means of the products of two pictures under the window, where it lies wholly on them."""
    column = np.empty(first.shape[1])
    for row in range(out.shape[0]):
        _mean_row(first, second, weights, row, column, out[row])


@fast_kernel
def _mean_alike(
    first: Floats, second: Floats, mean: Floats, other_mean: Floats, variance: Floats, other_variance: Floats,
    weights: Floats,
) -> float:  # fmt: skip
    """The mean of the index over all places; means and variances are local, (y, x)."""
    column, products = np.empty(first.shape[1]), np.empty(mean.shape[1])
    total = 0.0
    for row in range(mean.shape[0]):
        _mean_row(first, second, weights, row, column, products)
        a, b, v, w = mean[row], other_mean[row], variance[row], other_variance[row]
        for x in range(products.size):
            both = a[x] * b[x]
            alike = (2 * both + C1) * (2 * (products[x] - both) + C2)
            total += alike / ((a[x] * a[x] + b[x] * b[x] + C1) * (v[x] + w[x] + C2))
    return total / mean.size


@fast_kernel
def _mean_row(first: Floats, second: Floats, weights: Floats, row: int, column: Floats, out: Floats) -> None:
    """One row of the means: down the columns first, then along."""
    column[:] = 0
    for k in range(weights.size):
        weight, upper, lower = weights[k], first[row + k], second[row + k]
        for x in range(column.size):
            column[x] += weight * (upper[x] * lower[x])
    out[:] = 0
    for k in range(weights.size):
        weight = weights[k]
        for x in range(out.size):
            out[x] += weight * column[x + k]
