"""A root of sixteen days of clips whose vectors are like weather: what a graph is made of, and nothing before it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests.benchmarks.weather_series import series
from tests.vectors.tiny_root import MODEL, SATELLITE, SOURCE, WIDTH, TinyRoot
from wxpipe.satellites.catalog import parse_satellite
from wxpipe.similarity.identity import frame_id
from wxpipe.store.root import init_root

FIRST = date(2011, 3, 1)
DAYS, A_DAY = 16, 96
SCHEMA = pa.schema(
    [("unit", pa.string()), ("id", pa.string()), ("time", pa.timestamp("us", "UTC")),
     ("end", pa.timestamp("us", "UTC")), ("frames", pa.int32()), ("coverage", pa.float64()),
     ("channels_good", pa.int32()), ("vector", pa.list_(pa.float32(), WIDTH))]
)  # fmt: skip


def make_weather_root(folder: Path, days: int = DAYS) -> TinyRoot:
    root = init_root(str(folder))
    satellite = parse_satellite(SATELLITE, "tiny.toml")
    root.adopt({satellite.name: satellite})
    tiny = TinyRoot(root)
    tiny.use_model(MODEL)
    for number in range(days):
        put_day(tiny, number)
    return tiny


def day_vectors(number: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return series(A_DAY * 31, width=WIDTH, seed=seed)[A_DAY * number : A_DAY * (number + 1)]


def put_day(tiny: TinyRoot, number: int, seed: int = 0, vectors: Any = None) -> None:
    """Clips of the n-th day, one at every slot, and as many frames."""
    day, hours = FIRST + timedelta(days=number), timedelta(hours=6)
    found = day_vectors(number, seed) if vectors is None else vectors
    axis = tiny.source.satellite.axis
    start = axis.day_start(day)
    rows: list[dict[str, Any]] = []
    for slot, vector in enumerate(found, start):
        time = axis.time(slot)
        name = frame_id(SOURCE, time)
        rows.append({"unit": "frame", "id": name, "time": time, "end": None, "frames": 1, "coverage": 1.0,
                     "channels_good": 2, "vector": vector.tolist()})  # fmt: skip
        rows.append({"unit": "clip", "id": f"{name}/6h20", "time": time, "end": time + hours, "frames": 20,
                     "coverage": 1.0, "channels_good": 2, "vector": vector.tolist()})  # fmt: skip
    tiny.put_parquet(f"vectors/{tiny.model}/{SOURCE}/{day}.parquet", pa.Table.from_pylist(rows, schema=SCHEMA))
    counts = {"frame_vectors": len(found), "clip_vectors": len(found)}
    tiny.done("embed", day, f"vectors {seed} {len(found)} {float(np.sum(found)):.6f}", counts)


def drop_day(tiny: TinyRoot, number: int) -> None:
    tiny.remove_day(FIRST + timedelta(days=number))
