"""A release that is promoted while clients ask, and a service that is told to stop while it answers."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.running import PATIENCE, Running, running
from tests.vectors.tiny_root import DAYS, TinyRoot, copy_of
from wxpipe.vectors.answers import SearchRequest
from wxpipe.vectors.records import current_number, promotion_numbers
from wxpipe.vectors.release import build, promote
from wxpipe.vectors.search import search
from wxpipe.vectors.times import parse_time

AT = "2011-03-03T08:00Z"


@pytest.fixture(scope="module")
def own(tiny: TinyRoot, tmp_path_factory: pytest.TempPathFactory) -> TinyRoot:
    """A root of the module's own, which goes from release to release."""
    return copy_of(Path(tiny.root.url), tmp_path_factory.mktemp("promotion") / "root")


@pytest.fixture(scope="module")
def server(own: TinyRoot) -> Iterator[Running]:
    """Its server; the last test stops it."""
    log = Path(own.root.url).with_name("log")
    limits = {"FOLLOW_SECONDS": "0.05", "RATE": "100000", "BURST": "100000", "SECONDS": "600", "STOP_SECONDS": "600"}
    named = {f"WXPIPE_SERVICE_{name}": value for name, value in limits.items()}
    with running(Path(own.root.url), WXPIPE_LOG=str(log), **named) as found:
        found.log = log
        yield found


def expected(own: TinyRoot, release: int) -> list[str]:
    found = search(own.root, SearchRequest("tiny", parse_time(AT), k=5, release=release))
    return [analog.id for analog in found.analogs]


def test_each_answer_is_of_one_release_while_another_takes_its_place(own: TinyRoot, server: Running) -> None:
    ended = threading.Event()

    def ask() -> list[tuple[str, Any]]:
        found = []
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=PATIENCE) as client:
            while not (ended.is_set() and found and found[-1][0] == "2"):
                answer = client.get("/v1/search", params={"satellite": "tiny", "at": AT, "k": 5})
                assert answer.status_code == 200, answer.text
                found.append((answer.headers["wxpipe-release"], answer.json()))
        return found

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            own.write_vectors(DAYS[1], seed=4)
            build(own.root)
            promote(own.root)
            until = time.monotonic() + PATIENCE
            while server.json("/v1/releases")["serving"] != 2:
                assert time.monotonic() < until
        finally:
            ended.set()
        answers = [answer for future in asking for answer in future.result()]
    right = {number: expected(own, number) for number in (1, 2)}
    assert right[1] != right[2]
    for header, document in answers:
        assert int(header) == document["release"]
        assert [analog["clip_id"] for analog in document["analogs"]] == right[document["release"]]
    assert {document["release"] for _, document in answers} == {1, 2}
    query = "SELECT clip_id FROM analogs('tiny-ea/20110303T0800Z/6h20', 5) ORDER BY rank"
    assert [row["clip_id"] for row in server.json("/v1/sql", query=query)] == right[2]


def test_a_release_that_cannot_be_opened_leaves_the_one_that_serves(own: TinyRoot, server: Running) -> None:
    serving, following = current_number(own.root), max(promotion_numbers(own.root)) + 1
    own.root.objects.put(f"promotions/{following}.json", b'{"release": 9}')
    try:
        until = time.monotonic() + PATIENCE
        while not any(line["event"] == "not opened" for line in server.lines()):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert server.json("/v1/search", satellite="tiny", at=AT)["release"] == serving
    finally:
        own.root.objects.delete(f"promotions/{following}.json")


@pytest.mark.slow
def test_a_root_without_a_release_serves_what_it_has(tiny: TinyRoot, tmp_path: Path) -> None:
    own = copy_of(Path(tiny.root.url), tmp_path / "root")
    own.root.objects.delete("promotions/1.json")
    with running(Path(own.root.url), ready=False, WXPIPE_SERVICE_FOLLOW_SECONDS="0.05") as server:
        until = time.monotonic() + PATIENCE
        while server.get("/v1/sources").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert server.get("/health/ready").status_code == 503
        answer = server.get("/v1/search", satellite="tiny", at=AT)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
        assert server.get("/v1/frames/tiny-ea/20110303T0800Z/ir01.png").status_code == 200
        promote(own.root)
        while server.get("/health/ready").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert server.json("/v1/search", satellite="tiny", at=AT)["release"] == 1


def test_told_to_stop_it_ends_what_is_under_way_and_begins_nothing(server: Running) -> None:
    slow = "SELECT count(*) AS n FROM frames a, frames b, frames c, frames d WHERE a.hour + b.hour + c.hour > d.hour"
    answers: list[httpx.Response] = []
    thread = threading.Thread(
        target=lambda: answers.append(
            httpx.post(f"http://127.0.0.1:{server.port}/v1/sql", json={"query": slow}, timeout=PATIENCE)
        )
    )
    thread.start()
    until = time.monotonic() + PATIENCE
    while "wxpipe_requests_under_way 2.0" not in server.get("/metrics").text:  # the question, and this one
        assert time.monotonic() < until
        assert thread.is_alive()
    assert server.stop(signal.SIGTERM) == 0
    thread.join(PATIENCE)
    assert answers[0].status_code == 200
    assert answers[0].json()[0]["n"] > 0
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{server.port}/health/live", timeout=PATIENCE)
    assert [line["event"] for line in server.lines()][-1] == "stopped"
    assert "Traceback" not in "".join(server.said)
