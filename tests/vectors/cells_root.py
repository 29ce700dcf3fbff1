"""A small real root of which every picture is a test's own: a grid of 6 x 6 cells, days over two months, a copy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tests.vectors.tiny_root import FIRST_GOOD, LAST_GOOD, MODEL, SATELLITE, SOURCE, TinyRoot
from wxpipe.archive.inventory import SCHEMA
from wxpipe.config import DataSettings
from wxpipe.satellites.catalog import parse_satellite
from wxpipe.similarity.cdf import grid_cdf_exact
from wxpipe.similarity.cell_months import lease_of, update_cells
from wxpipe.similarity.histograms import histogram_store
from wxpipe.store.frames import DayFrames, Status, frame_store
from wxpipe.store.root import init_root

GRID, HIGH, WIDE = 6, 8, 10
"""Cells along a side, and pixels of a cell."""
DAYS = (date(2011, 2, 27), date(2011, 2, 28), date(2011, 3, 1), date(2011, 3, 4), date(2011, 3, 7))
REGIONS = """
[geography.ea.regions.west]
title = "The west"
grid = 6
cells = ["0.0-5.2"]
[geography.ea.regions.bay]
title = "A bay"
grid = 6
cells = ["2.2-3.3"]
"""
Picture = npt.NDArray[np.uint8]
Sky = Callable[[int, int], Picture]
"""What a channel sees in a slot of the day, (48, 60)."""


def texture(seed: int, reach: int = 3) -> npt.NDArray[np.float64]:
    """Smooth clouds over three times the area's height and width, -1..1 or so."""
    found = np.random.default_rng(seed).normal(size=(3 * GRID * HIGH, 3 * GRID * WIDE))
    for axis in (0, 1):
        for _ in range(2):
            found = sum(np.roll(found, n, axis) for n in range(-reach, reach + 1)) / (2 * reach + 1)
    return np.asarray(found / found.std())


def sky(seed: int, moved: tuple[int, int] = (0, 0)) -> Sky:
    """Clouds that drift, and by how many cells they lie lower and further right than those of the seed alone."""
    fields = texture(seed), texture(seed + 1000)

    def look(slot: int, channel: int) -> Picture:
        top = GRID * HIGH - HIGH * moved[0] + slot // 9
        left = GRID * WIDE - WIDE * moved[1] - slot // 4
        part = fields[channel][top : top + GRID * HIGH, left : left + GRID * WIDE]
        return np.clip(120 + 55 * part, 0, 255).astype(np.uint8)

    return look


def patched(outside: Sky, inside: Sky, rows: slice, columns: slice) -> Sky:
    """One sky, and another within some cells."""

    def look(slot: int, channel: int) -> Picture:
        found = outside(slot, channel).copy()
        place = slice(rows.start * HIGH, rows.stop * HIGH), slice(columns.start * WIDE, columns.stop * WIDE)
        found[place] = inside(slot, channel)[place]
        return found

    return look


class CellsRoot(TinyRoot):
    """As `TinyRoot`, with skies that are given, and the ledger of the histograms."""

    def put_day(self, day: date, look: Sky, without: tuple[tuple[int, int], ...] = ()) -> None:
        """A day's frames, CDFs, clips and vectors; ``without`` are slots and channels of which no picture came."""
        source = self.source
        store, cdfs = frame_store(self.root, source), histogram_store(self.root, source)
        slots = store.axis.day_slots(day)
        frames = DayFrames.empty(len(slots), 2)
        counted = np.zeros((len(slots), *cdfs.array_spec.shape[1:]), cdfs.array_spec.dtype)
        for slot in range(FIRST_GOOD, LAST_GOOD + 1):
            for channel in range(2):
                picture = look(slot, channel)
                frames.pictures[slot, channel] = store.encode_picture(picture)
                frames.reduced[slot, channel] = store.encode_reduced(picture[::2, ::2].copy())
                frames.status[slot, channel] = Status.GOOD
                frames.rows[slot, channel] = 48
                if (slot, channel) not in without:
                    counted[slot, channel] = grid_cdf_exact(picture, 48, 0, cdfs.spec)
        store.write_day(day, frames)
        cdfs.write_day(day, counted)
        pictures = 2 * (LAST_GOOD - FIRST_GOOD + 1) - len(without)
        self.done("ingest", day, f"pictures {counted.sum()}")
        self.done("histograms", day, f"counts {hash(counted.tobytes())}", {"pictures": pictures})
        self.write_clips(day)
        self.write_vectors(day)

    def put_inventory(self, month: str, days: list[date]) -> None:
        axis = self.source.satellite.axis
        rows = [
            {"path": f"{day}/tiny_{channel}_{axis.time(slot):%Y%m%d%H%M}.png", "size": 100, "version": "1",
             "channel": channel, "time": axis.time(slot), "slot": slot, "vanished": False}
            for day in sorted(days) for slot in axis.day_slots(day)[FIRST_GOOD : LAST_GOOD + 1]
            for channel in ("ir01", "wv")
        ]  # fmt: skip
        self.put_parquet(f"inventory/{SOURCE}/{month}.parquet", pa.Table.from_pylist(rows, schema=SCHEMA))

    def copy(self, anew: bool = False) -> Any:
        """Makes the copy, or brings it up to date."""
        from wxpipe.pipeline.run import single_handed

        with single_handed(self.root, lease_of(self.source)) as lease:
            return update_cells(self.root, self.source, lease, anew)


def make_cells_root(folder: Path, skies: dict[date, Sky]) -> CellsRoot:
    """A root of these days, without copy and without release."""
    root = init_root(str(folder), DataSettings(histograms=("6x20-exact",)))
    text = SATELLITE.replace("first_day = 2011-03-01", "first_day = 2011-02-20") + REGIONS
    satellite = parse_satellite(text, "tiny.toml")
    root.adopt({satellite.name: satellite})
    tiny = CellsRoot(root)
    tiny.use_model(MODEL)
    source = tiny.source
    frame_store(root, source).create()
    histogram_store(root, source).create()
    for day, look in skies.items():
        tiny.put_day(day, look)
    for month in {f"{day:%Y-%m}" for day in skies}:
        tiny.put_inventory(month, [day for day in skies if f"{day:%Y-%m}" == month])
    return tiny
