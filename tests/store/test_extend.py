"""A lengthened slot axis: what was stored stays as it was, new days can be written, and a kill half-way is mended."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray

from tests.mini import SOURCE, Archive, Undisturbed, digest_of, points_of, wxpipe
from wxpipe.errors import RefusedError, UsageError
from wxpipe.pipeline.plan import Range, make_plan
from wxpipe.similarity.histograms import histogram_store
from wxpipe.store.extend import extend, plan_extension
from wxpipe.store.frames import frame_store
from wxpipe.store.root import Root
from wxpipe.store.stage import Context

SATELLITE = SOURCE.partition("-")[0]
SAME = ("clips", "models", "vectors", "ledger", "quarantine", "inventory", "release")


@pytest.fixture
def root(first_run: Undisturbed, tmp_path: Path) -> Path:
    return shutil.copytree(first_run.root, tmp_path / "root")


def last_day(root: Path) -> date:
    return Root(str(root)).satellites[SATELLITE].last_day


@pytest.mark.parametrize("days", [1, 40, 1000])
def test_what_was_stored_is_as_it_was_and_new_days_have_slots(root: Path, first_run: Undisturbed, days: int) -> None:
    before = xarray.open_zarr(root / f"frames/{SOURCE}.zarr", consolidated=False, chunks=None)
    stored = before.status.sum().item()
    old, wanted = last_day(root), last_day(root) + timedelta(days=days)
    planned = extend(Root(str(root)), SATELLITE, wanted)
    assert planned.slots[1] - planned.slots[0] == 96 * days
    after = xarray.open_zarr(root / f"frames/{SOURCE}.zarr", consolidated=False, chunks=None)
    assert after.status.sum().item() == stored
    times = after.time.values
    assert len(times) == planned.slots[1]
    assert (np.diff(times) == np.timedelta64(15, "m")).all()
    assert times[-1] == np.datetime64(f"{wanted}T23:45")
    parts = digest_of(root)
    assert {k: v for k, v in parts.items() if k.startswith(SAME)} == {
        k: v for k, v in first_run.digest.items() if k.startswith(SAME)
    }
    slots = np.arange(96) + 96 * 60
    cdfs = [histogram_store(Root(str(r)), SOURCE).read(slots) for r in (root, first_run.root)]
    assert cdfs[0].any()
    assert np.array_equal(*cdfs)
    opened = Root(str(root))
    assert make_plan(Context(opened), Range()).work == ()
    frames = frame_store(opened, SOURCE)
    frames.create()
    assert frames.day("status", old + timedelta(days=1)).shape[0] == 96
    assert extend(Root(str(root)), SATELLITE, wanted).arrays == ()


def test_a_run_goes_on_with_the_definition_of_before(root: Path, two_days: Archive) -> None:
    extend(Root(str(root)), SATELLITE, last_day(root) + timedelta(days=30))
    longer = last_day(root)
    status, said = wxpipe("backfill", *two_days.options, "--root", str(root), "--direct")
    assert (status, "nothing to do" in said) == (0, True), said
    assert last_day(root) == longer


def test_an_axis_is_never_shortened_and_other_satellites_are_named(root: Path) -> None:
    opened = Root(str(root))
    with pytest.raises(RefusedError, match="lengthened and never shortened"):
        plan_extension(opened, SATELLITE, last_day(root) - timedelta(days=1))
    with pytest.raises(UsageError, match=f"no satellite 'venus'; it has {SATELLITE}"):
        plan_extension(opened, "venus", last_day(root))


def test_killed_anywhere_and_asked_again_it_comes_to_the_same(root: Path, tmp_path: Path) -> None:
    say = ("extend", "--satellite", SATELLITE, "--to", str(last_day(root) + timedelta(days=400)))
    whole, log = shutil.copytree(root, tmp_path / "whole"), tmp_path / "log"
    assert wxpipe(*say, "--root", str(whole), WXPIPE_WRITE_POINT_LOG=str(log))[0] == 0
    points = points_of(log)
    assert len(points) > 20
    for number in range(2, len(points) + 1, 14):
        broken = shutil.copytree(root, tmp_path / f"broken{number}")
        assert wxpipe(*say, "--root", str(broken), WXPIPE_KILL_AT=f"{number}:{tmp_path / f'token{number}'}")[0] == -9
        assert wxpipe(*say, "--root", str(broken))[0] == 0
        assert digest_of(broken) == digest_of(whole), points[number - 1]
