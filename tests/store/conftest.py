"""Places to keep objects in (a folder, a bucket), a small satellite, a root of it, and processes of one's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.s3 import credentials, make_bucket
from wxpipe.satellites.catalog import Source, parse_satellite
from wxpipe.satellites.satellite import Satellite
from wxpipe.store.frames import FrameStore
from wxpipe.store.objects import Objects, open_objects
from wxpipe.store.root import Root, init_root

TINY = """
name = "tiny"
title = "Tiny-1"
imagery = "nobody"
first_day = 2020-02-28
last_day = 2020-03-02
cadence_minutes = 360
[channels.ir]
band = "ir"
label = "IR1"
[channels.wv]
band = "wv"
[channels.vis]
band = "vis"
required = false
[areas.sea]
name = "Some sea"
rows = 12
other_rows = [10]
columns = 10
title_rows = 2
crop_rows = 4
reduce = [4, 5]
[[names]]
pattern = '(?P<channel>[a-z]+)_(?P<area>[a-z]+)_(?P<time>\\d{12})\\.png'
"""


@pytest.fixture
def satellite() -> Satellite:
    """Four slots a day, four days (a leap day among them), three channels, pictures of 12 x 10."""
    return parse_satellite(TINY, "tiny.toml")


@pytest.fixture
def source(satellite: Satellite) -> Source:
    return Source(satellite, "sea")


@pytest.fixture
def s3_url(s3_port: int, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """An empty ``s3://`` folder, and the environment that leads to it."""
    for name, value in credentials(s3_port).items():
        monkeypatch.setenv(name, value)
    return f"{make_bucket(s3_port, request.node.nodeid)}/some/folder"


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty place; a test that asks for it states what holds on both kinds of store."""
    return str(tmp_path / "place") if request.param == "local" else request.getfixturevalue("s3_url")


@pytest.fixture
def objects(place: str) -> Objects:
    return open_objects(place)


@pytest.fixture
def root(tmp_path: Path, satellite: Satellite) -> Root:
    """A local root that knows the small satellite."""
    root = init_root(str(tmp_path / "root"))
    root.adopt({satellite.name: satellite})
    return root


@pytest.fixture
def frames(root: Root, source: Source) -> FrameStore:
    """The small satellite's frames, laid out and empty."""
    store = FrameStore(root, source)
    store.create()
    return store


class Programs:
    """Starts Python programs of a few lines, and ends those that a test left running."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[str]] = []

    def start(self, code: str, *args: object, **environment: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, args)],
            stdin=pipe, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **environment},
        )  # fmt: skip
        self._started.append(process)
        return process

    def run(self, code: str, *args: object, **environment: str) -> tuple[int, str]:
        """Exit status (negative: the signal that ended it) and what it printed."""
        process = self.start(code, *args, **environment)
        printed, complaint = process.communicate(timeout=60)
        if process.returncode > 0:
            raise AssertionError(complaint)
        return process.returncode, printed.strip()

    def race(self, code: str, arguments: Sequence[Sequence[object]]) -> list[str]:
        """Runs one program for each list of arguments, all let go at once; what each printed, in order.

        The program prints a line when it is ready, and waits for one before it starts.
        """
        processes = [self.start(code, *args) for args in arguments]
        for process in processes:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise AssertionError(process.communicate()[1])
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        ended = [process.communicate(timeout=60) for process in processes]
        for process, (_, complaint) in zip(processes, ended, strict=True):
            assert process.returncode == 0, complaint
        return [printed.strip() for printed, _ in ended]

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()


@pytest.fixture
def programs() -> Iterator[Programs]:
    started = Programs()
    yield started
    started.close()


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A temporary folder that any user may enter (pytest's own are closed to others)."""
    folder = Path(tempfile.mkdtemp(prefix="wxpipe-test-"))
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def eventually() -> Callable[..., Any]:
    """Waits, a few seconds at most, until a condition holds."""
    import time

    def wait(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, "it did not come about"
            time.sleep(0.01)
        return value

    return wait
