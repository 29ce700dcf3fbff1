"""A real Prefect server on SQLite or Postgres, a worker, and their API, each in a process of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.mini import SOURCE, Archive, environment

CHECKOUT = Path(__file__).parents[2]
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    "PREFECT_CLI_COLORS": "false",
}
AS_DEPLOYED = {
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    "PREFECT_CLIENT_MAX_RETRIES": "8",
}
"""What deploy/ sets: a server that dies forgets no slot, and its clients have patience."""

QUICK = {
    "PREFECT_WORKER_QUERY_SECONDS": "0.5",
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
}
"""Polls that wait for a person's patience elsewhere."""

UP_TO_CLIPS = {"stages": ["ingest", "histograms", "clips"], "workers": 1}
"""Parameters of a run that needs neither a model nor tables."""

FINAL = {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Prefect:
    """A server, started and started again over one database; `api` speaks to it.

    Attributes:
        folder: of logs, and of Prefect's own files.
        database: URL of its database.
        archive, root, site: what its deployments are about.
    """

    folder: Path
    database: str
    archive: Path
    root: Path
    site: Path
    port: int = field(default_factory=free_port)
    settings: Mapping[str, str] = field(default_factory=dict)
    server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def environment(self) -> dict[str, str]:
        return environment(
            **QUIET, **QUICK, **AS_DEPLOYED,
            PREFECT_HOME=str(self.folder / "prefect"), PREFECT_API_URL=self.url, PYTHONPATH=str(CHECKOUT),
            PREFECT_SERVER_DATABASE_CONNECTION_URL=self.database,
            WXPIPE_ARCHIVE=str(self.archive), WXPIPE_ROOT=str(self.root), WXPIPE_SATELLITES=str(self.site),
            **self.settings,
        )  # fmt: skip

    def start(self) -> None:
        self.server = self.spawn(
            "server", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)
        )
        wait_for(self._healthy, 180, "the server does not answer", self.folder / "server.log")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.server is not None:
            end_group(self.server, how)
            self.server = None

    def spawn(self, name: str, *module: str, **extra: str) -> subprocess.Popen[bytes]:
        """`python -m` something, in a process group of its own; what it says is appended to a log."""
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *module], env={**self.environment, **extra}, start_new_session=True,
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
            )  # fmt: skip

    def run(self, *command: str, **extra: str) -> str:
        """Runs a command to its end; what it said. Fails the test where it fails."""
        ended = subprocess.run(
            command, env={**self.environment, **extra}, capture_output=True, text=True, check=False, timeout=300,
            cwd=self.folder,
        )  # fmt: skip
        assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
        return ended.stdout

    def prefect(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "prefect", *arguments)

    def setup(self, *options: str, **extra: str) -> str:
        return self.run(sys.executable, str(CHECKOUT / "deploy" / "prefect-setup"), *options, **extra)

    @contextmanager
    def worker(self, **extra: str) -> Iterator[subprocess.Popen[bytes]]:
        """A worker of the pool; it and the flow runs that it began end with the block."""
        process = self.spawn("worker", "prefect", "worker", "start", "--pool", "wxpipe", **extra)
        try:
            yield process
        finally:
            end_group(process, signal.SIGTERM)

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """One request; its document. Asked again where a busy SQLite makes the server say 503, as its clients do."""
        for _ in range(20):
            answer = httpx.request(method, f"{self.url}/{path}", json=body, timeout=30)
            if answer.status_code != 503:
                break
            time.sleep(1)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def deployment(self, name: str) -> Any:
        return self.api("GET", f"deployments/name/{name}/{name}")

    def trigger(self, name: str, **parameters: Any) -> str:
        """Starts a run of a deployment with these parameters; its id."""
        made = self.api(
            "POST", f"deployments/{self.deployment(name)['id']}/create_flow_run", {"parameters": parameters}
        )
        return str(made["id"])

    def flow_run(self, run: str) -> Any:
        return self.api("GET", f"flow_runs/{run}")

    def set_state(self, run: str, kind: str, **details: Any) -> None:
        state = {"type": kind, **details}
        self.api("POST", f"flow_runs/{run}/set_state", {"state": state, "force": False})

    def finished(self, run: str, seconds: float = 240) -> Any:
        """Waits for a flow run to end; the run."""
        found: dict[str, Any] = {}

        def final() -> bool:
            try:
                found.update(self.flow_run(run))
            except httpx.TransportError:  # its server is being started again
                return False
            return found["state_type"] in FINAL

        wait_for(final, seconds, f"flow run {run} does not end", self.folder / "worker.log")
        return found

    def reaches(self, run: str, *kinds: str, seconds: float = 120) -> None:
        wait_for(
            lambda: self.flow_run(run)["state_type"] in kinds, seconds, f"flow run {run} is never {kinds}",
            self.folder / "worker.log",
        )  # fmt: skip

    def task_runs(self, run: str) -> list[Any]:
        found: list[Any] = []
        while True:
            page = self.api(
                "POST", "task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}, "offset": len(found), "limit": 200}
            )
            found += page
            if len(page) < 200:
                return found

    def logs(self, run: str) -> list[str]:
        body = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        return [log["message"] for log in self.api("POST", "logs/filter", body)]

    def artifacts(self, run: str) -> dict[str, Any]:
        found = self.api("POST", "artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
        return {artifact["key"]: artifact for artifact in found}

    def events(self, *names: str) -> list[Any]:
        found = self.api("POST", "events/filter", {"filter": {"event": {"name": list(names)}}, "limit": 50})
        return list(found["events"])

    def _healthy(self) -> bool:
        assert self.server is not None
        assert self.server.poll() is None, (self.folder / "server.log").read_text()[-3000:]
        try:
            return httpx.get(f"{self.url}/health", timeout=5).is_success
        except httpx.TransportError:
            return False


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Debian's Postgres on a free port, its data in a temporary folder; the URL of an empty database.

    Skips where there is none: Debian and Ubuntu have it as `apt-get install postgresql`.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not found:
        pytest.skip("no Postgres under /usr/lib/postgresql: apt-get install postgresql")
    home = folder / "postgres"
    home.mkdir(mode=0o700)
    become: dict[str, Any] = {}
    if os.geteuid() == 0:  # Postgres refuses root
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("no user postgres to run Postgres as: apt-get install postgresql")
        shutil.chown(home, owner.pw_uid, owner.pw_gid)
        become = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        for parent in home.parents:
            if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
    port, data = free_port(), home / "data"
    make = [found[-1] / "initdb", "-D", data, "-U", "wxpipe", "-A", "trust", "-E", "UTF8"]
    subprocess.run(make, **become, cwd=home, check=True, stdout=subprocess.DEVNULL)
    with (folder / "postgres.log").open("wb") as log:
        server = subprocess.Popen(
            [found[-1] / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", home], **become,
            cwd=home, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        there = [str(found[-1] / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "wxpipe"]
        wait_for(
            lambda: subprocess.run(there, check=False).returncode == 0, 60, "Postgres does not answer",
            folder / "postgres.log",
        )  # fmt: skip
        yield f"postgresql+asyncpg://wxpipe@127.0.0.1:{port}/postgres"
    finally:
        end_group(server, signal.SIGINT)


def processes_of(run: str) -> dict[int, str]:
    """Processes of a flow run: its own, and the Dask workers that it began, with their command lines."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if run.encode() in (process / "environ").read_bytes():
                found[int(process.name)] = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return found


def begin(prefect: Prefect, root: Path, archive: Archive) -> str:
    """A backfill that has ingested a day, and goes on."""
    run = prefect.trigger("backfill", root=str(root), archive=str(archive.pictures), **UP_TO_CLIPS)
    ledger = root / "ledger" / "ingest" / SOURCE
    wait_for(lambda: any(ledger.glob("*.json")), 400, "nothing is ingested")
    return run


def wait_for(there: Callable[[], bool], seconds: float, otherwise: str, log: Path | None = None) -> None:
    until = time.monotonic() + seconds
    while not there():
        if time.monotonic() > until:
            said = log.read_text(errors="replace")[-4000:] if log is not None and log.exists() else ""
            pytest.fail(f"{otherwise}, in {seconds:.0f} s\n{said}")
        time.sleep(0.2)


def end_group(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """Signals a process, waits, and leaves nothing of its group behind."""
    if process.poll() is None:
        process.send_signal(how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
