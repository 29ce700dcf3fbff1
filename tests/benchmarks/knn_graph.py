"""The kNN graph against its peers, in one run: seconds, recall of the same edges, ratios.

    python -m tests.benchmarks.knn_graph --rows 100000 --rows 1000000 --peers brute,hnsw

What is asked for: of each row the 16 nearest of those that begin more than 24 hours away. Ours are, harder, one an
episode (clips of six hours, a quarter of an hour apart); recall is by the true edges of that rule. Peers know neither
rule: each is asked for so many neighbours (``--breadth``) that the rule can be applied to what it finds, and is given
the recall that comes of it. Brute force, too: BLAS over blocks of rows with the own day left out, which alone is the
least that an exact join does without knowing of time. The peers are installed by the extra `bench`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.benchmarks.report import load, machine
from tests.benchmarks.weather_series import Floats, series
from wxpipe.vectors.graph_episodes import EdgeRule, Edges, Numbers, choose, exact_edges, threads
from wxpipe.vectors.graph_join import Reach, join, measure_reach, rejoin
from wxpipe.vectors.graph_recall import Recall, found_share, measure_recall, stratify
from wxpipe.vectors.memory import TimeVectors

FIRST, CADENCE, HOURS = 1_293_840_000, 900, 6
RULE = EdgeRule()
EXPECTED = 200
"""Rows whose true edges are known, for the peers' recall."""


@dataclass(frozen=True)
class Timed:
    """What a way came to: seconds on the wall, and of all cores; of a peer's edges a recall alone is told."""

    seconds: float
    cpu: float
    recall: float


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What some work answers, and its seconds on the wall and of all cores."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = work()
    return answer, time.perf_counter() - wall, time.process_time() - cpu


def archive(rows: int, redness: float = 1.0) -> TimeVectors:
    """Clips that begin every quarter of an hour."""
    starts = FIRST + CADENCE * np.arange(rows, dtype=np.int64)
    return TimeVectors(starts, starts, starts + HOURS * 3600, series(rows, redness=redness))


def ours(rows: TimeVectors) -> tuple[Edges, Reach, Recall, dict[str, tuple[float, float]]]:
    """As `graph build` does it: what is measured first, the join, and the sample of the gate; seconds of each."""
    strata = stratify(rows.vectors)
    sample = np.concatenate(list(strata.draw(1, share=0.5).values()))
    reach, *measuring = timed(lambda: measure_reach(rows, sample, exact_edges(rows, sample, RULE)))
    edges, *joining = timed(lambda: join(rows, RULE, reach))
    recall, *checking = timed(lambda: measure_recall(rows, RULE, edges, strata, 2))
    took = {"measuring": measuring, "join": joining, "check": checking}
    whole = [sum(part[n] for part in took.values()) for n in (0, 1)]
    return edges, reach, recall, {name: (part[0], part[1]) for name, part in {**took, "all": whole}.items()}


def brute(rows: TimeVectors, _breadth: int) -> tuple[Numbers, Floats] | None:
    """BLAS with stored norms, the own day out, and the nearest of each row; episodes are not looked at."""
    vectors, lengths = rows.vectors, np.einsum("ij,ij->i", rows.vectors, rows.vectors)
    own, step = RULE.exclude // CADENCE, max(1, (1 << 26) // len(rows))
    found = np.empty((len(rows), RULE.k), np.int64)
    for first in range(0, len(rows), step):
        apart = vectors[first : first + step] @ vectors.T
        apart *= -2
        apart += lengths
        for n, row in enumerate(apart):
            row[max(0, first + n - own) : first + n + own + 1] = np.inf
        found[first : first + step] = np.argpartition(apart, RULE.k, axis=1)[:, : RULE.k]
    return None


def faiss_brute(rows: TimeVectors, breadth: int) -> tuple[Numbers, Floats]:
    """Exhaustive, so many of each row that episodes can be told apart."""
    import faiss

    faiss.omp_set_num_threads(threads())
    apart, found = faiss.knn(rows.vectors, rows.vectors, breadth)
    return found.astype(np.int64), apart


def hnsw(rows: TimeVectors, breadth: int) -> tuple[Numbers, Floats]:
    import faiss

    faiss.omp_set_num_threads(threads())
    index = faiss.IndexHNSWFlat(rows.vectors.shape[1], 16)
    index.hnsw.efConstruction = 100
    index.add(rows.vectors)
    index.hnsw.efSearch = max(256, breadth)
    apart, found = index.search(rows.vectors, breadth)
    return found.astype(np.int64), apart


def pynndescent(rows: TimeVectors, breadth: int) -> tuple[Numbers, Floats]:
    import pynndescent as peer

    # Its graph has no more neighbours than it is built with, and the own day alone takes some of them.
    index = peer.NNDescent(rows.vectors, n_neighbors=min(breadth, 60), random_state=0, n_jobs=threads())
    found, apart = index.neighbor_graph
    return found.astype(np.int64), (apart**2).astype(np.float32)


Peer = Callable[[TimeVectors, int], tuple[Numbers, Floats] | None]
PEERS: dict[str, Peer] = {"brute": brute, "faiss brute": faiss_brute, "hnsw": hnsw, "pynndescent": pynndescent}


def by_rule(rows: TimeVectors, sample: Numbers, found: Numbers, apart: Floats) -> Edges:
    """The edges that the rule makes of what a peer found of some rows."""
    edges = Edges.empty(len(sample), RULE.k)
    for n, row in enumerate(sample.tolist()):
        there = found[n][found[n] >= 0]
        own = np.abs(rows.starts[there] - rows.starts[row]) <= RULE.exclude
        distances = np.where(own, np.float32(np.inf), apart[n][: len(there)]).astype(np.float32)
        choose(there.astype(np.int32), distances, len(there), rows.starts, rows.ends, RULE.window, edges.targets[n],
               edges.distances[n])  # fmt: skip
        difference = rows.vectors[edges.targets[n]] - rows.vectors[row]
        exact = np.sqrt(np.einsum("ij,ij->i", difference, difference))
        edges.distances[n] = np.where(edges.targets[n] >= 0, exact, np.inf)
    return edges


def measure(count: int, peers: list[str], breadth: int, redness: float = 1.0) -> dict[str, Timed]:
    """Every way once; prints a line for each."""
    rows = archive(count, redness)
    warm = archive(2_000)
    rejoin(warm, RULE, *_first(warm), np.arange(2_000) > 1_900)  # compiled before anything is timed
    edges, reach, recall, took = ours(rows)
    parts = ", ".join(f"{name} {cpu:.1f} ({wall:.1f})" for name, (wall, cpu) in took.items() if name != "all")
    found = {"ours": Timed(*took["all"], recall.overall)}
    print(f"\n{count} rows of {rows.vectors.shape[1]}, redness {redness}, reach {reach.stretch:.2f}, load {load()}")
    print("seconds of all cores; those of the wall in brackets")
    print("| way | s | times ours | recall of our rule's edges | |")
    print("|---|---|---|---|---|")
    strata = ", ".join(f"{name} {share:.3f}" for name, share in recall.strata.items())
    print(f"| ours | {_told(found['ours'])} | 1 | {recall.overall:.3f} ({strata}) | {parts} |", flush=True)
    found["update"] = _update(rows, edges, reach)
    share = found["update"].cpu / took["join"][1]
    print(f"| ours, update of 1 % | {_told(found['update'])} | {share:.2f} of the join | "
          f"{found['update'].recall:.3f} | |", flush=True)  # fmt: skip
    sample = np.linspace(0, count - 1, EXPECTED).astype(np.int64)
    true = exact_edges(rows, sample, RULE)
    for name in peers:
        answer, wall, cpu = timed(lambda name=name: PEERS[name](rows, breadth))
        of = None if answer is None else by_rule(rows, sample, answer[0][sample], answer[1][sample])
        found[name] = Timed(wall, cpu, float("nan") if of is None else found_share(of, true))
        told = "own day out alone" if of is None else f"{found[name].recall:.3f}"
        times = cpu / found["ours"].cpu
        print(f"| {name} | {_told(found[name])} | {times:.2f} | {told} | load {load()} |", flush=True)
    return found


def _told(took: Timed) -> str:
    return f"{took.cpu:.1f} ({took.seconds:.1f})"


def _first(rows: TimeVectors) -> tuple[Reach, Edges]:
    _, reach, _, _ = ours(rows)
    return reach, Edges.empty(len(rows), RULE.k)


def _update(rows: TimeVectors, edges: Edges, reach: Reach) -> Timed:
    """One row in a hundred, of whole days spread through the archive, comes again with other values."""
    days = (rows.starts - FIRST) // 86_400
    changed = days % 100 == 50
    rng = np.random.default_rng(3)
    vectors = rows.vectors.copy()
    vectors[changed] += 0.05 * rng.standard_normal((int(changed.sum()), vectors.shape[1]), dtype=np.float32)
    now = TimeVectors(rows.ids, rows.starts, rows.ends, vectors)
    lost = changed[edges.targets] | changed[:, np.newaxis] | (edges.targets < 0)
    there = Edges(np.where(lost, -1, edges.targets), np.where(lost, np.float32(np.inf), edges.distances))
    done, wall, cpu = timed(lambda: rejoin(now, RULE, reach, there, changed))
    return Timed(wall, cpu, measure_recall(now, RULE, done.edges, stratify(vectors), 7).overall)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.knn_graph", description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, action="append", help="100000 where none is given; may be repeated")
    parser.add_argument("--peers", default=",".join(PEERS), help="comma separated; none: -")
    parser.add_argument("--breadth", type=int, default=400, help="neighbours that peers are asked for")
    parser.add_argument("--redness", type=float, default=1.0, help="see weather_series")
    options = parser.parse_args()
    print(machine().replace("threads = 1", f"threads = {threads()}"))
    for rows in options.rows or [100_000]:
        measure(rows, [name for name in options.peers.split(",") if name in PEERS], options.breadth, options.redness)
    print(f"load at the end {load()}")


if __name__ == "__main__":
    main()
