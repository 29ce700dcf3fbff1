"""Makes a synthetic archive: pictures of one sky by one or several sources, their satellites' TOML, and the truth.

What one asks for twice has the same bytes twice, and days that are asked for later belong to the same weather, so an
archive can be made longer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from multiprocessing import get_context
from pathlib import Path

from wxpipe.archive.synthetic.gaps import gaps_of, lost
from wxpipe.archive.synthetic.source import SyntheticSource, satellite_toml
from wxpipe.archive.synthetic.spoil import WEEK, Spoiled, check_spoilable, spoil
from wxpipe.archive.synthetic.truth import extended_truth
from wxpipe.archive.truth import TRUTH_FILE, Gap
from wxpipe.errors import UsageError
from wxpipe.satellites.catalog import Source
from wxpipe.satellites.satellite import Satellite
from wxpipe.store.stage import ignore_progress

PICTURES = "pictures"


@dataclass(frozen=True)
class SyntheticArchive:
    """What was made of one source, and where.

    Attributes:
        source: id of the pictures' source, e.g. ``mini-t``.
        pictures: folder of raw files: what `backfill` is given as the archive.
        satellite: TOML of the satellite, for `backfill` beside it.
        written: files that were written.
        kept: files that were there with the same bytes, and were not touched.
        missing: slots left out, wholly or in part.
        unscheduled: slots for which the satellite's schedule expects nothing.
        faults: that were planted, and told in the truth file.
        left_out: kinds of faults of which fewer than were asked for found room, and how many did.
    """

    source: str
    pictures: Path
    satellite: Path
    written: int
    kept: int
    missing: int
    unscheduled: int
    faults: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """An archive to be made.

    Attributes:
        sources: that see one sky.
        first: day, UTC.
        days: how many.
        seed: of the weather.
        gaps: whether slots, hours and days are missing, as in real archives.
        faults: planted of every kind that a source can show; an archive that has any is not made longer.
        damaged_from: first day of a week of which every second file is cut off in its middle.
    """

    sources: tuple[Source, ...]
    first: date
    days: int
    seed: int
    gaps: bool = False
    faults: int = 0
    damaged_from: date | None = None

    @property
    def spoils(self) -> bool:
        return self.faults > 0 or self.damaged_from is not None


def pictures_of(order: Order) -> int:
    """How many pictures an order comes to."""
    return sum(len(piece.pictures) for piece in _pieces(order))


def make_archive(
    folder: Path, order: Order, *, workers: int = 1, progress: Callable[[int], None] = ignore_progress
) -> tuple[SyntheticArchive, ...]:
    """Makes an archive, or more of one, and the truth about all of it.

    Args:
        folder: for the pictures (``pictures/``), ``<satellite>.toml`` and ``truth.json``; made where it is missing.
        order: what to make.
        workers: processes.
        progress: is told the files made so far.

    Returns:
        What was made, by source.

    Raises:
        UsageError: a day outside of a satellite's, the folder holds an archive of another seed or one with faults,
            or faults are asked for of pictures that they cannot be planted into.
    """
    _check_spoils(order)
    truth = extended_truth(folder, order.sources, order.seed, order.first, order.days, order.gaps)
    pieces = _pieces(order)
    made: dict[str, list[tuple[int, int]]] = {source.id: [] for source in order.sources}
    count = 0
    for piece, (written, kept) in _written(folder, pieces, workers):
        made[piece.source.id].append((written, kept))
        count += written + kept
        progress(count)
    of = {source.id: [piece for piece in pieces if piece.source.id == source.id] for source in order.sources}
    spoiled = {source.id: _spoil(folder, order, source, of[source.id]) for source in order.sources}
    faults = tuple(told for one in spoiled.values() for told in one.faults)
    truth.model_copy(update={"faults": faults}).save(folder / TRUTH_FILE)
    results = []
    for source in order.sources:
        one = spoiled[source.id]
        result = _result(folder, source, of[source.id], made[source.id])
        results.append(replace(result, faults=len(one.faults), left_out=one.left_out))
    return tuple(results)


def _check_spoils(order: Order) -> None:
    """What is found out before a picture is made."""
    for source in order.sources if order.spoils else ():
        check_spoilable(source)
    first, begin = order.damaged_from, order.first
    if first is not None and not begin <= first <= begin + timedelta(days=order.days) - WEEK:
        end = begin + timedelta(days=order.days - 1)
        raise UsageError(f"the damaged week from {first} on: expected one within {begin} to {end}, the archive's days")


def _spoil(folder: Path, order: Order, source: Source, pieces: Iterable[_Piece]) -> Spoiled:
    """Planted last, when all pictures of the order lie there sound."""
    if not order.spoils:
        return Spoiled((), {})
    made = _source(source, order.seed, None)
    paths = {cell: made.path(*cell) for piece in pieces for cell in piece.pictures}
    return spoil(folder / PICTURES, source, paths, order.faults, order.damaged_from, order.seed)


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
    """Writes the pictures of some slots of one source, and its satellite's TOML, but no truth: for trials.

    A file that is there with the same bytes is not touched, so that a later scan finds nothing new.

    Args:
        folder: made where it is missing; see `make_archive`.
        satellite: whose files they are.
        area: one of its areas.
        first: nominal time of the first slot, UTC.
        slots: how many, on the satellite's cadence; those that its schedule leaves out are left out.
        seed: of the weather.
        missing: nominal times, of those slots, that never came; a file that lies there already stays.
        path_format: see `SyntheticSource`.
        progress: is told the files made so far.

    Raises:
        UsageError: a time that is no slot of the satellite or of the range, or as `SyntheticSource`.
    """
    if area not in satellite.areas:
        raise UsageError(f"{satellite.name} has no area {area!r}; it has {', '.join(satellite.areas)}")
    source = Source(satellite, area)
    times = _times(satellite, first, slots)
    absent = set(missing)
    strange = sorted(str(when) for when in absent - set(times))
    if strange:
        raise UsageError(f"missing {strange[0]} is none of the {slots} slots {times[0]} to {times[-1]}")
    expected = [when for when in times if satellite.expects(when)]
    present = [(channel, when) for when in expected if when not in absent for channel in satellite.channel_names]
    piece = _Piece(source, seed, tuple(present), len(absent & set(expected)), len(times) - len(expected), path_format)
    written = kept = 0
    for fresh in _write(folder, piece):
        written, kept = written + fresh, kept + (not fresh)
        progress(written + kept)
    return _result(folder, source, [piece], [(written, kept)])


@dataclass(frozen=True)
class _Piece:
    """Pictures that one process makes in one go."""

    source: Source
    seed: int
    pictures: tuple[tuple[str, datetime], ...]
    missing: int
    unscheduled: int
    path_format: str | None = None


def _pieces(order: Order) -> list[_Piece]:
    """Day by day, so that what is there of several sources is of the same days when it is stopped."""
    return [_piece_of(source, order, number) for number in range(order.days) for source in order.sources]


def _piece_of(source: Source, order: Order, number: int) -> _Piece:
    """A day of a source."""
    satellite, day = source.satellite, order.first + timedelta(days=number)
    times = _times(satellite, datetime.combine(day, time(), UTC), satellite.axis.slots_per_day)
    expected = [when for when in times if satellite.expects(when)]
    gaps: list[Gap] = gaps_of(source, order.seed, day) if order.gaps else []
    present = [(c, when) for when in expected for c in satellite.channel_names if not lost(gaps, c, when)]
    incomplete = {when for when in expected for c in satellite.channel_names if lost(gaps, c, when)}
    return _Piece(source, order.seed, tuple(present), len(incomplete), len(times) - len(expected))


def _written(folder: Path, pieces: Sequence[_Piece], workers: int) -> Iterator[tuple[_Piece, tuple[int, int]]]:
    if workers <= 1:
        for piece in pieces:
            yield piece, _write_piece(folder, piece)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(_write_piece, folder, piece): piece for piece in pieces}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _write_piece(folder: Path, piece: _Piece) -> tuple[int, int]:
    """Files written, and kept."""
    fresh = list(_write(folder, piece))
    return sum(fresh), len(fresh) - sum(fresh)


def _write(folder: Path, piece: _Piece) -> Iterator[bool]:
    """Makes a piece's files, and tells of each whether it is new. No file is made where a path would be wrong."""
    made = _source(piece.source, piece.seed, piece.path_format)
    pictures, unfinished = folder / PICTURES, folder / f".unfinished-{os.getpid()}"
    paths = [made.path(channel, when) for channel, when in piece.pictures]
    for path, (channel, when) in zip(paths, piece.pictures, strict=True):
        yield _put(pictures / path, made.file(channel, when), unfinished)


def _source(source: Source, seed: int, path_format: str | None) -> SyntheticSource:
    """The source's sky and ground, which take longer to make than a small picture."""
    key = source.satellite.model_dump_json(), source.area_name, seed, path_format
    return _SOURCES.get(key, lambda: SyntheticSource(source, seed, path_format))


class _Recent:
    """The few sources that a process makes pictures of."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[tuple[str, str, int, str | None], SyntheticSource] = {}

    def get(self, key: tuple[str, str, int, str | None], make: Callable[[], SyntheticSource]) -> SyntheticSource:
        if key not in self._known:
            while len(self._known) >= self._most:
                self._known.pop(next(iter(self._known)))
            self._known[key] = make()
        return self._known[key]


_SOURCES = _Recent(8)


def _result(folder: Path, source: Source, pieces: Iterable[_Piece], made: list[tuple[int, int]]) -> SyntheticArchive:
    toml = folder / f"{source.satellite.name}.toml"
    _put(toml, satellite_toml(source.satellite), folder / f".unfinished-{os.getpid()}")
    pieces = list(pieces)
    return SyntheticArchive(
        source=source.id,
        pictures=folder / PICTURES,
        satellite=toml,
        written=sum(written for written, _ in made),
        kept=sum(kept for _, kept in made),
        missing=sum(piece.missing for piece in pieces),
        unscheduled=sum(piece.unscheduled for piece in pieces),
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
