"""A Dask scheduler and workers as processes of their own, each on a host of its own where a test has made some."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.mini import environment, kill_group

DASK = Path(sys.executable).with_name("dask")

IMPATIENT = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "8s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "12s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s",
}
"""A scheduler that gives a silent worker up after seconds, where it would wait for minutes."""


@dataclass
class DaskHosts:
    """Processes that end with the block that made them. ``on`` goes before a command: what makes it another host's."""

    folder: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "scheduler.json"

    @property
    def address(self) -> str:
        return str(json.loads(self.file.read_text())["address"])

    def scheduler(self, *options: str, on: Sequence[str] = (), **extra: str) -> None:
        """Starts the scheduler, and waits until it listens."""
        where = options if "--host" in options else ("--host", "127.0.0.1", *options)
        ports = ("--port", "0", "--dashboard-address", ":0")
        process = self._start(on, "scheduler", *ports, "--scheduler-file", str(self.file), *where, **extra)
        wait_for(lambda: self.file.exists() and self.file.read_text().rstrip().endswith("}"), process)

    def worker(self, name: str, *options: str, on: Sequence[str] = (), **extra: str) -> subprocess.Popen[str]:
        """Starts a worker of one thread; its write points are in ``<name>.log``."""
        log = {"WXPIPE_WRITE_POINT_LOG": str(self.folder / f"{name}.log")}
        common = ("--nthreads", "1", "--no-dashboard", "--local-directory", str(self.folder / name), "--name", name)
        return self._start(on, "worker", "--scheduler-file", str(self.file), *common, *options, **log, **extra)

    def written(self, name: str) -> list[str]:
        """Write points that a worker has passed."""
        log = self.folder / f"{name}.log"
        return [line.split(" ", 2)[2] for line in log.read_text().splitlines()] if log.exists() else []

    def said(self, kind: str) -> str:
        """What the processes of a kind, ``scheduler`` or ``worker``, have said."""
        return "\n".join(file.read_text() for file in sorted(self.folder.glob(f"{kind}-*.txt")))

    def _start(self, on: Sequence[str], kind: str, *arguments: str, **extra: str) -> subprocess.Popen[str]:
        with open(self.folder / f"{kind}-{len(self.processes)}.txt", "w") as output:
            process = subprocess.Popen(
                [*on, str(DASK), kind, *arguments], env=environment(**{**IMPATIENT, **extra}),
                start_new_session=True, text=True, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.processes.append(process)
        return process


@contextmanager
def dask_hosts(folder: Path) -> Iterator[DaskHosts]:
    folder.mkdir()
    hosts = DaskHosts(folder)
    try:
        yield hosts
    finally:
        for process in reversed(hosts.processes):
            kill_group(process)


def wait_for(reached: Callable[[], object], process: subprocess.Popen[str] | None = None, seconds: float = 120) -> None:
    """Waits until something has come about, while a process (if one is named) is alive."""
    ends = time.monotonic() + seconds
    while not reached():
        assert process is None or process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.01)


def stands_still(process: subprocess.Popen[str]) -> bool:
    """Whether a process is stopped (SIGSTOP): it keeps what it holds, and does nothing."""
    return Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
