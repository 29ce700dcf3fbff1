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


PARTS = """
name = "parts"
title = "Parts"
first_day = 2010-01-01
last_day = 2010-12-31
cadence_minutes = 60
[channels.ir1]
band = "ir"
[areas.a]
name = "A"
rows = 8
columns = 8
reduce = [4, 4]
[[names]]
pattern = '(?P<month>[0-9]{6})/(?P<day>[0-9]{2})/ir1_(?P<clock>[0-9]{4})[.]png'
time_from = "{month}{day}{clock}"
area = "a"
channel = "ir1"
[[names]]
pattern = 'hourly/(?P<date>[0-9]{8})-(?P<hour>[0-9]+)[.]png'
time_from = "{date} {hour}:30"
time = "%Y%m%d %H:%M"
area = "a"
channel = "ir1"
[[names]]
pattern = 'noon/(?P<date>[0-9]{8})?[.]png'
time_from = "{date}1200"
area = "a"
channel = "ir1"
[[names]]
pattern = 'sample/(?P<channel>ir1)[.]png'
time_from = "201007011200"
area = "a"
"""


@pytest.mark.parametrize(
    ("path", "when"),
    [
        ("archive/201002/28/ir1_2345.png", datetime(2010, 2, 28, 23, 45, tzinfo=UTC)),
        ("hourly/20100301-7.png", datetime(2010, 3, 1, 7, 30, tzinfo=UTC)),
        ("noon/20100301.png", datetime(2010, 3, 1, 12, tzinfo=UTC)),
        ("sample/ir1.png", datetime(2010, 7, 1, 12, tzinfo=UTC)),
    ],
)
def test_a_time_is_put_together_from_the_path_and_what_is_fixed(path: str, when: datetime) -> None:
    found = NameReader([parse_satellite(PARTS, "parts.toml")]).read(path)
    assert isinstance(found, Named), found
    assert found.time == when


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("201002/30/ir1_2345.png", "impossible time '201002302345'"),
        ("hourly/20100301-25.png", "impossible time '20100301 25:30'"),
        ("noon/.png", "impossible time '1200'"),
    ],
)
def test_a_time_that_cannot_be_is_told_as_it_was_put_together(path: str, reason: str) -> None:
    found = NameReader([parse_satellite(PARTS, "parts.toml")]).read(path)
    assert isinstance(found, Unnamed)
    assert (found.kind, reason in found.reason) == ("unparsed", True), found.reason


SHIPPED = {
    "gk2a_ami_le1b_ir105_ea020lc_202107272220.srv.png": ("gk2a-ea", "ir105"),
    "gk2a_ami_le1b_vi006_ea005lc_202107272220.png": ("gk2a-ea", "vi006"),
    "201009/02/mtsat2_imgr_le1b_ir1_ea040ps_201009020730.png": ("mtsat2-ea", "ir1"),
    "mtsat1r_jami_le1b_wv_ea040ps_201009020700.png": ("mtsat1r-ea", "ir3"),
    "himawari8_ahi_le1b_ch13_ea020lc_202101010000.png": ("himawari8-ea", "ch13"),
    "gms5_vissr_le1b_ir1_fd_199809190600.gif": ("gms5-fd", "ir1"),
    "coms_mi_le1b_ir01_ea040ps_201103030800.png": ("coms-ea", "ir01"),
}


@pytest.mark.parametrize("path", SHIPPED)
def test_names_of_all_satellites_are_told_apart(path: str) -> None:
    found = NameReader(shipped_satellites().values()).read(path)
    assert isinstance(found, Named), found
    assert (found.source, found.channel) == SHIPPED[path]


@pytest.mark.parametrize(
    ("path", "satellite"),
    [
        *[(f"coms_mi_le1b_ir1_{area}_201708240545.png", "coms_newer") for area in ("a", "cf", "cn", "k", "lk")],
        *[(f"coms_mi_le1b_{channel}_a_201708240545.png", "coms_newer") for channel in ("vis", "ir2", "swir", "wv")],
        *[(f"gk2a_ami_le1b_ir105_{area}020ge_202107272220.png", "gk2a") for area in ("ela", "fd", "ko", "tp")],
        ("himawari8_ahi_le1b_ch13_nwpn_202101010000.png", "himawari8"),
    ],
)
def test_areas_of_unknown_size_are_counted_as_not_configured(path: str, satellite: str) -> None:
    found = NameReader(shipped_satellites().values()).read(path)
    assert isinstance(found, Unnamed)
    assert found.kind == "unconfigured"
    assert f"of {satellite} is not configured" in found.reason


@pytest.mark.parametrize(
    "path", ["gk2a_ami_le1b_ir105_ea020lc_202107272220.nc", "himawari8_ahi_le1b_ch13_nwpn_202101010000.bin.gz"]
)
def test_files_that_are_no_pictures_are_none_of_ours(path: str) -> None:
    assert NameReader(shipped_satellites().values()).read(path) == Unnamed("unparsed", "no name grammar matches")


@pytest.mark.parametrize("name", shipped_satellites())
def test_a_satellite_reads_back_the_path_that_it_spells(name: str) -> None:
    satellite = shipped_satellites()[name]
    when = datetime(satellite.first_day.year, 7, 1, 3, tzinfo=UTC)
    reader = NameReader([satellite])
    for area in satellite.areas:
        for channel in satellite.channels:
            read = reader.read(satellite.names[0].path.format(channel=channel, area=area, time=when))
            assert isinstance(read, Named)
            assert (read.source, read.channel, read.time) == (f"{name}-{area}", channel, when)


@pytest.mark.parametrize(
    "name",
    ["coms_mi_le1b_ir01_ea040ps_201103030800.PNG", "COMS_MI_LE1B_IR01_EA040PS_201103030800.PNG"],
)
def test_names_in_another_case_are_read_as_what_they_are(reader: NameReader, name: str) -> None:
    """Copies by way of other systems come so; their pictures were silently missing."""
    assert reader.read(f"201103/03/{name}") == reader.read(f"201103/03/{name.lower()}")
    assert isinstance(reader.read(name), Named)


def test_spellings_of_a_grammar_are_read_in_any_case_and_unknown_ones_are_told_as_they_are() -> None:
    reader = NameReader(shipped_satellites().values())
    found = reader.read("MTSAT2_IMGR_LE1B_SWIR_EA040PS_201201010000.png")
    assert isinstance(found, Named)
    assert (found.source, found.channel) == ("mtsat2-ea", "ir4")
    odd = reader.read("COMS_mi_le1b_IR09_ea040ps_201103030800.png")
    assert isinstance(odd, Unnamed)
    assert "unknown channel 'IR09'" in odd.reason
