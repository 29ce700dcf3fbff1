"""A sky that never was: a moving cloud field over a land and sea, as grey pictures. Files are `synthetic`'s.

Every number follows from a seed and a time, so any slot can be drawn alone, in any order, again. The clouds are
octaves of smooth noise that live as long as they are large, carried by a slowly turning wind; under them lies
the large pattern of a weather regime, one of a few, so that some days return. Real pictures of COMS have evenly
distributed greys, and these have too: what differs between them is where the greys lie.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wxpipe.draws import derived_seed, splitmix64, uniform
from wxpipe.kernels import kernel

Bytes = NDArray[np.uint8]
Layer = NDArray[np.bool_]
Floats = NDArray[np.float32]

# Purposes of draws within a seed.
_LATTICE, _PATTERN, _REGIME, _PLACE, _WIND, _GRAIN, _GRAIN_PLACE = range(1, 8)

_SPLINE_SPREAD = 0.277  # standard deviation of a cubic B-spline surface over nodes uniform on [-1, 1)
_REGIMES, _REGIME_HOURS = 5, 36
_SMOOTH_OCTAVES = 3  # that water vapour follows


@dataclass(frozen=True)
class Octave:
    """Noise of one size: its nodes across the picture's width, how fast it changes, and how much it counts."""

    nodes: int
    hours: float
    weight: float


_OCTAVES = (
    Octave(4, 72, 1.0),
    Octave(8, 48, 0.85),
    Octave(16, 30, 0.70),
    Octave(32, 18, 0.55),
    Octave(64, 8, 0.46),
    Octave(128, 4, 0.38),
    Octave(256, 1.5, 0.30),
)
_PATTERN_OCTAVE = Octave(4, math.inf, 1.0)
_LAND_OCTAVES = (Octave(4, math.inf, 1.0), Octave(8, math.inf, 0.6), Octave(16, math.inf, 0.3))
_FINE_LAND_OCTAVES = (Octave(32, math.inf, 0.18), Octave(64, math.inf, 0.10))


class Ground:
    """What stands still under the sky: latitude, longitude, land, and the lines drawn on pictures of it.

    Args:
        seed: of the area; not of the weather, so that archives of different weather share their ground.
        rows: of the pictures.
        columns: of the pictures.
    """

    def __init__(self, seed: int, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        y = ((np.arange(rows) + 0.5) / columns)[:, np.newaxis]
        x = ((np.arange(columns) + 0.5) / columns - 0.5)[np.newaxis, :]
        self.latitude: Floats = (52 - 45 * y - 24 * x * x).astype(np.float32)
        self.longitude: Floats = (127 + 50 * x * (1.25 - 0.5 * y)).astype(np.float32)
        upright, along = np.deg2rad(self.latitude), np.deg2rad(self.longitude)
        self._zenith = np.cos(upright) * np.cos(along), np.cos(upright) * np.sin(along), np.sin(upright)
        height = np.zeros((rows, columns), np.float32)
        for octave in _LAND_OCTAVES + (_FINE_LAND_OCTAVES if columns >= 512 else ()):
            _add(height, _lattice(seed, octave.nodes, 0), octave, (0.0, 0.0))
        self.land: Layer = height > np.float32(0.25)

    @property
    def lines(self) -> Layer:
        """Coast and graticule, one pixel wide, bool (y, x)."""
        degrees = 10 if self.columns >= 512 else 20
        meridians = np.floor(self.longitude / np.float32(degrees)).astype(np.int32)
        parallels = np.floor(self.latitude / np.float32(degrees)).astype(np.int32)
        return _edges(self.land.astype(np.int32)) | _edges(meridians) | _edges(parallels)

    def sunlight(self, when: datetime) -> Floats:
        """Cosine of the sun's angle from the zenith, 0 at night, float32 (y, x)."""
        year_angle = 2 * math.pi * (when.timetuple().tm_yday - 81) / 365.25
        tilt = math.radians(23.44) * math.sin(year_angle)
        hour = when.hour + when.minute / 60
        angle = math.radians(15 * (hour - 12))
        towards = math.cos(tilt) * math.cos(angle), -math.cos(tilt) * math.sin(angle), math.sin(tilt)
        height = sum(np.float32(part) * axis for part, axis in zip(towards, self._zenith, strict=True))
        sun: Floats = np.maximum(height, np.float32(0))
        return sun


@dataclass(frozen=True)
class _Weather:
    """The sky at one time and what is under it, (y, x): what all channels see.

    Attributes:
        land: bool.
        sun: cosine of the sun's angle, 0 at night.
        opacity: of the clouds, 0..1.
        top: how bright (cold) the clouds are.
        vapour: moisture of the upper air; smooth.
        ir: the infrared view.
    """

    land: Layer
    sun: Floats
    opacity: Floats
    top: Floats
    vapour: Floats
    ir: Floats


class Sky:
    """The weather over a ground, as a satellite's channels see it.

    Args:
        seed: of the weather.
        ground: where it is.
    """

    def __init__(self, seed: int, ground: Ground) -> None:
        self.seed, self.ground = seed, ground
        self._octaves = [octave for octave in _OCTAVES if 3 * octave.nodes <= ground.columns or octave.nodes <= 16]
        first, second = uniform(derived_seed(seed, _WIND), 0, 2, math.pi)
        self._wind_phases = float(first), float(second)
        side = 512
        grain = uniform(derived_seed(seed, _GRAIN), 0, side * side, 0.01).reshape(side, side)
        repeats = 1 + -(-ground.rows // side), 1 + -(-ground.columns // side)
        self._grain = np.tile(grain, repeats)
        self._last: tuple[datetime, _Weather] | None = None

    def picture(self, band: str, when: datetime, channel: int = 0) -> Bytes:
        """What a channel sees, grey uint8 (y, x), its values evenly distributed.

        Args:
            band: one of `BANDS`.
            when: UTC.
            channel: sets apart the grain of channels of one band.
        """
        if self._last is None or self._last[0] != when:
            self._last = when, self._weather(when)
        seed = derived_seed(self.seed, _GRAIN_PLACE, int(_hours(when) * 60), channel)
        down, right = (int(word) % 512 for word in splitmix64(seed, np.arange(2, dtype=np.uint64)))
        grain = self._grain[down : down + self.ground.rows, right : right + self.ground.columns]
        return _spread_evenly(BANDS[band](self._last[1]) + grain)

    def _weather(self, when: datetime) -> _Weather:
        hours, ground = _hours(when), self.ground
        sun, land = ground.sunlight(when), ground.land
        pattern = self._pattern(hours)
        noise = np.zeros_like(pattern)
        smooth = noise
        drift = self._drift(hours)
        for number, octave in enumerate(self._octaves):
            if number == _SMOOTH_OCTAVES:
                smooth = noise.copy()
            _add(noise, self._lattice_at(octave, hours), octave, drift)
        warmed = land * ground.sunlight(when - timedelta(hours=2))
        cloud = noise + np.float32(0.9) * pattern + np.float32(0.5) * warmed
        opacity = _ramp(cloud, -0.3, 1.0)
        top = np.float32(0.62) + np.float32(0.16) * cloud
        vapour = smooth + np.float32(1.1) * pattern
        surface = np.float32(0.004) * ground.latitude + np.float32(0.04) * vapour
        surface += land * (np.float32(0.10) - np.float32(0.25) * sun)
        ir = surface + opacity * (top - surface)
        return _Weather(land, sun, opacity, top, vapour, ir)

    def _lattice_at(self, octave: Octave, hours: float) -> Floats:
        """The octave's nodes at a time: between two draws, on a circle, so that their spread stays the same."""
        key, part = divmod(hours / octave.hours, 1)
        seed = derived_seed(self.seed, _LATTICE)
        before, after = _lattice(seed, octave.nodes, int(key)), _lattice(seed, octave.nodes, int(key) + 1)
        blend: Floats = before * np.float32(math.cos(part * math.pi / 2))
        blend += after * np.float32(math.sin(part * math.pi / 2))
        return blend

    def _drift(self, hours: float) -> tuple[float, float]:
        """How far the wind has carried the clouds since the epoch (down, right), in widths of the picture."""
        first, second = self._wind_phases
        down = -0.0005 * hours + 0.07 * math.sin(2 * math.pi * hours / 97 + first)
        right = 0.004 * hours + 0.08 * math.sin(2 * math.pi * hours / 131 + second)
        return down, right

    def _pattern(self, hours: float) -> Floats:
        """The large pattern of the regime: one stays for most of a period, then gives way to the next."""
        period, part = divmod(hours / _REGIME_HOURS, 1)
        ease = min(max((part - 0.5) * 2, 0.0), 1.0)
        pattern = np.zeros((self.ground.rows, self.ground.columns), np.float32)
        for number, share in ((int(period), 1 - ease), (int(period) + 1, ease)):
            if share:
                regime = int(splitmix64(derived_seed(self.seed, _REGIME), np.array([number], np.uint64))[0]) % _REGIMES
                nodes = _lattice(derived_seed(self.seed, _PATTERN), _PATTERN_OCTAVE.nodes, regime)
                place = uniform(derived_seed(self.seed, _PLACE), 2 * number, 2, 0.06)
                weight = np.float32(math.sin(share * math.pi / 2))
                _add(pattern, nodes * weight, _PATTERN_OCTAVE, (float(place[0]), float(place[1])))
        return pattern


def _see_ir(weather: _Weather) -> Floats:
    return weather.ir


def _see_ir2(weather: _Weather) -> Floats:
    """Nearly the infrared: thin cloud and moist air take a little more of it away."""
    thin = weather.opacity * (1 - weather.opacity)
    view: Floats = weather.ir + np.float32(0.08) * thin + np.float32(0.015) * weather.vapour
    return view


def _see_wv(weather: _Weather) -> Floats:
    """The moisture of the upper air, and of the clouds only those that are high."""
    high = _ramp(weather.top, 0.62, 0.95)
    return np.float32(0.25) * weather.vapour + np.float32(0.45) * high


def _see_swir(weather: _Weather) -> Floats:
    """By night the infrared with low clouds darker, by day darkened where the sun is reflected."""
    low = weather.opacity * (1 - _ramp(weather.top, 0.55, 0.8))
    reflected = weather.sun * (np.float32(0.25) * weather.opacity + np.float32(0.30) * low)
    reflected += weather.sun * np.float32(0.1) * weather.land
    view: Floats = weather.ir - np.float32(0.15) * low * (weather.sun == 0) - reflected
    return view


BANDS: dict[str, Callable[[_Weather], Floats]] = {
    "ir": _see_ir,
    "ir2": _see_ir2,
    "swir": _see_swir,
    "wv": _see_wv,
}
"""The bands that can be drawn, and how."""


def _hours(when: datetime) -> float:
    return when.timestamp() / 3600


def _ramp(values: Floats, low: float, high: float) -> Floats:
    """0 below `low`, 1 above `high`, smooth between."""
    part = np.clip((values - np.float32(low)) * np.float32(1 / (high - low)), np.float32(0), np.float32(1))
    ramp: Floats = part * part * (np.float32(3) - np.float32(2) * part)
    return ramp


def _edges(classes: NDArray[np.int32]) -> Layer:
    """Pixels whose right or lower neighbour is of another class."""
    edges = np.zeros(classes.shape, np.bool_)
    edges[:, :-1] |= classes[:, :-1] != classes[:, 1:]
    edges[:-1] |= classes[:-1] != classes[1:]
    return edges


def _spread_evenly(view: Floats) -> Bytes:
    """Grey values by rank: each of the 256 as frequent as the others."""
    low, high = view.min(), view.max()
    steps = ((view - low) * (np.float32(8191) / (high - low))).astype(np.uint16)
    count = np.bincount(steps.ravel(), minlength=8192)
    middle = np.cumsum(count) * 2 - count
    grey = (middle * 128 // view.size).astype(np.uint8)
    spread: Bytes = grey[steps]
    return spread


@lru_cache(maxsize=64)
def _lattice(seed: int, nodes: int, key: int) -> Floats:
    """Nodes uniform on [-1, 1), float32, twice as many along each side as the picture is wide; then they repeat."""
    side = 2 * nodes
    return uniform(derived_seed(seed, nodes, key), 0, side * side, 1.0).reshape(side, side)


def _add(out: Floats, lattice: Floats, octave: Octave, drift: tuple[float, float]) -> None:
    """Adds an octave, of unit spread times its weight, to a picture; `drift` is in widths."""
    rows, columns = out.shape
    y, y_weights = _taps(rows, columns, octave.nodes, drift[0])
    x, x_weights = _taps(columns, columns, octave.nodes, drift[1])
    _expand(lattice, y, y_weights * np.float32(octave.weight / _SPLINE_SPREAD), x, x_weights, out)


def _taps(count: int, columns: int, nodes: int, drift: float) -> tuple[NDArray[np.int64], Floats]:
    """For each row or column its four nodes and their cubic B-spline weights, (count, 4)."""
    place = ((np.arange(count) + 0.5) / columns - drift) * nodes
    first = np.floor(place)
    t = place - first
    weights = np.stack(((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3), 1) / 6
    taps = (first.astype(np.int64)[:, np.newaxis] + np.arange(4)) % (2 * nodes)
    return taps, weights.astype(np.float32)


@kernel
def _expand(
    lattice: Floats, y: NDArray[np.int64], y_weights: Floats, x: NDArray[np.int64], x_weights: Floats, out: Floats
) -> None:
    line = np.empty(lattice.shape[1], np.float32)
    for row in range(out.shape[0]):
        for node in range(line.size):
            total = y_weights[row, 0] * lattice[y[row, 0], node] + y_weights[row, 1] * lattice[y[row, 1], node]
            total += y_weights[row, 2] * lattice[y[row, 2], node] + y_weights[row, 3] * lattice[y[row, 3], node]
            line[node] = total
        for column in range(out.shape[1]):
            total = x_weights[column, 0] * line[x[column, 0]] + x_weights[column, 1] * line[x[column, 1]]
            total += x_weights[column, 2] * line[x[column, 2]] + x_weights[column, 3] * line[x[column, 3]]
            out[row, column] += total
