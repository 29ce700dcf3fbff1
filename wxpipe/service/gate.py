"""The way in: every request passes here, is let in or sent away, and is counted; every answer passes on its way out.

In this order: name of the host, rate, token, body. What is wrong with a request becomes problem JSON; an exception that
nobody expected becomes a 500 without words, and a line of the log with its trace.
"""

from __future__ import annotations

import asyncio
import traceback
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wxpipe.service.access import WAYS, Hosts, Rates, Token
from wxpipe.service.problems import Problem, problem_of
from wxpipe.service.watch import Asked, Watch

OPEN = frozenset({"/health/live", "/health/ready"})
"""Answered without a token, and however often: probes have none, and learn nothing but yes or no."""
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page of this service may load: what this service itself gives, and nothing else."""
ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)


@dataclass(frozen=True)
class Rules:
    """What a request must satisfy.

    Attributes:
        url: the root's, which no answer names.
        body_bytes, body_seconds: the most that a request may bring, and take to bring it.
    """

    url: str
    token: Token | None
    hosts: Hosts
    rates: Rates
    body_bytes: int
    body_seconds: float


class Gate:
    """ASGI around an application."""

    def __init__(self, app: ASGIApp, rules: Rules, watch: Watch) -> None:
        self.app, self.rules, self.watch = app, rules, watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = Asked(uuid.uuid4().hex[:12], (scope["client"] or ("", 0))[0], scope["method"], scope["path"])
        scope.setdefault("state", {})["request_id"] = asked.number
        answer = _Answer(scope, send, asked)
        self.watch.begins()
        try:
            self._admit(scope, asked)
            body = await self._body(scope, receive)
            await self.app(scope, _replay(body, receive), answer.send)
        except Exception as error:
            problem = problem_of(error, self.rules.url)
            if problem.status_code == 500:
                asked.error = "".join(traceback.format_exception(error))
            if not answer.started:
                await problem.response(asked.number)(scope, receive, answer.send)
        finally:
            asked.route = getattr(scope.get("route"), "path", "")
            asked.release = scope["state"].get("release")
            self.watch.ends(asked)

    def _admit(self, scope: Scope, asked: Asked) -> None:
        rules = self.rules
        hosts = _header(scope, b"host")
        if len(hosts) != 1 or not rules.hosts.known(hosts[0]):
            raise Problem(421, "this service is not called by that name; expected localhost, an address, or a name of "
                          "WXPIPE_SERVICE_HOSTS in the header Host")  # fmt: skip
        if scope["path"] in OPEN:
            return
        wait = rules.rates.wait(asked.client)
        if wait:
            raise Problem(
                429, f"too many requests: {rules.rates.rate:g} a second are taken; ask again in {wait} s",
                {"Retry-After": str(wait)},
            )  # fmt: skip
        if rules.token is not None:
            said = _header(scope, b"authorization")
            if len(said) != 1 or not rules.token.allows(said[0]):
                raise Problem(401, "expected the header `Authorization: Bearer TOKEN` with this service's token")

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body, which is small; nothing is worked on before it is there.

        Raises:
            Problem: it is too large, or comes too slowly.
        """
        most, declared = self.rules.body_bytes, _header(scope, b"content-length")
        if declared and int(declared[0]) > most:
            raise _too_large(most)
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self.rules.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Problem(400, "the client left before the end of its request")
                    parts.append(message.get("body", b""))
                    if sum(map(len, parts)) > most:
                        raise _too_large(most)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise Problem(
                408, f"the body did not come within {self.rules.body_seconds:g} s", {"Connection": "close"}
            ) from None


class _Answer:
    """Sends an answer on, with what every answer has."""

    def __init__(self, scope: Scope, send: Send, asked: Asked) -> None:
        self._scope, self._send, self._asked = scope, send, asked
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self._asked.status = message["status"]
            message = {**message, "headers": [*self._headers(message["headers"])]}
        elif message["type"] == "http.response.body":
            self._asked.sent += len(message.get("body", b""))
        await self._send(message)

    def _headers(self, own: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
        found = list(own)
        if self._asked.status == 401:
            yield from ((b"www-authenticate", way.encode()) for way in WAYS)
        names = {name.lower() for name, _ in found}
        yield from found
        yield from ALWAYS
        page = any(value.startswith(b"text/html") for name, value in found if name.lower() == b"content-type")
        yield b"content-security-policy", (PAGE_POLICY if page else API_POLICY).encode()
        yield b"wxpipe-request", self._asked.number.encode()
        release = self._scope["state"].get("release")
        if release is not None:
            yield b"wxpipe-release", str(release).encode()
        if b"cache-control" not in names:
            yield b"cache-control", b"no-store"


def _header(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _too_large(most: int) -> Problem:
    return Problem(413, f"the body is larger than {most:,} bytes, which is the most that is taken")


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that has the body in one piece, and then what the connection says."""
    given = False

    async def replay() -> dict[str, Any]:
        nonlocal given
        if given:
            return dict(await receive())
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
