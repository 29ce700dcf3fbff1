"""What searches of past times came to: the sample that the quality of an answer is judged by.

For clips spread over the archive: how similar their best analog was, by the ground truth, and how similar the weather
after it was to what really came. A sample is one numbered Parquet object of a model, source and unit, under
``quality/``; it is written by put-if-absent and never changed, and the newest counts.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from wxpipe.draws import derived_seed
from wxpipe.errors import DamagedError, UsageError
from wxpipe.satellites.catalog import Source
from wxpipe.store.root import Root
from wxpipe.vectors import ground_truth
from wxpipe.vectors.answers import SearchRequest
from wxpipe.vectors.bands import Bands, chosen_bands
from wxpipe.vectors.happened import OWN_HOURS, same_season_and_hour
from wxpipe.vectors.memory import MemorySearcher, load_searcher
from wxpipe.vectors.records import Part, require_current
from wxpipe.vectors.tables import SPECS, Unit, utc

FOLDER = "quality"
LEADS = (3, 6, 12, 24)
"""Hours after the end of the query, and of its analog, at which what came is compared."""
SAMPLES = 2_000
BLOCK = 16
"""Searches whose histograms are read at once: 640 slots of clips."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SCHEMA = pa.schema(
    [
        ("start", pa.int64()), ("analog", pa.int64()), ("similarity", pa.float64()),
        ("after", pa.list_(pa.float64(), len(LEADS))), ("by_chance", pa.list_(pa.float64(), len(LEADS))),
    ]
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sample:
    """Searches of past times, by time; what is not known is NaN.

    Attributes:
        starts: epoch seconds at which the queries begin, int64 (n,).
        analogs: those at which the best analog of each begins.
        similarity: of query and best analog, 0..1, (n,).
        after: of the frames that came `LEADS` hours after the two, (n, 4).
        by_chance: the same for a clip of the same season and hour that was drawn, (n, 4).
        release: that was searched.
    """

    starts: Ints
    analogs: Ints
    similarity: Floats
    after: Floats
    by_chance: Floats
    release: int = 0
    number: int = 0

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, places: npt.NDArray[Any]) -> Sample:
        return Sample(
            self.starts[places], self.analogs[places], self.similarity[places], self.after[places],
            self.by_chance[places], self.release, self.number,
        )  # fmt: skip


def measure(
    root: Root,
    name: str,
    unit: Unit = "clip",
    samples: int = SAMPLES,
    seed: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Sample:
    """Asks the current release for the best analog of many past times, and keeps what it came to.

    Args:
        name: a source, or a satellite of one area.
        samples: queries, spread evenly over the rows of the release; at most as many as there are rows.
        seed: of where the first lies, and of the draws by chance.
        progress: is told how many are done, and of how many.

    Raises:
        NotFoundError: there is no release, or it has no such source.
        UsageError: nothing to ask for.
    """
    source, release = root.source(name), require_current(root)
    part = release.part(source.id)
    searcher = load_searcher(root, part, source, SPECS[unit])
    rows = _spread(len(searcher.vectors), samples, seed)
    if not len(rows):
        raise UsageError(f"release {release.number} has no {unit}s of {source.id}; nothing can be asked for")
    made: list[Sample] = []
    for begin in range(0, len(rows), BLOCK):
        made.append(_block(root, part, searcher, rows[begin : begin + BLOCK], seed))
        if progress is not None:
            progress(min(begin + BLOCK, len(rows)), len(rows))
    return _keep(root, part, source, unit, _joined(made, release.number))


def read_sample(root: Root, part: Part, source: str, unit: Unit) -> Sample | None:
    """The newest sample of a part of a release; None where nothing was measured.

    Raises:
        DamagedError: it cannot be read.
    """
    folder = _folder(part, source, unit)
    numbers = sorted(name for name in root.objects.names(folder) if name.endswith(".parquet"))
    if not numbers:
        return None
    key = f"{folder}/{numbers[-1]}"
    try:
        table = pq.read_table(io.BytesIO(root.objects.get(key)))
        return Sample(
            table["start"].to_numpy(), table["analog"].to_numpy(), table["similarity"].to_numpy(),
            _matrix(table["after"]), _matrix(table["by_chance"]),
            int((table.schema.metadata or {})[b"release"]), int(numbers[-1].partition(".")[0]),
        )  # fmt: skip
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise DamagedError(
            f"{key}: damaged ({error}); delete it, and `wxpipe quality measure` makes another"
        ) from error


def _keep(root: Root, part: Part, source: Source, unit: Unit, sample: Sample) -> Sample:
    arrays = [pa.array(column) for column in (sample.starts, sample.analogs, sample.similarity)]
    arrays += [
        pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(matrix).ravel()), len(LEADS))
        for matrix in (sample.after, sample.by_chance)
    ]
    table = pa.table(arrays, schema=SCHEMA).replace_schema_metadata({"release": str(sample.release)})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    folder = _folder(part, source.id, unit)
    number = max((int(name.partition(".")[0]) for name in root.objects.names(folder)), default=0) + 1
    while not root.objects.put_if_absent(f"{folder}/{number:08d}.parquet", sink.getvalue()):
        number += 1
    return replace(sample, number=number)


def _folder(part: Part, source: str, unit: Unit) -> str:
    return f"{FOLDER}/{part.model}/{source}/{unit}"


def _matrix(column: pa.ChunkedArray) -> Floats:
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float64).reshape(-1, len(LEADS))


def _spread(rows: int, samples: int, seed: int) -> Ints:
    """Rows at even distances, the first drawn: clips of one day are the same weather."""
    count = min(rows, samples)
    if not count:
        return np.zeros(0, np.int64)
    first = derived_seed(seed, 0) / 2**64
    found: Ints = np.floor((np.arange(count) + first) * (rows / count)).astype(np.int64)
    return found


def _block(root: Root, part: Part, searcher: MemorySearcher, rows: Ints, seed: int) -> Sample:
    there, source = searcher.vectors, searcher.source
    bands = [_bands(root, part, searcher, int(row)) for row in rows]
    best = np.array([_best(searcher, int(row), chosen) for row, chosen in zip(rows, bands, strict=True)], np.int64)
    drawn = np.array([_drawn(there.starts, int(row), derived_seed(seed, 1, int(row))) for row in rows], np.int64)
    ends = there.ends[rows]
    return Sample(
        there.starts[rows],
        _at(there.starts, best),
        _alike(root, searcher, rows, best, bands),
        _after(root, source, ends, _at(there.ends, best), bands),
        _after(root, source, ends, _at(there.ends, drawn), bands),
    )


def _joined(parts: Sequence[Sample], release: int) -> Sample:
    return Sample(
        np.concatenate([part.starts for part in parts]), np.concatenate([part.analogs for part in parts]),
        np.concatenate([part.similarity for part in parts]), np.concatenate([part.after for part in parts]),
        np.concatenate([part.by_chance for part in parts]), release,
    )  # fmt: skip


def _bands(root: Root, part: Part, searcher: MemorySearcher, row: int) -> Bands:
    """What a search for a row compares where nothing is asked for."""
    there = searcher.vectors
    return chosen_bands(root, searcher.source, part.model, "auto", utc(there.starts[row]), utc(there.ends[row]))


def _best(searcher: MemorySearcher, row: int, bands: Bands) -> int:
    """The row of the nearest that begins more than a day away; -1 where there is none."""
    there = searcher.vectors
    request = SearchRequest(searcher.source.id, at=utc(there.starts[row]), unit=searcher.spec.unit, k=1, exact=True)
    query, vector = searcher.query(request)
    found = searcher.left(request, query, bands).nearest(vector, 1)
    return int(np.searchsorted(there.starts, found.starts[0])) if len(found) else -1


def _drawn(starts: Ints, row: int, draw: int) -> int:
    """A row of the same season and hour, more than a day away; -1 where there is none."""
    fitting = same_season_and_hour(starts, int(starts[row])) & (np.abs(starts - starts[row]) > OWN_HOURS * 3600)
    rows = np.flatnonzero(fitting)
    return int(rows[draw % len(rows)]) if len(rows) else -1


def _at(values: Ints, rows: Ints) -> Ints:
    """Values of rows; -1 where there is no row."""
    found: Ints = np.where(rows >= 0, values[np.maximum(rows, 0)], -1)
    return found


def _alike(root: Root, searcher: MemorySearcher, rows: Ints, others: Ints, bands: Sequence[Bands]) -> Floats:
    """Ground-truth similarity of rows, pair by pair; NaN where it is unknown."""
    there, source = searcher.vectors, searcher.source
    known = sorted({int(row) for row in (*rows, *others) if row >= 0})
    names = dict(zip(known, there.ids.take(known).to_pylist(), strict=True))
    epochs = {name: int(there.starts[row]) for row, name in names.items()}
    slots = ground_truth.slots_of(root, source, searcher.spec.unit, epochs)
    by_row = {row: slots.get(name) for row, name in names.items()}
    pairs = [(by_row.get(int(a)), by_row.get(int(b))) for a, b in zip(rows, others, strict=True)]
    return _similar(root, source, pairs, bands)


def _after(root: Root, source: Source, ends: Ints, analog_ends: Ints, bands: Sequence[Bands]) -> Floats:
    """How similar the frames are that came `LEADS` hours after two ends, (n, 4); NaN where one of them is not there."""
    axis = source.satellite.axis
    first, cadence = int(axis.first.timestamp()), int(axis.cadence.total_seconds())

    def slot(end: int, lead: int) -> Ints | None:
        found = (end + lead * 3600 - first) // cadence
        return np.array([found], np.int64) if end >= 0 and 0 <= found < axis.count else None

    pairs = [(slot(int(a), h), slot(int(b), h)) for a, b in zip(ends, analog_ends, strict=True) for h in LEADS]
    return _similar(root, source, pairs, [chosen for chosen in bands for _ in LEADS]).reshape(-1, len(LEADS))


def _similar(
    root: Root, source: Source, pairs: Sequence[tuple[Ints | None, Ints | None]], bands: Sequence[Bands]
) -> Floats:
    """Similarity of pairs of slots, each by the channels that its search compares; NaN where it is unknown."""
    values = np.full(len(pairs), np.nan)
    for channels in sorted({chosen.channels for chosen in bands}):
        places = [n for n, chosen in enumerate(bands) if chosen.channels == channels]
        there = [(n, a, b) for n in places for a, b in [pairs[n]] if a is not None and b is not None]
        if there:
            members = np.stack([slots for _, a, b in there for slots in (a, b)])
            wanted = [(2 * n, 2 * n + 1) for n in range(len(there))]
            compared = Bands(channels=channels).places(source)
            found = ground_truth.pair_similarities(root, source, members, wanted, compared)
            for (n, _, _), value in zip(there, found, strict=True):
                values[n] = np.nan if value is None else value
    return values
