"""Where and how torch computes: the device, the number of threads, the precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def pick_device(name: str | None = None) -> torch.device:
    """Return the named device, or without a name the GPU where there is one, else the CPU."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


@contextmanager
def fixed_threads(count: int) -> Iterator[None]:
    """Let torch compute with `count` CPU threads inside, and with as many as before afterwards.

    Sums of float32 change in the last digits with the number of threads (4e-6 of a vector, as measured).
    The number is the process's: another thread that computes with torch at the same time is held to it.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def mixed_precision(device: torch.device, wanted: bool) -> torch.autocast:
    """Return the bf16 autocast context of a GPU; on a CPU, or where not wanted, one that does nothing."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted and device.type != "cpu")
