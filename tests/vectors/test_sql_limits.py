"""A query that asks for too much is ended and told why; whoever asked goes on, and so do the others."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vectors.tiny_root import TinyRoot
from wxpipe.errors import UsageError
from wxpipe.vectors.sql import run_sql
from wxpipe.vectors.sql_link import Asking, Limits, asking

MEMORY = 256 << 20
SMALL = Limits(memory=MEMORY, seconds=60, rows=1_000)
SHORT = Limits(memory=MEMORY, seconds=1, rows=1_000)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM range(1000000000000)",
        "SELECT count(*) FROM clips a, clips b, clips c, clips d, clips e, clips f, clips g",
        "WITH RECURSIVE r AS (SELECT 1 s UNION ALL SELECT s + 1 FROM r) SELECT count(*) FROM r",
        "SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))",
        "SELECT i FROM range(1000000000000) t(i) WHERE i < 0",
    ],
)
def test_a_query_that_does_not_end_is_ended(served: TinyRoot, query: str) -> None:
    """Also one that spends its time in a single function, and does not hear an interrupt."""
    with pytest.raises(UsageError, match=r"time limit: the query was ended after 1 s; .* raise WXPIPE_SQL_SECONDS"):
        run_sql(served.root, query, SHORT)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT length(repeat('x', 3000000000))",
        "SELECT count(*) FROM range(length(repeat('x', 3000000000)))",
        "SELECT list(i) FROM range(1000000000) t(i)",
        "SELECT list_sum(range(1000000000))",
        "SELECT max(hash(s)) FROM (SELECT string_agg(repeat('y', 1000), ',') s FROM range(100000000))",
        "SELECT median(hash(i)) FROM range(1000000000) t(i)",
        "WITH RECURSIVE r AS (SELECT 'x' s UNION ALL SELECT s || s FROM r) SELECT max(length(s)) FROM r",
        "SELECT i, count(*) FROM range(1000000000) t(i) GROUP BY i ORDER BY 2 LIMIT 1",
    ],
)
def test_a_query_that_needs_too_much_memory_is_refused_it(served: TinyRoot, query: str) -> None:
    with pytest.raises(UsageError, match=r"memory limit: the query needs more than 256 MiB; .* WXPIPE_SQL_MEMORY"):
        run_sql(served.root, query, SMALL)


def test_an_answer_that_is_too_large_is_refused(served: TinyRoot) -> None:
    with pytest.raises(UsageError, match=r"memory limit: the answer is larger than 64 MiB .* nothing of it is shown"):
        run_sql(served.root, "SELECT repeat('x', 10000) AS s FROM range(9000)", replace(SMALL, rows=10_000))


def test_more_rows_than_the_limit_are_an_error_not_a_cut(served: TinyRoot) -> None:
    assert len(run_sql(served.root, "SELECT i FROM range(1000) t(i)", SMALL)) == 1_000
    with pytest.raises(UsageError, match=r"row limit: the answer has more than 1,000 rows, and nothing of it is shown"):
        run_sql(served.root, "SELECT i FROM range(1001) t(i)", SMALL)
    assert len(run_sql(served.root, "SELECT i FROM range(1000000000) t(i) LIMIT 3", SMALL)) == 3


def test_views_that_do_not_fit_say_so(served: TinyRoot) -> None:
    """Memory for views is the query's."""
    import numpy as np
    import pyarrow as pa

    wide = pa.table({"x": np.random.default_rng(0).normal(size=20_000_000)})
    with asking(Limits(memory=64 << 20)) as engine, pytest.raises(UsageError, match="memory limit"):
        engine.give("table", wide, name="wide")
    assert run_sql(served.root, "SELECT count(*) FROM clips", Limits(memory=64 << 20)).to_pylist() == [
        {"count_star()": 87}
    ]


def test_after_a_query_that_was_ended_the_next_one_answers(served: TinyRoot) -> None:
    for query in ("SELECT nobody", "SELECT count(*) FROM range(1000000000000)", "SELECT list_sum(range(10000000000))"):
        with pytest.raises(UsageError):
            run_sql(served.root, query, SHORT)
        assert run_sql(served.root, "SELECT count(*) AS n FROM frames", SMALL).to_pylist() == [{"n": 144}]


def test_an_engine_that_falls_takes_nobody_with_it(served: TinyRoot) -> None:
    with pytest.raises(UsageError, match="memory limit"), asking(SMALL) as engine:
        _kill_and_ask(engine)
    assert run_sql(served.root, "SELECT 1 AS n", SMALL).to_pylist() == [{"n": 1}]


def test_a_query_leaves_nothing_to_the_next(served: TinyRoot) -> None:
    """Engines are used again; a table of one query is unknown to the other, and settings are as they were."""
    run_sql(served.root, "SELECT * FROM frames", SMALL)
    with asking(SMALL) as engine, pytest.raises(UsageError, match="frames does not exist"):
        engine.rows("SELECT * FROM frames")


def test_queries_at_once_do_not_meet(served: TinyRoot) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def asked(number: int) -> int:
        query = f"SELECT count(*) + {number} AS n FROM clips, range({number})"
        return int(run_sql(served.root, query, SMALL).to_pylist()[0]["n"])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(asked, range(1, 9))) == [88 * number for number in range(1, 9)]


def test_an_engine_ends_with_whoever_asked() -> None:
    program = (
        "from wxpipe.vectors.sql_link import Limits, asking\n"
        "with asking(Limits(seconds=600)) as engine:\n"
        "    print(engine._engine._process.pid, flush=True)\n"
        "    engine.rows('SELECT count(*) FROM range(1000000000000000)')\n"
    )
    asker = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert asker.stdout is not None
    process = int(asker.stdout.readline())
    assert _runs(process)
    asker.kill()
    asker.communicate()
    until = time.monotonic() + 60
    while _runs(process) and time.monotonic() < until:
        time.sleep(0.2)
    assert not _runs(process)


def test_limits_that_make_no_sense_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ({"memory": 1}, {"seconds": 0.0}, {"seconds": float("inf")}, {"rows": 0}):
        with pytest.raises(UsageError, match="SQL limits are"):
            Limits(**wrong)  # type: ignore[arg-type]
    monkeypatch.setenv("WXPIPE_SQL_ROWS", "7")
    monkeypatch.setenv("WXPIPE_SQL_SECONDS", "2.5")
    monkeypatch.setenv("WXPIPE_SQL_MEMORY", str(1 << 30))
    assert Limits.of_settings() == Limits(memory=1 << 30, seconds=2.5, rows=7)


def _kill_and_ask(engine: Asking) -> None:
    engine._engine._process.kill()
    engine.ask("parse", query="SELECT 1")


def _runs(process: int) -> bool:
    """Whether a process is there, and not only its entry."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
