"""What is true of a synthetic archive: its regimes, systems, gaps and planted faults, as one JSON file beside it.

`synthetic` writes it; whoever judges a detector, a tracker or an encoder reads it. It knows no pixels.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from pydantic import AwareDatetime, Field, ValidationError

from wxpipe.config import Strict
from wxpipe.errors import NotFoundError, UsageError

TRUTH_FILE = "truth.json"
FORMAT: Final = 1

SystemKind = Literal["vortex", "front", "convection"]


class Visit(Strict):
    """One visit of a regime: a stretch of weather whose large pattern was there before, or will be again.

    Attributes:
        regime: which of the sky's few.
        number: of the visit, from the sky's first one on.
        begin, end: UTC; the end is the next visit's begin.
        displacement: how far (down, right) the pattern lies from where the regime is at home, in widths of the sky.
    """

    regime: int = Field(ge=0)
    number: int
    begin: AwareDatetime
    end: AwareDatetime
    displacement: tuple[float, float]


class TrackPoint(Strict):
    """Where a system is at a time.

    Attributes:
        latitude, longitude: of its centre, degrees.
        radius: of its cloud, degrees of latitude.
        strength: 0 (not there) to 1 (as strong as they come).
        places: its centre in the pictures of each source that sees it, (y, x) as shares of height and width.
    """

    time: AwareDatetime
    latitude: float
    longitude: float
    radius: float
    strength: float
    places: dict[str, tuple[float, float]] = Field(default_factory=dict)


class System(Strict):
    """A vortex, front or convective cluster, from its birth to its death.

    Attributes:
        spin: +1 turns anticlockwise, -1 clockwise, 0 does not turn.
    """

    id: str
    kind: SystemKind
    spin: int
    track: tuple[TrackPoint, ...] = Field(min_length=1)


class Gap(Strict):
    """Slots that never came.

    Attributes:
        channels: those that are missing; empty: all.
    """

    source: str
    reason: str
    first: AwareDatetime
    last: AwareDatetime
    channels: tuple[str, ...] = ()


class Planted(Strict):
    """A fault that was planted, and what an ingest must say of it.

    Attributes:
        kind: name of the fault.
        path: of the file it is about, relative to the pictures' folder.
        channel, time: of the picture it is about; None where it is about none.
        expected: status of that picture afterwards, or of the file where it is no picture's: ``duplicate``,
            ``unparsed``, ``unconfigured``; ``good`` where the fault must do no harm.
        reason: that must be given, exactly; empty where none is.
    """

    source: str
    kind: str
    path: str
    channel: str | None = None
    time: AwareDatetime | None = None
    expected: Literal["good", "suspect", "quarantined", "missing", "duplicate", "unparsed", "unconfigured"]
    reason: str = ""


class Truth(Strict):
    """All that is known of a synthetic archive.

    Attributes:
        first, last: nominal times of its first and last slot, UTC.
        visits: in order of time, without holes.
    """

    format: Literal[1] = FORMAT
    seed: int
    sources: tuple[str, ...]
    first: AwareDatetime
    last: AwareDatetime
    visits: tuple[Visit, ...] = ()
    systems: tuple[System, ...] = ()
    gaps: tuple[Gap, ...] = ()
    faults: tuple[Planted, ...] = ()

    def regime_at(self, when: datetime) -> int | None:
        """The regime of a time, or None outside of what the file covers."""
        n = bisect_right(self._begins, when) - 1
        return self.visits[n].regime if n >= 0 and when < self.visits[n].end else None

    @cached_property
    def _begins(self) -> list[datetime]:
        return [visit.begin for visit in self.visits]

    def save(self, file: Path) -> None:
        """Writes the file, whole or not at all."""
        unfinished = file.with_name(f".{file.name}.unfinished")
        unfinished.write_text(self.model_dump_json(indent=1))
        unfinished.replace(file)


def read_truth(file: Path) -> Truth:
    """Reads a truth file, or the one in a folder.

    Raises:
        NotFoundError: there is none.
        UsageError: it is not a truth file of this format.
    """
    file = file / TRUTH_FILE if file.is_dir() else file
    try:
        return Truth.model_validate_json(file.read_bytes())
    except FileNotFoundError as error:
        raise NotFoundError(f"{file}: there is no truth file; `wxpipe synth` writes one beside the pictures") from error
    except ValidationError as error:
        raise UsageError(f"{file}: expected a truth file of format {FORMAT}, found: {error}") from error
