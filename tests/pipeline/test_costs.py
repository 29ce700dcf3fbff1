"""What a plan costs: measured rates, projections of days that are not ingested yet, and what the root grows by."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.mini import SOURCE, Archive, Undisturbed, wxpipe
from tests.pipeline.test_plan import DAYS, traces
from wxpipe.archive.synthetic.source import site_satellites
from wxpipe.pipeline.backfill import Job, check_range, plan, scan
from wxpipe.pipeline.costs import Costs, make_costs
from wxpipe.pipeline.plan import Plan, Range, make_plan
from wxpipe.pipeline.rates import ASSUMED, UNIT, Rate, assumed, fit, measured_rates
from wxpipe.pipeline.rates import scaled as scaled_rates
from wxpipe.satellites.catalog import Source, shipped_satellites
from wxpipe.store.ledger import Entry
from wxpipe.store.requests import Request
from wxpipe.store.root import Root
from wxpipe.store.stage import Context

MINI = Source(site_satellites()["mini"], "t")


@pytest.fixture
def root(first_run: Undisturbed, tmp_path: Path) -> Root:
    """A root of two days, all done, of one's own."""
    shutil.copytree(first_run.root, tmp_path / "root")
    return Root(str(tmp_path / "root"))


@pytest.fixture
def grown(root: Root, longer: Archive) -> Root:
    """The same after a scan: a file of the first day came late, and a third day began."""
    assert scan(Job(root.url, str(longer.pictures), str(longer.site))).state == "done"
    return Root(root.url)


def costs_of(root: Root, wanted: Range | None = None, workers: int = 2) -> Costs:
    job = Job(root.url, wanted=wanted or Range())
    return make_costs(Root(root.url), plan(job), check_range(job), workers)


# --- rates -------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    fixed=st.floats(0, 5), each=st.floats(0, 1), strays=st.integers(0, 3), seed=st.integers(0, 99),
    noise=st.floats(0, 0.2),
)  # fmt: skip
def test_a_line_is_found_whatever_the_first_partitions_took(
    fixed: float, each: float, strays: int, seed: int, noise: float
) -> None:
    """Three of thirty partitions that compiled for minutes do not show in what the others are expected to take."""
    rng = np.random.default_rng(seed)
    units = rng.integers(20, 400, 30).astype(float)
    truth = fixed + each * units
    costs = truth * rng.uniform(1 - noise, 1 + noise, 30)
    costs[:strays] += 50 * truth.max() + 1
    rate = fit(units, costs)
    told, came = sum(map(rate.of, units[strays:])), costs[strays:].sum()
    assert told == pytest.approx(came, rel=0.1, abs=1e-6)
    assert rate.fixed >= 0
    assert rate.each >= 0


def test_days_without_pictures_do_not_hide_what_pictures_cost() -> None:
    units = np.array([0.0] * 600 + [100, 20, 20])
    costs = np.where(units, 0.03 * units + 0.1, 0.02)
    assert fit(units, costs).of(384) == pytest.approx(384 * 0.03, rel=0.2)


def test_partitions_of_one_size_cost_by_the_unit() -> None:
    assert fit(np.array([96.0, 96, 97]), np.array([9.6, 9.6, 9.7])) == Rate(0.0, pytest.approx(0.1))


def test_one_partition_is_enough_and_none_is_no_rate() -> None:
    assert fit(np.array([10.0]), np.array([5.0])).of(20) == pytest.approx(10)
    assert fit(np.array([0.0]), np.array([5.0])) == Rate(5.0, 0.0)


def test_rates_are_measured_where_there_is_anything_to_measure(root: Root) -> None:
    root.adopt({"mini2": site_satellites()["mini2"]})
    other = root.source("mini2")
    rates = measured_rates(root, [MINI, other], UNIT)
    entry = root.ledger.get("ingest", f"{SOURCE}/{DAYS[1]}")
    assert entry is not None
    for stage in UNIT:
        assert rates[SOURCE, stage].origin == "measured"
        assert rates[SOURCE, stage].partitions == 2
        assert rates[other.id, stage].origin == f"scaled from {SOURCE}"
    told = rates[SOURCE, "ingest"].of["bytes_written"].of(entry.counts["files"])
    assert told == pytest.approx(entry.bytes_written, rel=0.05)


def test_a_source_of_larger_pictures_takes_longer_in_proportion() -> None:
    large = Source(MINI.satellite.model_copy(update={"areas": {"t": MINI.area.model_copy(
        update={"rows": 2 * MINI.area.rows, "columns": 2 * MINI.area.columns})}}), "t")  # fmt: skip
    for stage in UNIT:
        rates = assumed(stage, MINI)
        more = scaled_rates(stage, rates, MINI, large)
        factor = {"ingest": 4, "histograms": 4, "clips": 1, "embed": 4}[stage]
        assert more.of["seconds"].each == pytest.approx(factor * rates.of["seconds"].each)
        assert more.of["seconds"].fixed == rates.of["seconds"].fixed
        assert more.of["bytes_written"].each == pytest.approx(
            (4 if stage == "ingest" else 1) * rates.of["bytes_written"].each
        )


def test_what_was_only_looked_at_is_no_measurement(root: Root) -> None:
    """A touched day costs a hash of its files, and says nothing of what ingest takes."""
    before = measured_rates(root, [MINI], ["ingest"])[SOURCE, "ingest"]
    entry = root.ledger.get("ingest", f"{SOURCE}/{DAYS[0]}")
    assert entry is not None
    root.ledger.put(replace(entry, partition=f"{SOURCE}/2020-02-29", seconds=0.001, bytes_written=0))
    assert measured_rates(root, [MINI], ["ingest"])[SOURCE, "ingest"] == before


# --- costs -------------------------------------------------------------------------------------------------------


def test_what_is_done_costs_nothing(root: Root) -> None:
    costs = costs_of(root)
    assert all(cost.partitions == 0 and cost.seconds == 0 for cost in costs.stages.values())
    assert costs.pictures == costs.seconds == costs.wall_seconds == costs.requests == 0
    assert set(costs.storage.values()) == {0.0}


def test_stages_whose_days_are_not_there_yet_are_projected(grown: Root) -> None:
    """The first day is stale and the third is new: what follows on them is foreseen, over midnight included."""
    found = {stage: (cost.partitions, cost.projected) for stage, cost in costs_of(grown).stages.items()}
    assert found == {"ingest": (2, 0), "histograms": (2, 2), "clips": (3, 3), "embed": (3, 3)}
    assert set(costs_of(grown, Range(stages=("histograms",))).stages) == {"histograms"}
    assert costs_of(grown, Range(stages=("histograms",))).seconds == 0
    assert costs_of(grown, Range(first=date(2020, 3, 3))).stages["clips"].partitions == 1


def test_ingest_reads_what_the_inventory_lists(grown: Root, longer: Archive) -> None:
    costs = costs_of(grown)
    due = [p for p in longer.pictures.rglob("*.png") if p.stem[-12:-4] in ("20200301", "20200303")]
    assert costs.pictures == costs.stages["ingest"].units == len(due)
    assert costs.stages["ingest"].bytes_read == sum(path.stat().st_size for path in due)


def test_the_root_grows_by_the_new_day_and_not_by_what_is_replaced(grown: Root) -> None:
    day = grown.ledger.get("ingest", f"{SOURCE}/{DAYS[1]}")
    assert day is not None
    costs = costs_of(grown)
    stored = costs.storage["pictures"] + costs.storage["reduced"]
    assert stored == pytest.approx(
        day.bytes_written * (40 + 1) / 96, rel=0.1
    )  # 40 slots of the third, one of the first
    assert costs.stages["ingest"].bytes_written == pytest.approx(day.bytes_written * (40 + 96) / 96, rel=0.1)
    assert costs.storage["reduced"] == pytest.approx(82 * 24 * 30, rel=0.01)
    assert costs.kept(True) - costs.kept(False) == pytest.approx(costs.storage["pictures"])
    assert costs.storage["pictures"] > 0


def test_more_workers_take_less_of_the_wall_and_the_same_of_cores(grown: Root) -> None:
    one, two, many = (costs_of(grown, workers=workers) for workers in (1, 2, 100))
    assert one.seconds == two.seconds == many.seconds
    assert one.wall_seconds > two.wall_seconds > many.wall_seconds
    longest = max(many.stages["ingest"].seconds / 3, many.stages["embed"].seconds / 4)
    assert many.wall_seconds > longest  # a day is one worker's


def test_a_new_root_is_told_from_assumed_rates(tmp_path: Path, longer: Archive) -> None:
    assert scan(Job(str(tmp_path / "root"), str(longer.pictures), str(longer.site))).state == "done"
    costs = costs_of(Root(str(tmp_path / "root")))
    assert {cost.origins[SOURCE] for cost in costs.stages.values()} == {"assumed"}
    assert costs.stages["ingest"].partitions == costs.stages["histograms"].projected == 3
    assert costs.stages["clips"].units == pytest.approx(2 * 96 + 40)


def test_the_assumed_rates_are_of_all_stages_by_day() -> None:
    coms = Source(shipped_satellites()["coms"], "ea")
    for stage in UNIT:
        assert dict(assumed(stage, coms).of) == ASSUMED[stage]


def test_costs_are_told_without_writing(grown: Root) -> None:
    before = traces(Path(grown.url))
    status, said = wxpipe("plan", "--root", grown.url, "--json", "--workers", "4")
    assert status == 0, said
    assert traces(Path(grown.url)) == before
    document = json.loads(said)
    assert document["work"][0]["stage"] == "ingest"
    costs = document["costs"]
    assert costs["workers"] == 4
    assert set(costs["storage"]) == {"pictures", "reduced", "histograms", "clips", "vectors"}
    assert costs["keep_pictures"]["yes"] - costs["keep_pictures"]["no"] == costs["storage"]["pictures"]
    assert costs["stages"]["ingest"]["rates"] == {SOURCE: "measured on 2 days"}
    status, said = wxpipe("plan", "--root", grown.url)
    assert status == 0
    for words in ("core-hours", "--keep-pictures no", "files changed", "projected"):
        assert words in said


# --- why ---------------------------------------------------------------------------------------------------------


def whys(found: Plan) -> dict[str, str]:
    return {f"{step.stage} {step.partition.key}": step.why for step in found.work}


def test_a_plan_says_what_has_changed(grown: Root) -> None:
    assert whys(make_plan(Context(grown), Range())) == {f"ingest {SOURCE}/{DAYS[0]}": "files changed",
                                                        f"ingest {SOURCE}/{DAYS[2]}": ""}  # fmt: skip


def test_a_plan_says_who_asked_what_failed_and_what_was_broken_off(root: Root) -> None:
    root.requests.record(Request("reprocess", "new coefficients", stages=("ingest",), last=date(2020, 3, 1)))
    root.ledger.put(Entry("histograms", f"{SOURCE}/{DAYS[0]}", "failed", "", error="the disk was full"))
    entry = root.ledger.get("histograms", f"{SOURCE}/{DAYS[1]}")
    assert entry is not None
    root.ledger.put(replace(entry, state="running"))
    found = whys(make_plan(Context(Root(root.url)), Range(stages=("ingest", "histograms"))))
    assert found == {
        f"ingest {SOURCE}/{DAYS[0]}": "asked for by request 1",
        f"histograms {SOURCE}/{DAYS[0]}": "the disk was full",
        f"histograms {SOURCE}/{DAYS[1]}": "its remaking was broken off",
    }


def test_a_plan_tells_parameters_and_contracts_from_files(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wxpipe.archive.ingest.CONTRACT", 2)
    monkeypatch.setattr("wxpipe.similarity.clip_stage.CONTRACT", 2)
    opened = Root(root.url)
    opened.settings = opened.settings.model_copy(update={"histograms": ("4x8-exact",), "clip_choice": "published"})
    found = whys(make_plan(Context(opened), Range(stages=("ingest", "histograms", "clips"))))
    assert found[f"ingest {SOURCE}/{DAYS[0]}"] == "the stage makes something else now"
    assert found[f"histograms {SOURCE}/{DAYS[0]}"] == "parameters changed: the histograms that are kept"
    assert found[f"clips {SOURCE}/{DAYS[0]}"] == (
        "parameters changed: what a clip is; the stage makes something else now"
    )


def test_what_an_older_version_recorded_is_stale_for_a_reason_that_is_not_known(root: Root) -> None:
    entry = root.ledger.get("clips", f"{SOURCE}/{DAYS[0]}")
    assert entry is not None
    root.ledger.put(replace(entry, fingerprint="of another time", parts={}))
    assert whys(make_plan(Context(root), Range()))[f"clips {SOURCE}/{DAYS[0]}"] == ""
