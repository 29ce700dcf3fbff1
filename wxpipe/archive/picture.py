"""One raw file to one sound picture: checked, overlay and grey parted, filled, reduced. Days are `ingest`'s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from wxpipe.archive.decode import decode
from wxpipe.archive.drawing import part
from wxpipe.archive.overlay import FillStencil, build_stencil, fill, luminance
from wxpipe.archive.quality import constant, dead_rows
from wxpipe.archive.reduction import block_mean
from wxpipe.archive.title import load_font, read_title
from wxpipe.errors import Quarantine
from wxpipe.satellites.catalog import Source
from wxpipe.store.frames import NO_LAYER, UNKNOWN_LAYER

Bytes = NDArray[np.uint8]
Layer = NDArray[np.bool_]

FOREIGN_SHARE = 0.05
"""Share of pixels that may break the known layers before a picture is called foreign: far more than any overlay's."""


@dataclass(frozen=True)
class Doubt:
    """Why a usable picture is `suspect`."""

    reason: str
    expected: str
    found: str


@dataclass(frozen=True)
class SoundPicture:
    """A usable picture.

    Attributes:
        picture: grey, uint8 (rows, x), filled under its layer, title rows as they came.
        reduced: uint8 (y_reduced, x_reduced).
        layer: id of its overlay layer, `NO_LAYER` or `UNKNOWN_LAYER`.
    """

    picture: Bytes
    reduced: Bytes
    layer: int
    doubts: tuple[Doubt, ...]


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
        fault = constant(grey, self.area.title_rows)  # after filling: drawn lines are contrast of their own
        if fault is not None:
            raise Quarantine(path, "constant", "a picture with contrast", "one value everywhere")
        doubts += self._check_title(rgb, path, channel, time)
        if self._dead_rows(grey):
            doubts.append(
                Doubt("dead rows", "a new line in every row", "rows of one value, or that repeat the row above")
            )
        reduced = block_mean(self._full_height(grey), self.area.crop_rows, self.area.reduce)
        return SoundPicture(grey, reduced, layer, tuple(doubts))

    def _dead_rows(self, grey: Bytes) -> bool:
        """Whether lines were lost; of a full disk only a square within it is looked at, since space is even."""
        if not self.area.full_disk:
            return dead_rows(grey, self.area.title_rows) is not None
        rows, columns = grey.shape[0] // 6, grey.shape[1] // 6
        return dead_rows(grey[rows:-rows, columns:-columns], 0) is not None

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
