"""Search in memory against its peers, at equal recall, in one run; ratios of times, never times alone.

    python -m tests.benchmarks.search_speed --rows 350000 --rows 1000000

Every peer that can be tuned is given, in each window, the least effort at which it finds .99 of the true nearest;
where none is enough it has no figure. Queries come from days after the last that is searched. Methods take turns at
each query; a ratio is of medians. `hnswlib` has no filter but a Python callback, and PyNNDescent none: both are asked
for all rows alone. The peers are installed by the extra `bench`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.report import THREAD_VARIABLES, load, machine

os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))

import numpy as np
import numpy.typing as npt

from tests.benchmarks.weather_series import Floats, series
from wxpipe.vectors.memory import TimeVectors
from wxpipe.vectors.planner import Planner
from wxpipe.vectors.ranges import Ranges
from wxpipe.vectors.times import TimeFilter

WINDOWS = (0.001, 0.01, 0.05, 0.25, 1.0)
EFFORTS = {"faiss IVF": (4, 16, 64, 128, 256), "faiss HNSW": (32, 64, 128, 256, 512, 1024),
           "hnswlib": (32, 64, 128, 256, 512, 1024), "PyNNDescent": (0.1, 0.2, 0.3, 0.5)}  # fmt: skip
UNSEEN_ROWS = 96 * 60
FIRST = 1_293_840_000
"""1 January 2011."""
CADENCE = 900
RECALL = 0.99

Found = npt.NDArray[np.int64]
Way = Callable[[Floats, Ranges, int], Found]


@dataclass(frozen=True)
class Archive:
    """What is searched, its squared lengths, and queries from days after it."""

    rows: TimeVectors
    norms: Floats
    queries: Floats

    @classmethod
    def make(cls, rows: int, queries: int, redness: float = 1.0) -> Archive:
        vectors = series(rows + UNSEEN_ROWS, redness=redness)
        starts = FIRST + CADENCE * np.arange(rows, dtype=np.int64)
        there = TimeVectors(starts, starts, starts + 6 * 3600, vectors[:rows])
        unseen = np.linspace(rows + 192, rows + UNSEEN_ROWS - 1, queries).astype(int)
        return cls(there, np.einsum("ij,ij->i", vectors[:rows], vectors[:rows]), vectors[unseen])

    def filters(self) -> dict[str, Ranges]:
        """The windows, and what a forecaster asks, by name."""
        count = len(self.rows)
        found = {}
        for share in WINDOWS:
            size = int(share * count)
            found[f"{100 * share:g} %"] = Ranges.one((count - size) // 3, (count - size) // 3 + size)
        times = {"season": TimeFilter(season=(7, 15)), "hour": TimeFilter(hours=(6, 7)),
                 "season x years": TimeFilter(season=(7, 15), years=(2012, 2014))}  # fmt: skip
        found |= {name: self.rows.within(asked) for name, asked in times.items()}
        found["mask of 1 %"] = Ranges.from_mask(np.random.default_rng(1).random(count) < 0.01)
        return found


def ways(archive: Archive, only: str = "") -> dict[str, Callable[[float], Way]]:
    """Every method by name: given an effort, a function of query, rows and k."""
    import faiss

    faiss.omp_set_num_threads(1)
    vectors, norms = archive.rows.vectors, archive.norms
    planner = Planner.over(vectors)
    print(f"planner: sketches from {planner.sketch_from} rows on", flush=True)

    def gathered(rows: Ranges) -> Any:
        return slice(int(rows.starts[0]), int(rows.stops[0])) if len(rows) == 1 else rows.rows()

    def numbered(place: Any, found: Found) -> Found:
        return found + place.start if isinstance(place, slice) else place[found]

    def ours(query: Floats, rows: Ranges, k: int) -> Found:
        return planner.nearest(query, rows, k)[1]

    def blas(query: Floats, rows: Ranges, k: int) -> Found:
        place = gathered(rows)
        apart = norms[place] - 2 * (vectors[place] @ query)
        return numbered(place, np.argpartition(apart, k - 1)[:k])

    def naive(query: Floats, rows: Ranges, k: int) -> Found:
        place = gathered(rows)
        return numbered(place, np.argsort(((vectors[place] - query) ** 2).sum(axis=1))[:k])

    def flat(query: Floats, rows: Ranges, k: int) -> Found:
        place = gathered(rows)
        return numbered(place, faiss.knn(query[np.newaxis], vectors[place], k)[1][0])

    found: dict[str, Callable[[float], Way]] = {
        "planner": lambda _: ours, "BLAS": lambda _: blas, "naive": lambda _: naive, "faiss.knn": lambda _: flat,
    }  # fmt: skip
    builders = {"faiss IVF": _ivf, "faiss HNSW": _hnsw, "hnswlib": _hnswlib, "PyNNDescent": _pynndescent}
    for name, build in builders.items():
        if only and name not in only.split(","):
            continue
        began = time.perf_counter()
        found[name] = build(vectors)
        print(f"{name}: built in {time.perf_counter() - began:.0f} s, load {load()}", flush=True)
    return found


def _selected(index: Any, parameters: Callable[..., Any], vectors: Floats) -> Way:
    import faiss

    def way(query: Floats, rows: Ranges, k: int) -> Found:
        if len(rows) == 1 and rows.count == len(vectors):
            asked = parameters()
        elif len(rows) == 1:
            asked = parameters(sel=faiss.IDSelectorRange(int(rows.starts[0]), int(rows.stops[0])))
        else:
            asked = parameters(sel=faiss.IDSelectorBitmap(rows.bitmap(len(vectors))))
        found: Found = index.search(query[np.newaxis], k, params=asked)[1][0]
        return found

    return way


def _ivf(vectors: Floats) -> Callable[[float], Way]:
    import faiss

    index = faiss.index_factory(vectors.shape[1], f"IVF{max(16, round(1.7 * len(vectors) ** 0.5))},Flat")
    index.train(vectors[:: max(1, len(vectors) // 100_000)].copy())
    index.add(vectors)
    return lambda probes: _selected(
        index, lambda **more: faiss.SearchParametersIVF(nprobe=int(probes), **more), vectors
    )


def _hnsw(vectors: Floats) -> Callable[[float], Way]:
    import faiss

    index = faiss.IndexHNSWFlat(vectors.shape[1], 16)
    index.hnsw.efConstruction = 100
    index.add(vectors)
    return lambda effort: _selected(
        index, lambda **more: faiss.SearchParametersHNSW(efSearch=int(effort), **more), vectors
    )


def _hnswlib(vectors: Floats) -> Callable[[float], Way]:
    import hnswlib

    index = hnswlib.Index("l2", vectors.shape[1])
    index.init_index(len(vectors), ef_construction=100, M=16)
    index.set_num_threads(1)
    index.add_items(vectors)

    def at(effort: float) -> Way:
        def way(query: Floats, rows: Ranges, k: int) -> Found:
            if rows.count != len(vectors):
                return np.zeros(0, np.int64)
            index.set_ef(max(int(effort), k))
            return index.knn_query(query, k)[0][0].astype(np.int64)

        return way

    return at


def _pynndescent(vectors: Floats) -> Callable[[float], Way]:
    import pynndescent

    index = pynndescent.NNDescent(vectors, n_neighbors=30, random_state=0, n_jobs=1)
    index.prepare()

    def at(effort: float) -> Way:
        def way(query: Floats, rows: Ranges, k: int) -> Found:
            if rows.count != len(vectors):
                return np.zeros(0, np.int64)
            return index.query(query[np.newaxis], k=k, epsilon=effort)[0][0].astype(np.int64)

        return way

    return at


def recall(archive: Archive, query: Floats, rows: Ranges, found: Found, k: int) -> float:
    """Share of the true k nearest, told by float64 distances: equal distances in another order do no harm."""
    vectors = archive.rows.vectors
    near = archive.norms[rows.rows()] - 2 * (vectors[rows.rows()] @ query)
    close = rows.rows()[np.argsort(near)[: 2 * k + 16]]
    true = np.sort(((vectors[close].astype(np.float64) - query) ** 2).sum(axis=1))[:k]
    found = found[found >= 0]
    apart = ((vectors[found].astype(np.float64) - query) ** 2).sum(axis=1)
    return float((apart <= true[-1] * (1 + 1e-6)).sum() / len(true))


def tuned(archive: Archive, name: str, make: Callable[[float], Way], rows: Ranges, k: int) -> tuple[Way | None, float]:
    """The method at the least effort that is enough, and its recall."""
    reached = 0.0
    for effort in EFFORTS.get(name, (0,)):
        way = make(effort)
        reached = float(np.mean([recall(archive, q, rows, way(q, rows, k), k) for q in archive.queries[::3]]))
        if reached >= RECALL:
            return way, reached
    return None, reached


def compare(archive: Archive, found: Mapping[str, Callable[[float], Way]], k: int) -> None:
    """Prints a line for each filter and method."""
    print(f"\nk = {k}, load {load()}")
    print("| filter | rows | method | recall | median us | p99 us | QPS, 2 threads | planner is |")
    print("|---|---|---|---|---|---|---|---|")
    for name, rows in archive.filters().items():
        if rows.count < k:
            continue
        able: dict[str, Way] = {}
        recalls = {}
        for method, make in found.items():
            way, recalls[method] = tuned(archive, method, make, rows, k)
            if way is not None:
                able[method] = way
        took: dict[str, list[float]] = {method: [] for method in able}
        for query in archive.queries:
            for method, way in able.items():
                began = time.perf_counter()
                way(query, rows, k)
                took[method].append(time.perf_counter() - began)
        own = float(np.median(took["planner"]))
        for method in found:
            if method not in able:
                if recalls[method]:
                    print(f"| {name} | {rows.count} | {method} | {recalls[method]:.3f} | not .99 at any effort | | | |")
                continue
            median, late = np.percentile(took[method], (50, 99))
            both = _throughput(able[method], archive, rows, k)
            print(f"| {name} | {rows.count} | {method} | {recalls[method]:.3f} | {1e6 * median:.0f} | {1e6 * late:.0f} "
                  f"| {both:.0f} | {median / own:.2f} times as fast |", flush=True)  # fmt: skip


def _throughput(way: Way, archive: Archive, rows: Ranges, k: int) -> float:
    """Queries a second, two threads at once."""
    with ThreadPoolExecutor(2) as pool:
        began = time.perf_counter()
        list(pool.map(lambda query: way(query, rows, k), archive.queries))
        return len(archive.queries) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.search_speed", description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, action="append", help="vectors; may be given more than once")
    parser.add_argument("--k", type=int, action="append", help="neighbours; 10, 50, 100 and 500 where none is given")
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--redness", type=float, default=1.0, help="see weather_series")
    parser.add_argument("--peers", default="", help="built indices, comma separated: " + ", ".join(EFFORTS))
    options = parser.parse_args()
    print(machine())
    for rows in options.rows or [350_000]:
        archive = Archive.make(rows, options.queries, options.redness)
        print(f"\n{rows} vectors of 128, redness {options.redness}")
        found = ways(archive, options.peers)
        for k in options.k or [10, 50, 100, 500]:
            compare(archive, found, k)
    print(f"load at the end {load()}")


if __name__ == "__main__":
    main()
