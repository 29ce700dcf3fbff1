"""Named points just before and after every durable write, so that a test can kill the process at any of them.

Whoever writes a partition looks at each of them whether it still may (`looking`). ``WXPIPE_WRITE_POINT_LOG`` names a
file that lists the points passed; ``WXPIPE_KILL_AT=<n>:<token file>`` kills the process (SIGKILL) at the n-th point
that it passes, once: whoever creates the token file first dies, a second process does not.
``WXPIPE_STOP_AT=<text>:<token file>`` likewise stops it (SIGSTOP) at a point that begins with a text.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

Look = Callable[[str], None]

_passed = 0
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
    global _passed
    _passed += 1
    log = environment.get("WXPIPE_WRITE_POINT_LOG")
    if log:
        with open(log, "a") as file:
            file.write(f"{os.getpid()} {_passed} {name}\n")
    target = environment.get("WXPIPE_KILL_AT")
    if target:
        number, _, token = target.partition(":")
        if _passed == int(number) and _claim(Path(token)):
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
