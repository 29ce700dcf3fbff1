"""The plan: what is due and why, read from a root in which nothing is touched."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tests.mini import LATE, SOURCE, Archive, Undisturbed
from tests.pipeline.fake_stage import attempts, context_of, partition
from wxpipe.errors import UsageError
from wxpipe.pipeline.backfill import Job, check_range, plan, scan
from wxpipe.pipeline.plan import Plan, Range, Step, by_lease, in_parcels, make_plan
from wxpipe.pipeline.run import Workers, run_stage
from wxpipe.pipeline.stages import NAMES
from wxpipe.store.ledger import Entry
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Partition

DAYS = ("2020-03-01", "2020-03-02", "2020-03-03")


def traces(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every file and folder below one, with what any write would change."""
    found = [folder, *folder.rglob("*")]
    return {str(path): ((s := os.lstat(path)).st_mtime_ns, s.st_size, s.st_ino) for path in found}


def why(found: Plan) -> dict[str, str]:
    """Reasons by stage and partition, of what is due."""
    return {f"{step.stage} {step.partition.key}": step.reason for step in found.work}


@pytest.fixture
def root(first_run: Undisturbed, tmp_path: Path) -> Root:
    """A root of two days, all done, of one's own."""
    shutil.copytree(first_run.root, tmp_path / "root")
    return Root(str(tmp_path / "root"))


def due(root: Root, wanted: Range | None = None, **options: object) -> dict[str, str]:
    return why(make_plan(Context(Root(root.url), options=options), wanted or Range()))


def test_planning_writes_nothing(root: Root, longer: Archive) -> None:
    assert scan(Job(root.url, str(longer.pictures), str(longer.site))).state == "done"
    before = traces(Path(root.url))
    found = plan(Job(root.url))
    assert found.work
    assert traces(Path(root.url)) == before


def test_a_root_that_is_done_has_nothing_due(root: Root) -> None:
    found = make_plan(Context(root), Range())
    assert found.work == ()
    assert found.counts() == {
        stage: {"done": done, "stale": 0, "missing": 0, "failed": 0}
        for stage, done in {"ingest": 2, "histograms": 2, "clips": 2, "pairs": 1, "train": 1, "embed": 2,
                            "release": 1}.items()
    }  # fmt: skip


def test_a_late_file_makes_its_day_stale_and_a_new_day_is_missing(root: Root, longer: Archive) -> None:
    scan(Job(root.url, str(longer.pictures), str(longer.site)))
    assert LATE.date() == date(2020, 3, 1)
    assert due(root) == {f"ingest {SOURCE}/{DAYS[0]}": "stale", f"ingest {SOURCE}/{DAYS[2]}": "missing"}


def test_a_failed_day_stays_due(root: Root) -> None:
    root.ledger.put(Entry("histograms", f"{SOURCE}/{DAYS[1]}", "failed", "", error="a fault"))
    assert due(root) == {f"histograms {SOURCE}/{DAYS[1]}": "failed"}


def test_a_day_whose_remaking_was_broken_off_is_stale(root: Root) -> None:
    """Though its inputs are those that it was made of: the result may be half another."""
    entry = root.ledger.get("ingest", f"{SOURCE}/{DAYS[0]}")
    assert entry is not None
    root.ledger.put(replace(entry, state="running"))
    assert due(root)[f"ingest {SOURCE}/{DAYS[0]}"] == "stale"


def test_a_lost_ledger_entry_is_missing(root: Root) -> None:
    root.objects.delete(f"ledger/clips/{SOURCE}/{DAYS[1]}.json")
    assert due(root)[f"clips {SOURCE}/{DAYS[1]}"] == "missing"


def test_what_is_made_on_request_is_frozen(root: Root) -> None:
    """Changed pictures, clips and options do not make pairs or a model stale; a request does."""
    entry = root.ledger.get("clips", f"{SOURCE}/{DAYS[0]}")
    assert entry is not None
    root.ledger.put(replace(entry, output="of other clips"))
    assert {"pairs", "train"}.isdisjoint(line.split(" ")[0] for line in due(root, train_epochs=3))
    assert due(root, Range(stages=("pairs", "train")), anew=("pairs", "train")) == {
        f"pairs {SOURCE}": "stale",
        f"train {SOURCE}": "stale",
    }
    assert due(root, Range(stages=("pairs", "train")), anew=("train",)) == {f"train {SOURCE}": "stale"}


@pytest.mark.usefixtures("fake_stages")
def test_a_thing_made_on_request_is_made_once_and_again_when_asked(tmp_path: Path) -> None:
    context = context_of(tmp_path, "ok")
    wish = Partition("", name="fake-x")
    for options in ({}, {"version": 2}, {"anew": ("wish",)}):
        run_stage("wish", replace(context, options={**context.options, **options}), Range(), Workers())
    assert attempts(context.root, wish) == 2


@pytest.mark.usefixtures("fake_stages")
def test_a_range_is_of_days_both_included(tmp_path: Path) -> None:
    context = context_of(tmp_path, *["ok"] * 5)
    first, last = partition(2).day, partition(4).day
    found = make_plan(context, Range(first=first, last=last, stages=("fake",)))
    assert [step.partition for step in found.steps] == [partition(n) for n in (2, 3, 4)]
    run_stage("fake", context, Range(first=first, last=first), Workers())
    assert sorted(context.root.ledger.entries("fake")) == [f"fake-x/{first}"]


def test_a_range_is_of_sources_and_stages(root: Root) -> None:
    root.objects.delete(f"ledger/ingest/{SOURCE}/{DAYS[0]}.json")
    assert due(root, Range(sources=("other-x",))) == {}
    found = make_plan(Context(root), Range(sources=(SOURCE,), stages=("clips", "ingest")))
    assert {step.stage for step in found.steps} == {"ingest", "clips"}
    assert found.of("ingest")[0] == Step("ingest", Partition(SOURCE, date(2020, 3, 1)), "missing")


def test_a_satellite_stands_for_its_source(root: Root) -> None:
    assert check_range(Job(root.url, wanted=Range(sources=("mini",)))).sources == (SOURCE,)
    assert check_range(Job(root.url, wanted=Range(sources=(SOURCE,)))).sources == (SOURCE,)


def test_unknown_names_are_answered_with_those_that_there_are(root: Root) -> None:
    with pytest.raises(UsageError, match=f"(?s)goms.*{SOURCE}"):
        check_range(Job(root.url, wanted=Range(sources=("goms",))))
    with pytest.raises(UsageError, match=f"polish.*{', '.join(NAMES)}"):
        check_range(Job(root.url, wanted=Range(stages=("polish",))))


def test_stages_run_in_the_order_of_the_pipeline_whatever_was_typed(root: Root) -> None:
    assert check_range(Job(root.url, wanted=Range(stages=("embed", "ingest")))).stages == ("ingest", "embed")


def test_days_of_a_month_are_written_under_one_lease() -> None:
    days = [Partition(SOURCE, date(2020, month, day)) for month in (3, 4) for day in (1, 2)]
    named = Partition("", name="default")
    groups = by_lease(Step("s", p, "missing") for p in (*days, named))
    assert {key: len(steps) for key, steps in groups.items()} == {
        f"{SOURCE}/2020-03": 2,
        f"{SOURCE}/2020-04": 2,
        "default": 1,
    }


@pytest.mark.parametrize(("months", "most"), [(500, 40), (40, 40), (41, 40), (1, 40), (0, 40), (7, 3)])
def test_parcels_are_neighbours_in_order_and_no_more_than_asked(months: int, most: int) -> None:
    keys = [f"{SOURCE}/{2000 + n // 12}-{n % 12 + 1:02}" for n in range(months)]
    parcels = in_parcels(keys, most)
    assert len(parcels) <= most
    assert [key for parcel in parcels for key in parcel] == keys
    assert all(parcels)
