"""Dask workers: a task that kills its worker fails alone, and no more than a window of tasks is in flight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client

from tests.pipeline import fake_stage
from tests.pipeline.fake_stage import attempts, context_of, days, partition
from wxpipe.config import RunSettings
from wxpipe.pipeline.cluster import WORKER_SETTINGS, open_cluster, open_workers, run_window
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers, run_stage
from wxpipe.store.stage import Context

pytestmark = pytest.mark.usefixtures("fake_stages")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A local cluster of two workers that know the fake stages; it does not give a task that killed one another try.

    So that innocents fall, too: a day's task is given up together with those that waited for the same worker.
    """
    preload = {"distributed.worker.preload": [fake_stage.__name__]}
    with dask.config.set(preload), pytest.MonkeyPatch.context() as patch:
        patch.setitem(WORKER_SETTINGS, "distributed.scheduler.allowed-failures", 0)
        with open_cluster(workers=2) as address:
            yield address


@pytest.fixture
def client(address: str) -> Iterator[Any]:
    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


def tasks_of(context: Context) -> list[tuple[str, Any, Context]]:
    return [("fake", partition(n + 1), context) for n in range(len(context.options["fake"]))]


def test_days_are_done_by_workers_each_once(address: str, tmp_path: Path) -> None:
    context = context_of(tmp_path, *["ok"] * 12)
    with open_workers(address) as workers:
        results = run_stage("fake", context, Range(), workers)
    assert sorted(result.partition for result in results) == [partition(n) for n in range(1, 13)]
    assert {result.state for result in results} == {"done"}
    assert [attempts(context.root, partition(n)) for n in range(1, 13)] == [1] * 12
    assert len(context.root.ledger.entries("fake")) == 12


def test_a_day_that_kills_its_worker_fails_alone(address: str, tmp_path: Path) -> None:
    """Every worker that it is given dies; the days that fell with them are done, and only it is held open."""
    context = context_of(tmp_path, *["ok"] * 3, "kills its worker", *["ok"] * 4)
    with open_workers(address) as workers:
        results = {result.partition: result for result in run_stage("fake", context, Range(), workers)}
    poisonous = results.pop(partition(4))
    assert {result.state for result in results.values()} == {"done"}
    assert len(results) == 7
    assert poisonous.state == "failed"
    assert "killed its worker again and again" in poisonous.error
    entries = context.root.ledger.entries("fake")
    assert {key: e.state for key, e in entries.items() if e.state != "done"} == {partition(4).key: "failed"}
    well = replace(context, options={"fake": days(*["ok"] * 8)})
    with open_workers(address) as workers:
        again = run_stage("fake", well, Range(), workers)
    assert [(result.partition, result.state) for result in again] == [(partition(4), "done")]


def test_a_bug_comes_back_from_a_worker_with_its_trace(address: str, tmp_path: Path) -> None:
    context = context_of(tmp_path, "bug", "ok")
    with open_workers(address) as workers:
        results = run_stage("fake", context, Range(), workers)
    failed = [result for result in results if result.state == "failed"]
    assert len(failed) == 1
    assert "ZeroDivisionError" in failed[0].trace
    assert "fake_stage.py" in failed[0].trace


class Counted:
    """A client that counts what is handed to it."""

    def __init__(self, client: Any) -> None:
        self._client, self.submitted = client, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        self.submitted += 1
        return self._client.submit(*args, **kwargs)


def test_no_more_than_a_window_is_in_flight(client: Any, tmp_path: Path) -> None:
    """What a run holds in memory does not grow with how much there is to do."""
    context = context_of(tmp_path, *["ok"] * 40)
    counted, window = Counted(client), RunSettings().window * 2
    for taken, _ in enumerate(run_window(counted, tasks_of(context))):
        assert counted.submitted - taken <= window
    assert counted.submitted == 40


def test_who_stops_watching_leaves_nobody_writing(client: Any, tmp_path: Path) -> None:
    """A stage that stops at a bug gives its lease back: by then, what had begun is over and nothing else begins."""
    context = context_of(tmp_path, *["ok"] * 40)
    results = run_window(client, tasks_of(context))
    next(results)
    results.close()  # type: ignore[attr-defined]
    done = context.root.ledger.entries("fake").keys()
    client.submit(int, 1, pure=False).result()
    assert context.root.ledger.entries("fake").keys() == done
    assert len(done) < 40


def test_a_function_is_spread_over_blocks_in_their_order(address: str) -> None:
    with open_workers(address) as workers:
        assert list(workers.map(abs, [-3, 2, -1])) == [3, 2, 1]
    assert list(Workers().map(abs, [-3, 2, -1])) == [3, 2, 1]


def test_workers_are_spawned_and_never_forked() -> None:
    assert WORKER_SETTINGS["distributed.worker.multiprocessing-method"] == "spawn"
    with open_cluster("tcp://somewhere:8786") as given:
        assert given == "tcp://somewhere:8786"
    with open_workers("") as here:
        assert type(here) is Workers
