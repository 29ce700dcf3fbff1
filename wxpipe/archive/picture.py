"""One raw file to one sound picture: checked, overlay and grey parted, filled, reduced. Days are `ingest`'s."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wxpipe.archive.decode import decode
from wxpipe.archive.drawing import part
from wxpipe.archive.overlay import FillStencil, build_stencil, fill, luminance
from wxpipe.archive.quality import BLACK, Doubt, black, constant, survey
from wxpipe.archive.reduction import block_mean
from wxpipe.archive.title import load_font, read_title
from wxpipe.errors import Quarantine
from wxpipe.satellites.catalog import Source
from wxpipe.satellites.sun import sun_elevation
from wxpipe.store.frames import NO_LAYER, UNKNOWN_LAYER

Bytes = NDArray[np.uint8]
Layer = NDArray[np.bool_]

FOREIGN_SHARE = 0.05
"""Share of pixels that may break the known layers before a picture is called foreign: far more than any overlay's."""


DAYLIGHT = 15.0
"""Elevation of the sun, in degrees, over an area's middle, from which on a part of it must be lit: five to spare for
`sun_elevation`, ten more for a sensor that shows nothing at dawn."""


@dataclass(frozen=True)
class SoundPicture:
    """A usable picture.

    Attributes:
        picture: grey, uint8 (rows, x), filled under its layer, title rows as they came.
        reduced: uint8 (y_reduced, x_reduced).
        layer: id of its overlay layer, `NO_LAYER` or `UNKNOWN_LAYER`.
        title_rows: rows at the top that show no weather.
        dark: a reflective channel's picture of the night, wholly black: like all others of its kind.
    """

    picture: Bytes
    reduced: Bytes
    layer: int
    doubts: tuple[Doubt, ...]
    title_rows: int
    dark: bool = False

    @cached_property
    def weather(self) -> bytes:
        """SHA-256 of the rows below the title: two pictures that share it are copies, whatever their titles."""
        return hashlib.sha256(np.ascontiguousarray(self.picture[self.title_rows :]).data).digest()


class PictureReader:
    """Reads raw files of one source, given the overlay layers that are registered for it.

    Args:
        source: of the pictures.
        layers: bool (y, x) by id.
    """

    def __init__(self, source: Source, layers: Mapping[int, Layer]) -> None:
        self.source, self.area = source, source.area
        self._layers = dict(layers) or {NO_LAYER: np.zeros((self.area.rows, self.area.columns), np.bool_)}
        self._stencils: dict[int, FillStencil] = {}
        self._last = next(iter(self._layers))

    def decode(self, data: bytes, path: str) -> Bytes:
        """Pixels of a file, uint8 (rows, x, 3), of a size that the area allows.

        Raises:
            Quarantine: it cannot be decoded, or has the wrong size or mode.
        """
        return decode(data, path, self.area)

    def read(self, data: bytes, path: str, channel: str, time: datetime) -> SoundPicture:
        """Makes a picture of a file's bytes.

        Args:
            time: the time that the name gives; a title bar must agree with it and with the channel.

        Raises:
            Quarantine: the file is unusable, or is not what its name says.
        """
        return self.check(self.decode(data, path), path, channel, time)

    def check(self, rgb: Bytes, path: str, channel: str, time: datetime) -> SoundPicture:
        """Makes a picture of a file's pixels, as `decode` gives them; arguments and errors as `read`."""
        grey, layer, doubts = self._separate(rgb, path)
        if layer in self._layers and layer != NO_LAYER:
            fill(grey, self._stencil(layer, grey.shape[0]))
        dark = self._is_dark(grey, channel)
        if dark:
            self._require_night(path, time)
        elif constant(grey, self.area.title_rows):  # after filling: drawn lines are contrast of their own
            raise Quarantine(path, "constant", "a picture with contrast", "one value everywhere")
        doubts += self._check_title(rgb, path, channel, time)
        doubts += [] if dark else self._survey(grey, rgb, path, channel, layer)
        reduced = block_mean(self._full_height(grey), self.area.crop_rows, self.area.reduce)
        return SoundPicture(grey, reduced, layer, tuple(doubts), self.area.title_rows, dark)

    def stored(self, picture: Bytes, reduced: Bytes, layer: int, channel: str) -> SoundPicture:
        """A picture that was stored before, as `check` made it; its doubts are not known any more."""
        return SoundPicture(picture, reduced, layer, (), self.area.title_rows, self._is_dark(picture, channel))

    def _is_dark(self, grey: Bytes, channel: str) -> bool:
        return self.source.satellite.channels[channel].reflective and black(grey, self.area.title_rows)

    def _require_night(self, path: str, time: datetime) -> None:
        """A black picture of a reflective channel is sound, unless the sun stands over the area's middle."""
        if self.area.middle is None:
            return
        elevation = sun_elevation(time, *self.area.middle)
        if elevation >= DAYLIGHT:
            expected = f"the Earth in daylight, with the sun {elevation:.0f} degrees high over its middle"
            raise Quarantine(path, "black by day", expected, f"no grey above {BLACK}")

    def _survey(self, grey: Bytes, rgb: Bytes, path: str, channel: str, layer: int) -> list[Doubt]:
        """Doubts of what is seen below the title; of a full disk only a square within it, since space is even."""
        hidden = self._hidden(rgb, layer)
        inside = np.s_[self.area.title_rows :, :]
        if self.area.full_disk:
            rows, columns = grey.shape[0] // 6, grey.shape[1] // 6
            inside = np.s_[rows:-rows, columns:-columns]
        reflective = self.source.satellite.channels[channel].reflective
        seen = survey(grey[inside], hidden[inside], reflective=reflective)
        if seen.lost:
            raise Quarantine(path, "lost rows", "weather in three quarters of the rows", seen.lost)
        # Lines that are drawn and not known are no fault of the picture's own.
        return [d for d in seen.doubts() if layer != UNKNOWN_LAYER or d.reason.startswith("dead")]

    def _hidden(self, rgb: Bytes, layer: int) -> Layer:
        """Where a picture shows no weather: under its layer, or, where that is not known, what is not grey."""
        if layer in self._layers:
            return self._layers[layer][: rgb.shape[0]]
        if layer == UNKNOWN_LAYER:
            coloured: Layer = rgb.max(axis=2) != rgb.min(axis=2)
            return coloured
        return np.zeros(rgb.shape[:2], np.bool_)

    def _separate(self, rgb: Bytes, path: str) -> tuple[Bytes, int, list[Doubt]]:
        """Grey values and the layer that explains every pixel, or the luminance and a doubt."""
        best = rgb.shape[0] * rgb.shape[1]
        for number in sorted(self._layers, key=lambda n: n != self._last):  # layers hardly ever change: last one first
            layer = self._layers[number][: rgb.shape[0]]
            grey, mismatches = part(rgb, layer, self.area)
            if not mismatches:
                self._last = number
                return grey, number, []
            best = min(best, mismatches)
        if best > FOREIGN_SHARE * rgb.shape[0] * rgb.shape[1]:
            raise Quarantine(path, "foreign picture", "grey under the known overlay", f"{best} other pixels")
        doubt = Doubt("unknown overlay", "a registered overlay layer", f"{best} pixels that no layer explains")
        return luminance(rgb), UNKNOWN_LAYER, [doubt]

    def _check_title(self, rgb: Bytes, path: str, channel: str, time: datetime) -> list[Doubt]:
        """The title bar must say what the name says.

        What can be read and differs is proof of a wrong name; what cannot be read is only a doubt.
        """
        bar = self.area.title_bar
        if bar is None:
            return []
        expected = bar.text.format(channel=self.source.satellite.channels[channel].label, time=time)
        rows = np.ascontiguousarray(rgb[: self.area.title_rows].max(axis=2))
        found = read_title(rows, load_font(bar.font))[: len(expected)]
        if found == expected:
            return []
        differs = any(f not in (e, "?") for e, f in zip(expected, found, strict=False))
        if differs:
            raise Quarantine(path, "title disagrees", f"the title bar to say {expected!r}", repr(found))
        return [Doubt("unreadable title", f"the title bar to say {expected!r}", repr(found))]

    def _stencil(self, number: int, rows: int) -> FillStencil:
        key = number * 65536 + rows
        if key not in self._stencils:
            self._stencils[key] = build_stencil(self._layers[number][:rows], self.area.title_rows)
        return self._stencils[key]

    def _full_height(self, grey: Bytes) -> Bytes:
        """The picture at the area's full height: a lower one repeats its last row, so that blocks stay whole."""
        missing = self.area.rows - grey.shape[0]
        return np.pad(grey, ((0, missing), (0, 0)), mode="edge") if missing else grey
