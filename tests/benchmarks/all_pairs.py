"""All pairs of the clips of a week from cached CDFs, against the published program's one pair after another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.benchmarks.pictures import RawPicture
from tests.benchmarks.report import Row, Seconds, take_turns
from wxpipe.archive.png import decode_png
from wxpipe.similarity.cdf import grid_cdf_exact
from wxpipe.similarity.clip_ks import clip_similarity_matrix
from wxpipe.similarity.layout import GridSpec, cell_sizes

Counts = npt.NDArray[np.uint16]
PUBLISHED_SECONDS_A_PAIR = 9.8  # of a quiet machine, decoding included
CHECKED = 50


def read_clips(table: Path) -> npt.NDArray[np.int64]:
    """Clips (clip, 20) as positions of frames, out of ``video2image.txt``."""
    numbers = np.array([[int(n) for n in line.split(",")] for line in table.read_text().splitlines()])
    return np.searchsorted(np.unique(numbers), numbers)


def real_cdfs(pictures: Sequence[RawPicture], channels: Sequence[str], spec: GridSpec, title_rows: int) -> Counts:
    """CDFs (frame, channel, bin, cell) of the slots at which all channels are there."""
    found: dict[int, dict[str, npt.NDArray[np.unsignedinteger]]] = {}
    for picture in pictures:
        grey = np.ascontiguousarray(decode_png(picture.data, picture.name)[:, :, 1])
        found.setdefault(picture.slot, {})[picture.channel] = grid_cdf_exact(grey, len(grey), title_rows, spec)
    whole = [frame for _, frame in sorted(found.items()) if len(frame) == len(channels)]
    return np.stack([np.stack([frame[channel] for channel in channels]) for frame in whole]).astype(np.uint16)


def perturbed(real: Counts, frames: int) -> Counts:
    """As many different frames as are wanted: mixtures of two real ones, whose counts are possible ones again."""
    made = np.empty((frames, *real.shape[1:]), np.uint16)
    for n in range(frames):
        first, second = real[n % len(real)].astype(np.uint32), real[(n // len(real) + n + 1) % len(real)]
        weight = n % 97 + 1
        made[n] = (first * (128 - weight) + second * weight) // 128
    return made


def all_pairs(cdfs: Counts, clips: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], repeats: int,
              a_pair: Seconds | None) -> Row:  # fmt: skip
    """Times the matrix of all clips.

    Raises:
        AssertionError: a value is not that of the formula.
    """
    clip_similarity_matrix(cdfs[: clips[:2].max() + 1], clips[:2], sizes)  # compiles
    samples, results = take_turns({"ours": lambda: clip_similarity_matrix(cdfs, clips, sizes)}, repeats)
    matrix = results["ours"]
    assert isinstance(matrix, np.ndarray)
    check_matrix(matrix, cdfs, clips, sizes)
    pairs = len(clips) * (len(clips) - 1) // 2
    against = f"the published C++ program, {pairs:,} pairs one by one, extrapolated from "
    against += "the pair above" if a_pair else f"{PUBLISHED_SECONDS_A_PAIR} s a pair as once measured, not run here"
    peer = (a_pair or Seconds(PUBLISHED_SECONDS_A_PAIR, PUBLISHED_SECONDS_A_PAIR)) * pairs
    what = f"all {pairs:,} pairs of {len(clips)} clips of {len(cdfs)} frames, CDFs cached"
    return Row(what, samples.median("ours"), peer, against, "under 1 s")


def check_matrix(
    matrix: npt.NDArray[np.float64], cdfs: Counts, clips: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
) -> None:
    """Some pairs anew, from the formula in float64."""
    drawn = np.random.default_rng(0).integers(0, len(clips), (CHECKED, 2))
    for a, b in drawn.tolist():
        first, second = (cdfs[clips[n]].astype(np.int64) for n in (a, b))
        distance = np.abs(first - second).max(axis=2) / sizes
        if not abs(matrix[a, b] - (1 - distance.mean())) < 1e-12:
            raise AssertionError(f"clips {a} and {b}: {matrix[a, b]} in the matrix, {1 - distance.mean()} by formula")


def week(real: Path, pictures: Sequence[RawPicture], channels: Sequence[str], spec: GridSpec, repeats: int,
         a_pair: Seconds | None) -> Row:  # fmt: skip
    """The published week: its 567 clips over 587 frames, contents perturbed from real ones."""
    clips = read_clips(real / "seed_tables" / "video2image.txt")
    cdfs = perturbed(real_cdfs(pictures, channels, spec, 20), int(clips.max()) + 1)
    return all_pairs(cdfs, clips, cell_sizes(spec, 1300, 1500, 20), repeats, a_pair)
