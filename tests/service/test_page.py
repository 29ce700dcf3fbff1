"""What a person meets who opens the page: in a real browser, over a real root."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.service.browsing import Browser, answered, browser, shown, until
from tests.service.running import Running, running
from tests.vectors.tiny_root import SOURCE, TinyRoot, copy_of
from wxpipe.vectors.quality_sample import measure

AT = "2011-03-03T08:00Z"
ALL = "exclude_hours=0&episodes=off"
"""So that the three days have ten analogs."""

REACHABLE = """
    [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
        .filter((one) => one.checkVisibility() && one.tabIndex >= 0).length
"""
LOOKS = [(1440, "light"), (390, "dark"), *(pytest.param(*look, marks=pytest.mark.slow) for look in (
    (1440, "dark"), (390, "light")))]  # fmt: skip


@pytest.fixture(scope="module")
def served(tiny: TinyRoot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of the small root, of whose searches it was measured how good they are."""
    root = tmp_path_factory.mktemp("page") / "root"
    measure(copy_of(Path(tiny.root.url), root).root, "tiny", samples=60)
    with running(root, WXPIPE_SERVICE_RATE="100000", WXPIPE_SERVICE_BURST="100000",
                 WXPIPE_SERVICE_SECONDS="600") as found:  # fmt: skip
        yield found


@pytest.fixture(scope="module")
def window(served: Running) -> Iterator[Browser]:
    with browser(f"http://127.0.0.1:{served.port}") as found:
        yield found


@pytest.fixture(autouse=True)
def nobody_complains(window: Browser) -> Iterator[None]:
    """No script fails, nothing is loaded that the content security policy forbids, and no address is wrong."""
    window.complaints.clear()
    yield
    assert window.complaints == []


def text(page: Any, place: str) -> str:
    return str(page.locator(place).inner_text())


def pixels(page: Any, place: str) -> list[int]:
    """What a canvas shows, small: 64 greys."""
    found: list[int] = page.evaluate("""(place) => {
        const small = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
        const pen = small.getContext("2d");
        pen.drawImage(document.querySelector(place + " canvas"), 0, 0, 8, 8);
        return [...pen.getImageData(0, 0, 8, 8).data].filter((_, n) => n % 4 === 0);
    }""", place)  # fmt: skip
    return found


def question(page: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def analog_times(page: Any) -> list[str]:
    return [said.strip() for said in page.locator("#analogs article h3").all_inner_texts()]


def test_it_opens_on_the_latest_time_and_tells_its_age(window: Browser, served: Running) -> None:
    newest = served.json("/v1/search", satellite="tiny", at="latest")
    with window.page() as page:
        assert newest["query"]["start"][:10] in text(page, "#query h3")
        said = text(page, "#age")
        assert newest["query"]["end"][:16].replace("T", " ") in said
        assert re.search(r"[\d,]+ d old", said)
        assert "KST" in text(page, "#query .clocks")
        assert len(analog_times(page)) == len(newest["analogs"])
        assert "NOT TRAINED" in text(page, "#facts")


@pytest.mark.slow
def test_query_and_analogs_show_the_same_moment_of_their_clips(window: Browser, served: Running) -> None:
    answer = served.json("/v1/search", satellite="tiny", at=AT, exclude_hours=0, episodes="off")
    with window.page(f"?at={AT}&{ALL}") as page:
        for place in ("#query", "#analog-1", "#analog-2"):
            shown(page, place)
        first = pixels(page, "#analog-1")
        page.locator("#frame").press("End")
        page.locator("#frame").fill("12")
        for place, identity in (("#query", answer["query"]["clip_id"]), ("#analog-1", answer["analogs"][0]["clip_id"])):
            frame = served.json(f"/v1/clips/{identity}")["frames"][12]["frame_id"]
            source = page.evaluate("""async (url) => {
                const picture = await createImageBitmap(await (await fetch(url)).blob());
                const small = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
                small.getContext("2d").drawImage(picture, 0, 0, 8, 8);
                return [...small.getContext("2d").getImageData(0, 0, 8, 8).data].filter((_, n) => n % 4 === 0);
            }""", f"/v1/frames/{frame}/ir01.png?width=30")  # fmt: skip
            off = [abs(a - b) for a, b in zip(pixels(page, place), source, strict=True)]
            assert sum(off) / len(off) < 6, place
        assert pixels(page, "#analog-1") != first
        assert question(page).get("frame", "0") in ("0", "12")


def test_it_plays_unless_a_person_wants_less_motion(window: Browser) -> None:
    with window.page(f"?at={AT}") as page:
        assert text(page, "#play") == "Play"
        page.locator("body").press(" ")
        assert text(page, "#play") == "Pause"
        until(page, "() => Number(document.getElementById('frame').value) > 1")
    with window.page(f"?at={AT}", still=False) as page:
        assert text(page, "#play") == "Pause"
        until(page, "() => Number(document.getElementById('frame').value) > 1")


def test_a_filter_is_asked_and_the_browser_goes_back_to_before(window: Browser) -> None:
    with window.page(f"?at={AT}&{ALL}") as page:
        before = analog_times(page)
        page.get_by_label("Hours (UTC)").fill("9-10")
        page.get_by_role("button", name="Search").click()
        until(page, "() => !document.getElementById('note').textContent.includes('Searching')")
        answered(page)
        assert question(page)["hours"] == "9-10"
        clocks = page.locator("#analogs .clocks").all_inner_texts()
        assert clocks
        assert all(said.startswith(("09:", "10:")) for said in clocks), clocks
        page.get_by_role("textbox", name="Years").fill("2019")
        page.keyboard.press("Enter")
        until(page, "() => document.getElementById('note').textContent.includes('No analog')")
        page.go_back()
        page.go_back()
        until(page, "(n) => document.querySelectorAll('#analogs article').length === n", len(before))
        assert analog_times(page) == before
        assert page.get_by_label("Hours (UTC)").input_value() == ""


@pytest.mark.slow
def test_an_analog_is_asked_about_by_its_picture(window: Browser) -> None:
    with window.page(f"?at={AT}&{ALL}") as page:
        page.locator("#analog-2 button").focus()
        wanted = analog_times(page)[1].split()[-1]
        clock = text(page, "#analog-2 .clocks")[:5]
        page.keyboard.press("Enter")
        until(page, "(at) => new URLSearchParams(location.search).get('at').startsWith(at)", wanted)
        answered(page)
        until(page, "(clock) => document.querySelector('#query .clocks').textContent.startsWith(clock)", clock)
        assert page.evaluate("document.activeElement.id") == "the-query"


@pytest.mark.slow
def test_a_question_that_cannot_be_understood_is_told_as_words(window: Browser) -> None:
    with window.page(f"?at={AT}") as page:
        page.get_by_text("More filters").click()
        page.get_by_label("Filter (SQL)").fill("<b>moon</b> = 3")
        page.get_by_role("button", name="Search").click()
        page.wait_for_selector("#note.alarm")
        assert page.locator("#note b, #note script").count() == 0
        assert analog_times(page), "the last answer stays"
        assert any("400" in said for said in window.complaints)
        window.complaints.clear()


def test_all_run_on_into_what_came_next_and_say_what_is_missing(window: Browser) -> None:
    with window.page(f"?at={AT}&{ALL}") as page:
        shown(page)
        page.get_by_role("button", name="Run on").click()
        page.locator("#frame").fill("22")
        assert text(page, "#when") == "+3 h, what came next"
        shown(page)
        assert "2011-03-03 17:00 UTC" in text(page, "#query .now")
        assert text(page, "#query .own") == "its own future, as it came"
        assert page.get_attribute("#frame", "aria-valuetext") == "+3 h, what came next"
        page.locator("#frame").press("ArrowRight")
        assert "No picture 2011-03-03 18:00 UTC" in text(page, "#query .gone")
        assert text(page, "#query .own") == "its own future is not in the archive"
        assert question(page).get("frame") != "0"
        page.get_by_role("button", name="Run on").click()
        assert text(page, "#when") == "6.0 h into the clip"
    with window.page(f"?at={AT}&{ALL}&frame=21&run=on") as page:
        shown(page)
        assert text(page, "#when") == "+2 h, what came next"
        assert "2011-03-03 16:00 UTC" in text(page, "#query .now")


@pytest.mark.slow
def test_a_film_that_the_service_cannot_give_is_not_told_as_a_hole(window: Browser) -> None:
    """Here it is the network that fails; a hole in the archive is a 404, and told as one."""
    with window.page(f"?at={AT}") as page:
        shown(page)
        page.route("**/v1/continuations/**", lambda route: route.abort())
        page.get_by_role("button", name="Run on").click()
        page.locator("#frame").fill("22")
        until(page, "() => !document.querySelector('#query .gone').textContent.includes('loading')")
        assert "No picture" not in text(page, "#query .gone")
        assert text(page, "#query .gone")


@pytest.mark.slow
def test_the_map_tells_the_numbers_of_each_cell(window: Browser, served: Running) -> None:
    told = served.json("/v1/ahead", satellite="tiny", at=AT, exclude_hours=0, episodes="off")
    step = next(step for step in told["steps"] if step["share"] is not None and step["usual"] is not None)
    with window.page(f"?at={AT}&{ALL}") as page:
        page.get_by_role("button", name=f"+{step['hours']}", exact=True).click()
        assert text(page, "#when") == f"+{step['hours']} h, what came next"
        page.locator(".map").focus()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowDown")
        x, y = 11, 13
        cell = y * told["grid"] + x
        share, usual = step["share"][cell], step["usual"][cell]
        said = text(page, "#ahead output")
        assert said.startswith(f"Cell {x + 1} from the west, {y + 1} from the north:")
        assert f"cold cloud after {round(share * 100)} % of the analogs, usually {round(usual * 100)} %" in said
        page.get_by_role("button", name="usual", exact=True).click()
        assert page.get_by_role("button", name="usual", exact=True).get_attribute("aria-pressed") == "true"
        assert page.evaluate("document.activeElement.textContent") == "usual"
        assert page.locator(".map rect.less").count() == 0
        assert question(page)["layer"] == "usual"


@pytest.mark.slow
def test_a_clip_that_runs_past_the_last_picture_still_has_one_beneath_the_map(window: Browser) -> None:
    with window.page(f"?{ALL}") as page:
        assert "2011-03-06 19:00 UTC" in text(page, "#age")
        page.wait_for_selector(".map")
        assert "2011-03-06 17:45 UTC" in text(page, "#ahead .legend")
        page.wait_for_load_state("networkidle")


def test_events_are_a_list_with_what_is_usual(window: Browser, served: Running) -> None:
    answer = served.json("/v1/search", satellite="tiny", at=AT, exclude_hours=0, episodes="off", events_within=12)
    with window.page(f"?at={AT}&{ALL}") as page:
        page.get_by_role("button", name="Ask what happened within 12 h").click()
        page.wait_for_selector("#events li")
        listed = page.locator("#events li").all_inner_texts()
        for one, said in zip(answer["happened"], listed, strict=True):
            assert f"within 12 h after {one['occurred']} of {one['analogs']} analogs" in said
            assert one["type"] in said
        assert question(page)["events_within"] == "12"
        assert any("95 % interval" in said for said in listed)


@pytest.mark.parametrize("good", [False, True])
def test_how_good_the_answer_is_is_said_in_words(window: Browser, served: Running, good: bool) -> None:
    for hour in range(6, 14):
        at = f"2011-03-04T{hour:02}:00Z"
        quality = served.json("/v1/search", satellite="tiny", at=at)["quality"]
        if quality["good"] is good:
            break
    else:
        pytest.fail(f"no query of that day has good = {good}")
    with window.page(f"?at={at}") as page:
        said = text(page, "#quality")
        assert ("No good analog" in said) is not good
        assert f"of {quality['compared']} times {quality['are']} have a better best analog" in said
        assert page.get_attribute("#quality", "data-good") == str(good).lower()
        for one in quality["after"]:
            if one["similarity"] is not None:
                assert f"+{one['hours']} h" in said


def test_the_calendar_leads_to_the_analogs(window: Browser) -> None:
    with window.page(f"?at={AT}&{ALL}&season=own") as page:
        times = [said.split()[-1] for said in analog_times(page)]
        marks = page.locator("#calendar .mark")
        assert marks.count() == len(times)
        mark = page.locator("#calendar [data-rank='2']")
        assert times[1] in (mark.get_attribute("aria-label") or "")
        mark.focus()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "analog-2"
        page.wait_for_selector("#calendar rect.there", state="attached")
        page.get_by_text("As a list").click()
        assert page.locator("#calendar li").count() == len(times)


def test_a_link_brings_the_whole_view_back(window: Browser) -> None:
    with window.page(f"?{ALL}&hours=8-13") as page:
        page.get_by_role("button", name="WV", exact=True).click()
        page.locator("#frame").fill("7")
        page.get_by_role("button", name="Copy link").click()
        until(page, "() => document.getElementById('copied').textContent === 'The link is copied.'")
        link = page.evaluate("navigator.clipboard.readText()")
        before = (analog_times(page), text(page, "#when"), text(page, "#query h3"))
    words = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
    assert words["at"] == "2011-03-06T13:00:00Z", "the newest is a time, in a link"
    assert (words["release"], words["channel"], words["frame"]) == ("1", "wv", "7")
    with window.page(f"?{urlsplit(link).query}", still=False) as page:
        shown(page)
        assert (analog_times(page), text(page, "#when"), text(page, "#query h3")) == before
        assert page.get_by_role("button", name="WV", exact=True).get_attribute("aria-pressed") == "true"
        assert "release" not in text(page, "#note")
        assert text(page, "#play") == "Play", "a moment that is shown to somebody stands still"
    with window.page(f"?{urlsplit(link).query.replace('release=1', 'release=7')}") as page:
        assert "The link is of release 7; release 1 serves now" in text(page, "#note")


@pytest.mark.slow
def test_newer_data_are_asked_for_only_where_the_newest_are_looked_at(window: Browser) -> None:
    for at, wanted in (("latest", 2), (AT, 0)):
        with window.page(f"?at={AT}") as page:
            asked: list[str] = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.clock.install()
            page.goto(f"{window.address}/?at={at}")
            answered(page)
            asked.clear()
            page.clock.run_for(125_000)
            assert len([url for url in asked if "/v1/search" in url]) == wanted


def test_a_page_that_a_browser_has_already_may_load_what_it_could_before(served: Running) -> None:
    first = served.get("/")
    again = served.client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]


@pytest.mark.slow
def test_it_speaks_korean(window: Browser) -> None:
    with window.page(f"?at={AT}") as page:
        page.get_by_role("button", name="한국어").click()
        assert page.get_attribute("html", "lang") == "ko"
        assert "유사 사례" in text(page, "#the-analogs")
        assert question(page)["language"] == "ko"
        page.reload()
        answered(page)
        assert "얼마나 믿을 만한가?" in text(page, "#quality")
        for said in page.locator("[data-say]").all_inner_texts():
            assert said.strip() != "undefined"


def test_the_keyboard_reaches_everything(window: Browser) -> None:
    with window.page(f"?at={AT}&{ALL}&events_within=12") as page:
        page.wait_for_selector(".map")
        wanted = page.evaluate(REACHABLE)
        page.evaluate("document.activeElement.blur()")
        seen = []
        for _ in range(wanted + 1):
            page.keyboard.press("Tab")
            seen.append(page.evaluate("""(() => { const one = document.activeElement;
                const look = getComputedStyle(one);
                return [one.tagName, one.id || one.name || one.className.baseVal || one.textContent.slice(0, 20),
                        look.outlineStyle !== "none" || one.matches(".mark")]; })()"""))  # fmt: skip
        names = {name for _, name, _ in seen}
        assert {"source", "at", "bands", "frame", "run", "copy", "language", "theme"} <= names
        assert [one for one in seen if one[0] != "BODY" and not one[2]] == [], "focus is seen"
        assert len([one for one in seen if one[0] != "BODY"]) >= wanted


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_a_person_with_poor_sight_can_use_it(window: Browser, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install .[test]")
    with window.page(f"?at={AT}&{ALL}&events_within=12&season=own", width=width, color_scheme=scheme,
                     bypass_csp=True) as page:  # fmt: skip
        page.wait_for_selector(".map")
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing hangs over"
        found = axe.Axe().run(page).response["violations"]
        grave = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found
                 if one["impact"] in ("serious", "critical")]  # fmt: skip
        assert grave == [], json.dumps(grave, indent=1)


def test_a_briefing_is_a_sheet_and_a_picture(window: Browser, tmp_path: Path) -> None:
    from PIL import Image

    with window.page(f"?at={AT}&{ALL}&events_within=12") as page:
        for form in ("pdf", "png"):
            with page.expect_download() as coming:
                page.locator(f"#briefing-{form}").click()
            assert coming.value.suggested_filename == f"wxpipe-{SOURCE}-20110303T0800.{form}"
            coming.value.save_as(tmp_path / f"sheet.{form}")
    sheet = (tmp_path / "sheet.pdf").read_bytes()
    assert sheet.startswith(b"%PDF-")
    assert sheet.count(b"/Type /Page\n") + sheet.count(b"/Type /Page ") == 1
    assert b"release=1" in sheet, "the link is one that can be clicked"
    assert Image.open(tmp_path / "sheet.png").size == (1753, 1240)
