"""How a flow run is stopped: by Prefect, which signals its process, or by `wxpipe cancel`, which asks through the root.

Either way nothing more begins, what workers are in the middle of is waited for, leases are given back, and the flow run
ends Cancelled.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.exceptions import TerminationSignal

from wxpipe.errors import Cancelled
from wxpipe.pipeline.backfill import Job
from wxpipe.pipeline.runs import registered
from wxpipe.store.root import require_root


@contextmanager
def on_record(job: Job) -> Iterator[None]:
    """Registers the run in its root while the block lasts.

    Raises:
        Cancelled: the run was asked to stop, by `wxpipe cancel` or by SIGTERM.
        TerminationSignal: Prefect stopped the process that it began for this run.
    """
    prefects = signal.getsignal(signal.SIGTERM)
    stopped: TerminationSignal | None = None
    try:
        with registered(require_root(job.root), job.verb, job.parameters()):
            if _began_for_this_run():
                signal.signal(signal.SIGTERM, prefects)  # at once: Prefect kills what still runs half a minute later
            try:
                yield
            except TerminationSignal as error:
                stopped = error
                raise Cancelled("Prefect stopped the flow run") from error
    except Cancelled:
        if stopped is not None:
            raise stopped from None
        raise


def _began_for_this_run() -> bool:
    """Whether a Prefect worker began this process, and this thread is where signals arrive."""
    return "PREFECT__FLOW_RUN_ID" in os.environ and threading.current_thread() is threading.main_thread()
