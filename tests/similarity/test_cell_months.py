"""The cell-major copy: what it holds, what makes a month stale; a kill or damage is never taken for a month."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.s3 import credentials, make_bucket
from tests.vectors.cells_root import CellsRoot, make_cells_root, sky
from tests.vectors.tiny_root import SOURCE
from wxpipe.errors import DamagedError, LeaseLostError
from wxpipe.pipeline.gc import Wanted as Unwanted
from wxpipe.pipeline.gc import collect
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.root_checks import look_at_cells
from wxpipe.pipeline.run import single_handed
from wxpipe.similarity import cell_months
from wxpipe.similarity.cell_copy import Month, open_store, read_cells, read_month
from wxpipe.similarity.cell_months import cells_stats, lease_of, read_records, spent_cells, update_cells, wanted_months
from wxpipe.similarity.clip_stage import read_clips
from wxpipe.similarity.ks import round_cdfs
from wxpipe.store.objects import open_objects
from wxpipe.store.root import Root

FEBRUARY, MARCH = (date(2011, 2, 27), date(2011, 2, 28)), (date(2011, 3, 1), date(2011, 3, 4))
PLACE = f"cells/{SOURCE}/6x20-exact"


@pytest.fixture(scope="session")
def copied_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four days over two months, and their copy."""
    folder = tmp_path_factory.mktemp("cells") / "root"
    made = make_cells_root(folder, {day: sky(n) for n, day in enumerate((*FEBRUARY, *MARCH))})
    assert made.copy().made == ("2011-02", "2011-03")
    return folder


@pytest.fixture
def copied(copied_template: Path, tmp_path: Path) -> CellsRoot:
    shutil.copytree(copied_template, tmp_path / "root")
    return CellsRoot(Root(str(tmp_path / "root")))


def again(tiny: CellsRoot) -> CellsRoot:
    """The root as another process opens it."""
    return CellsRoot(Root(tiny.root.url))


def check_equal(tiny: CellsRoot, name: str, days: tuple[date, ...]) -> None:
    """A month of the copy is the rounded CDFs and the clips of its days, and nothing else."""
    records, damaged = read_records(tiny.root, tiny.source)
    assert not damaged
    record, month, store = records[name], Month.of(tiny.source, name), open_store(tiny.root, tiny.source)
    arrays = read_month(tiny.root, record.folder, month, store)
    expected, clips = np.zeros_like(arrays.cdf), np.zeros_like(arrays.clips)
    for day in days:
        slots = np.asarray(tiny.source.satellite.axis.day_slots(day))
        at = int(slots[0]) - month.start
        rounded = round_cdfs(store.read(slots), store.cell_sizes())
        expected[..., at : at + 96] = rounded.transpose(3, 1, 2, 0)
        for row in read_clips(tiny.root, SOURCE, day)["slots"].to_pylist():
            clips[row[0] - month.start] = np.array(row) - row[0] + 1
    assert (arrays.cdf == expected).all()
    assert (arrays.clips == clips).all()
    assert (clips[:, 0] > 0).sum() == record.clips > 0
    assert (arrays.present == expected.any(axis=(0, 2))).all()
    some = [35, 0, 7, 8]
    assert (read_cells(tiny.root, record.folder, month, store, record.size, some) == expected[some]).all()


def test_the_copy_is_the_histograms_rounded_and_the_clips(copied: CellsRoot) -> None:
    check_equal(copied, "2011-02", FEBRUARY)
    check_equal(copied, "2011-03", MARCH)


def test_plain_zarr_opens_a_month(copied: CellsRoot) -> None:
    record = read_records(copied.root, copied.source)[0]["2011-02"]
    group = zarr.open_group(f"{copied.root.url}/{record.folder}", mode="r")
    assert group["cdf"].shape == (36, 2, 19, 9 * 96)  # the satellite's first day is 20 February
    assert group["cdf"].metadata.dimension_names == ("cell", "channel", "bin", "slot")
    whole = read_month(
        copied.root, record.folder, Month.of(copied.source, "2011-02"), open_store(copied.root, copied.source)
    )
    assert (np.asarray(group["cdf"][:]) == whole.cdf).all()


def test_the_order_in_which_days_came_makes_no_difference(copied: CellsRoot, tmp_path: Path) -> None:
    other = make_cells_root(tmp_path / "other", {MARCH[1]: sky(3)})
    other.copy()
    for n, day in ((1, FEBRUARY[1]), (2, MARCH[0]), (0, FEBRUARY[0])):
        other.put_day(day, sky(n))
        again(other).copy()
    found, expected = (read_records(tiny.root, tiny.source)[0] for tiny in (again(other), copied))
    assert {name: record.digest for name, record in found.items()} == {
        name: record.digest for name, record in expected.items()
    }


def test_an_update_makes_only_what_changed_and_reads_no_ledger_else(
    copied: CellsRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    there: Callable[..., object] = cell_months._read_days
    monkeypatch.setattr(
        cell_months, "_read_days", lambda root, source, days: read.extend(days) or there(root, source, days)
    )
    copied.copy()  # the copied folder's files have other times of writing: they are read once
    read.clear()
    assert copied.copy().made == ()
    assert read == []
    copied.put_day(MARCH[1], sky(77))
    assert copied.copy().made == ("2011-03",)
    assert read == ["2011-03-04"]
    check_equal(copied, "2011-03", MARCH)
    assert copied.copy().kept == ("2011-02", "2011-03")


def test_a_day_that_is_new_or_gone_or_counted_anew_makes_its_month_stale(copied: CellsRoot) -> None:
    copied.put_day(date(2011, 3, 7), sky(5))
    copied.root.objects.delete(f"ledger/histograms/{SOURCE}/{FEBRUARY[0]}.json")
    assert cells_stats(again(copied).root, copied.source)["stale"] == ["2011-02", "2011-03"]
    assert again(copied).copy().made == ("2011-02", "2011-03")
    check_equal(again(copied), "2011-02", FEBRUARY[1:])
    check_equal(again(copied), "2011-03", (*MARCH, date(2011, 3, 7)))


def test_clips_that_are_found_anew_make_a_month_stale(copied: CellsRoot) -> None:
    copied.done("clips", MARCH[0], "other clips")
    assert copied.copy().made == ("2011-03",)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "present", "record"])
def test_damage_is_told_and_mended(copied: CellsRoot, damage: str) -> None:
    record = read_records(copied.root, copied.source)[0]["2011-03"]
    month, store = Month.of(copied.source, "2011-03"), open_store(copied.root, copied.source)
    shard = Path(copied.root.url, record.folder, "cdf/c/0/0/0/0")
    data = bytearray(shard.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        shard.write_bytes(data)
    elif damage == "cut":
        shard.write_bytes(data[:-500])
    elif damage == "gone":
        shard.unlink()
    elif damage == "present":
        Path(copied.root.url, record.folder, "clips/c/0/0").unlink()
    else:
        Path(copied.root.url, record.place, "1.json").write_bytes(b"{}")
    if damage in ("flip", "cut", "gone"):
        with pytest.raises(DamagedError, match=r"cdf/c/0/0/0/0"):
            read_cells(copied.root, record.folder, month, store, record.size, list(range(36)))
    (finding,) = look_at_cells(again(copied).root, Range())
    assert "2011-03" in finding.where
    assert again(copied).copy(anew=damage != "record").made[-1] == "2011-03"
    assert not list(look_at_cells(again(copied).root, Range()))
    check_equal(again(copied), "2011-03", MARCH)


def test_histograms_that_are_damaged_make_no_month(copied: CellsRoot) -> None:
    copied.put_day(MARCH[1], sky(9))
    store = open_store(copied.root, copied.source)
    key = f"{store.folder}/cdf/c/{store.axis.day_start(MARCH[1]) // 96}/0/0/0"
    data = bytearray(copied.root.objects.get(key))
    data[40] ^= 1
    copied.root.objects.put(key, bytes(data))
    with pytest.raises(DamagedError, match="2011-03-04"):
        again(copied).copy()
    assert [name for name, record in read_records(copied.root, copied.source)[0].items() if record.number > 1] == []


def test_gc_and_updates_remove_what_a_newer_month_took_the_place_of(copied: CellsRoot) -> None:
    copied.put_day(MARCH[1], sky(9))
    copied.copy()
    spent = [key for key, _ in spent_cells(copied.root, copied.source) if "2011-03" in key]
    assert len(spent) == 2  # the record and the arrays
    removed = {waste.key for waste in collect(again(copied).root, Unwanted()).removed if waste.kind == "cells"}
    assert f"{PLACE}/2011-03/1.json" in removed
    assert not list(spent_cells(copied.root, copied.source))
    assert len(copied.root.objects.names(f"{PLACE}/2011-03")) == 2
    check_equal(copied, "2011-03", MARCH)


def test_a_run_that_lost_its_lease_publishes_nothing(copied: CellsRoot) -> None:
    copied.put_day(MARCH[1], sky(9))
    root = again(copied).root
    with single_handed(root, lease_of(copied.source)) as lease:
        pass
    with pytest.raises(LeaseLostError):
        update_cells(root, copied.source, lease)
    assert read_records(root, copied.source)[0]["2011-03"].number == 1


BUILD = """
import sys
from wxpipe.cli import main
sys.argv = ["wxpipe", "cells", "update", "--root", sys.argv[1]]
main()
"""


def run_update(tiny: CellsRoot, **environment: str) -> int:
    command = [sys.executable, "-c", BUILD, tiny.root.url]
    return subprocess.run(command, env={**os.environ, **environment}, check=False, timeout=300).returncode


def check_killed(template: Path, folder: Path, point: str) -> None:
    """Killed at a write: the month before is what is seen. Once more: the new one is, whole, and nothing is left."""
    shutil.copytree(template, folder)
    tiny = CellsRoot(Root(str(folder)))
    tiny.put_day(MARCH[1], sky(9))
    assert run_update(tiny, WXPIPE_KILL_AT=f"{point}:{folder}.killed") == -signal.SIGKILL, f"{point} was not reached"
    before = read_records(again(tiny).root, tiny.source)[0]["2011-03"]
    if before.number == 1:
        assert wanted_months(tiny.root, tiny.source, {})["2011-03"].days != before.days
    assert not list(look_at_cells(again(tiny).root, Range()))
    assert run_update(tiny) == 0
    check_equal(again(tiny), "2011-03", MARCH)
    assert not list(spent_cells(again(tiny).root, tiny.source))


@pytest.mark.slow
@pytest.mark.parametrize(
    "point", ["1 before rename cells", "1 before put-if-absent cells/tiny-ea/6x20-exact/2011-03/2"]
)
def test_an_update_that_is_killed_has_made_nothing(copied_template: Path, tmp_path: Path, point: str) -> None:
    check_killed(copied_template, tmp_path / "root", point)


@pytest.mark.slow
def test_killed_at_every_write_point(copied_template: Path, tmp_path: Path) -> None:
    shutil.copytree(copied_template, tmp_path / "peace")
    tiny = CellsRoot(Root(str(tmp_path / "peace")))
    tiny.put_day(MARCH[1], sky(9))
    assert run_update(tiny, WXPIPE_WRITE_POINT_LOG=str(tmp_path / "log")) == 0
    points = [line.split(" ", 2)[2] for line in (tmp_path / "log").read_text().splitlines()]
    ours = [point for point in points if " cells/" in point]
    assert len(ours) >= 20
    for number in range(len(ours)):
        for prefix in ("before put-if-absent cells/", "after put-if-absent cells/", "before rename cells/"):
            count = sum(point.startswith(prefix) for point in ours)
            if number < count:
                check_killed(
                    copied_template, tmp_path / f"{prefix[:3]}{prefix[7:10]}{number}", f"{number + 1} {prefix}"
                )


def test_the_copy_is_made_and_read_in_a_bucket(
    copied: CellsRoot, s3_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in credentials(s3_port).items():
        monkeypatch.setenv(name, value)
    url = f"{make_bucket(s3_port, 'cells')}/root"
    there = open_objects(url)
    for info in copied.root.objects.walk():
        if (
            info.key.startswith(("wxpipe.toml", "ledger/", "histograms/", "clips/", "frames/"))
            and "/picture/" not in info.key
        ):
            there.put(info.key, copied.root.objects.get(info.key))
    tiny = CellsRoot(Root(url))
    assert tiny.copy().made == ("2011-02", "2011-03")
    check_equal(tiny, "2011-03", MARCH)
    assert tiny.copy().kept == ("2011-02", "2011-03")
    record = read_records(tiny.root, tiny.source)[0]["2011-03"]
    shard = f"{record.folder}/cdf/c/0/0/0/0"
    there.put(shard, there.get(shard)[:-7])
    with pytest.raises(DamagedError, match="cut short"):
        read_cells(
            tiny.root,
            record.folder,
            Month.of(tiny.source, "2011-03"),
            open_store(tiny.root, tiny.source),
            record.size,
            [0],
        )
