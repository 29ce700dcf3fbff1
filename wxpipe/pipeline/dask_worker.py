"""What a local Dask worker is prepared with: it ends with the process that began it, and by no signal of its own."""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:  # noqa: ARG001 - as Dask calls it
    """Lets SIGTERM and SIGINT pass, as Dask's preload.

    Both are sent to whole process groups (a cancelled flow run, Ctrl-C, a service that is stopped). The process that
    began the cluster then decides: it waits for what is being written, and ends its workers. Where it is killed, its
    workers notice and exit.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
