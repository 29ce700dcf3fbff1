"""The loss that encoders learn from: how far distances of vectors are from those of the ground truth."""

from __future__ import annotations

import math

import torch
from torch import nn

EPSILON = 1e-6
"""Added to each ground-truth distance 1 - similarity, as published."""

MIN_SQUARED_DISTANCE = 1e-24
"""Squared distances below this count as this: a distance of 1e-12, far below float32's resolution of any
two vectors that differ."""


class Floor(nn.Module):
    """A square that is added to every squared distance while an encoder learns, and is learned with it.

    Ground-truth distances saturate: histograms of cells that have nothing in common are all about as far apart, and
    those of two samples of one sky never agree. So the distances of unrelated clips differ by some percent around a
    high level, where distances of vectors differ by tens of percent around none. A loss of ratios makes the
    second like the first in the one way that a linear map has: it gives the pixels that differ most the least weight,
    and ranks distant weather worse than before. With a level of its own the loss leaves that be. Searching does not
    change: what has the least distance has the least with a constant added to all squares.

    Args:
        square: what it begins with, over 0.
    """

    def __init__(self, square: float) -> None:
        super().__init__()
        self.logarithm = nn.Parameter(torch.tensor(math.log(square)))

    @property
    def square(self) -> torch.Tensor:
        """What is added, a scalar over 0."""
        return self.logarithm.exp()


def log_ratio_loss(
    x: torch.Tensor, y: torch.Tensor, z: torch.Tensor, sim_xy: torch.Tensor, sim_xz: torch.Tensor,
    floor: Floor | None = None,
) -> torch.Tensor:  # fmt: skip
    """Return the mean over triples of (log(|x-y| / |x-z|) - log((1-s_xy+eps) / (1-s_xz+eps)))^2.

    The logarithm of a distance is taken as half that of its square, which is never less than
    `MIN_SQUARED_DISTANCE`. Where vectors differ that changes nothing. Where two are equal the published
    form is infinite and its gradient not a number; here the loss is large but finite, and the pair of equal
    vectors has no gradient. Such triples are not left out, since a constant encoder would then be perfect.

    Without a floor, as published, the loss does not change when all vectors are scaled; with and without, a bias does
    not matter to it.

    Args:
        x: float (triple, width), vectors of the anchors.
        y: like `x`, the first of each pair.
        z: like `x`, the second.
        sim_xy: float (triple,), ground-truth similarity of x and y, 0..1.
        sim_xz: like `sim_xy`, of x and z.
        floor: added to the squares of |x-y| and |x-z|; None adds nothing, as published.

    Returns:
        A scalar tensor.

    Source: geon0325/weather_similarity, sample_code/model.py.
    """
    found = 0.5 * (_log_squared_distance(x, y, floor) - _log_squared_distance(x, z, floor))
    wanted = torch.log((1 - sim_xy + EPSILON) / (1 - sim_xz + EPSILON))
    return (found - wanted).square().mean()


def _log_squared_distance(a: torch.Tensor, b: torch.Tensor, floor: Floor | None) -> torch.Tensor:
    squares = (a - b).square().sum(dim=1)
    return (squares.clamp_min(MIN_SQUARED_DISTANCE) if floor is None else squares + floor.square).log()
