"""The page over real imagery: a day of COMS, asked for what was like 08:00 of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mini import wxpipe
from tests.service.browsing import Browser, browser, shown
from tests.service.running import running

pytestmark = pytest.mark.slow
DAY = "2011-03-03"
ASKED = f"?at={DAY}T08:00Z&exclude_hours=0&episodes=off"


@pytest.fixture(scope="module")
def window(real_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("real-page")
    (folder / "archive").mkdir()
    for name in ("coms", "coms_events"):
        (folder / "archive" / name).symlink_to(real_archive / name)
    status, said = wxpipe("backfill", "--archive", str(folder / "archive"), "--root", str(folder / "root"), "--direct",
                          "--from", DAY, "--to", DAY)  # fmt: skip
    assert status == 0, said
    with running(folder / "root", WXPIPE_SERVICE_SECONDS="600") as served:  # noqa: SIM117
        with browser(f"http://127.0.0.1:{served.port}") as found:
            yield found


@pytest.mark.parametrize("channel", ["ir01", "swir", "rgb"])
def test_the_frames_of_the_query_and_its_analogs_are_shown(window: Browser, channel: str) -> None:
    with window.page(f"{ASKED}&channel={channel}&frame=9") as page:
        clocks = [said[:5] for said in page.locator("#analogs .clocks").all_inner_texts()]
        assert clocks == ["07:45", "07:30", "07:15", "07:00", "06:45"]
        for place in ("#query", *(f"#analog-{rank}" for rank in range(1, 6))):
            shown(page, place)
            spread, coloured = page.evaluate("""(place) => {
                const canvas = document.querySelector(place + " canvas");
                const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                const greys = new Set(), colours = [];
                for (let n = 0; n < data.length; n += 4) {
                    greys.add(data[n]);
                    colours.push(Math.abs(data[n] - data[n + 2]) > 30);
                }
                return [greys.size, colours.filter(Boolean).length / colours.length];
            }""", place)  # fmt: skip
            assert spread > 100, "a picture of weather, not one of nothing"
            assert (coloured > 0.2) is (channel == "rgb")
        assert page.locator("[name=exclude_hours]").input_value() == "0"
        assert page.locator("#advanced[open]").count() == 1, "filters that are in effect are seen"
        assert "Imagery: KMA NMSC" in page.locator("#facts").inner_text()
