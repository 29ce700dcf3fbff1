"""Dask: a local cluster by default, any scheduler by address, and a bounded window of futures over either."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import chain
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from wxpipe.config import RunSettings
from wxpipe.errors import RefusedError, WxpipeError
from wxpipe.pipeline.events import Note, Result, tell
from wxpipe.pipeline.execute import Task, execute, record_failure
from wxpipe.pipeline.run import Workers

WORKER_SETTINGS = {
    "distributed.worker.daemon": True,
    "distributed.worker.multiprocessing-method": "spawn",
    "distributed.scheduler.allowed-failures": 3,
}


FOLLOW_SECONDS = 2.0
"""How often a run looks who is there: workers of a cluster come and go."""


@contextmanager
def open_cluster(scheduler: str = "", workers: int = 0) -> Iterator[str]:
    """The address of a Dask scheduler: the one given, or that of a local cluster that ends with the block.

    Local workers are processes of one thread, spawned and never forked (LanceDB, torch): a stage is compiled loops
    that use a core each, and BLAS threads must not multiply by workers. Where `RunSettings.workers_least` is given,
    there are as many as there is work for, between that number and ``workers``.
    """
    if scheduler:
        yield scheduler
        return
    import dask
    from distributed import LocalCluster

    settings = RunSettings()
    most = workers or settings.workers or os.cpu_count() or 1
    least = most if settings.workers_least is None else min(settings.workers_least, most)
    preload = [*dask.config.get("distributed.worker.preload", []), "wxpipe.pipeline.dask_worker"]
    logging.getLogger("distributed").setLevel(logging.ERROR)  # Prefect turns every library's chatter on
    with (
        dask.config.set({**WORKER_SETTINGS, "distributed.worker.preload": preload}),
        LocalCluster(
            n_workers=least,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # a port that is free: another run may have a cluster, too
            memory_limit=settings.worker_memory,
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        if least < most:
            cluster.adapt(minimum=least, maximum=most)
        yield cluster.scheduler_address


@contextmanager
def open_workers(address: str) -> Iterator[Workers]:
    """Workers behind a scheduler's address; an empty one means this process. ``tls://`` takes Dask's certificates.

    Raises:
        WxpipeError: no scheduler answers there.
    """
    if not address:
        yield Workers()
        return
    from distributed import Client

    try:
        client = Client(address, set_as_default=False)
    except (OSError, TypeError, ValueError) as error:
        raise WxpipeError(
            f"no Dask scheduler answers at {address} ({error}); check the address and that it runs, and for tls:// "
            "the certificates that `distributed.comm.tls` names"
        ) from error
    with client:
        yield DaskWorkers(client)


class DaskWorkers(Workers):
    """The workers of a Dask cluster, behind a client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(self, tasks: Iterable[Task]) -> Generator[Result, None, None]:
        yield from run_window(self._client, tasks)

    def map(self, function: Callable[..., Any], items: Sequence[Any]) -> Iterable[Any]:
        return list(self._client.gather(self._client.map(function, items, pure=False)))


def run_window(client: Any, tasks: Iterable[Task]) -> Iterator[Result]:
    """Does tasks with a bounded number in flight, as many a worker thread as the settings say.

    A task is asked for when there is room for it. The number follows the cluster as it grows and shrinks; where there
    is no worker yet, or none any more, a few tasks are there for an adaptive cluster to start some for. A worker that
    dies is replaced and its task goes again. A task that kills worker after worker comes back as a failed result;
    innocents that fell with it are done again, alone. When the consumer stops, what has not begun is taken back and
    what runs is waited for: nobody writes once the lease is given back.

    Raises:
        WxpipeError: no worker came for `RunSettings.worker_wait` seconds.
        RefusedError: a worker runs other code than this process, or sees another root.
    """
    coming = iter(tasks)
    first = next(coming, None)
    if first is not None:
        yield from _Window(client, first, coming).run()


class _Window:
    """Tasks of one stage on their way through a cluster."""

    def __init__(self, client: Any, first: Task, others: Iterator[Task]) -> None:
        self._client = client
        self._waiting = chain([first], others)
        self._running: dict[Any, Task] = {}
        self._ended: Queue[Any] = Queue()
        self._team = _Team(client, first)
        self._size = 0

    def run(self) -> Iterator[Result]:
        fallen: list[Task] = []
        try:
            self._follow()
            while self._running:
                ended = self._await()
                if not ended:
                    self._follow()
                    continue
                tasks = {future: self._running.pop(future) for future in ended}
                finished = [future for future in ended if future.status == "finished"]
                if len(finished) < len(ended):
                    self._follow()  # a worker that cannot take part is told apart from a task that kills
                    fallen += [task for future, task in tasks.items() if future.status != "finished"]
                yield from self._client.gather(finished)  # one answer of the scheduler for all that ended meanwhile
                if self._team.looked_long_ago():
                    self._follow()
                self._submit()
            yield from (_alone(self._client, task) for task in fallen)
        finally:
            self._end()

    def _await(self) -> list[Any]:
        """Futures that have ended: one at least, unless none does for a while."""
        ended: list[Any] = []
        with suppress(Empty):
            ended.append(self._ended.get(timeout=FOLLOW_SECONDS))
            while True:
                ended.append(self._ended.get_nowait())
        return ended

    def _follow(self) -> None:
        """Looks who is there now."""
        self._size = max(2, RunSettings().window * max(1, self._team.look()))
        self._submit()

    def _submit(self) -> None:
        while len(self._running) < self._size and (task := next(self._waiting, None)) is not None:
            future = self._client.submit(execute_packed, pickle.dumps(task), versions(), pure=False)
            self._running[future] = task
            future.add_done_callback(self._ended.put)

    def _end(self) -> None:
        """Takes back what has not begun, and waits for the rest."""
        _take_back(self._client, list(self._running))


class _Team:
    """The workers that are there. Each is asked once whether it runs the same code over the same root."""

    def __init__(self, client: Any, task: Task) -> None:
        self._client, self._task = client, task
        self._known: set[str] = set()
        self._last_seen = self._looked = time.monotonic()
        self._told = False

    def looked_long_ago(self) -> bool:
        return time.monotonic() - self._looked > FOLLOW_SECONDS

    def look(self) -> int:
        """Threads of all workers.

        Raises:
            WxpipeError, RefusedError: see `run_window`.
        """
        threads: dict[str, int] = self._client.nthreads()
        self._looked = time.monotonic()
        if threads:
            self._last_seen, self._told = self._looked, False
            self._ask([address for address in threads if address not in self._known])
        else:
            self._wait()
        return sum(threads.values())

    def _wait(self) -> None:
        """Says once that nobody is there, and gives up at last."""
        address, patience = self._client.scheduler.address, RunSettings().worker_wait
        if self._looked - self._last_seen > patience:
            raise WxpipeError(
                f"no Dask worker at {address} for {patience:g} s, and there is work; start some "
                f"(`dask worker {address}`), or see why an adaptive cluster starts none; WXPIPE_WORKER_WAIT is how "
                "long a run waits"
            )
        if not self._told:
            stage, partition, _ = self._task
            tell(Note(stage, partition, f"waiting for a Dask worker at {address}, for up to {patience:g} s"))
            self._told = True

    def _ask(self, addresses: list[str]) -> None:
        if not addresses:
            return
        _, _, context = self._task
        lease = (context.lease.key, context.lease.epoch) if context.lease is not None else None
        answers = self._client.run(about, context.root.url, lease, workers=addresses, on_error="return")
        mine = versions()
        for address, answer in answers.items():
            if isinstance(answer, OSError):
                continue  # it has gone again
            if isinstance(answer, Exception):
                raise RefusedError(
                    f"Dask worker {address} cannot take part: {type(answer).__name__}: {answer}; every worker needs "
                    f"this version of wxpipe and the root {context.root.url} at the same place"
                )
            different = [f"{n} {answer.get(n)} there, {mine[n]} here" for n in mine if answer.get(n) != mine[n]]
            if different:
                raise RefusedError(
                    f"Dask worker {address} runs other code: {', '.join(different)}; start workers, scheduler and "
                    "runner from one image or environment"
                )
        self._known.update(addresses)


def about(url: str, lease: tuple[str, int] | None) -> dict[str, str]:
    """Runs on a worker: its versions, once it has found the run's lease in its root.

    Raises:
        WxpipeError: the root is not there, or is another one.
    """
    from wxpipe.store.root import Root

    root = Root(url)
    if lease is not None and root.leases.latest(lease[0]) < lease[1]:
        raise WxpipeError(f"{url} is another root on this host: the run's lease {lease[0]} is not in it")
    return versions()


@cache
def versions() -> dict[str, str]:
    """What must be the same in every process of a run: results are made by this code, and travel by these."""
    import distributed

    import wxpipe

    digest, folder = hashlib.sha256(), Path(wxpipe.__path__[0])
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder)}\n".encode() + file.read_bytes())
    return {
        "Python": ".".join(map(str, sys.version_info[:2])),
        "distributed": distributed.__version__,
        "wxpipe's code": digest.hexdigest()[:12],
    }


def execute_packed(task: bytes, of_runner: dict[str, str]) -> Result:
    """Runs on a worker: does a task that travelled as bytes.

    A root is opened where it is unpickled. Done here, one that is not there, or a store that does not answer, fails
    the task; done by Dask, it would break the worker's connection and end worker after worker.

    Raises:
        RefusedError: the runner has other code than this worker, which has not been asked yet.
    """
    if versions() != of_runner:
        raise RefusedError(f"this worker has {versions()}, its runner {of_runner}")
    return execute(*pickle.loads(task))


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
    from distributed import KilledWorker

    before = _memory_restarts(client)
    try:
        with suppress(KilledWorker):  # the worker that it was given may have been dying of another task
            first: Result = client.submit(execute_packed, pickle.dumps(task), versions(), pure=False).result()
            return first
        result: Result = client.submit(execute_packed, pickle.dumps(task), versions(), pure=False).result()
    except Exception as error:
        killed = isinstance(error, KilledWorker)
        why = (
            "killed its worker again and again, as a crash does, and as more memory than a worker has "
            f"(WXPIPE_WORKER_MEMORY, `dask worker --memory-limit`): {error}"
            if killed
            else f"did not begin on its worker: {error}"
        )
        if killed and (restarts := _memory_restarts(client) - before):
            why = (
                f"needs more memory than a worker has: {restarts} workers went over their limit and were restarted; "
                f"give workers more (WXPIPE_WORKER_MEMORY, `dask worker --memory-limit`). {error}"
            )
        return record_failure(*task, why)
    return result


def _memory_restarts(client: Any) -> int:
    """How many workers their nannies have restarted for using too much memory, as far as the scheduler remembers."""
    return len(client.get_events("worker-restart-memory"))
