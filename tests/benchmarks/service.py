"""`/v1/search` under load: latency at many vectors with several clients, beside the same searches without HTTP.

    python -m tests.benchmarks.service --rows 1000000 --clients 8

A release of vectors like a time series of weather (see `weather_series`) is made, `wxpipe serve` answers over it in a
process of its own, and clients in processes of their own ask as forecasters would: any time, half of them with a filter
(season, hours, years), k = 10 episodes, own 24 hours out. The root has no histograms unless --truth is given: then
every answer has the ground truth of its ten analogs, read from Zarr, as a real root's has.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np

from tests.benchmarks.report import load, machine

SATELLITE = """
name = "weather"
title = "Weather that never was"
first_day = 1980-01-01
last_day = {last}
cadence_minutes = 15
[channels.ir01]
band = "ir"
[channels.ir02]
band = "ir2"
[channels.swir]
band = "swir"
[channels.wv]
band = "wv"
[clip]
frames = 20
hours = 6
[areas.ea]
name = "nowhere"
rows = 1200
columns = 1500
reduce = [4, 4]
[[names]]
pattern = 'weather_(?P<channel>[a-z0-9]+)_(?P<time>[0-9]{{12}}).png'
area = "ea"
"""
SOURCE, MODEL, WIDTH = "weather-ea", "untrained-projection-000000000000", 128
FIRST = datetime(1980, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=15)
CLIP = timedelta(hours=6)
AT_ONCE = 100_000
WARM = 30
"""Requests of each client before anything is counted."""


def make_root(folder: Path, rows: int, truth: bool) -> None:
    """A root with a promoted release of so many clips, one every quarter of an hour; tables as `build` makes them."""
    from tests.benchmarks.weather_series import series
    from wxpipe.satellites.catalog import parse_satellite
    from wxpipe.store.root import init_root
    from wxpipe.vectors.records import Part, ReleaseRecord, TableVersion, promote, put_release
    from wxpipe.vectors.tables import SPECS, connect, schema, table_name

    root = init_root(str(folder))
    satellite = parse_satellite(SATELLITE.format(last=(FIRST + rows * STEP + 2 * CLIP).date()), "weather")
    root.adopt({satellite.name: satellite})
    vectors = series(rows, WIDTH)
    tables = {}
    for unit, spec in SPECS.items():
        count = rows if unit == "clip" else min(rows, 1000)
        wanted, name = schema(spec, WIDTH), table_name(spec, MODEL)
        table = connect(root).create_table(name, schema=wanted)
        for begin in range(0, count, AT_ONCE):
            table.add(_rows(unit, begin, vectors[begin : min(begin + AT_ONCE, count)], wanted))
        tables[spec.name] = TableVersion(name, table.version, count, "", {"kind": "exact"})
    put_release(root, ReleaseRecord(1, (Part(MODEL, False, (SOURCE,), tables),), {}, {}))
    promote(root)
    if truth:
        _truth(folder, rows)


def _rows(unit: str, begin: int, vectors: np.ndarray[Any, np.dtype[np.float32]], wanted: Any) -> Any:
    import pyarrow as pa

    from wxpipe.vectors.tables import _calendar

    count = len(vectors)
    epochs = int(FIRST.timestamp()) + (begin + np.arange(count)) * int(STEP.total_seconds())
    moments = epochs.astype("datetime64[s]")
    names = [f"{SOURCE}/{text.replace('-', '').replace(':', '')}Z" for text in np.datetime_as_string(moments, "m")]
    stamps = pa.array(moments.astype("datetime64[us]")).cast(pa.timestamp("us", "UTC"))
    ends = pa.array((moments + np.timedelta64(6, "h")).astype("datetime64[us]")).cast(pa.timestamp("us", "UTC"))
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    columns: dict[str, Any] = {
        "clip_id": [f"{name}/6h20" for name in names], "frame_id": names, "source": [SOURCE] * count,
        "satellite": ["weather"] * count, "start": stamps, "time": stamps, "end": ends, "start_epoch": epochs,
        "time_epoch": epochs, **_calendar(epochs), "frames": [20] * count, "coverage": [1.0] * count,
        "channels_good": [4] * count, "model": [MODEL] * count,
        "vector": pa.FixedSizeListArray.from_arrays(flat, WIDTH),
    }  # fmt: skip
    del unit
    return pa.table({name: columns[name] for name in wanted.names}).cast(wanted)


def _truth(folder: Path, rows: int) -> None:
    """Histograms and clips of every day: one day's shard under every day's name, since reading costs the same."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    from wxpipe.similarity.clip_stage import SCHEMA
    from wxpipe.similarity.histograms import histogram_store
    from wxpipe.store.root import Root

    root = Root(str(folder))
    source = root.source(SOURCE)
    store, axis = histogram_store(root, source), source.satellite.axis
    store.create()
    shape = store.array_spec.shape[1:]
    rng = np.random.default_rng(0)
    counted = np.sort(rng.integers(1, int(store.cell_sizes().min()), (96, *shape)), axis=2)
    store.write_day(axis.day(0), counted.astype(store.array_spec.dtype))
    written = [path for path in (folder / "histograms").rglob("*") if path.is_file() and "/c/0/" in str(path)]
    offsets = np.round(np.linspace(0, 24, 20)).astype(int)
    for day in range((rows * 15) // 1440 + 1):
        for path in written:
            other = Path(str(path).replace("/c/0/", f"/c/{day}/"))
            if not other.exists():
                other.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, other)
        starts = [FIRST + timedelta(days=day) + n * STEP for n in range(96)]
        table = pa.table(
            {
                "clip_id": [f"{SOURCE}/{start:%Y%m%dT%H%MZ}/6h20" for start in starts], "start": starts,
                "end": [start + CLIP for start in starts],
                "slots": [(day * 96 + n + offsets).tolist() for n in range(96)], "coverage": [1.0] * 96,
            },
            schema=SCHEMA,
        )  # fmt: skip
        sink = io.BytesIO()
        pq.write_table(table, sink)
        target = folder / "clips" / SOURCE / f"{starts[0]:%Y-%m-%d}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(sink.getvalue())


def questions(rows: int, count: int, seed: int) -> list[dict[str, Any]]:
    """The words of searches, seeded."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        at = FIRST + int(rng.integers(200, rows - 200)) * STEP
        words: dict[str, Any] = {"source": SOURCE, "at": f"{at:%Y-%m-%dT%H:%MZ}", "k": 10}
        filters: Sequence[dict[str, Any]] = (
            {"season": "own"}, {"hours": f"{at.hour}-{(at.hour + 3) % 24}"}, {"years": "1980-1985"},
            {"season": "own", "hours": f"{at.hour}-{(at.hour + 6) % 24}"},
        )  # fmt: skip
        choice = int(rng.integers(0, 8))
        found.append(words | (filters[choice] if choice < 4 else {}))
    return found


def ask(port: int, words: Sequence[dict[str, Any]], begin: float) -> list[float]:
    """Asks one after another over one connection; seconds of each."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    took = []
    for number, one in enumerate(words):
        if number == WARM:
            time.sleep(max(0.0, begin - time.time()))
        began = time.perf_counter()
        connection.request("GET", f"/v1/search?{urlencode(one)}")
        answer = connection.getresponse()
        data = answer.read()
        took.append(time.perf_counter() - began)
        assert answer.status == 200, data
        assert len(json.loads(data)["analogs"]) == 10, data
    return took[WARM:]


@contextmanager
def served(folder: Path) -> Iterator[tuple[int, int]]:
    """A server over a root: its port and process; its memory is told when it is ready."""
    import psutil

    environment = {**os.environ, "WXPIPE_SERVICE_RATE": "1e9", "WXPIPE_SERVICE_BURST": "1000000000"}
    process = subprocess.Popen(
        [sys.executable, "-c", "from wxpipe.cli import main; main()", "serve", "--root", str(folder), "--port", "0"],
        env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        port = int(process.stderr.readline().split(" ")[0].rpartition(":")[2])
        began = time.perf_counter()
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                break
            time.sleep(0.1)
        memory = psutil.Process(process.pid).memory_info().rss
        print(f"opened in {time.perf_counter() - began:.1f} s, {memory / (1 << 30):.2f} GiB")
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def _processor(pid: int) -> float:
    import psutil

    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def without_http(folder: Path, words: Sequence[dict[str, Any]]) -> list[float]:
    """Seconds of the same searches, one after another, in this process."""
    from wxpipe.service.opened import Follower
    from wxpipe.service.words import SearchWords

    follower = Follower(str(folder), 1 << 40, 1.0)
    follower.look()
    took = []
    for one in words:
        began = time.perf_counter()
        json.dumps(follower.opened.search(SearchWords(**one).request(follower.opened)).document())
        took.append(time.perf_counter() - began)
    return took[WARM:]


def told(what: str, took: Sequence[float], more: str = "") -> None:
    median, late, latest = 1000 * np.percentile(took, (50, 95, 99))
    print(f"| {what} | {len(took)} | {median:.1f} | {late:.1f} | {latest:.1f} | {more} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.service", description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, action="append", help="at once; may be given more than once")
    parser.add_argument("--requests", type=int, default=200, help="of each client")
    parser.add_argument("--truth", action="store_true", help="with histograms of every day")
    parser.add_argument("--root", type=Path, help="kept there, and taken from there; else a temporary folder")
    options = parser.parse_args()
    print(machine())
    folder = options.root or Path(tempfile.mkdtemp())
    try:
        if not (folder / "wxpipe.toml").exists():
            make_root(folder, options.rows, options.truth)
        print(f"\n{options.rows} vectors of {WIDTH}{', with ground truth' if options.truth else ''}\n")
        with served(folder) as (port, pid):
            print("\n| clients | requests | p50 ms | p95 ms | p99 ms | |\n|---|---|---|---|---|---|")
            for clients in options.clients or [1, 8]:
                words = [questions(options.rows, WARM + options.requests, seed) for seed in range(clients)]
                with ProcessPoolExecutor(clients, get_context("spawn")) as pool:
                    begin, before = time.time() + 10, _processor(pid)
                    found = [future.result() for future in [pool.submit(ask, port, one, begin) for one in words]]
                took = [seconds for one in found for seconds in one]
                rate = len(took) / max(sum(one) for one in found)
                spent = (_processor(pid) - before) / (len(took) + clients * WARM)
                told(f"{clients}", took, f"{rate:.0f} a second, {1000 * spent:.1f} ms of processor each, load {load()}")
        told("without HTTP", without_http(folder, questions(options.rows, WARM + options.requests, 0)))
    finally:
        if options.root is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
