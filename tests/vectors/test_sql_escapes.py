"""SQL is read only: whatever would read, write, load, set or reveal something else is refused, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vectors.tiny_root import TinyRoot
from wxpipe.errors import UsageError
from wxpipe.vectors.sql import run_sql
from wxpipe.vectors.sql_check import LONGEST
from wxpipe.vectors.sql_link import Limits, asking

NO_TABLE_FUNCTION = r"\(\) is not offered in FROM; offered: analogs"
NO_FUNCTION = r"\(\) is not offered; the views are all that a query reads"
NO_VIEW = r"there is no view '.*'; views: clips, frames"
ALONE = "name views alone, without catalog or schema"
STATEMENTS = "expected one statement, found"
OF_SHOW = "of SHOW, SHOW TABLES is offered"


def kind(name: str) -> str:
    return f"{name} is not offered; expected one SELECT"


ESCAPES: list[tuple[str, str]] = [
    # files, by functions, wherever a table can stand
    ("SELECT * FROM read_csv('/etc/passwd')", NO_TABLE_FUNCTION),
    ("SELECT * FROM READ_TEXT('/etc/passwd')", NO_TABLE_FUNCTION),
    ('SELECT * FROM "read_text"(\'/etc/passwd\')', NO_TABLE_FUNCTION),
    ("SELECT * FROM read_blob('/etc/passwd')", NO_TABLE_FUNCTION),
    ("SELECT * FROM read_parquet(['/etc/*', 's3://bucket/*'])", NO_TABLE_FUNCTION),
    ("SELECT * FROM read_json_auto('https://example.invalid/x.json')", NO_TABLE_FUNCTION),
    ("SELECT * FROM read_duckdb('/tmp/x.db')", NO_TABLE_FUNCTION),
    ("SELECT * FROM/**/read_text/* */('/etc/passwd')", NO_TABLE_FUNCTION),
    ("SELECT * FROM read_text('/etc/passwd') AS clips(a, b, c, d)", NO_TABLE_FUNCTION),
    ("SELECT * FROM system.main.read_text('/etc/passwd')", "without catalog or schema"),
    ("SELECT * FROM main.analogs('coms-ea/20110303T0800Z', 1)", "without catalog or schema"),
    ("SELECT (SELECT content FROM read_text('/etc/passwd'))", NO_TABLE_FUNCTION),
    ("SELECT ARRAY(SELECT content FROM read_text('/etc/passwd'))", NO_TABLE_FUNCTION),
    ("SELECT EXISTS (FROM read_text('/etc/passwd'))", NO_TABLE_FUNCTION),
    ("WITH x AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM x", NO_TABLE_FUNCTION),
    ("WITH RECURSIVE x AS (SELECT '' c UNION FROM read_text('/etc/passwd')) FROM x", NO_TABLE_FUNCTION),
    ("SELECT * FROM clips WHERE source IN (SELECT content FROM read_text('/etc/hostname'))", NO_TABLE_FUNCTION),
    ("SELECT * FROM clips c, LATERAL (SELECT * FROM read_text(c.source)) t", NO_TABLE_FUNCTION),
    ("SELECT * FROM clips JOIN glob('/etc/*') g ON g.file = clips.source", NO_TABLE_FUNCTION),
    ("SELECT * FROM ledger UNION ALL SELECT * FROM parquet_metadata('/tmp/x.parquet')", NO_TABLE_FUNCTION),
    ("SELECT 1 EXCEPT SELECT size FROM read_blob('/etc/passwd')", NO_TABLE_FUNCTION),
    ("SELECT 1 ORDER BY (SELECT size FROM read_blob('/etc/passwd'))", NO_TABLE_FUNCTION),
    ("SELECT 1 LIMIT (SELECT size FROM read_blob('/etc/passwd'))", NO_TABLE_FUNCTION),
    ("SELECT count(*) FILTER ((SELECT size FROM read_blob('/etc/passwd')) > 1) FROM clips", NO_TABLE_FUNCTION),
    ("SELECT sum(1) OVER (ORDER BY (SELECT size FROM read_blob('/etc/passwd')))", NO_TABLE_FUNCTION),
    ("SELECT [(SELECT content FROM read_text(p)) FOR p IN ['/etc/passwd']]", NO_TABLE_FUNCTION),
    ("SELECT list_transform(['/etc/passwd'], lambda p: (SELECT content FROM read_text(p)))", NO_TABLE_FUNCTION),
    ("SELECT {'a': (SELECT content FROM read_text('/etc/passwd'))}", NO_TABLE_FUNCTION),
    ("SELECT CASE WHEN true THEN (SELECT content FROM read_text('/etc/passwd')) END", NO_TABLE_FUNCTION),
    ("VALUES ((SELECT content FROM read_text('/etc/passwd')))", NO_TABLE_FUNCTION),
    ("FROM read_text('/etc/passwd')", NO_TABLE_FUNCTION),
    ("PIVOT (FROM read_text('/etc/passwd')) ON filename IN ('a') USING count(*)", NO_TABLE_FUNCTION),
    ("UNPIVOT (FROM read_text('/etc/passwd')) ON content INTO NAME n VALUE v", NO_TABLE_FUNCTION),
    ("DESCRIBE SELECT * FROM read_text('/etc/passwd')", NO_TABLE_FUNCTION),
    ("SUMMARIZE SELECT * FROM read_text('/etc/passwd')", NO_TABLE_FUNCTION),
    ("SELECT * FROM sniff_csv('/etc/passwd')", NO_TABLE_FUNCTION),
    ("SELECT read_text('/etc/passwd')", NO_FUNCTION),
    ("SELECT '/etc/passwd'.read_text()", NO_FUNCTION),
    # files, by names that DuckDB takes for one
    ("SELECT * FROM '/etc/passwd'", NO_VIEW),
    ('SELECT * FROM "/etc/passwd.csv"', NO_VIEW),
    ('SELECT * FROM "s3://bucket/x.parquet"', NO_VIEW),
    ("FROM 'https://example.invalid/x.csv'", NO_VIEW),
    ("TABLE '/etc/passwd.csv'", NO_VIEW),
    ("SELECT * FROM ('/etc/passwd.csv')", NO_VIEW),
    ("DESCRIBE '/etc/passwd.csv'", NO_VIEW),
    ("SUMMARIZE '/tmp/x.parquet'", NO_VIEW),
    ("SELECT * FROM U&'/etc/passwd.csv'", "syntax error|no view"),
    ("SELECT * FROM 'ｃlips'", NO_VIEW),
    ("SELECT * FROM (WITH \"/etc/passwd.csv\" AS (SELECT 1) FROM \"/etc/passwd.csv\"), '/etc/passwd.csv'", NO_VIEW),
    # the environment, settings, the engine's own tables
    ("SELECT getenv('HOME')", NO_FUNCTION),
    ("SELECT 'HOME'.getenv()", NO_FUNCTION),
    ("SELECT system.main.getenv('HOME')", NO_FUNCTION),
    ('SELECT "GetEnv"(\'HOME\')', NO_FUNCTION),
    ("SELECT [getenv(x) FOR x IN ['HOME']]", NO_FUNCTION),
    ("SELECT list_transform(['HOME'], lambda x: getenv(x))", NO_FUNCTION),
    ("SELECT struct_pack(a := getenv('HOME'))", NO_FUNCTION),
    ("SELECT current_setting('temp_directory')", NO_FUNCTION),
    ("SELECT getvariable('x')", NO_FUNCTION),
    ("SELECT * FROM duckdb_settings()", NO_TABLE_FUNCTION),
    ("SELECT * FROM duckdb_secrets()", NO_TABLE_FUNCTION),
    ("SELECT * FROM which_secret('s3://x', 's3')", NO_TABLE_FUNCTION),
    ("SELECT * FROM duckdb_logs", NO_VIEW),
    ("SELECT * FROM pragma_database_list()", NO_TABLE_FUNCTION),
    ("SELECT * FROM pragma_table_info('clips')", NO_TABLE_FUNCTION),
    ("SELECT * FROM pg_catalog.pg_tables", ALONE),
    ("SELECT * FROM information_schema.tables", ALONE),
    ('SELECT * FROM "information_schema"."tables"', ALONE),
    ("SELECT * FROM sqlite_master", NO_VIEW),
    ("SELECT * FROM duckdb_tables", NO_VIEW),
    ("SELECT * FROM main.clips", ALONE),
    ("SELECT * FROM taken.clips", ALONE),
    ("SELECT * FROM memory.taken.clips", ALONE),
    ("SELECT * FROM clips AT (VERSION => 1)", "AT is not offered"),
    ("SHOW DATABASES", OF_SHOW),
    ("SHOW ALL TABLES", OF_SHOW),
    ("SHOW TABLES FROM information_schema", OF_SHOW),
    ("SHOW secrets", NO_VIEW),
    ("SELECT * FROM (SHOW DATABASES)", OF_SHOW),
    # SQL in text
    ("SELECT * FROM query('SELECT 1')", NO_TABLE_FUNCTION),
    ("SELECT * FROM query_table('clips')", NO_TABLE_FUNCTION),
    ("SELECT * FROM query_table(['clips', '/etc/passwd.csv'])", NO_TABLE_FUNCTION),
    ("SELECT * FROM json_execute_serialized_sql('{}')", NO_TABLE_FUNCTION),
    ("SELECT json_execute_serialized_sql('{}')", NO_FUNCTION),
    ("SELECT json_serialize_plan('SELECT * FROM read_text(''/etc/passwd'')')", NO_FUNCTION),
    ("SELECT * FROM python_map_function(NULL)", NO_TABLE_FUNCTION),
    ("SELECT * FROM pandas_scan(140000000)", NO_TABLE_FUNCTION),
    ("SELECT * FROM arrow_scan(1, 2, 3)", NO_TABLE_FUNCTION),
    ("SELECT * FROM histogram(clips, year)", NO_TABLE_FUNCTION),
    ("SELECT * FROM python_variable", NO_VIEW),
    ("SELECT * FROM session", NO_VIEW),
    ("SELECT $1", "parameters"),
    ("SELECT ?", "parameters"),
    ("PREPARE p AS SELECT 1", kind("PREPARE")),
    ("EXECUTE p", kind("EXECUTE")),
    # statements that do something
    ("ATTACH '/tmp/x.db'", kind("ATTACH")),
    ("ATTACH 'https://example.invalid/x.db'", kind("ATTACH")),
    ("DETACH memory", kind("DETACH")),
    ("COPY clips TO '/tmp/x.csv'", kind("COPY")),
    ("COPY (SELECT 1) TO '/tmp/x.csv'", kind("COPY")),
    ("EXPORT DATABASE '/tmp/x'", kind("EXPORT")),
    ("IMPORT DATABASE '/tmp/x'", "is not offered"),
    ("INSTALL httpfs", kind("LOAD")),
    ("LOAD httpfs", kind("LOAD")),
    ("SET enable_external_access = true", kind("SET")),
    ("SET VARIABLE x = 1", kind("SET")),
    ("RESET enable_external_access", kind("(SET|RESET)")),
    ("PRAGMA enable_profiling", "is not offered"),
    ("PRAGMA database_list", kind("PRAGMA")),
    ("CALL duckdb_settings()", kind("CALL")),
    ("CREATE TABLE x AS SELECT 1", kind("CREATE")),
    ("CREATE MACRO f() AS TABLE FROM read_text('/etc/passwd')", kind("CREATE")),
    ("CREATE SECRET s (TYPE s3)", kind("CREATE")),
    ("DROP TABLE clips", kind("DROP")),
    ("/* SELECT */ DROP TABLE clips", kind("DROP")),
    ("DELETE FROM clips", kind("DELETE")),
    ("WITH t AS (DELETE FROM clips RETURNING *) SELECT * FROM t", "DELETE is not offered; the views are read only"),
    ("WITH t AS (INSERT INTO clips FROM clips RETURNING *) SELECT * FROM t", "INSERT is not offered"),
    ("UPDATE clips SET source = 'x'", kind("UPDATE")),
    ("INSERT INTO clips SELECT * FROM clips", kind("INSERT")),
    ("MERGE INTO clips USING frames ON true WHEN MATCHED THEN DELETE", kind("MERGE_INTO")),
    ("ALTER TABLE clips RENAME TO x", kind("ALTER")),
    ("VACUUM", kind("VACUUM")),
    ("CHECKPOINT", "is not offered"),
    ("USE memory", "is not offered"),
    ("BEGIN", kind("TRANSACTION")),
    ("SELECT nextval('s')", NO_FUNCTION),
    ("SELECT write_log('x')", NO_FUNCTION),
    ("SELECT pg_sleep(100)", NO_FUNCTION),
    ("EXPLAIN ANALYZE SELECT 1", "wxpipe sql --explain"),
    ("EXPLAIN SELECT * FROM read_text('/etc/passwd')", "wxpipe sql --explain"),
    ("EXPLAIN COPY clips TO '/tmp/x.csv'", "wxpipe sql --explain"),
    ("PIVOT clips ON year", "PIVOT needs its values"),
    # several statements, or none
    ("SELECT 1; SELECT 2", STATEMENTS),
    ("SELECT 1; COPY clips TO '/tmp/x.csv'", STATEMENTS),
    ("SELECT 1;/**/SET enable_external_access = true;--", STATEMENTS),
    ("", STATEMENTS),
    (";", STATEMENTS),
    ("-- nothing", STATEMENTS),
    ("SELECT", "syntax error|SELECT clause"),
    ("SELECT 1\0; DROP TABLE clips", "zero character"),
    # too much to read
    ("SELECT 1" + " " * LONGEST, "at most 50,000"),
    (f"SELECT {'(' * 20_000}1{')' * 20_000}", "depth"),
    (f"SELECT {'[' * 20_000}1{']' * 20_000}", "depth"),
    (f"SELECT * FROM {'(FROM ' * 5_000}(SELECT 1){')' * 5_000}", "too deep|depth"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "reason"), ESCAPES, ids=[query[:60] for query, _ in ESCAPES])
def test_nothing_else_can_be_reached_or_changed(served: TinyRoot, query: str, reason: str) -> None:
    with pytest.raises(UsageError, match=rf"^SQL: (.|\n)*({reason})"):
        run_sql(served.root, query)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT * FROM read_text('/etc/passwd')", "disabled"),
        ("SELECT * FROM '/etc/passwd.csv'", "disabled|does not exist"),
        ("SELECT * FROM glob('/etc/*')", "disabled"),
        ("SELECT * FROM self", "does not exist"),
        ("SELECT getenv('HOME')", "does not exist"),
        ("SET enable_external_access = true", "lock|cannot|disabled"),
        ("SET memory_limit = '100GB'", "lock"),
        ("SET lock_configuration = false", "lock"),
        ("COPY (SELECT 1) TO '{folder}/x.csv'", "disabled"),
        ("EXPORT DATABASE '{folder}/x'", "disabled"),
        ("ATTACH '{folder}/x.db'", "disabled"),
        ("INSTALL httpfs", "disabled|lock|not allowed"),
        ("LOAD httpfs", "disabled|lock|not allowed|not found"),
    ],
)
def test_the_engine_refuses_it_too(tmp_path: Path, query: str, reason: str) -> None:
    """The second line, for what the first did not think of: the engine is asked without any check."""
    with asking(Limits()) as engine, pytest.raises(UsageError, match=f"(?i){reason}"):
        engine.rows(query.format(folder=tmp_path))
    assert list(tmp_path.iterdir()) == []
