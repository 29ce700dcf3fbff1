"""Search in memory against its peers, at equal recall, in one run; ratios of times, never times alone.

    python -m tests.benchmarks.search_speed --rows 350000 --rows 1000000

Every peer that can be tuned is given, for each filter and k, the least effort at which it finds .99 of the true nearest
of the very queries that are timed; where none is enough it has no figure. The planner is not tuned: it has what it
measured on the archive's own vectors. Queries come from days after the last that is searched. Methods take turns, ten
queries each; a ratio is of medians of processor time, since others may be busy on the machine, and what the wall says
stands beside it. The peers are installed by the extra `bench`.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.report import THREAD_VARIABLES, load, machine

os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))

import numpy as np
import numpy.typing as npt

from tests.benchmarks.search_peers import (
    CADENCE,
    EFFORTS,
    FIRST,
    LANCE,
    PEERS,
    Archive,
    Found,
    Method,
    Way,
    planner_method,
)  # fmt: skip
from tests.benchmarks.weather_series import Floats
from wxpipe.vectors.candidates import Candidates
from wxpipe.vectors.planner import Planner
from wxpipe.vectors.ranges import Ranges
from wxpipe.vectors.search import group

RECALL = 0.99
MOST_K = 500
BATCH = 10
SECONDS_A_METHOD = 4.0
TUNED_BY = 30
OWN, OWN_EXACT = "planner", "planner, exact"
EPISODES, FIRST_CANDIDATES, GROWTH = 10, 80, 4
DAY_ROWS, CLIP_SECONDS = 96, 6 * 3600


@dataclass
class Timed:
    """A method in one table: its way at its effort, recall, seconds of each query, of a processor and on the wall."""

    way: Way | None
    effort: float
    recall: float
    queries: int = 0
    took: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    both: float = 0.0
    """Queries a second, of two threads together."""

    @property
    def median(self) -> float:
        return float(np.median(self.took))


def methods(archive: Archive, names: Sequence[str]) -> dict[str, Method]:
    """The planner and those peers, built."""
    import faiss

    faiss.omp_set_num_threads(1)
    began = time.perf_counter()
    planner = Planner.over(archive.rows.vectors)
    print(f"planner: loaded in {time.perf_counter() - began:.1f} s, {planner.care}, sketches from "
          f"{planner.sketch_from} rows on, {planner.sketch.nbytes / len(archive.rows):.0f} bytes a row beside the "
          f"vectors; load {load()}", flush=True)  # fmt: skip
    found = {OWN: planner_method(planner), OWN_EXACT: planner_method(planner, exact=True)}
    for name in names:
        began = time.perf_counter()
        found[name] = PEERS[name](archive)
        print(f"{name}: built in {time.perf_counter() - began:.0f} s; load {load()}", flush=True)
    return found


def true_distances(archive: Archive, rows: Ranges) -> list[npt.NDArray[np.float64]]:
    """Of each query the squared distances of the MOST_K nearest, float64."""
    vectors, places, found = archive.rows.vectors, rows.rows(), []
    there = vectors[int(rows.starts[0]) : int(rows.stops[0])] if len(rows) == 1 else vectors[places]
    norms = archive.norms[places]
    for query in archive.queries:
        apart = norms - 2 * (there @ query)
        wanted = min(len(places), MOST_K + 16)
        close = places[np.argpartition(apart, wanted - 1)[:wanted]]
        found.append(np.sort(_squared(vectors[close], query))[:MOST_K])
    return found


def recall(archive: Archive, query: Floats, found: Found, true: npt.NDArray[np.float64], k: int) -> float:
    """Share of the true k nearest, told by distances: equal ones in another order do no harm."""
    apart = _squared(archive.rows.vectors[found[found >= 0]], query)
    return float((apart <= true[k - 1] * (1 + 1e-6)).sum() / k)


def _squared(vectors: Floats, query: Floats) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = ((vectors.astype(np.float64) - query) ** 2).sum(axis=1)
    return found


def tuned(
    archive: Archive, name: str, method: Method, rows: Ranges, k: int, true: Sequence[npt.NDArray[np.float64]]
) -> Timed:
    """The method at the least effort that is enough."""
    step = max(1, len(archive.queries) // TUNED_BY)
    if name in (LANCE, "naive"):
        step *= 3
    best = Timed(None, 0, 0.0)
    for effort in EFFORTS.get(name, (0,)):
        way = method(effort)
        began = time.perf_counter()
        asked = range(0, len(archive.queries), step)
        shares = [recall(archive, q, way(q, rows, k), true[n], k) for n in asked for q in [archive.queries[n]]]
        took = (time.perf_counter() - began) / len(asked)
        best = Timed(way if np.mean(shares) >= RECALL else None, effort, float(np.mean(shares)))
        best.queries = int(np.clip(SECONDS_A_METHOD / took, BATCH, len(archive.queries)))
        if best.way is not None or not best.recall:
            break
    return best


def measure(archive: Archive, timed: Mapping[str, Timed], rows: Ranges, k: int) -> None:
    """Takes the time of every query of every method, ten at a turn, and of two threads."""
    able = {name: one for name, one in timed.items() if one.way is not None}
    for first in range(0, len(archive.queries), BATCH):
        # Another begins each time: who asks first has the rows brought into the cache for the others.
        begin = first // BATCH % len(able)
        for one in [*list(able.values())[begin:], *list(able.values())[:begin]]:
            for query in archive.queries[first : min(first + BATCH, one.queries)]:
                began, worked = time.perf_counter(), time.process_time()
                one.way(query, rows, k)
                one.took.append(time.process_time() - worked)
                one.wall.append(time.perf_counter() - began)
    for one in able.values():
        one.both = _by_two(lambda query, way=one.way: way(query, rows, k), archive.queries[: one.queries])


def _by_two(work: Callable[[Floats], object], queries: Floats) -> float:
    """Queries a second, two threads at once, each with half of the queries."""

    def loop(part: Floats) -> None:
        start.wait()
        for query in part:
            work(query)

    start = threading.Barrier(3)
    threads = [threading.Thread(target=loop, args=(queries[n::2],)) for n in range(2)]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return len(queries) / (time.perf_counter() - began)


def compare(archive: Archive, found: Mapping[str, Method], k: int, truths: dict[str, list[npt.NDArray[np.float64]]],
            only: Sequence[str] = ()) -> dict[str, dict[str, Timed]]:  # fmt: skip
    """Prints a line for each filter and method; figures by filter and method."""
    print(f"\nk = {k}, load {load()}")
    print("| filter | rows | method | effort | recall | median us | wall us | p99, wall us | QPS | QPS, 2 threads "
          "| planner is |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    result = {}
    for name, rows in archive.filters().items():
        if rows.count < 2 * k or (only and name not in only):
            continue
        if name not in truths:
            truths[name] = true_distances(archive, rows)
        timed = {method: tuned(archive, method, make, rows, k, truths[name]) for method, make in found.items()}
        measure(archive, timed, rows, k)
        result[name] = timed
        for method, one in timed.items():
            print(_line(name, rows, method, one, timed[OWN]), flush=True)
    return result


def _line(name: str, rows: Ranges, method: str, one: Timed, own: Timed) -> str:
    effort = f"{one.effort:g}" if method in EFFORTS else ""
    begin = f"| {name} | {rows.count} | {method} | {effort} |"
    if one.way is None:
        reached = f"{one.recall:.3f} | not .99 at any effort" if one.recall else "| cannot filter"
        return f"{begin} {reached} | | | | | |"
    middle, late = np.percentile(one.wall, (50, 99)) * 1e6
    ratio = f"{one.median / own.median:.2f} times as fast" if own.way is not None else "below .99"
    figures = (f"{one.recall:.3f}", f"{1e6 * one.median:.0f}", f"{middle:.0f}", f"{late:.0f}",
               f"{len(one.wall) / sum(one.wall):,.0f}", f"{one.both:,.0f}", ratio)  # fmt: skip
    return f"{begin} {' | '.join(figures)} |"


def summary(result: Mapping[str, Mapping[str, Timed]]) -> str:
    """The planner beside BLAS and the best single peer of each filter, and how far each fixed method falls behind."""
    lines = ["| filter | planner us | against BLAS | best peer | against it |", "|---|---|---|---|---|"]
    worst: dict[str, tuple[float, str]] = {}
    for name, timed in result.items():
        own = timed[OWN]
        peers = {method: one for method, one in timed.items() if method not in (OWN, OWN_EXACT) and one.took}
        if not own.took or not peers:
            lines.append(f"| {name} | below .99 | | | |")
            continue
        for method in timed.keys() - {OWN, OWN_EXACT}:
            ratio = peers[method].median / own.median if method in peers else np.inf
            worst[method] = max(worst.get(method, (0.0, "")), (ratio, name))
        best = min(peers, key=lambda method: peers[method].median)
        blas = f"{peers['BLAS'].median / own.median:.1f}" if "BLAS" in peers else ""
        lines.append(f"| {name} | {1e6 * own.median:.0f} | {blas} | {best} | {peers[best].median / own.median:.2f} |")
    lines += ["", "| always this | is so many times slower than the planner | at |", "|---|---|---|"]
    lines += [f"| {method} | {ratio:.1f} | {name} |" for method, (ratio, name) in sorted(worst.items())]
    return "\n".join(lines)


def episodes(archive: Archive, found: Mapping[str, Method], efforts: Mapping[str, float]) -> None:
    """Prints what the first ten episodes of rows of the archive take, their own 24 hours out; candidates grow."""
    count = len(archive.rows)
    asked = np.linspace(DAY_ROWS, count - DAY_ROWS - 1, min(60, len(archive.queries))).astype(int).tolist()
    print(f"\nfirst {EPISODES} episodes, own 24 h out, load {load()}")
    print("| method | effort | right | median us | p99 us | planner is |")
    print("|---|---|---|---|---|---|")
    kept: dict[str, list[list[int]]] = {}
    took: dict[str, list[float]] = {name: [] for name in found}
    for row in asked:
        rows = Ranges.of([0, row + DAY_ROWS + 1], [row - DAY_ROWS, count])
        for name, method in found.items():
            way = method(efforts.get(name, 0))
            if way is None or name in ("naive", LANCE, "hnswlib", "PyNNDescent"):
                continue
            began = time.process_time()
            kept.setdefault(name, []).append(_episodes(archive, way, archive.rows.vectors[row], rows))
            took[name].append(time.process_time() - began)
    for name, answers in kept.items():
        right = np.mean([len(set(a) & set(b)) / EPISODES for a, b in zip(answers, kept[OWN_EXACT], strict=True)])
        median, late = np.percentile(took[name], (50, 99)) * 1e6
        print(f"| {name} | {efforts.get(name, 0):g} | {right:.3f} | {median:.0f} | {late:.0f} | "
              f"{median / 1e6 / np.median(took[OWN]):.2f} times as fast |", flush=True)  # fmt: skip


def _episodes(archive: Archive, way: Way, query: Floats, rows: Ranges) -> list[int]:
    """The best row of each of the first episodes, as `search` finds them."""
    limit = FIRST_CANDIDATES
    while True:
        near = way(query, rows, min(limit, rows.count))
        near = near[near >= 0]
        near = near[np.argsort(_squared(archive.rows.vectors[near], query), kind="stable")]
        starts = FIRST + CADENCE * near
        groups = group(Candidates([], starts, starts + CLIP_SECONDS, starts.astype(np.float64)), EPISODES, True)
        if len(groups) >= EPISODES or limit >= rows.count:
            return [int(near[members[0]]) for members in groups]
        limit *= GROWTH


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.search_speed", description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, action="append", help="vectors; may be given more than once")
    parser.add_argument("--k", type=int, action="append", help="neighbours; 10, 50, 100 and 500 where none is given")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--redness", type=float, default=1.0, help="see weather_series")
    parser.add_argument("--filters", default="", help="comma separated; all where none is given")
    parser.add_argument("--peers", default=",".join(PEERS), help="comma separated: " + ", ".join(PEERS))
    options = parser.parse_args()
    print(machine())
    for rows in options.rows or [350_000]:
        archive = Archive.make(rows, options.queries, options.redness)
        print(f"\n{rows} vectors of 128, redness {options.redness}")
        found = methods(archive, [name for name in options.peers.split(",") if name])
        truths: dict[str, list[npt.NDArray[np.float64]]] = {}
        efforts: dict[str, float] = {}
        for k in options.k or [10, 50, 100, 500]:
            result = compare(archive, found, k, truths, [name for name in options.filters.split(",") if name])
            print(f"\nk = {k}\n{summary(result)}", flush=True)
            efforts |= {name: one.effort for name, one in result.get("100 %", {}).items() if k <= 100}
        episodes(archive, found, efforts)
    print(f"load at the end {load()}")


if __name__ == "__main__":
    main()
