"""Pictures that decode well and still are not weather."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wxpipe.archive.decode import decode
from wxpipe.archive.drawing import draws, learn, part
from wxpipe.archive.overlay import build_stencil, fill
from wxpipe.archive.picture import PictureReader
from wxpipe.archive.quality import BLACK, black, constant, survey
from wxpipe.errors import Quarantine
from wxpipe.satellites.catalog import Source, load_satellites, parse_satellite, shipped_satellites

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
SITES = Path(__file__).parents[1] / "sites"


def weather(seed: int = 0) -> Bytes:
    """Smooth clouds over all greys, uint8 (200, 160)."""
    y, x = np.mgrid[:200, :160]
    phases = np.random.default_rng(seed).uniform(0, 6.3, 3)
    waves = np.sin(y / 17 + phases[0]) + np.sin(x / 19 + phases[1]) + np.sin((x + y) / 11 + phases[2])
    noise = np.random.default_rng(seed).integers(-6, 7, (200, 160))
    return np.clip(127 + 40 * waves + noise, 1, 254).astype(np.uint8)


def reasons(picture: Bytes, *, reflective: bool = False) -> list[str]:
    return [doubt.reason for doubt in survey(picture, reflective=reflective).doubts()]


def test_one_value_below_the_title_is_constant() -> None:
    picture = weather()
    picture[20:] = 9
    assert constant(picture, 20) == "constant"
    picture[150, 3] = 10
    assert constant(picture, 20) is None


def test_black_is_what_a_reflective_channel_sees_at_night() -> None:
    picture = weather()
    assert not black(picture, 20)
    picture[20:] = weather()[20:] % (BLACK + 1)
    assert black(picture, 20)


def test_weather_has_no_fault() -> None:
    assert reasons(weather()) == []
    assert survey(weather()).lost == ""


@pytest.mark.parametrize("value", [0, 77, 255])
def test_lost_scan_lines_are_noticed_even_or_repeated_under_drawn_lines_too(value: int) -> None:
    even, repeated = weather(), weather()
    even[100:103] = value
    repeated[100:104] = repeated[99]
    for picture in (even, repeated):
        picture[:, 12] = 255  # a meridian
        assert reasons(picture) == ["dead rows"]
        assert survey(picture).lost == ""
    even[60:] = value
    assert survey(even).lost == "140 of 200 rows of one value, or that repeat the one before"


def test_lost_lines_are_noticed_however_dense_the_overlay_that_was_filled() -> None:
    picture, hidden = weather(), np.zeros((200, 160), np.bool_)
    picture[100:103] = 77
    hidden[:, ::8] = True
    picture[hidden] = weather(1)[hidden]
    assert survey(picture).doubts()[0].reason == "torn rows"
    assert survey(picture, hidden).doubts()[0].reason == "dead rows"
    hidden[101] = True
    assert survey(picture, hidden).dead_rows == 2, "what is hidden is not judged"


def test_columns_that_are_stuck_are_noticed() -> None:
    stuck, repeated = weather(), weather()
    stuck[:, 40:43] = stuck[0, 40:43]
    repeated[:, 40:44] = repeated[:, 39:40]
    assert reasons(stuck) == reasons(repeated) == ["dead columns"]


def test_bit_errors_before_the_picture_was_packed_are_noticed() -> None:
    picture = weather()
    hit = np.random.default_rng(1).random(picture.shape) < 0.01
    picture[hit] = np.where(picture[hit] > 127, 0, 255)
    assert reasons(picture) == ["specks"]


def test_a_picture_that_is_mostly_white_or_black_is_saturated() -> None:
    burnt = np.where(weather() > 90, 255, 0).astype(np.uint8)
    burnt[(np.mgrid[:200, :160].sum(axis=0) % 3) == 0] = 100  # so that no line is even
    assert reasons(burnt) == ["saturated"]
    assert "saturated" not in reasons(np.minimum(weather(), 128) // 2)


def test_rows_from_elsewhere_are_noticed() -> None:
    shifted, spliced = weather(), weather()
    shifted[80:120] = np.roll(shifted[80:120], 60, axis=1)
    spliced[100:] = weather(3)[100:]
    assert reasons(shifted) == reasons(spliced) == ["torn rows"]


def test_night_over_a_part_of_a_reflective_channel_is_no_loss() -> None:
    picture = weather()
    picture[:, 90:] = 0
    picture[150:] = 0
    assert survey(picture).lost == ""
    assert reasons(picture) == ["dead rows"]
    assert survey(picture, reflective=True).lost == ""
    assert reasons(picture, reflective=True) == []


def real_pictures(archive: Path) -> Iterator[tuple[str, Bytes, Any]]:
    """All of them, filled, and what was: below the title, and of a full disk what lies within."""
    sites = load_satellites(SITES)
    kinds = [
        (shipped_satellites()["coms"].areas["ea"], [*(archive / "coms").rglob("*.png")]),
        (shipped_satellites()["coms"].areas["ea"], [*(archive / "coms_events").rglob("*.png")]),
        (sites["himawari8_kochi"].areas["asia"], [*(archive / "himawari8_kochi").glob("*.gz")]),
        (sites["gk2a_previews"].areas["fd"], [*(archive / "gk2a_previews").glob("*.png")]),
    ]
    for area, files in kinds:
        sample = [decode(f.read_bytes(), f.name, area) for f in sorted(files)[:: max(1, len(files) // 7)]]
        layer = learn(sample, area) if draws(area) else np.zeros((area.rows, area.columns), np.bool_)
        stencil = build_stencil(layer, area.title_rows)
        for file in sorted(files):
            rgb = decode(file.read_bytes(), file.name, area)
            grey = part(rgb, layer, area)[0] if draws(area) else np.ascontiguousarray(rgb[..., 0])
            fill(grey, stencil)
            rows, columns = grey.shape[0] // 6, grey.shape[1] // 6
            inside = np.s_[rows:-rows, columns:-columns] if area.full_disk else np.s_[area.title_rows :, :]
            yield file.name, grey[inside], layer[inside]


def test_no_real_picture_is_found_fault_with(real_archive: Path) -> None:
    count = 0
    for name, below, hidden in real_pictures(real_archive):
        for reflective in (False, True):
            seen = survey(below, hidden, reflective=reflective)
            assert (seen.doubts(), seen.lost) == ((), ""), name
        assert constant(below, 0) is None
        assert not black(below, 0)
        count += 1
    assert count >= 140 + 6 + 7


@pytest.mark.parametrize(
    ("hour", "middle", "reason"),
    [(3, "[38.0, 127.0]", "black by day"), (15, "[38.0, 127.0]", ""), (3, "", "")],
    ids=["noon in Korea", "midnight in Korea", "nobody says where"],
)
def test_a_black_picture_of_a_reflective_channel_is_sound_where_it_may_be_night(
    hour: int, middle: str, reason: str
) -> None:
    place = f"middle = {middle}\n" if middle else ""
    text = (
        'name = "s"\ntitle = "S"\nfirst_day = 2020-01-01\nlast_day = 2020-12-31\ncadence_minutes = 60\n'
        'channels = {vis = {band = "vis", reflective = true}, ir = {band = "ir"}}\nnames = []\n'
        f'[areas.a]\nname = "A"\nrows = 40\ncolumns = 60\nreduce = [4, 4]\n{place}'
    )
    reader = PictureReader(Source(parse_satellite(text, "s.toml"), "a"), {})
    when = datetime(2020, 3, 1, hour, tzinfo=UTC)
    black_rgb = np.zeros((40, 60, 3), np.uint8)
    if reason:
        with pytest.raises(Quarantine, match=reason):
            reader.check(black_rgb, "a.png", "vis", when)
    else:
        made = reader.check(black_rgb, "a.png", "vis", when)
        assert (made.doubts, made.dark) == ((), True)
    with pytest.raises(Quarantine, match="constant"):
        reader.check(black_rgb, "a.png", "ir", when)
