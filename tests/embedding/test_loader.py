"""Pictures out of the store are those of the in-memory way bit for bit, in bounded memory, and their thread ends."""

from __future__ import annotations

import shutil
import tempfile
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.loader import make_clips, make_store
from tests.embedding.conftest import Mapping
from tests.embedding.test_training import CLIPS, make_pictures, make_triples, new_model
from tests.mini import SOURCE
from wxpipe.embedding import loader
from wxpipe.embedding.channel_linear import ChannelLinear
from wxpipe.embedding.history import ClipsRead, Remark, StepTaken, TrainingEvent
from wxpipe.embedding.loader import plan_sums, stored_means
from wxpipe.embedding.pictures import ClipMeans, SummedMeans
from wxpipe.embedding.prefetch import AHEAD, Prefetch
from wxpipe.embedding.stored_triples import StoredTriples, stored_triples
from wxpipe.embedding.training import TrainingSettings, train
from wxpipe.errors import RefusedError
from wxpipe.pipeline.backfill import Job, Report
from wxpipe.similarity.pairs import read_triples
from wxpipe.store.frames import FrameStore, frame_store
from wxpipe.store.root import Root

BANDS = ("wv", "ir")  # not in the store's order
ROW = 2 * 2 * 24 * 30
"""Bytes of the sum of a clip of `mini`."""


@pytest.fixture(scope="module")
def root(week: tuple[Job, Report, Mapping]) -> Root:
    return Root(week[0].root)


@pytest.fixture(scope="module")
def frames(root: Root) -> FrameStore:
    return frame_store(root, SOURCE)


@pytest.fixture(scope="module")
def stored(root: Root) -> StoredTriples:
    return stored_triples(root, SOURCE, read_triples(root, SOURCE))


@pytest.fixture(scope="module")
def in_memory(frames: FrameStore, stored: StoredTriples) -> ClipMeans:
    every, positions = np.unique(stored.slots, return_inverse=True)
    return ClipMeans(frames.reduced(every, BANDS), positions.reshape(stored.slots.shape))


def limit_of(place: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """A limit of memory that leads to a place."""
    if place == "frames":
        monkeypatch.setattr(loader, "SPARE_BYTES", 1 << 60)  # no disk has so much room
    return 1 << 30 if place == "memory" else 40 * ROW


@pytest.mark.parametrize("place", ["memory", "scratch", "frames"])
def test_every_clip_is_that_of_the_in_memory_way(place, frames, stored, in_memory, monkeypatch):
    told: list[TrainingEvent] = []
    order = np.random.default_rng(0).permutation(len(stored.slots))[: 60 if place == "frames" else None]
    with stored_means(frames, stored.slots, BANDS, limit_of(place, monkeypatch), told.append) as pictures:
        assert np.array_equal(pictures[order], in_memory[order])
        assert np.array_equal(pictures[order[:50]], in_memory[order[:50]]), "again, from wherever they are now"
    words = {"memory": "in memory", "scratch": "in a scratch file in", "frames": "read again in every epoch"}
    assert isinstance(told[0], Remark)
    assert words[place] in told[0].text
    count = len(stored.slots)
    assert f"{count:,} clips: {count * ROW / 1e6:.1f} MB" in told[0].text
    days = [event for event in told if isinstance(event, ClipsRead)]
    if place != "frames":
        assert days[-1] == ClipsRead(count, count)
        assert len(days) == len({slot // 96 for slot in stored.slots[:, 0].tolist()})


@pytest.mark.parametrize("place", ["memory", "scratch", "frames"])
def test_training_is_equal_bit_for_bit(place, frames, stored, in_memory, monkeypatch):
    how = TrainingSettings(learning_rate=1e-3, epochs=2)
    models = [ChannelLinear(BANDS, 24 * 30, 8, seed=1) for _ in range(2)]
    few = np.arange(36 if place == "frames" else 360)  # each step reads frames anew there
    learn, judge = stored.of["train"].take(few), stored.of["valid"].take(few[:20])
    expected = train(models[0], in_memory, learn, judge, how, device="cpu")
    with stored_means(frames, stored.slots, BANDS, limit_of(place, monkeypatch)) as pictures:
        found = train(models[1], pictures, learn, judge, how, device="cpu")
    assert found == expected
    for name, tensor in models[0].state().items():
        assert torch.equal(tensor, models[1].state()[name]), name


def test_each_frame_is_read_once_in_the_order_of_the_store(frames, stored, monkeypatch):
    read: list[int] = []
    reduced = frames.reduced

    def noting(slots: np.ndarray, channels: tuple[str, ...]) -> np.ndarray:
        read.extend(slots.tolist())
        return reduced(slots, channels)

    monkeypatch.setattr(frames, "reduced", noting)
    with stored_means(frames, stored.slots, BANDS, 0):
        pass
    assert sorted(read) == np.unique(stored.slots).tolist()
    assert np.diff(np.asarray(read) // 96).min() >= -1, "back by no more than the hours that two days' clips share"


def test_a_scratch_file_has_no_name_and_leaves_nothing(frames, stored, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with stored_means(frames, stored.slots, BANDS, 0):
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_scratch_file_leaves_the_disk_some_room(monkeypatch):
    usage = shutil.disk_usage(tempfile.gettempdir())
    size = 1000 * 2 * 450_000
    for free, place in ((size + (1 << 30), "scratch"), (size + (1 << 30) - 1, "frames")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        assert plan_sums(1000, 450_000, 1 << 20).place == place
    assert plan_sums(1000, 450_000, size).place == "memory"


def peak_of(work: Callable[[], object]) -> float:
    """The most memory that work held at once, MB; mapped files do not count, which the system can take back."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("place", ["scratch", "frames"])
def test_memory_stays_near_the_limit(place, tmp_path, monkeypatch):
    """However many days there are: seven days of frames, the batches read ahead, and the limit."""
    frames = make_store(tmp_path, days=12, frames_a_day=22)
    slots = make_clips(frames, days=12, frames_a_day=22, clips=36)
    frame, rows, limit = 0.45, 2, 4 * 900_000
    if place == "frames":
        monkeypatch.setattr(loader, "SPARE_BYTES", 1 << 60)
    wanted = [np.array([n, n + 18]) for n in range(18)]
    every, positions = np.unique(slots, return_inverse=True)
    seen: list[np.ndarray] = []

    def in_memory() -> None:
        pictures = ClipMeans(frames.reduced(every, frames.channels), positions.reshape(slots.shape))
        seen.extend(pictures[clips][:, :, ::1000] for clips in wanted)

    def bounded() -> None:
        with (
            stored_means(frames, slots, frames.channels, limit) as pictures,
            Prefetch(pictures, wanted, rows, ahead=1) as coming,
        ):
            for clips, expected in zip(wanted, seen, strict=True):
                assert np.array_equal(coming[clips][:, :, ::1000], expected)

    total = peak_of(in_memory)
    batches = 2 * rows * 2 * 2 * frame
    assert total > len(every) * frame
    assert peak_of(bounded) < 7 * 22 * frame + batches + limit / 1e6 < 0.75 * total


class Scripted(SummedMeans):
    """Pictures that do as they are told to when a clip is asked for."""

    def __init__(self, act: Callable[[int], None]) -> None:
        super().__init__(1, 4, 1)
        self.act = act
        self.threads: set[str] = set()

    def _sum(self, clip: int) -> np.ndarray:
        self.threads.add(threading.current_thread().name)
        self.act(clip)
        return np.full(4, clip, np.uint16)


def nothing(clip: int) -> None:
    del clip


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("wxpipe-pictures")]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 255), min_size=1, max_size=5), max_size=9), st.integers(1, 4))
def test_batches_come_in_their_order(batches, ahead):
    wanted = [np.array(batch, np.int64) for batch in batches]
    pictures = Scripted(nothing)
    with Prefetch(pictures, iter(wanted), 5, ahead) as coming:
        for clips in wanted:
            found = coming[clips]
            assert found.ctypes.data % 64 == 0
            assert np.array_equal(found, pictures[clips])
        with pytest.raises(ValueError, match="asked for were"):
            coming[np.array([1])]
    assert ours() == []


def test_it_reads_ahead_by_so_much_and_no_more():
    begun: list[int] = []
    reached = threading.Event()

    def act(clip: int) -> None:
        begun.append(clip)
        if clip == 3:
            reached.set()

    wanted = [np.array([n]) for n in range(10)]
    with Prefetch(Scripted(act), wanted, 1, ahead=3) as coming:
        assert reached.wait(10)
        coming[wanted[0]]
        assert begun == [0, 1, 2, 3], "four buffers, of which one is the caller's"


def test_other_clips_than_the_next_batchs_are_refused():
    wanted = [np.array([1, 2]), np.array([3])]
    with (
        Prefetch(Scripted(nothing), wanted, 2) as coming,
        pytest.raises(ValueError, match=r"\[1, 2\], asked"),
    ):
        coming[wanted[1]]
    assert ours() == []


def failing(clip: int) -> None:
    if clip == 7:
        raise OSError(5, "Input/output error")


def test_an_error_in_the_thread_reaches_the_caller_and_the_thread_ends():
    pictures = Scripted(failing)
    wanted = [np.array([n]) for n in range(10)]
    seen: list[int] = []

    def read() -> None:
        with Prefetch(pictures, wanted, 1) as coming:
            for clips in wanted:
                coming[clips]
                seen.extend(clips.tolist())

    with pytest.raises(OSError, match="Input/output error"):
        read()
    assert seen == list(range(7))
    assert pictures.threads == {"wxpipe-pictures_0"}
    assert ours() == []


class Broken(ClipMeans):
    """The disk fails after some pictures."""

    left = 300

    def _sum(self, clip: int) -> np.ndarray:
        self.left -= 1
        if self.left < 0:
            raise OSError(5, "Input/output error")
        return super()._sum(clip)


@pytest.mark.parametrize("end", ["well", "the disk fails", "interrupted"])
def test_no_thread_outlives_its_training(end):
    grey, clip_frames = make_pictures()
    learn, judge = make_triples(grey, range(40), 96, 1), make_triples(grey, range(40, CLIPS), 40, 2)
    pictures = (Broken if end == "the disk fails" else ClipMeans)(grey, clip_frames)

    def tell(event: TrainingEvent) -> None:
        if end == "interrupted" and isinstance(event, StepTaken) and event.epoch == 2:
            raise KeyboardInterrupt

    def run() -> None:
        train(new_model(), pictures, learn, judge, TrainingSettings(epochs=3), device="cpu", tell=tell)

    if end == "well":
        run()
    else:
        with pytest.raises((OSError, KeyboardInterrupt)):
            run()
    assert ours() == []


def test_a_triple_of_a_clip_that_is_not_there_is_refused(root):
    table = read_triples(root, SOURCE).slice(0, 5)
    gone = f"{SOURCE}/20300101T0000Z/6h20"
    names = table["y"].to_pylist()
    table = table.set_column(1, "y", [[*names[:4], gone]])
    with pytest.raises(RefusedError, match=f"1 clips that the root does not have, the first of them {gone}"):
        stored_triples(root, SOURCE, table)


def test_clips_are_numbered_by_name_and_keep_their_frames(root, stored):
    rows = read_triples(root, SOURCE).to_pylist()
    names = sorted({row[c] for row in rows for c in "xyz"})
    assert len(stored.slots) == len(names)
    for split, triples in stored.of.items():
        mine = [row for row in rows if row["split"] == split]
        assert [[names[n] for n in row] for row in triples.clips.tolist()] == [[r[c] for c in "xyz"] for r in mine]
        expected = np.array([[r["sim_xy"], r["sim_xz"]] for r in mine], np.float32)
        assert np.array_equal(triples.similarities, expected)


def test_scratch_pictures_survive_in_a_path_that_is_deleted(frames, stored, in_memory, monkeypatch, tmp_path: Path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with stored_means(frames, stored.slots, BANDS, 0) as pictures:
        folder.rmdir()
        assert np.array_equal(pictures[np.arange(9)], in_memory[np.arange(9)])


def test_a_second_pass_has_the_memory_of_the_first():
    pictures = Scripted(nothing)
    places = []
    for _ in range(2):
        with Prefetch(pictures, [np.array([n]) for n in range(5)], 2) as coming:
            places.append({coming[np.array([n])].ctypes.data for n in range(5)})
    assert places[0] == places[1]
    assert len(places[0]) == AHEAD + 1
    assert pictures.spare.take(7).shape == (7, 1, 4), "other batches than before have their own"
