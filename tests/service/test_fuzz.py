"""Whatever is asked, right or wrong by the OpenAPI document, the answer is no fault of the service."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.running import PATIENCE, Running
from tests.vectors.tiny_root import SOURCE

AT = "2011-03-03T08:00Z"
EVERY_ADDRESS = 20


def fuzz(service: Running, examples: int) -> dict[str, set[int]]:
    """Asks every operation so many times with what the document allows, and as often with what it does not."""
    import schemathesis
    from schemathesis import GenerationMode

    base = f"http://127.0.0.1:{service.port}"
    schema = schemathesis.openapi.from_url(f"{base}/v1/openapi.json")
    found: dict[str, set[int]] = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            seen = found.setdefault(operation.label, set())
            try:
                strategy = operation.as_strategy(generation_mode=mode)
            except Exception:  # an address without parameters cannot be asked wrongly
                if mode is GenerationMode.POSITIVE:
                    raise
                continue
            _ask(base, strategy, examples, seen)
    return found


def _ask(base: str, strategy: st.SearchStrategy[Any], examples: int, seen: set[int]) -> None:
    @settings(max_examples=examples, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=strategy)
    def ask(case: Any) -> None:
        answer = case.call(base_url=base, timeout=PATIENCE)
        seen.add(answer.status_code)
        assert answer.status_code < 500, (case.as_curl_command(), answer.text)
        if answer.status_code >= 400:
            assert json.loads(answer.text)["status"] == answer.status_code

    try:
        ask()
    except Exception as error:
        if type(error).__name__ != "Unsatisfiable":  # nothing wrong can be said there
            raise


def test_what_the_openapi_document_suggests(service: Running) -> None:
    found = fuzz(service, 3)
    assert len(found) == EVERY_ADDRESS
    assert service.alive()


@pytest.mark.slow
def test_what_the_openapi_document_suggests_at_length(service: Running) -> None:
    found = fuzz(service, 150)
    assert len(found) == EVERY_ADDRESS
    assert service.alive()


BODIES = (
    b"", b"{", b"null", b"[]", b'"x"', b"[" * 100_000, b'{"a":' * 40_000, b"\xff\xfe",
    b'{"satellite": "\\ud800", "at": "x"}',
    b'{"satellite": "tiny", "at": "\\u0000"}', b'{"satellite": "tiny", "vector": [1e400, -1e400]}',
    b'{"satellite": "tiny", "vector": [NaN]}', b'{"satellite": "tiny", "k": 1e99, "at": "latest"}',
    b'{"satellite": "tiny", "at": "0001-01-01T00:00+23:59"}', b'{"satellite": "tiny", "at": "9999-12-31T23:59-23:59"}',
    b'{"satellite": "tiny", "at": "latest", "exclude_hours": 1e308}',
    b'{"satellite": "tiny", "at": "latest", "where": "year / 0 = 1"}',
    b'{"satellite": "tiny", "at": "latest", "where": "start = 1"}',
    b'{"satellite": "tiny", "at": "latest", "where": "vector IS NULL"}',
    b'{"satellite": "tiny", "at": "latest", "where": "model > 3 AND clip_id + 1"}',
    b'{"satellite": "tiny", "at": "latest", "where": "\\u0000"}',
    b'{"satellite": "tiny", "at": "latest", "where": "hour = 99999999999999999999999999"}',
    b'{"satellite": "tiny", "at": "latest", "where": "regexp_like(source, \'(((\')"}',
    b'{"satellite": "tiny", "at": "latest", "where": "cast(source AS int) = 1"}',
    b'{"satellite": "tiny", "at": "latest", "where": "start > now() - INTERVAL \'1\' DAY"}',
    b'{"satellite": "tiny", "at": "latest", "years": "0-0"}',
    b'{"satellite": "tiny", "at": "latest", "season": "own-1"}',
    b'{"satellite": "tiny", "at": "latest", "hours": "nan-inf"}',
    b'{"satellite": "tiny", "at": "latest", "years": "9998"}',
    b'{"satellite": "tiny", "at": "latest", "events_within": 1, "events_where": "1=1) OR (1=1"}',
)  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_bodies_that_are_none(service: Running, body: bytes) -> None:
    for path in ("/v1/search", "/v1/sql"):
        answer = service.client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code < 500, answer.text
        if answer.status_code != 200:
            assert answer.json()["status"] == answer.status_code


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.text(max_size=60) | st.lists(st.sampled_from(
    ["month", "=", "3", "(", ")", "AND", "OR", "NOT", "'x'", "hour", "<", "IN", "NULL", "IS", "start", "-", "LIKE",
     "%", "source", "coverage", "1e9", "||", "::", "int", "CASE", "WHEN", "END", "date_part('hour', start)", "\\", "@",
     "$1", "?"]
), max_size=14).map(" ".join))  # fmt: skip
def test_conditions_of_any_kind(service: Running, where: str) -> None:
    answer = service.client.post("/v1/search", json={"satellite": "tiny", "at": AT, "where": where})
    assert answer.status_code in (200, 400, 422), (where, answer.text)


SQL = (
    "SELECT", "", ";", "SELECT * FROM read_csv('/etc/passwd')", "ATTACH '/tmp/x.db'", "SELECT * FROM '/etc/passwd'",
    "SELECT 1e308 * 10 AS x, 'nan'::DOUBLE AS y", "SELECT '\x00'", "SELECT 1; SELECT 2", "INSTALL httpfs",
    f"SELECT * FROM analogs('{SOURCE}/20110303T0800Z/6h20', 3, \"where\" := 'repeat(source, 2000000000) = source')",
    "SELECT [1, 2], {'a': NULL}, '\\ud800', INTERVAL 3 DAY, 1::HUGEINT, 'x'::BLOB",
    "SELECT * FROM pragma_database_list()", "SELECT getenv('HOME')",
    "SELECT count(*) FROM ledger, quarantine, inventory",
)  # fmt: skip


@pytest.mark.parametrize("query", SQL, ids=range(len(SQL)))
def test_sql_of_any_kind(service: Running, query: str) -> None:
    for form in ("json", "csv"):
        answer = service.client.post("/v1/sql", json={"query": query, "format": form})
        assert answer.status_code < 500, answer.text
        assert "root:x" not in answer.text
        if answer.status_code == 200 and form == "json":
            json.loads(answer.text, parse_constant=_no_constant)


@pytest.mark.slow
def test_sql_that_its_parser_hardly_ends_is_answered(service: Running) -> None:
    """Brackets in brackets take DuckDB's parser half a minute or for ever; then its process is ended."""
    answer = service.client.post("/v1/sql", json={"query": "SELECT " + "(" * 5000 + "1"})
    assert answer.status_code == 400
    assert any(said in answer.json()["detail"] for said in ("time limit", "Parser Error"))
    assert service.alive()


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "BREW"])
def test_methods_that_are_not_offered(service: Running, method: str) -> None:
    answer = httpx.request(method, f"http://127.0.0.1:{service.port}/v1/search", timeout=PATIENCE)
    assert answer.status_code == 405
