"""A satellite as data: the typed form of one TOML file. It knows no files and no stores."""

from __future__ import annotations

import math
import re
import string
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from wxpipe.config import Grown, Strict
from wxpipe.satellites.geography import Geography
from wxpipe.satellites.slots import SlotAxis

Band = Literal["ir", "ir2", "swir", "wv", "vis", "other"]
"""The names that all satellites share; a channel without a counterpart is ``other``."""

Mode = Annotated[
    str,
    Field(
        pattern=r"^((8|16)-bit (grey|RGB|grey with alpha|RGBA|PGM)|(1|2|4|8)-bit palette|(1|2|4)-bit grey|GIF)"
        r"( in gzip)?$"
    ),
]
"""How a file may hold its pixels: bits and kind of a PNG, ``GIF``, or bits of a PGM; and whether gzip is around it."""


class Channel(Grown):
    """One channel, by the satellite's own name."""

    gained: ClassVar[frozenset[str]] = frozenset({"reflective"})

    band: Band
    required: bool = Field(default=True, description="Whether a frame needs it to be good.")
    label: str = Field(default="", description="How the title bar spells it; empty: not in a title bar.")
    reflective: bool = Field(default=False, description="Shows sunlight that is reflected: black at night.")


class Schedule(Strict):
    """From a day on, the nominal observation times: every so many minutes after midnight UTC."""

    since: date
    every_minutes: int = Field(gt=0, le=1440)
    offset_minutes: int = Field(default=0, ge=0)

    def expects(self, minute_of_day: int) -> bool:
        return (minute_of_day - self.offset_minutes) % self.every_minutes == 0


class TitleBar(Strict):
    """Text that the ground segment writes across the top rows of every picture."""

    font: str
    text: str = Field(description="Expected beginning; fields {channel} (its label) and {time:%Y...}.")


class Area(Grown):
    """The part of the Earth that a picture shows, and the shape of its pictures."""

    gained: ClassVar[frozenset[str]] = frozenset({"learn_overlay", "modes", "full_disk", "middle"})

    name: str
    rows: int = Field(gt=0, description="Height of the largest picture, in pixels.")
    other_rows: tuple[int, ...] = Field(default=(), description="Smaller heights that occur too.")
    columns: int = Field(gt=0)
    title_rows: int = Field(default=0, ge=0, description="Rows at the top that show text, not the Earth.")
    crop_rows: int = Field(default=0, ge=0, description="Rows cut off the top before reducing.")
    reduce: tuple[int, int] = Field(description="Block (rows, columns) that becomes one reduced pixel.")
    overlay_colour: tuple[int, int, int] | None = Field(
        default=None, description="Colour of the lines drawn on the picture; none: nothing is drawn."
    )
    learn_overlay: bool = Field(
        default=False,
        description="Lines and logos of any colour are drawn, and found from pictures: what hides the Earth is "
        "filled, lines of overlay_colour that let it shine through are taken off. The file's colours are not kept.",
    )
    modes: tuple[Mode, ...] = Field(default=("8-bit RGB",), min_length=1, description="What its files may hold.")
    full_disk: bool = Field(default=False, description="The whole Earth, centred: space is seen in the corners.")
    title_bar: TitleBar | None = None
    middle: tuple[float, float] | None = Field(
        default=None,
        description="Latitude and longitude of its middle, degrees: a reflective channel that is black while the sun "
        "stands there is at fault. None: a black one is taken for a picture of the night.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        usable = self.rows - self.crop_rows
        if min(self.reduce) < 1:
            raise ValueError(f"area {self.name!r}: reduce = {self.reduce} must be at least 1 x 1")
        if usable % self.reduce[0] or self.columns % self.reduce[1]:
            raise ValueError(
                f"area {self.name!r}: {usable} x {self.columns} pixels (rows - crop_rows x columns) are not a "
                f"multiple of the reduction block {self.reduce}; change crop_rows or reduce"
            )
        if self.title_rows >= self.rows or self.crop_rows >= self.rows:
            raise ValueError(f"area {self.name!r}: title_rows and crop_rows must be below rows = {self.rows}")
        if any(not 0 < rows < self.rows for rows in self.other_rows):
            raise ValueError(f"area {self.name!r}: other_rows = {self.other_rows} must be below rows = {self.rows}")
        if self.middle is not None and not (abs(self.middle[0]) <= 90 and abs(self.middle[1]) <= 180):
            raise ValueError(f"area {self.name!r}: middle = {self.middle} is no latitude and longitude in degrees")
        return self

    @property
    def reduced_shape(self) -> tuple[int, int]:
        """(y_reduced, x_reduced) of the reduced picture."""
        return (self.rows - self.crop_rows) // self.reduce[0], self.columns // self.reduce[1]

    @property
    def heights(self) -> tuple[int, ...]:
        """All legal heights of a picture, the largest first."""
        return (self.rows, *self.other_rows)


class NameGrammar(Grown):
    """How file names spell channel, area and time.

    ``pattern`` is a regular expression for the end of the path, from a folder boundary on, with the named
    groups ``channel``, ``area`` and ``time``; a group that is left out is fixed by the field of its name.
    A time that is spelled in several places, folders too, or not at all, is put together by ``time_from``.
    """

    gained: ClassVar[frozenset[str]] = frozenset({"time_from", "path"})

    pattern: str
    time: str = Field(default="%Y%m%d%H%M", description="strptime format of the time group, or of time_from.")
    time_from: str = Field(
        default="{time}", description="The time out of groups of the pattern and fixed text, e.g. {day}{hour}00."
    )
    area: str = Field(default="", description="Area, where the pattern has no group for it.")
    channel: str = Field(default="", description="Channel, where the pattern has no group for it.")
    channels: dict[str, str] = Field(default_factory=dict, description="Spellings of channels: name in file = channel.")
    areas: dict[str, str] = Field(default_factory=dict, description="Spellings of areas: name in file = area.")
    path: str = Field(
        default="",
        description="How to spell a path that it reads, for synthetic archives: {channel}, {area}, {time:%Y...}.",
    )
    unverified: bool = Field(default=False, description="Not yet checked against a real file.")

    @field_validator("pattern")
    @classmethod
    def _readable(cls, pattern: str) -> str:
        try:
            re.compile(f"(?:{pattern})")
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
        return pattern

    @model_validator(mode="after")
    def _timed(self) -> Self:
        groups = re.compile(f"(?:{self.pattern})").groupindex
        try:
            wanted = [field for _, field, _, _ in string.Formatter().parse(self.time_from) if field is not None]
        except ValueError as error:
            raise ValueError(f"time_from = {self.time_from!r}: {error}") from error
        for name in wanted:
            if name not in groups:
                raise ValueError(f"{self.pattern!r} has no group (?P<{name}>...), and a picture needs a time")
        return self


class ClipWindow(Strict):
    """Length of a clip; a satellite without one is frames only."""

    frames: int = Field(default=20, gt=1)
    hours: int = Field(default=6, gt=0)


class Satellite(Grown):
    """One satellite: everything that ingest and search need to know of it, and no code."""

    gained: ClassVar[frozenset[str]] = frozenset({"unverified", "geography"})

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_]*$")
    title: str
    imagery: str = Field(default="", description="Whom to name as the source of the imagery.")
    first_day: date
    last_day: date = Field(description="Last planned day: the slot axis ends with it.")
    cadence_minutes: int = Field(gt=0, le=1440)
    schedule: tuple[Schedule, ...] = ()
    channels: dict[str, Channel]
    areas: dict[str, Area]
    names: tuple[NameGrammar, ...]
    clip: ClipWindow | None = Field(default=None, description="Absent: frames only, too slow for clips.")
    unverified: bool = Field(default=False, description="Not yet checked against real files; comments say what.")
    geography: dict[str, Geography] = Field(default={}, description="By area: where its pictures lie, its regions.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if 1440 % self.cadence_minutes:
            raise ValueError(f"cadence_minutes = {self.cadence_minutes} does not divide a day of 1440 minutes")
        if self.last_day < self.first_day:
            raise ValueError(f"last_day {self.last_day} is before first_day {self.first_day}")
        for entry in self.schedule:
            if entry.every_minutes % self.cadence_minutes:
                raise ValueError(
                    f"schedule since {entry.since}: every_minutes = {entry.every_minutes} is not a multiple of "
                    f"cadence_minutes = {self.cadence_minutes}"
                )
            if entry.offset_minutes % self.cadence_minutes:
                raise ValueError(
                    f"schedule since {entry.since}: offset_minutes = {entry.offset_minutes} is not a multiple of "
                    f"cadence_minutes = {self.cadence_minutes}; no slot would ever be expected"
                )
        for area in self.areas:
            if not re.fullmatch(r"[A-Za-z0-9_]+", area):
                raise ValueError(f"area {area!r}: expected letters, digits and _; the name is a part of paths")
        if not self.geography.keys() <= self.areas.keys():
            raise ValueError(f"geography of {', '.join(self.geography.keys() - self.areas.keys())}: no such area")
        if not any(channel.required for channel in self.channels.values()):
            raise ValueError("at least one channel must be required, or no frame could ever be called good")
        return self

    @property
    def axis(self) -> SlotAxis:
        """The slot axis, from the first to the last planned day."""
        return _axis(self.first_day, self.last_day, self.cadence_minutes)

    @property
    def channel_names(self) -> tuple[str, ...]:
        return tuple(self.channels)

    @property
    def required(self) -> tuple[bool, ...]:
        return tuple(channel.required for channel in self.channels.values())

    def expects(self, when: datetime) -> bool:
        """Whether the dated schedule expects an observation at this nominal time."""
        current = [entry for entry in self.schedule if entry.since <= when.date()]
        if not current:
            return not self.schedule
        return max(current, key=lambda entry: entry.since).expects(when.hour * 60 + when.minute)

    @property
    def window_slots(self) -> int:
        """Nominal slots of a clip's window, both ends included; 0 for a satellite that is frames only."""
        return 0 if self.clip is None else math.floor(self.clip.hours * 60 / self.cadence_minutes) + 1


@cache
def _axis(first_day: date, last_day: date, cadence_minutes: int) -> SlotAxis:
    """Cached here and not on the satellite, whose copies with another last day would inherit it."""
    first = datetime.combine(first_day, time(), UTC)
    days = (last_day - first_day).days + 1
    return SlotAxis(first, timedelta(minutes=cadence_minutes), days * (1440 // cadence_minutes))
