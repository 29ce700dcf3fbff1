"""The runner: what becomes of a partition that fails, asks for another time, or loses its lease."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.fake_stage import SOURCE, attempts, context_of, days, partition
from wxpipe.pipeline import execute as partitions
from wxpipe.pipeline import run as runner
from wxpipe.pipeline.backfill import Job, run
from wxpipe.pipeline.events import Event, Result, StageStarted, Waiting, listening
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers, run_stage, single_handed
from wxpipe.store.leases import Leases
from wxpipe.store.ledger import Entry
from wxpipe.store.stage import Context

pytestmark = pytest.mark.usefixtures("fake_stages")
EVERYTHING = Range()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two attempts, nor for a lease to be looked at again."""
    monkeypatch.setattr(partitions.time, "sleep", lambda _: None)
    monkeypatch.setattr("wxpipe.store.leases.POLL_SECONDS", 0.01)


def do(context: Context) -> list[Result]:
    return run_stage("fake", context, EVERYTHING, Workers())


def entry(context: Context, number: int) -> Entry | None:
    return context.root.ledger.get("fake", partition(number).key)


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    context = context_of(tmp_path, "ok", "ok")
    assert [result.state for result in do(context)] == ["done", "done"]
    assert do(context) == []
    assert [attempts(context.root, partition(n)) for n in (1, 2)] == [1, 1]
    stale = replace(context, options={**context.options, "version": 2})
    assert len(do(stale)) == 2


def test_a_day_that_cannot_be_done_fails_alone_and_is_held_open(tmp_path: Path) -> None:
    context = context_of(tmp_path, "ok", "refuses", "ok")
    results = do(context)
    assert [result.state for result in results] == ["done", "failed", "done"]
    failed = entry(context, 2)
    assert failed is not None
    assert (failed.state, failed.error) == ("failed", "this day cannot be done: expected sun, found rain")
    mended = replace(context, options={"fake": days("ok", "ok", "ok")})
    assert [result.partition for result in do(mended)] == [partition(2)]
    done = entry(context, 2)
    assert done is not None
    assert (done.state, done.error) == ("done", "")


@pytest.mark.parametrize("word", ["bug", "bug in its fingerprint"])
def test_a_bug_stops_the_stage_with_its_trace(word: str, tmp_path: Path) -> None:
    context = context_of(tmp_path, "ok", word, "ok", "ok")
    if word == "bug in its fingerprint":
        context.root.ledger.forget()
    results = [partitions.execute("fake", partition(2), context)] if "fingerprint" in word else do(context)
    assert results[-1].state == "failed"
    assert "Traceback" in results[-1].trace
    assert "fake_stage.py" in results[-1].trace
    found = entry(context, 2)
    assert found is not None
    assert found.state == "failed"
    assert entry(context, 3) is None, "a day was begun after the bug"


def test_after_a_bug_no_later_stage_begins_and_the_report_says_failed(tmp_path: Path) -> None:
    context = context_of(tmp_path, "bug", "ok")
    begun: list[str] = []

    def watch(event: Event) -> None:
        if isinstance(event, StageStarted):
            begun.append(event.stage)

    job = Job(context.root.url, wanted=Range(stages=("fake", "wish")), options=dict(context.options))
    with listening(watch):
        report = run(job, Workers())
    assert begun == ["fake"]
    assert report.exit_code == 1
    assert [result.partition for result in report.failed] == [partition(1)]
    assert report.promoted is None


def test_what_asks_for_another_time_gets_some(tmp_path: Path) -> None:
    context = context_of(tmp_path, "asks once", "asks always")
    results = do(context)
    assert [result.state for result in results] == ["done", "failed"]
    assert attempts(context.root, partition(1)) == 2
    assert attempts(context.root, partition(2)) == 4
    assert results[1].error == "the network is away"
    assert not results[1].trace, "a Retry is no bug"


def test_the_pauses_between_attempts_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(partitions.time, "sleep", pauses.append)
    do(context_of(tmp_path, "asks always"))
    assert pauses == sorted(set(pauses))
    assert len(pauses) == 3


def test_inputs_put_aside_are_counted_and_the_exit_code_is_three(tmp_path: Path) -> None:
    context = context_of(tmp_path, "quarantines", "ok")
    job = Job(context.root.url, wanted=Range(stages=("fake",)), options=dict(context.options))
    report = run(job, Workers())
    assert [result.quarantined for result in report.results] == [1, 0]
    assert (report.quarantined, report.exit_code) == (1, 3)


@pytest.mark.parametrize("word", ["loses its lease", "loses its lease, and trips"])
def test_a_run_that_lost_its_lease_writes_no_entry(word: str, tmp_path: Path) -> None:
    context = context_of(tmp_path, word)
    lease = context.root.leases.acquire("fake-x/2020-01")
    newer = Entry("fake", partition(1).key, "done", "of the newer run", output="newer")
    result = partitions.execute("fake", partition(1), replace(context, lease=lease))
    assert result.state == "lost"
    assert "taken over" in result.error
    begun = entry(context, 1)
    assert begun is not None
    assert begun.state == "running"
    context.root.ledger.put(newer)
    again = partitions.execute("fake", partition(1), replace(context, lease=lease))
    assert again.state == "lost"
    assert attempts(context.root, partition(1)) == 1, "it began although the lease was gone"
    assert entry(context, 1) == newer
    assert not context.root.requests.all(), "nothing of it is in doubt: it had not begun when this one wrote"


def test_what_was_written_when_the_lease_was_lost_is_made_again(tmp_path: Path) -> None:
    """The other run says that it is done; what this one wrote over its result is not left there."""
    context = context_of(tmp_path, "is overtaken within a write", "ok")
    told = dict(context.options["fake"])

    def mend(event: Event) -> None:
        """After the first attempt the world is well again."""
        if isinstance(event, Result) and event.state == "lost":
            told[str(partition(1).day)] = "ok"

    with listening(mend):
        results = do(replace(context, options={"fake": told}))
    found = {(result.partition, result.state) for result in results}
    assert found >= {(partition(1), "done"), (partition(2), "done")}
    assert attempts(context.root, partition(1)) == 2
    assert context.root.objects.get(f"fake/{partition(1).day}") == b"ok"
    assert [e.output for n in (1, 2) if (e := entry(context, n))] == ["ok", "ok"]
    assert [request.kind for request in context.root.requests.all()] == ["repair"]
    assert do(replace(context, options={"fake": told})) == []


def test_who_is_overtaken_before_a_write_does_not_write(tmp_path: Path) -> None:
    """What the other made stands, and nothing has to be made again."""
    context = context_of(tmp_path, "is overtaken before it writes")
    result = partitions.execute("fake", partition(1), context)
    assert result.state == "lost"
    assert "another/1" in result.error
    assert context.root.objects.get(f"fake/{partition(1).day}") == b"of the other"
    done = entry(context, 1)
    assert done is not None
    assert (done.state, done.by) == ("done", "another/1")
    assert not context.root.requests.all()


def test_who_is_overtaken_has_no_say_in_what_became_of_a_day(tmp_path: Path) -> None:
    """A ghost that fails does not undo what the other has done."""
    context = context_of(tmp_path, "is overtaken, and trips")
    assert partitions.execute("fake", partition(1), context).state == "lost"
    done = entry(context, 1)
    assert done is not None
    assert done.state == "done"


def test_an_earlier_attempt_that_comes_back_does_not_stop_the_later_one(tmp_path: Path) -> None:
    """Its entry lies over the later one's announcement: the later one begins anew, and its result stands."""
    context = context_of(tmp_path, "an earlier one comes back")
    assert partitions.execute("fake", partition(1), context).state == "done"
    assert attempts(context.root, partition(1)) == 2
    done = entry(context, 1)
    assert done is not None
    assert (done.state, done.output) == ("done", "an earlier one comes back")


def test_what_a_run_has_done_already_is_not_done_again_when_a_scheduler_asks_twice(tmp_path: Path) -> None:
    """A worker that dies after its last write has not told anybody; under another lease it would be done anew."""
    context = context_of(tmp_path, "quarantines")
    first = replace(context, lease=context.root.leases.acquire("fake-x/2020-01"))
    told = partitions.execute("fake", partition(1), first)
    assert partitions.execute("fake", partition(1), first) == told
    assert attempts(context.root, partition(1)) == 1
    context.root.leases.release(first.lease)  # type: ignore[arg-type]
    second = replace(context, lease=context.root.leases.acquire("fake-x/2020-01"))
    assert partitions.execute("fake", partition(1), second).state == "done"
    assert attempts(context.root, partition(1)) == 2


def test_a_lease_that_another_run_holds_is_waited_for_and_its_work_is_not_done_again(tmp_path: Path) -> None:
    context = context_of(tmp_path, "ok", "ok")
    other = Context(type(context.root)(context.root.url), options=context.options)
    waited: list[str] = []

    def work(event: Event) -> None:
        """The other run does one of the two days, and gives its lease back, once somebody waits."""
        if isinstance(event, Waiting):
            waited.append(event.lease)
            assert partitions.execute("fake", partition(1), replace(other, lease=lease)).state == "done"
            other.root.leases.release(lease)

    lease = other.root.leases.try_acquire(f"{SOURCE}/2020-01")
    assert lease is not None
    with listening(work):
        results = do(context)
    assert waited == [f"{SOURCE}/2020-01"]
    assert [result.partition for result in results] == [partition(2)]
    assert [attempts(context.root, partition(n)) for n in (1, 2)] == [1, 1]


def test_free_months_are_done_before_a_held_one_is_waited_for(tmp_path: Path) -> None:
    context = context_of(tmp_path, *["ok"] * 40)
    held = context.root.leases.try_acquire(f"{SOURCE}/2020-01")
    assert held is not None
    order: list[str] = []

    def watch(event: Event) -> None:
        if isinstance(event, Result):
            order.append(f"{event.partition.day:%Y-%m}")
        elif isinstance(event, Waiting):
            order.append("waiting")
            context.root.leases.release(held)

    with listening(watch):
        do(context)
    assert list(dict.fromkeys(order)) == ["2020-02", "waiting", "2020-01"]
    assert len(order) == 41


def test_a_lease_whose_holder_stands_still_is_taken_over(tmp_path: Path) -> None:
    context = context_of(tmp_path, "ok")
    leases = Leases(context.root.objects, seconds=0.05)
    context.root.leases = leases
    context.root.objects.put_if_absent(f"leases/{SOURCE}/2020-01/00000001.json", b'{"host": "another", "process": 1}')
    assert [result.state for result in do(context)] == ["done"]
    assert leases.latest(f"{SOURCE}/2020-01") == 2


def test_one_run_at_a_time_does_what_is_single_handed(tmp_path: Path) -> None:
    root = context_of(tmp_path).root
    inside: list[str] = []

    def enter(name: str) -> None:
        with single_handed(type(root)(root.url), "release/x"):
            inside.append(name)
            time.monotonic()
            assert len(inside) == 1
            inside.remove(name)

    threads = [threading.Thread(target=enter, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert root.leases.latest("release/x") == 4


def test_a_ledger_that_cannot_be_written_is_a_failed_partition_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = context_of(tmp_path, "ok")

    def full(_: Entry) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(context.root.ledger, "put", full)
    result = partitions.execute("fake", partition(1), context)
    assert result.state == "failed"
    assert "No space left on device" in result.error
    assert "the ledger could not be written" in result.error


def test_what_another_run_holds_is_left_to_it_where_nobody_waits(tmp_path: Path) -> None:
    context = context_of(tmp_path, "ok")
    held = context.root.leases.try_acquire(partition(1).lease_key)
    assert held is not None
    context.root.leases.beat(held, 1)
    told: list[Event] = []
    with listening(told.append):
        assert run_stage("fake", context, EVERYTHING, Workers(), wait=False) == []
    assert [event.left for event in told if isinstance(event, Waiting)] == [True]
    assert entry(context, 1) is None
    context.root.leases.release(held)
    assert [result.state for result in run_stage("fake", context, EVERYTHING, Workers(), wait=False)] == ["done"]


def test_a_lease_needs_the_ledger_of_its_days_and_of_the_day_after() -> None:
    is_near = runner.near(frozenset({"coms-ea/2011-02", "gk2a-ea/2019-12"}))
    near = (
        "coms-ea/2011-02-01",
        "coms-ea/2011-02-28",
        "coms-ea/2011-03-01",
        "gk2a-ea/2020-01-01",
        "coms-ea",
        "default",
    )
    far = ("coms-ea/2011-01-31", "coms-ea/2011-03-02", "gk2a-ea/2011-02-01", "gk2a-ea/2020-02-01", "coms-ea/2012-03-01")
    assert all(map(is_near, near))
    assert not any(map(is_near, far))
    assert runner.near(frozenset({"default"}))("coms-ea/2011-01-31")


def test_a_run_of_some_leases_reads_no_other_months(tmp_path: Path) -> None:
    """A flow gives its tasks a few months each: were each to read everything, all would read it many times over."""
    context = context_of(tmp_path, *["ok"] * 60)
    first = partition(1).lease_key
    due = runner.due_by_lease("fake", context, EVERYTHING, [first])
    assert {key: len(steps) for key, steps in due.items()} == {first: 31}
    assert len(run_stage("fake", context, EVERYTHING, Workers(), [first])) == 31
    do(context)
    assert runner.due_by_lease("fake", context, EVERYTHING, [first]) == {}
    with context.root.ledger.holding("fake", only=runner.near(frozenset({first}))):
        assert len(context.root.ledger.entries("fake")) == 32  # and of the first day after


def test_a_month_is_given_back_when_its_last_day_has_ended(tmp_path: Path) -> None:
    """Whoever waits for it does not wait for the whole run."""
    context = context_of(tmp_path)
    months = {f"2020-{month:02}-{day:02}": "ok" for month in (1, 2, 3) for day in (1, 2)}
    held: list[list[str]] = []

    def look(event: Event) -> None:
        if isinstance(event, Result):
            held.append([key for key in context.root.leases.leased() if context.root.leases.is_held(key)])

    with listening(look):
        run_stage("fake", replace(context, options={"fake": months}), Range(), Workers())
    assert held == [[f"{SOURCE}/2020-{month:02}"] for month in (1, 1, 2, 2, 3, 3)]
