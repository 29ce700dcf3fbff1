"""Who may ask, and how often: the token, the names that this service may be called by, and a rate for each client."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from wxpipe.config import RunSettings
from wxpipe.errors import UsageError

SHORTEST_TOKEN = 16
CLIENTS_KNOWN = 10_000
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::\d{1,5})?")
WAYS = ('Bearer realm="wxpipe"', 'Basic realm="wxpipe", charset="UTF-8"')
"""How a client may say the token; a header each, since browsers read no further than the first of one."""


@dataclass(frozen=True)
class Token:
    """What a client must say; its digest alone is kept, and comparing takes as long whatever is said."""

    digest: bytes

    @classmethod
    def of(cls, text: str) -> Token:
        """Raises UsageError where it is too short to be a secret, or cannot be sent in a header."""
        if text.startswith("change-me"):
            raise UsageError("the service's token is that of the example; put in what `openssl rand -hex 32` prints")
        if len(text) < SHORTEST_TOKEN or not re.fullmatch(r"[!-~]+", text):
            raise UsageError(
                f"the service's token has {len(text)} characters; expected at least {SHORTEST_TOKEN}, letters, digits "
                "and marks without blanks, e.g. what `openssl rand -hex 32` prints"
            )
        return cls(hashlib.sha256(text.encode()).digest())

    def allows(self, authorization: str) -> bool:
        """Whether a header has it: ``Bearer TOKEN``, or ``Basic`` with it as the password, as browsers ask for it."""
        scheme, _, said = authorization.strip().partition(" ")
        found = said.strip()
        if scheme.lower() == "basic":
            try:
                found = base64.b64decode(found, validate=True).decode("utf-8", "replace").partition(":")[2]
            except (binascii.Error, ValueError):
                found = ""
        elif scheme.lower() != "bearer":
            found = ""
        return hmac.compare_digest(hashlib.sha256(found.encode("utf-8", "surrogateescape")).digest(), self.digest)


def required_token(settings: RunSettings) -> Token | None:
    """The token that the settings name; None where anybody on this machine may ask.

    Raises:
        UsageError: the service would be open to others, or the token cannot be had.
    """
    text = settings.service_token.get_secret_value()
    if settings.service_token_file:
        if text:
            raise UsageError("WXPIPE_SERVICE_TOKEN and a token file are both given; give one of them")
        try:
            text = Path(settings.service_token_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"token file {settings.service_token_file}: cannot be read ({error})") from error
        if not text:
            raise UsageError(f"token file {settings.service_token_file} is empty; expected the token")
    if text:
        return Token.of(text)
    if not is_loopback(settings.service_address):
        raise UsageError(
            f"the service would listen on {settings.service_address} for anybody who can reach it; give it a token "
            "(WXPIPE_SERVICE_TOKEN, or --token-file), or let it listen on 127.0.0.1"
        )
    return None


def is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Hosts:
    """The names that this service may be called by.

    An address always is one: what misleads a browser (a foreign page whose name is made to point here) needs a name.
    """

    names: frozenset[str]

    @classmethod
    def of(cls, settings: RunSettings) -> Hosts:
        own = (name.strip().lower() for name in settings.service_hosts.split(","))
        return cls(frozenset({"localhost", *filter(None, own)}))

    def known(self, host: str) -> bool:
        """Whether the header ``Host`` names this service; any port."""
        match = _HOST.fullmatch(host.strip())
        if match is None:
            return False
        name = match[1].lower().rstrip(".")
        if name in self.names:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


@dataclass(frozen=True)
class Proxies:
    """Addresses and networks that speak for many clients, and are believed about whom they speak for."""

    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

    @classmethod
    def of(cls, settings: RunSettings) -> Proxies:
        """Raises UsageError where one is neither an address nor a network."""
        names = [name.strip() for name in settings.service_proxies.split(",") if name.strip()]
        try:
            return cls(tuple(ipaddress.ip_network(name, strict=False) for name in names))
        except ValueError as error:
            raise UsageError(
                f"WXPIPE_SERVICE_PROXIES: {error}; expected addresses, e.g. 10.0.0.7,10.1.0.0/16"
            ) from error

    @property
    def names(self) -> list[str]:
        return [str(network) if network.num_addresses > 1 else str(network[0]) for network in self.networks]

    def have(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.networks if network.version == found.version)


@dataclass
class Rates:
    """A bucket of requests a client: it fills at a rate, up to a burst, and a request takes one out.

    A client is an address; of IPv6 the network of 64 bits, which one client has whole.
    """

    rate: float
    burst: int
    clock: Callable[[], float] = time.monotonic
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def wait(self, address: str) -> int:
        """Takes one request of a client: 0, or the seconds after which it may ask again."""
        client, now = client_of(address), self.clock()
        left, then = self._left.pop(client, (float(self.burst), now))
        left = min(float(self.burst), left + (now - then) * self.rate)
        allowed = left >= 1
        self._left[client] = (left - 1 if allowed else left, now)
        if len(self._left) > CLIENTS_KNOWN:
            self._left.popitem(last=False)
        return 0 if allowed else max(1, math.ceil((1 - left) / self.rate))


def client_of(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return address
