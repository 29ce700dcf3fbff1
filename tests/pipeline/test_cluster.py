"""Dask workers: a task that kills its worker fails alone, and no more than a window of tasks is in flight."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dask
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from distributed import Client

import wxpipe
from tests.mini import kill_group
from tests.pipeline import fake_stage
from tests.pipeline.dask_hosts import dask_hosts
from tests.pipeline.fake_stage import attempts, context_of, days, partition
from wxpipe.config import RunSettings
from wxpipe.errors import RefusedError, WxpipeError
from wxpipe.pipeline.cluster import WORKER_SETTINGS, open_cluster, open_workers, run_window
from wxpipe.pipeline.events import Event, Note, listening
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers, run_stage
from wxpipe.store.stage import Context

CHECKOUT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("fake_stages")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A local cluster of two workers that know the fake stages; it does not give a task that killed one another try.

    So that innocents fall, too: a day's task is given up together with those that waited for the same worker.
    """
    preload = {"distributed.worker.preload": [fake_stage.__name__]}
    with dask.config.set(preload), pytest.MonkeyPatch.context() as patch:
        patch.setitem(WORKER_SETTINGS, "distributed.scheduler.allowed-failures", 0)
        with open_cluster(workers=2) as address:
            yield address


@pytest.fixture
def client(address: str) -> Iterator[Any]:
    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


def tasks_of(context: Context) -> list[tuple[str, Any, Context]]:
    return [("fake", partition(n + 1), context) for n in range(len(context.options["fake"]))]


def test_days_are_done_by_workers_each_once(address: str, tmp_path: Path) -> None:
    context = context_of(tmp_path, *["ok"] * 12)
    with open_workers(address) as workers:
        results = run_stage("fake", context, Range(), workers)
    assert sorted(result.partition for result in results) == [partition(n) for n in range(1, 13)]
    assert {result.state for result in results} == {"done"}
    assert [attempts(context.root, partition(n)) for n in range(1, 13)] == [1] * 12
    assert len(context.root.ledger.entries("fake")) == 12


def test_days_of_several_months_are_under_way_at_once(address: str, tmp_path: Path) -> None:
    """A month is too small for a cluster: each of these two days ends when the other has begun."""
    context = context_of(tmp_path)
    months = {"2020-01-31": "meets another", "2020-02-01": "meets another"}
    with open_workers(address) as workers:
        results = run_stage("fake", replace(context, options={"fake": months}), Range(), workers)
    assert [(result.state, result.error) for result in results] == [("done", "")] * 2
    assert not any(context.root.leases.is_held(key) for key in context.root.leases.leased())


def test_a_day_that_kills_its_worker_fails_alone(address: str, tmp_path: Path) -> None:
    """Every worker that it is given dies; the days that fell with them are done, and only it is held open."""
    context = context_of(tmp_path, *["ok"] * 3, "kills its worker", *["ok"] * 4)
    with open_workers(address) as workers:
        results = {result.partition: result for result in run_stage("fake", context, Range(), workers)}
    poisonous = results.pop(partition(4))
    assert {result.state for result in results.values()} == {"done"}
    assert len(results) == 7
    assert poisonous.state == "failed"
    assert "killed its worker again and again" in poisonous.error
    entries = context.root.ledger.entries("fake")
    assert {key: e.state for key, e in entries.items() if e.state != "done"} == {partition(4).key: "failed"}
    well = replace(context, options={"fake": days(*["ok"] * 8)})
    with open_workers(address) as workers:
        again = run_stage("fake", well, Range(), workers)
    assert [(result.partition, result.state) for result in again] == [(partition(4), "done")]


def test_a_bug_comes_back_from_a_worker_with_its_trace(address: str, tmp_path: Path) -> None:
    context = context_of(tmp_path, "bug", "ok")
    with open_workers(address) as workers:
        results = run_stage("fake", context, Range(), workers)
    failed = [result for result in results if result.state == "failed"]
    assert len(failed) == 1
    assert "ZeroDivisionError" in failed[0].trace
    assert "fake_stage.py" in failed[0].trace


class Counted:
    """A client that counts what is handed to it."""

    def __init__(self, client: Any) -> None:
        self._client, self.submitted = client, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        self.submitted += 1
        return self._client.submit(*args, **kwargs)


def test_no_more_than_a_window_is_in_flight(client: Any, tmp_path: Path) -> None:
    """What a run holds in memory does not grow with how much there is to do."""
    context = context_of(tmp_path, *["ok"] * 40)
    counted, window = Counted(client), RunSettings().window * 2
    for taken, _ in enumerate(run_window(counted, tasks_of(context))):
        assert counted.submitted - taken <= window
    assert counted.submitted == 40


def test_who_stops_watching_leaves_nobody_writing(client: Any, tmp_path: Path) -> None:
    """A stage that stops at a bug gives its lease back: by then, what had begun is over and nothing else begins."""
    context = context_of(tmp_path, *["ok"] * 40)
    results = run_window(client, tasks_of(context))
    next(results)
    results.close()  # type: ignore[attr-defined]
    done = context.root.ledger.entries("fake").keys()
    client.submit(int, 1, pure=False).result()
    assert context.root.ledger.entries("fake").keys() == done
    assert len(done) < 40


@contextmanager
def cluster_of(monkeypatch: pytest.MonkeyPatch, workers: int, **settings: str) -> Iterator[str]:
    """A local cluster of its own, that knows the fake stages, under settings of `RunSettings`."""
    for name, value in settings.items():
        monkeypatch.setenv(f"WXPIPE_{name.upper()}", value)
    with dask.config.set({"distributed.worker.preload": [fake_stage.__name__]}), open_cluster(workers=workers) as found:
        yield found


def test_a_cluster_without_workers_gets_some_when_there_is_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, notes = context_of(tmp_path, *["naps"] * 6), list[Event]()
    with cluster_of(monkeypatch, 2, workers_least="0") as address, Client(address, set_as_default=False) as client:
        assert client.nthreads() == {}
        with open_workers(address) as workers, listening(notes.append):
            results = run_stage("fake", context, Range(), workers)
    assert [result.state for result in results] == ["done"] * 6
    said = [str(note.what) for note in notes if isinstance(note, Note)]
    assert len(said) == 1
    assert said[0].startswith("waiting for a Dask worker at tcp://")


def test_the_window_follows_a_cluster_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wxpipe.pipeline.cluster.FOLLOW_SECONDS", 0.1)
    context, most = context_of(tmp_path, *["naps"] * 60), list[int]()
    with cluster_of(monkeypatch, 1) as address, Client(address, set_as_default=False) as client:
        counted = Counted(client)
        for taken, _ in enumerate(run_window(counted, tasks_of(context))):
            most.append(counted.submitted - taken)
            if taken == 3:
                assert max(most) <= RunSettings().window
                preload = ["--preload", fake_stage.__name__, "--nthreads", "1", "--no-dashboard", "--nworkers", "2"]
                command = [sys.executable, "-m", "dask", "worker", address, *preload]
                more = subprocess.Popen(command, start_new_session=True, text=True)
                client.wait_for_workers(3, timeout=120)
        kill_group(more)
    assert counted.submitted == 60
    assert max(most) == 3 * RunSettings().window


def test_a_run_gives_up_when_no_worker_ever_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the scheduler, how long it waited, and what to do; the lease is free again."""
    context = context_of(tmp_path, "ok")
    with dask_hosts(tmp_path / "dask") as hosts:
        hosts.scheduler()
        monkeypatch.setenv("WXPIPE_WORKER_WAIT", "1")
        with (
            open_workers(hosts.address) as workers,
            pytest.raises(WxpipeError, match=r"no Dask worker at tcp://.* 1 s"),
        ):
            run_stage("fake", context, Range(), workers)
    assert context.root.leases.try_acquire("fake-x/2020-01") is not None
    assert context.root.ledger.entries("fake") == {}


def test_nobody_at_an_address_is_told_in_plain_words() -> None:
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(WxpipeError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9 "),
        open_workers("tcp://127.0.0.1:9"),
    ):
        pass


@pytest.mark.slow
def test_a_day_that_needs_more_memory_than_a_worker_has_fails_alone_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker is restarted by the nanny before the machine suffers; every other day is done."""
    monkeypatch.setitem(WORKER_SETTINGS, "distributed.scheduler.allowed-failures", 1)
    context = context_of(tmp_path, "ok", "eats memory", "ok", "ok")
    with cluster_of(monkeypatch, 2, worker_memory="700MiB") as address, open_workers(address) as workers:
        results = {result.partition: result for result in run_stage("fake", context, Range(), workers)}
    hungry = results.pop(partition(2))
    assert [result.state for result in results.values()] == ["done"] * 3
    assert hungry.state == "failed"
    assert "more memory than a worker has" in hungry.error
    assert "WXPIPE_WORKER_MEMORY" in hungry.error


def test_a_worker_with_other_code_is_refused(tmp_path: Path) -> None:
    """One comment more is other code: its results would be somebody else's."""
    context = context_of(tmp_path, "ok")
    shutil.copytree(Path(wxpipe.__path__[0]), tmp_path / "old" / "wxpipe")
    with open(tmp_path / "old" / "wxpipe" / "config.py", "a") as file:
        file.write("# an older release\n")
    with dask_hosts(tmp_path / "dask") as hosts:
        hosts.scheduler()
        hosts.worker("old", PYTHONPATH=str(tmp_path / "old"))
        with (
            open_workers(hosts.address) as workers,
            pytest.raises(RefusedError, match="runs other code: wxpipe"),
        ):
            run_stage("fake", context, Range(), workers)
    assert context.root.ledger.entries("fake") == {}


def test_a_worker_that_does_not_see_the_root_is_refused(tmp_path: Path) -> None:
    """An empty folder lies where the root is mounted elsewhere: a mount that is missing on one host."""
    hidden = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {tmp_path / "root"} && exec "$@"', "sh"]
    context = context_of(tmp_path, "ok")
    if shutil.which("unshare") is None or subprocess.run([*hidden, "true"], check=False).returncode:
        pytest.skip("mount namespaces are not permitted here; run as root")
    with dask_hosts(tmp_path / "dask") as hosts:
        hosts.scheduler()
        hosts.worker("blind", on=hidden)
        with open_workers(hosts.address) as workers, pytest.raises(RefusedError, match="is not a wxpipe root"):
            run_stage("fake", context, Range(), workers)


def test_a_cluster_behind_certificates(tmp_path: Path) -> None:
    """Scheduler, worker and runner find them in Dask's configuration; nobody gets in without."""
    context, file = context_of(tmp_path, "ok"), tmp_path / "certificate.pem"
    file.write_bytes(certificate())
    tls = {"distributed.comm.tls.ca-file": str(file), "distributed.comm.tls.client.cert": str(file)}
    names = {"CA_FILE": str(file), **{f"{role}__CERT": str(file) for role in ("SCHEDULER", "WORKER", "CLIENT")}}
    variables = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": value for name, value in names.items()}
    with dask_hosts(tmp_path / "dask") as hosts:
        hosts.scheduler("--protocol", "tls", **variables)
        hosts.worker("safe", "--preload", fake_stage.__name__, PYTHONPATH=str(CHECKOUT), **variables)
        assert hosts.address.startswith("tls://")
        with dask.config.set(tls), open_workers(hosts.address) as workers:
            assert [r.state for r in run_stage("fake", context, Range(), workers)] == ["done"]
        with pytest.raises(WxpipeError, match="certificates"), open_workers(hosts.address):
            pass


def certificate() -> bytes:
    """A key and a certificate that it signed itself, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "wxpipe")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    signed = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + signed.public_bytes(Encoding.PEM)


def test_a_function_is_spread_over_blocks_in_their_order(address: str) -> None:
    with open_workers(address) as workers:
        assert list(workers.map(abs, [-3, 2, -1])) == [3, 2, 1]
    assert list(Workers().map(abs, [-3, 2, -1])) == [3, 2, 1]


def test_workers_are_spawned_and_never_forked() -> None:
    assert WORKER_SETTINGS["distributed.worker.multiprocessing-method"] == "spawn"
    with open_cluster("tcp://somewhere:8786") as given:
        assert given == "tcp://somewhere:8786"
    with open_workers("") as here:
        assert type(here) is Workers
