"""Flow runs whose worker, machine or server dies: nothing is lost, and what is stored is as if nothing had been."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.flows.server import Prefect, begin, processes_of, wait_for
from tests.mini import Archive, digest_of

pytestmark = pytest.mark.slow


@pytest.fixture
def worker(prefect: Prefect) -> Iterator[subprocess.Popen[bytes]]:
    with prefect.worker() as process:
        yield process


def kill_run(run: str) -> None:
    """kill -9 of a flow run and its Dask workers, as if the machine were gone."""
    for process in processes_of(run):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def test_a_worker_that_is_killed_does_not_take_its_run_along(
    prefect: Prefect, root: Path, week: Archive, week_in_peace: dict[str, str]
) -> None:
    with prefect.worker() as worker:
        run = begin(prefect, root, week)
        worker.kill()
        worker.wait()
        assert prefect.finished(run, 400)["state_type"] == "COMPLETED"
    assert digest_of(root) == week_in_peace


def test_a_machine_that_dies_leaves_a_run_that_is_found_dead_and_run_again(
    prefect: Prefect, root: Path, week: Archive, week_in_peace: dict[str, str]
) -> None:
    """Worker, flow run and Dask workers killed at once: the automation says Crashed, and a retry comes to the same."""
    [died] = [a for a in prefect.api("POST", "automations/filter", {}) if a["name"] == "wxpipe run died"]
    kept = {name: died[name] for name in ("name", "description", "enabled", "actions")}
    soon = {**kept, "trigger": {**died["trigger"], "within": 40}}  # a heartbeat comes every 30 s, at the least
    prefect.api("PUT", f"automations/{died['id']}", soon)
    with prefect.worker() as worker:
        run = begin(prefect, root, week)
        wait_for(lambda: bool(heartbeats(prefect, run)), 120, "no heartbeat is sent")
        worker.kill()
        kill_run(run)
        wait_for(lambda: not processes_of(run), 20, "its processes go on")
    assert prefect.finished(run, 300)["state_type"] == "CRASHED"
    with prefect.worker():
        prefect.prefect("flow-run", "retry", run)
        prefect.reaches(run, "PENDING", "RUNNING", "COMPLETED")
        assert prefect.finished(run, 400)["state_type"] == "COMPLETED"
    assert digest_of(root) == week_in_peace


def heartbeats(prefect: Prefect, run: str) -> list[Any]:
    events = prefect.events("prefect.flow-run.heartbeat")
    return [event for event in events if run in event["resource"]["prefect.resource.id"]]


@pytest.mark.usefixtures("worker")
def test_a_server_that_is_killed_and_comes_back_finds_the_run_at_work(
    prefect: Prefect, root: Path, week: Archive, week_in_peace: dict[str, str]
) -> None:
    run = begin(prefect, root, week)
    prefect.stop(signal.SIGKILL)
    time.sleep(3)
    prefect.start()
    ended = prefect.finished(run, 400)
    assert ended["state_type"] == "COMPLETED", ended["state"]
    assert digest_of(root) == week_in_peace
