"""Named points just before and after every durable write, so that a test can kill the process at any of them.

In production a point costs one dictionary look-up. ``WXPIPE_WRITE_POINT_LOG`` names a file that lists the points
passed; ``WXPIPE_KILL_AT=<n>:<token file>`` kills the process (SIGKILL) at the n-th point that it passes, once:
whoever creates the token file first dies, a second process does not.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

_passed = 0


def write_point(name: str) -> None:
    """Marks a point; ``name`` reads ``<before|after> <what> <key>``."""
    environment = os.environ
    if "WXPIPE_WRITE_POINT_LOG" not in environment and "WXPIPE_KILL_AT" not in environment:
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


def _claim(token: Path) -> bool:
    try:
        os.close(os.open(token, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
