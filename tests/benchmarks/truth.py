"""Histograms and clips of many days from the pictures of one: a day's shard under every day's name, as reading costs
the same."""

from __future__ import annotations

import io
import os
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wxpipe.similarity.clip_stage import SCHEMA
from wxpipe.similarity.histograms import histogram_store
from wxpipe.similarity.identity import frame_id
from wxpipe.store.root import Root

SLOTS = np.round(np.linspace(0, 24, 20)).astype(int)
"""Of a clip of 20 frames in 6 hours, every quarter of an hour, from its first."""


def real_day(archive: Path) -> Any:
    """CDFs of 96 slots, uint16 (slot, channel, bin, cell), of the pictures of COMS in a folder, over and over."""
    from tests.mini import wxpipe

    with tempfile.TemporaryDirectory() as folder:
        stages = ("--stage", "ingest", "--stage", "histograms")
        status, said = wxpipe("backfill", "--archive", str(archive), "--root", folder, "--direct", *stages)
        if status not in (0, 3):
            raise SystemExit(said)
        root = Root(folder)
        store = histogram_store(root, root.source("coms"))
        days = [key.rpartition("/")[2] for key in root.ledger.entries("histograms")]
        start = min(store.axis.day_start(store.axis.day(0).fromisoformat(day)) for day in days)
        counted = store.read(np.arange(start, start + 96 * len(days)))
        counted = counted[counted.any(axis=(2, 3)).all(axis=1)]
    return counted[np.arange(96) % len(counted)]


def write_truth(root: Root, source: str, counted: Any, days: int) -> None:
    """Days from the source's first on; a clip begins at every slot."""
    store, axis = histogram_store(root, source), root.source(source).satellite.axis
    store.create()
    store.write_day(axis.day(0), counted)
    folder = Path(root.url)
    written = [path for path in (folder / store.folder).rglob("*") if path.is_file() and "/c/0/" in str(path)]
    hours = timedelta(hours=6)
    for day in range(days):
        for path in written:
            other = Path(str(path).replace("/c/0/", f"/c/{day}/"))
            if not other.exists():
                other.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, other)
        starts = [axis.time(day * 96 + n) for n in range(96)]
        columns: dict[str, Any] = {
            "clip_id": [f"{frame_id(source, start)}/6h20" for start in starts], "start": starts,
            "end": [start + hours for start in starts], "slots": [(day * 96 + n + SLOTS).tolist() for n in range(96)],
            "coverage": [1.0] * 96,
        }  # fmt: skip
        sink = io.BytesIO()
        pq.write_table(pa.table(columns, schema=SCHEMA), sink)
        root.objects.put(f"clips/{source}/{axis.day(day * 96)}.parquet", sink.getvalue())
