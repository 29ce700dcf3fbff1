"""SQL: the views say what is in the root, times compare as times, and nothing else can be reached or changed."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pyarrow as pa
import pytest

from tests.vectors.tiny_root import DAYS, MODEL, SOURCE, TinyRoot
from wxpipe.errors import UsageError
from wxpipe.vectors.release import build
from wxpipe.vectors.sql import format_rows, read_names, run_sql


def rows(tiny: TinyRoot, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in run_sql(tiny.root, query).to_pylist()]


def test_clips_and_frames_are_the_current_release(served: TinyRoot) -> None:
    assert rows(served, "SELECT count(*), min(start) FROM clips")[0][0] == 87
    assert rows(served, "SELECT count(*) FROM frames WHERE channels_good = 2") == [(144,)]
    assert rows(served, "SELECT DISTINCT model FROM clips") == [(MODEL,)]
    assert rows(served, "SELECT count(*) FROM clips JOIN frames ON frames.time = clips.start") == [(87,)]


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("start > TIMESTAMP '2011-03-03 07:00:00'", 24 + 58),
        ("start > TIMESTAMP '2011-03-06 07:00:00'", 24),
        ("start > TIMESTAMPTZ '2011-03-06 07:00:00+00'", 24),
        ("start > TIMESTAMPTZ '2011-03-06 16:00:00+09'", 24),
        ("start > '2011-03-06 16:00:00+09:00'", 24),
        ("start = TIMESTAMP '2011-03-06 07:00:00'", 1),
        ("start BETWEEN '2011-03-04' AND '2011-03-05'", 29),
        ("start > TIMESTAMP '2012-01-01'", 0),
        ("hour(start) = hour", 87),
        ("epoch(start) = start_epoch", 87),
        ("start::DATE = DATE '2011-03-04'", 29),
    ],
)
def test_times_compare_as_times(served: TinyRoot, condition: str, count: int) -> None:
    assert rows(served, f"SELECT count(*) FROM clips WHERE {condition}") == [(count,)]


def test_pictures_have_status_reason_and_path(served: TinyRoot) -> None:
    counted = dict(rows(served, "SELECT status, count(*) FROM pictures GROUP BY 1"))
    assert counted == {"good": 3 * 48 * 2, "missing": 6, "quarantined": 3}
    assert rows(served, "SELECT DISTINCT reason, path FROM pictures WHERE status = 'quarantined'") == [
        ("truncated", "bad.png")
    ]
    query = "SELECT path, reason FROM pictures WHERE time = '2011-03-04 08:00' AND channel = 'wv'"
    assert rows(served, query) == [("2011-03-04/tiny_wv_201103040800.png", None)]
    assert rows(served, "SELECT count(*) FROM pictures WHERE status = 'good' AND path IS NULL") == [(0,)]


def test_the_other_views(served: TinyRoot) -> None:
    assert rows(served, "SELECT count(*) FROM ledger WHERE stage = 'embed' AND state = 'done'") == [(3,)]
    assert rows(served, "SELECT source, day FROM ledger WHERE stage = 'embed' ORDER BY day LIMIT 1") == [
        (SOURCE, DAYS[0])
    ]
    assert rows(served, "SELECT counts->>'clip_vectors' FROM ledger WHERE stage = 'embed' LIMIT 1") == [("29",)]
    assert rows(served, "SELECT reason, channel, count(*) FROM quarantine GROUP BY ALL") == [("truncated", "ir01", 3)]
    assert rows(served, "SELECT count(*) FROM inventory WHERE NOT vanished") == [(3 * 49 * 2,)]
    assert rows(served, "SELECT number, current, clips, frames, models FROM releases") == [(1, True, 87, 144, MODEL)]
    assert rows(served, "SELECT count(*) FROM pairs") == [(0,)]


def test_pairs_know_their_name(tiny: TinyRoot) -> None:
    triple = {"x": "a", "y": "b", "z": "c", "sim_xy": 0.5, "sim_xz": 0.25, "split": "train"}
    tiny.put_parquet("pairs/tiny-ea/triples.parquet", pa.Table.from_pylist([triple]))
    assert rows(tiny, "SELECT name, x, sim_xz FROM pairs") == [("tiny-ea", "a", 0.25)]


def test_without_a_release_the_other_views_answer(tiny: TinyRoot) -> None:
    assert rows(tiny, "SELECT count(*) FROM releases") == [(0,)]
    assert rows(tiny, "SELECT count(*) FROM ledger WHERE stage = 'embed'") == [(3,)]
    build(tiny.root)  # built and not promoted
    assert rows(tiny, "SELECT current FROM releases") == [(False,)]
    with pytest.raises(UsageError, match=r"view clips: .* no current release"):
        run_sql(tiny.root, "SELECT * FROM clips")


def test_only_what_a_query_names_is_read() -> None:
    assert read_names("SELECT count(*) FROM clips").vectors is False
    assert read_names("SELECT c.start FROM clips c WHERE c.hour > 3").vectors is False
    for query in (
        "SELECT * FROM clips",
        "SELECT vector FROM clips",
        "SELECT list_sum(c.vector) FROM clips c",
        "SELECT c FROM clips c",
        "SELECT clips FROM clips",
        "SELECT COLUMNS('v.*') FROM clips",
        "SELECT 1 FROM (FROM clips) t",
        "WITH x AS (SELECT * FROM clips) SELECT clip_id FROM x",
    ):
        assert read_names(query).vectors is True, query
    assert read_names("WITH x AS (SELECT source FROM frames) SELECT * FROM x, ledger").views == ("frames", "ledger")
    assert read_names("SELECT (SELECT count(*) FROM releases), 1").views == ("releases",)


def test_vectors_come_as_lists(served: TinyRoot) -> None:
    result = run_sql(served.root, "SELECT vector FROM clips ORDER BY start LIMIT 1")
    (row,) = json.loads(format_rows(result, "json"))
    assert len(row["vector"]) == 8
    distance = "array_distance(a.vector, b.vector)"
    assert rows(served, f"SELECT count(*) FROM clips a, clips b WHERE {distance} = 0 AND a.hour = 7") == [(12,)]


ESCAPES = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_parquet('/etc/*')",
    "SELECT * FROM '/etc/passwd'",
    'SELECT * FROM "/etc/passwd.csv"',
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "WITH x AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM x",
    "SELECT * FROM clips WHERE source IN (SELECT content FROM read_text('/etc/hostname'))",
    "SELECT * FROM ledger UNION ALL SELECT * FROM parquet_metadata('/tmp/x.parquet')",
    "SELECT getenv('HOME')",
    "SELECT current_setting('temp_directory')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('clips')",
    "SELECT * FROM pragma_database_list()",
    "SELECT * FROM pg_catalog.pg_tables",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM duckdb_tables",
    "SELECT * FROM main.clips",
    "SELECT * FROM python_variable",
    "SELECT * FROM root",
    "ATTACH '/tmp/x.db'",
    "ATTACH 'https://example.invalid/x.db'",
    "DETACH memory",
    "COPY clips TO '/tmp/x.csv'",
    "COPY (SELECT 1) TO '/tmp/x.csv'",
    "EXPORT DATABASE '/tmp/x'",
    "IMPORT DATABASE '/tmp/x'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET enable_external_access",
    "PRAGMA enable_profiling",
    "PRAGMA database_list",
    "CALL duckdb_settings()",
    "CREATE TABLE x AS SELECT 1",
    "CREATE MACRO f() AS 1",
    "CREATE SECRET s (TYPE s3)",
    "DROP TABLE clips",
    "DELETE FROM clips",
    "UPDATE clips SET source = 'x'",
    "INSERT INTO clips SELECT * FROM clips",
    "VACUUM",
    "CHECKPOINT",
    "USE memory",
    "BEGIN",
    "EXPLAIN ANALYZE SELECT 1",
    "DESCRIBE clips",
    "SHOW TABLES",
    "SUMMARIZE clips",
    "VALUES (1)",
    "FROM clips",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY clips TO '/tmp/x.csv'",
    "/* SELECT */ DROP TABLE clips",
    "",
    ";",
    "SELECT",
    "SELECT * FROM nobody",
    "SELECT json_execute_serialized_sql('{}')",
    "SELECT nextval('s')",
    "SELECT write_log('x')",
]


@pytest.mark.parametrize("query", ESCAPES)
def test_nothing_else_can_be_reached_or_changed(served: TinyRoot, query: str) -> None:
    with pytest.raises(UsageError, match=r"^SQL: "):
        run_sql(served.root, query)


def test_the_connection_is_locked_even_where_the_check_is_passed(
    served: TinyRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second line: DuckDB itself refuses, too."""
    from wxpipe.vectors import sql

    monkeypatch.setattr(sql, "read_names", lambda _query: sql.Named(("releases",), False))
    for query, message in [
        ("SELECT * FROM read_text('/etc/passwd')", "disabled"),
        ("SET enable_external_access = true", "lock|cannot|disabled"),
        ("COPY releases TO '/tmp/wxpipe-escape.csv'", "disabled"),
        ("ATTACH '/tmp/wxpipe-escape.db'", "disabled"),
        ("INSTALL httpfs", "disabled|lock|not allowed"),
    ]:
        with pytest.raises(UsageError, match=f"(?i){message}"):
            run_sql(served.root, query)


def test_wrong_sql_is_told_in_a_line(served: TinyRoot) -> None:
    with pytest.raises(UsageError, match=r"there is no view 'clip'; views: clips, frames, pictures"):
        run_sql(served.root, "SELECT * FROM clip")
    with pytest.raises(UsageError, match=r'SQL: .*"begin" not found'):
        run_sql(served.root, "SELECT begin FROM clips")
    with pytest.raises(UsageError, match="syntax error"):
        run_sql(served.root, "SELEC 1")


def test_rows_are_written_for_persons_spreadsheets_and_programs(served: TinyRoot) -> None:
    columns = "clip_id, start, coverage, vector, NULL AS nothing, 1.5::DECIMAL(3,1) AS d"
    query = f"SELECT {columns} FROM clips ORDER BY start LIMIT 2"
    result = run_sql(served.root, query)
    found = json.loads(format_rows(result, "json"))
    assert found[0]["start"] == "2011-03-03T06:00:00Z"
    assert found[0]["d"] == 1.5
    assert isinstance(found[0]["vector"], list)
    table = list(csv.reader(io.StringIO(format_rows(result, "csv"))))
    assert table[0] == ["clip_id", "start", "coverage", "vector", "nothing", "d"]
    assert table[1][:2] == ["tiny-ea/20110303T0600Z/6h20", "2011-03-03T06:00:00Z"]
    assert json.loads(table[1][3]) == found[0]["vector"]
    text = format_rows(result, "table")
    assert "tiny-ea/20110303T0615Z/6h20" in text
    assert "... 8]" in text
    twice = run_sql(served.root, "SELECT 1 AS a, 2 AS a")
    assert format_rows(twice, "csv").splitlines()[1] == "1,2"
    with pytest.raises(UsageError, match="choose one of table, csv, json"):
        format_rows(result, "xml")  # type: ignore[arg-type]
