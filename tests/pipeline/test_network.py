"""Scheduler and two workers as three hosts, network namespaces on one bridge; one is cut off mid-run, then healed.

They share the root, as hosts share an object store, so that who is cut off goes on writing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mini import DAY, UP_TO_CLIPS, Archive, Undisturbed, backfill, digest_of, end, make_archive, start, wxpipe
from tests.pipeline.dask_hosts import DaskHosts, dask_hosts, wait_for
from wxpipe.pipeline.plan import Range, make_plan
from wxpipe.store.root import Root
from wxpipe.store.stage import Context

HOSTS = {"scheduler": "10.77.0.1", "one": "10.77.0.2", "two": "10.77.0.3"}
DAYS = 10


@dataclass(frozen=True)
class Network:
    """Hosts by name: namespaces whose names begin with ``mark``, and a bridge in one more."""

    mark: str

    def on(self, host: str) -> tuple[str, ...]:
        """What goes before a command that a host is to run."""
        return ("ip", "netns", "exec", f"{self.mark}-{host}")

    def make(self) -> None:
        self._run("netns", "add", f"{self.mark}-net")
        self._run("-n", f"{self.mark}-net", "link", "add", "bridge", "type", "bridge")
        self._run("-n", f"{self.mark}-net", "link", "set", "bridge", "up")
        for host, address in HOSTS.items():
            space = f"{self.mark}-{host}"
            self._run("netns", "add", space)
            peer = ("peer", "name", "eth0", "netns", space)
            self._run("-n", f"{self.mark}-net", "link", "add", f"to-{host}", "type", "veth", *peer)
            self._run("-n", f"{self.mark}-net", "link", "set", f"to-{host}", "master", "bridge", "up")
            self._run("-n", space, "address", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                self._run("-n", space, "link", "set", device, "up")

    def cut(self, host: str) -> None:
        self._run("-n", f"{self.mark}-net", "link", "set", f"to-{host}", "down")

    def heal(self, host: str) -> None:
        self._run("-n", f"{self.mark}-net", "link", "set", f"to-{host}", "up")

    def remove(self) -> None:
        for name in (*HOSTS, "net"):
            subprocess.run(["ip", "netns", "delete", f"{self.mark}-{name}"], check=False, capture_output=True)

    def _run(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def network() -> Iterator[Network]:
    if shutil.which("ip") is None:
        pytest.skip("there is no `ip` here: install iproute2")
    made = Network(f"wx{os.getpid()}")
    try:
        made.make()
    except subprocess.CalledProcessError as error:
        made.remove()
        pytest.skip(f"network namespaces are not permitted here; run as root: {error.stderr.strip()}")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def ten_days(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return make_archive(tmp_path_factory.mktemp("ten-days"), DAYS * DAY)


@pytest.fixture(scope="module")
def in_peace(ten_days: Archive, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    root = tmp_path_factory.mktemp("peace") / "root"
    status, said = wxpipe(*backfill(ten_days, root, *UP_TO_CLIPS))
    assert status == 0, said
    return Undisturbed(root, digest_of(root), ())


def start_dask(hosts: DaskHosts, network: Network, workers: Sequence[str] = ("one", "two")) -> None:
    hosts.scheduler("--host", HOSTS["scheduler"], on=network.on("scheduler"))
    for name in workers:
        hosts.worker(name, "--host", HOSTS[name], on=network.on(name))


@pytest.mark.slow
def test_a_worker_that_is_cut_off_and_healed(
    network: Network, ten_days: Archive, in_peace: Undisturbed, tmp_path: Path
) -> None:
    """The scheduler gives it up and hands its days to the other, while it goes on writing what it has in hand.

    When it is back it takes part again, and neither left anything that an undisturbed run would not have.
    """
    root = tmp_path / "root"
    with dask_hosts(tmp_path / "dask") as hosts:
        start_dask(hosts, network)
        command = [*backfill(ten_days, root, *UP_TO_CLIPS), "--scheduler", hosts.address]
        runner = start(*command, on=network.on("scheduler"))
        wait_for(lambda: any(p.startswith("before put frames/") for p in hosts.written("two")), runner)
        network.cut("two")
        at_cut = len(hosts.written("two"))
        wait_for(lambda: "Remove worker addr" in hosts.said("scheduler"), runner)
        ghostly = hosts.written("two")[at_cut:]
        network.heal("two")
        status, said = end(runner)
        assert status == 0, said
        time.sleep(1)  # whatever the ghost still has in hand
    print(f"written while it was cut off: {sum(p.startswith('after put') for p in ghostly)} objects")
    assert any(point.startswith("after put ") for point in ghostly), "it wrote nothing while it was cut off"
    assert digest_of(root) == in_peace.digest
    assert make_plan(Context(Root(str(root))), Range(stages=("ingest", "histograms", "clips"))).work == ()


@pytest.mark.slow
def test_a_worker_that_never_comes_back(
    network: Network, ten_days: Archive, in_peace: Undisturbed, tmp_path: Path
) -> None:
    """A host that is gone: the other does its days."""
    root = tmp_path / "root"
    with dask_hosts(tmp_path / "dask") as hosts:
        start_dask(hosts, network)
        runner = start(
            *backfill(ten_days, root, *UP_TO_CLIPS), "--scheduler", hosts.address, on=network.on("scheduler")
        )
        wait_for(lambda: any(p.startswith("before put frames/") for p in hosts.written("two")), runner)
        network.cut("two")
        status, said = end(runner)
        assert status == 0, said
    assert digest_of(root) == in_peace.digest


@pytest.mark.slow
def test_the_only_worker_is_cut_off_and_the_run_waits_for_it(
    network: Network, ten_days: Archive, in_peace: Undisturbed, tmp_path: Path
) -> None:
    """With nobody left the run does not fail: it says that it waits, and goes on when the host is back."""
    root = tmp_path / "root"
    with dask_hosts(tmp_path / "dask") as hosts:
        hosts.scheduler("--host", HOSTS["scheduler"], on=network.on("scheduler"))
        worker = hosts.worker("one", "--host", HOSTS["one"], on=network.on("one"))
        runner = start(
            *backfill(ten_days, root, *UP_TO_CLIPS), "--scheduler", hosts.address, on=network.on("scheduler")
        )
        wait_for(lambda: any(p.startswith("before put frames/") for p in hosts.written("one")), runner)
        network.cut("one")
        wait_for(lambda: "Remove worker addr" in hosts.said("scheduler"), runner)
        time.sleep(5)
        network.heal("one")
        # A scheduler that heard no heartbeat restarts a worker, and one that was cut off meanwhile may end by that:
        # whoever keeps the host's services up (here: this loop) starts it again.
        while runner.poll() is None:
            if worker.poll() is not None:
                worker = hosts.worker("one", "--host", HOSTS["one"], on=network.on("one"))
            time.sleep(0.2)
        status, said = end(runner)
        assert status == 0, said
        assert "waiting for a Dask worker at tcp://" in said
    assert digest_of(root) == in_peace.digest
