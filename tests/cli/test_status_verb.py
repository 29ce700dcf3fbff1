"""`status`: what people read, what programs read, and the page as a browser shows it."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import CommandLine
from tests.mini import DAY, FIRST, SOURCE, Archive, make_archive
from wxpipe.pipeline.backfill import Job, run, scan
from wxpipe.pipeline.coverage import Fate
from wxpipe.pipeline.coverage_plots import COLOURS
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers
from wxpipe.store.root import init_root

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Archive, Path]:
    """Three days, of which the second never came; a picture is cut; the third day is not ingested."""
    folder = tmp_path_factory.mktemp("holed")
    made = make_archive(folder, 3 * DAY, [FIRST + timedelta(minutes=15 * n) for n in range(DAY, 2 * DAY)])
    for path in made.pictures.rglob("mini_ir_*_202003010[0-5]*.png"):
        path.write_bytes(path.read_bytes()[:300])
    last = (FIRST + timedelta(days=1)).date()
    job = Job(str(folder / "root"), str(made.pictures), str(made.site), Range(last=last, stages=("ingest",)))
    assert scan(job).state == "done"
    assert not run(job, Workers()).failed
    return made, folder / "root"


def test_people_see_stages_by_month_and_the_longest_holes(cli: CommandLine, holed: tuple[Archive, Path]) -> None:
    said = cli("status", "--root", holed[1])
    assert said.code == 0
    for words in ("ingest", "2020-03 ▒", f"{SOURCE} 2020-03-02 00:00 to 2020-03-02 23:45: 96 slots, no file came",
                  f"{SOURCE} 2020-03-01 00:00 to 2020-03-01 05:45: 24 slots, quarantined (truncated)",
                  "not ingested yet"):  # fmt: skip
        assert words in said.out, words


def test_programs_get_what_the_contract_names_and_more(cli: CommandLine, holed: tuple[Archive, Path]) -> None:
    document = cli("status", "--root", holed[1], "--json").document
    assert {"root", "sources", "release", "reconciled"} <= document.keys()
    source = document["sources"][SOURCE]
    assert {"days", "slots", "pictures", "clips", "stages"} <= source.keys()
    assert source["days"] == 2
    assert source["slots"] == {"good": DAY - 24, "missing": DAY}
    assert source["stages"]["ingest"] == {"done": 2, "stale": 0, "missing": 1, "failed": 0}
    assert source["months"] == {
        "2020-03": {
            "days": 3,
            "slots": {"good": DAY - 24, "scheduled": 3 * DAY},
            "stages": source["months"]["2020-03"]["stages"],
        }
    }
    assert source["months"]["2020-03"]["stages"]["ingest"] == {"done": 2, "missing": 1, "stale": 0, "failed": 0}
    assert source["lag_seconds"] > 0
    longest = source["holes"]["longest"]
    assert [hole["slots"] for hole in longest] == [96, 96, 24]
    assert {hole["why"] for hole in longest} == {"no file came", "not ingested yet", "quarantined"}


def test_a_root_without_anything_has_a_status(cli: CommandLine, tmp_path: Path) -> None:
    init_root(str(tmp_path / "root"))
    said = cli("status", "--root", tmp_path / "root", "--report", tmp_path / "page")
    assert said.code == 0, said
    assert (tmp_path / "page" / "index.html").exists()


def test_a_report_that_cannot_be_put_there_is_a_mistake(
    cli: CommandLine, holed: tuple[Archive, Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("taken")
    said = cli("status", "--root", holed[1], "--report", tmp_path / "file")
    assert said.code == 2
    assert "is a file; expected a folder" in said.words


@pytest.fixture(scope="module")
def browser() -> str:
    if CHROMIUM is None:
        pytest.skip("no browser (chromium) is installed")
    return CHROMIUM


def shown(browser: str, page: Path, picture: Path) -> np.ndarray:
    """What a browser shows of a page, uint8 (y, x, 3)."""
    subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1100,2600",
         f"--user-data-dir={picture.parent / 'profile'}", f"--screenshot={picture}", page.as_uri()],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    return np.asarray(Image.open(picture).convert("RGB"))


def share_of(picture: np.ndarray, colour: str) -> float:
    """How many pixels have a colour, or nearly."""
    wanted = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
    return float((np.abs(picture.astype(int) - wanted).max(axis=-1) < 6).mean())


def test_a_browser_shows_the_hole_in_its_colour(
    cli: CommandLine, holed: tuple[Archive, Path], tmp_path: Path, browser: str
) -> None:
    said = cli("status", "--root", holed[1], "--report", tmp_path / "page", "--archive", "/data/archive")
    assert said.code == 0
    assert said.out.splitlines()[-1] == str(tmp_path / "page" / "index.html")
    picture = shown(browser, tmp_path / "page" / "index.html", tmp_path / "page.png")
    found = {fate: share_of(picture, COLOURS[fate]) for fate in COLOURS}
    assert min(found[fate] for fate in (Fate.GOOD, Fate.MISSING, Fate.WAITING)) > 0.01, found
    assert found[Fate.QUARANTINED] > 0.003
    assert found[Fate.MISSING] > 2 * found[Fate.QUARANTINED], "a day, and a quarter of one"
    assert found[Fate.FAILED] == found[Fate.VANISHED] == 0


def test_a_run_leaves_a_report(cli: CommandLine, holed: tuple[Archive, Path], tmp_path: Path) -> None:
    archive, _ = holed
    stages = ("--stage", "ingest", "--stage", "histograms", "--stage", "clips")
    said = cli("backfill", *archive.options, "--root", tmp_path / "root", "--direct", *stages, "--report",
               tmp_path / "report")  # fmt: skip
    assert said.code == 3, said
    text = (tmp_path / "report" / "index.html").read_text()
    for words in ("What this backfill did", "9 partitions done, 0 failed; 24 files put aside", "✓ all",
                  "truncated", "no file came", "--reason truncated"):  # fmt: skip
        assert words in text, words
    assert "✗" not in text
    assert said.out.strip() == str(tmp_path / "report" / "index.html")
