"""What stands still under a synthetic sky: where a picture's pixels are on Earth, land, sun, and the lines drawn on it.

The plane's coordinates are degrees: one unit is 50 of them, its origin lies at 52 N, 102 E. A regional picture is a
window of it; a full disk is projected from one.
"""

from __future__ import annotations

import math
import zlib
from datetime import datetime
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from wxpipe.archive.synthetic.noise import Blend, Floats, Window, add_noise
from wxpipe.draws import derived_seed, uniform
from wxpipe.satellites.catalog import Source

Bytes = NDArray[np.uint8]
Layer = NDArray[np.bool_]

DEGREES = 50.0
"""Of latitude or longitude to a unit of the plane."""
NORTH, WEST = 52.0, 102.0
"""Latitude and longitude of the plane's origin."""

_LAND_SEED = 20110303  # the ground is the same under every weather
_LAND = ((4, 1.0), (8, 0.6), (16, 0.3))
_FINE_LAND = ((32, 0.18), (64, 0.10))
_FINE_COLUMNS = 512  # from which on a picture shows small islands and a close graticule
_DISK_LONGITUDE = 140.0  # of the middle of a full disk whose area does not name one
_DISK_REACH = 75.0  # degrees from its centre of what a full disk is projected from
_ORBIT, _EARTH = 42164.0, 6378.1  # km, radius of the geostationary orbit and of the Earth


def place_of(latitude: float, longitude: float) -> tuple[float, float]:
    """The plane's coordinates (down, right) of a place."""
    return (NORTH - latitude) / DEGREES, (longitude - WEST) / DEGREES


def degrees_of(down: float, right: float) -> tuple[float, float]:
    """Latitude and longitude of a place on the plane."""
    return NORTH - DEGREES * down, WEST + DEGREES * right


def is_land(down: float, right: float) -> bool:
    """Whether a place of the plane is land."""
    return bool(_land_height(Window(1, 1, down - 1e-6, right - 1e-6, 2e-6), fine=False)[0, 0] > 0)


class Ground:
    """The ground under one source's pictures; all sources of one archive see one Earth.

    Args:
        source: whose pictures.

    Attributes:
        window: of the plane, on which the sky is drawn.
        land: of the window, bool.
    """

    def __init__(self, source: Source) -> None:
        area = source.area
        self.rows, self.columns, self.full_disk = area.rows, area.columns, area.full_disk
        self._longitude = area.middle[1] if area.middle is not None else _DISK_LONGITUDE
        self.window = _disk_window(area.columns, self._longitude) if area.full_disk else _regional_window(source)
        self.land: Layer = _land_height(self.window, area.columns >= _FINE_COLUMNS) > 0
        latitude = np.deg2rad(NORTH - DEGREES * self.window.down)[:, np.newaxis]
        longitude = np.deg2rad(WEST + DEGREES * self.window.right)[np.newaxis, :]
        along = np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)
        self._zenith = tuple(np.broadcast_to(part, self.land.shape).astype(np.float32) for part in along)
        self.latitude: Floats = np.rad2deg(latitude).astype(np.float32)

    def picture(self, view: Floats) -> Floats:
        """What a source sees of a view of the window: (y, x) of its pictures."""
        if not self.full_disk:
            return view
        seen: Floats = cv2.remap(view, *self._disk[:2], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return seen

    @property
    def earth(self) -> Layer | None:
        """Pixels that are not space; None where all of them are Earth."""
        return self._disk[2] if self.full_disk else None

    @cached_property
    def lines(self) -> Layer:
        """Coast and graticule, one pixel wide, bool (y, x)."""
        step = 10 if self.columns >= _FINE_COLUMNS else 20
        shape = self.land.shape
        meridians = np.broadcast_to(np.floor((WEST + DEGREES * self.window.right) / step), shape)
        parallels = np.broadcast_to(np.floor((NORTH - DEGREES * self.window.down) / step)[:, np.newaxis], shape)
        drawn = np.zeros((self.rows, self.columns), np.bool_)
        for classes in (self.land, meridians, parallels):
            drawn |= _edges(self._nearest(classes.astype(np.float32)))
        return drawn if self.earth is None else drawn & self.earth

    def share(self, down: float, right: float) -> tuple[float, float] | None:
        """Where a place of the plane is in a picture, (y, x) as shares of height and width; None outside of it."""
        if self.full_disk:
            return _disk_share(*degrees_of(down, right), self._longitude)
        height = self.window.width * self.rows / self.columns
        y, x = (down - self.window.top) / height, (right - self.window.left) / self.window.width
        return (y, x) if 0 <= y <= 1 and 0 <= x <= 1 else None

    def sunlight(self, when: datetime) -> Floats:
        """Cosine of the sun's angle from the zenith, 0 at night, float32, of the window."""
        year_angle = 2 * math.pi * (when.timetuple().tm_yday - 81) / 365.25
        tilt = math.radians(23.44) * math.sin(year_angle)
        angle = math.radians(15 * (when.hour + when.minute / 60 - 12))
        towards = math.cos(tilt) * math.cos(angle), -math.cos(tilt) * math.sin(angle), math.sin(tilt)
        height = sum(np.float32(part) * axis for part, axis in zip(towards, self._zenith, strict=True))
        sun: Floats = np.maximum(height, np.float32(0))
        return sun

    def _nearest(self, classes: Floats) -> Floats:
        if not self.full_disk:
            return classes
        seen: Floats = cv2.remap(classes, *self._disk[:2], cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        return seen

    @cached_property
    def _disk(self) -> tuple[Floats, Floats, Layer]:
        """For each pixel its (column, row) on the window, and whether it is Earth."""
        latitude, longitude, earth = _disk_degrees(self.rows, self.columns, self._longitude)
        down, right = (NORTH - latitude) / DEGREES, (longitude - WEST) / DEGREES
        window = self.window
        x, y = (right - window.left) / window.pixel - 0.5, (down - window.top) / window.pixel - 0.5
        return x.astype(np.float32), y.astype(np.float32), earth


def _regional_window(source: Source) -> Window:
    """East Asia, a little otherwise for every satellite, as their operators cut it."""
    seed = zlib.crc32(source.satellite.name.encode())
    down, right, narrower = (float(draw) for draw in uniform(seed, 0, 3, 0.015))
    return Window(source.area.rows, source.area.columns, down, right + 0.015, 0.97 + narrower)


def _disk_window(columns: int, middle: float) -> Window:
    side = int(1.5 * columns)
    top, left = place_of(_DISK_REACH, middle - _DISK_REACH)
    return Window(side, side, top, left, 2 * _DISK_REACH / DEGREES)


def _land_height(window: Window, fine: bool) -> Floats:
    height = window.blank() - np.float32(0.25)
    for number, (nodes, weight) in enumerate(_LAND + (_FINE_LAND if fine else ())):
        add_noise(height, window, nodes, Blend((derived_seed(_LAND_SEED, number),), (weight,)), (0.0, 0.0))
    return height


def _disk_degrees(rows: int, columns: int, middle: float) -> tuple[NDArray[np.float64], NDArray[np.float64], Layer]:
    """Latitude, longitude and whether there is Earth, for each pixel of a full disk seen from the equator.

    Geostationary projection of a sphere: CGMS 03, "LRIT/HRIT global specification" (2013), 4.4.3.2.
    """
    limb = math.asin(_EARTH / _ORBIT) * 1.02
    y, x = (limb * (1 - 2 * (np.arange(count) + 0.5) / count) for count in (rows, columns))
    along = np.cos(y)[:, np.newaxis] * np.cos(x)
    beyond = (_ORBIT * along) ** 2 - (_ORBIT**2 - _EARTH**2)
    earth: Layer = beyond > 0
    distance = _ORBIT * along - np.sqrt(np.maximum(beyond, 0))
    towards = _ORBIT - distance * along
    east = -distance * np.cos(y)[:, np.newaxis] * np.sin(x)
    north = distance * np.sin(y)[:, np.newaxis]
    latitude = np.rad2deg(np.arctan2(north, np.hypot(towards, east)))
    return latitude, middle + np.rad2deg(np.arctan2(east, towards)), earth


def _disk_share(latitude: float, longitude: float, middle: float) -> tuple[float, float] | None:
    """Where a place is in a full disk, (y, x) as shares; None on the far side. The inverse of `_disk_degrees`."""
    up, along = math.radians(latitude), math.radians(longitude - middle)
    towards, east = _EARTH * math.cos(up) * math.cos(along), _EARTH * math.cos(up) * math.sin(along)
    if towards * _ORBIT < _EARTH**2:
        return None
    limb = math.asin(_EARTH / _ORBIT) * 1.02
    x = math.atan2(east, _ORBIT - towards)
    y = math.atan2(_EARTH * math.sin(up), math.hypot(_ORBIT - towards, east))
    return (1 - y / limb) / 2, (1 + x / limb) / 2


def _edges(classes: Floats) -> Layer:
    """Pixels whose right or lower neighbour is of another class."""
    edges = np.zeros(classes.shape, np.bool_)
    edges[:, :-1] |= classes[:, :-1] != classes[:, 1:]
    edges[:-1] |= classes[:-1] != classes[1:]
    return edges
