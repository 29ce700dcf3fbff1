"""What only several pictures show: copies of any earlier slot, one picture in two channels, a stranger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from wxpipe.archive.comparison import Cell, Comparison
from wxpipe.archive.picture import SoundPicture
from wxpipe.archive.reduction import block_mean
from wxpipe.satellites.catalog import Source, parse_satellite
from wxpipe.satellites.sun import sun_elevation
from wxpipe.store.frames import NO_LAYER, frame_store
from wxpipe.store.root import Root

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

SATELLITE = """
name = "three"
title = "Three channels"
first_day = 2020-01-01
last_day = 2020-01-31
cadence_minutes = 60
channels = {ir = {band = "ir"}, wv = {band = "wv"}, vis = {band = "vis", reflective = true}}
areas = {a = {name = "A", rows = 100, columns = 120, reduce = [2, 2]}}
names = [{pattern = '(?P<area>a)_(?P<channel>ir|wv|vis)_(?P<time>[0-9]{12})'}]
"""
SOURCE = Source(parse_satellite(SATELLITE, "three.toml"), "a")
DAY = range(24, 48)


def weather(slot: int, seed: int = 0) -> Bytes:
    """Clouds that drift to the right by a pixel a slot."""
    phases = np.random.default_rng(seed).uniform(0, 6.3, 3)
    y, x = np.mgrid[:100, -slot : 120 - slot]
    waves = np.sin(y / 13 + phases[0]) + np.sin(x / 11 + phases[1]) + np.sin((x + 2 * y) / 7 + phases[2])
    return np.clip(127 + 40 * waves, 1, 254).astype(np.uint8)


def sound(picture: Bytes, **more: Any) -> SoundPicture:
    return SoundPicture(picture, block_mean(picture, 0, (2, 2)), NO_LAYER, (), 0, **more)


def told(changed: dict[Cell, Bytes]) -> Comparison:
    """A comparison that has seen a day of all channels, each of weather of its own, but for what is changed."""
    compared = Comparison(SOURCE)
    for channel in range(3):
        for slot in range(DAY.start - 1, DAY.stop):
            compared.add(slot, channel, sound(changed.get((slot, channel), weather(slot, channel))))
    return compared


def reasons(compared: Comparison) -> dict[Cell, str]:
    return {cell: doubt.reason for cell, doubt in compared.doubts(DAY).items()}


def test_weather_that_drifts_has_no_strangers_and_no_copies() -> None:
    compared = told({})
    assert compared.doubts(DAY) == {}
    assert compared.copied(DAY.stop, 0, sound(weather(DAY.stop))) == ""


@pytest.mark.parametrize(
    "change",
    [np.flipud, np.fliplr, lambda p: 255 - p, lambda _: weather(3, seed=9), lambda p: np.roll(p, 20, axis=0)],
    ids=["upside down", "mirrored", "negative", "of other weather", "moved"],
)
@pytest.mark.parametrize("slot", [DAY.start, DAY.start + 9, DAY.stop - 1], ids=["first", "within", "last"])
def test_a_picture_unlike_its_neighbours_is_the_only_one_that_is_doubted(
    change: Callable[[Bytes], Bytes], slot: int
) -> None:
    assert reasons(told({(slot, 0): change(weather(slot))})) == {(slot, 0): "unlike its neighbours"}


def test_reflective_channels_are_no_sequence_for_the_sun_changes_them() -> None:
    assert reasons(told({(30, 2): weather(30, 2)[::-1]})) == {}


def test_weather_without_any_likeness_is_not_judged() -> None:
    """As of a satellite so slow that nothing is left of the picture before."""
    compared = Comparison(SOURCE)
    for slot in DAY:
        compared.add(slot, 0, sound(weather(slot, seed=slot)))
    assert compared.doubts(DAY) == {}


def test_a_copy_of_any_earlier_picture_is_known_and_named() -> None:
    compared = told({})
    assert compared.copied(40, 0, sound(weather(39))) == "copy of the previous slot, 2020-01-02T15:00Z"
    assert compared.copied(40, 0, sound(weather(26))) == "copy of an earlier slot, 2020-01-02T02:00Z"
    assert compared.copied(40, 0, sound(weather(23))) == "copy of an earlier slot, 2020-01-01T23:00Z"
    assert compared.copied(40, 0, sound(weather(40))) == "", "itself"
    assert compared.copied(40, 1, sound(weather(39))) == "", "another channel's"


def test_black_pictures_of_the_night_are_no_copies() -> None:
    compared, night = Comparison(SOURCE), sound(np.zeros((100, 120), np.uint8), dark=True)
    for slot in DAY:
        assert compared.copied(slot, 2, night) == ""
        compared.add(slot, 2, night)
        compared.add(slot, 1, night)
    assert compared.doubts(DAY) == {}


def test_of_two_channels_with_one_picture_both_are_doubted_though_one_does_not_fit_its_neighbours() -> None:
    compared = told({(30, 0): weather(30, 1)})
    assert reasons(compared) == {(30, 0): "same picture in two channels", (30, 1): "same picture in two channels"}
    assert [compared.doubts(DAY)[30, channel].found for channel in (0, 1)] == ["the pixels of wv", "the pixels of ir"]


def test_an_ingest_finds_no_fault_with_real_pictures(real_root: Root) -> None:
    assert list(real_root.quarantine.all()) == []
    total = sum(entry.counts["pictures_good"] for entry in real_root.ledger.entries("ingest").values())
    assert total == 140


def test_no_real_picture_is_doubted_and_every_mirrored_one_is(real_root: Root) -> None:
    frames = frame_store(real_root, "coms-ea")
    start = frames.axis.day_start(datetime(2011, 3, 3, tzinfo=UTC).date())
    day = range(start, start + 96)
    stored = np.flatnonzero(frames.good_frames(day.start, day.stop)) + start
    for mirrored in (-1, *stored[::6]):
        compared = Comparison(frames.source)
        for channel in frames.channels:
            index = frames.channels.index(channel)
            for slot in stored:
                reduced = frames.reduced([slot], [channel])[0, 0]
                changed = np.ascontiguousarray(reduced[:, ::-1]) if slot == mirrored else reduced
                compared.add(int(slot), index, SoundPicture(changed, changed, NO_LAYER, (), 0))
        wanted = {(int(mirrored), channel): "unlike its neighbours" for channel in range(4)} if mirrored >= 0 else {}
        assert {cell: doubt.reason for cell, doubt in compared.doubts(day).items()} == wanted


@pytest.mark.parametrize(
    ("when", "place", "degrees"),
    [
        (datetime(2020, 3, 20, 3, 40, tzinfo=UTC), (38.0, 125.0), 52.0),  # noon, equinox
        (datetime(2020, 6, 21, 3, 40, tzinfo=UTC), (38.0, 125.0), 75.4),
        (datetime(2020, 12, 21, 15, 40, tzinfo=UTC), (38.0, 125.0), -75.4),
        (datetime(2020, 3, 20, 0, 0, tzinfo=UTC), (0.0, 90.0), 0.0),
    ],
)
def test_the_sun_stands_where_almanacs_have_it(when: datetime, place: tuple[float, float], degrees: float) -> None:
    assert sun_elevation(when, *place) == pytest.approx(degrees, abs=5)
