"""Synthetic weather against real, at the real size: one table of similarities, grey histograms, power spectra.

    python -m tests.benchmarks.weather --real DIR [--events 8] [--seed 7] [--plot FILE.png]

DIR is the folder of real imagery that the tests know as WXPIPE_REAL_ARCHIVE. Similarity is that of the published
program (24 x 24 cells, 20 bins, reference layout). The published column is over more frames than DIR holds.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wxpipe.archive.png import decode_png
from wxpipe.archive.synthetic.source import SyntheticSource
from wxpipe.draws import uniform
from wxpipe.satellites.catalog import Source, find_source, shipped_satellites
from wxpipe.satellites.names import Named, NameReader
from wxpipe.similarity.cdf import grid_cdf_reference
from wxpipe.similarity.ks import frame_pair_channel_similarities
from wxpipe.similarity.layout import GridSpec, cell_sizes

PUBLISHED = {15: 0.949, 30: 0.916, 60: 0.852, 135: 0.703, 255: 0.576, 390: 0.527}
"""Similarity of frames of one event so many minutes apart."""
UNRELATED = 0.35
SPEC = GridSpec(24, 20, "reference")
_APART = 3 * 24 * 60  # minutes from which on frames are of unrelated events
_SIDE = 1024  # of the square whose power spectrum is taken


@dataclass(frozen=True)
class Frame:
    """What is compared of a frame.

    Attributes:
        cdf: (channel, bin, cell).
        greys: (channel, 64), share of pixels by grey value, those under lines left out.
        power: (channel, wavenumber), in waves across the picture's `_SIDE` pixels.
    """

    time: datetime
    cdf: NDArray[np.unsignedinteger[Any]]
    greys: NDArray[np.float64]
    power: NDArray[np.float64]


def coms() -> Source:
    return find_source(shipped_satellites(), "coms")


def frame_of(time: datetime, pictures: Sequence[NDArray[np.uint8]]) -> Frame:
    """A frame of source pictures, (y, x, 3) by channel."""
    greys = [np.histogram(p[20:, :, 0][p[20:, :, 0] == p[20:, :, 2]], 64, (0, 256))[0] for p in pictures]
    shares = np.array([counts / counts.sum() for counts in greys])
    return Frame(
        time, np.stack([grid_cdf_reference(p, SPEC) for p in pictures]), shares, np.stack([_power(p) for p in pictures])
    )


def real_frames(folder: Path) -> list[Frame]:
    """All whole frames of the real COMS events."""
    reader, found = NameReader([coms().satellite]), dict[datetime, dict[str, Path]]()
    for file in sorted([*(folder / "coms").rglob("*.png"), *(folder / "coms_events").rglob("*.png")]):
        named = reader.read(file.name)
        if isinstance(named, Named):
            found.setdefault(named.time, {})[named.channel] = file
    channels = coms().satellite.channel_names
    return [
        frame_of(time, [decode_png(files[c].read_bytes(), files[c].name) for c in channels])
        for time, files in found.items()
        if len(files) == len(channels)
    ]


def synthetic_frames(seed: int, events: int, workers: int = 2) -> list[Frame]:
    """Frames of some events over a year: each event at the lags of the table."""
    year = datetime(2011, 1, 1, tzinfo=UTC)
    hours = [int((n + 0.5) * 8766 / events + float(uniform(seed, n, 1, 12.0)[0])) for n in range(events)]
    times = [year + timedelta(hours=hour, minutes=lag) for hour in hours for lag in (0, *PUBLISHED)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(_synthetic_frame, [seed] * len(times), times))


def similarities(frames: Sequence[Frame]) -> dict[int, NDArray[np.float64]]:
    """Mean similarity by channel of frames so many minutes apart; -1 stands for unrelated events."""
    pairs = np.array(list(combinations(range(len(frames)), 2)))
    similarity = frame_pair_channel_similarities(
        np.stack([frame.cdf for frame in frames]), pairs, cell_sizes(SPEC, 1300, 1500, 0)
    )
    lags = np.array([abs((frames[j].time - frames[i].time).total_seconds()) / 60 for i, j in pairs])
    chosen: Mapping[int, NDArray[np.bool_]] = {lag: lags == lag for lag in PUBLISHED} | {-1: lags > _APART}
    return {lag: similarity[these].mean(axis=0) for lag, these in chosen.items() if these.any()}


def table(real: Sequence[Frame], made: Sequence[Frame]) -> str:
    """The similarities side by side."""
    of_real, of_made = similarities(real), similarities(made)
    lines = ["minutes apart   published   real here   synthetic   (ir01  ir02  swir  wv)   from published"]
    for lag, published in [*PUBLISHED.items(), (-1, UNRELATED)]:
        name = "unrelated" if lag < 0 else str(lag)
        here = f"{of_real[lag].mean():.3f}" if lag in of_real else "-"
        channels = "  ".join(f"{value:.3f}" for value in of_made[lag])
        mean = float(of_made[lag].mean())
        lines.append(
            f"{name:>13}   {published:9.3f}   {here:>9}   {mean:9.3f}   ({channels})   {mean - published:+.3f}"
        )
    return "\n".join(lines)


def plot(real: Sequence[Frame], made: Sequence[Frame], file: Path) -> None:
    """Grey histograms and power spectra side by side, a column a channel."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    channels = coms().satellite.channel_names
    figure, axes = plt.subplots(2, len(channels), figsize=(15, 7), layout="constrained")
    for number, channel in enumerate(channels):
        greys, spectra = axes[0, number], axes[1, number]
        for frames, name, colour in ((real, "real", "#1f4e79"), (made, "synthetic", "#d1651a")):
            mean = np.mean([frame.greys[number] for frame in frames], axis=0)
            greys.step(np.arange(64) * 4, mean * 100, where="post", label=name, color=colour)
            power = np.stack([frame.power[number] for frame in frames])
            waves = np.sqrt(_EDGES[:-1] * _EDGES[1:])
            spectra.fill_between(waves, *np.quantile(power, [0.1, 0.9], axis=0), color=colour, alpha=0.2, lw=0)
            spectra.loglog(waves, np.median(power, axis=0), label=name, color=colour)
        greys.set(title=channel, xlabel="grey value", ylim=(0, 4))
        spectra.set(xlabel=f"waves in {_SIDE} pixels")
    axes[0, 0].set_ylabel("% of pixels")
    axes[1, 0].set_ylabel("power (band: 10 to 90 % of frames)")
    axes[0, 0].legend()
    figure.savefig(file, dpi=80)
    plt.close(figure)


_EDGES = 2 ** np.arange(0, 9.5, 0.5)


def _power(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean power by wavenumber of a square in the middle, windowed."""
    top, left = 40 + (picture.shape[0] - 40 - _SIDE) // 2, (picture.shape[1] - _SIDE) // 2
    square = picture[top : top + _SIDE, left : left + _SIDE, 0].astype(np.float64)
    window = np.outer(np.hanning(_SIDE), np.hanning(_SIDE))
    power = np.abs(np.fft.fft2((square - square.mean()) * window)) ** 2
    waves = np.abs(np.fft.fftfreq(_SIDE) * _SIDE)
    ring = np.digitize(np.hypot(waves[:, np.newaxis], waves), _EDGES)
    counts = np.bincount(ring.ravel(), minlength=len(_EDGES) + 1)[1 : len(_EDGES)]
    sums = np.bincount(ring.ravel(), power.ravel(), minlength=len(_EDGES) + 1)[1 : len(_EDGES)]
    return sums / counts


def _synthetic_frame(seed: int, time: datetime) -> Frame:
    source = coms()
    made = SyntheticSource(source, seed)
    return frame_of(time, [made.pixels(channel, time) for channel in source.satellite.channel_names])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.weather", description=__doc__.split("\n")[0])
    parser.add_argument("--real", type=Path, default=os.environ.get("WXPIPE_REAL_ARCHIVE"), required=False)
    parser.add_argument("--events", type=int, default=8)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    if options.real is None:
        parser.error("name the real imagery, by --real or WXPIPE_REAL_ARCHIVE")
    real, made = real_frames(options.real), synthetic_frames(options.seed, options.events)
    print(f"{len(real)} real frames, {len(made)} synthetic ones")
    print(table(real, made))
    if options.plot:
        plot(real, made, options.plot)


if __name__ == "__main__":
    main()
