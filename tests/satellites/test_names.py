"""A path says which picture it is, or why it is none."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from wxpipe.satellites.catalog import parse_satellite, shipped_satellites
from wxpipe.satellites.names import Named, NameReader, Unnamed


@pytest.fixture(scope="module")
def reader() -> NameReader:
    return NameReader([shipped_satellites()["coms"]])


@pytest.mark.parametrize("channel", ["ir01", "ir02", "swir", "wv"])
@pytest.mark.parametrize("folder", ["", "201103/03/", "201103030800_image/", "a copy/of the/archive/"])
def test_every_coms_name_is_read_wherever_it_lies(reader: NameReader, channel: str, folder: str) -> None:
    when = datetime(2011, 3, 3, 8, 0, tzinfo=UTC)
    found = reader.read(f"{folder}coms_mi_le1b_{channel}_ea040ps_201103030800.png")
    assert found == Named("coms-ea", channel, when, reader.axis("coms-ea").slot(when))


def test_the_exact_time_is_kept_and_falls_into_the_nearest_slot(reader: NameReader) -> None:
    found = reader.read("coms_mi_le1b_wv_ea040ps_201103030807.png")
    assert isinstance(found, Named)
    assert found.time == datetime(2011, 3, 3, 8, 7, tzinfo=UTC)
    assert reader.axis("coms-ea").time(found.slot) == datetime(2011, 3, 3, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("path", "kind", "reason"),
    [
        ("readme.txt", "unparsed", "no name grammar matches"),
        ("coms_mi_le1b_ir01_ea040ps_201103030800.png.part", "unparsed", "no name grammar matches"),
        ("coms_mi_le1b_ir01_ea040ps_201103030800.png\n", "unparsed", "no name grammar matches"),
        ("copy_of_coms_mi_le1b_ir01_ea040ps_201103030800.png", "unparsed", "no name grammar matches"),
        ("coms_mi_le1b_ir01_ea040ps_201103030800.png/thumbs.db", "unparsed", "no name grammar matches"),
        ("coms_mi_le1b_vis_ea040ps_201103030800.png", "unparsed", "unknown channel 'vis'.*known: ir01, ir02, swir, wv"),
        ("coms_mi_le1b_ir01_ea040ps_201102291200.png", "unparsed", "impossible time '201102291200'.*%Y%m%d%H%M"),
        ("coms_mi_le1b_ir01_ea040ps_201103032460.png", "unparsed", "impossible time"),
        ("coms_mi_le1b_ir01_ea040ps_199103030800.png", "unparsed", "outside the life span of coms.*2010-01-01 to 2020"),
        ("coms_mi_le1b_ir01_fd040ge_201103030800.png", "unconfigured", "area 'fd' of coms is not configured"),
    ],
)
def test_a_path_that_names_no_picture_says_why(reader: NameReader, path: str, kind: str, reason: str) -> None:
    found = reader.read(path)
    assert isinstance(found, Unnamed)
    assert found.kind == kind
    assert re.search(reason, found.reason), found.reason


SECOND = r"""
name = "mtsat2"
title = "MTSAT-2"
first_day = 2010-01-01
last_day = 2010-12-31
cadence_minutes = 60
[channels.ir1]
band = "ir"
[channels.wv]
band = "wv"
[areas.kochi]
name = "Kochi"
rows = 8
columns = 8
reduce = [4, 4]
[areas.disk]
name = "Full disk"
rows = 8
columns = 8
reduce = [4, 4]
[[names]]
pattern = 'MTS2(?P<time>\d{8})IR1\.pgm\.gz|MTS2_(?P<channel>WV)_x\.pgm\.gz'
time = "%y%m%d%H"
area = "kochi"
channel = "ir1"
[[names]]
pattern = 'disk/(?P<area>[a-z]+)_(?P<channel>[A-Z]+)_(?P<time>\d{10})\.png'
time = "%Y%m%d%H"
channels = {WV = "wv"}
areas = {d = "disk"}
"""


def test_several_grammars_fix_or_translate_what_a_name_does_not_spell_out() -> None:
    reader = NameReader([shipped_satellites()["coms"], parse_satellite(SECOND, "mtsat2.toml")])
    fixed = reader.read("2010/MTS210013123IR1.pgm.gz")
    assert fixed == Named("mtsat2-kochi", "ir1", datetime(2010, 1, 31, 23, tzinfo=UTC), 30 * 24 + 23)
    assert reader.read("a/disk/d_WV_2010010102.png") == Named(
        "mtsat2-disk", "wv", datetime(2010, 1, 1, 2, tzinfo=UTC), 2
    )
    assert isinstance(reader.read("coms_mi_le1b_wv_ea040ps_201103030807.png"), Named)


def test_alternatives_in_a_pattern_match_whole_names_only() -> None:
    reader = NameReader([parse_satellite(SECOND, "mtsat2.toml")])
    for path in ("MTS210013123IR1.pgm.gz.bak", "old-MTS2_WV_x.pgm.gz"):
        assert reader.read(path) == Unnamed("unparsed", "no name grammar matches")
