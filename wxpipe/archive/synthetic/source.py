"""Raw files of one source under a synthetic sky: what a channel sees at a time, named, drawn on and packed."""

from __future__ import annotations

import zlib
from datetime import date, datetime
from functools import cached_property
from importlib import resources

import numpy as np
import tomli_w

from wxpipe.archive.overlay import restore
from wxpipe.archive.synthetic.files import encode
from wxpipe.archive.synthetic.ground import Bytes, Ground, Layer
from wxpipe.archive.synthetic.sky import Camera, Sky
from wxpipe.archive.title import draw_title, load_font
from wxpipe.draws import derived_seed, splitmix64
from wxpipe.errors import UsageError
from wxpipe.satellites.catalog import Source, parse_satellite
from wxpipe.satellites.names import Named, NameReader
from wxpipe.satellites.satellite import Area, Satellite

_OTHER_HEIGHT = 0x4E16  # purpose of draws
_LINES = (0, 200, 80)  # colour of lines whose colour the TOML leaves open
_LOGO = (20, 60, 160)
_LARGEST_REDUCTION = 4


def mini_satellite() -> Satellite:
    """A small satellite for trials: 96 x 120 pixels, two channels, every 15 minutes of 2020."""
    return _site("mini")


def site_satellites() -> dict[str, Satellite]:
    """Satellites that never flew, by name: small ones for trials."""
    return {name: _site(name) for name in ("mini", "mini2")}


def _site(name: str) -> Satellite:
    file = resources.files("wxpipe.archive") / "sites" / f"{name}.toml"
    return parse_satellite(file.read_text("utf-8"), file.name)


def satellite_toml(satellite: Satellite) -> bytes:
    """A satellite as the TOML file that defines it."""
    return tomli_w.dumps(satellite.model_dump(mode="json", exclude_none=True, exclude_defaults=True)).encode()


def scaled(satellite: Satellite, factor: int) -> Satellite:
    """A satellite whose pictures are `factor` times smaller along each side, for trials; 1 leaves it as it is.

    A title bar does not shrink, and goes.

    Raises:
        UsageError: nothing would be left of an area.
    """
    if factor == 1:
        return satellite
    areas = {name: _scaled_area(name, area, factor) for name, area in satellite.areas.items()}
    return satellite.model_copy(update={"areas": areas})


def _scaled_area(name: str, area: Area, factor: int) -> Area:
    usable, columns = (area.rows - area.crop_rows) // factor, area.columns // factor
    if factor < 1 or min(usable, columns) < 16:
        raise UsageError(f"scale {factor}: {area.rows} x {area.columns} pixels of area {name!r} would leave too few")
    crop = area.crop_rows // factor
    sides = range(_LARGEST_REDUCTION, 0, -1)
    side = next(side for side in sides if usable % side == 0 and columns % side == 0)
    return area.model_copy(
        update={
            "rows": crop + usable,
            "other_rows": tuple(crop + (rows - area.crop_rows) // factor for rows in area.other_rows),
            "columns": columns,
            "title_rows": 0,
            "title_bar": None,
            "crop_rows": crop,
            "reduce": (side, side),
        }
    )


class SyntheticSource:
    """Raw files of one source under one synthetic sky.

    Args:
        source: of the pictures.
        seed: of the weather.
        path_format: how paths are spelled, with fields {channel}, {area} and {time:...}; the satellite's own first.

    Raises:
        UsageError: the satellite spells no paths, and no format is given.
    """

    def __init__(self, source: Source, seed: int, path_format: str | None = None) -> None:
        self.source, self.seed, satellite = source, seed, source.satellite
        spelled = path_format or next((grammar.path for grammar in satellite.names if grammar.path), "")
        if not spelled:
            raise UsageError(f"{satellite.name}: none of its name grammars has a path, by which a file could be named")
        self._path_format = spelled
        self._reader = NameReader([satellite])
        self.sky = Sky(seed)

    @cached_property
    def ground(self) -> Ground:
        return Ground(self.source)

    @cached_property
    def _camera(self) -> Camera:
        return Camera(self.sky, self.ground, self.source.satellite.name)

    @cached_property
    def overlay(self) -> Layer:
        """What is drawn on every picture below its title rows, bool (y, x)."""
        area = self.source.area
        drawn = area.learn_overlay or area.overlay_colour is not None
        lines = self.ground.lines if drawn else np.zeros((area.rows, area.columns), np.bool_)
        lines[: area.title_rows] = False
        if area.learn_overlay:
            lines[self._logo_place] = True
        return lines

    @property
    def _logo_place(self) -> tuple[slice, slice]:
        """Where a logo covers the picture: its lower left corner."""
        area = self.source.area
        height, width = max(3, min(area.heights) // 20), max(4, area.columns // 8)
        bottom = min(area.heights)
        return slice(bottom - height, bottom), slice(0, width)

    def path(self, channel: str, when: datetime) -> str:
        """Where a picture's file lies, relative to the archive.

        Raises:
            UsageError: the satellite's grammars would not read the path back.
        """
        path = self._path_format.format(channel=channel, area=self.source.area_name, time=when)
        read = self._reader.read(path)
        if not isinstance(read, Named):
            raise UsageError(f"{path}: {self.source.satellite.name} would not read it back: {read.reason}")
        if (read.source, read.channel, read.time) != (self.source.id, channel, when):
            expected = f"{self.source.id} {channel} {when:%Y-%m-%dT%H:%MZ}"
            found = f"{read.source} {read.channel} {read.time:%Y-%m-%dT%H:%MZ}"
            raise UsageError(f"{path}: expected to be read back as {expected}, found {found}")
        return path

    def rows(self, day: date) -> int:
        """Height of a day's pictures: the area's, or now and then another that it may have."""
        heights = self.source.area.heights
        seed = derived_seed(self.seed, _OTHER_HEIGHT, zlib.crc32(self.source.id.encode()))
        draw = int(splitmix64(seed, np.array([day.toordinal()], np.uint64))[0])
        return heights[0] if draw % 4 else heights[draw // 4 % len(heights)]

    def grey(self, channel: str, when: datetime) -> Bytes:
        """A picture without its overlay: title bar and weather, uint8 (y, x)."""
        area, of_channel = self.source.area, self.source.satellite.channels[channel]
        grey = self._camera.picture(channel, of_channel, when)[: self.rows(when.date())]
        grey[: area.title_rows] = 0
        if area.title_bar is not None:
            text = area.title_bar.text.format(channel=of_channel.label, time=when)
            draw_title(grey[: area.title_rows], text, load_font(area.title_bar.font))
        return grey

    def pixels(self, channel: str, when: datetime) -> Bytes:
        """A picture with everything drawn on, uint8 (y, x, 3)."""
        area, grey = self.source.area, self.grey(channel, when)
        colour = area.overlay_colour or (_LINES if area.learn_overlay else (255, 255, 255))
        rgb = restore(grey, self.overlay[: len(grey)], area.title_rows, colour)
        if area.learn_overlay:
            rgb[self._logo_place] = _LOGO
        return rgb

    def file(self, channel: str, when: datetime) -> bytes:
        """A picture's raw file, in the first of the area's modes."""
        return encode(self.pixels(channel, when), self.source.area.modes[0])
