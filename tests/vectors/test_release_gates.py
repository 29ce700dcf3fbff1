"""What a release's index must find, overall and under filters, and what upkeep says when it does not keep up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import (
    CommandLine,
    cli,  # noqa: F401 - a fixture
)
from tests.vectors.tiny_root import SOURCE, TinyRoot, copy_of
from tests.vectors.weather_root import A_DAY, DAYS, make_weather_root, put_day
from wxpipe.store.root import Root
from wxpipe.vectors import build as build_module
from wxpipe.vectors import index
from wxpipe.vectors.index import PoorIndexError
from wxpipe.vectors.records import current_number, list_releases, newest_release, put_release
from wxpipe.vectors.release import build, maintain, promote

BELOW = 500
ROWS = DAYS * A_DAY


@pytest.fixture(autouse=True)
def few_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough to tell a good index from a bad one, in a third of the time."""
    monkeypatch.setattr(index, "RECALL_QUERIES", 12)
    monkeypatch.setattr(index, "FILTERED_QUERIES", 6)


@pytest.fixture(scope="session")
def indexed_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose release has an index, and is promoted."""
    folder = tmp_path_factory.mktemp("gates") / "root"
    root = make_weather_root(folder).root
    build(root, exact_below=BELOW)
    promote(root)
    return folder


@pytest.fixture
def indexed(indexed_template: Path, tmp_path: Path) -> TinyRoot:
    return copy_of(indexed_template, tmp_path / "root")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No filter is narrow enough to be scanned: sixteen days are as many rows as one filter leaves of years."""
    monkeypatch.setattr(index, "NARROW_ROWS", 0)
    monkeypatch.setattr(index, "NARROW_SHARE", 0.0)
    return monkeypatch


def clips(root: Root) -> Any:
    release = newest_release(root)
    assert release is not None
    return release.part(SOURCE).tables["clips"].index


def test_a_release_tells_recall_overall_and_under_filters(indexed: TinyRoot) -> None:
    found = clips(indexed.root)
    assert found["recalls"].keys() == {"all", "stretch", "month", "hour", "season"}
    assert min(found["recalls"].values()) >= 0.99
    assert (found["kind"], found["unindexed"]) == ("ivf_flat", 0)
    assert found["trained"] == {"rows": ROWS, "recall": found["recall"]}


def test_a_planted_bad_index_is_refused(indexed: TinyRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody put an index of one byte a vector in the place of ours."""
    from lancedb.index import IvfPq

    honest = build_module.apply

    def planted(tables: Any, changes: Any, read: Any) -> Any:
        content = honest(tables, changes, read)
        for table in tables.values():
            table.create_index("vector", config=IvfPq(distance_type="l2", num_partitions=2, num_sub_vectors=1))
        return content

    monkeypatch.setattr(build_module, "apply", planted)
    put_day(indexed, DAYS)
    with pytest.raises(
        PoorIndexError, match=r"finds 0\.\d+ of the true 10 nearest among all rows, .*nothing was releas"
    ):
        build(indexed.root, exact_below=BELOW)
    assert [release.number for release in list_releases(indexed.root)] == [1]
    monkeypatch.undo()
    assert build(indexed.root, exact_below=BELOW).rows("clip") == ROWS + A_DAY


def test_an_index_that_is_bad_under_a_filter_alone_is_refused(indexed: TinyRoot, narrow: pytest.MonkeyPatch) -> None:
    """It finds nearly all overall; of the few rows of one hour of the day it looks into too few partitions."""

    def fine(table: Any, _rows: int) -> None:
        from lancedb.index import IvfFlat

        table.create_index("vector", config=IvfFlat(distance_type="l2", num_partitions=48))

    narrow.setattr(index, "_create", fine)
    narrow.setattr(index, "PROBES", (16,))
    with pytest.raises(PoorIndexError, match=r"0\.\d+ of the true 10 nearest within an hour of the day") as refused:
        build(indexed.root, exact_below=BELOW, anew=True)
    assert "among all rows" not in str(refused.value)


@pytest.mark.slow
def test_the_own_day_does_not_flatter(indexed: TinyRoot, narrow: pytest.MonkeyPatch) -> None:
    """A row's neighbours in time lie beside it in the index; a search leaves them out, and so does the measure."""
    release = newest_release(indexed.root)
    assert release is not None
    table = release.part(SOURCE).open(indexed.root, build_module.SPECS["clip"])
    honest = index.recalls(table, 1)["all"]
    narrow.setattr(index, "DAY_SECONDS", 0)
    assert index.recalls(table, 1)["all"] > honest


def test_upkeep_tells_figures_before_and_after(indexed: TinyRoot) -> None:
    put_day(indexed, DAYS)
    build(indexed.root, exact_below=BELOW)
    promote(indexed.root)
    assert clips(indexed.root)["unindexed"] == A_DAY
    done = maintain(indexed.root, exact_below=BELOW)
    assert (done.release, done.alarms) == (3, ())
    assert current_number(indexed.root) == 3
    for table in done.tables:
        assert (table.rows, table.before.unindexed, table.after.unindexed) == (ROWS + A_DAY, A_DAY, 0)
        assert table.after.fragments < table.before.fragments
        assert table.after.recalls.keys() == table.before.recalls.keys() == index.FILTERS.keys()
    assert clips(indexed.root)["trained"]["rows"] == ROWS


@pytest.mark.slow
def test_an_index_that_finds_less_is_told_and_what_serves_stays(indexed: TinyRoot, narrow: pytest.MonkeyPatch) -> None:
    """Planted: searches look into one partition. Learned again it finds no more, and is not published."""
    honest = index._hit
    narrow.setattr(index, "_hit", lambda table, row, where, _probes: honest(table, row, where, 1))
    done = maintain(indexed.root, exact_below=BELOW)
    assert done.release is None
    assert any("recall fell from 1.0 to 0." in alarm and "--reindex" in alarm for alarm in done.alarms)
    again = maintain(indexed.root, exact_below=BELOW, reindex=True)
    assert any("the index finds 0." in alarm and "nothing was released" in alarm for alarm in again.alarms)
    assert (again.release, current_number(indexed.root)) == (None, 1)
    narrow.undo()
    assert maintain(indexed.root, exact_below=BELOW).alarms == ()


@pytest.mark.slow
def test_an_index_that_was_outgrown_is_learned_again_on_request(indexed: TinyRoot) -> None:
    base = newest_release(indexed.root)
    assert base is not None
    part = base.parts[0]
    small = {name: replace(there, index={**there.index, "trained": {"rows": 300, "recall": 1.0}})
             for name, there in part.tables.items()}  # fmt: skip
    put_release(indexed.root, replace(base, number=2, parts=(replace(part, tables=small),)))
    (first, *_) = maintain(indexed.root, exact_below=BELOW).alarms
    assert f"its partitions were learned of 300 rows, now there are {ROWS}: `wxpipe release maintain --rei" in first
    done = maintain(indexed.root, exact_below=BELOW, reindex=True)
    assert (done.release, done.alarms) == (3, ())
    assert clips(indexed.root)["trained"]["rows"] == ROWS


def test_days_that_no_search_finds_are_an_alarm_and_exit_three(
    indexed: TinyRoot,
    cli: CommandLine,  # noqa: F811
) -> None:
    said = cli("release", "maintain", "--root", indexed.root.url, "--json")
    assert said.document["tables"][0]["before"].keys() == {"fragments", "unindexed", "recalls"}
    put_day(indexed, DAYS)
    said = cli("release", "maintain", "--root", indexed.root.url)
    assert said.code == 3
    words = " ".join(said.out.split())
    assert "alarm 1 embedded days are not in release" in words
    assert "`wxpipe release build`" in words
