"""A small real root: a satellite of 48 x 60 pixels and two channels, days of frames, CDFs, clips, vectors, a ledger."""

from __future__ import annotations

import io
import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wxpipe.embedding.cards import ClipCard, InputCard, ModelCard
from wxpipe.satellites.catalog import Source, parse_satellite
from wxpipe.similarity.clip_stage import day_clips
from wxpipe.similarity.histograms import histogram_store
from wxpipe.similarity.identity import frame_id
from wxpipe.store.frames import DayFrames, Status, frame_store
from wxpipe.store.ledger import Entry
from wxpipe.store.quarantine import Record
from wxpipe.store.root import Root, init_root

SOURCE = "tiny-ea"
MODEL = "untrained-projection-0123456789ab"
WIDTH = 8
FIRST_GOOD, LAST_GOOD = 24, 71
DAYS = (date(2011, 3, 3), date(2011, 3, 4), date(2011, 3, 6))

SATELLITE = """
name = "tiny"
title = "Tiny imager"
imagery = "nobody"
first_day = 2011-03-01
last_day = 2011-03-31
cadence_minutes = 15
[channels.ir01]
band = "ir"
[channels.wv]
band = "wv"
[clip]
frames = 20
hours = 6
[areas.ea]
name = "East Asia"
rows = 48
columns = 60
reduce = [2, 2]
[[names]]
pattern = 'tiny_(?P<channel>[a-z0-9]+)_(?P<time>[0-9]{12}).png'
area = "ea"
"""


@dataclass
class TinyRoot:
    """Writes what the stages before would have written."""

    root: Root
    model: str = MODEL

    @property
    def source(self) -> Source:
        return self.root.source(SOURCE)

    def add_day(self, day: date, seed: int = 0) -> None:
        """Frames from 06:00 to 17:45, their CDFs, the clips that begin then, vectors, and the ledger."""
        self.write_frames(day)
        self.write_clips(day)
        self.write_vectors(day, seed)

    def write_frames(self, day: date) -> None:
        source = self.source
        store, cdfs = frame_store(self.root, source), histogram_store(self.root, source)
        store.create()
        cdfs.create()
        slots = store.axis.day_slots(day)
        frames = DayFrames.empty(len(slots), 2)
        counted = np.zeros((len(slots), *cdfs.array_spec.shape[1:]), cdfs.array_spec.dtype)
        for slot in range(FIRST_GOOD, LAST_GOOD + 1):
            for channel, name in enumerate(store.channels):
                picture = cloud(slots.start + slot, channel)
                frames.pictures[slot, channel] = store.encode_picture(picture)
                frames.reduced[slot, channel] = store.encode_reduced(picture[::2, ::2].copy())
                frames.status[slot, channel] = Status.GOOD
                frames.rows[slot, channel] = 48
                counted[slot, channel] = count(cdfs, picture, name)
        frames.status[FIRST_GOOD - 1, 0] = Status.QUARANTINED
        frames.status[FIRST_GOOD - 2, :] = Status.MISSING
        store.write_day(day, frames)
        cdfs.write_day(day, counted)
        self.done("ingest", day, "pictures")
        self.inventory(day)

    def inventory(self, day: date) -> None:
        axis = self.source.satellite.axis
        rows: list[dict[str, Any]] = []
        for written in (d for d in DAYS if d <= day):
            start = axis.day_start(written)
            for slot in range(start + FIRST_GOOD - 1, start + LAST_GOOD + 1):
                for channel in ("ir01", "wv"):
                    path = f"{written}/tiny_{channel}_{axis.time(slot):%Y%m%d%H%M}.png"
                    rows.append({"path": path, "size": 100, "version": "1", "channel": channel,
                                 "time": axis.time(slot), "slot": slot, "vanished": False})  # fmt: skip
        schema = pa.schema([("path", pa.string()), ("size", pa.int64()), ("version", pa.string()),
                            ("channel", pa.string()), ("time", pa.timestamp("us", "UTC")), ("slot", pa.int32()),
                            ("vanished", pa.bool_())])  # fmt: skip
        self.put_parquet(f"inventory/{SOURCE}/2011-03.parquet", pa.Table.from_pylist(rows, schema=schema))
        bad = axis.day_start(day) + FIRST_GOOD - 1
        record = Record("bad.png", "truncated", "a whole file", "half", channel="ir01", slot=bad)
        self.root.quarantine.replace("ingest", SOURCE, day, [record])

    def write_clips(self, day: date) -> None:
        self.put_parquet(f"clips/{SOURCE}/{day}.parquet", day_clips(self.root, self.source, day))
        self.done("clips", day, "clips")

    def write_vectors(self, day: date, seed: int = 0, clips: int | None = None) -> None:
        """Vectors that depend on id and seed only; ``clips`` keeps the first few clips."""
        axis = self.source.satellite.axis
        start = axis.day_start(day)
        rows: list[dict[str, Any]] = []
        for slot in range(start + FIRST_GOOD, start + LAST_GOOD + 1):
            time = axis.time(slot)
            name = frame_id(SOURCE, time)
            rows.append({"unit": "frame", "id": name, "time": time, "end": None, "frames": 1, "coverage": 1.0,
                         "channels_good": 2, "vector": vector(name, seed)})  # fmt: skip
        found = pq.read_table(io.BytesIO(self.root.objects.get(f"clips/{SOURCE}/{day}.parquet"))).to_pylist()
        rows += [{"unit": "clip", "id": clip["clip_id"], "time": clip["start"], "end": clip["end"],
                  "frames": 20, "coverage": clip["coverage"], "channels_good": 2,
                  "vector": vector(clip["clip_id"], seed)} for clip in found[:clips]]  # fmt: skip
        schema = pa.schema([("unit", pa.string()), ("id", pa.string()), ("time", pa.timestamp("us", "UTC")),
                            ("end", pa.timestamp("us", "UTC")), ("frames", pa.int32()), ("coverage", pa.float64()),
                            ("channels_good", pa.int32()), ("vector", pa.list_(pa.float32(), WIDTH))])  # fmt: skip
        self.put_parquet(f"vectors/{self.model}/{SOURCE}/{day}.parquet", pa.Table.from_pylist(rows, schema=schema))
        counts = {"frame_vectors": LAST_GOOD - FIRST_GOOD + 1, "clip_vectors": len(found[:clips])}
        self.done("embed", day, f"vectors {self.model} {seed} {clips}", counts)

    def remove_day(self, day: date) -> None:
        self.root.objects.delete(f"ledger/embed/{SOURCE}/{day}.json")
        self.root.objects.delete(f"vectors/{self.model}/{SOURCE}/{day}.parquet")

    def use_model(self, model: str, trained: bool = False) -> None:
        self.model = model
        name, _, fingerprint = model.rpartition("-")
        half = WIDTH // 2
        card = ModelCard(
            name=name, kind="channel-linear", trained=trained, source=SOURCE, channels=("ir01", "wv"), width=WIDTH,
            blocks={"ir01": (0, half), "wv": (half, WIDTH)}, input=InputCard(reduced=(24, 30), crop=(0, 48, 0, 60)),
            clip=ClipCard(frames=20, hours=6, choice="even"), seed=0, code_version="0", created=datetime.now(UTC),
        )  # fmt: skip
        self.root.objects.put(f"models/{name}/{fingerprint}/card.json", card.model_dump_json().encode())
        self.root.ledger.put(Entry("train", SOURCE, "done", "f", output=model))

    def done(self, stage: str, day: date, output: str, counts: dict[str, int] | None = None) -> None:
        self.root.ledger.put(Entry(stage, f"{SOURCE}/{day}", "done", "f", output=output, counts=counts or {}))

    def put_parquet(self, key: str, table: pa.Table) -> None:
        sink = io.BytesIO()
        pq.write_table(table, sink)
        self.root.objects.put(key, sink.getvalue())

    def expected_ids(self, unit: str) -> list[str]:
        """Ids of all embedded days by their files."""
        found: list[str] = []
        for day in self.root.objects.names(f"vectors/{self.model}/{SOURCE}"):
            table = pq.read_table(io.BytesIO(self.root.objects.get(f"vectors/{self.model}/{SOURCE}/{day}")))
            found += [row["id"] for row in table.to_pylist() if row["unit"] == unit]
        return sorted(found)


def vector(name: str, seed: int) -> list[float]:
    """A point of its own for each id and seed."""
    state = np.frombuffer(f"{name} {seed}".encode().ljust(64, b"."), np.uint8)
    values: list[float] = np.random.default_rng(state).normal(size=WIDTH).astype(np.float32).tolist()
    return values


def cloud(slot: int, channel: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A bright disk that moves with the slot."""
    y, x = np.mgrid[:48, :60]
    distance = np.hypot(y - 24 - 10 * np.sin(slot / 9), x - (slot * 3 + 7 * channel) % 60)
    picture: np.ndarray[Any, np.dtype[np.uint8]] = np.clip(230 - 9 * distance + slot % 7, 20, 250).astype(np.uint8)
    return picture


def count(cdfs: Any, picture: np.ndarray[Any, np.dtype[np.uint8]], channel: str) -> Any:  # noqa: ARG001
    from wxpipe.similarity.cdf import grid_cdf_exact

    return grid_cdf_exact(picture, 48, 0, cdfs.spec)


def make_root(folder: Path, days: tuple[date, ...] = DAYS) -> TinyRoot:
    root = init_root(str(folder))
    satellite = parse_satellite(SATELLITE, "tiny.toml")
    root.adopt({satellite.name: satellite})
    tiny = TinyRoot(root)
    tiny.use_model(MODEL)
    for day in days:
        tiny.add_day(day)
    return tiny


def copy_of(template: Path, folder: Path) -> TinyRoot:
    shutil.copytree(template, folder)
    return TinyRoot(Root(str(folder)))
