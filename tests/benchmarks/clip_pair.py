"""One pair of clips, from PNG files to their similarity, against the published C++ program on the same folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.benchmarks.report import Row, Seconds, Skipped, take_turns
from wxpipe.similarity.compare import Comparison, compare
from wxpipe.similarity.layout import GridSpec

BINARY = "WXPIPE_REFERENCE_BINARY"
SPEC = GridSpec(24, 20, "reference")
WHAT = "clip pair from PNG files"
WITHOUT = f"{BINARY} is not set; it names the program `run`, built with g++ -O2 from its ground_truth folder"


def link_clips(real: Path, folder: Path) -> tuple[Path, Path, Path]:
    """Clips a and b of the expected values, as links, and b once more as files of its own."""
    expected = json.loads((real / "expected" / "grid_similarity.json").read_text())
    files = {(p.name.split("_")[3], p.stem[-12:]): p for p in (real / "coms").rglob("*.png")}
    made = []
    for name, copied in (("a", False), ("b", False), ("b", True)):
        clip = folder / (f"{name}-copied" if copied else name)
        for n, time in enumerate(expected["clips"][name], start=1):
            for channel in ("ir01", "ir02", "swir", "wv"):
                target = clip / f"image_{n}" / f"{channel}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                if copied:
                    shutil.copyfile(files[channel, time], target)
                else:
                    target.symlink_to(files[channel, time].resolve())
        made.append(clip)
    return made[0], made[1], made[2]


def cold_pair(real: Path, folder: Path, repeats: int) -> tuple[list[Row | Skipped], Seconds | None]:
    """Rows of clips that share frames and of clips that share no file, and the program's time for a pair.

    Raises:
        AssertionError: the two programs differ in the six digits that the published one prints.
    """
    binary = os.environ.get(BINARY)
    if not binary:
        return [Skipped(WHAT, WITHOUT), Skipped(f"{WHAT}, no file in common", WITHOUT)], None
    a, b, copied = link_clips(real, folder)
    works = {
        "peer": lambda: _published(binary, a, b),
        "shared": lambda: compare(a, b, SPEC, None),
        "apart": lambda: compare(a, copied, SPEC, None),
    }
    compare(*(_first_frame(clip, folder / f"warm-{clip.name}") for clip in (a, b)), SPEC, None)
    samples, results = take_turns(works, repeats)
    for name in ("shared", "apart"):
        found = results[name]
        assert isinstance(found, Comparison)
        if f"{found.similarity:.6g}" != results["peer"]:
            raise AssertionError(f"{name}: similarity {found.similarity:.6g}, the published program {results['peer']}")
    peer = samples.median("peer")
    against = "the published C++ program"
    rows: list[Row | Skipped] = [
        Row(WHAT, samples.median("shared"), peer, against, "3", note="16 of 20 frames in common"),
        Row(f"{WHAT}, no file in common", samples.median("apart"), peer, against, "3", note="160 files"),
    ]
    return rows, peer


def _published(binary: str, a: Path, b: Path) -> str:
    """The similarity as the program prints it, six digits."""
    done = subprocess.run(
        [binary, str(a), str(b), str(SPEC.grid), str(SPEC.bins)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _first_frame(clip: Path, folder: Path) -> Path:
    """A clip of one frame: comparing it compiles what is timed after."""
    shutil.copytree(clip / "image_1", folder / "image_1")
    return folder
