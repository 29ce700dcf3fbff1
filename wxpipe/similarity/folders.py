"""Folders of pictures that are compared without a root: which files they hold, in which order, and their grid CDFs.

Two layouts of folder: archive names, in time order; and ``image_<i>/<channel>.png``, in the order of the numbers, as
the published program reads them. What is compared with what is `compare`'s.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import imagecodecs
import numpy as np
import numpy.typing as npt

from wxpipe.archive.decode import decode
from wxpipe.archive.drawing import draws, learn
from wxpipe.archive.layers import SAMPLE
from wxpipe.archive.overlay import layer_digest, luminance
from wxpipe.archive.picture import PictureReader
from wxpipe.archive.png import EXPECTED_MODE, SIGNATURE, decode_png, png_size_mode
from wxpipe.errors import NotFoundError, Quarantine, UsageError
from wxpipe.satellites.catalog import Source, find_source
from wxpipe.satellites.names import Named, NameReader
from wxpipe.satellites.satellite import Satellite
from wxpipe.similarity.cdf import CountArray, grid_cdf_exact, grid_cdf_reference
from wxpipe.similarity.layout import GridSpec, cell_sizes
from wxpipe.store.objects import LocalObjects

Bytes = npt.NDArray[np.uint8]
Satellites = Mapping[str, Satellite]

LISTED = 5
"""How many missing files an error names."""

_NUMBERED = re.compile(r"image_(\d+)")
_ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_GREY_MODE = "8-bit grey"


class Counted(NamedTuple):
    """One picture, counted: CDF (bin, cell) and the pixels of each cell (cell,)."""

    cdf: CountArray
    sizes: npt.NDArray[np.int64]


class FileId(NamedTuple):
    """What a file is, however many names and links lead to it."""

    device: int
    inode: int


@dataclass(frozen=True)
class PictureFile:
    """One picture of a folder; `time` is None where the name gives none."""

    path: Path
    channel: str
    time: datetime | None = None

    @cached_property
    def id(self) -> FileId:
        status = self.path.stat()
        return FileId(status.st_dev, status.st_ino)

    def read(self) -> bytes:
        """The file's bytes.

        Raises:
            UsageError: it cannot be read.
        """
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read: {error.strerror}; repair it or leave it out") from error


@dataclass(frozen=True)
class PictureFolder:
    """The pictures of a folder.

    Attributes:
        source: whose pictures they are; None where their size and channels are no satellite's.
        channels: those of any frame, in the satellite's order, or sorted.
        frames: in order, the files by channel.
        labels: what a frame is called in errors: its time, or its folder.
    """

    path: Path
    source: Source | None
    channels: tuple[str, ...]
    frames: tuple[Mapping[str, PictureFile], ...]
    labels: tuple[str, ...]

    def require(self, channels: Iterable[str]) -> None:
        """Every frame has these channels.

        Raises:
            NotFoundError: names what is missing.
        """
        gaps = [
            f"{channel} of {label}"
            for channel in channels
            for label, frame in zip(self.labels, self.frames, strict=True)
            if channel not in frame
        ]
        if gaps:
            more = f" and {len(gaps) - LISTED} more" if len(gaps) > LISTED else ""
            raise NotFoundError(
                f"{self.path}: {len(self.frames)} frames, and missing are {', '.join(gaps[:LISTED])}{more}; "
                "a similarity needs every channel of every frame: add the files, or take the frames or the channel out"
            )

    @property
    def files(self) -> list[PictureFile]:
        return [file for frame in self.frames for file in frame.values()]


def read_folder(path: Path, satellites: Satellites) -> PictureFolder:
    """Lists a folder: ``image_<i>/<channel>.png`` if it holds such folders, else archive names at any depth.

    Raises:
        NotFoundError: no picture in it.
        UsageError: archive names of several sources.
    """
    numbered = numbered_folders(path)
    if numbered:
        return _numbered_folder(path, numbered, satellites)
    return _archive_folder(path, satellites)


def numbered_folders(path: Path) -> list[Path]:
    """The folders ``image_<i>`` in a folder, in the order of their numbers."""
    numbered = [(int(m[1]), p) for p in path.iterdir() if (m := _NUMBERED.fullmatch(p.name)) and p.is_dir()]
    return [folder for _, folder in sorted(numbered)]


def _numbered_folder(path: Path, folders: Sequence[Path], satellites: Satellites) -> PictureFolder:
    frames = tuple({f.stem: PictureFile(f, f.stem) for f in sorted(folder.glob("*.png"))} for folder in folders)
    channels = sorted({channel for frame in frames for channel in frame})
    if not channels:
        raise NotFoundError(f"{path}: its folders image_<i> hold no <channel>.png, e.g. image_1/ir01.png")
    source = _source_by_size(next(file for frame in frames for file in frame.values()), channels, satellites)
    order = tuple(channels) if source is None else _in_order(channels, source)
    return PictureFolder(path, source, order, frames, tuple(folder.name for folder in folders))


def _source_by_size(file: PictureFile, channels: Sequence[str], satellites: Satellites) -> Source | None:
    """The first source, by name, whose pictures have this one's size and whose channels include these."""
    try:
        header = png_size_mode(file.read(), str(file.path))
    except Quarantine as fault:
        raise _refused(fault) from fault
    every = [Source(satellite, area) for satellite in satellites.values() for area in satellite.areas]
    for source in sorted(every, key=lambda s: s.id):
        fits = header.rows in source.area.heights and header.columns == source.area.columns
        if fits and set(channels) <= set(source.satellite.channels):
            return source
    return None


def _archive_folder(path: Path, satellites: Satellites) -> PictureFolder:
    reader = NameReader(satellites.values())
    found: dict[str, dict[int, dict[str, PictureFile]]] = defaultdict(lambda: defaultdict(dict))
    others = 0
    # Of two files for one picture the larger counts, as at ingest.
    for info in sorted(LocalObjects(path).walk(), key=lambda info: (-info.size, info.key)):
        named = reader.read(info.key)
        if isinstance(named, Named):
            file = PictureFile(path / info.key, named.channel, named.time)
            found[named.source][named.slot].setdefault(named.channel, file)
        else:
            others += 1
    if not found:
        raise NotFoundError(
            f"{path}: none of {others} files bears an archive name, and there is no image_<i>; expected e.g. "
            "coms_mi_le1b_ir01_ea040ps_201103030800.png, or image_1/ir01.png"
        )
    if len(found) > 1:
        raise UsageError(f"{path} holds pictures of {', '.join(sorted(found))}; name a folder of one source")
    name, slots = next(iter(found.items()))
    source = find_source(satellites, name)
    times = {slot: source.satellite.axis.time(slot) for slot in sorted(slots)}
    channels = _in_order({channel for frame in slots.values() for channel in frame}, source)
    labels = tuple(f"{time:%Y-%m-%dT%H:%MZ}" for time in times.values())
    return PictureFolder(path, source, channels, tuple(slots[slot] for slot in times), labels)


def _in_order(channels: Iterable[str], source: Source) -> tuple[str, ...]:
    wanted = set(channels)
    return tuple(channel for channel in source.satellite.channel_names if channel in wanted)


class FolderCounter:
    """Counts pictures of folders, one at a time.

    Layout `reference` takes the pixels as they are. Layout `exact` takes the overlay off and fills it as ingest does,
    with the layers that the very pictures of each folder show, and the title rows of the satellite: that of the
    archive names, or, for ``image_<i>``, the one whose pictures have this size and these channels (then no title bar
    is checked, since no name gives a time). Pictures of any other size are plain grey, whole, without title rows.

    Args:
        spec: the grid.
        folders: all that will be asked for: a layer that one shows may explain a picture of another.
    """

    def __init__(self, spec: GridSpec, folders: Sequence[PictureFolder]) -> None:
        self.spec = spec
        self._folders = folders
        self._readers: dict[tuple[str, bool], PictureReader] = {}
        self._sampled: dict[FileId, Bytes] = {}

    def count(self, folder: PictureFolder, file: PictureFile) -> Counted:
        """The grid CDF of a picture.

        Raises:
            UsageError: the picture is damaged or not what its name says, or the grid does not fit it.
        """
        try:
            return self._count(folder, file)
        except Quarantine as fault:
            raise _refused(fault) from fault

    def _count(self, folder: PictureFolder, file: PictureFile) -> Counted:
        if self.spec.layout == "reference":
            rgb = _decode(file, folder.source)
            cdf = grid_cdf_reference(rgb, self.spec)
            return Counted(cdf, cell_sizes(self.spec, rgb.shape[0], rgb.shape[1], 0))
        if folder.source is None:
            grey, title_rows = luminance(_decode(file)), 0
        else:
            reader = self._reader(folder.source, file.time is not None)
            rgb = self._sampled.pop(file.id) if file.id in self._sampled else reader.decode(file.read(), str(file.path))
            grey = reader.check(rgb, str(file.path), file.channel, file.time or _ANY_TIME).picture
            title_rows = folder.source.area.title_rows
        cdf = grid_cdf_exact(grey, grey.shape[0], title_rows, self.spec)
        return Counted(cdf, cell_sizes(self.spec, grey.shape[0], grey.shape[1], title_rows))

    def _reader(self, source: Source, named: bool) -> PictureReader:
        """The reader of a source's pictures; those whose names give no time are read without their title bar."""
        key = source.id, named
        if key not in self._readers:
            layers = self._learn(source)
            self._readers[key] = PictureReader(source if named else without_title(source), layers)
        return self._readers[key]

    def _learn(self, source: Source) -> dict[int, npt.NDArray[np.bool_]]:
        """The layers that the source's folders show, by id, each from a sample; samples are kept, to be counted."""
        area = source.area
        layers: dict[str, npt.NDArray[np.bool_]] = {}
        if not draws(area):
            return {}
        for folder in self._folders:
            if folder.source is None or folder.source.id != source.id:
                continue
            sample = self._sample(folder)
            for rows in sorted({rgb.shape[0] for rgb in sample}):
                layer = np.zeros((area.rows, area.columns), np.bool_)
                same = [rgb for rgb in sample if rgb.shape[0] == rows]
                layer[:rows] = learn(same, area)
                layers.setdefault(layer_digest(layer), layer)
        return dict(enumerate(layers.values(), start=1))

    def _sample(self, folder: PictureFolder) -> list[Bytes]:
        assert folder.source is not None
        decoder = PictureReader(folder.source, {})
        files = list({file.id: file for file in folder.files}.values())
        chosen = [files[i] for i in sorted({i * len(files) // SAMPLE for i in range(SAMPLE)})]
        for file in chosen:
            if file.id not in self._sampled:
                self._sampled[file.id] = decoder.decode(file.read(), str(file.path))
        return [self._sampled[file.id] for file in chosen]


def _decode(file: PictureFile, source: Source | None = None) -> Bytes:
    """Pixels (y, x, 3) of an 8-bit RGB or grey PNG, or of what a source's area allows instead."""
    data, path = file.read(), str(file.path)
    if source is not None and source.area.modes != (EXPECTED_MODE,):
        return decode(data, path, source.area)
    if data.startswith(SIGNATURE) and png_size_mode(data, path).mode == _GREY_MODE:
        try:
            grey: Bytes = imagecodecs.png_decode(data)
        except imagecodecs.PngError as error:
            raise Quarantine(path, "corrupt", "a grey PNG that can be decoded", str(error)) from error
        return np.ascontiguousarray(np.broadcast_to(grey[..., np.newaxis], (*grey.shape, 3)))
    return decode_png(data, path)


def without_title(source: Source) -> Source:
    """The source without what only a time can check: the title bar, and where the sun stands."""
    area = source.area.model_copy(update={"title_bar": None, "middle": None})
    return Source(source.satellite.model_copy(update={"areas": {source.area_name: area}}), source.area_name)


def _refused(fault: Quarantine) -> UsageError:
    return UsageError(f"{fault}; repair the picture or leave its frame out")
