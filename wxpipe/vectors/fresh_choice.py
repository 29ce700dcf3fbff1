"""Which pictures of a folder are the query: the latest clip or frame that archive names tell of, or that of a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np

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


def named_pictures(asked: Folder, at: datetime | None) -> Chosen:
    """The latest clip (frame) of a folder of archive names, or the one that begins at a time.

    Raises:
        NotFoundError: there is none; says how many slots are complete of how many, and what was not taken and why.
    """
    satellites = known_satellites(asked.root, RunSettings().satellites or None)
    listing = list_folder(asked.path, asked.source, NameReader(satellites.values()))
    if not listing.slots:
        raise NotFoundError(
            f"{asked.path}: none of {listing.unparsed + sum(listing.others.values())} files is a picture of"
            f" {asked.source.id} by its name{_checked(asked, listing).refusals()}"
        )
    reader = FreshReader(frame_store(asked.root, asked.source), asked.path, listing, asked.count)
    found, slots = _latest(asked, reader, listing) if at is None else _beginning(asked, reader, listing, at)
    channels = range(len(asked.source.satellite.channels))
    pictures = [[found.pictures.get((slot, channel)) for channel in channels] for slot in slots.frames]
    captions = tuple(f"{asked.source.satellite.axis.time(slot):%d %b %H:%M} UTC" for slot in slots.frames)
    checked = replace(_checked(asked, listing, found), note=_unfinished(asked, listing, slots))
    return Chosen(pictures, _query(asked, slots.start), captions, checked)


def _latest(asked: Folder, reader: FreshReader, listing: Listing) -> tuple[FreshFrames, _Slots]:
    """The latest pictures are read first; where they make no query, those before them too."""
    first, last = listing.slots[0], listing.slots[-1]
    begin = last - (NEIGHBOURS if asked.unit == "frame" else _window(asked))
    while True:
        there = range(max(0, begin), last + 1)
        found = reader.read(there)
        slots = _chosen(asked, found, there, there)
        if slots is not None:
            return found, slots
        if begin <= first:
            raise _nothing(asked, listing, found, range(first, last + 1))
        begin -= _window(asked)


def _beginning(asked: Folder, reader: FreshReader, listing: Listing, at: datetime) -> tuple[FreshFrames, _Slots]:
    axis = asked.source.satellite.axis
    slot_epoch(asked.source, at)  # refuses a time that is no slot
    start = axis.slot(at)
    stop = min(start + (1 if asked.unit == "frame" else _window(asked) + 1), axis.count)
    found = reader.read(range(max(0, start - NEIGHBOURS), min(stop + NEIGHBOURS, axis.count)))
    slots = _chosen(asked, found, range(start, start + 1), range(start, stop))
    if slots is None:
        raise _nothing(asked, listing, found, range(start, stop))
    return found, slots


def _chosen(asked: Folder, found: FreshFrames, starts: range, there: range) -> _Slots | None:
    """The latest clip (frame) that begins at one of some slots, of pictures of others that begin with them."""
    good = found.good(there, asked.source.satellite.required)
    if asked.unit == "frame":
        slots = (starts.start + np.flatnonzero(good[: len(starts)])).tolist()
        return _Slots(slots[-1:], slots[-1]) if slots else None
    clips = clips_from(asked.source, asked.rule, there.start, good, len(starts))
    return _Slots(clips.frames[-1].tolist(), int(clips.starts[-1])) if len(clips.starts) else None


def _window(asked: Folder) -> int:
    """Slots from the first to the last of a clip; of a day, where a frame is asked for of a satellite without clips."""
    axis = asked.source.satellite.axis
    if asked.unit == "frame" and asked.source.satellite.clip is None:
        return axis.slots_per_day
    return asked.rule.slots_per_window(axis.cadence)


def _query(asked: Folder, start: int) -> Query:
    """What the clip (frame) will be called once it is in the archive."""
    source, when = asked.source.id, asked.source.satellite.axis.time(start)
    if asked.unit == "frame":
        return Query("frame", frame_id(source, when), when)
    return Query("clip", clip_id(source, when, asked.rule), when, when + timedelta(hours=asked.rule.hours))


def _unfinished(asked: Folder, listing: Listing, slots: _Slots) -> str:
    """That a clip's window runs past the last picture: so do the archive's last ones, and their frames stand closer."""
    last, window = listing.slots[-1], 0 if asked.unit == "frame" else _window(asked)
    if slots.start + window <= last:
        return ""
    axis, whole = asked.source.satellite.axis, last - window
    note = f"the clip's window ends {axis.time(slots.start + window):%H:%MZ}, after the last picture, so that its"
    note += f" {asked.rule.frames} frames stand closer than those of a whole one"
    return f"{note}; such a one may begin {axis.time(whole):%Y-%m-%dT%H:%MZ}" if whole >= listing.slots[0] else note


def _checked(asked: Folder, listing: Listing, found: FreshFrames | None = None) -> Checked:
    records = (*listing.refused, *(found.records if found is not None else ()))
    pictures = len(found.pictures) if found is not None else 0
    return Checked(str(asked.path), pictures, tuple(dict.fromkeys(records)), listing.others, listing.unparsed)


def _nothing(asked: Folder, listing: Listing, found: FreshFrames, slots: range) -> NotFoundError:
    axis, said = asked.source.satellite.axis, _checked(asked, listing, found).refusals()
    good = int(found.good(slots, asked.source.satellite.required).sum())
    times = f"{axis.time(slots.start):%Y-%m-%dT%H:%MZ}"
    times += f" to {axis.time(slots.stop - 1):%Y-%m-%dT%H:%MZ}" if len(slots) > 1 else ""
    if asked.unit == "frame":
        return NotFoundError(
            f"{asked.path}: no frame of {asked.source.id} at {times} is complete; one needs {asked.required}{said}"
        )
    return NotFoundError(
        f"{asked.path}: no clip of {asked.source.id} in {times}: {good} of the {asked.rule.frames} slots within"
        f" {asked.rule.hours} h that a clip needs are complete ({asked.required}); give more pictures, or ask for a"
        f" single frame by --unit frame{said}"
    )
