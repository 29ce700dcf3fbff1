"""The inventory and the ledger of an archive as large as the real one, without its files: names, sizes, days, as real.

Six satellites, thirty years, as their owners describe them; every satellite's paths as its own grammar spells them.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from wxpipe.archive.inventory import SCHEMA, inventory_of
from wxpipe.archive.listing import ORDER
from wxpipe.draws import splitmix64
from wxpipe.pipeline.stages import get_stage
from wxpipe.satellites.catalog import Source, shipped_satellites
from wxpipe.store.ledger import Entry
from wxpipe.store.root import Root, init_root
from wxpipe.store.stage import Context, Partition
from wxpipe.store.tables import table_bytes

SATELLITES = ("coms", "gk2a", "gms5", "himawari8", "mtsat1r", "mtsat2")
BYTES = {"coms": 1_310_000, "gk2a": 820_000, "gms5": 150_000, "himawari8": 1_140_000, "mtsat1r": 210_000,
         "mtsat2": 530_000}  # fmt: skip
"""Of a file: the owners' terabytes over the files that a schedule without gaps comes to."""
BY_DAY = ("ingest", "histograms", "clips", "embed")


def sources() -> list[Source]:
    every = shipped_satellites()
    return [Source(every[name], next(iter(every[name].areas))) for name in SATELLITES]


def scheduled(source: Source, days: int | None) -> Iterator[tuple[date, list[int]]]:
    """The slots of each day that a satellite's schedule expects."""
    satellite, axis = source.satellite, source.satellite.axis
    count = (satellite.last_day - satellite.first_day).days + 1
    for n in range(count if days is None else min(days, count)):
        day = satellite.first_day + timedelta(days=n)
        yield day, [slot for slot in axis.day_slots(day) if satellite.expects(axis.time(slot))]


def rows_of(source: Source, slots: list[int]) -> dict[str, list[Any]]:
    """Columns of the inventory for all channels of some slots."""
    axis, (grammar, *_) = source.satellite.axis, source.satellite.names
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    size = BYTES[source.satellite.name]
    for slot in slots:
        time = axis.time(slot)
        for n, channel in enumerate(source.satellite.channels):
            columns["path"].append(grammar.path.format(channel=channel, area=source.area_name, time=time))
            columns["size"].append(size + (slot * 977 + n * 131) % (size // 3) - size // 6)
            columns["version"].append(str(1_500_000_000_000_000_000 + (slot * 16 + n) * 1_000_003))
            columns["channel"].append(channel)
            columns["time"].append(time)
            columns["slot"].append(slot)
            columns["vanished"].append(False)
    return columns


def make_inventory(folder: Path, files: int, days: int | None = None) -> Root:
    """A root whose inventory holds so many files: slots are left out at random until the number is met.

    Args:
        files: in the full thirty years; fewer days of each satellite have fewer.
        days: of each satellite; all by default.
    """
    root, every = init_root(str(folder)), sources()
    root.adopt({source.satellite.name: source.satellite for source in every})
    full = sum(len(slots) * len(s.satellite.channels) for s in every for _, slots in scheduled(s, None))
    for source in every:
        salt = np.uint64(zlib.crc32(source.id.encode()))
        months: dict[str, list[int]] = {}
        for day, slots in scheduled(source, days):
            drawn = splitmix64(int(salt), np.array(slots, np.uint64)) >> np.uint64(40)
            kept = np.array(slots)[drawn < files / full * 2**24].tolist()
            months.setdefault(f"{day:%Y-%m}", []).extend(kept)
        for month, slots in months.items():
            table = pa.table(rows_of(source, slots), schema=SCHEMA).sort_by(ORDER)
            write(folder / "inventory" / source.id / f"{month}.parquet", table_bytes(table))
    return Root(str(folder))


def make_ledger(root: Root, folder: Path) -> int:
    """Records every day of every stage as done, as a run would have; answers with how many."""
    made = 0
    for source in root.sources:
        entry = Entry("train", source.id, "done", "frozen", output="untrained-projection-0123456789ab", epoch=1)
        put(folder, entry)
    for stage in BY_DAY:
        root.ledger.preload("train", *BY_DAY)
        context, of = Context(root), get_stage(stage)
        for partition in of.partitions(context):
            put(folder, done(stage, partition, of.fingerprint(partition, context), root))
            made += 1
        root.ledger.forget()
    return made


def done(stage: str, partition: Partition, fingerprint: str, root: Root) -> Entry:
    assert partition.day is not None
    source = root.source(partition.source)
    channels = len(source.satellite.channels)
    files = inventory_of(root, partition.source).count_day(partition.day)
    frames = files // channels
    counts = {
        "ingest": {"files": files, "files_stored": files, "files_quarantined": 0, "files_duplicate": 0,
                   "files_vanished": 0, "carried_over": 0, "pictures_good": files, "pictures_suspect": 0,
                   "pictures_missing": 0, "pictures_quarantined": 0, "pictures_unscheduled": 0, "pictures_absent": 0,
                   "frames_good": frames, "frames_missing": 0},
        "histograms": {"pictures": files},
        "clips": {"clips": frames},
        "embed": {"frame_vectors": frames, "clip_vectors": 0 if source.satellite.clip is None else frames},
    }[stage]  # fmt: skip
    output = hashlib.sha256(f"{stage} {partition.key}".encode()).hexdigest()[:32]
    return Entry(
        stage, partition.key, "done", fingerprint, output, output, counts, epoch=1, finished="2026-01-01T00:00:00Z",
        seconds=0.1 * files, bytes_written=1_200_000 * files, writes=6 + 2 * channels, reads=files + 8,
    )  # fmt: skip


def put(folder: Path, entry: Entry) -> None:
    data = json.dumps(asdict(entry), indent=1, sort_keys=True).encode()
    write(folder / "ledger" / entry.stage / f"{entry.partition}.json", data)


def write(path: Path, data: bytes) -> None:
    """Writes a file without waiting for the disk: it is made anew for every measurement."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
