"""A day that grows reads what is new, and comes to the content of a day that was ingested at once."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest

from tests.archive.growing import LATE, Work, content, copied, killed_and_resumed, late, points_of, update, without
from tests.archive.trial import CELL, FAULTS, SLOTS, Trial, png
from wxpipe.archive.day_record import FileRecord, read_record
from wxpipe.store.frames import frame_store
from wxpipe.store.requests import Request
from wxpipe.store.root import Root

DAYS = ("2020-05-01", "2020-05-02")


def records(trial: Trial) -> dict[str, FileRecord]:
    """What both days say of their files, but for when one was touched, and which was read of two of the same bytes."""
    root = trial.opened()
    files = [row for day in DAYS for row in read_record(root, trial.source.id, date.fromisoformat(day)).files.values()]
    return {f"{row.path} {row.became}": replace(row, version="", fault=None, sight=None) for row in files}


# --- any order of arrival --------------------------------------------------------------------------------------------

PLANTED = sorted({*FAULTS} - {"impossible time", "time before the life span", "unknown channel"})


@dataclass
class Arrival:
    """An archive with planted faults, whose files come in some order, some of them first damaged, and go and come."""

    final: Trial
    growing: Trial
    draw: random.Random

    def __post_init__(self) -> None:
        cells = self.draw.sample([(slot, channel) for slot in range(1, SLOTS) for channel in (0, 1)], 6)
        for name, cell in zip(self.draw.sample(PLANTED, 6), cells, strict=True):
            if self.final.file(*cell).exists():
                FAULTS[name].plant(self.final, *cell)
        paths = sorted(path for path in self.final.archive.rglob("*") if path.is_file())
        self.draw.shuffle(paths)
        for number, path in enumerate(paths):  # no two files were written at one time
            os.utime(path, ns=(number * 10**9, number * 10**9))
        self.waiting = paths
        for path in list(self.growing.archive.rglob("*.png")):
            path.unlink()

    def batches(self) -> Iterator[None]:
        """Lets files come, in four batches; in between whatever may happen to an archive happens."""
        while self.waiting:
            count = max(1, min(len(self.waiting), self.draw.randint(3, 11)))
            coming, self.waiting = self.waiting[:count], self.waiting[count:]
            broken = [path for path in coming if self.draw.random() < 0.15]
            gone = [path for path in self._there() if self.draw.random() < 0.05]
            for path in coming:
                self._put(path, path.read_bytes()[:-40] if path in broken else None)
            for path in gone:
                self._target(path).unlink()
            for path in self._there():
                if self.draw.random() < 0.05:
                    os.utime(self._target(path))
            yield
            for path in [*broken, *gone, *self._there()]:
                self._put(path)
        yield

    def _there(self) -> list[Path]:
        every = sorted(path for path in self.final.archive.rglob("*") if path.is_file())
        return [path for path in every if self._target(path).exists()]

    def _target(self, path: Path) -> Path:
        return self.growing.archive / path.relative_to(self.final.archive)

    def _put(self, path: Path, data: bytes | None = None) -> None:
        target = self._target(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
        if data is not None:
            target.write_bytes(data)


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 40))])
def test_any_order_of_arrival_ends_in_the_content_of_one_ingest(seed: int, titled: Trial, tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    (tmp_path / "growing").mkdir()
    final, growing = Trial.of(titled, tmp_path / "final"), Trial.of(titled, tmp_path / "growing")
    arrival = Arrival(final, growing, random.Random(seed))
    for _ in arrival.batches():
        update(growing, titled)
    update(final, titled)
    assert content(growing) == content(final)
    assert records(growing) == records(final)
    assert growing.records() == final.records()


# --- what is done ----------------------------------------------------------------------------------------------------


def test_only_new_files_are_decoded_and_only_their_pictures_counted(grown: Trial, titled: Trial, work: Work) -> None:
    shards = {path: path.stat().st_mtime_ns for path in (grown.root / "frames").rglob("*/c/*/*/*/*")}
    update(grown)
    assert work.decoded == late(grown)
    assert sorted(channel for _, channel in work.counted) == ["ir01", "wv"]
    assert grown.content() == titled.sound
    assert any(path.stat().st_mtime_ns != written for path, written in shards.items())


def test_a_late_file_of_one_channel_leaves_the_shards_of_the_others(grown: Trial, work: Work) -> None:
    without(grown, LATE[0])
    shards = sorted((grown.root / "frames" / f"{grown.source.id}.zarr" / "picture" / "c").glob("*/*/0/0"))
    written = {shard: shard.stat().st_mtime_ns for shard in shards}
    assert len(shards) == 4, "two days of two channels"
    update(grown)
    assert work.decoded == late(grown)[1:]
    assert sum(shard.stat().st_mtime_ns != written[shard] for shard in shards) == 1


def test_a_file_that_comes_back_as_it_was_is_not_decoded(trial: Trial, titled: Trial, work: Work) -> None:
    update(trial)
    data, times = trial.file(*CELL).read_bytes(), trial.file(*CELL).stat()
    trial.file(*CELL).unlink()
    work.clear()
    update(trial)
    trial.put(trial.key(*CELL), data)
    os.utime(trial.file(*CELL), ns=(times.st_atime_ns, times.st_mtime_ns))
    update(trial)
    assert (work.decoded, work.counted) == ([], [])
    assert trial.content() == titled.sound


def test_a_touched_file_among_new_ones_is_read_and_not_decoded(grown: Trial, titled: Trial, work: Work) -> None:
    os.utime(grown.file(*CELL))
    update(grown)
    assert work.decoded == late(grown)
    assert grown.content() == titled.sound


def test_a_duplicate_takes_the_place_of_a_file_that_vanished(trial: Trial, titled: Trial, work: Work) -> None:
    twin = trial.key(*CELL, folder="again")
    trial.put(twin, png(trial.pixels(*CELL), level=0))
    update(trial)
    assert [record.kind for record in trial.records().values()] == ["duplicate"]
    larger = max((trial.archive / twin, trial.file(*CELL)), key=lambda path: path.stat().st_size)
    larger.unlink()
    work.clear()
    update(trial)
    assert len(work.decoded) == 1, "the other one, whose pixels were not stored"
    assert trial.content() == titled.sound


def test_pictures_are_compared_with_new_ones_though_they_are_not_decoded(grown: Trial, work: Work) -> None:
    """A late file shows what an earlier slot shows: only the two together tell that it is a stale copy."""
    rgb = grown.pixels(*CELL)
    grown.redraw(rgb, LATE[0][0], 0)
    grown.put(grown.key(*LATE[0]), png(rgb))
    update(grown)
    assert work.decoded == late(grown)
    assert grown.records()[grown.key(*LATE[0])].reason == "stale copy"


def test_a_request_reads_everything_anew(trial: Trial, titled: Trial, work: Work) -> None:
    update(trial)
    work.clear()
    trial.opened().requests.record(Request("reprocess", "a test", stages=("ingest", "histograms")))
    update(trial)
    assert len(work.decoded) == 2 * SLOTS + 2, "the last pictures of the first day are looked at by the second too"
    assert len(work.counted) == 2 * SLOTS
    assert trial.content() == titled.sound


# --- damage, and kills -----------------------------------------------------------------------------------------------


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def shard(trial: Trial, name: str, channel: int) -> Path:
    frames = frame_store(trial.opened(), trial.source)
    at = frames.axis.day_start(date.fromisoformat(DAYS[1])) // frames.axis.slots_per_day
    return trial.root / frames.folder / name / "c" / f"{at}/{channel}/0/0"


def test_a_damaged_chunk_is_decoded_from_its_file_again(grown: Trial, titled: Trial, work: Work) -> None:
    flip(shard(grown, "picture", 1), 100)
    flip(shard(grown, "reduced", 0), 100)
    update(grown)
    first = grown.time(2)
    assert first.hour == 0
    assert sorted(work.decoded) == sorted([*late(grown), grown.key(2, 0), grown.key(2, 1)]), "and the first of the day"
    assert grown.content() == titled.sound


SPOILED: dict[str, Callable[[Path], object]] = {
    "a bit flipped": lambda path: flip(path, path.stat().st_size // 2),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_damaged_record_costs_time_and_nothing_else(
    grown: Trial, titled: Trial, work: Work, spoil: Callable[[Path], object]
) -> None:
    spoil(grown.root / f"ingested/{grown.source.id}/{DAYS[1]}.parquet")
    spoil(grown.root / f"counted/{grown.source.id}/{DAYS[1]}.parquet")
    update(grown)
    assert len(work.decoded) == 2 * (SLOTS - 2) + 2
    assert grown.content() == titled.sound


def test_damaged_counts_are_counted_again(grown: Trial, titled: Trial, work: Work) -> None:
    folder = grown.root / f"histograms/{grown.source.id}.zarr/24x20-exact/cdf/c"
    (path,) = [path for path in folder.rglob("0/0/0") if grown.source.satellite.axis.day(int(path.parts[-4]) * 96)
               == date.fromisoformat(DAYS[1])]  # fmt: skip
    flip(path, 50)
    update(grown)
    assert work.decoded == late(grown)
    assert len(work.counted) == 2 * (SLOTS - 2)
    assert grown.content() == titled.sound


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_an_update_that_is_killed_anywhere_is_gone_on_with(
    grown: Trial, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    points = [point for point in points_of(grown, tmp_path / "peace", monkeypatch) if point.startswith("before put ")]
    assert sum("picture/c" in point for point in points) == 2
    for number, point in enumerate(points[::every]):
        trial = copied(grown, tmp_path / str(number))
        killed_and_resumed(trial, point, work.clear, monkeypatch)
        assert set(work.decoded) <= set(late(trial)), f"killed {point}"
        assert content(trial) == content(replace(trial, root=tmp_path / "peace" / "root")), f"killed {point}"


def test_a_root_of_before_there_were_records_grows_as_well(grown: Trial, titled: Trial) -> None:
    for folder in ("ingested", "counted"):
        shutil.rmtree(grown.root / folder)
    update(grown)
    assert grown.content() == titled.sound
    assert Root(str(grown.root)).objects.names(f"ingested/{grown.source.id}") == [f"{DAYS[1]}.parquet"]
