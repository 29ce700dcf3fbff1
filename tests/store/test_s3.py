"""A bucket in trouble: what fails for the moment is tried again, a lost answer makes a write neither two nor none."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.s3 import KEY, SECRET, url_of
from tests.store.faulty_endpoint import FAULTS, Fault, Proxy, Request, proxy, seeded
from wxpipe.config import RunSettings
from wxpipe.errors import NotFoundError, RefusedError, Retry, StoreError, UsageError
from wxpipe.store import s3
from wxpipe.store.leases import Leases
from wxpipe.store.ledger import Entry, Ledger
from wxpipe.store.meter import metering
from wxpipe.store.objects import open_objects
from wxpipe.store.requests import Request as Asked
from wxpipe.store.requests import Requests
from wxpipe.store.root import init_root
from wxpipe.store.s3 import RemoteObjects, lance_options


@dataclass
class Trouble:
    """A bucket behind an endpoint whose faults a test decides."""

    url: str
    server: Proxy = field(init=False)
    decide: Callable[[Request], Fault] = lambda _: "none"
    seen: list[Request] = field(default_factory=list)

    @property
    def objects(self) -> RemoteObjects:
        return RemoteObjects(self.url)

    def at(self, number: int, fault: Fault, method: str = "") -> None:
        """A fault at the n-th request from now on, of those of a method."""
        count = 0

        def decide(request: Request) -> Fault:
            nonlocal count
            count += request.method == method or not method
            return fault if count == number and request.method == (method or request.method) else "none"

        self.decide = decide


@pytest.fixture
def trouble(s3_url: str, s3_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trouble]:
    """A bucket, and a second of patience with silence."""
    monkeypatch.setenv("WXPIPE_S3_TIMEOUT_SECONDS", "1")
    made = Trouble(s3_url)

    def decide(request: Request) -> Fault:
        made.seen.append(request)
        return made.decide(request)

    with proxy(s3_port, decide) as server:
        made.server = server
        monkeypatch.setenv("AWS_ENDPOINT_URL", url_of(server.port))
        yield made


# --- what is tried again -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
def test_every_verb_outlives_any_fault_of_its_first_request(trouble: Trouble, fault: Fault) -> None:
    objects = trouble.objects
    objects.put("there/1", b"one" * 1000)
    verbs: tuple[Callable[[], object], ...] = (
        lambda: objects.put("a", b"x" * 5000),
        lambda: objects.get("a") == b"x" * 5000,
        lambda: objects.exists("a"),
        lambda: not objects.exists("not-there"),
        lambda: objects.put_if_absent("n/1", b"taken"),
        lambda: not objects.put_if_absent("n/1", b"again"),
        lambda: [info.key for info in objects.walk("there")] == ["there/1"],
        lambda: objects.names("there") == ["1"],
        lambda: objects.delete("a"),
        lambda: not objects.exists("a"),
    )
    for verb in verbs:
        trouble.at(1, fault)
        assert verb() in (None, True)


@pytest.mark.parametrize("fault", ["cut", "500", "hang"])
def test_a_store_that_stays_in_trouble_asks_for_another_try_later(
    trouble: Trouble, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WXPIPE_S3_RETRIES", "2")
    objects = trouble.objects
    objects.put("a", b"x" * 5000)
    trouble.decide = lambda _: fault
    with pytest.raises(Retry, match=rf"^{objects.url}/a: read failed: "):
        objects.get("a")


def test_half_an_answer_is_never_taken_for_the_whole(trouble: Trouble) -> None:
    objects = trouble.objects
    data = bytes(range(256)) * 400
    objects.put("a", data)
    chance = seeded(0.7, 11)
    trouble.decide = lambda request: "cut" if chance(request) != "none" else "none"
    for _ in range(10):
        assert objects.get("a") == data


def test_a_list_of_several_pages_is_whole_whatever_page_breaks_off(trouble: Trouble) -> None:
    keys = [f"in/{n:04d}" for n in range(25)]
    for key in keys:
        trouble.objects.put(key, b"x")
    trouble.server.page = 10
    trouble.seen.clear()
    for number in (1, 2, 3):
        trouble.at(number, "cut", "GET")
        assert [info.key for info in trouble.objects.walk("in")] == keys
        assert trouble.objects.names("in") == [key.removeprefix("in/") for key in keys]
    assert len(trouble.seen) > 3 * (3 + 3)


def test_many_are_asked_for_at_once_and_come_in_order(trouble: Trouble) -> None:
    objects = trouble.objects
    keys = [f"m/{n:03d}" for n in range(80)]
    for key in keys:
        objects.put(key, key.encode())
    waiting, most, lock = 0, 0, threading.Lock()

    def slow(_: Request) -> Fault:
        nonlocal waiting, most
        with lock:
            waiting, most = waiting + 1, max(most, waiting + 1)
        time.sleep(0.05)
        with lock:
            waiting -= 1
        return "none"

    trouble.decide = slow
    assert list(objects.get_many([*keys, "m/not-there"])) == [*(key.encode() for key in keys), None]
    assert most > 8


# --- put-if-absent whose answer was lost ---------------------------------------------------------------------

LOST: tuple[Fault, ...] = ("lost", "lost 500", "cut")


@pytest.mark.parametrize("fault", LOST)
def test_a_put_if_absent_whose_answer_was_lost_has_won(trouble: Trouble, fault: Fault) -> None:
    trouble.at(1, fault, "PUT")
    assert trouble.objects.put_if_absent("n/1", b"mine")
    assert sum(request.creates for request in trouble.seen) > 1, "the client was not made to try again"


@pytest.mark.parametrize("fault", LOST)
def test_a_put_if_absent_that_came_second_has_lost_though_it_says_the_same(trouble: Trouble, fault: Fault) -> None:
    """Equal bytes prove nothing: two threads of one process take a lease with the same words."""
    assert trouble.objects.put_if_absent("n/1", b"the same")
    trouble.at(1, fault, "PUT")
    assert not trouble.objects.put_if_absent("n/1", b"the same")


def test_a_conflict_that_left_nothing_is_tried_again(trouble: Trouble) -> None:
    """S3 answers 409 where another conditional write is under way; the client takes that for "it is there"."""
    objects = trouble.objects
    tries = 0

    def conflict(request: Request) -> Fault:
        nonlocal tries
        tries += request.creates
        return "409" if request.creates and tries == 1 else "none"

    trouble.decide = conflict
    assert objects.put_if_absent("n/1", b"mine")
    assert tries == 2
    assert objects.get("n/1") == b"mine"


@pytest.mark.parametrize("fault", LOST)
def test_a_lease_whose_taking_got_no_answer_is_held_and_no_epoch_is_skipped(trouble: Trouble, fault: Fault) -> None:
    leases = Leases(trouble.objects, 600)
    trouble.at(1, fault, "PUT")
    lease = leases.try_acquire("scan")
    assert lease is not None
    assert lease.epoch == leases.latest("scan") == 1
    assert leases.try_acquire("scan") is None
    leases.check(lease)


@pytest.mark.parametrize("fault", LOST)
def test_a_request_whose_recording_got_no_answer_is_recorded_once(trouble: Trouble, fault: Fault) -> None:
    trouble.at(1, fault, "PUT")
    requests = Requests(trouble.objects)
    assert requests.record(Asked("reprocess", "to see")).number == 1
    assert [request.number for request in requests.all()] == [1]


def test_of_many_that_race_through_faults_exactly_one_wins_each_number(trouble: Trouble) -> None:
    trouble.decide = seeded(0.3, seed := 20260101)
    print(f"seed {seed}")
    won: dict[int, list[int]] = {number: [] for number in range(12)}

    def race(who: int) -> None:
        objects = trouble.objects
        for number in won:
            if objects.put_if_absent(f"n/{number}", b"equal words"):
                won[number].append(who)

    threads = [threading.Thread(target=race, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: len(winners) for number, winners in won.items()} == dict.fromkeys(won, 1)


def test_a_store_that_does_not_know_conditional_writes_is_refused_before_a_root_is_made(trouble: Trouble) -> None:
    trouble.server.forgets = frozenset({"if-none-match"})
    with pytest.raises(RefusedError, match="two runs would overwrite each other"):
        init_root(trouble.url)
    assert list(trouble.objects.walk()) == []
    trouble.server.forgets = frozenset()
    init_root(trouble.url)
    assert [info.key for info in trouble.objects.walk()] == ["wxpipe.toml"]


# --- zarr, Lance ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
def test_arrays_are_read_through_any_fault(trouble: Trouble, fault: Fault) -> None:
    from wxpipe.store.s3_zarr import BucketFolder

    root = init_root(trouble.url)
    memory: dict[str, zarr.core.buffer.Buffer] = {}
    array = zarr.create_array(zarr.storage.MemoryStore(memory), name="a", shape=(8, 4), chunks=(2, 4),
                              shards=(4, 4), dtype="u2")  # fmt: skip
    array[:] = values = np.arange(32).reshape(8, 4)
    zarr.open_group(zarr.storage.MemoryStore(memory), mode="a")
    for name, buffer in memory.items():
        root.objects.put(f"group/{name}", buffer.to_bytes())
    chance = seeded(0.3, 5)
    trouble.decide = lambda request: fault if chance(request) != "none" else "none"
    with metering() as meter:
        found = root.group("group")["a"]
        assert np.array_equal(found[2:7], values[2:7])
    assert meter.reads > 4, "the two documents, the indexes of two shards, and what they hold"
    assert list(root.group("group").array_keys()) == ["a"]
    with pytest.raises(NotFoundError, match="no such Zarr group"):
        root.group("nothing")
    store = root.zarr_store("group")
    assert isinstance(store, BucketFolder)
    assert pickle.loads(pickle.dumps(store)) == store
    with pytest.raises(ValueError, match="read-only"):
        zarr.open_group(store, mode="a")


def test_a_store_in_trouble_is_no_damaged_array(trouble: Trouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WXPIPE_S3_RETRIES", "1")
    from wxpipe.store.s3_zarr import BucketFolder

    trouble.objects.exists("x")
    trouble.decide = lambda _: "500"
    with pytest.raises(Retry, match="read failed"):
        zarr.open_group(BucketFolder(f"{trouble.url}/group"), mode="r")


def test_settings_reach_every_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://somewhere")
    for name, value in (("RETRIES", "3"), ("RETRY_SECONDS", "40"), ("TIMEOUT_SECONDS", "5")):
        monkeypatch.setenv(f"WXPIPE_S3_{name}", value)
    settings = RunSettings()
    assert (settings.s3_retries, settings.s3_retry_seconds, settings.s3_timeout_seconds) == (3, 40, 5)
    store = s3.open_s3("s3://bucket/a folder/below")
    assert store.prefix == "a folder/below"
    assert store.retry_config is not None
    assert store.retry_config["max_retries"] == 3
    assert store.retry_config["retry_timeout"].total_seconds() == 40
    assert store.client_options is not None
    assert store.client_options["allow_http"] == "false"
    assert lance_options() == {
        "allow_http": "false", "read_timeout": "5.0s", "timeout": "50.0s", "client_max_retries": "3",
        "client_retry_timeout": "40", "download_retry_count": "3",
    }  # fmt: skip


# --- what is wrong, not busy ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [f"s3://{KEY}:{SECRET}@bucket/root", f"s3://{SECRET}@bucket", f"s3://bucket/root?X-Amz-Signature={SECRET}",
     f"gs://{KEY}:{SECRET}@bucket"],
)  # fmt: skip
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="give them in the environment") as caught:
        open_objects(url)
    assert SECRET not in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_url_without_a_bucket_is_refused() -> None:
    with pytest.raises(UsageError, match="found no bucket"):
        open_objects("s3://")


def test_an_at_sign_in_a_folder_is_a_name(s3_url: str) -> None:
    objects = open_objects(f"{s3_url}/user@place")
    objects.put("a", b"x")
    assert [info.key for info in open_objects(s3_url).walk()] == ["user@place/a"]


def test_an_endpoint_that_is_not_there_is_told_soon(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(Retry, match=r"is the store up, and is this its address\? \(http://127.0.0.1:9\)"):
        open_objects(s3_url).get("wxpipe.toml")


def test_a_wrong_key_is_told_without_any_key(trouble: Trouble) -> None:
    trouble.decide = lambda _: "403"
    for verb in (lambda o: o.get("a"), lambda o: o.put("a", b""), lambda o: list(o.walk()), lambda o: o.names()):
        with pytest.raises((RefusedError, StoreError), match=r"refused, check the .*InvalidAccessKeyId") as caught:
            verb(trouble.objects)
        text = f"{caught.value} {caught.value.__cause__}"
        assert SECRET not in text
        assert KEY not in text
    assert len(trouble.seen) == 4, "a store that says no was asked again"


def test_an_object_in_cold_storage_is_one_that_may_not_be_read_now(trouble: Trouble) -> None:
    """Ingest puts it aside, and looks again with the next scan; the credentials are not doubted."""
    trouble.objects.put("a", b"x")
    trouble.decide = lambda _: "403 cold"
    with pytest.raises(PermissionError, match="cold storage, restore it first"):
        trouble.objects.get("a")


def test_no_credentials_at_all_are_told_soon(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")  # where a role's credentials would come from
    with pytest.raises(RefusedError, match="needs credentials, and none were found; set AWS_ACCESS_KEY_ID"):
        open_objects(s3_url).get("a")


def test_a_profile_of_a_file_is_used(trouble: Trouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "credentials"
    file.write_text("[site]\naws_access_key_id = key-of-the-site\naws_secret_access_key = x\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "site")
    trouble.objects.put("a", b"x")
    assert "Credential=key-of-the-site/" in trouble.seen[-1].headers["authorization"]


def test_no_secret_is_in_what_is_written(trouble: Trouble) -> None:
    """Leases, ledger, requests: every object that says who and where."""
    objects = trouble.objects
    lease = Leases(objects, 600).try_acquire("scan")
    assert lease is not None
    Requests(objects).record(Asked("reprocess", "to see"))
    Ledger(objects).put(Entry("ingest", "tiny-sea/2020-03-01", "failed", "f", error="s3 said no"))
    for data in objects.get_many([info.key for info in objects.walk()]):
        assert data is not None
        assert SECRET.encode() not in data
        assert KEY.encode() not in data
    for made in (objects, s3.open_s3(trouble.url)):
        assert SECRET not in repr(made)
    assert SECRET.encode() not in pickle.dumps(s3.open_s3(trouble.url))
    assert SECRET not in str(lance_options())
