"""Weather that was planted as pictures: a cloud field that comes back at another hour, and one without precedent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tests.mini import wxpipe
from wxpipe.archive.synthetic.archive import write_archive
from wxpipe.archive.synthetic.ground import Ground
from wxpipe.archive.synthetic.sky import Sky, Weather
from wxpipe.archive.synthetic.source import SyntheticSource, satellite_toml, scaled
from wxpipe.satellites.catalog import Source, shipped_satellites
from wxpipe.store.root import Root
from wxpipe.vectors.answers import Answer, SearchRequest
from wxpipe.vectors.quality_sample import measure
from wxpipe.vectors.search import search

FIRST, DAYS, SEED = datetime(2011, 6, 1, tzinfo=UTC), 16, 11
BY_DAY = datetime(2011, 6, 4, 1, tzinfo=UTC)
"""Ten in the morning in Korea."""
BY_NIGHT = datetime(2011, 6, 11, 13, tzinfo=UTC)
STRANGE = datetime(2011, 6, 14, 1, tzinfo=UTC)
CLIP, SLOT = timedelta(hours=6), timedelta(minutes=15)

pytestmark = pytest.mark.slow


class LitAnew:
    """A ground under the sun of another time."""

    def __init__(self, ground: Ground, later: timedelta) -> None:
        self._ground, self._later = ground, later

    def sunlight(self, when: datetime) -> Any:
        return self._ground.sunlight(when + self._later)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ground, name)


class Returning(Sky):
    """Clouds of one morning come back a week later at night: the clouds are the same, the light is not."""

    def weather(self, ground: Ground, when: datetime) -> Weather:
        if BY_NIGHT <= when <= BY_NIGHT + CLIP:
            later = BY_NIGHT - BY_DAY
            return super().weather(LitAnew(ground, later), when - later)  # type: ignore[arg-type]
        return super().weather(ground, when)


class Planted(SyntheticSource):
    """One day is seen upside down: the same kind of weather, where it never is."""

    def grey(self, channel: str, when: datetime) -> Any:
        grey = super().grey(channel, when)
        return np.flip(grey).copy() if STRANGE <= when <= STRANGE + CLIP else grey


@dataclass(frozen=True)
class Made:
    root: Root

    def ask(self, at: datetime, **more: Any) -> Answer:
        return search(self.root, SearchRequest("coms-ea", at, k=5, **more))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("planted")
    satellite = scaled(shipped_satellites()["coms"], 8)
    write_archive(folder / "archive", satellite, "ea", FIRST, 96 * DAYS, SEED)
    source = Planted(Source(satellite, "ea"), SEED)
    source.sky = Returning(SEED)
    for begin in (BY_NIGHT, STRANGE):
        for slot in range(25):
            for channel in satellite.channel_names:
                when = begin + slot * SLOT
                path = folder / "archive" / "pictures" / source.path(channel, when)
                assert path.exists()
                path.write_bytes(source.file(channel, when))
    (folder / "coms.toml").write_bytes(satellite_toml(satellite))
    status, said = wxpipe("backfill", "--archive", str(folder / "archive" / "pictures"), "--satellites", str(folder),
                          "--root", str(folder / "root"), "--direct")  # fmt: skip
    assert status == 0, said
    root = Root(str(folder / "root"))
    measure(root, "coms", samples=400)
    return Made(root)


def test_a_cloud_field_is_found_twelve_hours_off(made: Made) -> None:
    """By night as a forecaster asks, and by day where infrared and water vapour are asked for."""
    for at, other, more in ((BY_NIGHT, BY_DAY, {}), (BY_DAY, BY_NIGHT, {"bands": "ir+wv"})):
        answer = made.ask(at, **more)
        assert (answer.bands, answer.channels) == ("ir+wv", ("ir01", "ir02", "wv"))
        best, next_best = answer.analogs[:2]
        assert best.start == other
        assert next_best.similarity is not None
        assert best.similarity is not None
        assert best.similarity > next_best.similarity + 0.1


def test_in_all_bands_the_hour_stands_between_them(made: Made) -> None:
    whole, thermal = (made.ask(BY_NIGHT, bands=bands) for bands in ("all", "ir+wv"))
    clear = [
        next((a.similarity or 0 for a in answer.analogs if a.start == BY_DAY), 0) - (answer.analogs[1].similarity or 0)
        for answer in (whole, thermal)
    ]
    assert clear[0] < clear[1]


def test_weather_without_precedent_has_no_good_analog(made: Made) -> None:
    quality = made.ask(STRANGE).quality
    assert quality.good is False, quality
    assert quality.sentence().startswith("no good analog: ")
    usual = [made.ask(FIRST + timedelta(days=day, hours=1)).quality.good for day in range(1, DAYS - 1) if day != 13]
    assert np.mean([good is True for good in usual]) > 0.6
