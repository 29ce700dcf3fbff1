"""How much a piece of work wrote, and how often it asked the store: what a plan's costs are measured by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Meter:
    """What went through `objects` of one context since the meter began.

    Attributes:
        bytes_written: of objects that were put.
        writes, reads: requests; a list counts as a write, as it is billed. Zarr's own reads are among them in
            a bucket alone.
    """

    bytes_written: int = 0
    writes: int = 0
    reads: int = 0


_running: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def metering() -> Iterator[Meter]:
    """Counts what this context does to object stores while the block lasts."""
    meter = Meter()
    token = _running.set(meter)
    try:
        yield meter
    finally:
        _running.reset(token)


def count_write(size: int = 0) -> None:
    meter = _running.get()
    if meter is not None:
        meter.bytes_written += size
        meter.writes += 1


def count_read(requests: int = 1) -> None:
    meter = _running.get()
    if meter is not None:
        meter.reads += requests
