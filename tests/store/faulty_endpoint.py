"""An HTTP proxy in front of an S3 endpoint that has trouble on purpose: as a program, or as a thread of a test.

As a program: ``faulty_endpoint.py PORT SHARE SEED [LOG]`` prints the port that it listens on, and gives so many of the
requests one fault or another. Which, the seed and the request's number decide. LOG gets a line a request.
"""

from __future__ import annotations

import http.client
import random
import select
import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

Fault = Literal["none", "500", "503", "429", "hang", "reset", "cut", "lost", "lost 500", "403", "403 cold", "409"]
"""A status: that is the answer, and nothing was done. ``hang``: never an answer; ``reset``: the connection breaks off
before; ``cut``: it breaks off within the answer; ``lost``: the request is done and its answer never comes;
``lost 500``: done, and "internal error" is the answer."""
FAULTS: tuple[Fault, ...] = ("500", "503", "429", "hang", "reset", "cut", "lost", "lost 500")
"""Those of the moment."""
HANG_SECONDS = 60.0
MESSAGES = {
    "500": "InternalError",
    "503": "SlowDown",
    "429": "TooManyRequests",
    "403": "InvalidAccessKeyId",
    "403 cold": "InvalidObjectState",
    "409": "ConditionalRequestConflict",
}


@dataclass(frozen=True)
class Request:
    """What a client asks."""

    number: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def creates(self) -> bool:
        """Whether it is a put-if-absent."""
        return self.method == "PUT" and "if-none-match" in self.headers


Decide = Callable[[Request], Fault]


def seeded(share: float, seed: int) -> Decide:
    """Gives a share of the requests a fault, by their numbers."""

    def decide(request: Request) -> Fault:
        chance = random.Random(seed * 1_000_003 + request.number)
        return chance.choice(FAULTS) if chance.random() < share else "none"

    return decide


class Proxy(socketserver.ThreadingTCPServer):
    """Passes requests on, and answers as it was decided."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, backend: int, decide: Decide, tell: Callable[[Request, Fault], None] = lambda *_: None) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.backend, self.decide, self.tell = backend, decide, tell
        self.forgets: frozenset[str] = frozenset()
        """Headers that are not passed on."""
        self.page = 0
        """Keys of a page of a list; 0: as many as the endpoint likes."""
        self._number, self._lock = 0, threading.Lock()

    def number(self) -> int:
        with self._lock:
            self._number += 1
            return self._number

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Connection(socketserver.StreamRequestHandler):
    """One connection of a client, kept until a fault or the client ends it."""

    server: Proxy

    def handle(self) -> None:
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while (request := self._read()) is not None:
                fault = self.server.decide(request)
                self.server.tell(request, fault)
                if not self._answer(request, fault):
                    return
        except (ConnectionError, TimeoutError):
            return

    def _read(self) -> Request | None:
        line = self.rfile.readline().decode("latin-1").split()
        if len(line) < 2:
            return None
        headers = {name.lower(): value for name, value in http.client.parse_headers(self.rfile).items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        return Request(self.server.number(), line[0], line[1], headers, body)

    def _answer(self, request: Request, fault: Fault) -> bool:
        """Whether the connection is kept."""
        if fault == "hang":
            select.select([self.connection], [], [], HANG_SECONDS)  # until the client gives up
            return False
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if fault in MESSAGES:
            self._say_error(fault)
            return True
        head, body = self._pass_on(request)
        if fault == "lost":
            return False
        if fault == "lost 500":
            self._say_error("500")
            return True
        if fault == "cut":
            whole = head + body
            # Half of the body; where there is none, half of the headers.
            self.wfile.write(whole[: len(head) + len(body) // 2] if len(body) > 1 else whole[: len(whole) // 2])
            return False
        self.wfile.write(head + body)
        return True

    def _pass_on(self, request: Request) -> tuple[bytes, bytes]:
        """The endpoint's answer, as it is passed back: (status and headers, body)."""
        behind = http.client.HTTPConnection("127.0.0.1", self.server.backend, timeout=60)
        kept = {n: value for n, value in request.headers.items() if n not in {"connection", *self.server.forgets}}
        page = f"&max-keys={self.server.page}" if self.server.page and "list-type=" in request.path else ""
        behind.putrequest(request.method, request.path + page, skip_host=True, skip_accept_encoding=True)
        for name, value in kept.items():
            behind.putheader(name, value)
        behind.endheaders(request.body)
        answer = behind.getresponse()
        body = answer.read()
        names = [(n, v) for n, v in answer.getheaders() if n.lower() not in ("connection", "transfer-encoding")]
        if not any(name.lower() == "content-length" for name, _ in names):
            names.append(("Content-Length", str(len(body))))
        behind.close()
        lines = [f"HTTP/1.1 {answer.status} {answer.reason}", *(f"{name}: {value}" for name, value in names), "", ""]
        return "\r\n".join(lines).encode("latin-1"), body

    def _say_error(self, status: Fault) -> None:
        body = f"<?xml version='1.0'?>\n<Error><Code>{MESSAGES[status]}</Code><Message>Again, later.</Message></Error>"
        self.wfile.write(
            f"HTTP/1.1 {status[:3]} {MESSAGES[status]}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode("latin-1")
        )


@contextmanager
def proxy(backend: int, decide: Decide) -> Iterator[Proxy]:
    """A proxy as a thread of this process; what it decides may look at every request."""
    server = Proxy(backend, decide)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main() -> None:
    backend, share, seed = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    log = open(sys.argv[4], "a", buffering=1) if len(sys.argv) > 4 else None  # noqa: SIM115 - until it is killed

    def tell(request: Request, fault: Fault) -> None:
        if log is not None:
            log.write(f"{request.number} {fault.replace(' ', '-')} {request.method} {request.path}\n")

    server = Proxy(backend, seeded(share, seed), tell)
    print(server.port, flush=True)
    sys.stderr = open("/dev/null", "w")  # noqa: SIM115 - clients that went away
    server.serve_forever()


if __name__ == "__main__":
    main()
