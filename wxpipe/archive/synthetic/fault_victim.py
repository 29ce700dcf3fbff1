"""The picture that a fault is planted at: its file, its pixels, the pictures around it; and what a kind of fault is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from wxpipe.archive.decode import decode
from wxpipe.archive.overlay import build_stencil, fill, restore
from wxpipe.archive.reduction import block_mean
from wxpipe.archive.title import draw_title, load_font
from wxpipe.archive.truth import Planted
from wxpipe.satellites.catalog import Source

Bytes = NDArray[np.uint8]
Layer = NDArray[np.bool_]
Paths = Mapping[tuple[str, datetime], str]
"""Where each picture lies, by channel and nominal time (UTC), relative to the pictures' folder."""

Expected = Literal["good", "suspect", "quarantined", "missing", "duplicate", "unparsed", "unconfigured"]
Need = Literal["title", "overlay", "channels", "thermal", "night", "day", "neighbours"]
"""What a victim must have: a title bar; an opaque overlay; a second thermal channel; weather that is seen without the
sun; a reflective channel, black here; one that is lit by the sun that stands over the area's middle; three pictures
around that are much like it."""


class UnsuitableError(Exception):
    """The fault would not show at this victim; another one is tried."""


@dataclass(frozen=True)
class Victim:
    """One sound picture of an archive of 8-bit RGB PNG.

    Attributes:
        pictures: the archive's folder.
        paths: of all pictures.
        sound: an archive of the same paths that pictures are read from; none: that which is spoiled.
    """

    pictures: Path
    source: Source
    paths: Paths
    channel: str
    time: datetime
    sound: Path | None = None

    @property
    def path(self) -> str:
        return self.paths[self.channel, self.time]

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    def extra(self, name: str) -> str:
        """Path of a further file in a folder of the victim's own."""
        return f"extra/{PurePosixPath(self.path).stem}/{name}"

    def at(self, slots: int = 0, channel: str = "") -> Victim:
        """Another picture, so many slots later.

        Raises:
            UnsuitableError: there is none.
        """
        time = self.time + slots * timedelta(minutes=self.source.satellite.cadence_minutes)
        other = replace(self, channel=channel or self.channel, time=time)
        if (other.channel, other.time) not in self.paths:
            raise UnsuitableError(f"no picture of {other.channel} at {other.time}")
        return other

    def other_channel(self) -> Victim:
        """The picture of the next thermal channel at the same time."""
        names = [n for n, c in self.source.satellite.channels.items() if not c.reflective]
        if self.channel not in names or len(names) < 2:
            raise UnsuitableError("there is no other thermal channel")
        return self.at(channel=names[(names.index(self.channel) + 1) % len(names)])

    # --- bytes ---------------------------------------------------------------------------------------------------

    def read(self) -> bytes:
        return ((self.sound or self.pictures) / self.path).read_bytes()

    def write(self, data: bytes, path: str = "") -> str:
        """Writes a file, the victim's own if no other is named, and answers with its path."""
        file = self.pictures / (path or self.path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return path or self.path

    def move(self, path: str) -> str:
        file = self.pictures / path
        file.parent.mkdir(parents=True, exist_ok=True)
        (self.pictures / self.path).rename(file)
        return path

    def spelled(self, time: str = "", channel: str = "", area: str = "") -> str:
        """The file's name with another time, channel or area in it.

        Raises:
            UnsuitableError: the name does not spell that plainly.
        """
        name = self.name
        times = [self.time.strftime(grammar.time) for grammar in self.source.satellite.names]
        stamp = next((stamp for stamp in times if stamp in name), "")
        for old, new in ((self.channel, channel), (self.source.area_name, area)):
            head, found, tail = name.partition(f"_{old}")
            if new and not found:
                raise UnsuitableError(f"{name} does not spell {old}")
            name = f"{head}_{new}{tail}" if new else name
        if time and not stamp:
            raise UnsuitableError(f"{name} does not spell its time in one piece")
        return name.replace(stamp, time) if time else name

    def stamp(self, time: datetime) -> str:
        """A time as this satellite's names spell it."""
        return time.strftime(self.source.satellite.names[0].time)

    # --- pixels --------------------------------------------------------------------------------------------------

    def rgb(self) -> Bytes:
        """Its pixels, uint8 (y, x, 3), to be changed."""
        rgb: Bytes = decode(self.read(), self.path, self.source.area).copy()
        return rgb

    def layer(self) -> Layer:
        """What is drawn in the overlay's colour below the title, bool (y, x)."""
        area, rgb = self.source.area, self.rgb()
        drawn = np.zeros(rgb.shape[:2], np.bool_)
        if area.overlay_colour is not None:
            drawn = np.all(rgb == np.array(area.overlay_colour, np.uint8), axis=-1)
        drawn[: area.title_rows] = False
        return drawn

    def grey(self) -> Bytes:
        """Its grey values, uint8 (y, x), filled under the overlay; the title's brightest lane."""
        grey: Bytes = self.rgb().max(axis=2)
        layer = self.layer()
        if layer.any():
            fill(grey, build_stencil(layer, self.source.area.title_rows))
        return grey

    def draw(self, grey: Bytes) -> None:
        """Writes other grey values under the victim's own overlay and title bar."""
        area = self.source.area
        grey = np.ascontiguousarray(grey)
        grey[: area.title_rows] = self.rgb()[: area.title_rows].max(axis=2)
        self.write(png(restore(grey, self.layer(), area.title_rows, area.overlay_colour or (255, 255, 255))))

    def retitle(self, rgb: Bytes, time: datetime | None = None) -> None:
        """Draws the title of the victim's channel and time over that of a picture, in place."""
        area, channel = self.source.area, self.source.satellite.channels[self.channel]
        if area.title_bar is None:
            return
        text = area.title_bar.text.format(channel=channel.label, time=time or self.time)
        grey = np.zeros((area.title_rows, rgb.shape[1]), np.uint8)
        draw_title(grey, text, load_font(area.title_bar.font))
        lanes = np.array(area.overlay_colour or (255, 255, 255)) > 0
        rgb[: area.title_rows] = grey[:, :, np.newaxis] * lanes

    def likeness(self, grey: Bytes) -> float:
        """Correlation of the victim with other grey values (y, x), reduced as pictures are."""
        area = self.source.area
        ours, theirs = (block_mean(g, area.crop_rows, area.reduce).ravel().astype(float) for g in (self.grey(), grey))
        return float(np.corrcoef(ours, theirs)[0, 1]) if ours.std() and theirs.std() else 1.0

    # --- what is to be said ----------------------------------------------------------------------------------------

    def says(self, kind: str, expected: Expected, reason: str = "", path: str = "", *, picture: bool = True) -> Planted:
        """What an ingest must say of the victim's picture, or of a file that is no picture's."""
        return Planted(
            source=self.source.id, kind=kind, path=path or self.path, channel=self.channel if picture else None,
            time=self.time if picture else None, expected=expected, reason=reason,
        )  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """One way in which an archive is spoiled.

    Attributes:
        plant: spoils it at a victim, and answers with the path of the file that a record is expected of.
        expected: what becomes of the victim's picture, or of the file, where it is `about` one.
        reason: of the record, exactly; empty where there is none.
        about: ``picture`` of the victim; ``file``: one besides, and the picture stays as it was.
        needs: what a victim must have.
        mode: a way to hold pixels that must not be legal for the area.
        also: what else must be said, of other pictures that have a part in it.
        shows: whether the satellite's names are such that it would be told as it is said here.
    """

    plant: Callable[[Victim], str]
    expected: Expected
    reason: str = ""
    about: Literal["picture", "file"] = "picture"
    needs: frozenset[Need] = frozenset()
    mode: str = ""
    also: Callable[[Victim, str], tuple[Planted, ...]] = lambda _victim, _kind: ()
    shows: Callable[[Victim], bool] = lambda _victim: True

    @property
    def spoils(self) -> bool:
        """Whether the victim's own file is touched."""
        return self.about == "picture" or "channels" in self.needs


def png(pixels: NDArray[Any], level: int = 1) -> bytes:
    """A PNG of grey, RGB or RGBA pixels, uint8 or uint16."""
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels), level=level))
