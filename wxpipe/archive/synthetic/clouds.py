"""Clouds and moisture of a synthetic sky: noise that the wind carries, that a flow winds up, that regimes replay.

Octaves of noise live as long as they are large. The larger ones, and the flow, replay the pattern of the regime that
visits. The flow draws them out into bands; around a vortex it winds them into spirals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from wxpipe.archive.synthetic.noise import Floats, Window, add_noise, between
from wxpipe.archive.synthetic.regimes import Regimes
from wxpipe.archive.synthetic.systems import Moment, System
from wxpipe.draws import derived_seed

_FRESH, _REPLAYED, _FLOW, _MOISTURE = range(1, 5)


@dataclass(frozen=True)
class Octave:
    """Noise of one size.

    Attributes:
        nodes: to a unit of the plane.
        hours: how long it lives.
        weight: how much it counts.
        replayed: correlation of two visits of one regime.
    """

    nodes: int
    hours: float
    weight: float
    replayed: float


OCTAVES = (
    Octave(4, 60, 1.00, 0.97),
    Octave(8, 34, 0.85, 0.95),
    Octave(16, 15, 0.70, 0.92),
    Octave(32, 9, 0.50, 0.85),
    Octave(64, 4.5, 0.52, 0.6),
    Octave(128, 3, 0.48, 0.0),
    Octave(256, 1.5, 0.42, 0.0),
)
FLOW = (Octave(3, 60, 1.0, 0.97), Octave(6, 40, 0.40, 0.95))
"""The stream function of the flow, from high to low; its slope is how far clouds were drawn out."""
MOISTURE = (Octave(5, 50, 0.75, 0.95), Octave(11, 30, 0.35, 0.92))
"""Of the upper air, that no cloud shows."""

_VAPOUR_OCTAVES = 3  # the largest, that water vapour follows
_FINEST = 16  # nodes that even the smallest picture shows
_STRETCH = 1.6
_DRAWN_OUT = 0.022  # of the stream function's slope
_MARGIN = 0.13  # of the plane, beyond a window: what can be drawn into it
_WOUND = 2.4  # radians by which a vortex winds up its middle


def clouds(
    seed: int, regimes: Regimes, vortices: Sequence[tuple[System, Moment]], window: Window, hours: float
) -> tuple[Floats, Floats]:
    """Clouds and moisture, before systems are drawn on them.

    Args:
        seed: of the weather.
        vortices: that wind the clouds up.
        hours: since 1970.

    Returns:
        Two float32 (rows, columns), of about unit spread.
    """
    margin = math.ceil(_MARGIN / window.pixel)
    wide = window.padded(margin)
    cloud, vapour = wide.blank(), wide.blank()
    finest = max(_FINEST, int(1 / (3 * window.pixel)))
    carried = regimes.carried(hours)
    for number, octave in enumerate(octave for octave in OCTAVES if octave.nodes <= finest):
        _add(cloud, wide, octave, derived_seed(seed, number), regimes, hours, carried)
        if number + 1 == _VAPOUR_OCTAVES:
            vapour = cloud.copy()
    for number, octave in enumerate(MOISTURE):
        _add(vapour, wide, octave, derived_seed(seed, _MOISTURE, number), regimes, hours, carried)
    down, right = _flow(seed, regimes, vortices, window, hours)
    y = np.arange(margin, margin + window.rows, dtype=np.float32)[:, np.newaxis] + down * np.float32(1 / window.pixel)
    x = np.arange(margin, margin + window.columns, dtype=np.float32) + right * np.float32(1 / window.pixel)
    wound = (cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) for field in (cloud, vapour))
    return next(wound).astype(np.float32, copy=False), next(wound).astype(np.float32, copy=False)


def _add(
    out: Floats, window: Window, octave: Octave, seed: int, regimes: Regimes, hours: float, carried: tuple[float, float]
) -> None:
    """Adds one octave: its own part, and what regimes replay."""
    own = octave.weight * math.sqrt(1 - octave.replayed**2)
    fresh = between(derived_seed(seed, _FRESH), hours / octave.hours, own)
    add_noise(out, window, octave.nodes, fresh, carried, _STRETCH)
    if not octave.replayed:
        return
    for stay in regimes.stays(hours):
        weight = octave.weight * octave.replayed * stay.share
        replayed = between(derived_seed(seed, _REPLAYED, stay.regime), stay.age / octave.hours, weight)
        down, right = regimes.carried_since(stay.number, hours)
        moved = down + stay.displacement[0], right + stay.displacement[1]
        add_noise(out, window, octave.nodes, replayed, moved, _STRETCH)


def _flow(
    seed: int, regimes: Regimes, vortices: Sequence[tuple[System, Moment]], window: Window, hours: float
) -> tuple[Floats, Floats]:
    """From where (down, right) of each pixel its clouds come, in units of the plane, (rows, columns)."""
    step = max(1, window.columns // 150)
    coarse = window.coarse(step)
    stream = coarse.blank()
    for number, octave in enumerate(FLOW):
        _add(stream, coarse, octave, derived_seed(seed, _FLOW, number), regimes, hours, regimes.carried(hours))
    slopes = np.gradient(stream, coarse.pixel)
    down: Floats = (_DRAWN_OUT * slopes[1]).astype(np.float32)
    right: Floats = (-_DRAWN_OUT * slopes[0]).astype(np.float32)
    for system, at in vortices:
        _wind(down, right, coarse, system, at)
    shape = coarse.columns * step, coarse.rows * step
    if step > 1:
        down = cv2.resize(down, shape, interpolation=cv2.INTER_LINEAR).astype(np.float32, copy=False)
        right = cv2.resize(right, shape, interpolation=cv2.INTER_LINEAR).astype(np.float32, copy=False)
    reach = np.float32(_MARGIN * 0.98)
    inner = slice(0, window.rows), slice(0, window.columns)
    return np.clip(down[inner], -reach, reach), np.clip(right[inner], -reach, reach)


def _wind(down: Floats, right: Floats, window: Window, system: System, at: Moment) -> None:
    """Turns the clouds around a vortex, the more the nearer."""
    y = (window.down - at.down).astype(np.float32)[:, np.newaxis]
    x = (window.right - at.right).astype(np.float32)[np.newaxis, :]
    reach = np.float32(1.5 * at.radius)
    turn = np.float32(_WOUND * at.strength * system.spin) * np.exp(-(y * y + x * x) / (reach * reach))
    sine, cosine = np.sin(turn), np.cos(turn) - np.float32(1)
    down += cosine * y - sine * x
    right += cosine * x + sine * y
