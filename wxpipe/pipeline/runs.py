"""The runs of a root: who runs what, how far it is, how it ended; and a way to ask one to stop.

Run n is ``runs/<n>.json``, taken by put-if-absent. While it lasts a thread rewrites ``<n>.progress`` and looks for
``<n>.cancel``; at the end it writes ``<n>.end``. A run that is asked to stop begins nothing more, waits for what its
workers are in the middle of, gives its leases back, and raises `Cancelled`.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from wxpipe.config import RunSettings
from wxpipe.errors import Cancelled, NotFoundError, RefusedError, WxpipeError
from wxpipe.pipeline.events import Event, Result, StageStarted, listening
from wxpipe.store.objects import Objects
from wxpipe.store.requests import now, whoami
from wxpipe.store.root import Root

FOLDER = "runs"
FORGOTTEN_SECONDS = 60.0
"""A run that has not been heard of for so long has died without a word."""


@dataclass(frozen=True)
class RunRecord:
    """What is known of a run.

    Attributes:
        parameters: what it was asked to do, in the words of its job.
        state: ``running``, ``silent`` (not heard of for a minute, by the clock of its own host), or how it ended:
            ``done``, ``failed``, ``cancelled``.
        progress: of each stage, (done, failed, due so far).
        cancelled_by: who asked it to stop, and why; empty if nobody did.
    """

    number: int
    verb: str
    who: str
    process: int
    started: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    state: str = "running"
    heard: str = ""
    progress: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    ended: str = ""
    message: str = ""
    cancelled_by: str = ""


def all_runs(root: Root) -> list[RunRecord]:
    """Every run of a root, the oldest first."""
    names = sorted(name for name in root.objects.names(FOLDER) if name.endswith(".json"))
    there = set(root.objects.names(FOLDER))
    return [_read(root.objects, int(name.removesuffix(".json")), there) for name in names]


def running(root: Root) -> list[RunRecord]:
    """Runs that have not ended, as far as anybody knows."""
    return [run for run in all_runs(root) if run.state in ("running", "silent")]


def refuse_while_running(root: Root, what: str) -> None:
    """Raises RefusedError where a run goes on: what changes a whole root must be alone with it."""
    found = [run for run in running(root) if run.state == "running"]
    if found:
        told = ", ".join(f"{run.number} ({run.verb} by {run.who}, since {run.started})" for run in found)
        raise RefusedError(f"{what} must be alone with {root.url}, and there run {told}; wait, or `wxpipe cancel` them")


def cancel(root: Root, number: int, why: str = "") -> RunRecord:
    """Asks a run to stop; it does within seconds, once what its workers are in the middle of is done.

    Raises:
        NotFoundError: there is no such run, or it has ended.
    """
    found = {run.number: run for run in running(root)}
    if number not in found:
        known = ", ".join(map(str, found)) or "none"
        raise NotFoundError(f"{root.url} has no run {number} that goes on; there are {known}")
    said = {"who": whoami(), "when": now(), "why": why}
    root.objects.put(_key(number, "cancel"), json.dumps(said).encode())
    return found[number]


@contextmanager
def registered(root: Root, verb: str, parameters: Mapping[str, Any]) -> Iterator[int]:
    """Registers a run while the block lasts; within it `check_cancelled` answers for it.

    In the main thread SIGTERM is a request to stop, too: what a container or a service manager sends first.
    """
    run = _Run(root.objects, _take_number(root.objects, verb, parameters))
    with listening(run.hear), _on_terminate(run.stop):
        _current.append(run)
        run.thread.start()
        state, message = "failed", ""
        try:
            yield run.number
            state = "failed" if run.failures else "done"
        except Cancelled as error:
            state, message = "cancelled", str(error)
            raise
        except BaseException as error:
            message = f"{type(error).__name__}: {error}"
            raise
        finally:
            _current.remove(run)
            run.end(state, message)


def check_cancelled() -> None:
    """Raises Cancelled where a run of this process was asked to stop: nothing more may begin."""
    for run in _current:
        if run.cancelled:
            raise Cancelled(f"run {run.number} was asked to stop by {run.cancelled}")


def current_run() -> int | None:
    """The number of the run that this process does, where it does one."""
    return _current[-1].number if _current else None


class _Run:
    """A run of this process, while it goes on."""

    def __init__(self, objects: Objects, number: int) -> None:
        self.number, self.cancelled, self.failures = number, "", 0
        self._objects = objects
        self._progress: dict[str, tuple[int, int, int]] = {}
        self._over = threading.Event()
        self.thread = threading.Thread(target=self._watch, name=f"run {number}", daemon=True)

    def hear(self, event: Event) -> None:
        if isinstance(event, StageStarted):
            done, failed, due = self._progress.get(event.stage, (0, 0, 0))
            self._progress[event.stage] = (done, failed, due + event.partitions)
        elif isinstance(event, Result):
            done, failed, due = self._progress.get(event.stage, (0, 0, 0))
            fell = event.state == "failed"
            self.failures += fell
            self._progress[event.stage] = (done + (not fell), failed + fell, due)

    def stop(self, by: str) -> None:
        self.cancelled = self.cancelled or by

    def end(self, state: str, message: str) -> None:
        self._over.set()
        self.thread.join()
        said = {"state": state, "when": now(), "message": message, "progress": self._progress}
        with suppress(OSError, WxpipeError):  # a run on a full disk has better things to say
            self._objects.put(_key(self.number, "end"), json.dumps(said).encode())

    def _watch(self) -> None:
        while True:
            with suppress(OSError, WxpipeError):
                said = json.dumps({"when": now(), "progress": dict(self._progress)})
                self._objects.note(_key(self.number, "progress"), said.encode())
                if self._objects.exists(_key(self.number, "cancel")):
                    asked = json.loads(self._objects.get(_key(self.number, "cancel")))
                    self.stop(asked["who"] + (f": {asked['why']}" if asked["why"] else ""))
            if self._over.wait(RunSettings().poll_seconds):
                return


_current: list[_Run] = []


@contextmanager
def _on_terminate(stop: Callable[[str], None]) -> Iterator[None]:
    """SIGTERM asks to stop; a second one ends the process as ever. Only the main thread can be asked so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def asked(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signal calls it
        stop("SIGTERM")
        signal.signal(signum, before)

    before = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
    signal.signal(signal.SIGTERM, asked)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _take_number(objects: Objects, verb: str, parameters: Mapping[str, Any]) -> int:
    names = [name for name in objects.names(FOLDER) if name.endswith(".json")]
    number = max((int(name.removesuffix(".json")) for name in names), default=0) + 1
    while True:
        record = RunRecord(number, verb, whoami(), os.getpid(), now(), parameters)
        kept = {name: asdict(record)[name] for name in ("number", "verb", "who", "process", "started", "parameters")}
        if objects.put_if_absent(_key(number, "json"), json.dumps(kept, default=str, ensure_ascii=False).encode()):
            return number
        number += 1


def _read(objects: Objects, number: int, there: set[str]) -> RunRecord:
    found = {kind: _document(objects, number, kind, there) for kind in ("json", "progress", "end", "cancel")}
    first, progress, end, asked = (found[kind] or {} for kind in ("json", "progress", "end", "cancel"))
    heard = str(end.get("when") or progress.get("when") or first.get("started", ""))
    silent = not end and _seconds_since(heard) > FORGOTTEN_SECONDS
    return RunRecord(
        number, str(first.get("verb", "?")), str(first.get("who", "?")), int(first.get("process", 0)),
        str(first.get("started", "")), first.get("parameters", {}),
        state=str(end.get("state", "silent" if silent else "running")), heard=heard,
        progress={stage: tuple(counts) for stage, counts in (end or progress).get("progress", {}).items()},
        ended=str(end.get("when", "")), message=str(end.get("message", "")),
        cancelled_by=str(asked.get("who", "")) + (f": {asked['why']}" if asked.get("why") else ""),
    )  # fmt: skip


def _document(objects: Objects, number: int, kind: str, there: set[str]) -> dict[str, Any] | None:
    if f"{number:08d}.{kind}" not in there:
        return None
    try:
        found: dict[str, Any] = json.loads(objects.get(_key(number, kind)))
    except (NotFoundError, ValueError):
        return None
    return found


def _key(number: int, kind: str) -> str:
    return f"{FOLDER}/{number:08d}.{kind}"


def _seconds_since(when: str) -> float:
    try:
        return (datetime.now(UTC) - datetime.strptime(when, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)).total_seconds()
    except ValueError:
        return float("inf")
