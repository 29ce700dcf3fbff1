"""Training's pictures read ahead from the store, against float tensors of all of them in memory, in the same run.

    python -m tests.benchmarks.loader [--clips 300] [--repeats 5]

An issue asks for at least .9 of the throughput of in-memory tensors. Two sizes of picture: 60 x 66 and COMS's 300 x
375, each of 4 channels, made up. With the training step and without; the same batches, and equal weights at the end.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tests.benchmarks.report import THREAD_VARIABLES, Row, Samples, load, machine, table, take_turns

if __name__ == "__main__":  # before numpy, torch and numba are imported, which read these once
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))

import numpy as np
import numpy.typing as npt
import torch

from wxpipe.embedding.channel_linear import ChannelLinear
from wxpipe.embedding.loader import stored_means
from wxpipe.embedding.pictures import MeanPictures, SummedMeans
from wxpipe.embedding.prefetch import Prefetch
from wxpipe.embedding.steps import make_optimizer, training_step
from wxpipe.embedding.training import TrainingSettings, Triples
from wxpipe.satellites.catalog import shipped_satellites
from wxpipe.store.frames import DayFrames, FrameStore, Status
from wxpipe.store.root import init_root

WIDTH, BATCH, BATCHES = 32, 32, 8
SMALL, COMS = (60, 66), (300, 375)
CLIP = 20
CPU = torch.device("cpu")
Slots = npt.NDArray[np.int64]


def make_store(folder: Path, days: int, frames_a_day: int, size: tuple[int, int] = COMS) -> FrameStore:
    """A store of COMS with reduced pictures of noise, at the beginning of each day, and nothing else."""
    satellite = shipped_satellites()["coms"]
    area = satellite.areas["ea"]
    area = area.model_copy(update={"rows": area.crop_rows + 4 * size[0], "columns": 4 * size[1]})
    root = init_root(str(folder))
    root.adopt({"coms": satellite.model_copy(update={"areas": {"ea": area}})})
    frames = FrameStore(root, root.source("coms"))
    frames.create()
    rng, first = np.random.default_rng(0), satellite.axis.first.date() + timedelta(days=365)
    for number in range(days):
        day = DayFrames.empty(frames.axis.slots_per_day, len(frames.channels))
        day.status[:frames_a_day] = Status.GOOD
        for place in np.ndindex(frames_a_day, len(frames.channels)):
            day.reduced[place] = frames.encode_reduced(rng.integers(0, 256, size, np.uint8))
        frames.write_rest(first + timedelta(days=number), day)
    return frames


def make_clips(frames: FrameStore, days: int, frames_a_day: int, clips: int) -> Slots:
    """Slots of clips of 20 frames that begin slot after slot on each day, (clip, 20)."""
    each = frames_a_day - CLIP + 1
    first = frames.axis.day_start((frames.axis.first + timedelta(days=365)).date())
    starts = [first + frames.axis.slots_per_day * (n // each) + n % each for n in range(min(clips, days * each))]
    return np.array(starts, np.int64)[:, np.newaxis] + np.arange(CLIP)


class Tensors(MeanPictures):
    """All mean pictures as one float tensor in memory: what a loader is measured against."""

    def __init__(self, pictures: SummedMeans, clips: int) -> None:
        self.all = torch.from_numpy(pictures[np.arange(clips)])

    def __getitem__(self, clips: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return self.all[torch.from_numpy(clips)].numpy()


@dataclass
class Way:
    """One way to come by batches, and a model that is trained on them."""

    model: ChannelLinear
    optimizer: torch.optim.Optimizer
    settings: TrainingSettings

    @classmethod
    def new(cls, frames: FrameStore) -> Way:
        pixels = int(np.prod(frames.source.area.reduced_shape))
        model, settings = ChannelLinear(frames.channels, pixels, WIDTH, seed=3), TrainingSettings(batch=BATCH)
        return cls(model, make_optimizer(model, settings), settings)

    def learn(self, pictures: MeanPictures, batches: Sequence[Triples]) -> None:
        for batch in batches:
            training_step(self.model, self.optimizer, pictures, batch, self.settings, CPU)


def compare(frames: FrameStore, slots: Slots, repeats: int, limit: int) -> Iterator[Row]:
    """Rows of one size of picture: batches without the step, and with it.

    Raises:
        AssertionError: the two ways come to other weights.
    """
    rows, columns = frames.source.area.reduced_shape
    what = f"{len(slots)} clips of {rows} x {columns} x {len(frames.channels)}, batches of {BATCH} triples"
    rng = np.random.default_rng(2)
    drawn = np.stack([rng.choice(len(slots), 3, replace=False) for _ in range(BATCH * BATCHES)]).astype(np.int64)
    triples = Triples(drawn, rng.uniform(0.3, 0.95, (len(drawn), 2)).astype(np.float32))
    batches = [triples.take(np.arange(n, n + BATCH)) for n in range(0, len(triples), BATCH)]
    wanted = [np.unique(batch.clips) for batch in batches]
    with ExitStack() as stack:
        opened = Samples()
        pictures = opened.time(
            "first", lambda: stack.enter_context(stored_means(frames, slots, frames.channels, limit))
        )
        assert isinstance(pictures, SummedMeans)
        tensors, ours, theirs = Tensors(pictures, len(slots)), Way.new(frames), Way.new(frames)

        def read() -> None:
            with Prefetch(pictures, wanted, 3 * BATCH) as coming:
                for clips in wanted:
                    coming[clips]

        def gather() -> None:
            for clips in wanted:
                tensors[clips]

        def learn() -> None:
            with Prefetch(pictures, wanted, 3 * BATCH) as coming:
                ours.learn(coming, batches)

        works = {"read": read, "gather": gather, "learn": learn,
                 "step": lambda: theirs.learn(tensors, batches)}  # fmt: skip
        take_turns(works, 1)  # compiles
        samples, _ = take_turns(works, repeats)
        for name, tensor in ours.model.state().items():
            if not torch.equal(tensor, theirs.model.state()[name]):
                raise AssertionError(f"{name} differs after the same batches")
    against, first = "float tensors in memory", opened.median("first").wall
    yield Row(f"{what}, without the step", samples.median("read"), samples.median("gather"), against, ".9 of the wall")
    yield Row(f"{what}, with the step", samples.median("learn"), samples.median("step"), against, ".9 of the wall",
              note=f"a first pass of {first:.2f} s before")  # fmt: skip


def measure(clips: int, repeats: int, folder: Path) -> list[Row]:
    """All rows: small pictures in memory, COMS's in a scratch file."""
    found: list[Row] = []
    for size, limit in ((SMALL, 1 << 30), (COMS, 0)):
        days, a_day = -(-clips // 30), 49
        frames = make_store(folder / f"{size[0]}", days, a_day, size)
        found += compare(frames, make_clips(frames, days, a_day, clips), repeats, limit)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.loader", description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        print(table(measure(options.clips, options.repeats, Path(folder))))
    print(f"load at the end {load()}")


if __name__ == "__main__":
    main()
