"""Runs the service: takes the socket, opens the root, answers until it is told to stop, ends what is under way."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from collections.abc import Iterator
from types import FrameType

import uvicorn

from wxpipe.config import RunSettings
from wxpipe.errors import WxpipeError
from wxpipe.pipeline.logs import log_line
from wxpipe.service.access import Proxies
from wxpipe.service.app import make_app
from wxpipe.service.patience import HEAD_BYTES, Patience, patient_protocol
from wxpipe.service.state import Service
from wxpipe.store.root import Root

BACKLOG = 256


def serve(root: Root, settings: RunSettings) -> None:
    """Answers requests until the process is told to stop (SIGTERM, SIGINT).

    Raises:
        UsageError: it would be open to others without a token.
        WxpipeError: the address cannot be had.
    """
    proxies = Proxies.of(settings)
    service = Service.of(root.url, settings)
    app = make_app(service)  # refuses before anything listens
    listening = _listen(settings.service_address, settings.service_port)
    patience = Patience(
        settings.service_slow_seconds, settings.service_connections, settings.service_client_connections, proxies
    )
    config = uvicorn.Config(
        app,
        http=patient_protocol(patience),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies.names),
        forwarded_allow_ips=proxies.names,
        timeout_keep_alive=max(1, round(settings.service_slow_seconds)),
        timeout_graceful_shutdown=max(1, round(settings.service_stop_seconds)),
        h11_max_incomplete_event_size=HEAD_BYTES,
        backlog=BACKLOG,
    )
    host, port = listening.getsockname()[:2]
    place = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    print(f"{place} answers for {root.url}", file=sys.stderr, flush=True)
    log_line("serving", address=host, port=port, root=root.url)
    service.follower.start()
    try:
        _Server(config).run(sockets=[listening])
    finally:
        service.stop()
        log_line("stopped")


class _Server(uvicorn.Server):
    """Uvicorn's, but that being told to stop is a good end, and no death by a signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._told) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _told(self, number: int, frame: FrameType | None) -> None:
        """The second time it ends at once."""
        self.force_exit = self.should_exit
        self.should_exit = True


def _listen(address: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        WxpipeError: it cannot be had.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # Named in full: of a protocol left open asyncio does not set TCP_NODELAY, and the body of an answer then waits
        # until the client has acknowledged its head, 40 ms.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(BACKLOG)
    except OSError as error:
        raise WxpipeError(
            f"the service cannot listen on {address}:{port} ({error.strerror}); is another one there? Choose another "
            "--port, or --address"
        ) from error
    listening.set_inheritable(False)
    return listening
