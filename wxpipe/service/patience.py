"""The connections of the service: uvicorn's, with deadlines for clients that send or read too slowly, and with limits.

Uvicorn itself waits for ever for the head of a request, for a body, and for a client to read its answer; only a
connection that is idle between two requests is closed by it. How long a body may take is the gate's (`gate`).
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from wxpipe.service.access import Proxies, client_of
from wxpipe.service.problems import MEDIA_TYPE

HEAD_BYTES = 16 << 10
LINGER_SECONDS = 2.0
"""For how long the rest of a body is read and thrown away that was answered before its end: closing at once would
take the answer from the client, too."""


@dataclass(frozen=True)
class Patience:
    """What a connection may take.

    Attributes:
        slow_seconds: to send a head, or to read an answer.
        connections, of_client: at once, of all clients and of one.
        proxies: stand for many clients each.
    """

    slow_seconds: float
    connections: int
    of_client: int
    proxies: Proxies


def patient_protocol(patience: Patience) -> type[H11Protocol]:
    """Uvicorn's protocol for HTTP/1.1, with deadlines."""
    there: Counter[str] = Counter()

    class PatientProtocol(H11Protocol):
        """One connection."""

        _timers: dict[str, asyncio.TimerHandle]
        _counted: str

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._timers, self._counted = {}, client_of(self.client[0]) if self.client else ""
            there[self._counted] += 1
            of_client = 0 if patience.proxies.have(self._counted) else there[self._counted]
            if len(self.connections) > patience.connections or of_client > patience.of_client:
                transport.abort()
                return
            self._within("head", patience.slow_seconds)

        def connection_lost(self, exc: Exception | None) -> None:
            for name in list(self._timers):
                self._in_time(name)
            there[self._counted] -= 1
            if not there[self._counted]:
                del there[self._counted]
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            try:
                super().data_received(data)
            except h11.LocalProtocolError:  # nonsense after a request whose answer is under way
                self.transport.abort()
                return
            if self.conn.their_state is h11.IDLE:
                self._within("head", patience.slow_seconds)
            else:
                self._in_time("head")
            if self.conn.their_state is not h11.SEND_BODY:
                self._in_time("rest")

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.conn.their_state is h11.SEND_BODY:
                self._within("rest", LINGER_SECONDS)
            if self.transport.get_write_buffer_size():
                self._in_time("last")
                self._within("last", patience.slow_seconds)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._within("answer", patience.slow_seconds)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._in_time("answer")

        def send_400_response(self, msg: str) -> None:
            """As uvicorn's, in the form of every other error."""
            problem = {
                "type": "about:blank", "title": "Bad Request", "status": 400,
                "detail": f"{msg} Expected HTTP/1.1, a head of at most {HEAD_BYTES >> 10} KiB",
            }  # fmt: skip
            body = json.dumps(problem).encode()
            headers = [("content-type", MEDIA_TYPE), ("content-length", str(len(body))), ("connection", "close")]
            for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

        def _within(self, name: str, seconds: float) -> None:
            """Closes the connection after some seconds, unless it is told in time; a second call adds no time."""
            if name not in self._timers:
                self._timers[name] = self.loop.call_later(seconds, self._too_slow, name)

        def _in_time(self, name: str) -> None:
            timer = self._timers.pop(name, None)
            if timer is not None:
                timer.cancel()

        def _too_slow(self, name: str) -> None:
            self._timers.pop(name, None)
            unread = self.transport.get_write_buffer_size() > 0
            over = {
                "head": self.conn.their_state is h11.IDLE,
                "rest": self.conn.their_state is h11.SEND_BODY,
                "answer": unread,
                "last": unread and self.cycle.response_complete,  # else another request came, and is under way
            }
            if over[name]:
                self.transport.abort()

    return PatientProtocol
