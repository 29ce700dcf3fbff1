"""The flows: thin over the pipeline, quiet to import, and small for the server however much there is to do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prefect.logging import disable_run_logger

from tests.mini import (
    SOURCE,
    Archive,
    Undisturbed,
    backfill,
    check_whole,
    environment,
    wxpipe,
)
from wxpipe.errors import WxpipeError
from wxpipe.pipeline.backfill import Job
from wxpipe.pipeline.events import Result, tell
from wxpipe.pipeline.stages import NAMES
from wxpipe.store.root import Root, init_root
from wxpipe.store.stage import Partition

QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_LEVEL": "CRITICAL",
         "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120"}  # fmt: skip
MONTHS = [f"{SOURCE}/{1980 + n // 12}-{n % 12 + 1:02}" for n in range(500)]


def through_prefect(archive: Archive, root: Path, *options: str) -> tuple[str, ...]:
    return tuple(option for option in backfill(archive, root, *options) if option != "--direct")


@pytest.mark.slow  # `test_deployed` does the same through a server and a worker
def test_a_backfill_through_prefect_makes_what_a_direct_one_makes(
    longer: Archive, first_run: Undisturbed, second_run: Undisturbed, tmp_path: Path
) -> None:
    """A server of its own, Dask workers, every stage: exit 0, the same digest, and the release told of."""
    root = tmp_path / "root"
    shutil.copytree(first_run.root, root)
    status, said = wxpipe(*through_prefect(longer, root, "--workers", "1"), PREFECT_HOME=str(tmp_path / "prefect"))
    assert status == 0, said
    assert "release 2 is current" in said
    assert "Traceback" not in said
    check_whole(root, second_run)


FLOWS = """
import json, sys
from flows.backfill import backfill
from flows.release import release
from flows.reprocess import reprocess
from flows.train import train
from flows.validate import validate
from threading import Thread
from wxpipe.pipeline import runs
from wxpipe.pipeline.cluster import open_cluster
from wxpipe.store.root import Root

archive, site, root = sys.argv[1:]
told = {}
runs.POLL_SECONDS = 0.05

def cancel_the_next():
    opened = Root(root)
    last = len(runs.all_runs(opened))
    while len(runs.all_runs(opened)) == last:
        pass
    runs.cancel(opened, last + 1, "the disk is wanted")

def tell(name, state):
    told[name] = [state.name, state.result() if state.is_completed() else str(state.message)]

with open_cluster(workers=1) as address:
    common = {"scheduler": address, "return_state": True}
    tell("backfill", backfill(archive, root, site=site, stages=["ingest"], **common))
    nobody = {"model": "nobody-000000000000"}
    tell("failed", backfill(archive, root, site=site, stages=["release"], options=nobody, **common))
    tell("train", train(root, options={"train_epochs": 1, "pairs_triples": 50}, **common))
    tell("release", release(root, return_state=True))
    tell("validate", validate(root, scheduler=address, return_state=True))
    Thread(target=cancel_the_next).start()
    tell("cancelled", reprocess(archive, root, "a trial", site=site, stages=["ingest"], **common))
print(json.dumps(told))
"""


@pytest.mark.slow
def test_flows_end_as_their_work_did(two_days: Archive, first_run: Undisturbed, tmp_path: Path) -> None:
    """Flow runs on one server: with a file in quarantine, a stage that fails, training, a release, one cancelled."""
    root, archive = tmp_path / "root", tmp_path / "archive"
    shutil.copytree(first_run.root, root)
    shutil.copytree(two_days.pictures, archive)
    poisoned = sorted(archive.rglob("mini_ir_*"))[40]
    poisoned.write_bytes(poisoned.read_bytes()[:500])
    ended = subprocess.run(
        [sys.executable, "-c", FLOWS, str(archive), str(two_days.site), str(root)],
        env=environment(**QUIET, PREFECT_HOME=str(tmp_path / "prefect"), WXPIPE_PAGES=str(tmp_path / "pages")),
        capture_output=True, text=True, check=False, timeout=600, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told["backfill"] == ["Completed", {"promoted": 0, "quarantined": 1, "differences": 0}]
    assert told["failed"][0] == "Failed"
    assert "models/nobody/000000000000/card.json: no such object" in told["failed"][1]
    assert told["train"][0] == "Completed"
    assert told["release"][0] == "Completed"
    assert "Where the holes are" in next((tmp_path / "pages").iterdir()).read_text()
    assert told["validate"][0] == "Completed", told["validate"]
    assert told["validate"][1]["findings"] == 0 < told["validate"][1]["looked_at"]
    assert told["cancelled"][0] == "Cancelled"
    assert told["cancelled"][1].endswith("the disk is wanted")
    assert [request.why.split(" (")[0] for request in Root(str(root)).requests.all()] == ["a trial"]
    entries = Root(str(root)).ledger.entries
    assert entries("train")[SOURCE].finished > entries("embed")[f"{SOURCE}/2020-03-01"].finished


def test_importing_flows_starts_nothing_and_reaches_nowhere(tmp_path: Path) -> None:
    """A Prefect worker imports a flow to run it: no server, no cluster, no file, no thread."""
    program = (
        "import sys, threading\n"
        "import flows.backfill, flows.maintain, flows.release, flows.reprocess, flows.train, flows.update\n"
        "import flows.validate\n"
        "heavy = {'torch', 'lancedb', 'zarr', 'distributed', 'dask'} & sys.modules.keys()\n"
        "print(sorted(heavy), [t.name for t in threading.enumerate()])\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment(**QUIET, HOME=str(home)), capture_output=True, text=True,
        check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ended.stdout.strip() == "[] ['MainThread']"
    assert not any(home.rglob("*.db"))


class State:
    """A finished task run."""

    def __init__(self, found: Any) -> None:
        self.found = found

    def result(self, raise_on_failure: bool = True) -> Any:
        assert not raise_on_failure
        return self.found


def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, becomes: Any, wanted: Any = None) -> list[tuple[str, int]]:
    """Runs all stages over 500 months of nothing; (stage, months) of every task run."""
    from flows import stages as flow_stages

    runs: list[tuple[str, int]] = []

    def parcel(
        stage: str, label: str, job: Job, leases: Sequence[str], address: str, return_state: bool = False
    ) -> State:
        assert return_state
        assert label.startswith(leases[0])
        assert (job.root, address) == (str(tmp_path / "root"), "tcp://somewhere")
        runs.append((stage, len(leases)))
        return State(becomes(stage, leases))

    init_root(str(tmp_path / "root"))

    def with_options(tags: Sequence[str]) -> Any:
        assert [tag.removeprefix("wxpipe-") in NAMES for tag in tags] == [True]
        return parcel

    monkeypatch.setattr(flow_stages, "run_parcel", SimpleNamespace(with_options=with_options))
    monkeypatch.setattr(flow_stages, "due_by_lease", lambda *_: {key: [] for key in MONTHS})
    results: list[Result] = wanted if wanted is not None else []
    flow_stages.run_stages(Job(str(tmp_path / "root")), lambda: "tcp://somewhere", results)
    return runs


def done(stage: str, leases: Sequence[str]) -> list[Result]:
    return [Result(stage, partition_in(lease), "done", {}) for lease in leases]


def partition_in(lease: str) -> Partition:
    source, _, month = lease.partition("/")
    return Partition(source, date.fromisoformat(f"{month}-01") + timedelta(days=3))


def test_forty_years_of_every_stage_are_less_than_300_task_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    results: list[Result] = []
    runs = play(monkeypatch, tmp_path, done, results)
    assert len(runs) + 1 < 300
    by_stage = {name: sum(months for stage, months in runs if stage == name) for name in NAMES if name != "scan"}
    assert set(by_stage.values()) == {500}
    assert len(results) == 500 * len(by_stage)


def test_a_parcel_that_fails_does_not_keep_the_next_from_running(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from flows.stages import ParcelFailedError

    def one_fails(stage: str, leases: Sequence[str]) -> Any:
        results = done(stage, leases)
        if stage == "ingest" and leases[0] == MONTHS[0]:
            results[0] = Result(stage, results[0].partition, "failed", {}, error="a fault of the disk")
            return ParcelFailedError.of(stage, results)
        return results

    results: list[Result] = []
    with pytest.raises(WxpipeError, match="a fault of the disk"):
        play(monkeypatch, tmp_path, one_fails, results)
    assert {result.stage for result in results} == {name for name in NAMES if name != "scan"}
    assert [result.partition for result in results if result.state == "failed"] == [partition_in(MONTHS[0])]


def test_after_a_bug_no_further_stage_begins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from flows.stages import ParcelFailedError

    def bug(stage: str, leases: Sequence[str]) -> Any:
        failed = Result(stage, partition_in(leases[0]), "failed", {}, error="KeyError: x", trace="Traceback ...")
        return ParcelFailedError.of(stage, [failed])

    results: list[Result] = []
    with pytest.raises(WxpipeError, match="Traceback"):
        play(monkeypatch, tmp_path, bug, results)
    assert {result.stage for result in results} == {"ingest"}


NO_ANSWER = httpx.ConnectError("All connection attempts failed")
NO_SLOT = RuntimeError("Unable to acquire concurrency slots")
NO_SLOT.__cause__ = NO_ANSWER


@pytest.mark.parametrize("refused", [NO_ANSWER, NO_SLOT], ids=["as it is", "in an error of Prefect's"])
def test_what_a_parcel_came_to_is_kept_where_the_server_is_away_at_its_end(
    refused: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Run again it finds nothing due: what it did is known from the first time."""
    monkeypatch.setattr("flows.outages.PAUSES", (0.0,))
    away = iter([True, True])

    def refused_at_first(stage: str, leases: Sequence[str]) -> list[Result]:
        results = done(stage, leases)
        if stage == "ingest" and leases[0] == MONTHS[0]:
            if next(away, False):
                for result in results:
                    tell(result)
                raise refused
            return []
        return results

    results: list[Result] = []
    with disable_run_logger():
        play(monkeypatch, tmp_path, refused_at_first, results)
    assert sorted(r.partition.key for r in results if r.stage == "ingest") == sorted(
        partition_in(month).key for month in MONTHS
    )


def test_a_server_that_stays_away_ends_the_flow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("flows.outages.PAUSES", (0.0,))
    monkeypatch.setattr("flows.outages.PATIENCE", 0.2)

    def away(*_: object) -> list[Result]:
        raise httpx.ConnectError("All connection attempts failed")

    with disable_run_logger(), pytest.raises(httpx.ConnectError):
        play(monkeypatch, tmp_path, away)


def test_a_task_that_crashes_ends_the_flow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(MemoryError):
        play(monkeypatch, tmp_path, lambda *_: MemoryError())
