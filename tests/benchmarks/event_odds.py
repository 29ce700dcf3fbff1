"""Event odds over an archive of clips, against asking of each clip which events it sees.

    python -m tests.benchmarks.event_odds

Climatology is counted over all clips (no season): the most that a query can ask for.
"""

from __future__ import annotations

import argparse

import numpy as np

from tests.benchmarks.report import Row, Samples, load, machine, table
from wxpipe.vectors.event_odds import Comparable, Ints, Kind, count, occurs, odds, within_record

HOUR = 3600
SLOT = 900


def measure(clips: int, events: int, kinds: int, repeats: int) -> list[Row]:
    """Counts that are equal, by both ways, over all kinds of event; then the odds of ten analogs."""
    rng = np.random.default_rng(1)
    anchors: Ints = np.arange(clips, dtype=np.int64) * SLOT
    made = [_kind(f"type {n}", rng, events // kinds, clips * SLOT) for n in range(kinds)]
    ours, peer = Samples(), Samples()
    for _ in range(repeats):
        found = ours.time("count", lambda: [count(kind, anchors, 12 * HOUR) for kind in made])
        expected = peer.time("count", lambda: [_one_by_one(kind, anchors, 12 * HOUR) for kind in made])
        if found != expected:
            raise AssertionError(f"counted {found}, expected {expected}")
        analogs = rng.choice(anchors, 10)
        ours.time("odds", lambda at=analogs: odds(made, at, Comparable(anchors, "all clips"), 12))
    what = f"{clips:,} clips, {events:,} events of {kinds} types"
    against = "two searches a clip"
    return [
        Row(f"climatology of {what}", ours.median("count"), peer.median("count"), against, "1"),
        Row(f"odds of 10 analogs, {what}", ours.median("odds"), peer.median("count"), against, "1"),
    ]


def _kind(name: str, rng: np.random.Generator, events: int, end: int) -> Kind:
    begins = np.sort(rng.integers(0, end, events))
    return Kind(name, None, begins, begins + rng.integers(0, 6 * HOUR, events), np.array([[0, end]]), 3.0 * HOUR)


def _one_by_one(kind: Kind, anchors: Ints, seconds: int) -> tuple[int, int]:
    known = within_record(kind.spans, anchors, seconds)
    return int(known.sum()), int((occurs(kind, anchors, seconds) & known).sum())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.event_odds", description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--kinds", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(machine())
    rows = measure(options.clips, options.events, options.kinds, options.repeats)
    print(table(rows))
    for row in rows:
        print(f"{row.what}: {row.ours.cpu:.3f} s of a processor")
    print(f"load at the end {load()}")


if __name__ == "__main__":
    main()
