"""A small archive to spoil and mend, with a root beside it, and the faults that archives are known to have."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from typer.testing import CliRunner

from wxpipe.archive.inventory import RawFile, inventory_of
from wxpipe.archive.png import decode_png
from wxpipe.archive.synthetic import fault_victim
from wxpipe.archive.synthetic.archive import write_archive
from wxpipe.archive.synthetic.faults import FAULTS as KINDS
from wxpipe.archive.title import draw_title, load_font
from wxpipe.cli.app import app
from wxpipe.pipeline.digest import root_digest
from wxpipe.pipeline.events import Event, Result, listening
from wxpipe.pipeline.reconcile import reconcile
from wxpipe.satellites.catalog import Source, parse_satellite
from wxpipe.store.frames import Status, frame_store
from wxpipe.store.quarantine import Record
from wxpipe.store.root import Root

SLOTS = 12
"""Of the synthetic archive."""
QUARTER = timedelta(minutes=15)
STAGES = ("ingest", "histograms", "clips")
CELL = (4, 0)
"""Slot and channel of a trial's archive that are spoiled where a test spoils one."""

TITLED = """
name = "trial"
title = "Trial imager"
first_day = 2020-01-01
last_day = 2020-12-31
cadence_minutes = 15
[channels.ir01]
band = "ir"
label = "IR1"
[channels.wv]
band = "wv"
label = "WV"
[clip]
frames = 3
hours = 1
[areas.ea]
name = "Test area"
rows = 120
columns = 280
title_rows = 20
crop_rows = 20
reduce = [4, 4]
overlay_colour = [255, 255, 0]
[areas.ea.title_bar]
font = "kma-9x16"
text = "COMS {channel} {time:%Y-%m-%d %H:%M} UTC"
[[names]]
pattern = 'trial_(?P<channel>[a-z]+[0-9]*)_(?P<area>[a-z]+)_(?P<time>[0-9]{12})\\.png'
"""
TITLED_NAME = "{time:%Y%m/%d}/trial_{channel}_{area}_{time:%Y%m%d%H%M}.png"
COMS_NAME = "{time:%Y%m/%d}/coms_mi_le1b_{channel}_{area}040ps_{time:%Y%m%d%H%M}.png"


@dataclass
class Trial:
    """An archive, the root made of it, and what a user does with both.

    Attributes:
        pristine: the archive without a fault; a second folder, that is never changed.
        name: how a path is spelled.
    """

    source: Source
    name: str
    first: datetime
    slots: int
    pristine: Path
    archive: Path
    root: Path
    site: Path | None

    @classmethod
    def of(cls, model: Trial, folder: Path) -> Trial:
        """A copy of one's own, without a root yet."""
        shutil.copytree(model.pristine, folder / "archive")
        return cls(
            model.source, model.name, model.first, model.slots, model.pristine, folder / "archive", folder / "root",
            model.site,
        )  # fmt: skip

    # --- the archive -----------------------------------------------------------------------------------------

    def time(self, slot: int) -> datetime:
        return self.first + slot * QUARTER

    def key(self, slot: int, channel: int, *, minutes: int = 0, folder: str = "") -> str:
        """Path of a picture, relative to the archive; `folder` puts it in another one."""
        name = self.source.satellite.channel_names[channel]
        when = self.time(slot) + timedelta(minutes=minutes)
        path = self.name.format(time=when, channel=name, area=self.source.area_name)
        return f"{folder}/{Path(path).name}" if folder else path

    def file(self, slot: int, channel: int) -> Path:
        return self.archive / self.key(slot, channel)

    def put(self, key: str, data: bytes) -> None:
        (self.archive / key).parent.mkdir(parents=True, exist_ok=True)
        (self.archive / key).write_bytes(data)

    def pixels(self, slot: int, channel: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Of the sound picture."""
        data = (self.pristine / self.key(slot, channel)).read_bytes()
        return decode_png(data, self.key(slot, channel))

    def title(self, slot: int, channel: int) -> str:
        bar, satellite = self.source.area.title_bar, self.source.satellite
        assert bar is not None
        return bar.text.format(channel=satellite.channels[satellite.channel_names[channel]].label, time=self.time(slot))

    def victim(self, slot: int, channel: int) -> fault_victim.Victim:
        """The picture of a slot and channel, for a fault to be planted at."""
        names = self.source.satellite.channel_names
        paths = {(names[c], self.time(s)): self.key(s, c) for s in range(self.slots) for c in range(len(names))}
        return fault_victim.Victim(self.archive, self.source, paths, names[channel], self.time(slot), self.pristine)

    def redraw(self, rgb: np.ndarray[Any, np.dtype[np.uint8]], slot: int, channel: int) -> None:
        """Writes the title of a slot and channel over that of a picture."""
        bar, rows = self.source.area.title_bar, self.source.area.title_rows
        assert bar is not None
        grey = np.zeros((rows, rgb.shape[1]), np.uint8)
        draw_title(grey, self.title(slot, channel), load_font(bar.font))
        rgb[:rows] = 0
        rgb[:rows, :, :2] = grey[:, :, np.newaxis]

    def repair(self) -> None:
        """Makes the archive what it was before any fault, and touches nothing that was sound."""
        good = {path.relative_to(self.pristine) for path in self.pristine.rglob("*") if path.is_file()}
        there = {path.relative_to(self.archive) for path in self.archive.rglob("*") if not path.is_dir()}
        for extra in there - good:
            (self.archive / extra).unlink()
        for key in good:
            target = self.archive / key
            if key not in there or target.read_bytes() != (self.pristine / key).read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.pristine / key, target)

    # --- the command -----------------------------------------------------------------------------------------

    def backfill(self, *more: str, stages: tuple[str, ...] = STAGES) -> tuple[int, set[str]]:
        """Runs `wxpipe backfill --direct` in this process: its exit code, and the partitions that ran."""
        command = ["backfill", "--direct", "--archive", str(self.archive), "--root", str(self.root), *more]
        command += ["--satellites", str(self.site)] if self.site else []
        command += [word for stage in stages for word in ("--stage", stage)]
        ran: set[str] = set()

        def hear(event: Event) -> None:
            if isinstance(event, Result):
                assert event.state == "done", event
                ran.add(f"{event.stage} {event.partition.key}")

        with listening(hear):
            result = CliRunner().invoke(app, command, catch_exceptions=False)
        return result.exit_code, ran

    def opened(self) -> Root:
        return Root(str(self.root))

    # --- what came of it -------------------------------------------------------------------------------------

    def records(self) -> dict[str, Record]:
        """What the quarantine holds, by path."""
        return {record.path: record for *_, record in self.opened().quarantine.all()}

    def statuses(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """(slot, channel) of the archive's slots."""
        axis = self.source.satellite.axis
        start = axis.slot(self.first)
        return frame_store(self.opened(), self.source).slots("status", start, start + self.slots)

    def all_good_but(self, **cells: list[tuple[int, int]]) -> bool:
        """Whether every picture is good, but the named cells, that have the named status."""
        expected = np.full((self.slots, len(self.source.satellite.channels)), Status.GOOD, np.uint8)
        for status, places in cells.items():
            for place in places:
                expected[place] = Status[status.upper()]
        return np.array_equal(self.statuses(), expected)

    def content(self) -> dict[str, str]:
        """Digests of frames, CDFs and clips: what was made of the archive, whatever way it came about."""
        parts = root_digest(self.opened())["parts"]
        return {name: digest for name, digest in parts.items() if name.startswith(("frames/", "histograms/", "clips/"))}

    @cached_property
    def sound(self) -> dict[str, str]:
        """`content` of a root that is only read."""
        return self.content()

    def picture(self, slot: int, channel: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """The stored picture."""
        at = self.source.satellite.axis.slot(self.time(slot))
        return frame_store(self.opened(), self.source).picture(at, self.source.satellite.channel_names[channel])

    def inventory(self) -> list[RawFile]:
        inventory = inventory_of(self.opened(), self.source.id)
        return [file for day in inventory.days() for file in inventory.day(day)]

    def assert_reconciled(self) -> None:
        """Every listed file is accounted for, recounted here from the inventory, the quarantine and the statuses."""
        root = self.opened()
        assert [str(difference) for difference in reconcile(root)] == []
        entries = [entry for entry in root.ledger.entries("ingest").values() if entry.state == "done"]
        total = {part: sum(entry.counts[f"files_{part}"] for entry in entries)
                 for part in ("stored", "quarantined", "duplicate", "vanished")}  # fmt: skip
        kinds = [record.kind for stage, *_, record in root.quarantine.all() if stage == "ingest"]
        rows = self.inventory()
        assert total["quarantined"] == kinds.count("quarantined")
        assert total["duplicate"] == kinds.count("duplicate")
        assert total["vanished"] == sum(row.vanished for row in rows)
        assert sum(total.values()) == len(rows)


def titled_trial(folder: Path) -> Trial:
    """Two titled pictures every quarter of an hour from 23:30 to 02:15: two slots before midnight, ten after."""
    satellite = parse_satellite(TITLED, "trial.toml")
    first = datetime(2020, 5, 1, 23, 30, tzinfo=UTC)
    made = write_archive(folder, satellite, "ea", first, SLOTS, 3, path_format=TITLED_NAME)
    pristine = folder / "pristine"
    made.pictures.rename(pristine)
    return Trial(
        Source(satellite, "ea"), TITLED_NAME, first, SLOTS, pristine, pristine, folder / "root", made.satellite
    )


# --- faults ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """What a trial asks of a kind of fault beyond what the registry of kinds says.

    Attributes:
        of: the kind's entry in the registry.
        expected, found: words that the record must hold.
        spreads: whether the stored frames change, and with them what is made of them.
    """

    of: fault_victim.Fault
    expected: str = ""
    found: str = ""
    spreads: bool = True

    def plant(self, trial: Trial, slot: int, channel: int) -> str:
        """Spoils an archive at a slot and channel; answers with the path that a record is expected of."""
        return self.of.plant(trial.victim(slot, channel))

    @property
    def reason(self) -> str:
        return self.of.reason

    @property
    def kind(self) -> str:
        """Of the record; ``quarantined`` ends a run with 3."""
        return self.of.expected

    @property
    def status(self) -> Status:
        """Of the picture that was spoiled."""
        if self.of.about == "picture":
            return Status[self.of.expected.upper()]
        return Status.MISSING if self.of.spoils else Status.GOOD


def png(pixels: np.ndarray[Any, np.dtype[np.uint8]], level: int = 1) -> bytes:
    return bytes(imagecodecs.png_encode(pixels, level=level))


def copy_previous(trial: Trial, slot: int, channel: int) -> str:
    return FAULTS["copy of the previous slot"].plant(trial, slot, channel)


def copy_previous_retitled(trial: Trial, slot: int, channel: int) -> str:
    return FAULTS["copy of the previous slot, retitled"].plant(trial, slot, channel)


_LIAR = ("the title bar to say", "COMS")
_TWIN = ("one file a slot", "not larger")

FAULTS: dict[str, Fault] = {
    kind: Fault(KINDS[kind], *words)  # type: ignore[arg-type]
    for kind, words in {
        "truncated": ("chunks up to IEND", "bytes of it"),
        "zero bytes": ("a PNG file", "0 bytes"),
        "HTML named .png": ("a PNG file", "<!DOCTYPE html>"),
        "one bit flipped": ("CRC",),
        "wrong size": ("pixels", " x "),
        "grey": ("8-bit RGB", "8-bit grey"),
        "palette": ("8-bit RGB", "palette"),
        "RGBA": ("8-bit RGB", "8-bit RGBA"),
        "constant": ("contrast", "one value everywhere"),
        "other colours": ("grey under the known overlay", "other pixels"),
        "renamed to another minute": _LIAR,
        "renamed to another channel": _LIAR,
        "renamed over another channel": _LIAR,
        "copy of the previous slot": _LIAR,
        "copy of the previous slot, retitled": ("a new picture", "copy of the previous slot"),
        "larger copy is damaged": ("", "", False),
        "smaller copy is damaged": ("chunks", "bytes", False),
        "same file twice": (*_TWIN, False),
        "larger sound copy": (*_TWIN, False),
        "unknown overlay": ("a registered overlay layer", "pixels"),
        "dead rows": ("a new line", "rows of one value"),
        "unreadable title": ("the title bar to say", "?"),
        "unknown channel": ("channel", "unknown channel 'ir09'", False),
        "impossible time": ("time", "impossible time '202013320800'", False),
        "time before the life span": ("time", "outside the life span", False),
    }.items()
}
"""The kinds that are tried one by one, and on real pictures; `test_month_of_faults` has them all."""


@contextlib.contextmanager
def unprivileged(*folders: Path) -> Iterator[None]:
    """Runs the block as a user who owns these folders and may not read what is closed to him."""
    if os.geteuid():
        yield
        return
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 65534, 65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
