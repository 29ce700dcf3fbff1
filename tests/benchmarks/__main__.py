"""All benchmarks of the main job in one run, one thread each, as a table of medians and ratios.

    WXPIPE_REFERENCE_BINARY=/path/to/ground_truth/run python -m tests.benchmarks --real DIR

DIR is the folder of real imagery that the tests know as WXPIPE_REAL_ARCHIVE. Ratios are of processor time, since
others may be busy on the machine; those of the wall stand in brackets.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks.report import THREAD_VARIABLES, Row, Skipped, load, machine, table

# Before numpy, torch and numba are imported, which read these once.
os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))

Rows = Sequence[Row | Skipped]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--real", type=Path, default=os.environ.get("WXPIPE_REAL_ARCHIVE"), help="real imagery")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="", help="names of parts, comma separated: picture,pair,week,encoder")
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(options.real, Path(folder), options.repeats, options.only)
    print(table(rows))
    print(f"load at the end {load()}")


def measure(real: Path | None, folder: Path, repeats: int, only: str) -> list[Row | Skipped]:
    """All rows; those that need real imagery are skipped where there is none."""
    import torch

    torch.set_num_threads(1)

    def wanted(name: str) -> bool:
        return not only or name in only.split(",")

    return [*_real_parts(real, folder, repeats, wanted), *(_encoder_parts(real, repeats) if wanted("encoder") else [])]


def _real_parts(real: Path | None, folder: Path, repeats: int, wanted: Callable[[str], bool]) -> Rows:
    from tests.benchmarks import all_pairs, clip_pair, pictures
    from wxpipe.satellites.catalog import find_source, shipped_satellites
    from wxpipe.similarity.layout import GridSpec

    if real is None:
        reason = "no real imagery was named, by --real or WXPIPE_REAL_ARCHIVE"
        return [Skipped(name, reason) for name in ("PNG to stored frame", clip_pair.WHAT, "all pairs of a week")]
    source = find_source(shipped_satellites(), "coms")
    rows: list[Row | Skipped] = []
    if wanted("picture"):
        found = pictures.read_pictures(source, [real / "coms", real / "coms_events"])
        rows.append(pictures.picture_to_frame(source, found, folder, repeats))
    a_pair = None
    if wanted("pair"):
        of_pair, a_pair = clip_pair.cold_pair(real, folder, repeats)
        rows += of_pair
    if wanted("week"):
        found = pictures.read_pictures(source, [real / "coms"])
        rows.append(all_pairs.week(real, found, source.satellite.channel_names, GridSpec(), repeats, a_pair))
    return rows


def _encoder_parts(real: Path | None, repeats: int) -> Rows:
    import numpy as np

    from tests.benchmarks import all_pairs, encoder

    clips = np.arange(567)[:, np.newaxis] + np.arange(20)
    if real is not None:
        clips = all_pairs.read_clips(real / "seed_tables" / "video2image.txt")
    week = encoder.Week(encoder.moving_frames(int(clips.max()) + 1, 300, 375), clips)
    return [*encoder.training(week, 32, repeats), *encoder.embedding(week, 20, repeats)]


if __name__ == "__main__":
    main()
