"""Coverage says what became of every slot: a hole has its reason, and the command that mends it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import typer

from tests.mini import DAY, FIRST, SOURCE, Archive, make_archive
from wxpipe.cli.app import app
from wxpipe.pipeline.backfill import Job, run, scan
from wxpipe.pipeline.coverage import Coverage, Fate, Work, cover, lag_of
from wxpipe.pipeline.coverage_holes import Hole, holes_of, pauses_of, troubles_of
from wxpipe.pipeline.coverage_page import Covered, covered_by, page
from wxpipe.pipeline.coverage_plots import CELL, GAP, day_shares, stacked
from wxpipe.pipeline.coverage_words import Place, missing_of, reason_of_hole, remedy_of, remedy_of_trouble
from wxpipe.pipeline.plan import Plan, Range, make_plan
from wxpipe.pipeline.run import Workers
from wxpipe.pipeline.status import survey
from wxpipe.satellites.catalog import Source, shipped_satellites
from wxpipe.store.ledger import Entry
from wxpipe.store.root import Root
from wxpipe.store.stage import Context

SLOT = timedelta(minutes=15)
HOLE_DAY, CUT_DAY, LAST_DAY = 1, 2, 6
"""Days, counted from the first: one without a file, one of which every second slot is cut, one not ingested."""
PLACE = Place("ROOT", "/data/archive")


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return FIRST + timedelta(days=day, hours=hour, minutes=minute)


def files_of(archive: Archive, day: int) -> list[Path]:
    return sorted(archive.pictures.rglob(f"mini_*_{FIRST + timedelta(days=day):%Y%m%d}*.png"))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Seven days: a pause at 02:30 every day, a day that never came, a day cut, two hours lost."""
    folder = tmp_path_factory.mktemp("planted")
    lost = [at(HOLE_DAY) + n * SLOT for n in range(DAY)] + [at(4, 10) + n * SLOT for n in range(8)]
    pause = [at(day, 2, 30) for day in range(7)]
    made = make_archive(folder, 7 * DAY, [*lost, *pause])
    for path in (file for file in files_of(made, CUT_DAY) if file.stem[-2:] in ("00", "30")):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return made


@pytest.fixture(scope="module")
def root(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Root:
    """That archive ingested up to the day before the last. To be read only."""
    return filled(archive, tmp_path_factory.mktemp("covered") / "root", "ingest", "histograms")


def filled(archive: Archive, folder: Path, *stages: str) -> Root:
    last = (FIRST + timedelta(days=LAST_DAY - 1)).date()
    job = Job(str(folder), str(archive.pictures), str(archive.site), Range(last=last, stages=stages or ("ingest",)))
    assert scan(job).state == "done"
    assert not run(job, Workers()).failed
    return Root(str(folder))


def look(root: Root) -> tuple[Coverage, Plan]:
    opened = Root(root.url)
    plan = make_plan(Context(opened), Range())
    (coverage,) = cover(opened, plan)
    return coverage, plan


def hole_at(coverage: Coverage, when: datetime) -> Hole:
    (found,) = [hole for hole in holes_of(coverage) if hole.first <= when <= hole.last]
    return found


def test_every_slot_has_one_fate_and_the_ledger_agrees(root: Root) -> None:
    coverage, _ = look(root)
    days = {fate: counts.tolist() for fate, counts in coverage.counted().items()}
    assert days[Fate.GOOD][0] == DAY - 1
    assert days[Fate.MISSING][HOLE_DAY] == DAY
    assert days[Fate.MISSING][4] == 8 + 1
    assert days[Fate.QUARANTINED][CUT_DAY] + days[Fate.GOOD][CUT_DAY] == DAY - 1
    assert days[Fate.WAITING][LAST_DAY] == DAY - 1
    assert coverage.good == sum(entry.counts["frames_good"] for entry in root.ledger.entries("ingest").values())
    assert coverage.scheduled == coverage.fates.size - days[Fate.NOTHING][0] - days[Fate.NOTHING][-1] == 7 * DAY


def test_a_hole_has_its_reason_and_the_command_that_mends_it(root: Root) -> None:
    coverage, _ = look(root)
    missing, cut, waiting = (hole_at(coverage, at(day, 12)) for day in (HOLE_DAY, CUT_DAY, LAST_DAY))
    assert (missing.fate, missing.slots, missing.pictures) == (Fate.MISSING, DAY, 2 * DAY)
    assert (missing.first, missing.last) == (at(HOLE_DAY), at(HOLE_DAY, 23, 45))
    assert reason_of_hole(missing) == "no file came"
    assert (cut.slots, cut.of) == (DAY // 2 - 1, DAY - 1)
    assert missing_of(missing) == "all 96 slots, 192 pictures"
    assert remedy_of(missing, PLACE).command == "wxpipe update --root ROOT --archive /data/archive"
    assert (cut.fate, cut.reason) == (Fate.QUARANTINED, "truncated")
    assert cut.example[0].endswith(".png")
    assert "end of the file" in cut.example[2]
    assert remedy_of(cut, PLACE).command == (
        f"wxpipe retry --root ROOT --archive /data/archive --reason truncated --satellite {SOURCE} "
        "--from 2020-03-03 --to 2020-03-03"
    )
    assert (waiting.fate, waiting.pictures) == (Fate.WAITING, len(range(2 * (DAY - 1))))
    assert remedy_of(waiting, PLACE).command.startswith("wxpipe backfill ")
    assert remedy_of(waiting, PLACE).command.endswith(f"--satellite {SOURCE} --from 2020-03-07 --to 2020-03-07")


def test_holes_are_whole_and_longest_first(root: Root) -> None:
    coverage, _ = look(root)
    holes = holes_of(coverage)
    assert [hole.hours for hole in holes] == sorted((hole.hours for hole in holes), reverse=True)
    lacking = coverage.fates.size - coverage.good
    paused = sum(pause.slots for pause in pauses_of(coverage))
    assert sum(hole.slots for hole in holes) == lacking - paused
    assert len(holes) == 4, "the day, the cut day, the two hours, and what waits: each is one hole"


def test_what_is_missing_every_day_at_one_time_is_a_pause_and_no_hole(root: Root) -> None:
    coverage, _ = look(root)
    (pause,) = pauses_of(coverage)
    assert [f"{time:%H:%M}" for time in pause.times] == ["02:30"]
    assert not [hole for hole in holes_of(coverage) if hole.first == at(0, 2, 30)]


def test_a_lost_channel_is_named(archive: Archive, tmp_path: Path, copied: Callable[[Archive], Archive]) -> None:
    mine = copied(archive)
    for path in files_of(mine, 3):
        if "_wv_" in path.name and "0600" <= path.stem[-4:] < "0900":
            path.unlink()
    coverage, _ = look(filled(mine, tmp_path / "root"))
    hole = hole_at(coverage, at(3, 7))
    assert (hole.slots, hole.pictures, hole.channels) == (12, 12, ("wv",))
    assert reason_of_hole(hole) == "no file came of wv"


def test_files_that_were_gone_before_they_were_read_have_vanished(
    archive: Archive, tmp_path: Path, copied: Callable[[Archive], Archive]
) -> None:
    mine = copied(archive)
    assert scan(Job(str(tmp_path / "root"), str(mine.pictures), str(mine.site))).state == "done"
    for path in files_of(mine, 0)[:20]:
        path.unlink()
    coverage, _ = look(filled(mine, tmp_path / "root"))
    hole = hole_at(coverage, at(0, 1))
    assert hole.fate == Fate.VANISHED
    assert "gone before they were read" in reason_of_hole(hole)
    assert "Put the files back" in remedy_of(hole, PLACE).words


def test_a_day_whose_files_changed_is_due_again_where_it_is_not_good(
    archive: Archive, tmp_path: Path, copied: Callable[[Archive], Archive]
) -> None:
    mine = copied(archive)
    root = filled(mine, tmp_path / "root")
    before, _ = look(root)
    for path in files_of(mine, CUT_DAY)[2:4]:
        path.write_bytes(path.read_bytes() + b"more")
    assert scan(Job(root.url, str(mine.pictures), str(mine.site))).state == "done"
    after, _ = look(root)
    was, now = before.fates[CUT_DAY], after.fates[CUT_DAY]
    assert (now[was == Fate.QUARANTINED] == Fate.STALE).all()
    assert (now[was == Fate.GOOD] == Fate.GOOD).all()
    assert remedy_of(hole_at(after, at(CUT_DAY, 12)), PLACE).command.startswith("wxpipe backfill ")


def test_a_day_that_failed_shows_its_error(root: Root, tmp_path: Path) -> None:
    mine = tree_of(root, tmp_path)
    mine.ledger.put(Entry("ingest", f"{SOURCE}/2020-03-01", "failed", "", error="the disk said no"))
    coverage, _ = look(mine)
    hole = hole_at(coverage, at(0, 12))
    assert (hole.fate, hole.reason, hole.slots) == (Fate.FAILED, "the disk said no", DAY)
    assert remedy_of(hole, PLACE).command.startswith("wxpipe retry ")
    text = page(covered_by(survey(mine)))
    assert "ingest failed" in text
    assert "the disk said no" in text


def test_a_later_stage_that_failed_is_a_trouble_with_a_command(root: Root, tmp_path: Path) -> None:
    mine = tree_of(root, tmp_path)
    for day in ("2020-03-01", "2020-03-02"):
        mine.ledger.put(Entry("histograms", f"{SOURCE}/{day}", "failed", "", error="rain in the <machine>"))
    coverage, plan = look(mine)
    trouble = troubles_of([coverage], plan)[0]
    assert (trouble.stage, trouble.work, trouble.days, trouble.error) == (
        "histograms", Work.FAILED, 2, "rain in the <machine>"
    )  # fmt: skip
    assert remedy_of_trouble(trouble, PLACE).command.endswith("--from 2020-03-01 --to 2020-03-02")
    assert "rain in the &lt;machine&gt;" in page(covered_by(survey(mine)))


def test_statuses_that_cannot_be_read_do_not_hide_the_rest(root: Root, tmp_path: Path) -> None:
    mine = tree_of(root, tmp_path)
    chunks = sorted((Path(mine.url) / f"frames/{SOURCE}.zarr/status/c").rglob("*"), key=str)
    victim = next(path for path in chunks if path.is_file())
    victim.write_bytes(victim.read_bytes()[:5])
    before, _ = look(root)
    after, _ = look(mine)
    failed = (after.fates == Fate.FAILED).any(axis=1)
    assert failed.sum() == 1
    assert np.array_equal(after.fates[~failed], before.fates[~failed])
    assert "damaged" in holes_of(after)[0].reason or "damaged" in "".join(h.reason for h in holes_of(after))


def test_an_empty_archive_and_a_root_of_one_day_have_pages(tmp_path: Path) -> None:
    mine = make_archive(tmp_path / "one", DAY)
    root = filled(mine, tmp_path / "root")
    one = page(covered_by(survey(root)))
    check_page(one)
    assert "None: every scheduled slot has a good frame" in one
    from wxpipe.store.root import init_root

    nothing = page(covered_by(survey(init_root(str(tmp_path / "nothing")))))
    check_page(nothing)
    assert "No source has a file yet" in nothing


def test_the_page_needs_nothing_else_and_has_every_reason_and_remedy(root: Root) -> None:
    found = survey(Root(root.url))
    text = page(covered_by(found, "/data/archive"))
    check_page(text)
    for words in ("no file came", "quarantined as truncated", "not ingested yet: 190 files wait", "--reason truncated",
                  "hardly ever a picture came", 'id="hole-1"', "#hole-1"):  # fmt: skip
        assert words in text, words


def test_every_remedy_is_a_command_that_wxpipe_knows(root: Root) -> None:
    coverage, plan = look(root)
    commands = [remedy_of(hole, PLACE).command for hole in holes_of(coverage)]
    commands += [remedy_of(replace(holes_of(coverage)[0], fate=fate), PLACE).command for fate in Fate]
    commands += [remedy_of_trouble(trouble, PLACE).command for trouble in troubles_of([coverage], plan)]
    known = typer.main.get_command(app)
    for command in set(commands):
        program, verb, *options = shlex.split(command)
        assert program == "wxpipe"
        known.commands[verb].make_context(verb, options)  # type: ignore[attr-defined]


def test_lag_is_counted_from_the_newest_good_frame(root: Root) -> None:
    coverage, _ = look(root)
    assert coverage.newest == at(LAST_DAY - 1, 23, 45)
    assert lag_of(coverage, at(LAST_DAY)) == 15 * 60


def test_a_bar_shows_the_smallest_lack_and_is_never_too_high() -> None:
    shares = np.array([[[1.0, 0.0, 0.0], [0.99, 0.01, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.3, 0.3, 0.4]]])
    image = stacked(shares, ["#0000ff", "#ff0000", "#00ff00"])[GAP:]
    assert image.shape == (CELL, 5, 4)
    colours = [{tuple(pixel[:3]) for pixel in image[:, column] if pixel[3]} for column in range(5)]
    blue, red, green = (0, 0, 255), (255, 0, 0), (0, 255, 0)
    assert colours == [{blue}, {blue, red}, {green}, set(), {blue, red, green}]
    assert tuple(image[-1, 1, :3]) == blue, "what is good lies at the bottom"


@pytest.mark.parametrize("years", [1, 5])
def test_shares_add_up_and_follow_the_schedule(years: int) -> None:
    coverage = forged("coms", date(2011, 1, 1), 365 * years)
    shares = day_shares(coverage)
    scheduled = (coverage.fates != Fate.NOTHING).any(axis=1)
    assert np.allclose(shares.sum(axis=1)[scheduled], 1)
    assert not shares[~scheduled].any()


@pytest.mark.slow
def test_thirty_years_of_six_satellites_are_a_page_of_a_few_megabytes() -> None:
    first = {name: satellite.first_day for name, satellite in shipped_satellites().items()}
    names = ("gms5", "mtsat1r", "mtsat2", "coms", "himawari8", "gk2a")
    coverages = [forged(name, first[name], 3300) for name in names]
    covered = Covered(PLACE, coverages, [], {}, [], 7, datetime(2030, 1, 1, tzinfo=UTC))
    text = page(covered)
    check_page(text)
    assert len(text) < 4_000_000
    assert sum(coverage.days for coverage in coverages) > 14_000


def forged(satellite: str, first: date, days: int, seed: int = 1) -> Coverage:
    """Years of a satellite with holes of many kinds, made up without a store."""
    found = shipped_satellites()[satellite]
    source = Source(found, next(iter(found.areas)))
    days = min(days, (found.last_day - first).days + 1)
    per_day, channels = found.axis.slots_per_day, len(found.channels)
    draw = np.random.default_rng(seed)
    fates = np.full((days, per_day), Fate.GOOD, np.uint8)
    fates[draw.random((days, per_day)) < 0.01] = Fate.MISSING
    for fate in (Fate.MISSING, Fate.QUARANTINED, Fate.WAITING):
        start = int(draw.integers(0, days - 20))
        fates[start : start + int(draw.integers(1, 20))] = fate
    fates[: days // 50] = Fate.NOTHING
    work = {stage: np.full(days, Work.DONE, np.uint8) for stage in ("ingest", "histograms", "clips", "embed")}
    status = np.full((days, per_day, channels), 3, np.uint8)
    return Coverage(source, first, fates, status, work, {}, {}, np.zeros(days, np.int64))


class _Tags(HTMLParser):
    """Open tags, and whatever a page would fetch."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr", "image", "use"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetched += [
            value for name, value in attrs
            if name in ("src", "href", "xlink:href") and value and not value.startswith(("#", "data:"))
        ]  # fmt: skip
        assert tag not in ("script", "link", "iframe")

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def check_page(text: str) -> None:
    tags = _Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.fetched == []


def tree_of(root: Root, folder: Path) -> Root:
    """A root of one's own, the same."""
    import shutil

    shutil.copytree(root.url, folder / "copy")
    return Root(str(folder / "copy"))


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Archive], Archive]:
    """(archive) to one of one's own, whose files may be touched."""
    import shutil

    def copy(archive: Archive) -> Archive:
        shutil.copytree(archive.pictures, tmp_path / "archive", copy_function=shutil.copy2)
        return Archive(tmp_path / "archive", archive.site)

    return copy
