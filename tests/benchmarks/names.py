"""How fast an archive's names are read, told apart and recorded, in one process and without a disk's listing.

    python -m tests.benchmarks.names [--names 1000000]

An issue asks for one million names in under 20 s. The names are COMS's, eight years and a half of four channels, read
by the grammars of every satellite that is shipped.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from tests.benchmarks.report import machine
from wxpipe.archive.analysis import analyse
from wxpipe.archive.analysis_listing import list_names
from wxpipe.archive.listing import scan_archive
from wxpipe.satellites.catalog import shipped_satellites
from wxpipe.satellites.names import NameReader
from wxpipe.store.objects import LocalObjects, ObjectInfo
from wxpipe.store.root import init_root
from wxpipe.store.stage import ignore_progress


class Listed(LocalObjects):
    """A listing without its files."""

    def __init__(self, infos: list[ObjectInfo]) -> None:
        super().__init__("/nothing")
        self.infos = infos

    def walk(self, prefix: str = "", on_error: Callable[[str, OSError], None] | None = None) -> Iterator[ObjectInfo]:
        return iter(self.infos)


def make_names(count: int) -> list[ObjectInfo]:
    """COMS names in the order of their times, from the beginning of 2011 on; sizes that a picture may have."""
    coms = shipped_satellites()["coms"]
    start, made = coms.axis.first + timedelta(days=365), list[ObjectInfo]()
    for number in range(-(-count // 4)):
        when = start + number * coms.axis.cadence
        folder, stamp = f"{when:%Y%m/%d}", f"{when:%Y%m%d%H%M}"
        made += [
            ObjectInfo(f"{folder}/coms_mi_le1b_{channel}_ea040ps_{stamp}.png", 1_400_000 + number % 97, "1700000000")
            for channel in coms.channels
        ]
    return made[:count]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.names", description=__doc__.split("\n")[0])
    parser.add_argument("--names", type=int, default=1_000_000)
    count = parser.parse_args().names
    print(machine())
    archive, satellites = Listed(make_names(count)), shipped_satellites()
    reader = NameReader(satellites.values())

    def timed(what: str, work: Callable[[], Any]) -> Any:
        before = time.perf_counter(), time.process_time()
        result = work()
        wall, cpu = time.perf_counter() - before[0], time.process_time() - before[1]
        print(f"{what:<34} {cpu:6.2f} s ({wall:.2f} of the wall), {count / cpu:>9,.0f} names a second")
        return result

    timed("names read", lambda: [reader.read(info.key) and None for info in archive.infos])
    listing = timed("read into columns, for a report", lambda: list_names(archive, satellites, ignore_progress))
    timed("a report's figures", lambda: [analyse(*of) for of in listing.columns.values()])
    with tempfile.TemporaryDirectory() as folder:
        root = init_root(folder)
        timed("a scan into a new root", lambda: scan_archive(archive, root, reader, ignore_progress, satellites))
        timed("a scan that finds nothing new", lambda: scan_archive(archive, root, reader, ignore_progress, satellites))


if __name__ == "__main__":
    main()
