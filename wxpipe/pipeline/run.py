"""The runner: does the planned partitions of one stage, under leases, on Dask workers or in this process.

It knows nothing of what stages do. Results come back small; the ledger is written by whoever did the work, after a
last look at the lease.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

from wxpipe.config import RunSettings
from wxpipe.errors import Cancelled, LeaseLostError, Retry, StoreError, WxpipeError
from wxpipe.pipeline.events import Note, Result, StageStarted, Waiting, tell
from wxpipe.pipeline.logs import log_work
from wxpipe.pipeline.plan import Range, Step, by_lease, plan_stage, reason_of, request_of
from wxpipe.pipeline.runs import check_cancelled
from wxpipe.pipeline.stages import from_on, get_stage
from wxpipe.pipeline.traces import traced
from wxpipe.store.attempts import Attempt, announcement
from wxpipe.store.leases import Heartbeat, Lease
from wxpipe.store.ledger import Entry, Ledger
from wxpipe.store.meter import metering
from wxpipe.store.quarantine import Record
from wxpipe.store.requests import Request
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Partition, Stage, ignore_progress, noting_parts, say_nothing
from wxpipe.store.writepoints import looking, write_point

Task = tuple[str, Partition, Context]
"""A stage's name, what it is to do, and where: what travels to a worker."""


@dataclass(frozen=True)
class Clock:
    """When something began, in seconds of the wall and of this process."""

    wall: float
    processor: float


@dataclass(frozen=True)
class Made:
    """What a result is made of: its fingerprint, and the parts of that."""

    fingerprint: str
    parts: Mapping[str, str]


@traced
def execute(stage_name: str, partition: Partition, context: Context) -> Result:
    """Does one partition, here: run, look at the lease, write quarantine and ledger.

    A policy exception or a bug is returned as a failed result and recorded; it never escapes to kill a batch. What
    this run has done already is not done again.

    Raises:
        Cancelled: the run was asked to stop while a stage told how it goes; its partition stays open.
    """
    try:
        stage = get_stage(stage_name)
        with noting_parts() as noted:
            fingerprint = stage.fingerprint(partition, context)
        made_of = Made(fingerprint, noted.get(fingerprint, {}))
        context.check_lease()
        entry = Ledger(context.root.objects).get(stage_name, partition.key)
        if entry is not None and _just_done(entry, made_of, context):
            assert partition.day is not None
            return _told(partition, entry, context.root.quarantine.get(stage_name, partition.source, partition.day))
        log_work("began", stage_name, partition)
        ready = _ready(context, entry)
        result: Result = _with_retries(
            lambda: _attempt(stage, partition, ready, made_of),
            lambda error: log_work("again", stage_name, partition, error),
        )
        return result
    except Cancelled:
        raise
    except LeaseLostError as error:
        return Result(stage_name, partition, "lost", {}, error=str(error))
    except Exception as error:
        if isinstance(error, WxpipeError):
            failed = record_failure(stage_name, partition, context, str(error))
            return replace(failed, unwritable=isinstance(error, StoreError))
        trace = traceback.format_exc()
        return record_failure(stage_name, partition, context, f"{type(error).__name__}: {error}", trace)


def _just_done(entry: Entry, made_of: Made, context: Context) -> bool:
    """Whether this very run has done it: a scheduler gives what was lost with a worker to another."""
    if context.lease is None or "/" not in entry.partition:
        return False
    is_so = (entry.state, entry.fingerprint, entry.epoch, entry.request)
    return is_so == ("done", made_of.fingerprint, context.lease.epoch, context.request)


def _ready(context: Context, entry: Entry | None) -> Context:
    """The context with what the ledger has of a result that may be taken over."""
    anew = context.request > (entry.request if entry is not None else 0)
    whole = entry is not None and entry.state == "done" and not anew
    return replace(context, previous=entry if whole else None, anew=anew)


def _attempt(stage: Stage, partition: Partition, context: Context, made_of: Made) -> Result:
    """Announces an attempt, makes the result, and commits it; see `attempts`.

    Raises:
        LeaseLostError: this run, or this attempt, may not write any more; what it may have spoilt is asked for again.
    """
    root, started = context.root, Clock(time.monotonic(), time.process_time())
    before = Ledger(root.objects).get(stage.name, partition.key)
    attempt = Attempt(root.objects, announcement(before, stage.name, partition.key, _epoch(context)))
    root.ledger.put(attempt.entry)
    committed = False
    try:
        context.check_lease()
        with metering() as meter, looking(attempt.look):
            outcome = stage.run(partition, context)
            entry = replace(
                attempt.entry, state="done", fingerprint=made_of.fingerprint, parts=made_of.parts,
                output=outcome.output, inputs=outcome.inputs, counts=dict(outcome.counts),
                finished=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
                seconds=round(time.monotonic() - started.wall, 3),
                processor=round(time.process_time() - started.processor, 3), request=context.request, **asdict(meter),
            )  # fmt: skip
            context.check_lease()
            if partition.day is not None:
                root.quarantine.replace(stage.name, partition.source, partition.day, outcome.records)
            context.check_lease()
            root.ledger.put(entry)
            committed = True
            context.check_lease()
    except LeaseLostError:
        if attempt.late or committed:
            root.requests.record(repair_of(stage.name, partition))
        raise
    except Exception:
        attempt.look("before failure")  # who was overtaken has no say in what became of it
        raise
    _remove(root, outcome.obsolete)
    return _told(partition, entry, outcome.records)


def _told(partition: Partition, entry: Entry, records: Iterable[Record]) -> Result:
    reasons = Counter(record.reason for record in records if record.kind == "quarantined")
    return Result(
        entry.stage, partition, "done", dict(entry.counts), reasons.total(), seconds=entry.seconds,
        bytes_written=entry.bytes_written, reasons=reasons,
    )  # fmt: skip


def repair_of(stage_name: str, partition: Partition) -> Request:
    """What must be made again where a late write may lie over a newer result.

    Of a day this stage and all after it, whoever may have read it in the meantime, clips and comparisons that reach
    over midnight included. Of a named thing only itself.
    """
    why = f"{stage_name} {partition.key} was written by an attempt that another had overtaken"
    if partition.day is None:
        return Request("repair", why, stages=(stage_name,), partitions=(partition.key,))
    days = [replace(partition, day=partition.day + timedelta(days=n)).key for n in (-1, 0, 1)]
    return Request("repair", why, stages=from_on(stage_name), partitions=tuple(days))


def _remove(root: Root, obsolete: Iterable[str]) -> None:
    with suppress(OSError, WxpipeError):  # what is left of them does no harm
        for key in obsolete:
            write_point(f"before delete {key}")
            root.objects.delete(key)


def record_failure(stage_name: str, partition: Partition, context: Context, message: str, trace: str = "") -> Result:
    """Notes in the ledger that a partition failed, so that the plan holds it open; best effort on a full disk.

    Where the lease is lost the newer run's entry stands, and the result says so.
    """
    root, epoch = context.root, _epoch(context)
    try:
        context.check_lease()
        begun = announcement(root.ledger.get(stage_name, partition.key), stage_name, partition.key, epoch)
        root.ledger.put(
            Entry(stage_name, partition.key, "failed", "", error=message, epoch=epoch, attempt=begun.attempt)
        )
    except LeaseLostError as error:
        return Result(stage_name, partition, "lost", {}, error=f"{message} ({error})")
    except (OSError, WxpipeError) as error:
        message += f" (and the ledger could not be written: {error})"
    return Result(stage_name, partition, "failed", {}, error=message, trace=trace)


def _with_retries(work: Callable[[], Any], tell_of: Callable[[Retry], None]) -> Any:
    """Does the work again where it asks for it, a little later each time."""
    for attempt in count():
        try:
            return work()
        except Retry as error:
            if attempt == RunSettings().retries:  # asked for here alone: settings cost more than an empty partition
                raise
            tell_of(error)
            time.sleep(2.0**attempt)
    raise AssertionError("unreachable")


def _epoch(context: Context) -> int:
    return context.lease.epoch if context.lease is not None else 0


class Workers:
    """Where partitions are done: this process. `cluster.DaskWorkers` are processes elsewhere."""

    def run(self, tasks: Sequence[Task]) -> Iterator[Result]:
        """Does tasks in any order; yields each result as it comes."""
        yield from (execute(*task) for task in tasks)

    def map(self, function: Callable[..., Any], items: Sequence[Any]) -> Iterable[Any]:
        """Applies a function to the blocks of a stage that runs as one partition, in order."""
        return map(function, items)


def run_stage(
    stage_name: str,
    context: Context,
    wanted: Range,
    workers: Workers,
    leases: Sequence[str] | None = None,
    wait: bool = True,
) -> list[Result]:
    """Does everything of one stage that is due in a range, one lease after another.

    Leases that another run holds are put off to the end and then waited for; what that run did in the meantime is
    not done again, since the plan is made anew under the lease. A lease that this run loses (it stood still for too
    long) is waited for as well. A bug stops the stage: what runs ends, nothing new begins.

    Args:
        leases: only these leases (see `plan.by_lease`); all by default.
        wait: for what another run holds; else that is left to the other run, and listeners are told so.

    Raises:
        Cancelled: the run was asked to stop.
    """
    due = due_by_lease(stage_name, context, wanted, leases)
    by_source = Counter(step.partition.source for steps in due.values() for step in steps)
    tell(StageStarted(stage_name, by_source.total(), by_source))
    results: list[Result] = []
    put_off: dict[str, bool] = {}
    """Leases that another run holds, and (true) those that were lost to one."""
    for key in due:
        check_cancelled()
        lease = context.root.leases.try_acquire(stage_lease(stage_name, key))
        if lease is None:
            put_off[key] = False
            continue
        found = _run_leased(stage_name, context, partial(due.__getitem__, key), workers, lease)
        results += [result for result in found if result.state != "lost"]
        if any(result.stops for result in found):
            return results
        if any(result.state == "lost" for result in found):
            put_off[key] = True
    for key, lost in put_off.items():
        if not wait and not lost:
            tell(Waiting(stage_lease(stage_name, key), "another run", left=True))
            continue
        results += _run_after_others(stage_name, context, wanted, workers, key)
        if any(result.stops for result in results):
            break
    return results


def _run_after_others(stage_name: str, context: Context, wanted: Range, workers: Workers, key: str) -> list[Result]:
    """Waits for a lease, and does what is due then: also what this run may have spoilt when it lost the lease."""
    name = stage_lease(stage_name, key)
    lease = context.root.leases.acquire(name, lambda holder: tell(Waiting(name, holder)), check_cancelled)
    context.root.memo.clear()  # the other run may have listed the archive anew

    def due() -> list[Step]:
        return due_by_lease(stage_name, context, wanted, [key]).get(key, [])

    return _run_leased(stage_name, context, due, workers, lease)


def due_by_lease(
    stage_name: str, context: Context, wanted: Range, leases: Sequence[str] | None = None
) -> dict[str, list[Step]]:
    """What is due of a stage now, by the lease that covers it.

    Args:
        leases: only these; of the ledger, only what they need is read then.
    """
    stage, ledger = get_stage(stage_name), context.root.ledger
    kept = None if leases is None else frozenset(leases)
    context.root.requests.forget()
    with ledger.holding(stage_name, *stage.needs, only=None if kept is None else near(kept)):
        due = by_lease(step for step in plan_stage(stage, context, wanted) if step.reason != "done")
    return {key: steps for key, steps in due.items() if kept is None or key in kept}


def near(leases: frozenset[str]) -> Callable[[str], bool]:
    """Tells of a partition's key whether it is of one of these leases, of the day after, or no day's at all."""
    if not any("/" in lease for lease in leases):
        return lambda _: True  # a named thing may be made of everything

    def is_near(key: str) -> bool:
        source, _, day = key.rpartition("/")
        if not source or f"{source}/{day[:7]}" in leases:
            return True
        return day.endswith("-01") and f"{source}/{date.fromisoformat(day) - timedelta(days=1):%Y-%m}" in leases

    return is_near


def stage_lease(stage_name: str, key: str) -> str:
    """What a run holds: a source-month whatever the stage, a named thing by its stage."""
    return key if "/" in key else f"{stage_name}/{key}"


def _run_leased(
    stage_name: str, context: Context, steps: Callable[[], list[Step]], workers: Workers, lease: Lease
) -> list[Result]:
    """Does what is still due of some steps, now that nobody else writes them."""
    stage, root = get_stage(stage_name), context.root
    with Heartbeat(root.leases, lease, RunSettings().lease_seconds / 5):
        leased = replace(context, lease=lease, mapper=workers.map)
        still = _still_due(stage, steps(), context)
        if not still:
            return []
        stage.prepare(still, leased)
        results: list[Result] = []
        with closing(_do(stage_name, still, leased, workers)) as done:
            for result in done:
                tell(result)
                results.append(result)
                if result.stops:
                    break
                check_cancelled()
        return results


def _still_due(stage: Stage, steps: list[Step], context: Context) -> list[Partition]:
    """Which of some steps are due by what the ledger says now: read are their entries and what they are made of."""
    ledger, names = context.root.ledger, (stage.name, *stage.needs)
    days = {(p.source, p.day + timedelta(days=n)) for p in (step.partition for step in steps) if p.day for n in (0, 1)}
    if days:
        by_day = [name for name in names if get_stage(name).trigger == "by day"]
        ledger.fetch(by_day, sorted(f"{source}/{day}" for source, day in days))
        ledger.fetch([name for name in names if name not in by_day], sorted({source for source, _ in days}))
    else:
        ledger.preload(*names)
    try:
        return [
            step.partition
            for step in steps
            if reason_of(stage, step.partition, context, ledger.get(stage.name, step.partition.key)) != "done"
        ]
    finally:
        ledger.forget()


def _do(
    stage_name: str, partitions: list[Partition], context: Context, workers: Workers
) -> Generator[Result, None, None]:
    """Days go to workers; a stage that runs as one partition stays here and spreads its own blocks."""
    asked = {p: replace(context, request=request_of(stage_name, p, context)) for p in partitions}
    if get_stage(stage_name).trigger == "by day":
        bare = {p: replace(c, progress=ignore_progress, mapper=map, say=say_nothing) for p, c in asked.items()}
        yield from workers.run([(stage_name, p, bare[p]) for p in partitions])
    else:
        yield from (execute(stage_name, p, _telling(stage_name, p, asked[p])) for p in partitions)


def _telling(stage_name: str, partition: Partition, context: Context) -> Context:
    def say(what: object) -> None:
        check_cancelled()
        tell(Note(stage_name, partition, what))

    return replace(context, say=say)


@contextmanager
def single_handed(root: Root, key: str) -> Iterator[Lease]:
    """Holds the lease of something that one run does at a time, waiting for whoever has it."""
    lease = root.leases.acquire(key)
    with Heartbeat(root.leases, lease, RunSettings().lease_seconds / 5) as held:
        yield held
