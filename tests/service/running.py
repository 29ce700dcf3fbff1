"""`wxpipe serve` in a process of its own, and raw sockets to be rude to it with."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.mini import SCRIPT, environment

PATIENCE = 600.0
"""Seconds for whatever a busy machine may do; nothing here is timed."""


@dataclass
class Running:
    """A server that answers."""

    process: subprocess.Popen[str]
    port: int
    client: httpx.Client
    said: list[str] = field(default_factory=list)
    log: Path | None = None

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        return self.client.get(path, params=parameters or None)

    def json(self, path: str, **parameters: Any) -> Any:
        answer = self.get(path, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def alive(self) -> bool:
        """Whether it answers as ever, from a connection of its own."""
        return httpx.get(f"http://127.0.0.1:{self.port}/health/live", timeout=PATIENCE).json() == {"live": True}

    def connect(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        made.settimeout(PATIENCE)
        return made

    def stop(self, number: int = signal.SIGTERM) -> int:
        os.kill(self.process.pid, number)
        return self.process.wait(PATIENCE)

    def lines(self) -> list[dict[str, Any]]:
        assert self.log is not None
        return [json.loads(line) for line in self.log.read_text().split("\n") if line]


@contextmanager
def running(root: Path, *options: str, ready: bool = True, **extra: str) -> Iterator[Running]:
    """A server on a free port; gone when the block ends."""
    process = subprocess.Popen(
        [str(SCRIPT), "serve", "--root", str(root), "--port", "0", *options], env=environment(**extra),
        start_new_session=True, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    said: list[str] = []
    try:
        for line in process.stderr:
            said.append(line)
            match = re.search(r"http://[^ ]*:(\d+) answers for", line)
            if match is not None:
                break
        else:
            raise AssertionError("".join(said))
        threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True).start()
        port = int(match[1])
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            found = Running(process, port, client, said)
            if ready:
                wait_ready(found)
            yield found
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_ready(found: Running) -> None:
    until = time.monotonic() + PATIENCE
    while found.get("/health/ready").status_code != 200:
        assert time.monotonic() < until, "".join(found.said)
        assert found.process.poll() is None, "".join(found.said)
        time.sleep(0.05)


def until_closed(connection: socket.socket) -> bytes:
    """Everything that comes until the other end closes."""
    parts = []
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def request_bytes(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode() + body
