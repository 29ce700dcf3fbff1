"""Raw files in every mode come back as the pixels that they were made of."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from wxpipe.archive.decode import decode
from wxpipe.archive.synthetic.files import encode
from wxpipe.archive.synthetic.source import SyntheticSource, scaled
from wxpipe.errors import UsageError
from wxpipe.satellites.catalog import Source, shipped_satellites

RNG = np.random.default_rng(1)
GREY = np.repeat(RNG.integers(0, 250, (40, 50, 1), dtype=np.uint8), 3, axis=2)
DRAWN = GREY.copy()
DRAWN[3] = (255, 255, 0)
DRAWN[10:14, :9] = (20, 60, 160)


@pytest.mark.parametrize("mode", ["8-bit RGB", "8-bit RGBA", "8-bit palette", "GIF", "8-bit RGBA in gzip"])
def test_a_drawn_picture_comes_back(mode: str) -> None:
    area = shipped_satellites()["coms"].areas["ea"].model_copy(update={"rows": 40, "columns": 50, "modes": (mode,)})
    assert np.array_equal(decode(encode(DRAWN, mode), "x", area), DRAWN)


@pytest.mark.parametrize("mode", ["8-bit grey", "16-bit grey", "8-bit PGM", "16-bit PGM", "8-bit PGM in gzip"])
def test_a_grey_picture_comes_back(mode: str) -> None:
    area = shipped_satellites()["coms"].areas["ea"].model_copy(update={"rows": 40, "columns": 50, "modes": (mode,)})
    assert np.array_equal(decode(encode(GREY, mode), "x", area), GREY)


def test_a_mode_that_is_not_made_is_refused() -> None:
    with pytest.raises(UsageError, match="no synthetic file is made as '4-bit grey'"):
        encode(GREY, "4-bit grey")


@pytest.mark.parametrize("name", sorted(set(shipped_satellites()) - {"coms_newer"}))
def test_every_satellite_is_made_and_its_pictures_differ_by_channel(name: str) -> None:
    satellite = scaled(shipped_satellites()[name], 8)
    source = Source(satellite, next(iter(satellite.areas)))
    made, noon = SyntheticSource(source, 3), datetime(satellite.first_day.year, 7, 2, 3, tzinfo=UTC)
    area = source.area
    seen = {}
    for channel in satellite.channels:
        rgb = decode(made.file(channel, noon), "x", area)
        assert rgb.shape[0] in area.heights
        assert rgb.shape[1] == area.columns
        seen[channel] = rgb.tobytes()
        assert made.path(channel, noon)
    assert len(set(seen.values())) == len(satellite.channels)


def test_reflective_channels_are_black_at_night_and_only_they() -> None:
    satellite = scaled(shipped_satellites()["gms5"], 4)
    made = SyntheticSource(Source(satellite, "fd"), 3)
    night, day = (datetime(1998, 12, 22, hour, tzinfo=UTC) for hour in (15, 3))
    assert (made.grey("vis", night) == 0).mean() > 0.9
    assert made.grey("vis", day).max() > 100
    assert made.grey("ir1", night).max() == 255


def test_other_heights_occur_and_begin_at_the_same_row() -> None:
    satellite = scaled(shipped_satellites()["gk2a"], 8)
    made = SyntheticSource(Source(satellite, "ea"), 3)
    heights = {made.rows(date(2020, 1, 1) + timedelta(days=n)) for n in range(60)}
    assert heights == set(satellite.areas["ea"].heights)
