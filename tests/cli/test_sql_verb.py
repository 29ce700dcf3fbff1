"""`wxpipe sql`: its help names every view, `--explain` tells what is read, limits come from the environment."""

from __future__ import annotations

import pytest

from tests.cli.conftest import CommandLine
from tests.mini import DAY, Undisturbed
from wxpipe.vectors.sql_rows import FORMATS
from wxpipe.vectors.views import LOADERS


def test_help_names_views_formats_the_search_and_the_limits(cli: CommandLine) -> None:
    words = " ".join(cli("sql", "--help").out.replace("│", " ").split())
    for name in (
        *LOADERS,
        *FORMATS,
        "analogs(",
        "--explain",
        "WXPIPE_SQL_MEMORY",
        "WXPIPE_SQL_SECONDS",
        "WXPIPE_SQL_ROWS",
    ):
        assert name in words, name


def test_explain_tells_what_would_be_read(cli: CommandLine, first_run: Undisturbed) -> None:
    query = "SELECT source, count(*) FROM frames WHERE hour = 3 GROUP BY source"
    said = cli("sql", "--root", first_run.root, query, "--explain")
    assert said.code == 0, said.err
    assert f"frames: {2 * DAY - 1} rows, columns: hour, source" in said.out
    assert "vectors: not read" in said.out
    assert "hour = 3" in said.out
    said = cli("sql", "--root", first_run.root, "SELECT vector FROM clips", "--explain")
    assert "vectors: read" in said.out


def test_limits_are_those_of_the_machine(
    cli: CommandLine, first_run: Undisturbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WXPIPE_SQL_ROWS", "3")
    said = cli("sql", "--root", first_run.root, "SELECT * FROM frames")
    assert said.code == 2
    assert "the answer has more than 3 rows" in said.words
    assert said.out == ""
