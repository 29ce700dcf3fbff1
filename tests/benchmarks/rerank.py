"""What the ground truth of 200 candidates takes: CDFs in memory, and read from Zarr for clips near and far from each
other.

    python -m tests.benchmarks.rerank --archive ../shared/data/coms

The CDFs are of real pictures, a day of them under every day's name. Limits are those that a forecaster waits for: 50 ms
on one core in memory, 300 ms from Zarr for clips of at most 40 episodes, 900 ms for 200 separate ones.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.report import THREAD_VARIABLES, load, machine

os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))

import numpy as np

from tests.benchmarks.truth import SLOTS, real_day, write_truth
from wxpipe.satellites.catalog import shipped_satellites
from wxpipe.similarity.clip_ks import clip_similarities
from wxpipe.similarity.histograms import histogram_store
from wxpipe.similarity.identity import frame_id
from wxpipe.similarity.ks import round_cdfs
from wxpipe.store.root import Root, init_root
from wxpipe.vectors import ground_truth

SOURCE, CANDIDATES, EPISODES = "coms-ea", 200, 40
DAYS = 420


def in_memory(store: Any, rounded: bool) -> Callable[[], Any]:
    """A query against 200 clips apart from each other, whose CDFs are there."""
    frames = store.read(np.arange(96 * 45))[: 20 * (CANDIDATES + 1)]
    cdfs = round_cdfs(frames, store.cell_sizes()) if rounded else frames
    clips = np.arange(20 * (CANDIDATES + 1)).reshape(-1, 20)
    pairs = np.stack([np.zeros(CANDIDATES, np.int64), np.arange(1, CANDIDATES + 1)], axis=1)
    return lambda: clip_similarities(cdfs, clips, pairs, None if rounded else store.cell_sizes())


def from_zarr(root: Root, starts: list[int]) -> Callable[[], Any]:
    """As `search` asks: slots of clips by identity, then similarities."""
    source = root.source(SOURCE)
    axis = source.satellite.axis
    first = int(axis.first.timestamp())

    def ask() -> Any:
        epochs: Mapping[str, int] = {f"{frame_id(SOURCE, axis.time(slot))}/6h20": first + 900 * slot for slot in starts}
        slots = ground_truth.slots_of(root, source, "clip", epochs)
        assert len(slots) == len(starts)
        found = ground_truth.similarities(root, source, 96 * 410 + SLOTS, slots)
        assert all(value is not None for value in found.values())
        return found

    return ask


def near(count: int, days: int) -> list[int]:
    """First slots of clips in so many episodes, each of clips that follow each other."""
    rng = np.random.default_rng(1)
    begins = 96 * rng.permutation(DAYS - 20)[:days] + rng.integers(0, 96, days)
    return sorted(int(begin + n) for begin in begins for n in range(count // days))


def timed(what: str, work: Callable[[], Any], limit: float, repeats: int) -> None:
    work()
    took, worked = [], []
    for _ in range(repeats):
        began, processor = time.perf_counter(), time.process_time()
        work()
        took.append(1000 * (time.perf_counter() - began))
        worked.append(1000 * (time.process_time() - processor))
    median, late = np.percentile(took, (50, 95))
    print(f"| {what} | {median:.0f} | {late:.0f} | {np.median(worked):.0f} | {median / limit:.2f} of {limit:.0f} ms |")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.rerank", description=__doc__.split("\n")[0])
    parser.add_argument("--archive", type=Path, required=True, help="a folder of COMS pictures")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        root = init_root(folder)
        root.adopt({"coms": shipped_satellites()["coms"]})
        write_truth(root, SOURCE, real_day(options.archive), DAYS)
        store = histogram_store(root, SOURCE)
        print(f"load {load()}\n\n| {CANDIDATES} clips | wall ms | p95 | processor ms | |\n|---|---|---|---|---|")
        timed("in memory, uint8, one thread", in_memory(store, True), 50, options.repeats)
        timed("in memory, uint16, one thread", in_memory(store, False), 50, options.repeats)
        timed(f"from Zarr, {EPISODES} episodes", from_zarr(root, near(CANDIDATES, EPISODES)), 300, options.repeats)
        timed("from Zarr, apart", from_zarr(root, near(CANDIDATES, CANDIDATES)), 900, options.repeats)
        print(f"\nload at the end {load()}")


if __name__ == "__main__":
    main()
