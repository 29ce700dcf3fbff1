"""One run at a time writes a source-month; a dead one is replaced, and a ghost finds that it was."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from itertools import pairwise
from typing import Any

import pytest

from wxpipe.errors import LeaseLostError
from wxpipe.store import leases as module
from wxpipe.store.leases import Heartbeat, Lease, Leases
from wxpipe.store.objects import Objects, open_objects

KEY = "ingest/coms-ea/2011-03"


@pytest.fixture(autouse=True)
def _quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.05)


def held_elsewhere(objects: Objects, epoch: int = 1, **changes: object) -> None:
    """Writes by hand the lease of a process of another host, whose number is also that of nobody here."""
    holder = {"host": "elsewhere", "processes": "x", "process": 2**22 + 1, "started": "5", **changes}
    objects.put(f"leases/{KEY}/{epoch:08d}.json", json.dumps(holder).encode())


def test_a_lease_is_held_by_one_until_it_is_given_back(objects: Objects) -> None:
    leases = Leases(objects)
    first = leases.try_acquire(KEY)
    assert first == Lease(KEY, 1)
    assert leases.try_acquire(KEY) is None
    assert leases.try_acquire("ingest/coms-ea/2011-04") == Lease("ingest/coms-ea/2011-04", 1)
    leases.release(first)
    assert leases.try_acquire(KEY) == Lease(KEY, 2)


def test_the_old_epoch_is_refused_after_a_newer_was_taken(objects: Objects) -> None:
    leases = Leases(objects)
    first = leases.acquire(KEY)
    leases.check(first)
    leases.release(first)
    with pytest.raises(LeaseLostError, match=rf"lease {KEY}: epoch 1 was given back; its run has ended"):
        leases.check(first)
    second = leases.acquire(KEY)
    leases.check(second)
    with pytest.raises(LeaseLostError, match=rf"lease {KEY}: epoch 1 was taken over by epoch 2"):
        leases.check(first)


CONTEND = """
import sys, time
from wxpipe.store import leases
from wxpipe.store.objects import open_objects
leases.POLL_SECONDS = 0.01
objects = open_objects(sys.argv[1])
held = leases.Leases(objects, 60.0)
print("ready", flush=True)
sys.stdin.readline()
for turn in range(5):
    lease = held.acquire("k")
    begin = time.monotonic_ns()
    alone = objects.put_if_absent("inside", sys.argv[2].encode())
    time.sleep(0.01)
    assert objects.get("inside") == sys.argv[2].encode()
    objects.delete("inside")
    held.check(lease)
    end = time.monotonic_ns()
    held.release(lease)
    print(lease.epoch, begin, end, alone)
"""


def test_two_processes_never_hold_it_at_once(place: str, programs: Any) -> None:
    printed = programs.race(CONTEND, [(place, "a"), (place, "b")])
    turns = sorted(tuple(line.split()) for text in printed for line in text.splitlines() if line != "ready")
    turns.sort(key=lambda turn: int(turn[0]))
    assert [int(turn[0]) for turn in turns] == list(range(1, 11))
    assert all(turn[3] == "True" for turn in turns)
    spans = [(int(turn[1]), int(turn[2])) for turn in turns]
    assert all(before[1] < after[0] for before, after in pairwise(spans))


HOLD = """
import sys, time
from wxpipe.store.leases import Heartbeat, Leases
from wxpipe.store.objects import open_objects
leases = Leases(open_objects(sys.argv[1]))
with Heartbeat(leases, leases.acquire(sys.argv[2]), 0.05):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("reaped", [True, False])
def test_a_killed_holder_of_this_host_is_replaced_at_once(
    objects: Objects, programs: Any, eventually: Any, reaped: bool
) -> None:
    """At once, whatever the lease's seconds; also where the dead process is a zombie and keeps its number."""
    process = programs.start(HOLD, objects.url, KEY)
    assert process.stdout.readline() == "held\n"
    leases = Leases(objects, seconds=600)
    assert leases.try_acquire(KEY) is None
    process.kill()
    if reaped:
        process.wait()
    assert eventually(lambda: leases.try_acquire(KEY)) == Lease(KEY, 2)


def test_a_process_with_the_dead_holders_number_is_not_the_holder(objects: Objects) -> None:
    ours = {"host": socket.gethostname(), "processes": module._process_space(), "process": os.getpid()}
    held_elsewhere(objects, **ours, started="1")
    assert Leases(objects).try_acquire(KEY) == Lease(KEY, 2)


@pytest.mark.parametrize("changes", [{}, {"host": socket.gethostname()}, {"processes": module._process_space()}])
def test_a_holder_whose_process_cannot_be_seen_from_here_is_not_called_dead(
    objects: Objects, changes: dict[str, str]
) -> None:
    """Another host; another container or another boot under the same host name; the same names by chance."""
    held_elsewhere(objects, **changes)
    assert Leases(objects).try_acquire(KEY) is None


def test_a_standing_heartbeat_is_taken_over_after_the_waiters_own_seconds(objects: Objects) -> None:
    held_elsewhere(objects)
    told: list[str] = []
    begin = time.monotonic()
    lease = Leases(objects, seconds=0.6).acquire(KEY, told.append)
    assert time.monotonic() - begin > 0.6
    assert lease == Lease(KEY, 2)
    assert told == [f"process {2**22 + 1} on elsewhere"]


def test_a_beating_heart_is_waited_for_however_long_and_its_end_ends_the_wait(place: str) -> None:
    objects = open_objects(place)
    held_elsewhere(objects)
    stop, begin = threading.Event(), time.monotonic()

    def beat() -> None:
        other = Leases(open_objects(place))
        for count in range(25):
            other.beat(Lease(KEY, 1), count)
            if stop.wait(0.1):
                return
        other.release(Lease(KEY, 1))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        assert Leases(objects, seconds=1.0).acquire(KEY) == Lease(KEY, 2)
        waited = time.monotonic() - begin
    finally:
        stop.set()
        thread.join()
    assert waited > 2.0  # twice its seconds: it was not taken over, it was given back


def test_of_two_waiters_one_takes_over_and_the_other_goes_on_waiting(place: str) -> None:
    held_elsewhere(open_objects(place))
    taken: list[Lease] = []

    def wait() -> None:
        leases = Leases(open_objects(place), seconds=0.6)
        with Heartbeat(leases, leases.acquire(KEY), 0.02) as lease:
            taken.append(lease)
            leases.check(lease)
            time.sleep(0.3)
            leases.check(lease)

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [lease.epoch for lease in taken] == [2, 3]


def test_a_heartbeat_beats_while_the_work_runs_and_gives_back_at_its_end(objects: Objects, eventually: Any) -> None:
    leases = Leases(objects)
    with Heartbeat(leases, leases.acquire(KEY), 0.01) as lease:
        eventually(lambda: objects.exists(f"leases/{KEY}/00000001.beat"))
        first = objects.get(f"leases/{KEY}/00000001.beat")
        eventually(lambda: objects.get(f"leases/{KEY}/00000001.beat") != first)
        assert leases.try_acquire(KEY) is None
        assert lease.epoch == 1
    assert leases.try_acquire(KEY) == Lease(KEY, 2)


def test_work_that_fails_gives_its_lease_back(objects: Objects) -> None:
    leases = Leases(objects)
    with pytest.raises(ZeroDivisionError), Heartbeat(leases, leases.acquire(KEY), 0.01):
        raise ZeroDivisionError
    assert leases.try_acquire(KEY) == Lease(KEY, 2)


def test_a_heartbeat_does_not_mark_done_what_was_taken_over(objects: Objects) -> None:
    leases = Leases(objects)
    with Heartbeat(leases, leases.acquire(KEY), 0.01):
        held_elsewhere(objects, epoch=2)
    assert not objects.exists(f"leases/{KEY}/00000001.done")
    assert not objects.exists(f"leases/{KEY}/00000002.done")
    assert leases.try_acquire(KEY) is None
    assert leases.latest(KEY) == 2
