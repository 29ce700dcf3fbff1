"""Systems are born, move, turn, grow and die in their seasons, and are seen where the truth says."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.archive.synthetic.tracker import follow, visible
from wxpipe.archive.synthetic.ground import degrees_of
from wxpipe.archive.synthetic.regimes import Regimes
from wxpipe.archive.synthetic.sky import hours_of
from wxpipe.archive.synthetic.source import SyntheticSource, scaled
from wxpipe.archive.synthetic.systems import Systems
from wxpipe.archive.synthetic.truth import draw_up_truth
from wxpipe.satellites.catalog import Source, shipped_satellites

COMS = Source(scaled(shipped_satellites()["coms"], 6), "ea")
SYSTEMS = Systems(7, Regimes(7))


def systems_of(month: int, days: int = 30) -> Counter[str]:
    begin = hours_of(datetime(2012, month, 1, tzinfo=UTC))
    return Counter("typhoon" if system.eye else system.kind for system in SYSTEMS.between(begin, begin + 24 * days))


def test_summer_has_typhoons_and_convection_and_winter_has_lows() -> None:
    winter, summer = systems_of(1), systems_of(8)
    assert summer["typhoon"] > winter["typhoon"]
    assert summer["convection"] > 3 * winter["convection"]
    assert min(winter["vortex"], winter["front"], summer["vortex"]) >= 10


def test_convection_is_born_in_the_afternoon_of_its_place() -> None:
    begin = hours_of(datetime(2012, 7, 1, tzinfo=UTC))
    born = [s for s in SYSTEMS.between(begin, begin + 240) if s.kind == "convection"]
    local = [(s.begin + degrees_of(*s.start)[1] / 15) % 24 for s in born]
    assert len(local) > 20
    assert all(13 < hour < 17 for hour in local)


def test_a_system_grows_and_fades_and_is_nowhere_before_and_after() -> None:
    begin = hours_of(datetime(2012, 8, 1, tzinfo=UTC))
    for system in SYSTEMS.between(begin, begin + 300):
        assert system.at(system.begin - 0.1) is None
        assert system.at(system.end + 0.1) is None
        hours = np.linspace(system.begin, system.end, 20)
        strength = [at.strength for hour in hours if (at := system.at(float(hour))) is not None]
        assert strength[0] < 0.1
        assert strength[-1] < 0.1
        assert 0.3 < max(strength) <= 1


def test_a_system_is_the_same_whatever_span_one_asks_for() -> None:
    begin = hours_of(datetime(2012, 8, 1, tzinfo=UTC))
    whole = {system.id: system for system in SYSTEMS.between(begin, begin + 240)}
    parts = {s.id: s for n in range(10) for s in SYSTEMS.between(begin + 24 * n, begin + 24 * (n + 1))}
    assert parts == whole


@pytest.mark.parametrize("seed", [7])
def test_tracks_are_recovered_from_the_pixels(seed: int) -> None:
    """A tracker that knows only how a vortex looks finds it within 3 % of the picture of where the truth has it."""
    made = SyntheticSource(COMS, seed)
    first = datetime(2012, 8, 1, tzinfo=UTC)
    truth = draw_up_truth([COMS], seed, first, first + timedelta(days=9), [])
    vortices = [system for system in truth.systems if system.kind == "vortex"]
    errors, followed = [], 0
    for vortex in vortices:
        points = visible(vortex, COMS.id, vortices)
        if len(points) < 8:
            continue
        followed += 1
        found = follow(points, COMS.id, lambda when: made.grey("wv", when) // 2 + made.grey("ir01", when) // 2)
        errors.append(np.abs(found - [point.places[COMS.id] for point in points]).max(axis=1))
    assert followed >= 5
    every = np.concatenate(errors)
    assert np.mean(every < 0.03) > 0.97
    assert max(np.median(error) for error in errors) < 0.015


def test_a_vortex_turns() -> None:
    """Its arms go around: a picture some hours later is more like the first one when that is turned back."""
    begin = hours_of(datetime(2012, 8, 1, tzinfo=UTC))
    typhoon = next(s for s in SYSTEMS.between(begin, begin + 300) if s.eye)
    early, late = (typhoon.at(typhoon.begin + hour) for hour in (50.0, 53.0))
    assert early is not None
    assert late is not None
    assert abs(late.angle - early.angle) == pytest.approx(3 * abs(typhoon.turning))
