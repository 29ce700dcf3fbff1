"""SQL: the views say what is in the root, times compare as times, and only what a query reads is loaded."""

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
from wxpipe.vectors.sql import explain_sql, read_names, run_sql
from wxpipe.vectors.sql_rows import format_rows
from wxpipe.vectors.views import LOADERS


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
        ("start > TIMESTAMP WITH TIME ZONE '2011-03-06 16:00:00 Asia/Seoul'", 24),
        ("start > '2011-03-06 16:00:00+09:00'", 24),
        ("start > TIMESTAMP '2011-03-06 16:00:00' AT TIME ZONE 'Asia/Seoul'", 24),
        ("start AT TIME ZONE 'Asia/Seoul' > TIMESTAMP '2011-03-06 16:00:00'", 24),
        ("hour(start AT TIME ZONE 'Asia/Seoul') = 15", 12),
        ("start = TIMESTAMP '2011-03-06 07:00:00'", 1),
        ("start IN (TIMESTAMP '2011-03-06 07:00:00', TIMESTAMPTZ '2011-03-04 07:00Z')", 2),
        ("start BETWEEN '2011-03-04' AND '2011-03-05'", 29),
        ("start BETWEEN TIMESTAMP '2011-03-03 12:00' AND TIMESTAMP '2011-03-04 07:00'", 10),
        ("start NOT BETWEEN '2011-03-03 21:00+09' AND '2011-03-04 16:00+09'", 77),
        ("start > TIMESTAMP '2012-01-01'", 0),
        ("start > now()", 0),
        ("start < now()", 87),
        ("start < current_date", 87),
        ('start + INTERVAL 6 HOUR = "end"', 87),
        ("hour(start) = hour", 87),
        ("EXTRACT(hour FROM start) = 6 AND EXTRACT(minute FROM start) = 15", 3),
        ("date_part('month', start) = month AND year(start) = year", 87),
        ("epoch(start) = start_epoch", 87),
        ("start::DATE = DATE '2011-03-04'", 29),
        ("date_trunc('day', start) = TIMESTAMP '2011-03-04'", 29),
        ("date_trunc('hour', start) = '2011-03-04 06:00Z'", 4),
        ("strftime(start, '%Y%m%dT%H%MZ') = '20110304T0700Z'", 1),
    ],
)
def test_times_compare_as_times(served: TinyRoot, condition: str, count: int) -> None:
    assert rows(served, f"SELECT count(*) FROM clips WHERE {condition}") == [(count,)]


def test_times_of_other_views_compare_as_times(served: TinyRoot) -> None:
    counts = {
        "pictures WHERE time > TIMESTAMPTZ '2011-03-06 16:00+09' AND status = 'good'": 2 * 43,
        "frames WHERE time > TIMESTAMPTZ '2011-03-06 16:00+09'": 43,
        "inventory WHERE time > TIMESTAMP '2011-03-06 07:00'": 2 * 43,
        "quarantine WHERE day = DATE '2011-03-04' AND time = TIMESTAMP '2011-03-04 05:45'": 1,
        "ledger WHERE stage = 'embed' AND day BETWEEN '2011-03-03' AND '2011-03-05'": 2,
        "clips c JOIN pictures p ON p.time = c.start AND p.channel = 'wv'": 87,
    }
    for what, count in counts.items():
        assert rows(served, f"SELECT count(*) FROM {what}") == [(count,)], what


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


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ("SELECT count(*) FROM clips", ()),
        ("SELECT count(*) FROM (SELECT * FROM clips)", ()),
        ("SELECT year, count(*) FROM clips GROUP BY year", ("year",)),
        ("SELECT c.start FROM clips c WHERE c.hour > 3", ("hour", "start")),
        ("SELECT source FROM (SELECT * FROM clips) t WHERE month = 3", ("month", "source")),
        ("WITH x AS (SELECT * FROM clips) SELECT a.year FROM x a JOIN x b USING (clip_id)", ("clip_id", "year")),
        ("SELECT list_sum(c.vector) FROM clips c", ("vector",)),
        ("SELECT year FROM clips UNION SELECT month FROM clips", ("month", "year")),
        ("SELECT 1 FROM clips POSITIONAL JOIN (SELECT hour FROM clips) h WHERE h.hour > 0", ("hour",)),
    ],
)
def test_only_the_columns_that_a_query_reads_are_loaded(served: TinyRoot, query: str, columns: tuple[str, ...]) -> None:
    found = explain_sql(served.root, query)
    assert found.columns == {"clips": columns}
    assert found.views == {"clips": 87}
    assert found.vectors is ("vector" in columns)
    run_sql(served.root, query)


@pytest.mark.parametrize(
    "query",
    ["SELECT * FROM clips", "SELECT c FROM clips c", "SELECT COLUMNS('.*') FROM clips", "FROM clips", "TABLE clips",
     "SUMMARIZE clips", "PIVOT clips ON year IN (2011) USING count(*)"],
)  # fmt: skip
def test_a_query_of_all_columns_loads_them_all(served: TinyRoot, query: str) -> None:
    (columns,) = explain_sql(served.root, query).columns.values()
    assert len(columns) == 13
    assert "vector" in columns


def test_only_views_that_a_query_names_are_loaded(served: TinyRoot) -> None:
    assert read_names("WITH x AS (SELECT source FROM frames) SELECT * FROM x, ledger").views == ("frames", "ledger")
    assert read_names("SELECT (SELECT count(*) FROM releases), 1").views == ("releases",)
    found = explain_sql(served.root, "SELECT count(*) FROM pictures")
    assert found.views == {"quarantine": 3, "inventory": 3 * 49 * 2, "pictures": 3 * 48 * 2 + 9}
    assert explain_sql(served.root, "DESCRIBE clips").views == {"clips": 0}


def test_an_explanation_has_the_plan_and_runs_nothing(served: TinyRoot) -> None:
    query = "SELECT error(clip_id) FROM clips WHERE hour = 7"
    found = explain_sql(served.root, query)
    assert "hour=7" in found.plan.replace(" ", "")
    with pytest.raises(UsageError, match="tiny-ea/20110303T0700Z"):
        run_sql(served.root, query)


def test_what_an_analyst_tries_first(served: TinyRoot) -> None:
    assert {name for (name,) in rows(served, "SHOW TABLES")} == set(LOADERS)
    kinds = {row[0]: row[1] for row in rows(served, "DESCRIBE clips")}
    assert kinds["start"] == "TIMESTAMP WITH TIME ZONE"
    assert kinds["vector"] == "FLOAT[8]"
    assert [row[0] for row in rows(served, "SHOW quarantine")][:3] == ["stage", "source", "day"]
    assert rows(served, "SELECT column_name, min FROM (SUMMARIZE SELECT start_epoch FROM clips)") == [
        ("start_epoch", "1299132000")
    ]
    assert rows(served, "FROM clips SELECT count(*)") == [(87,)]
    assert rows(served, "VALUES (1), (2)") == [(1,), (2,)]
    assert rows(served, "(SELECT 1)") == [(1,)]
    assert rows(served, "-- how many?\nSELECT count(*) /* all */ FROM clips;") == [(87,)]
    assert rows(served, 'SELECT count(*) FROM "CLIPS"') == [(87,)]
    assert rows(served, "PIVOT clips ON hour IN (6, 7) USING count(*) GROUP BY year") == [(2011, 12, 12)]
    counted = "WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT max(i) FROM n"
    assert rows(served, counted) == [(5,)]


def test_vectors_come_as_lists(served: TinyRoot) -> None:
    result = run_sql(served.root, "SELECT vector FROM clips ORDER BY start LIMIT 1")
    (row,) = json.loads(format_rows(result, "json"))
    assert len(row["vector"]) == 8
    distance = "array_distance(a.vector, b.vector)"
    assert rows(served, f"SELECT count(*) FROM clips a, clips b WHERE {distance} = 0 AND a.hour = 7") == [(12,)]


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
