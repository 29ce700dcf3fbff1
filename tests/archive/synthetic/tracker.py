"""Follows a vortex through pictures, knowing only what vortices look like: a bright disk, clear air around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import cv2
import numpy as np
from numpy.typing import NDArray

from wxpipe.archive.truth import System, TrackPoint

DEGREES_WIDE = 50 * 0.97
"""Of a regional picture, about."""
STRONG = 0.5
_REACH = 0.04
_CORE, _AROUND, _EYE = 0.33, 0.75, 0.09


def look(radius: float, eye: bool) -> NDArray[np.float32]:
    """What is searched for: 1 in the disk, less than 0 around it and in an eye; radius in pixels."""
    half = int(np.ceil(0.8 * radius))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    r = np.hypot(y, x) / radius
    found = np.where(r < _CORE, 1.0, np.where(r < _AROUND, -0.6, 0.0))
    return np.where(eye & (r < _EYE), -0.5, found).astype(np.float32)


def likeness(grey: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    """How well each pixel is the centre of a vortex, (y, x), -1 to 1."""
    found = np.full(grey.shape, -1, np.float32)
    for eye in (False, True):
        wanted = look(radius, eye)
        half = wanted.shape[0] // 2
        padded = cv2.copyMakeBorder(grey, half, half, half, half, cv2.BORDER_REFLECT)
        found = np.maximum(found, cv2.matchTemplate(padded, wanted, cv2.TM_CCOEFF_NORMED))
    return found


def follow(
    points: Sequence[TrackPoint], source: str, picture: Callable[[datetime], NDArray[np.uint8]]
) -> NDArray[np.float64]:
    """Where a vortex is found, (point, 2) as shares of height and width.

    The first place is given. From then on it is the best one within 4 % of the width of where the vortex was found
    before, and would be now if it moved on.
    """
    y, x = points[0].places[source]
    velocity, found = np.zeros(2), []
    for point in points:
        grey = picture(point.time).astype(np.float32)
        rows, columns = grey.shape
        best = likeness(grey, point.radius / DEGREES_WIDE * columns)
        down, right = np.mgrid[:rows, :columns]
        off = np.hypot(down - (y + velocity[0]) * rows, right - (x + velocity[1]) * columns)
        place = np.argmax(np.where(off < _REACH * columns, best, -2))
        at = np.array([(place // columns + 0.5) / rows, (place % columns + 0.5) / columns])
        velocity = 0.7 * velocity + 0.3 * (at - (y, x))
        y, x = at
        found.append(at)
    return np.array(found)


def visible(system: System, source: str, others: Sequence[System]) -> list[TrackPoint]:
    """The first run of hours in which a vortex is strong, inside the picture, and alone."""
    run: list[TrackPoint] = []
    for point in system.track:
        place = point.places.get(source)
        clear = (
            place is not None
            and point.strength >= STRONG
            and all(0.08 < part < 0.92 for part in place)
            and not any(_near(point, other) for other in others if other.id != system.id)
        )
        if clear:
            run.append(point)
        elif run:
            break
    return run


def _near(point: TrackPoint, other: System) -> bool:
    """Whether another vortex reaches over this one's middle."""
    for there in other.track:
        if there.time == point.time and there.strength > 0.2:
            away = np.hypot(there.latitude - point.latitude, there.longitude - point.longitude)
            return bool(away < 0.75 * (there.radius + point.radius))
    return False
