"""Leases: who may write a source-month now. Numbered objects, a heartbeat, and an epoch that a ghost can look up.

Epoch n of a key is the object ``leases/<key>/<n>.json``, taken by put-if-absent. Its holder rewrites
``<n>.beat`` and, at the end, writes ``<n>.done``. A lease is free to take when it is done, when its process is known
to be dead (same host), or when its heartbeat did not change for a while *by the clock of who waits*: clocks of two
hosts are never compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wxpipe.errors import LeaseLostError, NotFoundError, Retry, StoreError
from wxpipe.store.objects import Objects

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Lease:
    """A held epoch of a key."""

    key: str
    epoch: int


class Leases:
    """Takes, beats, checks and gives back leases."""

    def __init__(self, objects: Objects, seconds: float = 60.0) -> None:
        self._objects = objects
        self._seconds = seconds

    def latest(self, key: str) -> int:
        """The highest epoch of a key that was ever taken; 0 if none was."""
        names = self._objects.names(f"leases/{key}")
        return max((int(n.removesuffix(".json")) for n in names if n.endswith(".json")), default=0)

    def try_acquire(self, key: str) -> Lease | None:
        """The lease, or None where another run holds it and looks alive."""
        latest = self.latest(key)
        return None if self._holds(key, latest) else self._take(key, latest + 1)

    def is_held(self, key: str) -> bool:
        """Whether a run holds a lease, or may: one on another host whose heartbeat was not watched counts."""
        return self._holds(key, self.latest(key))

    def _holds(self, key: str, epoch: int) -> bool:
        return bool(epoch) and not (self._is_done(key, epoch) or self._is_dead(key, epoch))

    def leased(self) -> list[str]:
        """Every key that was ever leased."""
        found = (info.key for info in self._objects.walk("leases") if info.key.endswith(".json"))
        return sorted({key.removeprefix("leases/").rpartition("/")[0] for key in found})

    def spent(self, key: str) -> list[str]:
        """Objects of the epochs below the latest: nobody needs them."""
        latest = self.latest(key)
        names = (name for name in self._objects.names(f"leases/{key}") if name.partition(".")[0].isdigit())
        return [f"leases/{key}/{name}" for name in names if int(name.partition(".")[0]) < latest]

    def acquire(
        self, key: str, waiting: Callable[[str], None] | None = None, look: Callable[[], None] | None = None
    ) -> Lease:
        """Waits until the lease is free, done, or its heartbeat has stood still for too long.

        Args:
            waiting: is told who holds it.
            look: is called again and again while it is waited for, and ends the waiting by raising.
        """
        seen: tuple[int, bytes] | None = None
        since = time.monotonic()
        while True:
            lease = self.try_acquire(key)
            if lease is not None:
                return lease
            latest = self.latest(key)
            beat = (latest, self._beat(key, latest))
            if beat != seen:
                seen, since = beat, time.monotonic()
                if waiting is not None:
                    waiting(self._holder(key, latest))
            elif time.monotonic() - since > self._seconds:
                taken = self._take(key, latest + 1)
                if taken is not None:
                    return taken
            if look is not None:
                look()
            time.sleep(POLL_SECONDS)

    def held(self) -> list[Lease]:
        """Every lease that was taken and not given back, and whose holder is not known to be dead."""
        latest: dict[str, int] = {}
        for info in self._objects.walk("leases"):
            key, _, name = info.key.removeprefix("leases/").rpartition("/")
            if name.endswith(".json"):
                latest[key] = max(latest.get(key, 0), int(name.removesuffix(".json")))
        return [
            Lease(key, epoch)
            for key, epoch in sorted(latest.items())
            if not (self._is_done(key, epoch) or self._is_dead(key, epoch))
        ]

    def check(self, lease: Lease) -> None:
        """Raises LeaseLostError when this epoch is over: whoever still works under it must not write.

        It is over when a newer one was taken, and when it was given back: its run has ended, and did not wait for a
        worker that was cut off.
        """
        latest = self.latest(lease.key)
        if latest != lease.epoch:
            raise LeaseLostError(f"lease {lease.key}: epoch {lease.epoch} was taken over by epoch {latest}")
        if self._is_done(lease.key, lease.epoch):
            raise LeaseLostError(f"lease {lease.key}: epoch {lease.epoch} was given back; its run has ended")

    def beat(self, lease: Lease, count: int) -> None:
        self._objects.put(f"leases/{lease.key}/{lease.epoch:08d}.beat", str(count).encode())

    def release(self, lease: Lease) -> None:
        self._objects.put(f"leases/{lease.key}/{lease.epoch:08d}.done", b"")

    def _take(self, key: str, epoch: int) -> Lease | None:
        holder = {
            "host": socket.gethostname(),
            "processes": _process_space(),
            "process": os.getpid(),
            "started": _started(os.getpid()),
        }
        if not self._objects.put_if_absent(f"leases/{key}/{epoch:08d}.json", json.dumps(holder).encode()):
            return None
        # Spent epochs are removed (`wxpipe gc`): whoever looked long ago could take one of them for free.
        return Lease(key, epoch) if self.latest(key) == epoch else None

    def _is_done(self, key: str, epoch: int) -> bool:
        return self._objects.exists(f"leases/{key}/{epoch:08d}.done")

    def _is_dead(self, key: str, epoch: int) -> bool:
        """Whether the holder is a process that this one could see, and that no longer runs."""
        try:
            holder = self._read(key, epoch)
        except NotFoundError:
            return True
        if holder["host"] != socket.gethostname() or holder.get("processes") != _process_space():
            return False
        return bool(holder["started"]) and _started(holder["process"]) != holder["started"]

    def _beat(self, key: str, epoch: int) -> bytes:
        try:
            return self._objects.get(f"leases/{key}/{epoch:08d}.beat")
        except NotFoundError:
            return b""

    def _holder(self, key: str, epoch: int) -> str:
        try:
            holder = self._read(key, epoch)
        except NotFoundError:
            return "unknown"
        return f"process {holder['process']} on {holder['host']}"

    def _read(self, key: str, epoch: int) -> dict[str, Any]:
        """Who took an epoch; where that is damaged, somebody of whom nothing is known but the heartbeat.

        Raises:
            NotFoundError: nobody did.
        """
        unknown = {"host": "an unknown host", "processes": "", "process": "?", "started": ""}
        try:
            return {**unknown, **json.loads(self._objects.get(f"leases/{key}/{epoch:08d}.json"))}
        except (ValueError, TypeError):
            return unknown


class Heartbeat:
    """Beats a lease from a thread while a ``with`` block runs, and gives it back at the end."""

    def __init__(self, leases: Leases, lease: Lease, every: float) -> None:
        self._leases, self._lease, self._every = leases, lease, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"lease {lease.key}", daemon=True)

    def __enter__(self) -> Lease:
        self._thread.start()
        return self._lease

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(StoreError):  # a full disk: it is taken over as a dead run's
            if self._leases.latest(self._lease.key) == self._lease.epoch:
                self._leases.release(self._lease)

    def _run(self) -> None:
        count = 0
        while not self._stop.wait(self._every):
            count += 1
            try:
                self._leases.beat(self._lease, count)
            except (OSError, Retry, StoreError):
                continue  # the next beat may get through; if none does, the lease is lost, as it should be


@cache
def _process_space() -> str:
    """What process numbers are told apart by: this boot and this container; '' where that cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def runs_here(process: int) -> bool:
    """Whether a process of this number runs on this host."""
    return bool(_started(process))


def _started(process: int) -> str:
    """Start time of a process of this host in clock ticks, or '' if it does not run (or cannot be told)."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return ""
    return "" if fields[0] == "Z" else fields[19]
