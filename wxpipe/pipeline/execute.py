"""One partition: announce, run, look at the lease, write quarantine and ledger; a fault never escapes to kill a batch.

It knows nothing of what stages do. Results come back small; the ledger is written by whoever did the work, after a
last look at the lease.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from wxpipe.config import RunSettings
from wxpipe.errors import Cancelled, LeaseLostError, Retry, StoreError, WxpipeError
from wxpipe.pipeline.events import Result
from wxpipe.pipeline.logs import log_work
from wxpipe.pipeline.stages import from_on, get_stage
from wxpipe.pipeline.traces import traced
from wxpipe.store.attempts import Attempt, announcement
from wxpipe.store.ledger import Entry, Ledger
from wxpipe.store.meter import metering
from wxpipe.store.quarantine import Record
from wxpipe.store.requests import Request
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Partition, Stage, noting_parts
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
