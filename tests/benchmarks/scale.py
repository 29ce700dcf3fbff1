"""How long a plan of the whole archive takes, and how much memory: six satellites, eight million files, thirty years.

    python -m tests.benchmarks.scale [--files 8000000] [--keep DIR]

An issue asks for a plan in under 60 s and 4 GB. Each verb runs in a process of its own, over a root where nothing is
done and over one where everything is. The scan reads a listing that is made up as it goes: no disk is walked.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.full_archive import make_inventory, make_ledger
from tests.benchmarks.report import machine
from wxpipe.archive.inventory import inventory_of, read_table
from wxpipe.store.objects import LocalObjects, ObjectInfo
from wxpipe.store.root import Root

VERB = """
import sys, json, os
from wxpipe.cli import main
sys.stdout = open(os.devnull, "w")
main()
"""
SCAN = """
import sys
from tests.benchmarks.scale import scan_again
scan_again(sys.argv[1], new=sys.argv[2] == "new")
"""


@dataclass(frozen=True)
class Taken:
    """What a process took: of the wall, of processors, and at most of memory."""

    wall: float
    cpu: float
    peak: float

    def __str__(self) -> str:
        return f"{self.cpu:7.1f} s of a processor ({self.wall:.1f} of the wall), at most {self.peak / 1e9:.2f} GB"


def measured(code: str, *arguments: str) -> Taken:
    """Runs Python in a process of its own.

    Raises:
        RuntimeError: it failed.
    """
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code, *arguments])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{arguments}: status {process.returncode}")
    return Taken(time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


class Recorded(LocalObjects):
    """A listing of the files that an inventory holds, a month at a time, without the files."""

    def __init__(self, root: Root) -> None:
        super().__init__("/nothing")
        self.root = root

    def walk(self, prefix: str = "", on_error: Callable[[str, OSError], None] | None = None) -> Iterator[ObjectInfo]:
        for source in self.root.sources:
            for month in inventory_of(self.root, source.id).months():
                table = read_table(self.root, source.id, month)
                columns = (table[name].to_pylist() for name in ("path", "size", "version"))
                yield from (ObjectInfo(*row) for row in zip(*columns, strict=True))


def scan_again(url: str, new: bool) -> None:
    """Scans what a root holds once more: into a new root beside it, or into the same, where nothing is new."""
    from wxpipe.archive.listing import scan_archive
    from wxpipe.satellites.catalog import shipped_satellites
    from wxpipe.satellites.names import NameReader
    from wxpipe.store.root import init_root
    from wxpipe.store.stage import ignore_progress

    root, satellites = Root(url), shipped_satellites()
    into = init_root(f"{url}-scanned") if new else root
    counts = scan_archive(Recorded(root), into, NameReader(satellites.values()), ignore_progress, satellites)
    assert counts.unparsed == counts.vanished == 0
    assert counts.recorded == counts.listed
    assert (counts.changed_months == 0) is not new


def measure(folder: Path, files: int, days: int | None = None) -> dict[str, Taken]:
    """All rows, told as they come."""
    found: dict[str, Taken] = {}
    place = folder / "root"

    def row(what: str, code: str, *arguments: str) -> None:
        found[what] = measured(code, *arguments)
        print(f"{what:<34} {found[what]}", flush=True)

    root = make_inventory(place, files, days) if not place.exists() else Root(str(place))
    count = sum(inventory_of(root, source.id).count()["files"] for source in root.sources)
    print(f"{count:,} files in {sum(len(inventory_of(root, s.id).days()) for s in root.sources):,} source-days")
    row("plan, nothing done", VERB, "plan", "--json", "--root", str(place))
    row("scan into a new root", SCAN, str(place), "new")
    row("scan that finds nothing new", SCAN, str(place), "same")
    print(f"{make_ledger(root, place):,} partitions recorded as done", flush=True)
    row("plan, everything done", VERB, "plan", "--json", "--root", str(place))
    row("status, everything done", VERB, "status", "--json", "--root", str(place))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale", description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=8_000_000)
    parser.add_argument("--days", type=int, help="of each satellite; all by default")
    parser.add_argument("--keep", type=Path, help="where the root is made, and stays")
    options = parser.parse_args()
    print(machine())
    with nullcontext(options.keep) if options.keep else tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.files, options.days)


if __name__ == "__main__":
    main()
