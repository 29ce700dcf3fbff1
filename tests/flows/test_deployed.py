"""Flows through a real server, work pool and worker: deployed, triggered, scheduled, failed, retried and cancelled."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.flows.server import CHECKOUT, UP_TO_CLIPS, Prefect, begin, processes_of, wait_for
from tests.mini import SOURCE, Archive, Undisturbed, check_up_to_clips, digest_of
from wxpipe.store.root import Root


@pytest.fixture(scope="module")
def worker(prefect: Prefect) -> Iterator[subprocess.Popen[bytes]]:
    with prefect.worker() as process:
        yield process


def what_is_set_up(prefect: Prefect) -> str:
    """Everything that the set-up made, without the times at which the server looked at it last."""
    asked = {
        "deployments": {}, "automations": {}, "work_pools": {},
        "v2/concurrency_limits": {}, "concurrency_limits": {},
    }  # fmt: skip
    found = {name: prefect.api("POST", f"{name}/filter", body) for name, body in asked.items()}
    ignored = {"updated", "last_polled", "status", "active_slots", "version_id", "version", "version_info"}

    def settled(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: settled(v) for k, v in value.items() if k not in ignored}
        return [settled(v) for v in value] if isinstance(value, list) else value

    return json.dumps(settled(found), indent=1, sort_keys=True)


@pytest.mark.slow
def test_set_up_again_changes_nothing_and_keeps_what_the_operator_set(prefect: Prefect) -> None:
    update = prefect.deployment("update")
    schedule = update["schedules"][0]
    prefect.api("PATCH", f"deployments/{update['id']}/schedules/{schedule['id']}", {"active": True})
    prefect.prefect("concurrency-limit", "create", "wxpipe-ingest", "7")
    before = what_is_set_up(prefect)
    said = prefect.setup()
    assert "made" not in said
    assert "limit wxpipe-ingest: 7, as it is" in said
    assert what_is_set_up(prefect) == before
    names = {deployment["name"] for deployment in prefect.api("POST", "deployments/filter", {})}
    assert names == {"backfill", "update", "reprocess", "validate", "train", "release", "maintain"}


@pytest.mark.slow
def test_schedules_are_turned_on_and_off_together(prefect: Prefect) -> None:
    assert "update: 7,22,37,52 * * * * on" in prefect.setup("--schedules", "on")
    assert "validate: 43 3 * * * off" in prefect.setup("--schedules", "off")


@pytest.mark.usefixtures("worker")
def test_a_triggered_run_makes_what_a_direct_one_makes(prefect: Prefect, root: Path, first_run: Undisturbed) -> None:
    run = prefect.trigger("backfill", root=str(root), **UP_TO_CLIPS)
    ended = prefect.finished(run)
    assert ended["state_type"] == "COMPLETED", ended["state"]
    check_up_to_clips(root, first_run)
    assert sorted(task["name"] for task in prefect.task_runs(run) if not task["name"].startswith("scan")) == [
        f"clips {SOURCE}/2020-03", f"histograms {SOURCE}/2020-03", f"ingest {SOURCE}/2020-03"
    ]  # fmt: skip
    rows = json.loads(prefect.artifacts(run)["wxpipe-report"]["data"])
    assert {"done ingest", "done histograms", "done clips"} <= {row["what"] for row in rows}
    assert any(line.startswith(f"ingest {SOURCE}/2020-03-02: ") for line in prefect.logs(run))


@pytest.mark.slow
@pytest.mark.usefixtures("worker")
def test_a_run_that_fails_says_why_and_its_retry_completes(
    prefect: Prefect, root: Path, two_days: Archive, tmp_path: Path
) -> None:
    archive = tmp_path / "not mounted yet"
    run = prefect.trigger("backfill", root=str(root), archive=str(archive), **UP_TO_CLIPS)
    ended = prefect.finished(run)
    assert ended["state_type"] == "FAILED"
    assert str(archive) in ended["state"]["message"]
    assert "Traceback" not in ended["state"]["message"]
    archive.symlink_to(two_days.pictures, target_is_directory=True)
    prefect.prefect("flow-run", "retry", run)
    prefect.reaches(run, "PENDING", "RUNNING", "COMPLETED")
    assert prefect.finished(run)["state_type"] == "COMPLETED"


@pytest.mark.parametrize(
    ("name", "parameters", "fault"),
    [
        ("backfill", {"root": ""}, "'' should be non-empty|is too short"),
        ("backfill", {"stages": ["embroider"]}, "'embroider' is not one of"),
        ("update", {"listing": "some"}, "'some' is not one of"),
        ("backfill", {"first": 3}, "is not valid under any of the given schemas"),
        ("train", {"epochs": -1}, "less than the minimum"),
        ("reprocess", {"reason": ""}, "non-empty|too short"),
        ("reprocess", {}, "'reason' is a required property"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_before_anything_runs(
    prefect: Prefect, name: str, parameters: dict[str, Any], fault: str
) -> None:
    with pytest.raises(AssertionError, match=fault):
        prefect.trigger(name, **parameters)


@pytest.mark.slow
@pytest.mark.usefixtures("worker")
def test_a_schedule_fires(prefect: Prefect, root: Path, first_run: Undisturbed) -> None:
    deployment = prefect.deployment("update")
    prefect.api("PATCH", f"deployments/{deployment['id']}", {
        "parameters": {**deployment["parameters"], "root": str(root), "workers": 1},
    })  # fmt: skip
    every_minute = {"schedule": {"cron": "* * * * *", "timezone": "UTC"}, "active": True}
    [made] = prefect.api("POST", f"deployments/{deployment['id']}/schedules", [every_minute])
    wanted = {
        "deployments": {"id": {"any_": [deployment["id"]]}},
        "flow_runs": {"state": {"type": {"any_": ["RUNNING", "COMPLETED"]}}},
    }
    wait_for(lambda: bool(prefect.api("POST", "flow_runs/filter", wanted)), 180, "no run begins by itself")
    prefect.api("DELETE", f"deployments/{deployment['id']}/schedules/{made['id']}")
    [run, *_] = prefect.api("POST", "flow_runs/filter", wanted)
    assert run["auto_scheduled"]
    assert prefect.finished(run["id"], 600)["state_type"] == "COMPLETED"
    check_up_to_clips(root, first_run)


@pytest.mark.slow
@pytest.mark.usefixtures("worker")
def test_a_cancelled_run_ends_cleanly_and_the_next_goes_on(
    prefect: Prefect, root: Path, week: Archive, week_in_peace: dict[str, str]
) -> None:
    run = begin(prefect, root, week)
    prefect.set_state(run, "CANCELLING", name="Cancelling")
    assert prefect.finished(run)["state_type"] == "CANCELLED"
    assert processes_of(run) == {}
    taken = {path.with_suffix("") for path in (root / "leases").rglob("*.json")}
    given_back = {path.with_suffix("") for path in (root / "leases").rglob("*.done")}
    assert taken == given_back != set()
    assert not list(root.rglob("*.partial"))
    again = prefect.trigger("backfill", root=str(root), archive=str(week.pictures), **UP_TO_CLIPS)
    assert prefect.finished(again)["state_type"] == "COMPLETED"
    assert digest_of(root) == week_in_peace


@pytest.mark.slow
@pytest.mark.usefixtures("worker")
def test_a_leaked_slot_holds_a_run_up_until_it_is_reset(prefect: Prefect, root: Path) -> None:
    """Whoever held the slots is gone, and the server that would have taken them back has forgotten that."""
    prefect.prefect("concurrency-limit", "create", "wxpipe-ingest", "1")
    [limit] = [
        found for found in prefect.api("POST", "v2/concurrency_limits/filter", {}) if "wxpipe-ingest" in found["name"]
    ]
    prefect.api(
        "POST", "v2/concurrency_limits/increment", {"names": [limit["name"]], "slots": 1, "mode": "concurrency"}
    )
    run = prefect.trigger("backfill", root=str(root), stages=["ingest"], workers=1)
    prefect.reaches(run, "RUNNING")
    time.sleep(20)
    assert prefect.flow_run(run)["state_type"] == "RUNNING"
    prefect.prefect("gcl", "update", "tag:wxpipe-ingest", "--active-slots", "0")
    assert prefect.finished(run)["state_type"] == "COMPLETED"


@pytest.fixture
def hook() -> Iterator[tuple[str, list[str]]]:
    """An address that listens, and what was posted there."""
    posted: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/desk", posted
    server.shutdown()


BLOCK = """
import sys
from prefect.blocks.notifications import CustomWebhookNotificationBlock
CustomWebhookNotificationBlock(
    name="desk", url=sys.argv[1], json_data={"text": "{{subject}}: {{body}}"}
).save("desk", overwrite=True)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("worker")
def test_a_validation_that_finds_something_fails_and_calls_somebody(
    prefect: Prefect, root: Path, hook: tuple[str, list[str]]
) -> None:
    assert prefect.finished(prefect.trigger("backfill", root=str(root), **UP_TO_CLIPS))["state_type"] == "COMPLETED"
    assert prefect.finished(prefect.trigger("validate", root=str(root)))["state_type"] == "COMPLETED"
    ingest = root / "ledger" / "ingest" / SOURCE / "2020-03-01.json"
    told = json.loads(ingest.read_text())
    told["counts"]["files_stored"] -= 2
    ingest.write_text(json.dumps(told))
    url, posted = hook
    prefect.run(sys.executable, "-c", BLOCK, url)
    assert "automation wxpipe validation failed: changed" in prefect.setup("--notify", "custom-webhook/desk")
    run = prefect.trigger("validate", root=str(root))
    ended = prefect.finished(run)
    assert ended["state_type"] == "FAILED"
    assert "2020-03-01" in ended["state"]["message"]
    rows = json.loads(prefect.artifacts(run)["wxpipe-findings"]["data"])
    assert any("2020-03-01" in row["where"] for row in rows)
    wait_for(lambda: any("validation failed" in text for text in posted), 60, "nobody is called")


@pytest.mark.slow
@pytest.mark.usefixtures("worker")
def test_pictures_that_are_late_are_told_of(prefect: Prefect, root: Path, two_days: Archive, tmp_path: Path) -> None:
    """The same satellite, still planned to fly: its newest picture is years old."""
    site = tmp_path / "still flying.toml"
    text = two_days.site.read_text()
    year = datetime.now(UTC).year
    site.write_text(text.replace('last_day = "2020-12-31"', f'last_day = "{year}-12-31"'))
    assert site.read_text() != text
    run = prefect.trigger("update", root=str(root), site=str(site), workers=1, late_after_hours=2, options={})
    ended = prefect.finished(run, 400)
    assert ended["state_type"] == "COMPLETED", ended["state"]
    wait_for(lambda: bool(prefect.events("wxpipe.data.late")), 30, "no event tells of it")
    [event] = prefect.events("wxpipe.data.late")
    assert event["resource"]["prefect.resource.name"] == SOURCE
    assert event["payload"]["newest"].startswith("2020-03-02T23:45")

    def fired() -> bool:
        events = prefect.events("prefect.automation.triggered", "prefect.automation.action.executed")
        return any(event["resource"].get("prefect.resource.name") == "wxpipe late data" for event in events)

    wait_for(fired, 60, "no automation says so")


@pytest.mark.slow
def test_a_thousand_source_days_of_a_stage_are_less_than_100_task_runs(prefect: Prefect, tmp_path: Path) -> None:
    program = CHECKOUT / "tests" / "flows" / "thousand_days.py"
    told = json.loads(prefect.run(sys.executable, str(program), str(tmp_path / "root")).splitlines()[-1])
    assert told["state"] == "COMPLETED"
    entries = Root(str(tmp_path / "root")).ledger.entries("fake")
    assert sum(entry.state == "done" for entry in entries.values()) == 1000
    tasks = prefect.task_runs(told["run"])
    assert 0 < len(tasks) < 100
