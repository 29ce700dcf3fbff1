"""A Prefect server that is away for a while: a flow waits for it, and does not fail of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import TypeVar

import httpx
from prefect import get_run_logger

T = TypeVar("T")

PATIENCE = 900.0
"""Seconds that a server may be away: an upgrade, a machine that starts again."""

PAUSES = (2.0, 5.0, 10.0, 20.0)
"""Seconds before each further attempt; the last again and again."""


def patiently(call: Callable[[], T]) -> T:
    """Calls, and calls again while the server cannot be reached.

    Prefect's client has patience only on a connection that it had before, and the engine opens new ones: a slot that
    could not be given back ends a flow run whose work is done. What is called must bear to be called again.

    Raises:
        Exception: what the call raises; httpx.TransportError, or one that it caused, where the server was away for
            longer than `PATIENCE`.
    """
    until, pauses = time.monotonic() + PATIENCE, _pauses()
    while True:
        try:
            return call()
        except Exception as error:
            if not _is_away(error) or time.monotonic() > until:
                raise
            pause = next(pauses)
            get_run_logger().warning("Prefect's server cannot be reached (%s): again in %.0f s", error, pause)
            time.sleep(pause)


def _is_away(error: BaseException | None) -> bool:
    """Whether a request that did not get through is behind an error: Prefect wraps some."""
    while error is not None and not isinstance(error, httpx.TransportError):
        error = error.__cause__
    return error is not None


def _pauses() -> Iterator[float]:
    return chain(PAUSES, repeat(PAUSES[-1]))
