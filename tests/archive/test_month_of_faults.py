"""A month of a small satellite with every kind of fault in it: each is found and named, nothing else is touched."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.archive.planted import assert_all_told
from tests.archive.trial import TITLED, TITLED_NAME, Trial
from wxpipe.archive.synthetic.archive import write_archive
from wxpipe.archive.synthetic.fault_victim import Victim, png
from wxpipe.archive.synthetic.faults import FAULTS, kinds_for, plant
from wxpipe.archive.truth import Planted
from wxpipe.cli.app import app
from wxpipe.errors import UsageError
from wxpipe.satellites.catalog import Source, parse_satellite
from wxpipe.satellites.sun import sun_elevation
from wxpipe.store.frames import frame_store

FIRST, DAYS, TIMES = datetime(2020, 5, 1, tzinfo=UTC), 30, 3
HOUR = timedelta(hours=1)
HOURLY = TITLED.replace("cadence_minutes = 15", "cadence_minutes = 60").replace("hours = 1", "hours = 4")
HOURLY = HOURLY.replace("rows = 120", "rows = 84")
LIT = '[channels.vis]\nband = "vis"\nlabel = "VIS"\nrequired = false\nreflective = true\n[clip]'
SEEN = HOURLY.replace("[clip]", LIT).replace("crop_rows = 20\n", "crop_rows = 20\nmiddle = [38.0, 127.0]\n")


@dataclass
class Month:
    """An hourly archive of two thermal channels and a reflective one, and where each picture lies."""

    trial: Trial
    paths: dict[tuple[str, datetime], str]

    @property
    def source(self) -> Source:
        return self.trial.source

    def copy(self, folder: Path) -> Month:
        return Month(Trial.of(self.trial, folder), self.paths)


def make_month(folder: Path, days: int) -> Month:
    """Thermal pictures of a synthetic sky; of the visible one what the sun makes of the first, black at night."""
    made = write_archive(
        folder, parse_satellite(HOURLY, "trial.toml"), "ea", FIRST, 24 * days, 3, path_format=TITLED_NAME
    )
    satellite = parse_satellite(SEEN, "trial.toml")
    made.satellite.write_text(SEEN)
    source, site = Source(satellite, "ea"), made.satellite
    times = [FIRST + n * HOUR for n in range(24 * days)]
    paths = {(c, t): TITLED_NAME.format(time=t, channel=c, area="ea") for c in satellite.channels for t in times}
    pristine = folder / "pristine"
    made.pictures.rename(pristine)
    for time in times:
        victim = Victim(pristine, source, paths, "ir01", time)
        light = max(0.0, np.sin(np.radians(sun_elevation(time, 38.0, 127.0))))
        rgb = ((255 - victim.rgb()) * min(0.9, 2 * light)).astype(np.uint8)
        rgb[victim.layer()] = (255, 255, 0)
        seen = Victim(pristine, source, paths, "vis", time)
        seen.retitle(rgb)
        seen.write(png(rgb))
    trial = Trial(source, TITLED_NAME, FIRST, 24 * days, pristine, pristine, folder / "root", site)
    return Month(trial, paths)


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    """The archive and its root, both without a fault; for tests that only read."""
    made = make_month(tmp_path_factory.mktemp("month"), DAYS)
    assert made.trial.backfill()[0] == 0
    assert made.trial.records() == {}
    return made


# --- what was found ---------------------------------------------------------------------------------------------------


def assert_all_found(month: Month, planted: Sequence[Planted]) -> None:
    assert_all_told(month.trial.opened(), month.source, month.paths, planted)


def assert_pictures_kept(month: Month, sound: Month, planted: Sequence[Planted]) -> None:
    """Every picture that no fault changed is in the store, pixel for pixel as in the root that never had any."""
    changed = {
        (told.channel, told.time) for told in planted if told.expected != "good" or told.kind == "black by night"
    }
    retitled = {(told.channel, told.time) for told in planted if told.kind == "off the grid"}
    ours, theirs = (frame_store(m.trial.opened(), m.source) for m in (month, sound))
    start, top = ours.axis.slot(FIRST), month.source.area.title_rows
    for channel in month.source.satellite.channels:
        kept = {slot for slot in range(month.trial.slots) if (channel, FIRST + slot * HOUR) not in changed}
        slots = [start + slot for slot in sorted(kept)]
        for (slot, one), (_, other) in zip(ours.pictures(slots, channel), theirs.pictures(slots, channel), strict=True):
            rows = top if (channel, FIRST + (slot - start) * HOUR) in retitled else 0
            assert np.array_equal(one[rows:], other[rows:]), (channel, slot)


def repair(month: Month) -> None:
    """Puts the archive back as it was; a mirror of the source does as much."""
    shutil.rmtree(month.trial.archive)
    shutil.copytree(month.trial.pristine, month.trial.archive)


def said(verb: str, root: Path, *more: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [verb, "--root", str(root), *more])
    return result.exit_code, result.stdout


# --- the month --------------------------------------------------------------------------------------------------------


def test_there_are_twenty_kinds_beyond_those_of_a_trial(month: Month) -> None:
    from tests.archive import trial

    assert set(trial.FAULTS) < set(FAULTS)
    assert len(FAULTS) >= len(trial.FAULTS) + 20
    assert kinds_for(month.source, month.paths) == tuple(FAULTS), "this satellite can show them all"


def test_a_month_of_all_faults_is_found_named_and_mended(month: Month, tmp_path: Path) -> None:
    spoiled = month.copy(tmp_path)
    planted = plant(spoiled.trial.archive, month.source, month.paths, TIMES * list(FAULTS), seed=1)
    assert Counter(told.kind for told in planted).keys() == set(FAULTS)
    assert spoiled.trial.backfill()[0] == 3
    assert_all_found(spoiled, planted)
    assert_pictures_kept(spoiled, month, planted)
    spoiled.trial.assert_reconciled()
    code, document = said("status", spoiled.trial.root, "--json")
    status = json.loads(document)
    assert (code, status["reconciled"], status["differences"]) == (0, True, [])
    total = Counter(told.expected for told in planted if told.channel is not None)
    found = status["sources"]["trial-ea"]["pictures"]
    assert {name: found[name] for name in ("suspect", "quarantined", "missing")} == {
        name: total[name] for name in ("suspect", "quarantined", "missing")
    }
    assert said("validate", spoiled.trial.root)[0] == 3, "for what is in quarantine"
    assert spoiled.trial.backfill() == (3, set()), "a second run does nothing and says the same"
    repair(spoiled)
    assert spoiled.trial.backfill()[0] == 0
    assert spoiled.trial.records() == {}
    assert spoiled.trial.content() == month.trial.sound
    spoiled.trial.assert_reconciled()
    assert said("validate", spoiled.trial.root)[0] == 0


def test_planting_is_drawn_by_the_seed_and_keeps_faults_apart(month: Month, tmp_path: Path) -> None:
    kinds = ["truncated", "mirrored", "same file twice", "of another channel, retitled"]
    planted = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        other = month.copy(tmp_path / name)
        planted.append(plant(other.trial.archive, month.source, month.paths, kinds, seed))
    assert planted[0] == planted[1] != planted[2]
    first, second = ({p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.png")} for n in "ab")
    assert [data for _, data in sorted(first.items())] == [data for _, data in sorted(second.items())]
    slots = sorted((t.channel, (t.time - FIRST) // HOUR) for t in planted[0] if t.channel and t.time)
    assert all(a[0] != b[0] or b[1] - a[1] >= 5 for a, b in pairwise(slots))


def test_what_cannot_be_planted_is_refused_with_the_reason(month: Month, tmp_path: Path) -> None:
    archive = month.copy(tmp_path).trial.archive
    with pytest.raises(UsageError, match="no kind of fault 'rust'; there are: truncated"):
        plant(archive, month.source, month.paths, ["rust"], 1)
    plain = Source(parse_satellite(HOURLY.replace('text = "COMS', 'text = "X'), "x.toml"), "ea")
    with pytest.raises(UsageError, match="needs night"):
        plant(archive, plain, month.paths, ["black by night"], 1)
    few = {cell: path for cell, path in month.paths.items() if cell[1] < FIRST + 11 * HOUR}
    with pytest.raises(UsageError, match="no room for another 'truncated' among 33 pictures"):
        plant(archive, month.source, few, ["truncated"] * 4, 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(int(os.environ.get("WXPIPE_SEEDS", "8"))))
def test_other_months_of_faults_are_found_too(month: Month, tmp_path: Path, seed: int) -> None:
    spoiled = month.copy(tmp_path)
    planted = plant(spoiled.trial.archive, month.source, month.paths, TIMES * list(FAULTS), seed=100 + seed)
    assert spoiled.trial.backfill()[0] == 3
    assert_all_found(spoiled, planted)
    assert_pictures_kept(spoiled, month, planted)
    repair(spoiled)
    assert spoiled.trial.backfill()[0] == 0
    assert spoiled.trial.content() == month.trial.sound
