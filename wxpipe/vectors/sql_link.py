"""The other end of the engine: starts its process, sends what a query reads, and ends it when a limit is reached.

An engine that has answered is kept for the next query; one that was stopped, or fell, is not.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from typing import Any

from wxpipe.config import RunSettings
from wxpipe.errors import UsageError, WxpipeError

GRACE = 1.0
"""Seconds for an interrupted query to end by itself; then its process is killed."""
PATIENCE = 600.0
"""Seconds for what is not the query's doing: the engine's beginning, and taking in of tables."""
ANSWER_SHARE = 4
"""An answer may be as large as a quarter of the memory limit: whoever asked has to hold it, too."""
IDLE_KEPT = 2
BATCH_ROWS = 16_384


@dataclass(frozen=True)
class Limits:
    """What one query may take.

    Attributes:
        memory: bytes for DuckDB, the views that it reads among them.
        seconds: for parsing, planning and running; loading the views is not counted.
        rows: of the answer. One more is an error, not a cut: rows that are missing cannot be seen in a CSV file.
    """

    memory: int = 4 << 30
    seconds: float = 120.0
    rows: int = 1_000_000

    def __post_init__(self) -> None:
        if self.memory < 64 << 20 or not 0 < self.seconds < float("inf") or self.rows < 1:
            raise UsageError(f"SQL limits are {self}; choose at least 64 MiB, more than 0 seconds, and 1 row")

    @classmethod
    def of_settings(cls) -> Limits:
        """Those of this machine: ``WXPIPE_SQL_MEMORY``, ``WXPIPE_SQL_SECONDS``, ``WXPIPE_SQL_ROWS``."""
        settings = RunSettings()
        return cls(settings.sql_memory, settings.sql_seconds, settings.sql_rows)

    def reached(self, which: str) -> UsageError:
        """The error that says which limit it was, what it is, and what to do."""
        memory = f"{self.memory / (1 << 20):,.0f} MiB"
        answer = f"{self.memory / ANSWER_SHARE / (1 << 20):,.0f} MiB"
        told = {
            "rows": f"row limit: the answer has more than {self.rows:,} rows, and nothing of it is shown; add LIMIT, "
            "aggregate, or raise WXPIPE_SQL_ROWS",
            "answer": f"memory limit: the answer is larger than {answer} (a quarter of {memory}), and nothing of it is "
            "shown; name fewer columns, add LIMIT, or raise WXPIPE_SQL_MEMORY",
            "memory": f"memory limit: the query needs more than {memory}; read fewer columns (not vector), filter or "
            "aggregate earlier, or raise WXPIPE_SQL_MEMORY",
            "seconds": f"time limit: the query was ended after {self.seconds:g} s; filter or aggregate earlier, see "
            "`wxpipe sql --explain`, or raise WXPIPE_SQL_SECONDS",
        }
        return UsageError(f"SQL: {told[which]}")


class Engine:
    """A process that runs queries, one at a time."""

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self._link, there = Pipe(duplex=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "wxpipe.vectors.sql_engine", str(there.fileno()), str(memory)],
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        there.close()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def begin(self, limits: Limits) -> Asking:
        """A database of its own for one query."""
        self.send(json.dumps({"step": "begin", "memory": limits.memory}).encode())
        try:
            ended, reply = self.receive(PATIENCE), self.receive(PATIENCE)
        except EOFError:
            ended = reply = None
        if ended != b"" or reply != b"{}":
            raise WxpipeError(f"the process that runs SQL did not begin ({reply!r}); is there memory for it?")
        return Asking(self, limits)

    def send(self, message: bytes) -> None:
        self._link.send_bytes(message)

    def receive(self, seconds: float) -> bytes | None:
        """The next message; None where none comes in time.

        Raises:
            EOFError: the process has ended.
        """
        try:
            return self._link.recv_bytes() if self._link.poll(max(0.0, seconds)) else None
        except OSError as error:
            raise EOFError from error

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._link.close()


class Asking:
    """One query's way through an engine; its seconds are counted from step to step."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine, self.limits = engine, limits
        self.left = limits.seconds
        self.in_step = False
        """A step was begun and has not answered: whoever leaves now leaves an engine that nobody understands."""

    def ask(self, step: str, **what: Any) -> dict[str, Any]:
        """Does a step that answers with words.

        Raises:
            UsageError: a limit was reached, or what DuckDB says is wrong with the query.
        """
        self._send({"step": step, **what})
        return self._reply()

    def give(self, step: str, table: Any, **what: Any) -> int:
        """Sends a table, or a stream of batches, whose time is not the query's; returns its rows.

        Raises:
            UsageError: it does not fit into the memory limit.
        """
        self._send({"step": step, **what})
        try:
            self._engine.send(table.schema.serialize().to_pybytes())
            for batch in table.to_batches(max_chunksize=BATCH_ROWS) if hasattr(table, "to_batches") else table:
                self._engine.send(batch.serialize().to_pybytes())
            self._engine.send(b"")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the engine has given up: what it said last, or that it said nothing, is read next
        try:
            return int(self._reply(PATIENCE)["rows"])
        except UsageError:
            self.in_step = True  # it may not have taken in all that was sent
            raise

    def rows(self, query: str) -> Any:
        """Runs a query; returns an Arrow table.

        Raises:
            UsageError: as `ask`.
        """
        import pyarrow as pa

        answer_bytes = self.limits.memory // ANSWER_SHARE
        limits = {"rows": self.limits.rows, "answer_bytes": answer_bytes, "seconds": max(0.01, self.left)}
        self._send({"step": "run", "query": query, **limits})
        first, *messages = [*self._messages()] or [b""]
        self._reply_after_messages()
        schema = pa.ipc.read_schema(pa.py_buffer(first))
        return pa.Table.from_batches([pa.ipc.read_record_batch(pa.py_buffer(m), schema) for m in messages], schema)

    def _send(self, request: dict[str, Any]) -> None:
        self.in_step = True
        with suppress(BrokenPipeError, ConnectionResetError):
            self._engine.send(json.dumps(request).encode())

    def _reply(self, within: float | None = None) -> dict[str, Any]:
        for _message in self._messages(within):
            pass
        return self._reply_after_messages(within)

    def _messages(self, within: float | None = None) -> Iterator[bytes]:
        """The messages of a reply up to the empty one."""
        while message := self._receive(within):
            yield message

    def _reply_after_messages(self, within: float | None = None) -> dict[str, Any]:
        reply: dict[str, Any] = json.loads(self._receive(within))
        kind = reply.get("error")
        if kind in (None, "query"):
            self.in_step = False
        if kind == "query":
            raise UsageError(f"SQL: {short(reply['text'])}")
        if kind is not None:
            raise self.limits.reached(kind)
        return reply

    def _receive(self, within: float | None) -> bytes:
        began = time.monotonic()
        try:
            message = self._engine.receive(self.left + GRACE if within is None else within)
        except EOFError:
            raise self.limits.reached("memory") from None
        if message is None:
            raise self.limits.reached("seconds")
        if within is None:
            self.left -= time.monotonic() - began
        return message


_idle: list[Engine] = []
_lock = threading.Lock()


@contextmanager
def asking(limits: Limits) -> Iterator[Asking]:
    """An engine for one query, kept for the next one where nothing went wrong with it."""
    engine = _take(limits.memory)
    sound = False
    try:
        under_way = engine.begin(limits)
        try:
            yield under_way
        finally:
            sound = not under_way.in_step
    finally:
        if sound:
            _keep(engine)
        else:
            engine.kill()


def _take(memory: int) -> Engine:
    with _lock:
        for engine in [engine for engine in _idle if not engine.alive]:
            _idle.remove(engine)
        for engine in _idle:
            if engine.memory == memory:
                _idle.remove(engine)
                return engine
    return Engine(memory)


def _keep(engine: Engine) -> None:
    with _lock:
        if len(_idle) < IDLE_KEPT:
            _idle.append(engine)
            return
    engine.kill()


@atexit.register
def _end_idle() -> None:
    while _idle:
        _idle.pop().kill()


def short(text: str) -> str:
    """What DuckDB says, without the picture of the query that it draws below."""
    return text.split("\n\nLINE", 1)[0].strip()[:400]
