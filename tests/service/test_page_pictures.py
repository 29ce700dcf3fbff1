"""What the page shows: bands as colours, and the frames that came after a time."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.service.running import Running
from tests.vectors.tiny_root import SATELLITE, SOURCE, TinyRoot, cloud
from wxpipe.errors import NotFoundError, UsageError
from wxpipe.satellites.catalog import parse_satellite
from wxpipe.service import images
from wxpipe.service.images import Look, channels_of, composite, draw_picture, draw_strip, missing
from wxpipe.store.frames import DayFrames, FrameStore, Status, frame_store
from wxpipe.store.root import init_root
from wxpipe.vectors.times import parse_time

DAY = date(2011, 3, 3)
THREE = SATELLITE.replace('[channels.wv]\nband = "wv"', '[channels.sw3]\nband = "swir"\n[channels.wv]\nband = "wv"')
AFTER = f"/v1/continuations/{SOURCE}/20110303T1400Z"


def pixels(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> FrameStore:
    """Three frames of a satellite with the bands of the composite; of the second, short waves are missing."""
    root = init_root(str(tmp_path_factory.mktemp("bands") / "root"))
    satellite = parse_satellite(THREE, "tiny.toml")
    root.adopt({satellite.name: satellite})
    store = frame_store(root, root.source(SOURCE))
    store.create()
    frames = DayFrames.empty(96, 3)
    first = store.axis.day_start(DAY)
    for slot in range(3):
        for channel in range(3):
            if (slot, channel) == (1, 1):
                continue
            picture = cloud(first + slot, channel)
            frames.pictures[slot, channel] = store.encode_picture(picture)
            frames.reduced[slot, channel] = store.encode_reduced(picture[::2, ::2].copy())
            frames.status[slot, channel] = Status.GOOD
            frames.rows[slot, channel] = 48
    store.write_day(DAY, frames)
    return store


def test_bands_are_the_colours_of_the_composite(coloured: FrameStore) -> None:
    first = coloured.axis.day_start(DAY)
    expected = np.stack([cloud(first, channel) for channel in range(3)], -1)
    assert channels_of(coloured, "rgb") == ("ir01", "sw3", "wv")
    assert np.array_equal(pixels(draw_picture(coloured, first, Look("rgb", "png"))), expected)
    assert np.array_equal(pixels(draw_picture(coloured, first, Look("rgb", "png", overlay=True))), expected)
    assert np.array_equal(pixels(draw_picture(coloured, first, Look("rgb", "png", width=30))), expected[::2, ::2])


def test_a_composite_that_lacks_a_band_is_missing_and_not_of_a_wrong_colour(coloured: FrameStore) -> None:
    slots = [coloured.axis.day_start(DAY) + n for n in range(3)]
    assert missing(coloured, slots, "rgb") == [1]
    assert missing(coloured, slots, "wv") == []
    for width in (30, None):
        strip = pixels(draw_strip(coloured, slots, Look("rgb", "png", width=width)))
        rows = len(strip) // 3
        assert strip[:rows].any()
        assert not strip[rows : 2 * rows].any()
        assert strip[2 * rows :].any()
    with pytest.raises(NotFoundError, match="no picture is stored"):
        draw_picture(coloured, slots[1], Look("rgb", "png"))


def test_a_satellite_without_the_bands_offers_no_composite(tiny: TinyRoot, service: Running) -> None:
    assert composite(tiny.source.satellite) is None
    (source,) = service.json("/v1/sources")["sources"]
    assert source["composites"] == {}
    answer = service.get(f"/v1/frames/{SOURCE}/20110303T0800Z/rgb.png")
    assert answer.status_code == 404
    assert "it has ir01, wv" in answer.json()["detail"]


def test_an_own_channel_of_that_name_is_no_composite(tmp_path: Path) -> None:
    satellite = parse_satellite(THREE.replace("channels.sw3", "channels.rgb"), "tiny.toml")
    assert composite(satellite) is None
    root = init_root(str(tmp_path / "root"))
    root.adopt({satellite.name: satellite})
    assert channels_of(frame_store(root, root.source(SOURCE)), "rgb") == ("rgb",)


def test_what_no_format_can_hold_is_refused(coloured: FrameStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "WEBP_ROWS", 100)
    slots = [coloured.axis.day_start(DAY)] * 3
    with pytest.raises(UsageError, match="144 pixels high, and WebP ends at 100"):
        draw_strip(coloured, slots, Look("ir01", "webp"))
    assert len(pixels(draw_strip(coloured, slots, Look("ir01", "png")))) == 144


def test_a_continuation_tells_which_frames_came(service: Running) -> None:
    found = service.json(AFTER)
    assert (found["after"], found["every_minutes"], len(found["frames"])) == ("2011-03-03T14:00:00Z", 60, 24)
    assert [frame["time"] for frame in found["frames"] if frame["good"]] == [
        *(f"2011-03-03T{hour}:00:00Z" for hour in (15, 16, 17)),
        *(f"2011-03-04T{hour:02}:00:00Z" for hour in range(6, 15)),
    ]
    assert [frame["time"][11:16] for frame in service.json(AFTER, hours=2, every=40)["frames"]] == ["14:45", "15:30"]


def test_a_continuation_is_a_strip_with_what_is_missing_in_its_header(service: Running, tiny: TinyRoot) -> None:
    answer = service.get(f"{AFTER}/wv.png", layout="strip", width=30, hours=6)
    assert answer.headers["wxpipe-missing"] == "3 4 5"
    strip = pixels(answer.content)
    start = tiny.source.satellite.axis.slot(parse_time("2011-03-03T14:00Z"))
    expected = [
        cloud(start + 4 * hour, 1)[::2, ::2] if hour < 4 else np.zeros((24, 30), np.uint8) for hour in range(1, 7)
    ]
    assert np.array_equal(strip, np.concatenate(expected))
    loop: Any = Image.open(io.BytesIO(service.get(f"{AFTER}/wv.webp", hours=6).content))
    assert loop.n_frames >= 4  # equal black ones are one frame that is shown for longer
    again = service.client.get(f"{AFTER}/wv.png?layout=strip&width=30&hours=6",
                               headers={"If-None-Match": answer.headers["etag"]})  # fmt: skip
    assert (again.status_code, again.headers["wxpipe-missing"]) == (304, "3 4 5")


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        (f"/v1/continuations/{SOURCE}/20110331T2345Z", 404, "has no slot 60 minutes to 24 h after"),
        (f"/v1/continuations/{SOURCE}/20110306T2000Z/ir01.webp", 404, "no picture is stored"),
        (f"{AFTER}/vis.webp", 404, "it has ir01, wv"),
        (f"{AFTER}?hours=25", 422, "query.hours"),
        (f"{AFTER}?every=5", 422, "query.every"),
        ("/v1/briefing.pdf?source=tiny-ea&at=2011-03-03T08:00Z&channel=vis", 404, "it has ir01, wv"),
        ("/v1/briefing.gif?source=tiny-ea&at=latest", 422, "path.form"),
    ],
)
def test_what_is_not_there_is_told(service: Running, path: str, status: int, told: str) -> None:
    answer = service.get(path)
    assert (answer.status_code, told in answer.json()["detail"]) == (status, True), answer.text


def test_no_word_of_a_request_is_read_as_a_formula(service: Running) -> None:
    """matplotlib takes what is between dollars for mathematics, and fails where it is none."""
    where = "source <> '$\\frac{$' AND source <> '기상청'"
    answer = service.get("/v1/briefing.pdf", source=SOURCE, at="2011-03-03T08:00Z", where=where, exclude_hours=0, k=1,
                         events_within=6, events_where="type <> '$^$'")  # fmt: skip
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf"), answer.text
    assert answer.content.startswith(b"%PDF-")


@pytest.mark.slow
def test_a_sheet_of_frames_and_of_nothing(service: Running) -> None:
    for words in ({"years": "1999"}, {"k": 2}):
        sheet = service.get("/v1/briefing.png", source=SOURCE, at="latest", unit="frame", **words)
        assert (sheet.status_code, sheet.headers["content-type"]) == (200, "image/png")
        assert pixels(sheet.content).shape[:2] == (1240, 1753)


def test_the_policy_of_the_page_allows_what_it_is_made_of(service: Running) -> None:
    policy = service.get("/").headers["content-security-policy"]
    assert "unsafe" not in policy
    page = service.get("/").text
    assert " style=" not in page
    assert " onclick=" not in page
    for name in ("app.js", "words.js", "style.css"):
        answer = httpx.get(f"http://127.0.0.1:{service.port}/page/{name}")
        assert answer.status_code == 200
        assert "innerHTML" not in answer.text
