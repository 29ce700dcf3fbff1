"""Searches by cells: the exact scan against NumPy, and what a search of a region costs from Zarr, at ten years of COMS.

    python -m tests.benchmarks.cells [--months 24] [--clips 350000]

Cells are made up: cumulative counts of normal greys whose means and spreads wander like weather, all cells of 24 x 24
in four channels. Of the months on disk as many as are asked for are written, and times are told for `--clips`, to
which they are proportional; the scan in memory is over as many clips as that says.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.benchmarks.report import Row, Samples, load, machine, table
from wxpipe.satellites.catalog import Source, shipped_satellites
from wxpipe.similarity.cell_copy import Month, MonthArrays, open_store, write_month
from wxpipe.similarity.cell_kernels import CellQuery, scan_cells
from wxpipe.similarity.cell_months import MonthRecord, put_record
from wxpipe.store.ledger import Entry
from wxpipe.store.root import Root, init_root
from wxpipe.vectors import cells_read
from wxpipe.vectors.answers import Query, SearchRequest
from wxpipe.vectors.candidates import Candidates
from wxpipe.vectors.cells_asked import cells_asked
from wxpipe.vectors.cells_search import CellsLeft

BINS, CHANNELS, CELLS = 19, 4, 576
FRAMES, WINDOW = 20, 24
OFFSETS = np.round(np.arange(FRAMES) * WINDOW / (FRAMES - 1)).astype(np.int64)
MONTH_SLOTS = 31 * 96
SHARE = 1 / 1400
"""Of clips, that the limit lets through: the best 256 of 350,000."""
Counts = npt.NDArray[np.uint8]


def weather(cells: int, slots: int, seed: int) -> Counts:
    """(cell, channel, bin, slot): neighbours in time are alike, cells have a part in common, channels another."""
    from scipy.signal import lfilter
    from scipy.special import ndtr

    rng = np.random.default_rng(seed)

    def wander(count: int, hours: float) -> npt.NDArray[np.float32]:
        kept = np.exp(-1 / (4 * hours))
        steps = rng.standard_normal((count, slots)).astype(np.float32)
        return np.asarray(lfilter([np.sqrt(1 - kept * kept)], [1, -kept], steps, axis=1), np.float32)

    common, own = wander(1, 30), wander(cells, 12)
    out = np.empty((cells, CHANNELS, BINS, slots), np.uint8)
    for channel in range(CHANNELS):
        mean = 128 + 35 * common + 35 * own + 20 * wander(cells, 8)
        spread = 12 + 12 * np.abs(wander(cells, 10))
        for k in range(BINS):
            out[:, channel, k] = np.round(255 * ndtr(((k + 1) * 256 / (BINS + 1) - mean) / spread))
    return out


def query_of(cells: Counts, at: int, own: npt.NDArray[np.int64], pairs: Any) -> CellQuery:
    frames = np.ascontiguousarray(cells[own][:, :, :, at + OFFSETS].transpose(3, 0, 1, 2))
    return CellQuery(frames, pairs)


def by_numpy(cells: Counts, clips: npt.NDArray[np.int64], query: CellQuery) -> npt.NDArray[np.float64]:
    """Each frame of the query against every slot, then gathers: as well as NumPy does it without a loop over clips."""
    best = np.full(len(clips), np.inf)
    for of_query, of_candidate in query.pairs:
        there = cells[of_candidate].astype(np.int16)
        total = np.zeros(len(clips))
        for f, frame in enumerate(query.frames[:, of_query].astype(np.int16)):
            apart = np.abs(there - frame[..., None]).max(axis=2).sum(axis=(0, 1), dtype=np.int64)
            total += apart[clips[:, f]]
        best = np.minimum(best, total / (255 * FRAMES * CHANNELS * len(of_query)))
    return best


def shifted(size: int, shifts: int) -> tuple[int, Any]:
    """A square of cells and the cells around it, all in one row of numbers: (cells in all, pairs of each shift)."""
    side = max(1, round(size**0.5))
    around = side + 2 * shifts
    rows, columns = np.divmod(np.arange(side * side), side)
    reach = sorted(
        ((y, x) for y in range(-shifts, shifts + 1) for x in range(-shifts, shifts + 1)),
        key=lambda s: s[0] ** 2 + s[1] ** 2,
    )
    own = np.arange(side * side)
    return around * around, [(own, (rows + y + shifts) * around + columns + x + shifts) for y, x in reach]


def measure_memory(clips: int, cases: list[tuple[int, int]], repeats: int) -> list[Row]:
    """The nearest of all clips in memory, month by month, one thread; NumPy does one month, and the same of it."""
    return [_case(max(1, clips // MONTH_SLOTS), size, shifts, repeats) for size, shifts in cases]


def _case(months: int, size: int, shifts: int, repeats: int) -> Row:
    around, pairs = shifted(size, shifts)
    parts = [weather(around, MONTH_SLOTS + WINDOW, seed) for seed in range(min(months, 6))]
    query = query_of(weather(around, MONTH_SLOTS, 99), 1000, pairs[0][1], tuple(pairs))
    numbers, channels = np.arange(MONTH_SLOTS)[:, None] + OFFSETS, np.arange(CHANNELS)
    everything, _ = scan_cells(parts[0], channels, numbers, query, np.inf)
    limit = float(np.quantile(everything, SHARE))
    samples = Samples()

    def scan() -> Any:
        return [scan_cells(parts[n % len(parts)], channels, numbers, query, limit)[0] for n in range(months)]

    scan()
    for _ in range(repeats):
        found: Any = samples.time("scan", scan)
        expected: Any = samples.time("numpy", lambda: by_numpy(parts[0], numbers, query))
        if not np.allclose(found[0][expected <= limit], expected[expected <= limit]):
            raise AssertionError("other distances than NumPy's")
    what = f"{len(pairs[0][0])} cells, {len(pairs)} shifts, {months * MONTH_SLOTS:,} clips in memory"
    peer, against = samples.median("numpy") * months, "NumPy, one month times as many"
    return Row(what, samples.median("scan"), peer, against, "under 1 s without shifts")


@dataclass(eq=False)
class Scan(CellsLeft):
    """A search without release and histograms: all clips, and a query that is made up."""

    made: Any = None

    @cached_property
    def _rows(self) -> Candidates:
        return self.made[0]

    def _query(self, cells: npt.NDArray[np.int64]) -> CellQuery:
        own = self.asked.pairs((0, 0))[0]
        pairs = tuple(
            (np.searchsorted(own, a), np.searchsorted(cells, b)) for a, b in map(self.asked.pairs, self.asked.shifts)
        )
        return query_of(self.made[1], 1000, own, pairs)


def make_root(folder: Path, months: int) -> tuple[Root, Source, Candidates, Counts, float, int]:
    """Months from January 2011 on; seconds that one takes to be written, and its bytes."""
    root = init_root(str(folder))
    coms = shipped_satellites()["coms"]
    root.adopt({"coms": coms})
    source = root.source("coms-ea")
    store, starts = open_store(root, source), []
    distinct = [weather(CELLS, MONTH_SLOTS, seed) for seed in range(min(months, 2))]
    seconds, size = 0.0, 0
    for n in range(months):
        month = Month.of(source, f"{2011 + n // 12}-{n % 12 + 1:02}")
        slots = month.slots
        clips = np.zeros((slots, FRAMES), np.uint16)
        clips[:] = OFFSETS + 1
        arrays = MonthArrays(
            np.ascontiguousarray(distinct[n % len(distinct)][..., :slots]), np.ones((CHANNELS, slots), np.uint8), clips
        )
        place = f"cells/{source.id}/{store.spec.name}/{month.name}"
        before = time.process_time()
        size = write_month(root, f"{place}/made.zarr", month, store, arrays)
        seconds = time.process_time() - before
        days = {str(day): ("h", "c") for day in month.day_list}
        for day in days:
            for stage, output in (("histograms", "h"), ("clips", "c")):
                root.objects.note(f"ledger/{stage}/{source.id}/{day}.json", _entry(stage, f"{source.id}/{day}", output))
        put_record(
            root, MonthRecord(source.id, store.spec.name, month.name, 1, "made", days, size, slots * CHANNELS, slots)
        )
        starts.append(month.start + np.arange(slots - (WINDOW if n == months - 1 else 0)))
    axis = source.satellite.axis
    epochs = int(axis.first.timestamp()) + np.concatenate(starts) * 900
    rows = Candidates([str(n) for n in epochs.tolist()], epochs, epochs + 6 * 3600, np.zeros(len(epochs)))
    return root, source, rows, distinct[0], seconds, size


def _entry(stage: str, key: str, output: str) -> bytes:
    return json.dumps(asdict(Entry(stage, key, "done", "f", output=output))).encode()


def measure_disk(months: int, clips: int, repeats: int) -> list[str]:
    """Searches of regions from Zarr: what was read before is forgotten, and then is in memory."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        root, source, rows, query, seconds, size = make_root(Path(folder) / "root", months)
        lines.append(
            f"a month: {size / 1e6:.0f} MB, written in {seconds:.1f} s of a processor; {size * 12 / 1e9:.2f} GB a year"
        )
        factor = clips / len(rows)
        for words in ({"region": "yellow-sea"}, {"region": "east-sea"}, {"cells": "6.6-12.11"},
                      {"region": "yellow-sea", "shift": 1}, {"region": "yellow-sea", "shift": 2}):  # fmt: skip
            request = SearchRequest("coms-ea", datetime(2011, 7, 1, tzinfo=UTC), **words)  # type: ignore[arg-type]
            asked = cells_asked(root, source, request)
            assert asked is not None
            told = []
            for kept in (False, True):
                samples = Samples()
                for _ in range(repeats):
                    if not kept:
                        cells_read._kept = cells_read._Kept(cells_read.KEPT_BYTES)
                    scan = Scan(root, source, Query("clip", "q", request.at), None, asked, made=(rows, query))  # type: ignore[arg-type]
                    found = samples.time("scan", lambda scan=scan: scan.nearest(np.zeros(0, np.float32), 80))
                    if len(found) != 80 or scan.unread or scan.unknown:  # type: ignore[arg-type]
                        raise AssertionError(f"{len(found)} found, {scan.warning()}")  # type: ignore[arg-type]
                one = samples.median("scan")
                told.append(f"{one.wall * factor:.2f} s ({one.cpu * factor:.2f} of processors)")
            what = f"{words} ({len(asked.cells)} cells)"
            lines.append(f"{what}, {clips:,} clips: {told[0]} from Zarr, {told[1]} once it is in memory")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.cells", description=__doc__.split("\n")[0])
    parser.add_argument("--months", type=int, default=24, help="that are written to disk")
    parser.add_argument("--clips", type=int, default=350_000, help="for which times are told")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(machine())
    print(table(measure_memory(options.clips, [(9, 0), (16, 0), (36, 0), (9, 1), (9, 2)], options.repeats)))
    for line in measure_disk(options.months, options.clips, options.repeats):
        print(line)
    print(f"load at the end {load()}")


if __name__ == "__main__":
    main()
