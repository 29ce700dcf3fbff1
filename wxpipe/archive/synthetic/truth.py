"""The truth about a synthetic archive, drawn up from the sky that it was made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from wxpipe.archive.synthetic.gaps import gaps_of
from wxpipe.archive.synthetic.ground import DEGREES, Ground, degrees_of
from wxpipe.archive.synthetic.regimes import Regimes
from wxpipe.archive.synthetic.sky import Sky, hours_of
from wxpipe.archive.synthetic.systems import System
from wxpipe.archive.truth import Gap, TrackPoint, Truth, Visit, read_truth
from wxpipe.archive.truth import System as TrueSystem
from wxpipe.errors import NotFoundError, UsageError
from wxpipe.satellites.catalog import Source

_DIGITS = 4


def extended_truth(folder: Path, sources: Sequence[Source], seed: int, first: date, days: int, gaps: bool) -> Truth:
    """The truth of an archive once some days were added to it.

    Args:
        folder: of the archive; may hold one, of which the truth file then tells.

    Raises:
        UsageError: the archive there is of another sky, or has faults.
    """
    begin = datetime.combine(first, time(), UTC)
    end = begin + timedelta(days=days) - timedelta(minutes=min(s.satellite.cadence_minutes for s in sources))
    lost = [gap for s in sources for n in range(days) for gap in gaps_of(s, seed, first + timedelta(days=n)) if gaps]
    try:
        before = read_truth(folder)
    except NotFoundError:
        return draw_up_truth(sources, seed, begin, end, lost)
    if before.seed != seed:
        raise UsageError(
            f"{folder}: expected an archive of seed {seed}, found one of seed {before.seed}; use another folder"
        )
    if before.faults:
        raise UsageError(
            f"{folder}: {len(before.faults)} faults are planted in the archive there; making it again or longer would "
            "mend some and leave others; use another folder"
        )
    truth = draw_up_truth(sources, seed, min(begin, before.first), max(end, before.last), _joined(before.gaps, lost))
    names = tuple(sorted({*before.sources, *truth.sources}))
    return truth.model_copy(update={"sources": names})


def draw_up_truth(sources: Sequence[Source], seed: int, first: datetime, last: datetime, gaps: Iterable[Gap]) -> Truth:
    """All that is true of a sky and of those who see it, between two times."""
    sky, grounds = Sky(seed), {source.id: Ground(source) for source in sources}
    begin, end = hours_of(first), hours_of(last)
    systems = sorted(sky.systems.between(begin, end), key=lambda system: (system.begin, system.id))
    return Truth(
        seed=seed,
        sources=tuple(sorted(grounds)),
        first=first,
        last=last,
        visits=tuple(_visits(sky.regimes, begin, end)),
        systems=tuple(true for system in systems if (true := _track(system, grounds, begin, end)) is not None),
        gaps=tuple(gaps),
    )


def _joined(before: Iterable[Gap], more: Iterable[Gap]) -> list[Gap]:
    every = {(gap.source, gap.first, gap.last, gap.reason, gap.channels): gap for gap in (*before, *more)}
    return [every[key] for key in sorted(every)]


def _visits(regimes: Regimes, begin: float, end: float) -> Iterator[Visit]:
    for number in range(regimes.visit(begin), regimes.visit(end) + 1):
        down, right = (float(share) for share in regimes.displacement[number])
        yield Visit(
            regime=int(regimes.regime[number]),
            number=number,
            begin=_time(regimes.begins[number]),
            end=_time(regimes.begins[number + 1]),
            displacement=(round(down, _DIGITS), round(right, _DIGITS)),
        )


def _track(system: System, grounds: dict[str, Ground], begin: float, end: float) -> TrueSystem | None:
    """A system's way, every whole hour; None where it lives between two hours or none of them is in the archive."""
    points = []
    for hour in range(math.ceil(max(system.begin, begin)), math.floor(min(system.end, end)) + 1):
        at = system.at(hour)
        if at is None:
            continue
        latitude, longitude = degrees_of(at.down, at.right)
        places = {name: ground.share(at.down, at.right) for name, ground in grounds.items()}
        points.append(
            TrackPoint(
                time=_time(hour),
                latitude=round(latitude, _DIGITS - 1),
                longitude=round(longitude, _DIGITS - 1),
                radius=round(at.radius * DEGREES, _DIGITS - 1),
                strength=round(at.strength, _DIGITS - 1),
                places={n: (round(p[0], _DIGITS), round(p[1], _DIGITS)) for n, p in places.items() if p is not None},
            )
        )
    return TrueSystem(id=system.id, kind=system.kind, spin=system.spin, track=tuple(points)) if points else None


def _time(hours: float) -> datetime:
    return datetime.fromtimestamp(round(hours * 60) * 60, UTC)
