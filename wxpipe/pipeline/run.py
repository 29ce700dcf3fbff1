"""The runner: does the planned partitions of one stage, under leases, on Dask workers or in this process.

Days of as many leases are under way as workers have room for; results come back as each partition ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from typing import Any

from wxpipe.config import RunSettings
from wxpipe.pipeline.events import Note, Result, StageStarted, Waiting, tell
from wxpipe.pipeline.execute import Task, execute
from wxpipe.pipeline.plan import Range, Step, by_lease, plan_stage, reason_of, request_of
from wxpipe.pipeline.runs import check_cancelled
from wxpipe.pipeline.stages import get_stage
from wxpipe.store.leases import Heartbeat, Lease
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Partition, Stage, ignore_progress, say_nothing


class Workers:
    """Where partitions are done: this process. `cluster.DaskWorkers` are processes elsewhere."""

    def run(self, tasks: Iterable[Task]) -> Generator[Result, None, None]:
        """Does tasks in any order, taking as many at a time as it has room for; yields each result as it comes."""
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
    """Does everything of one stage that is due in a range.

    Each lease is taken when workers have room for its first partition, and given back when its last has ended. Those
    that another run holds are put off to the end and then waited for; what that run did in the meantime is not done
    again, since the plan is made anew under the lease. A lease that this run loses (it stood still for too long) is
    waited for as well. A bug stops the stage: what runs ends, nothing new begins.

    Args:
        leases: only these leases (see `plan.by_lease`); all by default.
        wait: for what another run holds; else that is left to the other run, and listeners are told so.

    Raises:
        Cancelled: the run was asked to stop.
    """
    due = due_by_lease(stage_name, context, wanted, leases)
    by_source = Counter(step.partition.source for steps in due.values() for step in steps)
    tell(StageStarted(stage_name, by_source.total(), by_source))
    with _UnderLeases(stage_name, context, workers) as first:
        first.do(first.tasks(due))
    results, stopped = [result for result in first.results if result.state != "lost"], first.stopped
    for key, lost in first.put_off.items():
        if stopped:
            break
        if not wait and not lost:
            tell(Waiting(stage_lease(stage_name, key), "another run", left=True))
            continue
        with _UnderLeases(stage_name, context, workers) as then:
            then.do(then.tasks_after_others(key, partial(_due_of, stage_name, context, wanted, key)))
        results += then.results
        stopped = then.stopped
    return results


def _due_of(stage_name: str, context: Context, wanted: Range, key: str) -> list[Step]:
    return due_by_lease(stage_name, context, wanted, [key]).get(key, [])


class _UnderLeases:
    """Partitions of one stage on their way: which leases are held for them, and what became of each.

    Attributes:
        results: of every partition, those included that were lost with their lease.
        put_off: leases that another run holds, and (true) those that were lost to one.
        stopped: a bug, or a root that cannot be written: nothing more begins.
    """

    def __init__(self, stage_name: str, context: Context, workers: Workers) -> None:
        self._stage, self._context, self._workers = get_stage(stage_name), context, workers
        self._by_day = self._stage.trigger == "by day"
        self._held: dict[str, _Held] = {}
        self.results: list[Result] = []
        self.put_off: dict[str, bool] = {}
        self.stopped = False

    def __enter__(self) -> _UnderLeases:
        return self

    def __exit__(self, *exc: object) -> None:
        for key in list(self._held):
            self._held.pop(key).stack.close()

    def do(self, tasks: Iterable[Task]) -> None:
        """Does tasks, those of days on the workers; one that runs as one partition stays here and spreads its blocks.

        Raises:
            Cancelled: the run was asked to stop; nothing of it runs any more.
        """
        hands = self._workers if self._by_day else Workers()
        with closing(hands.run(tasks)) as done:
            for result in done:
                tell(result)
                self._ended(result)
                if self.stopped:
                    break
                check_cancelled()

    def tasks(self, due: Mapping[str, list[Step]]) -> Iterator[Task]:
        """Tasks of one lease after the other, each taken when its first task is asked for."""
        for key in due:
            check_cancelled()
            lease = self._context.root.leases.try_acquire(stage_lease(self._stage.name, key))
            if lease is None:
                self.put_off[key] = False
            else:
                yield from self._tasks_of(key, lease, partial(due.__getitem__, key))

    def tasks_after_others(self, key: str, due: Callable[[], list[Step]]) -> Iterator[Task]:
        """Waits for a lease; tasks of what is due then: also what this run may have spoilt when it lost the lease."""
        root, name = self._context.root, stage_lease(self._stage.name, key)
        lease = root.leases.acquire(name, lambda holder: tell(Waiting(name, holder)), check_cancelled)
        root.memo.clear()  # the other run may have listed the archive anew
        yield from self._tasks_of(key, lease, due)

    def _tasks_of(self, key: str, lease: Lease, steps: Callable[[], list[Step]]) -> Iterator[Task]:
        """What is still due under a lease that is held from now on, until the last of it has ended."""
        held = self._held[key] = _Held(ExitStack())
        held.stack.enter_context(Heartbeat(self._context.root.leases, lease, RunSettings().lease_seconds / 5))
        leased = replace(self._context, lease=lease, mapper=self._workers.map)
        still = _still_due(self._stage, steps(), self._context)
        if still:
            self._stage.prepare(still, leased)
        held.left = len(still)
        for partition in still:
            asked = replace(leased, request=request_of(self._stage.name, partition, leased))
            yield self._stage.name, partition, _bare(asked) if self._by_day else _telling(self._stage, partition, asked)
        if not still:
            self._held.pop(key).stack.close()

    def _ended(self, result: Result) -> None:
        key = result.partition.lease_key
        self.results.append(result)
        if result.state == "lost":
            self.put_off[key] = True
        self.stopped = self.stopped or result.stops
        held = self._held[key]
        held.left -= 1
        if not held.left:
            self._held.pop(key).stack.close()


@dataclass
class _Held:
    """A lease that beats until its stack is closed, and how many of its partitions have not ended."""

    stack: ExitStack
    left: int = 0


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


def _bare(context: Context) -> Context:
    """What travels to a worker: nobody there is told how it goes."""
    return replace(context, progress=ignore_progress, mapper=map, say=say_nothing)


def _telling(stage: Stage, partition: Partition, context: Context) -> Context:
    def say(what: object) -> None:
        check_cancelled()
        tell(Note(stage.name, partition, what))

    return replace(context, say=say)


@contextmanager
def single_handed(root: Root, key: str) -> Iterator[Lease]:
    """Holds the lease of something that one run does at a time, waiting for whoever has it."""
    lease = root.leases.acquire(key)
    with Heartbeat(root.leases, lease, RunSettings().lease_seconds / 5) as held:
        yield held
