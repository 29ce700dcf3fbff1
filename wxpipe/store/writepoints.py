"""Named points just before and after every durable write, so that a test can kill the process at any of them.

Whoever writes a partition looks at each of them whether it still may (`looking`). ``WXPIPE_WRITE_POINT_LOG`` names a
file that lists the points passed; ``WXPIPE_KILL_AT=<n>:<token file>`` kills the process (SIGKILL) at the n-th point
that it passes, once: whoever creates the token file first dies, a second process does not. ``<n> <text>`` counts only
the points that begin with the text, which other threads' writes (a lease's heartbeat) do not disturb.
``WXPIPE_STOP_AT=<text>:<token file>`` likewise stops it (SIGSTOP) at a point that begins with a text.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

Look = Callable[[str], None]

_passed = 0
_named = 0
_counting = threading.Lock()
_look: ContextVar[Look | None] = ContextVar("look", default=None)


@contextmanager
def looking(look: Look) -> Iterator[None]:
    """Calls ``look`` with the name of every point that this context passes; what it raises ends the write."""
    token = _look.set(look)
    try:
        yield
    finally:
        _look.reset(token)


def write_point(name: str) -> None:
    """Marks a point; ``name`` reads ``<before|after> <what> <key>``."""
    look = _look.get()
    if look is not None:
        look(name)
    environment = os.environ
    if not any(variable in environment for variable in ("WXPIPE_WRITE_POINT_LOG", "WXPIPE_KILL_AT", "WXPIPE_STOP_AT")):
        return
    with _counting:  # no other thread passes a point between one's number and its line in the log
        _pass(name, environment)


def _pass(name: str, environment: Mapping[str, str]) -> None:
    global _passed, _named
    _passed += 1
    log = environment.get("WXPIPE_WRITE_POINT_LOG")
    if log:
        with open(log, "a") as file:
            file.write(f"{os.getpid()} {_passed} {name}\n")
    target, _, token = environment.get("WXPIPE_KILL_AT", "").rpartition(":")
    number, _, text = target.partition(" ")
    _named += name.startswith(text)
    if number and name.startswith(text) and _named == int(number) and _claim(Path(token)):
        os.kill(os.getpid(), signal.SIGKILL)
    text, _, token = environment.get("WXPIPE_STOP_AT", "").rpartition(":")
    if text and name.startswith(text) and _claim(Path(token)):
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.5)  # of a process of many threads, this one may be the last to stand still


def _claim(token: Path) -> bool:
    try:
        os.close(os.open(token, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
