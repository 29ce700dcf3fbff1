"""Writes an archive that never was: raw files of a synthetic sky, named, drawn on and packed as a satellite's are.

The sky is `synthetic_field`'s. What one asks for twice has the same bytes twice, and slots that are asked for
later belong to the same weather, so an archive can be made longer.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib import resources
from pathlib import Path

import imagecodecs
import numpy as np
import tomli_w

from wxpipe.archive.overlay import YELLOW, restore
from wxpipe.archive.png import SIGNATURE
from wxpipe.archive.synthetic_field import BANDS, Bytes, Ground, Layer, Sky
from wxpipe.archive.title import draw_title, load_font
from wxpipe.errors import UsageError
from wxpipe.satellites.catalog import Source, parse_satellite
from wxpipe.satellites.names import Named, NameReader
from wxpipe.satellites.satellite import Satellite
from wxpipe.store.stage import ignore_progress

PATH_FORMATS = {
    "coms": "{time:%Y%m/%d}/coms_mi_le1b_{channel}_{area}040ps_{time:%Y%m%d%H%M}.png",
    "mini": "{time:%Y%m/%d}/mini_{channel}_{area}_{time:%Y%m%d%H%M}.png",
}
"""Where files lie below the pictures' folder, by satellite; fields {channel}, {area} and {time:...}."""

PICTURES = "pictures"


@dataclass(frozen=True)
class SyntheticArchive:
    """What was made, and where.

    Attributes:
        source: id of the pictures' source, e.g. ``mini-t``.
        pictures: folder of raw files: what `backfill` is given as the archive.
        satellite: TOML of the satellite, for `backfill` beside it.
        written: files that were written.
        kept: files that were there with the same bytes, and were not touched.
        missing: slots left out on request.
        unscheduled: slots for which the satellite's schedule expects nothing.
    """

    source: str
    pictures: Path
    satellite: Path
    written: int
    kept: int
    missing: int
    unscheduled: int


def mini_satellite() -> Satellite:
    """A small satellite for trials: 96 x 120 pixels, two channels, every 15 minutes of 2020."""
    file = resources.files("wxpipe.archive") / "sites" / "mini.toml"
    return parse_satellite(file.read_text("utf-8"), file.name)


def satellite_toml(satellite: Satellite) -> bytes:
    """A satellite as the TOML file that defines it."""
    return tomli_w.dumps(satellite.model_dump(exclude_none=True, exclude_defaults=True)).encode()


class SyntheticSource:
    """Raw files of one source under one synthetic sky.

    Args:
        source: of the pictures; the ground under the sky follows from its area's name.
        seed: of the weather.
        path_format: as in `PATH_FORMATS`, which is the default.

    Raises:
        UsageError: no path format is known, or a channel's band cannot be drawn.
    """

    def __init__(self, source: Source, seed: int, path_format: str | None = None) -> None:
        self.source, self.seed, satellite = source, seed, source.satellite
        if path_format is None and satellite.name not in PATH_FORMATS:
            known = ", ".join(PATH_FORMATS)
            raise UsageError(f"no path format is known for {satellite.name}, only for {known}; give one")
        self._path_format = path_format or PATH_FORMATS[satellite.name]
        for name, channel in satellite.channels.items():
            if channel.band not in BANDS:
                bands = ", ".join(BANDS)
                raise UsageError(f"{satellite.name} {name}: band {channel.band!r} cannot be drawn; {bands} can")
        self._reader = NameReader([satellite])

    @cached_property
    def _ground(self) -> Ground:
        area = self.source.area
        return Ground(zlib.crc32(self.source.area_name.encode()), area.rows, area.columns)

    @cached_property
    def _sky(self) -> Sky:
        return Sky(self.seed, self._ground)

    @cached_property
    def overlay(self) -> Layer:
        """What is drawn on every picture below its title rows, bool (y, x)."""
        area = self.source.area
        lines = self._ground.lines if area.overlay_colour else np.zeros((area.rows, area.columns), np.bool_)
        lines[: area.title_rows] = False
        return lines

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

    def grey(self, channel: str, when: datetime) -> Bytes:
        """A picture without its overlay: title bar and weather, uint8 (y, x)."""
        area, of_channel = self.source.area, self.source.satellite.channels[channel]
        grey = self._sky.picture(of_channel.band, when, zlib.crc32(channel.encode()))
        grey[: area.title_rows] = 0
        if area.title_bar is not None:
            text = area.title_bar.text.format(channel=of_channel.label, time=when)
            draw_title(grey[: area.title_rows], text, load_font(area.title_bar.font))
        return grey

    def file(self, channel: str, when: datetime) -> bytes:
        """A picture's raw file: an 8-bit RGB PNG with everything drawn on."""
        area = self.source.area
        grey, colour = self.grey(channel, when), area.overlay_colour or YELLOW
        return _encode_png(restore(grey, self.overlay, area.title_rows, colour))


def write_archive(
    folder: Path,
    satellite: Satellite,
    area: str,
    first: datetime,
    slots: int,
    seed: int,
    *,
    missing: Collection[datetime] = (),
    path_format: str | None = None,
    progress: Callable[[int], None] = ignore_progress,
) -> SyntheticArchive:
    """Writes the pictures of some slots below ``folder/pictures``, and the satellite to ``folder/<name>.toml``.

    A file that is there with the same bytes is not touched, so that a later scan finds nothing new.

    Args:
        folder: made where it is missing.
        satellite: whose files they are.
        area: one of its areas.
        first: nominal time of the first slot, UTC.
        slots: how many, on the satellite's cadence; those that its schedule leaves out are left out.
        seed: of the weather.
        missing: nominal times, of those slots, that never came; a file that lies there already stays.
        path_format: see `PATH_FORMATS`.
        progress: is told the files made so far.

    Raises:
        UsageError: a time that is no slot of the satellite or of the range, or as `SyntheticSource`.
    """
    if area not in satellite.areas:
        raise UsageError(f"{satellite.name} has no area {area!r}; it has {', '.join(satellite.areas)}")
    made = SyntheticSource(Source(satellite, area), seed, path_format)
    times = _times(satellite, first, slots)
    absent = set(missing)
    strange = sorted(str(when) for when in absent - set(times))
    if strange:
        raise UsageError(f"missing {strange[0]} is none of the {slots} slots {times[0]} to {times[-1]}")
    expected = [when for when in times if satellite.expects(when)]
    present = [when for when in expected if when not in absent]
    pictures, unfinished, written = folder / PICTURES, folder / f".unfinished-{os.getpid()}", 0
    files = [(made.path(channel, when), channel, when) for when in present for channel in satellite.channel_names]
    for count, (path, channel, when) in enumerate(files, 1):
        written += _put(pictures / path, made.file(channel, when), unfinished)
        progress(count)
    toml = folder / f"{satellite.name}.toml"
    _put(toml, satellite_toml(satellite), unfinished)
    return SyntheticArchive(
        source=made.source.id,
        pictures=pictures,
        satellite=toml,
        written=written,
        kept=len(files) - written,
        missing=len(expected) - len(present),
        unscheduled=len(times) - len(expected),
    )


def _times(satellite: Satellite, first: datetime, slots: int) -> list[datetime]:
    axis = satellite.axis
    try:
        start = axis.slot(first)
    except ValueError as error:
        raise UsageError(f"first: {error}") from error
    if axis.time(start) != first:
        raise UsageError(f"first {first:%Y-%m-%dT%H:%M:%SZ} is no slot; the nearest is {axis.time(start):%H:%MZ}")
    if not 0 < slots <= axis.count - start:
        raise UsageError(f"slots is {slots}; {satellite.name} has {axis.count - start} from {first:%Y-%m-%d} on")
    return [axis.time(slot) for slot in range(start, start + slots)]


def _put(file: Path, data: bytes, unfinished: Path) -> bool:
    """Writes a file whole or not at all, first beside the archive; answers False where it was there already."""
    if file.is_file() and file.read_bytes() == data:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished.write_bytes(data)
    unfinished.replace(file)
    return True


def _encode_png(rgb: Bytes) -> bytes:
    """An 8-bit RGB PNG: each row as its difference from the one above, packed fast (libdeflate)."""
    rows, columns = rgb.shape[:2]
    lines = rgb.reshape(rows, -1)
    filtered = np.full((rows, 1 + 3 * columns), 2, np.uint8)
    filtered[0, 1:] = lines[0]
    np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    packed = bytes(imagecodecs.deflate_encode(filtered.tobytes(), level=1))
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
