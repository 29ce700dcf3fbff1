"""Which pictures of a folder are the query: the latest clip or frame that archive names tell of, or that of a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wxpipe.archive.fresh import Count, FreshFrames, FreshPicture, FreshReader, Listing, list_folder
from wxpipe.archive.scan import known_satellites
from wxpipe.config import RunSettings
from wxpipe.errors import NotFoundError
from wxpipe.satellites.catalog import Source
from wxpipe.satellites.names import NameReader
from wxpipe.similarity.clip_stage import clip_rule, clips_from
from wxpipe.similarity.clips import ClipRule
from wxpipe.similarity.identity import clip_id, frame_id
from wxpipe.store.frames import frame_store
from wxpipe.store.quarantine import Record
from wxpipe.store.root import Root
from wxpipe.vectors.answers import Query
from wxpipe.vectors.candidates import slot_epoch
from wxpipe.vectors.fresh_pictures import Checked
from wxpipe.vectors.tables import Unit

NEIGHBOURS = 3
"""Slots on either side of a frame that are read with it: a picture is doubted by the three that are nearest."""


@dataclass(frozen=True)
class Folder:
    """A folder that is asked for a query.

    Attributes:
        source: whose pictures are looked for.
        count: makes the grid CDF of a picture.
    """

    root: Root
    source: Source
    path: Path
    unit: Unit
    count: Count

    @property
    def required(self) -> str:
        """The channels that a frame must have, for a person."""
        satellite = self.source.satellite
        return ", ".join(n for n, must in zip(satellite.channel_names, satellite.required, strict=True) if must)

    @cached_property
    def rule(self) -> ClipRule:
        """What a clip is.

        Raises:
            NotFoundError: the satellite is frames only.
        """
        return clip_rule(self.root, self.source)


@dataclass(frozen=True)
class Chosen:
    """The query's pictures.

    Attributes:
        pictures: by frame and channel; None where an optional channel has none.
        captions: of each frame, for a person.
    """

    pictures: Sequence[Sequence[FreshPicture | None]]
    query: Query
    captions: tuple[str, ...]
    checked: Checked


@dataclass(frozen=True)
class _Slots:
    """Slots of the query's frames, and where it begins."""

    frames: list[int]
    start: int


@dataclass
class _Search:
    """Looks for the query among what names promise, and keeps what was read on the way."""

    asked: Folder
    listing: Listing
    reader: FreshReader
    pictures: dict[tuple[int, int], FreshPicture] = field(default_factory=dict)
    records: dict[tuple[str, str, str], Record] = field(default_factory=dict)

    def read(self, slots: range) -> FreshFrames:
        """A stretch of slots, and those around it that doubts are judged by."""
        axis = self.asked.source.satellite.axis
        found = self.reader.read(range(max(0, slots.start - NEIGHBOURS), min(slots.stop + NEIGHBOURS, axis.count)))
        self.pictures.update(found.pictures)
        for record in found.records:
            self.records.setdefault((record.path, record.reason, record.kind), record)
        return found

    def beginning(self, start: int) -> _Slots | None:
        """The clip (frame) that begins with a slot, if its pictures are sound."""
        source, slots = self.asked.source, self.stretch(start)
        good = self.read(slots).good(slots, source.satellite.required)
        if self.asked.unit == "frame":
            return _Slots([start], start) if good[0] else None
        clips = clips_from(source, self.asked.rule, start, good, 1)
        return _Slots(clips.frames[0].tolist(), start) if len(clips.starts) else None

    def stretch(self, start: int) -> range:
        """The slots of the clip (frame) that begins with one."""
        return range(start, min(start + _window(self.asked) + 1, self.asked.source.satellite.axis.count))

    def promised(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Slots of which all required channels have a file, and how many of them each one's window holds."""
        needed = [n for n, must in enumerate(self.asked.source.satellite.required) if must]
        files = self.listing.files
        slots = np.array([s for s in self.listing.slots if all((s, n) in files for n in needed)], np.int64)
        stops = np.searchsorted(slots, slots + _window(self.asked), side="right")
        return slots, stops - np.arange(len(slots))

    def checked(self) -> Checked:
        said = tuple(dict.fromkeys((*self.listing.refused, *self.records.values())))
        folder, listing = str(self.asked.path), self.listing
        return Checked(folder, len(self.pictures), said, listing.others, listing.unparsed)


def named_pictures(asked: Folder, at: datetime | None) -> Chosen:
    """The latest clip (frame) of a folder of archive names, or the one that begins at a time.

    Raises:
        NotFoundError: there is none; says how many slots are complete of how many, and what was not taken and why.
    """
    satellites = known_satellites(asked.root, RunSettings().satellites or None)
    listing = list_folder(asked.path, asked.source, NameReader(satellites.values()))
    reader = FreshReader(frame_store(asked.root, asked.source), asked.path, listing, asked.count)
    search = _Search(asked, listing, reader)
    if not listing.slots:
        raise NotFoundError(
            f"{asked.path}: none of {listing.unparsed + sum(listing.others.values())} files is a picture of"
            f" {asked.source.id} by its name{search.checked().refusals()}"
        )
    slots = _latest(search) if at is None else _at(search, at)
    channels = range(len(asked.source.satellite.channels))
    pictures = [[search.pictures.get((slot, channel)) for channel in channels] for slot in slots.frames]
    captions = tuple(f"{asked.source.satellite.axis.time(slot):%d %b %H:%M} UTC" for slot in slots.frames)
    checked = replace(search.checked(), note=_unfinished(asked, listing, slots))
    return Chosen(pictures, _query(asked, slots.start), captions, checked)


def _latest(search: _Search) -> _Slots:
    """The latest that names promise is read first; where its pictures do not keep that, the one before it."""
    slots, counts = search.promised()
    wanted = 1 if search.asked.unit == "frame" else search.asked.rule.frames
    last = search.listing.slots[-1]
    search.read(range(max(0, last - _window(search.asked)), last + 1))  # all of a window's files are told of
    for start in slots[counts >= wanted][::-1].tolist():
        found = search.beginning(start)
        if found is not None:
            return found
    best = int(slots[np.argmax(counts)]) if len(slots) else last
    raise _nothing(search, best)


def _at(search: _Search, at: datetime) -> _Slots:
    slot_epoch(search.asked.source, at)  # refuses a time that is no slot
    start = search.asked.source.satellite.axis.slot(at)
    found = search.beginning(start)
    if found is None:
        raise _nothing(search, start)
    return found


def _window(asked: Folder) -> int:
    """Slots from the first to the last of a clip; of a frame none."""
    if asked.unit == "frame":
        return 0
    return asked.rule.slots_per_window(asked.source.satellite.axis.cadence)


def _query(asked: Folder, start: int) -> Query:
    """What the clip (frame) will be called once it is in the archive."""
    source, when = asked.source.id, asked.source.satellite.axis.time(start)
    if asked.unit == "frame":
        return Query("frame", frame_id(source, when), when)
    return Query("clip", clip_id(source, when, asked.rule), when, when + timedelta(hours=asked.rule.hours))


def _unfinished(asked: Folder, listing: Listing, slots: _Slots) -> str:
    """That a clip's window runs past the last picture: so do the archive's last ones, and their frames stand closer."""
    last, window = listing.slots[-1], _window(asked)
    if slots.start + window <= last:
        return ""
    axis, whole = asked.source.satellite.axis, last - window
    note = f"the clip's window ends {axis.time(slots.start + window):%H:%MZ}, after the last picture, so that its"
    note += f" {asked.rule.frames} frames stand closer than those of a whole one"
    return f"{note}; such a one may begin {axis.time(whole):%Y-%m-%dT%H:%MZ}" if whole >= listing.slots[0] else note


def _nothing(search: _Search, start: int) -> NotFoundError:
    """That there is no query, with the slot at which there is most of one."""
    asked, axis, slots = search.asked, search.asked.source.satellite.axis, search.stretch(start)
    good = search.read(slots).good(slots, asked.source.satellite.required)
    said = search.checked().refusals()
    if asked.unit == "frame":
        return NotFoundError(
            f"{asked.path}: no frame of {asked.source.id} at {axis.time(start):%Y-%m-%dT%H:%MZ} is complete; one needs"
            f" {asked.required}{said}"
        )
    return NotFoundError(
        f"{asked.path}: no clip of {asked.source.id}: of the {asked.rule.frames} slots within {asked.rule.hours} h that"
        f" one needs, {int(good.sum())} are complete ({asked.required}) from {axis.time(start):%Y-%m-%dT%H:%MZ} on;"
        f" give more pictures, or ask for a single frame by --unit frame{said}"
    )
