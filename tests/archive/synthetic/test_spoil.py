"""An archive is made with faults in it, and its truth file says of each what an ingest must say."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.archive.planted import assert_all_told
from wxpipe.archive.synthetic.archive import Order, make_archive
from wxpipe.archive.synthetic.faults import kinds_for
from wxpipe.archive.synthetic.gaps import gaps_of, lost
from wxpipe.archive.synthetic.source import SyntheticSource, scaled, site_satellites
from wxpipe.archive.truth import read_truth
from wxpipe.cli.app import app
from wxpipe.errors import UsageError
from wxpipe.satellites.catalog import Source, shipped_satellites
from wxpipe.store.root import Root

FIRST, SEED = date(2020, 6, 1), 7
MINI2 = Source(site_satellites()["mini2"], "t")
MTSAT = Source(scaled(shipped_satellites()["mtsat2"], 16), "ea")


def paths_of(source: Source, first: date, days: int, gaps: bool = False) -> dict[tuple[str, datetime], str]:
    """Where the pictures of an order lie, while none is spoiled."""
    made, axis, satellite = SyntheticSource(source, SEED), source.satellite.axis, source.satellite
    paths = {}
    for day in (first + timedelta(days=n) for n in range(days)):
        gone = gaps_of(source, SEED, day) if gaps else []
        times = [time for slot in axis.day_slots(day) if satellite.expects(time := axis.time(slot))]
        paths |= {(c, t): made.path(c, t) for t in times for c in satellite.channels if not lost(gone, c, t)}
    return paths


def backfilled(folder: Path) -> tuple[int, Root]:
    command = ["--archive", str(folder / "pictures"), "--satellites", str(folder), "--root", str(folder / "root")]
    result = CliRunner().invoke(app, ["backfill", *command, "--direct", "--stage", "ingest"])
    return result.exit_code, Root(str(folder / "root"))


def test_every_planted_fault_is_found_as_the_truth_says_and_gaps_are_none(tmp_path: Path) -> None:
    command = ["synth", str(tmp_path), "--satellite", "mini2", "--from", str(FIRST), "--days", "8", "--seed", str(SEED),
               "--faults", "1", "--workers", "1", "--gaps"]  # fmt: skip
    said = CliRunner().invoke(app, command)
    assert said.exit_code == 0, said.output
    truth, paths = read_truth(tmp_path), paths_of(MINI2, FIRST, 8, gaps=True)
    assert {told.kind for told in truth.faults} == set(kinds_for(MINI2, paths))
    assert "faults planted" in said.output
    code, root = backfilled(tmp_path)
    assert code == 3
    assert_all_told(root, MINI2, paths, truth.faults)


@pytest.mark.slow
def test_of_a_damaged_week_every_second_file_is_cut(tmp_path: Path) -> None:
    begin = date(2010, 7, 2)
    (made,) = make_archive(tmp_path, Order((MTSAT,), date(2010, 7, 1), 9, SEED, damaged_from=begin))
    truth, paths = read_truth(tmp_path), paths_of(MTSAT, date(2010, 7, 1), 9)
    assert made.faults == len(truth.faults) == 7 * 48 * 4 / 2
    assert {(told.kind, told.expected, told.reason) for told in truth.faults} == {
        ("truncated", "quarantined", "truncated")
    }
    assert Counter(told.time.date() for told in truth.faults if told.time) == {
        begin + timedelta(days=n): 48 * 2 for n in range(7)
    }
    assert set(Counter(told.time for told in truth.faults).values()) == {2}, "two channels of every slot"
    code, root = backfilled(tmp_path)
    assert code == 3
    assert_all_told(root, MTSAT, paths, truth.faults)


def test_faults_and_a_damaged_week_leave_each_other_alone(tmp_path: Path) -> None:
    week = date(2020, 6, 3)
    make_archive(tmp_path, Order((MINI2,), FIRST, 14, SEED, faults=1, damaged_from=week))
    told = read_truth(tmp_path).faults
    pictures = Counter((fault.channel, fault.time) for fault in told if fault.channel)
    assert set(pictures.values()) == {1}
    inside = {fault.kind for fault in told if fault.time and week <= fault.time.date() < week + timedelta(days=7)}
    assert inside == {"truncated"}


@pytest.mark.slow
def test_the_same_order_has_the_same_faults_and_bytes(tmp_path: Path) -> None:
    files = []
    for name in "ab":
        make_archive(tmp_path / name, Order((MTSAT,), date(2010, 7, 1), 4, SEED, faults=1))
        every = [path for path in sorted((tmp_path / name).rglob("*.png")) if path.is_file()]
        files.append({path.relative_to(tmp_path / name): path.read_bytes() for path in every})
    assert read_truth(tmp_path / "a") == read_truth(tmp_path / "b")
    assert files[0] == files[1]


def test_an_archive_with_faults_is_not_made_again_or_longer(tmp_path: Path) -> None:
    order = Order((MTSAT,), date(2010, 7, 1), 7, SEED, damaged_from=date(2010, 7, 1))
    make_archive(tmp_path, order)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    for other in (order, Order((MTSAT,), date(2010, 7, 8), 1, SEED)):
        with pytest.raises(UsageError, match=r"672 faults are planted in the archive there; .*use another folder"):
            make_archive(tmp_path, other)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()} == before


def test_a_kind_without_room_is_left_out_and_named(tmp_path: Path) -> None:
    """No slot of a half-hourly satellite has both neighbours of its 15-minute cadence."""
    (made,) = make_archive(tmp_path, Order((MTSAT,), date(2010, 7, 1), 4, SEED, faults=1))
    assert made.left_out["copy of the previous slot, retitled"] == 0
    assert made.faults == len(read_truth(tmp_path).faults) > 30


def test_what_cannot_be_spoiled_is_refused_before_a_picture_is_made(tmp_path: Path) -> None:
    gms = Source(shipped_satellites()["gms5"], "fd")
    with pytest.raises(UsageError, match="planted into PNG of 8-bit RGB, and its pictures are GIF"):
        make_archive(tmp_path, Order((gms,), date(1998, 9, 19), 1, SEED, faults=1))
    with pytest.raises(UsageError, match="expected one within 2010-07-01 to 2010-07-09"):
        make_archive(tmp_path, Order((MTSAT,), date(2010, 7, 1), 9, SEED, damaged_from=date(2010, 7, 4)))
    assert not list(tmp_path.rglob("*.png"))
