"""How a system looks: what it makes of the clouds and the moisture around its centre."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wxpipe.archive.synthetic.noise import Floats, Window
from wxpipe.archive.synthetic.systems import Moment, System
from wxpipe.archive.truth import SystemKind
from wxpipe.draws import uniform

_BLOBS = 7  # towers of a convective cluster


@dataclass(frozen=True)
class _Patch:
    """The part of a window around a system.

    Attributes:
        rows, columns: of the window.
        y, x: distance down and right of the centre, in radii of the system, broadcastable.
    """

    rows: slice
    columns: slice
    y: Floats
    x: Floats

    @classmethod
    def around(cls, window: Window, at: Moment, reach: float) -> _Patch | None:
        """Pixels nearer than `reach` radii; None where there are none."""
        rows = _within(window.rows, (at.down - window.top) / window.pixel, reach * at.radius / window.pixel)
        columns = _within(window.columns, (at.right - window.left) / window.pixel, reach * at.radius / window.pixel)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return None
        y = ((window.down[rows] - at.down) / at.radius).astype(np.float32)[:, np.newaxis]
        x = ((window.right[columns] - at.right) / at.radius).astype(np.float32)[np.newaxis, :]
        return cls(rows, columns, y, x)


def draw(cloud: Floats, vapour: Floats, window: Window, system: System, at: Moment) -> None:
    """Draws a system on the clouds and the moisture of a window, in place.

    Args:
        cloud, vapour: float32 (rows, columns), of about unit spread.
    """
    patch = _Patch.around(window, at, _REACH[system.kind])
    if patch is not None:
        inner = patch.rows, patch.columns
        cloud[inner], vapour[inner] = _LOOKS[system.kind](cloud[inner], vapour[inner], patch, system, at)


def _vortex(cloud: Floats, vapour: Floats, patch: _Patch, system: System, at: Moment) -> tuple[Floats, Floats]:
    """A dense overcast in the middle, with an eye where there is one, and arms that wind out of it and turn.

    Arms are logarithmic spirals: at the angle a, cloud lies where ``2 (a + 3 ln r - turned)`` is a multiple of 2 pi.
    """
    r = np.hypot(patch.y, patch.x)
    around = np.arctan2(-patch.y, patch.x)
    arms = 2 if system.eye else 1
    wave = np.cos(arms * (around - at.angle * system.spin) + np.float32(4.0) * np.log(r + np.float32(0.05)))
    strong = np.float32(at.strength)
    core, dry = _fall(r, 0.22, 0.44), _fall(r, 0.60, 0.85)
    target = np.float32(3.2) * core - np.float32(1.0)  # around the overcast air sinks, and is clear
    if system.eye:
        target -= np.float32(4.0) * strong * _fall(r, system.eye * 0.4, system.eye * 1.4)
    firm = np.float32(0.55 if system.eye else 0.40)
    hold = min(np.float32(1), np.float32(1.3) * strong) * dry * (firm + np.float32(0.3) * core)
    arms_around = strong * _fall(r, 0.7, 1.15) * (1 - core)
    new = cloud * (1 - hold) + hold * target + arms_around * (np.float32(0.8) * wave + np.float32(0.1))
    wet = vapour * (1 - hold) + hold * (np.float32(2.8) * core - np.float32(0.8))
    wet = wet + arms_around * np.float32(0.6) * wave
    return new, wet


def _front(cloud: Floats, vapour: Floats, patch: _Patch, system: System, at: Moment) -> tuple[Floats, Floats]:
    """A bowed band of cloud with a sharp, dry rear (to its north-west)."""
    along = patch.x * np.float32(math.cos(at.angle)) - patch.y * np.float32(math.sin(at.angle))
    ahead = patch.x * np.float32(math.sin(at.angle)) + patch.y * np.float32(math.cos(at.angle))
    bow = np.float32(0.15 + 0.02 * (system.seed % 10))
    ahead = ahead - bow * (1 - along * along)
    width = np.where(ahead > 0, np.float32(0.17), np.float32(0.08))
    band = np.exp(-((ahead / width) ** 2)) * _fall(np.abs(along), 0.7, 1.05) * np.float32(at.strength)
    dry = np.exp(-(((ahead + np.float32(0.28)) / np.float32(0.16)) ** 2)) * _fall(np.abs(along), 0.6, 1.0)
    dry = dry * np.float32(at.strength)
    return (
        cloud + np.float32(1.8) * band - np.float32(0.7) * dry,
        vapour + np.float32(1.0) * band - np.float32(1.3) * dry,
    )


def _convection(cloud: Floats, vapour: Floats, patch: _Patch, system: System, at: Moment) -> tuple[Floats, Floats]:
    """Towers side by side, that grow into one anvil."""
    places = uniform(system.seed, 100, 3 * _BLOBS, 1.0).reshape(_BLOBS, 3)
    towers = np.zeros((patch.y.size, patch.x.size), np.float32)
    for down, right, size in places:
        spread = np.float32(0.30 + 0.12 * size)
        off = (patch.y - down * np.float32(0.55)) ** 2 + (patch.x - right * np.float32(0.55)) ** 2
        towers = np.maximum(towers, np.exp(-off / (spread * spread)))
    strong = np.float32(2.4 * at.strength)
    return cloud + strong * towers, vapour + np.float32(1.0 * at.strength) * towers


_REACH: dict[SystemKind, float] = {"vortex": 1.15, "front": 1.3, "convection": 1.4}
"""Radii from its centre within which a system changes anything."""
_LOOKS: dict[SystemKind, Callable[[Floats, Floats, _Patch, System, Moment], tuple[Floats, Floats]]] = {
    "vortex": _vortex,
    "front": _front,
    "convection": _convection,
}


def _within(count: int, middle: float, reach: float) -> slice:
    return slice(max(0, math.floor(middle - reach)), min(count, math.ceil(middle + reach) + 1))


def _fall(r: Floats, inner: float, outer: float) -> Floats:
    """1 up to `inner`, 0 from `outer` on, smooth between."""
    t = np.clip((np.float32(outer) - r) * np.float32(1 / (outer - inner)), np.float32(0), np.float32(1))
    fall: Floats = t * t * (np.float32(3) - np.float32(2) * t)
    return fall
