"""Dask: a local cluster by default, any scheduler by address, and a bounded window of futures over either."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from wxpipe.config import RunSettings
from wxpipe.pipeline.events import Result
from wxpipe.pipeline.run import Task, Workers, execute, record_failure

WORKER_SETTINGS = {
    "distributed.worker.daemon": True,
    "distributed.worker.multiprocessing-method": "spawn",
    "distributed.scheduler.allowed-failures": 3,
}


@contextmanager
def open_cluster(scheduler: str = "", workers: int = 0) -> Iterator[str]:
    """The address of a Dask scheduler: the one given, or that of a local cluster that ends with the block.

    Local workers are processes of one thread, spawned and never forked (LanceDB, torch): a stage is compiled loops
    that use a core each, and BLAS threads must not multiply by workers.
    """
    if scheduler:
        yield scheduler
        return
    import dask
    from distributed import LocalCluster

    settings = RunSettings()
    preload = [*dask.config.get("distributed.worker.preload", []), "wxpipe.pipeline.dask_worker"]
    logging.getLogger("distributed").setLevel(logging.ERROR)  # Prefect turns every library's chatter on
    with (
        dask.config.set({**WORKER_SETTINGS, "distributed.worker.preload": preload}),
        LocalCluster(
            n_workers=workers or settings.workers or os.cpu_count() or 1,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # a port that is free: another run may have a cluster, too
            memory_limit=settings.worker_memory,
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        yield cluster.scheduler_address


@contextmanager
def open_workers(address: str) -> Iterator[Workers]:
    """Workers behind a scheduler's address; an empty one means this process."""
    if not address:
        yield Workers()
        return
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        yield DaskWorkers(client)


class DaskWorkers(Workers):
    """The workers of a Dask cluster, behind a client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(self, tasks: Sequence[Task]) -> Iterator[Result]:
        yield from run_window(self._client, tasks)

    def map(self, function: Callable[..., Any], items: Sequence[Any]) -> Iterable[Any]:
        return list(self._client.gather(self._client.map(function, items, pure=False)))


def run_window(client: Any, tasks: Sequence[Task]) -> Iterator[Result]:
    """Does tasks with a bounded number in flight, as many a worker thread as the settings say.

    A worker that dies is replaced and its task goes again. A task that kills worker after worker comes back as a
    failed result; innocents that fell with it are done again, alone. When the consumer stops, what has not begun is
    taken back and what runs is waited for: nobody writes once the lease is given back.
    """
    from distributed import as_completed

    window = max(2, RunSettings().window * max(1, sum(client.nthreads().values())))
    waiting = list(reversed(tasks))
    running: dict[Any, Task] = {}
    completed = as_completed(loop=client.loop)
    fallen: list[Task] = []

    def submit() -> None:
        while waiting and len(running) < window:
            task = waiting.pop()
            future = client.submit(execute, *task, pure=False)
            running[future] = task
            completed.add(future)

    try:
        submit()
        for future in completed:
            task = running.pop(future)
            if future.status == "finished":
                yield future.result()
            else:
                fallen.append(task)
            submit()
        yield from (_alone(client, task) for task in fallen)
    finally:
        _take_back(client, list(running))


def _take_back(client: Any, futures: list[Any]) -> None:
    """Cancels futures, and waits for those that a worker is in the middle of.

    A task may begin while its cancelling is on its way to the worker, so none is done before two looks say so.
    """
    client.cancel(futures)
    keys, quiet = {future.key for future in futures}, 0
    while keys and quiet < 2:
        begun = client.run(_begun, on_error="return")
        going_on = [keys & found for found in begun.values() if isinstance(found, set)]
        quiet = 0 if any(going_on) else quiet + 1
        time.sleep(0.1)


def _begun(dask_worker: Any) -> set[str]:
    """Keys of what a worker's threads are doing."""
    return set(dask_worker.active_keys)


def _alone(client: Any, task: Task) -> Result:
    """Does a task that fell with a worker again, with nothing beside it; what falls again is at fault itself."""
    try:
        result: Result = client.submit(execute, *task, pure=False).result()
    except Exception as error:
        return record_failure(*task, f"killed its worker again and again: {error}")
    return result
