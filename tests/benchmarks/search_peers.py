"""What search in memory is compared with: every peer as a function of query, rows and k, at an effort that tunes it.

Peers get what they can use: slices where a filter is few ranges, faiss its own range and bitmap selectors, made once a
filter and not once a query. What a peer cannot do (hnswlib filters by a Python callback, PyNNDescent not at all) it is
not asked.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.benchmarks.weather_series import Floats, series
from wxpipe.vectors.memory import TimeVectors
from wxpipe.vectors.planner import Planner
from wxpipe.vectors.ranges import Ranges
from wxpipe.vectors.times import TimeFilter

Found = npt.NDArray[np.int64]
Way = Callable[[Floats, Ranges, int], Found]
Method = Callable[[float], Way | None]
"""A way at an effort."""

UNSEEN_ROWS = 96 * 60
FIRST = 1_293_840_000
"""1 January 2011."""
CADENCE = 900
WINDOWS = (0.001, 0.01, 0.05, 0.25, 1.0)
FEW_SLICES = 64
EFFORTS: dict[str, tuple[float, ...]] = {
    "faiss IVF": (4, 8, 16, 32, 64, 96, 128, 192, 256, 512),
    "faiss HNSW": (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048),
    "hnswlib": (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048),
    "PyNNDescent": (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4),
}
"""nprobe, efSearch, ef, epsilon; from quick to careful."""
LANCE = "LanceDB"
KEEP = "WXPIPE_BENCHMARK_INDEXES"
"""A folder: graphs that are built once are read from it in later runs."""


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
        return {name: rows for name, rows in found.items() if rows.count}


def planner_method(planner: Planner, *, exact: bool = False) -> Method:
    return lambda _: lambda query, rows, k: planner.nearest(query, rows, k, exact=exact)[1]


def blas_method(archive: Archive) -> Method:
    """Binary search (the ranges are it), stored norms and BLAS; nearest first, as all others answer."""
    vectors, norms = archive.rows.vectors, archive.norms

    def nearest(apart: Floats, k: int) -> Found:
        found = np.argpartition(apart, k - 1)[:k]
        return found[np.argsort(apart[found])]

    def way(query: Floats, rows: Ranges, k: int) -> Found:
        if len(rows) == 1:
            start, stop = int(rows.starts[0]), int(rows.stops[0])
            apart = norms[start:stop] - 2 * (vectors[start:stop] @ query)
            return nearest(apart, k) + start
        if len(rows) <= FEW_SLICES:
            slices = zip(rows.starts.tolist(), rows.stops.tolist(), strict=True)
            apart = np.concatenate([norms[start:stop] - 2 * (vectors[start:stop] @ query) for start, stop in slices])
            return rows.rows()[nearest(apart, k)]
        place = rows.rows()
        apart = norms[place] - 2 * (vectors[place] @ query)
        return place[nearest(apart, k)]

    return lambda _: way


def naive_method(archive: Archive) -> Method:
    """Differences, squares, a full sort: as the published comparison's brute force."""
    vectors = archive.rows.vectors

    def way(query: Floats, rows: Ranges, k: int) -> Found:
        if len(rows) == 1:
            start, stop = int(rows.starts[0]), int(rows.stops[0])
            return np.argsort(((vectors[start:stop] - query) ** 2).sum(axis=1))[:k] + start
        place = rows.rows()
        return place[np.argsort(((vectors[place] - query) ** 2).sum(axis=1))[:k]]

    return lambda _: way


def flat_method(archive: Archive) -> Method:
    """faiss.knn, a slice at a time where there are few."""
    import faiss

    vectors = archive.rows.vectors

    def way(query: Floats, rows: Ranges, k: int) -> Found:
        asked = query[np.newaxis]
        if len(rows) == 1:
            start, stop = int(rows.starts[0]), int(rows.stops[0])
            found: Found = faiss.knn(asked, vectors[start:stop], k)[1][0] + start
            return found
        if len(rows) > FEW_SLICES:
            place = rows.rows()
            gathered: Found = place[faiss.knn(asked, vectors[place], k)[1][0]]
            return gathered
        apart, places = [], []
        for start, stop in zip(rows.starts.tolist(), rows.stops.tolist(), strict=True):
            distances, near = faiss.knn(asked, vectors[start:stop], min(k, stop - start))
            apart.append(distances[0])
            places.append(near[0] + start)
        return np.concatenate(places)[np.argsort(np.concatenate(apart))[:k]]

    return lambda _: way


def ivf_method(archive: Archive) -> Method:
    import faiss

    vectors = archive.rows.vectors
    index = faiss.index_factory(vectors.shape[1], f"IVF{max(16, round(1.7 * len(vectors) ** 0.5))},Flat")
    index.train(vectors[:: max(1, len(vectors) // 50_000)].copy())
    index.add(vectors)
    return lambda probes: _selected(
        index, lambda **more: faiss.SearchParametersIVF(nprobe=int(probes), **more), vectors
    )


def hnsw_method(archive: Archive) -> Method:
    import faiss

    vectors = archive.rows.vectors
    kept = _kept("faiss-hnsw", vectors)
    if kept is not None and kept.exists():
        index = faiss.read_index(str(kept))
    else:
        index = faiss.IndexHNSWFlat(vectors.shape[1], 16)
        index.hnsw.efConstruction = 100
        index.add(vectors)
        if kept is not None:
            faiss.write_index(index, str(kept))
    return lambda effort: _selected(
        index, lambda **more: faiss.SearchParametersHNSW(efSearch=int(effort), **more), vectors
    )


def _kept(name: str, vectors: Floats) -> Path | None:
    """Where an index that takes minutes to build is kept from run to run, where that was asked for."""
    folder = os.environ.get(KEEP)
    digest = hashlib.sha256(vectors[:: max(1, len(vectors) // 1000)].tobytes()).hexdigest()[:12]
    return Path(folder) / f"{name}-{len(vectors)}-{digest}" if folder else None


def _selected(index: Any, parameters: Callable[..., Any], vectors: Floats) -> Way:
    import faiss

    kept: dict[int, Any] = {}

    def of(rows: Ranges) -> Any:
        if len(rows) == 1 and rows.count == len(vectors):
            return parameters()
        if len(rows) == 1:
            return parameters(sel=faiss.IDSelectorRange(int(rows.starts[0]), int(rows.stops[0])))
        if len(rows) == 2 and rows.starts[0] == 0 and rows.stops[1] == len(vectors):
            own = faiss.IDSelectorRange(int(rows.stops[0]), int(rows.starts[1]))
            return parameters(sel=faiss.IDSelectorNot(own))
        return parameters(sel=faiss.IDSelectorBitmap(rows.bitmap(len(vectors))))

    def way(query: Floats, rows: Ranges, k: int) -> Found:
        if id(rows) not in kept:
            kept[id(rows)] = (rows, of(rows))  # the rows too, so that no other ones take their place
        found: Found = index.search(query[np.newaxis], k, params=kept[id(rows)][1])[1][0]
        return found

    return way


def hnswlib_method(archive: Archive) -> Method:
    import hnswlib

    vectors = archive.rows.vectors
    index, kept = hnswlib.Index("l2", vectors.shape[1]), _kept("hnswlib", vectors)
    if kept is not None and kept.exists():
        index.load_index(str(kept))
    else:
        index.init_index(len(vectors), ef_construction=100, M=16)
        index.set_num_threads(1)
        index.add_items(vectors)
        if kept is not None:
            index.save_index(str(kept))
    index.set_num_threads(1)

    def at(effort: float) -> Way:
        def way(query: Floats, rows: Ranges, k: int) -> Found:
            if rows.count != len(vectors):
                return np.zeros(0, np.int64)
            index.set_ef(max(int(effort), k))
            return index.knn_query(query, k)[0][0].astype(np.int64)

        return way

    return at


def pynndescent_method(archive: Archive) -> Method:
    import pynndescent

    vectors = archive.rows.vectors
    index = pynndescent.NNDescent(vectors, n_neighbors=30, random_state=0, n_jobs=1)
    index.prepare()

    def at(effort: float) -> Way:
        def way(query: Floats, rows: Ranges, k: int) -> Found:
            if rows.count != len(vectors):
                return np.zeros(0, np.int64)
            return index.query(query[np.newaxis], k=k, epsilon=effort)[0][0].astype(np.int64)

        return way

    return at


def lance_method(archive: Archive) -> Method:
    """The path of the command line: its index, its choice between index and scan, its filters in SQL."""
    import lancedb
    import pyarrow as pa

    from wxpipe.vectors.index import ensure_index, exact_probes, is_narrow, nearest

    vectors, starts = archive.rows.vectors, archive.rows.starts
    count, width = vectors.shape
    folder = Path(tempfile.mkdtemp(prefix="search-speed-"))
    masked = archive.filters().get("mask of 1 %", Ranges.none()).mask(count)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), width)
    moments = starts.astype("datetime64[s]")
    months = moments.astype("datetime64[M]").astype(np.int64) % 12 + 1
    rows = pa.table({
        "source": pa.array(["coms-ea"] * count).dictionary_encode().cast(pa.string()), "start_epoch": starts,
        "month": months, "hour": starts // 3600 % 24, "chosen": masked, "vector": flat,
    })  # fmt: skip
    table = lancedb.connect(str(folder)).create_table("clips", rows)
    index = ensure_index(table, count)
    print(f"LanceDB: {index}", flush=True)

    def where(rows: Ranges) -> str:
        if len(rows) == 1 and rows.count == count:
            return ""
        if len(rows) <= FEW_SLICES:
            spans = zip(starts[rows.starts].tolist(), starts[rows.stops - 1].tolist(), strict=True)
            return " OR ".join(f"(start_epoch >= {start} AND start_epoch <= {stop})" for start, stop in spans)
        if rows == Ranges.from_mask(masked):
            return "chosen"
        return "(start_epoch % 86400) >= 21600 AND (start_epoch % 86400) < 25200"

    def way(query: Floats, rows: Ranges, k: int) -> Found:
        by_time, kind = 1 < len(rows) <= FEW_SLICES or rows.count < count, index["kind"]
        by_time &= len(rows) <= FEW_SLICES
        exact = kind == "exact" or is_narrow(count, rows.count)
        probes = exact_probes(kind, rows.count, by_time) if exact else index["probes"]
        found = nearest(table, query, k, where(rows), probes=probes, columns=["start_epoch"])
        return (found["start_epoch"].to_numpy() - FIRST) // CADENCE  # type: ignore[no-any-return]

    return lambda _: way


PEERS: dict[str, Callable[[Archive], Method]] = {
    "BLAS": blas_method, "naive": naive_method, "faiss.knn": flat_method, "faiss IVF": ivf_method,
    "faiss HNSW": hnsw_method, "hnswlib": hnswlib_method, "PyNNDescent": pynndescent_method, LANCE: lance_method,
}  # fmt: skip
