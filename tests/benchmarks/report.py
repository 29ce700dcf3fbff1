"""How every benchmark is timed and told: repeats that take turns with their peer, medians, one table, the machine."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Seconds:
    """What some work took: on the wall, and of a processor (child processes included)."""

    wall: float
    cpu: float

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.wall + other.wall, self.cpu + other.cpu)

    def __mul__(self, factor: float) -> Seconds:
        return Seconds(self.wall * factor, self.cpu * factor)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: is measured.
        ours, peer: medians.
        against: the peer's name, and how it was come by where it was not run just now.
        goal: in words.
        faster: whether the ratio is peer / ours (times faster), or ours / peer (times the time).
        note: what else is to be known.
    """

    what: str
    ours: Seconds
    peer: Seconds
    against: str
    goal: str
    faster: bool = True
    note: str = ""

    def ratio(self, kind: str) -> float:
        ours, peer = getattr(self.ours, kind), getattr(self.peer, kind)
        return float(peer / ours if self.faster else ours / peer)


@dataclass(frozen=True)
class Skipped:
    """A row that could not be measured, which is no result."""

    what: str
    reason: str


@dataclass
class Samples:
    """Repeats of several works."""

    of: dict[str, list[Seconds]] = field(default_factory=dict)

    def time(self, name: str, work: Callable[[], object]) -> object:
        before = _now()
        result = work()
        after = _now()
        self.of.setdefault(name, []).append(Seconds(after.wall - before.wall, after.cpu - before.cpu))
        return result

    def median(self, name: str) -> Seconds:
        samples = self.of[name]
        return Seconds(statistics.median(s.wall for s in samples), statistics.median(s.cpu for s in samples))

    def total(self, name: str) -> Seconds:
        return sum(self.of[name], Seconds(0, 0))


def take_turns(works: Mapping[str, Callable[[], object]], repeats: int) -> tuple[Samples, dict[str, object]]:
    """Runs works one after another, `repeats` times over; their samples and last results."""
    samples, results = Samples(), {}
    for _ in range(repeats):
        for name, work in works.items():
            results[name] = samples.time(name, work)
    return samples, results


def machine() -> str:
    """Processor, cores, load, threads."""
    return f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, threads = 1, load {load()}"


def load() -> str:
    """Load averages of 1, 5 and 15 minutes: above 1 a core, wall times tell of others too."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def table(rows: Sequence[Row | Skipped]) -> str:
    """Rows as Markdown; ratios by processor time, by the wall's in brackets."""
    lines = ["| what | ours | peer | ratio (wall) | goal |", "|---|---|---|---|---|"]
    for row in rows:
        if isinstance(row, Skipped):
            lines.append(f"| {row.what} | skipped: {row.reason} | | | |")
            continue
        unit = "times faster" if row.faster else "times its time"
        ratio = f"{_digits(row.ratio('cpu'))} ({_digits(row.ratio('wall'))}) {unit}"
        ours, peer = (f"{_time(s.cpu)} ({_time(s.wall)})" for s in (row.ours, row.peer))
        what = f"{row.what}; {row.note}" if row.note else row.what
        lines.append(f"| {what} | {ours} | {row.against}: {peer} | {ratio} | {row.goal} |")
    return "\n".join(lines)


def _now() -> Seconds:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Seconds(time.perf_counter(), time.process_time() + children.ru_utime + children.ru_stime)


def _time(seconds: float) -> str:
    if seconds >= 86_400:
        return f"{seconds / 86_400:.1f} d"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.2f} ms"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
