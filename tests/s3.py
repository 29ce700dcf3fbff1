"""S3 endpoints on loopback for tests of every room: moto's in a process of its own, and faulty ones in front of it."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from wxpipe.store.objects import open_objects

PROGRAMS = Path(__file__).parent / "store"
KEY, SECRET = "an-access-key-id", "a-secret-that-nobody-may-read"


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """Port of an S3 endpoint on loopback, in a process of its own."""
    with _serving("s3_endpoint.py") as port:
        yield port


@contextmanager
def faulty(port: int, share: float, seed: int, log: Path | None = None) -> Iterator[str]:
    """URL of an endpoint that passes requests on, and has trouble with a share of them; says its seed."""
    print(f"faults by seed {seed}, {share:.0%} of the requests")
    with _serving("faulty_endpoint.py", port, share, seed, *([log] if log else [])) as there:
        yield url_of(there)


@contextmanager
def _serving(program: str, *arguments: object) -> Iterator[int]:
    command = [sys.executable, str(PROGRAMS / program), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def url_of(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def credentials(port: int) -> dict[str, str]:
    """The environment that leads to an endpoint."""
    return {
        "AWS_ENDPOINT_URL": url_of(port),
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }


def make_bucket(port: int, name: str) -> str:
    """A bucket's URL; its name is made of letters and figures, whatever is given."""
    bucket = f"b{abs(hash((name, os.getpid()))):x}"
    urllib.request.urlopen(urllib.request.Request(f"{url_of(port)}/{bucket}", method="PUT")).close()
    return f"s3://{bucket}"


def upload(folder: Path, url: str) -> None:
    """Puts every file of a folder below a URL."""
    objects = open_objects(url)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: objects.put(path.relative_to(folder).as_posix(), path.read_bytes()), files))
