"""Objects behave alike in a folder and in a bucket, and a killed writer leaves the old or the new, never less."""

from __future__ import annotations

import os
import random
import signal
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from wxpipe.errors import NotFoundError, RefusedError, Retry, StoreError, UsageError
from wxpipe.store.objects import LocalObjects, Objects, open_objects
from wxpipe.store.s3 import RemoteObjects

ODD_NAMES = [
    "a b/c d", "기상/위성.png", "100%.png", "a%20b", "x#y?z=1&w", "~/x~y", "[ab]*", "back\\slash", "+plus", "..dots",
]  # fmt: skip


def keys(objects: Objects, prefix: str = "") -> list[str]:
    return sorted(info.key for info in objects.walk(prefix))


# --- on both kinds of store ----------------------------------------------------------------------------------


def test_what_was_put_comes_back_and_is_replaced_whole(objects: Objects) -> None:
    objects.put("a/b/c", b"first, and longer")
    assert objects.get("a/b/c") == b"first, and longer"
    objects.put("a/b/c", b"second")
    assert objects.get("a/b/c") == b"second"
    objects.put("a/b/c", b"")
    assert objects.get("a/b/c") == b""


@pytest.mark.parametrize("key", ["nothing", "no/such/folder", "a", "a/b/c/d"])
def test_what_is_not_there_is_not_found_and_named(objects: Objects, key: str) -> None:
    objects.put("a/b/c", b"x")
    assert not objects.exists(key)
    with pytest.raises(NotFoundError, match=rf"{key}: no such object"):
        objects.get(key)


def test_put_if_absent_keeps_what_is_there(objects: Objects) -> None:
    assert objects.put_if_absent("n/1.json", b"one")
    assert not objects.put_if_absent("n/1.json", b"two")
    assert objects.get("n/1.json") == b"one"
    objects.delete("n/1.json")
    assert objects.put_if_absent("n/1.json", b"three")


RACER = """
import sys
from wxpipe.store.objects import open_objects
objects = open_objects(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
won = [n for n in range(20) if objects.put_if_absent(f"race/{n:02d}", sys.argv[2].encode())]
print(*won)
"""


def test_of_several_processes_exactly_one_wins_each_put_if_absent(place: str, programs: Any) -> None:
    printed = programs.race(RACER, [(place, name) for name in "abcd"])
    won = {name: [int(n) for n in line.splitlines()[-1].split()] if line else []
           for name, line in zip("abcd", printed, strict=True)}  # fmt: skip
    assert sorted(n for numbers in won.values() for n in numbers) == list(range(20))
    objects = open_objects(place)
    for name, numbers in won.items():
        assert {objects.get(f"race/{n:02d}") for n in numbers} <= {name.encode()}


def test_walk_lists_everything_below_a_folder_with_sizes(objects: Objects) -> None:
    for key in ("a/1", "a/b/2", "ab/3", "4"):
        objects.put(key, key.encode())
    assert keys(objects) == ["4", "a/1", "a/b/2", "ab/3"]
    assert keys(objects, "a") == keys(objects, "a/") == ["a/1", "a/b/2"]
    assert keys(objects, "nowhere") == keys(objects, "4") == []
    assert {info.size for info in objects.walk("a/b")} == {5}


def test_the_version_changes_with_the_content(objects: Objects) -> None:
    objects.put("a", b"one")
    (before,) = objects.walk()
    assert list(objects.walk()) == [before]
    time.sleep(0.02)
    objects.put("a", b"two")
    (after,) = objects.walk()
    assert after.version != before.version


def test_names_are_the_files_and_folders_directly_inside_sorted(objects: Objects) -> None:
    for key in ("a/z", "a/b/1", "a/b/2", "ab/3", "4"):
        objects.put(key, b"")
    assert objects.names() == ["4", "a", "ab"]
    assert objects.names("a") == objects.names("a/") == ["b", "z"]
    assert objects.names("nowhere") == objects.names("4") == []


def test_delete_removes_and_is_no_error_where_nothing_is(objects: Objects) -> None:
    objects.put("a/1", b"x")
    objects.delete("a/1")
    objects.delete("a/1")
    objects.delete("nowhere/at/all")
    assert not objects.exists("a/1")
    assert keys(objects) == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_may_hold_any_character(objects: Objects, name: str) -> None:
    objects.put(f"in/{name}", name.encode())
    (found,) = objects.walk("in")
    assert found.key == f"in/{name}"
    assert objects.get(found.key) == name.encode()


KILLED = """
import sys
from wxpipe.store.objects import open_objects
objects = open_objects(sys.argv[1])
objects.put("a/key", b"new" * 1000)
objects.put_if_absent("a/number", b"taken" * 1000)
"""


@pytest.mark.parametrize("point", range(1, 6))
def test_a_writer_killed_at_any_write_point_leaves_the_old_or_the_new(
    place: str, programs: Any, tmp_path: Path, point: int
) -> None:
    objects = open_objects(place)
    objects.put("a/key", b"old" * 1000)
    environment = {"WXPIPE_KILL_AT": f"{point}:{tmp_path / 'token'}", "WXPIPE_WRITE_POINT_LOG": str(tmp_path / "log")}
    status, _ = programs.run(KILLED, place, **environment)
    passed = (tmp_path / "log").read_text().splitlines()
    if isinstance(objects, RemoteObjects) and point == 5:
        assert (status, len(passed)) == (0, 4)  # there is no rename to stand before
    else:
        assert (status, len(passed)) == (-signal.SIGKILL, point)
    assert objects.get("a/key") in (b"old" * 1000, b"new" * 1000)
    assert set(keys(objects)) <= {"a/key", "a/number"}
    assert set(objects.names("a")) <= {"key", "number"}
    if objects.exists("a/number"):
        assert objects.get("a/number") == b"taken" * 1000
    # who was killed once is not killed again, and a second try mends all
    assert programs.run(KILLED, place, **environment)[0] == 0
    assert objects.get("a/key") == b"new" * 1000
    assert objects.get("a/number") == b"taken" * 1000


BESIDE = """
import sys, threading
from wxpipe.store.objects import open_objects
objects = open_objects(sys.argv[1])
def beat():
    for n in range(100):
        objects.put("leases/beat", str(n).encode())
beats = [threading.Thread(target=beat) for _ in range(3)]
for thread in beats:
    thread.start()
for n in range(10):
    objects.put(f"work/{n}", b"")
for thread in beats:
    thread.join()
"""


def test_the_nth_point_of_a_name_is_the_same_whatever_other_threads_write(tmp_path: Path, programs: Any) -> None:
    root, token, log = str(tmp_path / "root"), tmp_path / "token", tmp_path / "log"
    at = {"WXPIPE_KILL_AT": f"4 after put work/:{token}", "WXPIPE_WRITE_POINT_LOG": str(log)}
    assert programs.run(BESIDE, root, **at)[0] == -signal.SIGKILL
    lines = [line.split(" ", 2) for line in log.read_text().splitlines()]
    assert lines[-1][2] == "after put work/3"
    assert [int(number) for _, number, _ in lines] == list(range(1, len(lines) + 1)), "a number was given twice"


def test_a_url_of_another_kind_is_refused() -> None:
    with pytest.raises(UsageError, match=r"gs://x: expected a folder, file:// or s3://"):
        open_objects("gs://x")


# --- in a folder ---------------------------------------------------------------------------------------------

LOOP = """
import sys
from wxpipe.store.objects import open_objects
objects = open_objects(sys.argv[1])
print("ready", flush=True)
while True:
    for letter in (b"a", b"b"):
        objects.put("x/key", letter * 300_000)
"""


def test_a_reader_never_sees_half_an_object_and_a_killed_writer_leaves_none(tmp_path: Path, programs: Any) -> None:
    objects = LocalObjects(tmp_path)
    chance = random.Random(7)
    for _ in range(6):
        process = programs.start(LOOP, tmp_path)
        process.stdout.readline()
        end = time.monotonic() + chance.uniform(0.02, 0.15)
        while time.monotonic() < end:
            if objects.exists("x/key"):
                assert objects.get("x/key") in (b"a" * 300_000, b"b" * 300_000)
        process.kill()
        process.wait()
        assert objects.get("x/key") in (b"a" * 300_000, b"b" * 300_000)
    assert keys(objects) == ["x/key"]
    assert objects.names("x") == ["key"]


def test_a_half_written_file_is_never_listed(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path)
    objects.put("a/key", b"x")
    (tmp_path / "a" / ".key.77-abcd.partial").write_bytes(b"half")
    assert keys(objects) == ["a/key"]
    assert objects.names("a") == ["key"]


def test_a_failed_put_leaves_nothing_behind(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path)
    objects.put("a/folder/inside", b"x")
    with pytest.raises(OSError, match="folder"):
        objects.put("a/folder", b"x")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["folder"]


WALKER = """
import os, sys
from wxpipe.store.objects import LocalObjects
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
objects = LocalObjects(sys.argv[1])
troubles = []
found = sorted(i.key for i in objects.walk(on_error=lambda key, error: troubles.append((key, type(error).__name__))))
print(found, sorted(troubles))
try:
    list(objects.walk())
except OSError:
    print("raised")
"""


def test_what_cannot_be_looked_at_is_told_and_passed_over(public_folder: Path, programs: Any) -> None:
    for name in ("open/1", "closed/2", "listed-only/3"):
        (public_folder / name).parent.mkdir()
        (public_folder / name).write_bytes(b"x")
    (public_folder / "closed").chmod(0o000)
    (public_folder / "listed-only").chmod(0o744)
    (public_folder / "dangling").symlink_to("nowhere")
    (public_folder / "itself").symlink_to("itself")
    if os.getuid():  # as ourselves: not even the owner may
        (public_folder / "listed-only").chmod(0o400)
    status, printed = programs.run(WALKER, public_folder)
    told = [
        ("closed", "PermissionError"), ("dangling", "FileNotFoundError"), ("itself", "OSError"),
        ("listed-only/3", "PermissionError"),
    ]  # fmt: skip
    assert status == 0
    assert printed.splitlines() == [f"{['open/1']} {told}", "raised"]


def test_links_in_a_circle_end_and_no_file_is_listed_twice(tmp_path: Path) -> None:
    inside, outside = tmp_path / "archive", tmp_path / "elsewhere"
    (inside / "b" / "day").mkdir(parents=True)
    (inside / "b" / "day" / "1").write_bytes(b"x")
    (inside / "b" / "day" / "up").symlink_to(inside)
    (inside / "a-link-to-b").symlink_to(inside / "b")
    (outside / "deep").mkdir(parents=True)
    (outside / "2").write_bytes(b"x")
    (outside / "deep" / "3").write_bytes(b"x")
    (outside / "deep" / "back").symlink_to(inside)
    (inside / "z").symlink_to(outside)
    (inside / "y").symlink_to(outside)
    assert [i.key for i in sorted(LocalObjects(inside).walk(), key=lambda i: i.key)] == ["b/day/1", "y/2", "y/deep/3"]


def test_an_archive_behind_a_link_is_walked(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "1").write_bytes(b"x")
    (tmp_path / "archive").symlink_to("real")
    assert keys(LocalObjects(tmp_path / "archive")) == ["1"]


def test_a_file_that_vanishes_while_its_folder_is_walked_is_passed_over(tmp_path: Path) -> None:
    for n in range(4):
        (tmp_path / str(n)).write_bytes(b"x")
    listing = LocalObjects(tmp_path).walk()
    first = next(listing)
    for n in range(4):
        (tmp_path / str(n)).unlink()
    assert [info.key for info in listing] == []
    assert first.size == 1


def test_a_relative_folder_stays_where_it_was_when_the_process_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    objects = open_objects("./root")
    monkeypatch.chdir("/")
    objects.put("a", b"x")
    assert (tmp_path / "root" / "a").read_bytes() == b"x"
    assert open_objects(f"file://{tmp_path}/root").get("a") == b"x"


# --- in a bucket ---------------------------------------------------------------------------------------------


class _Answers(BaseHTTPRequestHandler):
    """Answers everything with one status."""

    status = 400

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _answer  # noqa: N815 - the names of http.server

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def broken_s3(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Objects]:
    handler = type("Handler", (_Answers,), {"status": request.param})
    server: socketserver.BaseServer = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anyone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
    yield open_objects("s3://bucket/folder")
    server.shutdown()
    thread.join()
    server.server_close()


VERBS: dict[str, Callable[[Objects], object]] = {
    "get": lambda o: o.get("k"),
    "exists": lambda o: o.exists("k"),
    "put": lambda o: o.put("k", b"x"),
    "put_if_absent": lambda o: o.put_if_absent("k", b"x"),
    "walk": lambda o: list(o.walk("k")),
    "names": lambda o: o.names("k"),
    "delete": lambda o: o.delete("k"),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("broken_s3", [400], indirect=True)
def test_a_store_in_trouble_asks_for_another_try(broken_s3: Objects, verb: str) -> None:
    with pytest.raises(Retry, match=r"^s3://bucket/folder/k: (read|write|list|delete) failed: .*400"):
        VERBS[verb](broken_s3)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("broken_s3", [401, 403], indirect=True)
def test_a_store_that_says_no_is_not_asked_again(broken_s3: Objects, verb: str) -> None:
    writes = verb in ("put", "put_if_absent", "delete")
    with pytest.raises(StoreError if writes else RefusedError, match="was refused, check the credentials"):
        VERBS[verb](broken_s3)


def test_a_bucket_that_is_not_there_is_named(s3_url: str) -> None:
    nowhere = s3_url.replace("s3://", "s3://not-")
    for verb in ("get", "put", "put_if_absent", "walk", "names", "delete"):
        with pytest.raises(
            (RefusedError, StoreError), match=f"{nowhere}/k: no such bucket; make it, or check its name"
        ):
            VERBS[verb](open_objects(nowhere))


def test_what_is_no_file_is_told_of_and_not_listed(tmp_path: Path) -> None:
    """Whoever reads a pipe waits for ever."""
    (tmp_path / "picture").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    troubles: list[tuple[str, str | None]] = []
    listed = LocalObjects(tmp_path).walk(on_error=lambda key, error: troubles.append((key, error.strerror)))
    assert [info.key for info in listed] == ["picture"]
    assert troubles == [("pipe", "not a regular file")]
    with pytest.raises(OSError, match="not a regular file"):
        list(LocalObjects(tmp_path).walk())
