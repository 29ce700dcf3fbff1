"""Holes and open work in words: what is missing, why, and which command mends it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import date

from wxpipe.archive.choice import GONE, UNREADABLE
from wxpipe.pipeline.coverage import Fate, Work
from wxpipe.pipeline.coverage_holes import Hole, Pause, Trouble

FATES: dict[Fate, tuple[str, str]] = {
    Fate.NOTHING: ("nothing expected", "not on the satellite's schedule, or before its first or after its last file"),
    Fate.GOOD: ("good", "every required picture is there"),
    Fate.MISSING: ("no file came", "a required picture was expected, and the archive has no file of it"),
    Fate.VANISHED: ("vanished", "its files were listed once, and were gone before they were read"),
    Fate.QUARANTINED: ("quarantined", "a required picture came and could not be used; the reason is in the table"),
    Fate.STALE: ("due again", "not good, and its files have changed since it was ingested"),
    Fate.FAILED: ("failed", "the ingest of its day failed; the error is in the table"),
    Fate.WAITING: ("not ingested yet", "its files are listed, and nobody has read them yet"),
}
"""Of each fate, a name and what it means."""

WORKS: dict[Work, tuple[str, str]] = {
    Work.NONE: ("waits for an earlier stage", ""),
    Work.DONE: ("done", ""),
    Work.MISSING: ("due: never done", ""),
    Work.STALE: ("due again: what it was made of has changed", ""),
    Work.FAILED: ("failed", ""),
}


ARCHIVE = "ARCHIVE"
"""Stands for the archive, where nobody has said where it lies."""


@dataclass(frozen=True)
class Place:
    """Where commands are to look: the root, and the archive where it is known."""

    root: str
    archive: str = ARCHIVE

    def command(self, verb: str, *options: str) -> str:
        """A command line that a shell takes as it stands."""
        return shlex.join(["wxpipe", verb, "--root", self.root, "--archive", self.archive, *options])


@dataclass(frozen=True)
class Remedy:
    """What to do, in words, and the command that does the rest."""

    words: str
    command: str


def missing_of(hole: Hole) -> str:
    """How much a hole lacks."""
    share = "all" if hole.slots == hole.of else f"{hole.slots:,} of"
    slots = f"{share} {hole.of:,} {_slots(hole.of)}"
    if hole.fate in (Fate.MISSING, Fate.VANISHED, Fate.QUARANTINED):
        return f"{slots}, {hole.pictures:,} {'picture' if hole.pictures == 1 else 'pictures'}"
    return slots


def reason_of_hole(hole: Hole) -> str:
    """Why it is a hole."""
    if hole.fate == Fate.QUARANTINED:
        return f"quarantined as {hole.reason}" + (f", {_names(hole.channels)} alone" if hole.channels else "")
    if hole.fate == Fate.FAILED:
        return "ingest failed"
    if hole.fate == Fate.WAITING:
        return f"not ingested yet: {hole.pictures:,} files wait"
    if hole.fate == Fate.MISSING:
        return f"no file came of {_names(hole.channels)}" if hole.channels else "no file came"
    return FATES[hole.fate][1]


def detail_of(hole: Hole) -> str:
    """Of a quarantined hole a picture, with what was expected of it and found; of a failed one the error."""
    if hole.fate in (Fate.FAILED, Fate.STALE):
        return hole.reason
    path, expected, found = hole.example
    return f"e.g. {path}: expected {expected or '–'}, found {found or '–'}" if path else ""


def remedy_of(hole: Hole, place: Place) -> Remedy:
    """What to do about a hole."""
    within = _range(hole.source, hole.first.date(), hole.last.date())
    if hole.fate == Fate.MISSING:
        return Remedy("Ask the archive's provider for them. Once they lie in the archive:", place.command("update"))
    if hole.fate == Fate.VANISHED:
        return Remedy("Put the files back, or ask the archive's provider. Then:", place.command("update"))
    if hole.fate == Fate.QUARANTINED:
        again = place.command("retry", "--reason", hole.reason, *within)
        if hole.reason in (GONE, UNREADABLE):
            return Remedy("Let the account that runs this read them. Then:", again)
        return Remedy(
            "Ask the archive's provider for sound files; `wxpipe update` takes each that changes. Where the files "
            "are sound and their reader was mended:",
            again,
        )
    if hole.fate == Fate.FAILED:
        return Remedy("Mend what the error names. Then:", place.command("retry", "--no-quarantined", *within))
    return Remedy("", place.command("backfill", *within))


def reason_of_trouble(trouble: Trouble) -> str:
    if trouble.work == Work.FAILED:
        return f"{trouble.stage} failed"
    return f"{trouble.stage} is due" + (" again" * (trouble.work == Work.STALE))


def remedy_of_trouble(trouble: Trouble, place: Place) -> Remedy:
    within = _range(trouble.source, trouble.first, trouble.last) if trouble.first and trouble.last else ()
    if trouble.work == Work.FAILED:
        return Remedy("Mend what the error names. Then:", place.command("retry", "--no-quarantined", *within))
    return Remedy("", place.command("backfill", *within))


def pause_words(pause: Pause) -> str:
    """A pause as a sentence."""
    times = [f"{at:%H:%M}" for at in pause.times]
    shown = ", ".join(times[:12]) + (f" and {len(times) - 12} more" if len(times) > 12 else "")
    return (
        f"{pause.source}, {pause.year}: at {shown} UTC hardly ever a picture came: {pause.slots:,} slots on "
        f"{pause.days:,} days. If the satellite does not observe then, its [[schedule]] should not expect it; if it "
        "does, the archive's provider may know."
    )


def _range(source: str, first: date, last: date) -> tuple[str, ...]:
    return ("--satellite", source, "--from", str(first), "--to", str(last))


def _names(channels: tuple[str, ...]) -> str:
    return ", ".join(channels)


def _slots(count: int) -> str:
    return "slot" if count == 1 else "slots"
