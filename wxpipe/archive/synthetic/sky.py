"""A synthetic sky: clouds, moisture and light at any time, as grey pictures of a source's channels.

Every number follows from a seed and a time. Real pictures of COMS have evenly distributed greys, and thermal channels
have them here too; reflective ones are black at night.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from wxpipe.archive.synthetic.appearance import draw
from wxpipe.archive.synthetic.clouds import clouds
from wxpipe.archive.synthetic.ground import Bytes, Ground, Layer
from wxpipe.archive.synthetic.noise import Floats
from wxpipe.archive.synthetic.regimes import Regimes, season
from wxpipe.archive.synthetic.systems import Systems
from wxpipe.draws import derived_seed, splitmix64, uniform
from wxpipe.satellites.satellite import Channel

_GRAIN, _GRAIN_PLACE = range(1001, 1003)
_GRAIN_SIDE = 512


@dataclass(frozen=True)
class Weather:
    """The sky at one time over a window, and what is under it, (y, x): what all channels see.

    Attributes:
        land: bool.
        latitude: degrees, (y, 1).
        sun: cosine of the sun's angle, 0 at night.
        opacity: of the higher clouds, 0..1.
        low: cover of low clouds, 0..1: little colder than the ground, and as bright as snow to the sun.
        top: how bright (cold) the clouds are.
        vapour: moisture of the upper air.
        ir: the infrared view.
    """

    land: Layer
    latitude: Floats
    sun: Floats
    opacity: Floats
    low: Floats
    top: Floats
    vapour: Floats
    ir: Floats


class Sky:
    """The weather of a seed: what every source sees of it.

    Args:
        seed: of the weather.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.regimes = Regimes(seed)
        self.systems = Systems(seed, self.regimes)

    def weather(self, ground: Ground, when: datetime) -> Weather:
        """The sky over a ground."""
        hours, window = hours_of(when), ground.window
        living = [(system, at) for system in self.systems.between(hours, hours) if (at := system.at(hours)) is not None]
        vortices = [(system, at) for system, at in living if system.kind == "vortex"]
        cloud, vapour = clouds(self.seed, self.regimes, vortices, window, hours)
        for system, at in living:
            draw(cloud, vapour, window, system, at)
        sun, north = ground.sunlight(when), (np.abs(ground.latitude) - np.float32(30)) / np.float32(22)
        winter = math.cos(2 * math.pi * (float(season(hours)) - 20 / 365.25))
        cloud += np.float32(0.65) * north  # the storms' track lies there
        heat = ground.sunlight(when - timedelta(hours=2))  # the ground is warmest after noon
        cloud += ground.land * (np.float32(0.08 * (1.15 - winter)) * heat)
        opacity = _ramp(cloud, -0.1, 1.4)
        top = np.float32(0.62) + np.float32(0.16) * cloud
        surface = np.float32(0.30 + 0.08 * winter) * north + np.float32(0.04) * vapour
        surface = surface + ground.land * (np.float32(0.12 + 0.06 * winter) - np.float32(0.07) * heat)
        low = _ramp(cloud, -1.5, -0.5) * (1 - _ramp(cloud, 0.1, 0.8))
        surface = surface + np.float32(0.07) * low
        ir = surface + opacity * (top - surface)
        return Weather(ground.land, ground.latitude, sun, opacity, low, top, vapour, ir)


class Camera:
    """One source's look at the sky.

    Args:
        sky: to look at.
        ground: under it.
        satellite: sets the grain of its pictures apart from that of others.
    """

    def __init__(self, sky: Sky, ground: Ground, satellite: str) -> None:
        self.sky, self.ground = sky, ground
        self._seed = derived_seed(sky.seed, _GRAIN, zlib.crc32(satellite.encode()))
        grain = uniform(self._seed, 0, _GRAIN_SIDE * _GRAIN_SIDE, 0.01).reshape(_GRAIN_SIDE, _GRAIN_SIDE)
        repeats = (1 + -(-size // _GRAIN_SIDE) for size in (ground.rows, ground.columns))
        self._grain = np.tile(grain, tuple(repeats))
        self._last: tuple[datetime, Weather] | None = None

    def picture(self, name: str, channel: Channel, when: datetime) -> Bytes:
        """What a channel sees, grey uint8 (y, x): evenly distributed where it is thermal; space is 0.

        Args:
            name: of the channel; sets apart the grain, and the look of channels that are `other`.
            when: UTC.
        """
        if self._last is None or self._last[0] != when:
            self._last = when, self.sky.weather(self.ground, when)
        weather, number = self._last[1], zlib.crc32(name.encode())
        if channel.reflective or channel.band == "vis":
            return self._reflected(weather, number, channel.band == "vis", when)
        view = THERMAL[channel.band](weather) if channel.band in THERMAL else _see_other(weather, number)
        return _spread_evenly(self.ground.picture(view) + self._grain_of(number, when), self.ground.earth)

    def _reflected(self, weather: Weather, number: int, visible: bool, when: datetime) -> Bytes:
        bare = 0.12 if visible else 0.10 + 0.25 * (number % 1000) / 1000  # how bright land is in this channel
        ground = np.float32(0.04) + np.float32(bare) * weather.land
        cover = np.maximum(weather.opacity, np.float32(0.75) * weather.low)
        albedo = ground + cover * (np.float32(0.45) + np.float32(0.35) * weather.opacity - ground)
        light = self.ground.picture(np.sqrt(albedo * weather.sun))
        seen = light * (1 + self._grain_of(number, when))
        if self.ground.earth is not None:
            seen = seen * self.ground.earth
        grey: Bytes = np.clip(np.float32(255) * seen, 0, 255).astype(np.uint8)
        return grey

    def _grain_of(self, number: int, when: datetime) -> Floats:
        seed = derived_seed(self._seed, _GRAIN_PLACE, int(hours_of(when) * 60), number)
        down, right = (int(word) % _GRAIN_SIDE for word in splitmix64(seed, np.arange(2, dtype=np.uint64)))
        grain: Floats = self._grain[down : down + self.ground.rows, right : right + self.ground.columns]
        return grain


def hours_of(when: datetime) -> float:
    """Hours since 1970."""
    return when.timestamp() / 3600


def _see_ir(weather: Weather) -> Floats:
    return weather.ir


def _see_ir2(weather: Weather) -> Floats:
    """Nearly the infrared: thin cloud and moist air take a little more of it away."""
    thin = weather.opacity * (1 - weather.opacity)
    view: Floats = weather.ir + np.float32(0.08) * thin + np.float32(0.015) * weather.vapour
    return view


def _see_wv(weather: Weather) -> Floats:
    """The moisture of the upper air, and of the clouds only those that are high."""
    high = _ramp(weather.top, 0.62, 0.95)
    north = (np.abs(weather.latitude) - np.float32(30)) / np.float32(22)
    view: Floats = np.float32(0.25) * weather.vapour + np.float32(0.32) * high + np.float32(0.36) * north
    return view


def _see_swir(weather: Weather) -> Floats:
    """By night the infrared with low clouds darker, by day darkened where the sun is reflected."""
    light = np.sqrt(weather.sun)
    reflected = light * (np.float32(0.35) * weather.low + np.float32(0.15) * weather.land)
    view: Floats = weather.ir - np.float32(0.10) * weather.low * (weather.sun == 0) - reflected
    return view


def _see_other(weather: Weather, number: int) -> Floats:
    """A thermal channel without a counterpart: between the infrared and water vapour, each at its own place."""
    share = np.float32(0.1 + 0.6 * (number % 1000) / 1000)
    view: Floats = (1 - share) * weather.ir + share * _see_wv(weather)
    return view


THERMAL: dict[str, Callable[[Weather], Floats]] = {
    "ir": _see_ir,
    "ir2": _see_ir2,
    "swir": _see_swir,
    "wv": _see_wv,
}
"""How the bands see that all satellites share, but for the visible."""


def _ramp(values: Floats, low: float, high: float) -> Floats:
    """0 below `low`, 1 above `high`, smooth between."""
    part = np.clip((values - np.float32(low)) * np.float32(1 / (high - low)), np.float32(0), np.float32(1))
    ramp: Floats = part * part * (np.float32(3) - np.float32(2) * part)
    return ramp


def _spread_evenly(view: Floats, earth: Layer | None) -> Bytes:
    """Grey values by rank: each of the 256 as frequent as the others; 0 where there is no Earth."""
    seen = view if earth is None else view[earth]
    low, high = seen.min(), seen.max()
    steps = ((seen - low) * (np.float32(8191) / (high - low))).astype(np.uint16)
    count = np.bincount(steps.ravel(), minlength=8192)
    middle = np.cumsum(count) * 2 - count
    spread: Bytes = (middle * 128 // seen.size).astype(np.uint8)[steps]
    if earth is None:
        return spread
    grey = np.zeros(view.shape, np.uint8)
    grey[earth] = spread
    return grey
