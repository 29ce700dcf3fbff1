"""What a plan costs before anything runs: pictures, bytes, core-hours, hours of the wall, requests, and storage.

Stages whose partitions do not exist yet, because the day is not ingested, are projected from the inventory. Rates are
`rates`'; nothing is written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from wxpipe.archive.inventory import Files, inventory_of
from wxpipe.config import RunSettings
from wxpipe.pipeline.plan import Plan, Range, make_plan
from wxpipe.pipeline.rates import UNIT, Rates, measured_rates
from wxpipe.pipeline.stages import NAMES
from wxpipe.satellites.catalog import Source
from wxpipe.store.ledger import Entry
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Partition

ORCHESTRATION_SECONDS = 0.005
"""Of the runner, a partition: plan, lease and one future on Dask; `tests.benchmarks.orchestration` measures it."""
REACH = {"ingest": 0, "histograms": 0, "clips": 1, "embed": 1}
"""How many days before a remade one a stage makes again: clips reach into the next day."""
KINDS = ("pictures", "reduced", "histograms", "clips", "vectors")
"""What storage is told by. The vectors of a release's tables are as large as those in their files, and count twice."""


@dataclass(frozen=True)
class DayOfSource:
    """What is known, or projected, of one day.

    Attributes:
        raw: what there is to read of the archive.
        pictures, frames, clips: that are, or will be, stored; projected ones are shares of the files.
    """

    raw: Files
    pictures: float
    frames: float
    clips: float


@dataclass
class StageCost:
    """What one stage costs.

    Attributes:
        partitions: that are due now, and of them `projected` ones that will be once earlier stages have run.
        units: files, pictures, clips or vectors.
        bytes_read: of the archive by ingest, of the root by the others.
        seconds: of one worker of one core; `processor`: of them, those that it computes and does not wait.
        origins: how the rates were come by, by source.
    """

    partitions: int = 0
    projected: int = 0
    units: float = 0.0
    bytes_read: float = 0.0
    bytes_written: float = 0.0
    seconds: float = 0.0
    processor: float = 0.0
    writes: float = 0.0
    reads: float = 0.0
    origins: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Costs:
    """What a plan costs.

    Attributes:
        pictures: raw files to be read.
        storage: bytes by kind (`KINDS`) that the root grows by; results that are replaced are taken off.
        workers: for which `wall_seconds` is meant.
        keeps_pictures: whether the root does.
    """

    stages: Mapping[str, StageCost]
    pictures: int
    storage: Mapping[str, float]
    workers: int
    wall_seconds: float
    keeps_pictures: bool = True

    @property
    def seconds(self) -> float:
        """Of one core."""
        return sum(stage.seconds for stage in self.stages.values())

    @property
    def requests(self) -> float:
        """Reads and writes of the root, and reads of the archive."""
        return sum(stage.reads + stage.writes for stage in self.stages.values())

    def kept(self, pictures: bool) -> float:
        """Bytes to come with and without the pictures themselves (``--keep-pictures``)."""
        return sum(size for kind, size in self.storage.items() if pictures or kind != "pictures")


def plan_with_costs(context: Context, wanted: Range, workers: int = 0) -> tuple[Plan, Costs]:
    """A plan and what it costs, with one look at the ledger."""
    with context.root.ledger.holding(*NAMES):
        plan = make_plan(context, wanted)
        return plan, make_costs(context.root, plan, wanted, workers)


def make_costs(root: Root, plan: Plan, wanted: Range, workers: int = 0) -> Costs:
    """What is due of a plan, and what will be once that is done.

    Args:
        wanted: the range that the plan was made of.
        workers: 0 takes those of the settings, or one a core.
    """
    import os

    count = workers or RunSettings().workers or os.cpu_count() or 1
    names = [name for name in UNIT if not wanted.stages or name in wanted.stages]
    with root.ledger.holding(*UNIT):
        return _Estimate(root, plan, wanted, names, count).costs()


class _Estimate:
    """One plan's costs, while they are put together."""

    def __init__(self, root: Root, plan: Plan, wanted: Range, names: list[str], workers: int) -> None:
        self._root, self._plan, self._wanted, self._names, self._workers = root, plan, wanted, names, workers
        self._sources = {source.id: source for source in root.sources}
        self._rates = measured_rates(root, self._sources.values(), UNIT)
        self._entries = {name: root.ledger.entries(name) for name in UNIT}
        self._stages = {name: StageCost() for name in names}
        self._storage = dict.fromkeys(KINDS, 0.0)
        self._wall = 0.0

    def costs(self) -> Costs:
        due = {name: {s.partition for s in self._plan.of(name) if s.reason != "done"} for name in self._names}
        days = _Days(self._root, self._sources, self._entries, {(p.source, p.day) for p in due.get("ingest", ())})
        for name in self._names:
            projected = self._projected(name, due, days) - due[name]
            by_lease: dict[str, list[float]] = {}
            for partition in (*due[name], *projected):
                seconds = self._add(name, partition, days)
                by_lease.setdefault(partition.lease_key, []).append(seconds)
            cost = self._stages[name]
            cost.partitions, cost.projected = len(due[name]) + len(projected), len(projected)
            self._wall += sum(_wall(seconds, self._workers) for seconds in by_lease.values())
        files = round(self._stages["ingest"].units) if "ingest" in self._stages else 0
        kept = self._root.settings.keep_pictures
        return Costs(self._stages, files, self._storage, self._workers, self._wall, kept)

    def _projected(self, name: str, due: Mapping[str, set[Partition]], days: _Days) -> set[Partition]:
        """Partitions of a stage that come to be due when those before them are done."""
        if name == "ingest":
            return set()
        found = {
            Partition(p.source, p.day - timedelta(days=n))
            for p in due.get("ingest", ()) if p.day is not None for n in range(REACH[name] + 1)
        }  # fmt: skip
        if name == "embed":
            found |= due.get("clips", set())
        clips = {source.id for source in self._sources.values() if source.satellite.clip is not None}
        return {
            p for p in found
            if (name != "clips" or p.source in clips) and self._wanted.covers(p) and days.has(p)
        }  # fmt: skip

    def _add(self, name: str, partition: Partition, days: _Days) -> float:
        """Adds one partition to its stage and to the storage; answers with its seconds."""
        day, cost, source = days.of(partition), self._stages[name], self._sources[partition.source]
        units = _units(name, day)
        rates = self._rates[partition.source, name]
        found = {quantity: rate.of(units) for quantity, rate in rates.of.items()}
        cost.units += units
        cost.seconds += found["seconds"]
        cost.processor += found["processor"]
        cost.bytes_written += found["bytes_written"]
        cost.writes += found["writes"]
        cost.reads += found["reads"]
        cost.bytes_read += self._read(name, source, day)
        cost.origins[partition.source] = _told(rates)
        self._store(name, partition, source, day, found["bytes_written"])
        return found["seconds"]

    def _read(self, name: str, source: Source, day: DayOfSource) -> float:
        if name == "ingest":
            return day.raw.bytes
        if name == "histograms":
            stored = self._rates[source.id, "ingest"].of["bytes_written"].each - _reduced_bytes(source)
            return max(0.0, stored) * day.pictures
        return _reduced_bytes(source) * day.frames * len(source.satellite.channels) if name == "embed" else 0.0

    def _store(self, name: str, partition: Partition, source: Source, day: DayOfSource, size: float) -> None:
        """What the root grows by: what is written, less what it replaces."""
        entry = self._entries[name].get(partition.key)
        growth = size - (entry.bytes_written if entry is not None else 0)
        if name == "ingest":
            before = _stored(entry) if entry is not None else 0
            reduced = _reduced_bytes(source) * (day.pictures - before)
            self._storage["reduced"] += reduced
            self._storage["pictures"] += growth - reduced
        else:
            kind = {"histograms": "histograms", "clips": "clips", "embed": "vectors"}[name]
            self._storage[kind] += growth * (2 if name == "embed" else 1)


class _Days:
    """Every day of every source, as it is or as it will be: shares are those of what the root has done so far."""

    def __init__(
        self, root: Root, sources: Mapping[str, Source], entries: Mapping[str, Mapping[str, Entry]],
        open_days: set[tuple[str, date | None]],
    ) -> None:  # fmt: skip
        self._root, self._entries, self._sources, self._open = root, entries, sources, open_days
        every = {name: inventory_of(root, name).days() for name in sources}
        self._spans = {name: (days[0], days[-1]) for name, days in every.items() if days}
        self._shares = {name: _shares(name, source, entries) for name, source in sources.items()}

    def has(self, partition: Partition) -> bool:
        """Whether a day lies between a source's first and last file."""
        span = self._spans.get(partition.source)
        return span is not None and partition.day is not None and span[0] <= partition.day <= span[1]

    def of(self, partition: Partition) -> DayOfSource:
        assert partition.day is not None
        key = (partition.source, partition.day)
        raw = inventory_of(self._root, partition.source).of_day(partition.day)
        entry = self._entries["ingest"].get(partition.key)
        pictures_share, frames_share, clips_share = self._shares[partition.source]
        if entry is not None and entry.state == "done" and key not in self._open:
            frames = float(entry.counts["frames_good"])
            return DayOfSource(raw, float(_stored(entry)), frames, frames * clips_share)
        pictures = raw.files * pictures_share
        frames = pictures / len(self._sources[partition.source].satellite.channels) * frames_share
        return DayOfSource(raw, pictures, frames, frames * clips_share)


def _shares(name: str, source: Source, entries: Mapping[str, Mapping[str, Entry]]) -> tuple[float, float, float]:
    """Stored pictures a file, good frames a whole frame's worth of pictures, clips a good frame."""

    def done(stage: str) -> Iterator[Entry]:
        return (e for key, e in entries[stage].items() if e.state == "done" and key.startswith(f"{name}/"))

    ingested = list(done("ingest"))
    files = sum(entry.counts["files"] - entry.counts["files_vanished"] for entry in ingested)
    pictures = sum(map(_stored, ingested))
    frames = sum(entry.counts["frames_good"] for entry in ingested)
    of_clips = {entry.partition: entry.counts["clips"] for entry in done("clips")}
    behind = sum(entry.counts["frames_good"] for entry in ingested if entry.partition in of_clips)
    clips = (sum(of_clips.values()) / behind if behind else 1.0) if source.satellite.clip is not None else 0.0
    channels = len(source.satellite.channels)
    return pictures / files if files else 1.0, frames * channels / pictures if pictures else 1.0, clips


def _stored(entry: Entry) -> int:
    return entry.counts.get("pictures_good", 0) + entry.counts.get("pictures_suspect", 0)


def _units(name: str, day: DayOfSource) -> float:
    return {
        "ingest": day.raw.files, "histograms": day.pictures, "clips": day.clips, "embed": day.frames + day.clips,
    }[name]  # fmt: skip


def _reduced_bytes(source: Source) -> float:
    """Of one reduced picture: it hardly compresses."""
    return float(math.prod(source.area.reduced_shape))


def _told(rates: Rates) -> str:
    return f"measured on {rates.partitions} days" if rates.partitions else rates.origin


def _wall(seconds: Iterable[float], workers: int) -> float:
    """Of the days of a lease on so many workers: the last ones end alone, and the next lease begins after them."""
    each = sorted(seconds, reverse=True)
    return max(sum(each) / workers + each[0] * (1 - 1 / workers) / 2, each[0]) + ORCHESTRATION_SECONDS * len(each)
