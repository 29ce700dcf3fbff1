"""The loss that encoders learn from: how far distances of vectors are from those of the ground truth."""

from __future__ import annotations

import torch

EPSILON = 1e-6
"""Added to each ground-truth distance 1 - similarity, as published."""

MIN_SQUARED_DISTANCE = 1e-24
"""Squared distances below this count as this: a distance of 1e-12, far below float32's resolution of any
two vectors that differ."""


def log_ratio_loss(
    x: torch.Tensor, y: torch.Tensor, z: torch.Tensor, sim_xy: torch.Tensor, sim_xz: torch.Tensor
) -> torch.Tensor:
    """Return the mean over triples of (log(|x-y| / |x-z|) - log((1-s_xy+eps) / (1-s_xz+eps)))^2.

    The logarithm of a distance is taken as half that of its square, which is never less than
    `MIN_SQUARED_DISTANCE`. Where vectors differ that changes nothing. Where two are equal the published
    form is infinite and its gradient not a number; here the loss is large but finite, and the pair of equal
    vectors has no gradient. Such triples are not left out, since a constant encoder would then be perfect.

    The loss does not change when all vectors are scaled or shifted: neither the input's scale nor a bias
    matters to it.

    Args:
        x: float (triple, width), vectors of the anchors.
        y: like `x`, the first of each pair.
        z: like `x`, the second.
        sim_xy: float (triple,), ground-truth similarity of x and y, 0..1.
        sim_xz: like `sim_xy`, of x and z.

    Returns:
        A scalar tensor.

    Source: geon0325/weather_similarity, sample_code/model.py.
    """
    found = 0.5 * (_log_squared_distance(x, y) - _log_squared_distance(x, z))
    wanted = torch.log((1 - sim_xy + EPSILON) / (1 - sim_xz + EPSILON))
    return (found - wanted).square().mean()


def _log_squared_distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a - b).square().sum(dim=1).clamp_min(MIN_SQUARED_DISTANCE).log()
