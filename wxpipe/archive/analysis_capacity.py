"""What a store of a listed archive would take: bytes by array and core-hours, from names and sizes alone.

The rates are measured on COMS pictures and scale with pixels; another satellite's may differ by a third.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from wxpipe.archive.analysis import Figures

PICTURE_BYTES_A_PIXEL = 0.51
"""Of the array `picture` (difference along the row, zstd 1): 140 real COMS pictures of 1300 x 1500, 0.98 MB each."""
GRID, BINS, CDF_RATIO = 24, 20, 2.5
"""The default grid CDF, less its last bin, as uint16 (uint32 for cells above 65,535 pixels), zstd 1; of the same."""
VECTOR_WIDTH, VECTOR_COPIES = 32, 2
"""float32 a required channel of the published encoder; kept as Parquet and in Lance."""
INVENTORY_BYTES = 20
"""A file's row in the inventory: 7 for COMS's regular names, and a time of writing that is each file's own."""
INGEST_SECONDS, HISTOGRAM_SECONDS, EMBED_SECONDS = 0.042, 0.013, 0.002
"""Of one core, a picture of `MEASURED_PIXELS`, one thread; a real day of COMS, Xeon of 2 cores, 2026."""
MEASURED_PIXELS = 1300 * 1500


@dataclass(frozen=True)
class Capacity:
    """What one source, or a whole archive, comes to. Sizes are bytes, times are core-hours."""

    files: int = 0
    pictures: int = 0
    archive: int = 0
    frames: int = 0
    clips: int = 0
    vectors: int = 0
    store_picture: int = 0
    store_reduced: int = 0
    store_cdf: int = 0
    store_vectors: int = 0
    store_inventory: int = 0
    ingest_hours: float = 0.0
    histogram_hours: float = 0.0
    embed_hours: float = 0.0

    @property
    def store(self) -> int:
        """Bytes of the whole store."""
        return (
            self.store_picture + self.store_reduced + self.store_cdf + self.store_vectors + self.store_inventory
        )  # fmt: skip

    @property
    def hours(self) -> float:
        return self.ingest_hours + self.histogram_hours + self.embed_hours


def capacity_of(figures: Figures) -> Capacity:
    """The estimate for one source."""
    satellite, area = figures.satellite, figures.source.area
    pictures, frames, clips = figures.pictures, int(figures.frames.sum()), figures.clips
    pixels = area.rows * area.columns
    y, x = area.reduced_shape
    count_bytes = 2 if pixels / GRID**2 <= 65_535 else 4
    vector_bytes = 4 * VECTOR_WIDTH * sum(satellite.required) * VECTOR_COPIES
    hours = pictures * pixels / MEASURED_PIXELS / 3600
    return Capacity(
        files=figures.files,
        pictures=pictures,
        archive=figures.bytes,
        frames=frames,
        clips=clips,
        vectors=frames + clips,
        store_picture=round(pictures * pixels * PICTURE_BYTES_A_PIXEL),
        store_reduced=pictures * y * x,
        store_cdf=round(pictures * GRID**2 * (BINS - 1) * count_bytes / CDF_RATIO),
        store_vectors=(frames + clips) * vector_bytes,
        store_inventory=figures.files * INVENTORY_BYTES,
        ingest_hours=hours * INGEST_SECONDS,
        histogram_hours=hours * HISTOGRAM_SECONDS,
        embed_hours=hours * EMBED_SECONDS,
    )


def total(capacities: Iterable[Capacity]) -> Capacity:
    """The sum of several sources."""
    every = list(capacities)
    return Capacity(**{field.name: sum(getattr(one, field.name) for one in every) for field in fields(Capacity)})
