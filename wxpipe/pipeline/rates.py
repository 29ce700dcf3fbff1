"""What a stage's partition costs, as measured on a root: so much a partition, and so much a picture or frame in it.

A source that has not run a stage yet takes the rates of one that has, by pixels; a new root takes those that were
measured on COMS pictures when this version was made, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from wxpipe.satellites.catalog import Source
from wxpipe.store.ledger import Entry
from wxpipe.store.root import Root

Floats = npt.NDArray[np.float64]
Quantity = Literal["seconds", "processor", "bytes_written", "writes", "reads"]
QUANTITIES: tuple[Quantity, ...] = ("seconds", "processor", "bytes_written", "writes", "reads")

UNIT: Mapping[str, tuple[str, ...]] = {
    "ingest": ("files",),
    "histograms": ("pictures",),
    "clips": ("clips",),
    "embed": ("frame_vectors", "clip_vectors"),
}
"""What the ledger counts a stage's work by; the stages that a plan has costs of are those by day."""

STRAYS = 6.0
"""A partition is left out that costs more than twice what the line says and this many median distances besides: a first
one that compiles, a machine that slept. Cheap ones are true: a day of few pictures, or of pictures that were there."""


@dataclass(frozen=True)
class Rate:
    """Cost = fixed a partition + each a unit of its work."""

    fixed: float
    each: float

    def of(self, units: float) -> float:
        return self.fixed + self.each * units

    def scaled(self, fixed: float, each: float) -> Rate:
        return Rate(self.fixed * fixed, self.each * each)


@dataclass(frozen=True)
class Rates:
    """All that a stage of a source costs.

    Attributes:
        origin: ``measured``, ``scaled from <source>``, or ``assumed``.
        partitions: how many were measured.
    """

    of: Mapping[Quantity, Rate]
    origin: str
    partitions: int = 0


ASSUMED: Mapping[str, Mapping[Quantity, Rate]] = {
    "ingest": {
        "seconds": Rate(0.02, 0.036), "processor": Rate(0.015, 0.032), "bytes_written": Rate(2_000, 1_100_000),
        "writes": Rate(9, 0.0), "reads": Rate(10, 1.0),
    },
    "histograms": {
        "seconds": Rate(0.01, 0.013), "processor": Rate(0.01, 0.011), "bytes_written": Rate(200, 8_800),
        "writes": Rate(1, 0.0), "reads": Rate(2, 0.0),
    },
    "clips": {
        "seconds": Rate(0.01, 0.0005), "processor": Rate(0.01, 0.0004), "bytes_written": Rate(1_100, 180),
        "writes": Rate(1, 0.0), "reads": Rate(2, 0.0),
    },
    "embed": {
        "seconds": Rate(0.03, 0.007), "processor": Rate(0.02, 0.0065), "bytes_written": Rate(3_000, 670),
        "writes": Rate(1, 0.0), "reads": Rate(6, 0.0),
    },
}  # fmt: skip
"""A core of 2026, four channels of 1300 x 1500 pixels as PNG; a root's own figures take their place."""
ASSUMED_PIXELS, ASSUMED_CHANNELS = 1300 * 1500, 4


def measured_rates(root: Root, sources: Iterable[Source], stages: Iterable[str]) -> dict[tuple[str, str], Rates]:
    """Rates by (source, stage): measured, else scaled from the source that has done most, else assumed."""
    every = list(sources)
    found: dict[tuple[str, str], Rates] = {}
    for stage in stages:
        done = _done_by_source(root, stage)
        measured = {source.id: fitted(stage, done[source.id]) for source in every if done.get(source.id)}
        most = max(measured, key=lambda name: (measured[name].partitions, name), default=None)
        for source in every:
            if source.id in measured:
                found[source.id, stage] = measured[source.id]
            elif most is not None:
                other = next(one for one in every if one.id == most)
                found[source.id, stage] = scaled(stage, measured[most], other, source)
            else:
                found[source.id, stage] = assumed(stage, source)
    return found


def _done_by_source(root: Root, stage: str) -> dict[str, list[Entry]]:
    """Metered results, by source. One that was only looked at, because its files were touched, wrote nothing."""
    found: dict[str, list[Entry]] = {}
    for key, entry in root.ledger.entries(stage).items():
        if entry.state == "done" and entry.seconds > 0 and entry.bytes_written > 0:
            found.setdefault(key.rpartition("/")[0], []).append(entry)
    return found


def units_of(stage: str, counts: Mapping[str, int]) -> int:
    """How much work a partition was, in the stage's unit."""
    return sum(counts.get(name, 0) for name in UNIT[stage]) - (
        counts.get("files_vanished", 0) if stage == "ingest" else 0
    )


def fitted(stage: str, entries: list[Entry]) -> Rates:
    """Rates out of what some partitions of one source cost."""
    units = np.array([units_of(stage, entry.counts) for entry in entries], np.float64)
    costs = {name: np.array([getattr(entry, name) for entry in entries], np.float64) for name in QUANTITIES}
    return Rates({name: fit(units, costs[name]) for name in QUANTITIES}, "measured", len(entries))


def fit(units: Floats, costs: Floats) -> Rate:
    """The line through costs by units that strays do not bend, and whose sum over the others is theirs.

    Least absolute distances find the strays, least squares the line through the rest; neither part is below zero.
    """
    line = _line(units, costs, np.ones_like(units))
    for _ in range(20):
        distance = np.abs(costs - line.fixed - line.each * units)
        line = _line(units, costs, 1 / np.maximum(distance, 1e-3 * max(1e-12, float(np.median(np.abs(costs))))))
    expected = line.fixed + line.each * units
    kept = costs <= 2 * expected + STRAYS * float(np.median(np.abs(costs - expected)))
    return _line(units[kept], costs[kept], np.ones(int(kept.sum())))


def _line(units: Floats, costs: Floats, weights: Floats) -> Rate:
    """Weighted least squares; where all partitions are of one size, everything is by the unit."""
    weights = weights / weights.sum()
    middle, cost = float(weights @ units), float(weights @ costs)
    spread = float(weights @ (units - middle) ** 2)
    if middle == 0:
        return Rate(cost, 0.0)
    each = float(weights @ ((units - middle) * (costs - cost))) / spread if spread > (0.02 * middle) ** 2 else np.inf
    if each * middle > cost:
        return Rate(0.0, cost / middle)
    return Rate(cost, 0.0) if each < 0 else Rate(cost - each * middle, each)


def scaled(stage: str, rates: Rates, measured: Source, wanted: Source) -> Rates:
    """Another source's rates: by pixels what is done with pixels, by channels what is done a channel."""
    factors = _factors(stage, _pixels(wanted) / _pixels(measured), _channels(wanted) / _channels(measured))
    of = {name: rate.scaled(*factors[name]) for name, rate in rates.of.items()}
    return Rates(of, f"scaled from {measured.id}")


def assumed(stage: str, source: Source) -> Rates:
    """The shipped rates, for a source of another size."""
    factors = _factors(stage, _pixels(source) / ASSUMED_PIXELS, _channels(source) / ASSUMED_CHANNELS)
    return Rates({name: rate.scaled(*factors[name]) for name, rate in ASSUMED[stage].items()}, "assumed")


def _factors(stage: str, pixels: float, channels: float) -> dict[Quantity, tuple[float, float]]:
    """By what (fixed, each) change where pictures are so many times larger and a frame has so many times channels."""
    work = {"ingest": pixels, "histograms": pixels, "clips": 1.0, "embed": pixels * channels}[stage]
    written = pixels if stage == "ingest" else 1.0
    return {
        "seconds": (1.0, work),
        "processor": (1.0, work),
        "bytes_written": (1.0, written),
        "writes": (channels if stage == "ingest" else 1.0, 1.0),
        "reads": (1.0, 1.0),
    }


def _pixels(source: Source) -> int:
    return source.area.rows * source.area.columns


def _channels(source: Source) -> int:
    return len(source.satellite.channels)
