"""What a listing is said to hold equals what counting one by one gives; a hole, a change and damage are told."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from tests.benchmarks.names import Listed, make_names
from wxpipe.archive.analysis import (
    Columns,
    Figures,
    analyse,
    count_windows,
    coverage_by_day,
    coverage_by_hour,
    coverage_by_month,
    expected_slots,
    find_eras,
    never_there,
    windows_by_era,
)
from wxpipe.archive.analysis_capacity import capacity_of, total
from wxpipe.archive.analysis_listing import GROUPS, OTHER, Listing, list_inventory, list_names
from wxpipe.archive.analysis_page import page
from wxpipe.archive.analysis_plots import PLOTS
from wxpipe.archive.analysis_sizes import SMALL, group_medians
from wxpipe.archive.analysis_words import bytes_text, percent, remarks, stands_out
from wxpipe.archive.synthetic.source import satellite_toml
from wxpipe.errors import RefusedError
from wxpipe.pipeline.backfill import Job, scan
from wxpipe.plots import LIGHT, VARIABLES, Palette, svg
from wxpipe.satellites.catalog import Source, parse_satellite, shipped_satellites
from wxpipe.satellites.satellite import Satellite
from wxpipe.store.objects import LocalObjects
from wxpipe.store.root import Root
from wxpipe.store.stage import ignore_progress

MTSAT = parse_satellite(
    r"""
name = "mt"
title = "A satellite that was made to look twice as often"
first_day = 2010-01-01
last_day = 2012-12-31
cadence_minutes = 30
[[schedule]]
since = 2010-01-01
every_minutes = 60
[[schedule]]
since = 2010-06-01
every_minutes = 30
[channels.ir1]
band = "ir"
[channels.wv]
band = "wv"
[channels.vis]
band = "vis"
required = false
[clip]
frames = 12
hours = 6
[areas.ea]
name = "East Asia"
rows = 40
columns = 40
reduce = [4, 4]
[[names]]
pattern = 'mt_(?P<channel>[a-z0-9]+)_(?P<area>[a-z]+)_(?P<time>\d{12})\.png'
""",
    "mt.toml",
)
SOURCE = Source(MTSAT, "ea")
START, END = date(2010, 5, 1), date(2010, 7, 10)
HOLE = (datetime(2010, 5, 10, 12, tzinfo=UTC), datetime(2010, 5, 13, 6, tzinfo=UTC))
DAMAGED = (date(2010, 6, 14), date(2010, 6, 20))
USUAL = {"ir1": 1000, "wv": 600, "vis": 800}


@dataclass
class Made:
    """An archive of names with a hole, a change of schedule, a damaged week and doubles."""

    files: list[tuple[datetime, str, int, str]] = field(default_factory=list)

    @cached_property
    def frames(self) -> list[datetime]:
        there = {(when, channel) for when, channel, *_ in self.files}
        return sorted({when for when, _ in there if {(when, "ir1"), (when, "wv")} <= there})

    @cached_property
    def scheduled(self) -> list[datetime]:
        times = [when for when, *_ in self.files]
        first, last = min(times), max(times)
        steps = (last - first) // timedelta(minutes=30) + 1
        every = [first + n * timedelta(minutes=30) for n in range(steps)]
        return [when for when in every if MTSAT.expects(when)]

    def columns(self) -> Columns:
        names = list(MTSAT.channels)
        slots = np.array([MTSAT.axis.slot(when) for when, *_ in self.files], np.int32)
        channels = np.array([names.index(channel) for _, channel, *_ in self.files], np.uint8)
        return Columns(slots, channels, np.array([size for *_, size, _ in self.files], np.int64))


@pytest.fixture(scope="module")
def made() -> Made:
    rng, out = np.random.default_rng(5), Made()
    for number, n in itertools.product(range((END - START).days + 1), range(48)):
        when = datetime(START.year, START.month, START.day, tzinfo=UTC) + timedelta(days=number, minutes=30 * n)
        if not MTSAT.expects(when) or HOLE[0] < when < HOLE[1]:
            continue
        for channel, usual in USUAL.items():
            if rng.random() < 0.01 or (channel == "vis" and not 6 <= when.hour < 18):
                continue
            size = int(usual * rng.uniform(0.9, 1.1))
            if DAMAGED[0] <= when.date() <= DAMAGED[1] and rng.random() < 0.7:
                size = usual // 4
            name = f"mt_{channel}_ea_{when:%Y%m%d%H%M}.png"
            out.files.append((when, channel, size, f"{when:%Y%m/%d}/{name}"))
            if rng.random() < 0.003:
                out.files.append((when, channel, size, f"again/{name}"))
    out.files.append((odd := datetime(2010, 5, 2, 3, 30, tzinfo=UTC), "ir1", 1000, f"mt_ir1_ea_{odd:%Y%m%d%H%M}.png"))
    rng.shuffle(out.files)
    return out


@pytest.fixture(scope="module")
def figures(made: Made) -> Figures:
    return analyse(SOURCE, made.columns())


def slot_of(figures: Figures, when: datetime) -> int:
    return MTSAT.axis.slot(when) - figures.first_slot


# --- figures against counting ----------------------------------------------------------------------------------------


def test_every_slot_is_expected_as_the_satellite_says() -> None:
    for satellite in (MTSAT, shipped_satellites()["coms"], MTSAT.model_copy(update={"schedule": ()})):
        axis = satellite.axis
        start = axis.day_start(date(2010, 5, 30))
        slots = range(start, start + 5 * axis.slots_per_day)
        found = expected_slots(satellite, slots.start, slots.stop)
        assert found.tolist() == [satellite.expects(axis.time(slot)) for slot in slots]


def test_slots_by_channels_are_counted_right(made: Made, figures: Figures) -> None:
    there: dict[datetime, set[str]] = {when: set() for when in made.scheduled}
    for when, channel, *_ in made.files:
        there.setdefault(when, set()).add(channel)
    all_of = Counter(len(channels) for channels in there.values())
    required = Counter(len(channels - {"vis"}) for channels in there.values())
    assert figures.by_channels(required=False).tolist() == [all_of[n] for n in range(4)]
    assert figures.by_channels(required=True).tolist() == [required[n] for n in range(3)]
    assert figures.unscheduled == 1
    assert np.count_nonzero(figures.scheduled) == len(made.scheduled)
    expected = len(made.scheduled)
    shares = [sum(channel in there[when] for when in made.scheduled) / expected for channel in MTSAT.channels]
    assert figures.channel_coverage() == pytest.approx(shares)


def test_intervals_and_windows_are_counted_right(made: Made, figures: Figures) -> None:
    frames = made.frames
    steps = Counter((b - a) // timedelta(minutes=1) for a, b in itertools.pairwise(frames))
    assert dict(zip(*(column.tolist() for column in figures.intervals), strict=True)) == steps
    held = Counter(sum(a <= b <= a + timedelta(hours=6) for b in frames) for a in frames)
    assert figures.windows.tolist() == [held[n] for n in range(14)]
    assert figures.clips == sum(count for n, count in held.items() if n >= 12)
    assert figures.clip_share == pytest.approx(figures.clips / len(frames))


def test_coverage_is_counted_right(made: Made, figures: Figures) -> None:
    frames = set(made.frames)

    def shares(key: Callable[[datetime], object]) -> dict[object, float]:
        whole = Counter(key(when) for when in made.scheduled)
        part = Counter(key(when) for when in made.scheduled if when in frames)
        return {group: part[group] / count for group, count in whole.items()}

    years, months = coverage_by_month(figures)
    assert years == [2010]
    by_month = shares(lambda when: when.month)
    assert [by_month.get(n, np.nan) for n in range(1, 13)] == pytest.approx(months[0].tolist(), nan_ok=True)
    by_day = shares(lambda when: (when.date() - START).days)
    assert coverage_by_day(figures) == pytest.approx([by_day[n] for n in range(figures.days)])
    by_hour = shares(lambda when: ((when.date() - START).days, when.hour))
    hours = coverage_by_hour(figures)
    assert {key: hours[key] for key in np.ndindex(hours.shape) if not np.isnan(hours[key])} == pytest.approx(by_hour)


def test_doubles_and_sizes_are_counted_right(made: Made, figures: Figures) -> None:
    pictures = Counter((when, channel) for when, channel, *_ in made.files)
    assert figures.files == len(made.files)
    assert figures.doubles == sum(pictures.values()) - len(pictures) > 0
    assert figures.bytes == sum(size for *_, size, _ in made.files)
    first = min(key for key, count in pictures.items() if count > 1)
    assert figures.doubled()[0] == (MTSAT.axis.slot(first[0]), list(MTSAT.channels).index(first[1]), 2)
    usual = {
        (channel, hour): median(s for w, c, s, _ in made.files if (c, w.hour) == (channel, hour))
        for channel, hour in {(c, w.hour) for w, c, *_ in made.files}
    }
    small = Counter(w.date() for w, c, s, _ in made.files if s < SMALL * usual[c, w.hour])
    whole = Counter(w.date() for w, *_ in made.files)
    for number, day in enumerate(figures.sizes.days.tolist()):
        today = START + timedelta(days=day)
        assert figures.sizes.small[number] == pytest.approx(small[today] / whole[today])
        of_wv = [s for w, c, s, _ in made.files if w.date() == today and c == "wv"]
        assert figures.sizes.daily[number, 1] == pytest.approx(median(of_wv))


def test_medians_of_groups_are_medians() -> None:
    rng = np.random.default_rng(0)
    groups, values = rng.integers(0, 9, 200), rng.integers(0, 1000, 200)
    expected = [median(values[groups == g].tolist()) if (groups == g).any() else np.nan for g in range(11)]
    assert group_medians(groups, values, 11).tolist() == pytest.approx(expected, nan_ok=True)


# --- what stands out -------------------------------------------------------------------------------------------------


def test_a_hole_is_found_with_its_ends(made: Made, figures: Figures) -> None:
    frames, hole = made.frames, figures.holes[0]
    before, after = max(w for w in frames if w <= HOLE[0]), min(w for w in frames if w >= HOLE[1])
    assert (MTSAT.axis.time(hole.before), MTSAT.axis.time(hole.after)) == (before, after)
    assert hole.missed == sum(before < when < after for when in made.scheduled)
    lengths = [hole.after - hole.before for hole in figures.holes]
    assert lengths == sorted(lengths, reverse=True)
    assert len(lengths) == sum(
        bisect_right(made.scheduled, a) < bisect_left(made.scheduled, b) for a, b in itertools.pairwise(frames)
    )
    words = " ".join(remarks(figures)["coverage"].stands_out)
    assert f"1 time of 24 h or more without a frame: {before:%Y-%m-%d %H:%M} to {after:%Y-%m-%d %H:%M}" in words


def test_a_change_of_schedule_is_found_on_its_day_and_is_no_loss(figures: Figures) -> None:
    assert [(era.first, era.last, era.minutes) for era in figures.eras] == [
        (START, date(2010, 5, 31), 60),
        (date(2010, 6, 1), END, 30),
    ]
    out = " ".join(remarks(figures)["schedule"].stands_out)
    assert "1 change of the interval at which frames came: every 60 min 2010-05-01 to 2010-05-31" in out
    assert "1 slot with files that the schedule expects nothing at" in out
    assert coverage_by_day(figures)[:9].min() > 0.7


def test_a_damaged_week_is_found_by_its_sizes(figures: Figures) -> None:
    (damage,) = figures.sizes.damages
    assert (damage.first, damage.last) == DAMAGED
    assert damage.small > damage.files / 2
    assert damage.ratio < SMALL
    assert any("Many small files 2010-06-14 to 2010-06-20 (7 days)" in words for words in stands_out(figures))


def sized(days: int, size: Callable[[int], float], start: date = date(2010, 7, 1)) -> Figures:
    """All channels of every half hour of some days; of each the size of its day, and a little noise."""
    columns = columns_of(range(days), start)
    day = (columns.slots - columns.slots[0]) // 48
    noise = np.random.default_rng(1).normal(1, 0.04, len(day))
    sizes = np.array([size(int(n)) for n in range(days)])[day] * noise
    return analyse(SOURCE, Columns(columns.slots, columns.channels, sizes.astype(np.int64)))


def halved(figures: Figures, first: int, last: int) -> Figures:
    """Every second file of some days is cut off in its middle."""
    columns = columns_of(range(figures.days), figures.first_day)
    day = (columns.slots - columns.slots[0]) // 48
    cut = (first <= day) & (day <= last) & (np.arange(len(day)) % 2 == 0)
    sizes = np.random.default_rng(1).normal(10_000, 400, len(day))
    return analyse(SOURCE, Columns(columns.slots, columns.channels, np.where(cut, sizes // 2, sizes).astype(np.int64)))


def test_a_week_of_files_that_are_cut_in_the_middle_is_found_whole() -> None:
    """Their sizes scatter around a half of the usual, so that a limit of a half would see half of them."""
    found = halved(sized(120, lambda _: 10_000), 50, 56)
    (damage,) = found.sizes.damages
    assert (damage.first, damage.last) == (date(2010, 8, 20), date(2010, 8, 26))
    assert (damage.files, damage.small) == (7 * 48 * 3, 7 * 48 * 3 // 2)
    assert 0.45 < damage.ratio < 0.55
    assert len(found.sizes.levels) == 1


def test_a_change_of_format_is_no_damage() -> None:
    figures = sized(200, lambda day: 10_000 if day < 130 else 4_000)
    assert figures.sizes.damages == ()
    assert [(level.first, level.last) for level in figures.sizes.levels] == [
        (date(2010, 7, 1), date(2010, 11, 7)), (date(2010, 11, 8), date(2011, 1, 16))]  # fmt: skip
    (words,) = stands_out(figures)
    assert words.startswith("Sizes change on 2010-11-08 and stay so for at least 28 days: ir1 10.0 kB to 4.0 kB, ")


def test_after_a_change_of_format_damage_is_told_by_the_new_sizes() -> None:
    figures = sized(200, lambda day: 4_000 if day < 100 else 5_000 if 150 <= day < 157 else 10_000)
    (damage,) = figures.sizes.damages
    assert (damage.first, damage.last) == (date(2010, 11, 28), date(2010, 12, 4))
    assert [level.first for level in figures.sizes.levels] == [date(2010, 7, 1), date(2010, 10, 9)]


@pytest.mark.parametrize("days", [3, 12, 20])
def test_days_that_end_are_damage_and_no_format(days: int) -> None:
    figures = sized(180, lambda day: 4_500 if 60 <= day < 60 + days else 10_000)
    (damage,) = figures.sizes.damages
    assert (damage.last - damage.first).days + 1 == days
    assert len(figures.sizes.levels) == 1


def test_the_swing_of_a_year_is_neither() -> None:
    figures = sized(730, lambda day: 10_000 * (1 + 0.2 * np.sin(2 * np.pi * day / 365)), date(2010, 7, 1))
    assert figures.sizes.damages == ()
    assert len(figures.sizes.levels) == 1


def test_windows_are_told_by_schedule(figures: Figures) -> None:
    assert np.array_equal(sum(windows_by_era(figures)), figures.windows)
    slow, fast = windows_by_era(figures)
    assert slow[8:].sum() <= 6, "those that reach into the next schedule"
    assert slow[12:].sum() + fast[12:].sum() == figures.clips
    remark = remarks(figures)["windows"]
    assert "Frames every 60 min (2010-05-01 to 2010-05-31) make at most 7 in a window: too few" in remark.stands_out[-1]
    assert remark.plain[-1].startswith("Frames every 30 min (2010-06-01 to 2010-07-10): ")


def test_windows_that_run_past_the_end_are_told_where_they_are_many() -> None:
    short = analyse(SOURCE, columns_of(range(1)))
    assert short.past_the_end == 12
    assert "12 windows of the 48 run past the last frame, where more may come." in remarks(short)["windows"].plain
    assert not any("run past" in words for words in remarks(analyse(SOURCE, columns_of(range(30))))["windows"].plain)


def test_slots_that_never_come_are_named() -> None:
    columns = columns_of(range(30))
    upkeep = np.isin(columns.slots % 48, [5, 29])
    figures = analyse(SOURCE, Columns(columns.slots[~upkeep], columns.channels[~upkeep], columns.sizes[~upkeep]))
    (never,) = never_there(figures)
    assert (never.slots, never.missed) == ((5, 29), 60)
    assert any(
        "Hardly a frame ever at 02:30, 14:30 UTC, 2010-07-01 to 2010-07-30: 60" in w for w in stands_out(figures)
    )


def test_what_is_whole_stands_out_in_nothing() -> None:
    whole = analyse(SOURCE, columns_of(day for day in range(4)))
    assert stands_out(whole) == []
    assert whole.coverage == 1


def columns_of(days: Iterable[int], start: date = date(2010, 7, 1)) -> Columns:
    """All channels of every half hour of some days, one size."""
    first = MTSAT.axis.day_start(start)
    slots = np.concatenate([first + 48 * day + np.arange(48) for day in days])
    return Columns(np.repeat(slots, 3).astype(np.int32), np.tile(np.arange(3, dtype=np.uint8), len(slots)),
                   np.full(3 * len(slots), 1000))  # fmt: skip


def test_one_file_is_enough() -> None:
    one = analyse(SOURCE, Columns(np.array([5], np.int32), np.array([1], np.uint8), np.array([7])))
    assert (one.files, one.pictures, one.days, int(one.frames.sum()), one.clips) == (1, 1, 1, 0, 0)
    assert "No file of ir1, vis; without ir1 no slot is a frame." in stands_out(one)
    assert "Fewer than two frames" in page(Listing("there", 1), [one], datetime.now(UTC))


def test_a_satellite_without_clips_is_frames_only() -> None:
    slow = MTSAT.model_copy(update={"clip": None, "name": "slow"})
    figures = analyse(Source(slow, "ea"), columns_of(range(2)))
    assert (figures.clips, capacity_of(figures).clips) == (0, 0)
    text = page(Listing("there", figures.files), [figures], datetime.now(UTC))
    assert "frames only" in text
    assert "Frames in a window" not in text


def test_a_lonely_day_of_another_interval_is_no_change_of_schedule() -> None:
    axis = MTSAT.axis
    start = axis.day_start(date(2010, 7, 1))
    frames = np.concatenate([start + 48 * day + np.arange(0, 48, 4 if day == 5 else 1) for day in range(12)])
    assert [(era.minutes, era.first, era.last) for era in find_eras(frames, MTSAT)] == [
        (30, date(2010, 7, 1), date(2010, 7, 12))
    ]
    assert count_windows(np.empty(0, np.int64), MTSAT).sum() == 0


def test_capacity_adds_up(figures: Figures) -> None:
    one = capacity_of(figures)
    assert one.store == one.store_picture + one.store_reduced + one.store_cdf + one.store_vectors + one.store_inventory
    assert one.store_reduced == figures.pictures * 100
    assert (one.vectors, one.frames) == (one.frames + one.clips, int(figures.frames.sum()))
    both = total([one, one])
    assert all(getattr(both, f.name) == pytest.approx(2 * getattr(one, f.name)) for f in fields(one))


def test_words_are_short_and_do_not_flatter() -> None:
    assert [percent(x) for x in (0, 0.0006, 0.5, 0.9996, 1, float("nan"))] == [
        "0 %", "0.06 %", "50 %", "99.9 %", "100 %", "–"]  # fmt: skip
    assert [bytes_text(x) for x in (0, 999, 1500, 2.021e12)] == ["0 B", "999 B", "1.5 kB", "2.02 TB"]


# --- listing ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def archive(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made files, by their sizes and nothing in them, and some that are none of ours."""
    folder = tmp_path_factory.mktemp("names") / "archive"
    strange = [(0, "notes.txt"), (3, "mt_ir1_cn_201005010000.png"), (4, "mt_ir9_ea_201005010000.png"),
               (4, "mt_ir1_ea_201002300000.png"), (4, "mt_ir1_ea_201002310000.png")]  # fmt: skip
    for size, name in [*((size, path) for *_, size, path in made.files), *strange]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            file.truncate(size)
    return folder


@pytest.fixture(scope="module")
def listing(archive: Path) -> Listing:
    return list_names(LocalObjects(archive), {"mt": MTSAT}, ignore_progress)


def sorted_columns(columns: Columns) -> list[tuple[int, int, int]]:
    return sorted(zip(columns.slots.tolist(), columns.channels.tolist(), columns.sizes.tolist(), strict=True))


def test_a_walk_gives_the_columns_of_the_names(made: Made, listing: Listing) -> None:
    source, columns = listing.columns["mt-ea"]
    assert source == SOURCE
    assert sorted_columns(columns) == sorted_columns(made.columns())
    assert listing.listed == len(made.files) + 5
    assert (listing.count("unparsed"), listing.count("unconfigured")) == (4, 1)


def test_unread_names_are_grouped_by_reason_and_form(listing: Listing) -> None:
    found = {(group.kind, group.form): group for group in listing.common()}
    impossible = found["unparsed", "mt_ir#_ea_#.png"]
    assert impossible.files in (1, 2)
    told = Counter({group.reason: group.files for group in listing.common()})
    assert told["impossible time …; expected %Y%m%d%H%M"] == 2
    assert told["area 'cn' of mt is not configured"] == 1
    assert "notes.txt" in found["unparsed", "notes.txt"].examples


def test_a_million_forms_of_names_take_no_memory() -> None:
    listing = Listing("there")
    for number in range(GROUPS + 50):
        letters = "".join(chr(97 + int(digit)) for digit in str(number))
        listing.unread(f"{letters}.txt", 1, "unparsed", "no name grammar matches")
    assert len(listing.groups) == GROUPS + 1
    assert listing.count("unparsed") == GROUPS + 50
    assert listing.groups["unparsed", "no name grammar matches", OTHER].files == 50


def test_an_empty_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="lists no files"):
        list_names(LocalObjects(tmp_path), {"mt": MTSAT}, ignore_progress)


def test_a_root_tells_the_same_as_its_archive(archive: Path, listing: Listing, tmp_path: Path) -> None:
    site = tmp_path / "mt.toml"
    site.write_bytes(satellite_toml(MTSAT))
    assert scan(Job(str(tmp_path / "root"), str(archive), str(site))).state == "done"
    told = list_inventory(Root(str(tmp_path / "root")), str(archive))
    assert told.columns.keys() == listing.columns.keys()
    assert sorted_columns(told.columns["mt-ea"][1]) == sorted_columns(listing.columns["mt-ea"][1])
    assert told.listed == listing.listed
    assert {key: group.files for key, group in told.groups.items()} == {k: g.files for k, g in listing.groups.items()}


def test_the_benchmark_reads_what_it_makes() -> None:
    listing = list_names(Listed(make_names(42)), shipped_satellites(), ignore_progress)
    assert {name: len(columns.slots) for name, (_, columns) in listing.columns.items()} == {"coms-ea": 42}


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_needs_nothing_else_and_says_what_stands_out(listing: Listing, figures: Figures) -> None:
    text = page(listing, [figures], datetime(2026, 1, 1, tzinfo=UTC))
    assert text == page(listing, [figures], datetime(2026, 1, 1, tzinfo=UTC))
    addresses = re.findall(r'(?:href|src)="([^"]*)"', text)
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in addresses)
    assert "<script" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    for words in ("1 time of 24 h or more without a frame: 2010-05-10 ", "Many small files 2010-06-14 to 2010-06-20 (7",
                  "every 60 min 2010-05-01 to 2010-05-31", "notes.txt", "not configured"):  # fmt: skip
        assert words in text
    assert text.count("<svg") == text.count("</svg>") == len(PLOTS)


def test_drawings_take_their_colours_from_the_page(figures: Figures) -> None:
    for _, _, draw in PLOTS:
        element = svg(draw(figures, VARIABLES))
        assert "var(--soft)" in element
        assert not any(getattr(VARIABLES, f.name) in element for f in fields(Palette))


def test_an_archive_of_years_is_drawn_by_year(tmp_path: Path) -> None:
    long = analyse(SOURCE, columns_of(range(0, 700, 7), date(2010, 2, 1)))
    for name, _, draw in PLOTS:
        draw(long, LIGHT).savefig(tmp_path / f"{name}.png", dpi=40)
    element = svg(PLOTS[0][2](long, VARIABLES))
    assert ">2010<" in element
    assert ">2011<" in element


def test_names_are_written_as_text_and_not_as_markup(figures: Figures) -> None:
    listing = Listing("<b>there</b>", figures.files)
    listing.unread("<script>alert(1)</script>.txt", 1, "unparsed", "no name grammar matches")
    text = page(listing, [figures], datetime.now(UTC))
    assert "<script" not in text
    assert "<b>" not in text


def test_real_days_show_their_two_missing_slots(real_archive: Path) -> None:
    satellites: dict[str, Satellite] = shipped_satellites()
    source, columns = list_names(LocalObjects(real_archive / "coms"), satellites, ignore_progress).columns["coms-ea"]
    day = analyse(source, columns)
    assert (day.files, int(day.frames.sum()), int(day.scheduled.sum()), day.clips) == (100, 25, 27, 6)
    assert [(f"{source.satellite.axis.time(h.before):%H:%M}", h.missed) for h in day.holes] == [
        ("08:15", 1), ("11:15", 1)]  # fmt: skip
    assert dict(zip(*(c.tolist() for c in day.intervals), strict=True)) == {15: 22, 30: 2}
    both = list_names(LocalObjects(real_archive), satellites, ignore_progress).columns["coms-ea"][1]
    assert int(analyse(source, both).frames.sum()) == 35
