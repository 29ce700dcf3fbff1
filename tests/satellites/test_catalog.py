"""A satellite is a TOML file: what it may say, what is refused and how, and how a site's files change it."""

from __future__ import annotations

import pickle
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import tomli_w
from pydantic import ValidationError

from wxpipe.errors import UsageError
from wxpipe.satellites.catalog import find_source, load_satellites, parse_satellite, shipped_satellites
from wxpipe.satellites.satellite import Satellite

COMS = shipped_satellites()["coms"]


def document() -> dict:
    """COMS as its file has it."""
    return tomllib.loads(tomli_w.dumps(COMS.model_dump(mode="json", exclude_none=True)))


def edited(path: str, value: object) -> str:
    """The TOML of COMS with one value set, `areas.ea.rows` say; None takes the key away."""
    whole = table = document()
    *parents, last = path.split(".")
    for name in parents:
        table = table[int(name)] if isinstance(table, list) else table.setdefault(name, {})
    if value is None:
        del table[last]
    else:
        table[last] = value
    return tomli_w.dumps(whole)


def test_coms_is_what_the_archive_is() -> None:
    assert COMS.channel_names == ("ir01", "ir02", "swir", "wv")
    assert COMS.required == (True,) * 4
    assert [channel.band for channel in COMS.channels.values()] == ["ir", "ir2", "swir", "wv"]
    assert COMS.areas["ea"].reduced_shape == (300, 375)
    assert COMS.areas["ea"].heights == (1300,)
    assert COMS.axis.count == 385_728
    assert COMS.axis.last_day == date(2020, 12, 31)
    assert COMS.window_slots == 25


def test_what_a_root_of_before_holds_is_written_as_it_was() -> None:
    """Fields that were added later show in no root, digest or fingerprint until they are set."""
    assert list(COMS.model_copy(update={"geography": {}}).model_dump()) == [
        "name", "title", "imagery", "first_day", "last_day", "cadence_minutes", "schedule", "channels", "areas",
        "names", "clip",
    ]  # fmt: skip
    dumped = COMS.model_dump(mode="json")
    assert list(dumped["areas"]["ea"]) == [
        "name", "rows", "other_rows", "columns", "title_rows", "crop_rows", "reduce", "overlay_colour", "title_bar",
    ]  # fmt: skip
    assert list(dumped["channels"]["swir"]) == ["band", "required", "label"]
    before = ["pattern", "time", "area", "channel", "channels", "areas", "unverified"]
    assert list(COMS.names[0].model_copy(update={"path": ""}).model_dump()) == before
    assert COMS.model_dump(exclude={"areas", "names"}).keys() == dumped.keys() - {"areas", "names"}
    gk2a = shipped_satellites()["gk2a"].model_dump(mode="json")
    assert (gk2a["unverified"], gk2a["areas"]["ea"]["modes"]) == (True, ["8-bit RGB", "8-bit RGBA"])


@pytest.mark.parametrize("name", shipped_satellites())
def test_a_satellite_survives_toml_and_pickle_whole(name: str) -> None:
    satellite = shipped_satellites()[name]
    again = parse_satellite(tomli_w.dumps(satellite.model_dump(mode="json", exclude_none=True)), "again.toml")
    assert again == satellite
    assert pickle.loads(pickle.dumps(satellite)) == satellite


def test_coms_survives_toml_and_pickle_after_its_axis_was_looked_at() -> None:
    assert COMS.axis.count  # an axis that was looked at changes neither equality nor what is written
    again = parse_satellite(tomli_w.dumps(COMS.model_dump(mode="json", exclude_none=True)), "again.toml")
    assert again == COMS
    assert again.axis == COMS.axis
    assert pickle.loads(pickle.dumps(COMS)) == COMS


def test_a_copy_with_another_last_day_has_its_own_axis() -> None:
    assert COMS.axis.last_day == date(2020, 12, 31)
    longer = COMS.model_copy(update={"last_day": date(2021, 1, 1)})
    assert longer.axis.last_day == date(2021, 1, 1)
    assert longer.axis.count == COMS.axis.count + 96


# name: years, channels, slots a day, and the required channels in the order ir, ir2, swir, wv.
ARCHIVE = {
    "coms": ((2010, 2020), 4, 96, ("ir01", "ir02", "swir", "wv")),
    "gk2a": ((2017, 2021), 16, 144, ("ir105", "ir123", "sw038", "wv069")),
    "gms5": ((1991, 2003), 3, 8, ("ir1",)),
    "himawari8": ((2015, 2021), 14, 144, ("ch13", "ch15", "ch07", "ch09")),
    "mtsat1r": ((2010, 2014), 4, 96, ("ir1", "ir2", "ir4", "ir3")),
    "mtsat2": ((2010, 2015), 4, 96, ("ir1", "ir2", "ir4", "ir3")),
}


@pytest.mark.parametrize("name", ARCHIVE)
def test_each_satellite_is_what_the_archives_owners_say(name: str) -> None:
    satellite, (years, channels, daily, required) = shipped_satellites()[name], ARCHIVE[name]
    assert (satellite.first_day.year, satellite.last_day.year) == years
    assert (len(satellite.channels), satellite.axis.slots_per_day) == (channels, daily)
    bands = {channel.band: name for name, channel in satellite.channels.items() if channel.required}
    assert tuple(bands[band] for band in ("ir", "ir2", "swir", "wv") if band in bands) == required
    assert sum(satellite.required) == len(required)
    areas = satellite.areas.values()
    shapes = {(area.rows, area.columns): area.reduced_shape for area in areas}
    assert shapes == (
        {(512, 512): (128, 128)} if name == "gms5" else {(max(a.heights), 1500): (300, 375) for a in areas}
    )
    assert satellite.unverified == (name != "coms")


def test_gms5_has_frames_and_no_clips_and_gk2a_two_heights() -> None:
    assert shipped_satellites()["gms5"].clip is None
    assert shipped_satellites()["gms5"].window_slots == 0
    assert shipped_satellites()["gk2a"].areas["ea"].heights == (1332, 1300)
    assert shipped_satellites()["gk2a"].window_slots == 37


@pytest.mark.parametrize("name", ["mtsat1r", "mtsat2"])
def test_the_schedules_of_mtsat_change_between_a_quarter_and_an_hour(name: str) -> None:
    satellite = shipped_satellites()[name]
    every = {entry.every_minutes for entry in satellite.schedule}
    assert {15, 60} <= every <= {15, 30, 60}
    quarter = datetime(2010, 3, 1, 0, 15, tzinfo=UTC)
    assert satellite.expects(quarter) != satellite.expects(quarter.replace(year=2012))


def test_a_satellite_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        COMS.title = "another"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("cadance", 15, "cadance: Extra inputs"),
        ("channels.ir01.colour", "red", "channels.ir01.colour: Extra inputs"),
        ("areas.ea.title_bar.size", 9, "areas.ea.title_bar.size: Extra inputs"),
        ("channels.ir01.band", "infrared", "channels.ir01.band: Input should be"),
        ("first_day", None, "first_day: Field required"),
        ("name", "coms-1", "name: String should match"),
        ("cadence_minutes", 7, "cadence_minutes = 7 does not divide a day"),
        ("last_day", "2009-12-31", "last_day 2009-12-31 is before first_day 2010-01-01"),
        ("schedule.0.every_minutes", 20, "every_minutes = 20 is not a multiple of cadence_minutes = 15"),
        ("schedule.0.offset_minutes", 5, "offset_minutes = 5 is not a multiple of cadence_minutes = 15"),
        ("areas.ea.crop_rows", 101, "1199 x 1500 pixels .* not a multiple of the reduction block"),
        ("areas.ea.crop_rows", 1300, "title_rows and crop_rows must be below rows = 1300"),
        ("areas.ea.reduce", [0, 4], "reduce = .0, 4. must be at least 1 x 1"),
        ("areas.ea.other_rows", [1332], "other_rows = .1332,. must be below rows = 1300"),
        ("areas.e/a", {"name": "x", "rows": 4, "columns": 4, "reduce": [4, 4]}, "area 'e/a': expected letters"),
        ("names.0.pattern", r"coms_(?P<time>\d{12}.png", "names.0.pattern: .*not a regular expression"),
        ("names.0.pattern", r"coms_\d{12}.png", "names.0: .*no group"),
        ("names.0.time_from", "{day}{hour}", "names.0: .*no group .*day"),
        ("names.0.time_from", "{time", "names.0: .*time_from = '{time'"),
        ("areas.ea.modes", ["8-bit yellow"], "areas.ea.modes.0: String should match"),
        ("areas.ea.modes", [], "areas.ea.modes: Tuple should have at least 1"),
    ],
)
def test_a_fault_is_refused_with_file_and_field(path: str, value: object, said: str) -> None:
    with pytest.raises(UsageError, match=rf"^site/coms\.toml: .*{said}"):
        parse_satellite(edited(path, value), "site/coms.toml")


def test_a_satellite_without_required_channels_is_refused() -> None:
    text = tomli_w.dumps({**document(), "channels": {"ir01": {"band": "ir", "required": False}}})
    with pytest.raises(UsageError, match="at least one channel must be required"):
        parse_satellite(text, "x.toml")


def test_every_fault_of_a_file_is_told_at_once() -> None:
    text = tomli_w.dumps({**document(), "colour": 1, "cadence_minutes": 0})
    with pytest.raises(UsageError, match=r"(?=.*colour: Extra)(?=.*cadence_minutes: Input should be greater)"):
        parse_satellite(text, "x.toml")


def test_what_is_not_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"x\.toml: not TOML: .*line 2"):
        parse_satellite('name = "a"\nname = = 3\n', "x.toml")
    (tmp_path / "latin.toml").write_bytes('title = "caf\u00e9"'.encode("latin-1"))
    with pytest.raises(UsageError, match=r"latin\.toml: cannot be read"):
        load_satellites(tmp_path)


def test_a_site_file_adds_a_satellite(tmp_path: Path) -> None:
    (tmp_path / "gk.toml").write_text(edited("name", "gk"))
    (tmp_path / "notes.txt").write_text("not a satellite")
    assert list(load_satellites(tmp_path)) == [*shipped_satellites(), "gk"]
    assert list(load_satellites(tmp_path / "gk.toml")) == [*shipped_satellites(), "gk"]


def test_a_site_file_replaces_the_shipped_satellite_whole(tmp_path: Path) -> None:
    (tmp_path / "our-coms.toml").write_text(edited("title", "ours"))
    found = load_satellites(str(tmp_path))
    assert found["coms"].title == "ours"
    assert shipped_satellites()["coms"].title == "COMS-1 MI"


def test_no_site_folder_means_the_shipped_satellites_and_a_wrong_one_is_an_error(tmp_path: Path) -> None:
    assert load_satellites("") == load_satellites(None) == shipped_satellites()
    with pytest.raises(UsageError, match="no such file or folder"):
        load_satellites(tmp_path / "nowhere")


def test_a_source_is_found_by_its_name_or_by_a_satellite_of_one_area() -> None:
    assert find_source({"coms": COMS}, "coms-ea").id == "coms-ea"
    assert find_source({"coms": COMS}, "coms").id == "coms-ea"
    assert find_source({"coms": COMS}, "coms").area.columns == 1500


def test_an_unknown_or_ambiguous_source_is_answered_with_the_sources() -> None:
    two = COMS.model_copy(update={"areas": {"ea": COMS.areas["ea"], "fd": COMS.areas["ea"]}})
    with pytest.raises(UsageError, match=r"'coms' has several areas; sources: coms-ea, coms-fd"):
        find_source({"coms": two}, "coms")
    with pytest.raises(UsageError, match=r"'goes-ea' is not known; sources: coms-ea, coms-fd"):
        find_source({"coms": two}, "goes-ea")


SCHEDULE = [
    {"since": "2010-04-01", "every_minutes": 60, "offset_minutes": 30},
    {"since": "2012-01-01", "every_minutes": 15},
]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (datetime(2010, 3, 31, 23, 30), False),  # before the first entry nothing is expected
        (datetime(2010, 4, 1, 0, 0), False),
        (datetime(2010, 4, 1, 0, 30), True),
        (datetime(2011, 12, 31, 23, 45), False),
        (datetime(2012, 1, 1, 0, 0), True),
        (datetime(2012, 1, 1, 0, 15), True),
    ],
)
def test_the_dated_schedule_says_what_is_expected(order: int, when: datetime, expected: bool) -> None:
    satellite = parse_satellite(edited("schedule", SCHEDULE[::order]), "x.toml")
    assert satellite.expects(when.replace(tzinfo=UTC)) is expected


def test_without_a_schedule_every_slot_is_expected() -> None:
    satellite = parse_satellite(edited("schedule", None), "x.toml")
    assert all(satellite.expects(satellite.axis.time(slot)) for slot in range(96))


def test_a_window_has_both_its_ends_and_none_where_there_are_no_clips() -> None:
    frames_only = Satellite.model_validate({**document(), "clip": None})
    assert frames_only.window_slots == 0
    hourly = Satellite.model_validate({**document(), "cadence_minutes": 60, "schedule": []})
    assert hourly.window_slots == 7
    assert hourly.axis.cadence == timedelta(hours=1)
