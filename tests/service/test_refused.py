"""Clients that the service is not for: without the token, from a foreign page, too many, too large, too slow, crafty.

Each is sent away, and the service answers others as before.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from tests.service.running import PATIENCE, Running, request_bytes, running, until_closed
from tests.vectors.tiny_root import SOURCE, TinyRoot
from wxpipe.cli.app import app
from wxpipe.config import RunSettings
from wxpipe.errors import UsageError
from wxpipe.service.access import Hosts, Proxies, Rates, Token, client_of, required_token
from wxpipe.service.problems import told, without_places
from wxpipe.service.work import Kept
from wxpipe.vectors.where import checked_condition_text

SECRET = "9f86d081884c7d659a2feaa0c55ad015"
SLOW = 0.5
SMALL = 4096


@pytest.fixture(scope="module")
def guarded(tiny: TinyRoot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a token, and with little patience."""
    log = tmp_path_factory.mktemp("guarded") / "service.log"
    limits = {"SLOW_SECONDS": SLOW, "BODY_BYTES": SMALL, "RATE": 1000, "BURST": 2000, "CLIENT_CONNECTIONS": 20}
    with running(Path(tiny.root.url), WXPIPE_LOG=str(log), WXPIPE_SERVICE_TOKEN=SECRET,
                 **{f"WXPIPE_SERVICE_{name}": str(value) for name, value in limits.items()}) as found:  # fmt: skip
        found.log = log
        found.client.headers["Authorization"] = f"Bearer {SECRET}"
        yield found
        assert found.alive()
        assert found.json("/v1/search", satellite="tiny", at="latest")["analogs"]
        assert SECRET not in log.read_text() + "".join(found.said)


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer wrong", f"Bearer {SECRET}0", f"Bearer {SECRET[:-1]}", SECRET, f"Digest {SECRET}",
     "Basic !!!", "Basic " + base64.b64encode(b"user:wrong").decode(), "Bearer " + "x" * 10_000, "Bearer \xff"],
    ids=range(11),
)  # fmt: skip
def test_another_token_is_refused(guarded: Running, header: str) -> None:
    for path in ("/v1/sources", "/metrics", "/v1/openapi.json", "/v1/nothing"):
        sent = {"Authorization": header.encode("latin-1")} if header else {"Authorization": b""}
        answer = guarded.client.get(path, headers=sent)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "Authorization: Bearer TOKEN" in answer.json()["detail"]


def test_the_token_opens_in_either_form(guarded: Running) -> None:
    basic = base64.b64encode(f"anybody:{SECRET}".encode()).decode()
    for header in (f"Bearer {SECRET}", f"bearer  {SECRET}", f"Basic {basic}"):
        assert guarded.client.get("/v1/sources", headers={"Authorization": header}).status_code == 200


def test_health_needs_no_token_and_tells_nothing(guarded: Running) -> None:
    for path, told_ in (("/health/live", {"live": True}), ("/health/ready", {"ready": True})):
        answer = guarded.client.get(path, headers={"Authorization": ""})
        assert (answer.status_code, answer.json()) == (200, told_)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "localhost@evil", "a b"])
def test_a_foreign_page_whose_name_points_here_is_sent_away(guarded: Running, host: str) -> None:
    answer = guarded.client.get("/v1/sources", headers={"Host": host})
    assert answer.status_code == 421
    assert "header Host" in answer.json()["detail"]


TRAVERSALS = (
    "/../../../../etc/passwd", "/v1/../../etc/passwd", "/v1/frames/..%2f..%2f..%2fetc%2fpasswd/x/y.png",
    "/v1/frames/%2e%2e/%2e%2e/etc.png", f"/v1/frames/{SOURCE}/20110303T0800Z/..%2F..%2Fwxpipe.toml.png",
    f"/v1/frames/{SOURCE}/20110303T0800Z/%2e%2e%2fwxpipe.png", "/v1/clips/..%5c..%5c/x/6h20", "//etc/passwd",
    f"/v1/clips/{SOURCE}/20110303T0800Z/6h20%00.png/ir01.webp", "/v1/frames/%c0%ae%c0%ae/x", "/v1/releases/..%2f1",
    "/v1/frames/" + "a" * 5000 + "/x", "/static/../../wxpipe.toml", "/wxpipe.toml", "/v1/%2fetc%2fpasswd",
)  # fmt: skip


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_of_a_request_reaches_a_file(guarded: Running, path: str) -> None:
    with guarded.connect() as connection:
        connection.sendall(request_bytes("GET", path, f"Authorization: Bearer {SECRET}", "Connection: close"))
        answer = until_closed(connection)
    assert re.match(rb"HTTP/1.1 4(04|22) ", answer), answer[:200]
    assert b"root:" not in answer
    assert b"[satellites" not in answer


NONSENSE = (
    b"\r\n\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 100,
    request_bytes("GET", "/v1/sources", "Host: two"), b"GET /v1/sources HTTP/1.1\r\n\r\n",
    request_bytes("POST", "/v1/search", "Content-Length: -1"),
    request_bytes("POST", "/v1/search", "Content-Length: 9e9"),
    request_bytes("POST", "/v1/search", "Content-Length: 3", "Transfer-Encoding: chunked"),
    request_bytes("GET", "/v1/sources", "X: " + "y" * 40_000), b"GET /" + b"a" * 70_000,
    request_bytes("GET", "/v1/sources", *(f"X{n}: y" for n in range(3000))),
    request_bytes("POST", "/v1/search", "Transfer-Encoding: chunked", body=b"zz\r\n"),
)  # fmt: skip


@pytest.mark.parametrize("said", NONSENSE, ids=range(len(NONSENSE)))
def test_what_is_no_http_is_answered_or_cut_off(guarded: Running, said: bytes) -> None:
    with guarded.connect() as connection:
        connection.sendall(said)
        answer = until_closed(connection)
    assert not answer or re.match(rb"HTTP/1.1 4\d\d ", answer), answer[:200]
    assert guarded.alive()


def test_a_body_that_is_too_large_is_refused_before_it_came(guarded: Running) -> None:
    answer = guarded.client.post("/v1/search", content=b" " * (SMALL + 1))
    assert answer.status_code == 413
    assert f"{SMALL:,} bytes" in answer.json()["detail"]
    with guarded.connect() as connection:  # it says that it will be large, and does not come
        connection.sendall(request_bytes("POST", "/v1/search", f"Authorization: Bearer {SECRET}",
                                         "Content-Length: 99999999999"))  # fmt: skip
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
    with guarded.connect() as connection:  # it does not say, and does not end
        connection.sendall(request_bytes("POST", "/v1/search", f"Authorization: Bearer {SECRET}",
                                         "Transfer-Encoding: chunked"))  # fmt: skip
        chunk = b"400\r\n" + b" " * 1024 + b"\r\n"
        try:
            for _ in range(20):
                connection.sendall(chunk)
        except OSError:
            pass
        assert until_closed(connection).startswith(b"HTTP/1.1 413 ")


def _a_byte_at_a_time(connection: socket.socket, said: bytes) -> bytes:
    """Sends until the other end has had enough; what it said."""
    connection.settimeout(0.2)
    answer = b""
    until = time.monotonic() + PATIENCE
    for n in range(100_000):
        assert time.monotonic() < until, "the service is still listening"
        try:
            connection.sendall(said[n % len(said) :][:1])
            part = connection.recv(65536)
            answer += part
            if not part:
                return answer
        except TimeoutError:
            continue
        except OSError:
            return answer
    raise AssertionError("the service is still listening")


@pytest.mark.parametrize(
    ("first", "then", "answer"),
    [
        (b"", b"GET /v1/sources HTTP/1.1\r\nX-Slow: ", b""),
        (b"GET /v1/sources HTTP/1.1\r\nHost: localhost\r\n", b"X-Slow: y\r\n", b""),
        (request_bytes("POST", "/v1/search", f"Authorization: Bearer {SECRET}", "Content-Length: 4000"), b" ", b"408"),
        (request_bytes("GET", "/health/live") + b"GET /v1/", b"x", b"200"),
    ],
    ids=["a head", "a head without end", "a body", "a second head"],
)
def test_a_client_that_sends_a_byte_now_and_then_is_cut_off(
    guarded: Running, first: bytes, then: bytes, answer: bytes
) -> None:
    with guarded.connect() as connection:
        connection.sendall(first)
        said = _a_byte_at_a_time(connection, then)
    assert said[9:12] == answer
    assert guarded.alive()


def test_a_client_that_says_nothing_is_cut_off(guarded: Running) -> None:
    with guarded.connect() as connection:
        assert until_closed(connection) == b""


def test_a_client_that_does_not_read_is_cut_off(guarded: Running) -> None:
    """Megabytes are asked for; what the kernel does not take stays with the service, for as long as it is patient."""
    query = "SELECT repeat('weather ', 1000) AS words FROM frames a, frames b LIMIT 4000"
    body = json.dumps({"query": query}).encode()
    head = request_bytes("POST", "/v1/sql", f"Authorization: Bearer {SECRET}", f"Content-Length: {len(body)}")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", guarded.port))
        connection.sendall(head + body)
        until = time.monotonic() + PATIENCE
        while (under_way := _connections(guarded)) > 1 and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(0.1)
        assert under_way <= 1
    assert guarded.alive()


def _connections(guarded: Running) -> int:
    """Connections of the server, as the system counts them; one is the test's own."""
    import psutil

    found = psutil.Process(guarded.process.pid).net_connections(kind="tcp4")
    return sum(1 for one in found if one.status == psutil.CONN_ESTABLISHED)


def test_one_client_cannot_take_all_connections(guarded: Running) -> None:
    """Of twice as many as it may have at once some are cut off unanswered; tried again where a machine is that slow
    that the first ones are over before the last ones come."""
    until = time.monotonic() + PATIENCE
    answered = [True]
    while all(answered):
        assert time.monotonic() < until
        held = [guarded.connect() for _ in range(40)]
        answered = [_is_answered(connection) for connection in held]
        for connection in held:
            connection.close()
    assert any(answered)
    assert guarded.alive()


def _is_answered(connection: socket.socket) -> bool:
    try:
        connection.sendall(request_bytes("GET", "/health/live"))
        return connection.recv(100).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def test_more_than_fits_is_sent_away_and_who_asks_too_often_is_told_when_to_come_again(tiny: TinyRoot) -> None:
    limits = {"QUEUE": "2", "SECONDS": "1", "RATE": "0.01", "BURST": "8"}
    with running(Path(tiny.root.url), **{f"WXPIPE_SERVICE_{name}": value for name, value in limits.items()}) as server:
        tables = ", ".join(f"frames {name}" for name in "abcde")
        slow = f"SELECT count(*) FROM {tables} WHERE a.hour + b.hour + c.hour + d.hour > e.hour"
        answers: list[httpx.Response] = []

        def ask() -> None:
            answers.append(server.client.post("/v1/sql", json={"query": slow}))

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        statuses = [answer.status_code for answer in answers]
        assert len(statuses) == 6
        assert set(statuses) <= {400, 503}, "ended after its seconds, or not begun"
        assert 503 in statuses
        assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)
        last = [server.get("/v1/nothing") for _ in range(4)]
        assert [answer.status_code for answer in last] == [404, 404, 429, 429]
        assert 1 <= int(last[2].headers["retry-after"]) <= 100
        assert "0.01 a second" in last[2].json()["detail"]
        assert server.alive()


@pytest.mark.parametrize(
    ("settings", "told_"),
    [
        ({"service_address": "0.0.0.0"}, "give it a token"),
        ({"service_address": "::"}, "give it a token"),
        ({"service_address": "weather.example"}, "give it a token"),
        ({"service_token": "short"}, "at least 16"),
        ({"service_token": "with a blank in the middle"}, "without blanks"),
        ({"service_token": "change-me-to-something"}, "of the example"),
        ({"service_token_file": "/nowhere/token"}, "cannot be read"),
    ],
)
def test_a_service_without_a_good_token_stays_on_its_machine(settings: dict[str, str], told_: str) -> None:
    with pytest.raises(UsageError, match=told_):
        required_token(RunSettings(**settings))  # type: ignore[arg-type]
    assert required_token(RunSettings(service_address="::1")) is None


def test_the_command_refuses_to_be_open(tiny: TinyRoot) -> None:
    said = CliRunner().invoke(app, ["serve", "--root", tiny.root.url, "--address", "0.0.0.0", "--port", "0"])
    assert isinstance(said.exception, UsageError)
    assert "the service would listen on 0.0.0.0 for anybody" in str(said.exception)


def test_a_token_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    token = required_token(RunSettings(service_address="0.0.0.0", service_token_file=str(file)))
    assert token == Token.of(SECRET)
    assert SECRET not in repr(RunSettings(service_token=SECRET))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="both given"):
        required_token(RunSettings(service_token_file=str(file), service_token=SECRET))  # type: ignore[arg-type]


def test_rates_are_a_client_s_own_and_come_back_with_time() -> None:
    now = 0.0
    rates = Rates(2.0, 3, lambda: now)
    assert [rates.wait("10.0.0.1") for _ in range(4)] == [0, 0, 0, 1]
    assert rates.wait("10.0.0.2") == 0
    now = 1.0
    assert [rates.wait("10.0.0.1") for _ in range(3)] == [0, 0, 1]
    now = 1000.0
    assert [rates.wait("10.0.0.1") for _ in range(4)] == [0, 0, 0, 1]
    for n in range(20_000):
        rates.wait(f"10.1.{n // 250}.{n % 250}")
    assert len(rates._left) <= 10_000
    assert client_of("2001:db8:1:2:3::9") == client_of("2001:db8:1:2::1") != client_of("2001:db8:1:3::1")
    assert client_of("::ffff:10.0.0.1") == "10.0.0.1"


def test_names_that_the_service_is_called_by() -> None:
    hosts = Hosts.of(RunSettings(service_hosts="weather.example.org, Radar"))
    for host in ("localhost", "LOCALHOST:8750", "127.0.0.1:80", "[::1]:8750", "10.1.2.3", "weather.example.org:443",
                 "radar.", "radar"):  # fmt: skip
        assert hosts.known(host), host
    for host in ("", "evil", "weather.example.org.evil", "localhost/x", "a:b:c", "[::1", "::1", "user@localhost"):
        assert not hosts.known(host), host


def test_proxies_are_addresses_and_networks() -> None:
    proxies = Proxies.of(RunSettings(service_proxies="10.0.0.7, 10.1.0.0/16, ::1"))
    assert proxies.names == ["10.0.0.7", "10.1.0.0/16", "::1"]
    assert [proxies.have(a) for a in ("10.0.0.7", "10.1.9.9", "::1", "10.0.0.8", "x")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    with pytest.raises(UsageError, match="expected addresses"):
        Proxies.of(RunSettings(service_proxies="proxy.example"))


def test_nothing_of_the_machine_is_told() -> None:
    url = "/srv/data/root"
    error = UsageError(
        "/srv/data/root/lance: no table; see /home/me/x.py; give --exclude-hours, `wxpipe sql --explain`"
    )
    assert told(error, url) == "ROOT/lance: no table; see (a path); give exclude_hours, `wxpipe sql --explain`"
    assert without_places("coms-ea/20110303T0800Z/6h20 and 1/2", url) == "coms-ea/20110303T0800Z/6h20 and 1/2"


def test_pictures_are_kept_as_long_as_they_fit() -> None:
    kept = Kept(10)
    for key in "abc":
        kept.put(key, key.encode() * 4)
    assert [kept.get(key) for key in "abc"] == [None, b"bbbb", b"cccc"]
    kept.put("b", b"b" * 9)
    assert (kept.get("c"), kept.size) == (None, 9)
    kept.put("d", b"d" * 11)
    assert (kept.get("d"), kept.size) == (None, 0)


@pytest.mark.parametrize(
    "condition",
    ["repeat('a', 2000000000) = 'b'", "lpad('a', 2000000000) = 'b'", '"repeat"(\'a\', 9) = \'b\'',
     "month = array_repeat(1, 9)", "regexp_replace(source, 'a', 'b') = 'x'", "(" * 40 + "1=1" + ")" * 40,
     "NOT " * 500 + "1=1", "1=1 OR " * 500 + "1=1",
     "hour = " + "- " * 1500 + "1", "range(1000000000) IS NULL"],
)  # fmt: skip
def test_a_condition_cannot_ask_for_all_memory_or_stack(condition: str) -> None:
    with pytest.raises(UsageError):
        checked_condition_text(condition)


@pytest.mark.parametrize(
    "condition",
    ["month IN (6, 7)", "date_part('doy', start) < 60", "(hour < 6 OR hour >= 18) AND NOT (coverage < .9)",
     "clip_id LIKE 'coms-ea/2011%'", "extract(month FROM start) = 3", "source = 'repeat(1)'", "abs(hour - 12) < 3"],
)  # fmt: skip
def test_conditions_that_people_ask_are_taken(condition: str) -> None:
    assert checked_condition_text(condition) == condition
