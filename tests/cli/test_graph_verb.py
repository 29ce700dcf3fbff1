"""`wxpipe graph`: built, brought up to date, told in figures and walked, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.vectors.tiny_root import SOURCE, TinyRoot
from tests.vectors.weather_root import A_DAY, make_weather_root, put_day
from wxpipe.vectors.release import build, promote

ROWS = 6 * A_DAY


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyRoot:
    made = make_weather_root(tmp_path_factory.mktemp("graph") / "root", days=6)
    build(made.root)
    promote(made.root)
    return made


def test_a_graph_from_build_to_walk(cli: CommandLine, tiny: TinyRoot) -> None:
    common = ("--root", tiny.root.url, "--satellite", "tiny")
    said = cli("graph", "stats", *common)
    assert said.code == 1
    assert "`wxpipe graph build --satellite tiny-ea` makes it" in said.words
    said = cli("graph", "build", *common, "--k", "4")
    assert said.code == 0, said.err
    assert f"graph 1 of release 1 made: {ROWS} clips, {4 * ROWS} edges" in said.out
    assert "recall" in said.out
    again = cli("graph", "build", *common, "--k", "4", "--json").document
    assert (again["graph"], again["made"], again["k"]) == (1, False, 4)
    put_day(tiny, 6)
    build(tiny.root)
    promote(tiny.root)
    said = cli("graph", "search", *common, "--at", "2011-03-02T08:00Z")
    assert "`wxpipe graph update" in said.words
    assert cli("graph", "update", *common).code == 1  # of another k
    updated = cli("graph", "update", *common, "--k", "4", "--json").document
    assert (updated["graph"], updated["follows"], updated["rows"]) == (2, 1, ROWS + A_DAY)
    found = cli("graph", "search", *common, "--at", "2011-03-02T08:00Z", "--k", "6", "--steps", "3", "--json").document
    assert found["query"] == {"clip_id": f"{SOURCE}/20110302T0800Z/6h20"}
    assert [one["rank"] for one in found["analogs"]] == [1, 2, 3, 4, 5, 6]
    told = cli("graph", "search", *common, "--at", "2011-03-02T08:00Z")
    assert "graph 2 of release 2" in told.out
    figures = cli("graph", "stats", *common, "--json").document
    assert figures["stats"]["edges"] == 4 * (ROWS + A_DAY)
    assert figures["stats"]["hubs"][0].keys() == {"id", "in_degree"}
    told = cli("graph", "stats", *common)
    for words in ("edges into other years", "skewness of in-degrees", "regimes", figures["stats"]["novel"][0]["id"]):
        assert words in told.out, words
    sql = "SELECT count(*) AS n FROM neighbours n JOIN novelty v USING (id) WHERE n.rank = 1"
    assert cli("sql", "--root", tiny.root.url, "--format", "json", sql).document == [{"n": ROWS + A_DAY}]


def test_wrong_questions(cli: CommandLine, tiny: TinyRoot) -> None:
    common = ("--root", tiny.root.url)
    assert cli("graph", "build", *common, "--satellite", "nobody").code == 2
    assert cli("graph", "build", *common, "--satellite", "tiny", "--k", "500").code == 2
    assert cli("graph", "build", *common, "--satellite", "tiny", "--release", "9").code == 1
    assert cli("graph", "search", *common, "--satellite", "tiny", "--at", "x").code == 2


def test_no_release_is_said(cli: CommandLine, tmp_path: Path) -> None:
    root = make_weather_root(tmp_path / "root", days=1).root
    said = cli("graph", "build", "--root", root.url, "--satellite", "tiny")
    assert said.code == 1
    assert "no current release" in said.words
