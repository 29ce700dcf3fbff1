"""A stage that does to each day what it is told to, so that the runner can be watched.

Tests register it in their own process; Dask workers import this module as a preload, Dask's own way of preparing
workers, those that replace a dead one included.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from wxpipe.errors import Retry, WxpipeError
from wxpipe.pipeline import stages
from wxpipe.store.leases import Lease
from wxpipe.store.quarantine import Record
from wxpipe.store.root import Root, init_root
from wxpipe.store.stage import Context, Outcome, Partition, fingerprint_of
from wxpipe.store.writepoints import write_point

SOURCE = "fake-x"
FIRST = date(2020, 1, 1)


class Fake:
    """By day; what becomes of a day is ``options["fake"][day]``, a word for each branch of `run`."""

    name = "fake"
    trigger = "by day"
    needs: tuple[str, ...] = ()

    def partitions(self, context: Context) -> Iterable[Partition]:
        return [Partition(SOURCE, date.fromisoformat(day)) for day in context.options["fake"]]

    def fingerprint(self, partition: Partition, context: Context) -> str:
        if told(partition, context) == "bug in its fingerprint":
            raise KeyError("a bug in a fingerprint")
        return fingerprint_of(day=partition.key, version=context.options.get("version", 1))

    def prepare(self, partitions: list[Partition], context: Context) -> None:
        """Nothing to prepare."""

    def run(self, partition: Partition, context: Context) -> Outcome:
        word, attempt = told(partition, context), count_attempt(context.root, partition)
        if word == "bug":
            raise ZeroDivisionError("a bug of a stage")
        if word == "refuses":
            raise WxpipeError("this day cannot be done: expected sun, found rain")
        if word == "kills its worker":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "naps":
            time.sleep(0.3)
        if word == "eats memory":
            eat()
        if word == "meets another":
            meet(context.root)
        if word == "asks once" and attempt == 1:
            raise Retry("the network was away")
        if word == "asks always":
            raise Retry("the network is away")
        if word.startswith("loses its lease"):
            take_over(context)
        if word == "loses its lease, and trips":
            raise WxpipeError("somebody else was writing, too")
        if word == "is overtaken within a write":
            write_point("before rename of a fake")
            overtake(partition, context)
            context.root.objects.path(f"fake/{partition.day}").write_text("of the ghost")  # type: ignore[attr-defined]
            write_point("after rename of a fake")
        if word.startswith("is overtaken"):
            overtake(partition, context)
        if word == "is overtaken, and trips":
            raise WxpipeError("the disk is full")
        if word == "an earlier one comes back" and attempt == 1:
            entry = context.root.ledger.get("fake", partition.key)
            assert entry is not None
            ghost = replace(entry, state="done", attempt=entry.attempt - 1, by="a ghost")
            elsewhere(lambda: context.root.ledger.put(ghost))
        records = (Record("x.png", "truncated"),) if word == "quarantines" else ()
        context.root.objects.put(f"fake/{partition.day}", word.encode())
        return Outcome({"days": 1}, word, records=records)


class FakeOnRequest(Fake):
    """One named thing, frozen once it is made."""

    name = "wish"
    trigger = "on request"

    def partitions(self, context: Context) -> Iterable[Partition]:
        return [Partition("", name=SOURCE)]

    def run(self, partition: Partition, context: Context) -> Outcome:
        count_attempt(context.root, partition)
        return Outcome({}, "made")


def told(partition: Partition, context: Context) -> str:
    return str(context.options["fake"].get(str(partition.day), "ok"))


def count_attempt(root: Root, partition: Partition) -> int:
    """How often a partition was run, this time included, in any process."""
    number = attempts(root, partition) + 1
    root.objects.put(f"attempts/{partition.key}/{number}", b"")
    return number


def attempts(root: Root, partition: Partition) -> int:
    return len(root.objects.names(f"attempts/{partition.key}"))


def take_over(context: Context) -> None:
    """Another run takes the lease, does nothing, and gives it back."""
    assert context.lease is not None
    key, epoch = context.lease.key, context.lease.epoch + 1
    assert context.root.objects.put_if_absent(f"leases/{key}/{epoch:08d}.json", b'{"host": "another"}')
    context.root.leases.release(Lease(key, epoch))


FAKES: tuple[tuple[str, str], ...] = (
    ("fake", "tests.pipeline.fake_stage:Fake"),
    ("wish", "tests.pipeline.fake_stage:FakeOnRequest"),
)


def registered() -> tuple[tuple[str, str], ...]:
    return (*stages.STAGES, *FAKES)


def dask_setup(worker: object) -> None:  # noqa: ARG001 - as Dask calls it
    """What Dask calls in each worker that names this module as a preload."""
    stages.STAGES = registered()


def eat() -> None:
    """Takes two GiB, slowly enough for a nanny to see it."""
    eaten = []
    for _ in range(40):
        eaten.append(b"\1" * (50 << 20))
        time.sleep(0.05)
    time.sleep(30)


def meet(root: Root) -> None:
    """Waits until two days are under way.

    Raises:
        WxpipeError: none came.
    """
    until = time.monotonic() + 30
    while len(root.objects.names(f"attempts/{SOURCE}")) < 2:
        if time.monotonic() > until:
            raise WxpipeError("no other day began while this one waited for it")
        time.sleep(0.05)


def overtake(partition: Partition, context: Context) -> None:
    """Another worker announces an attempt at the same day, and does it."""

    def do() -> None:
        entry = context.root.ledger.get("fake", partition.key)
        assert entry is not None
        context.root.objects.put(f"fake/{partition.day}", b"of the other")
        of_today = Fake().fingerprint(partition, context)
        done = replace(entry, state="done", fingerprint=of_today, attempt=entry.attempt + 1, by="another/1")
        context.root.ledger.put(done)

    elsewhere(do)


def elsewhere(work: Callable[[], None]) -> None:
    """Does something in a thread of its own, in which nothing is known of this attempt."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def days(*words: str) -> dict[str, str]:
    """Days from the first on, and what becomes of each."""
    return {str(FIRST + timedelta(days=n)): word for n, word in enumerate(words)}


def context_of(folder: Path, *words: str) -> Context:
    return Context(init_root(str(folder / "root")), options={"fake": days(*words)})


def partition(number: int) -> Partition:
    """The partition of a day, from 1."""
    return Partition(SOURCE, FIRST + timedelta(days=number - 1))
