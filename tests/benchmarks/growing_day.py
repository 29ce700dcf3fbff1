"""One slot more of a day that is there, against ingesting the day again: real sizes, every file of every channel.

    python -m tests.benchmarks.growing_day [--slots 96] [--scale 1] [--repeats 3] [--archive DIR]

The archive is synthetic COMS; with DIR it is kept there and used again. Both ways end in the same digests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.benchmarks.report import THREAD_VARIABLES, Row, Samples, load, machine, table

if __name__ == "__main__":  # before numpy, torch and numba are imported, which read these once
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))

from wxpipe.archive.synthetic.archive import write_archive
from wxpipe.archive.synthetic.source import scaled
from wxpipe.pipeline.backfill import Job, scan
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers, run_stage
from wxpipe.satellites.catalog import shipped_satellites
from wxpipe.store.root import Root
from wxpipe.store.tables import get_table

FIRST = datetime(2012, 3, 1, tzinfo=UTC)
STAGES = ("ingest", "histograms")


def make_archive(folder: Path, slots: int, scale: int = 1) -> Path:
    """A day of COMS, as many slots of it; the folder of its pictures."""
    satellite = scaled(shipped_satellites()["coms"], scale)
    return write_archive(folder, satellite, "ea", FIRST, slots, 5).pictures


def compare(pictures: Path, site: Path, folder: Path, repeats: int) -> list[Row]:
    """Rows of both stages: the last slot added to the others, against the whole day from nothing.

    Raises:
        AssertionError: the two ways come to other digests.
    """
    last = max(path.stem[-12:] for path in pictures.rglob("*.png"))
    late, fewer = [path for path in pictures.rglob("*.png") if path.stem.endswith(last)], folder / "fewer"
    shutil.copytree(pictures, fewer, ignore=lambda _, names: [n for n in names if n.endswith(f"{last}.png")])
    ours, peer = Samples(), Samples()
    _do(folder / "before", fewer, site, Samples())  # kernels are compiled here
    for path in late:
        target = fewer / path.relative_to(pictures)
        shutil.copy2(path, target)
    for repeat in range(repeats):
        shutil.copytree(folder / "before", folder / "grown")
        grown = _do(folder / "grown", fewer, site, ours)
        whole = _do(folder / "whole", pictures, site, peer)
        for stage in STAGES:
            digests = {root.ledger.output(stage, f"coms-ea/{FIRST:%Y-%m-%d}") for root in (grown, whole)}
            if len(digests) != 1:
                raise AssertionError(f"{stage}, repeat {repeat}: the ways differ: {digests}")
        files = len(get_table(grown.objects, f"ingested/coms-ea/{FIRST:%Y-%m-%d}.parquet"))
        for name in ("grown", "whole"):
            shutil.rmtree(folder / name)
    against = f"the whole day, {files} files"
    return [
        Row(f"{stage} of {len(late)} files more", ours.median(stage), peer.median(stage), against, "10")
        for stage in STAGES
    ]


def _do(root: Path, archive: Path, site: Path, samples: Samples) -> Root:
    job = Job(str(root), str(archive), str(site))
    if scan(job).state != "done":
        raise AssertionError(f"{archive} could not be listed")
    wanted = Range(first=FIRST.date(), last=(FIRST + timedelta(days=1)).date())
    for stage in STAGES:
        results = samples.time(stage, lambda name=stage: run_stage(name, job.context(), wanted, Workers()))
        if not isinstance(results, list) or [result.state for result in results] != ["done"]:
            raise AssertionError(f"{stage}: {results}")
    return Root(str(root))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.growing_day", description=__doc__.split("\n")[0])
    parser.add_argument("--slots", type=int, default=96)
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--archive", type=Path)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        kept = options.archive or Path(name) / "archive"
        pictures = make_archive(kept, options.slots, options.scale)
        rows = compare(pictures, kept, Path(name), options.repeats)
    print(table(rows))
    print(f"load at the end {load()}")


if __name__ == "__main__":
    main()
