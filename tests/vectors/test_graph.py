"""Graphs of releases: what is published, what is refused, how one is brought up to date, and what SQL and walks see."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tests.s3 import credentials, make_bucket
from tests.vectors.tiny_root import MODEL, SOURCE, TinyRoot, copy_of
from tests.vectors.weather_root import A_DAY, DAYS, drop_day, make_weather_root, put_day
from wxpipe.errors import DamagedError, LeaseLostError, NotFoundError, RefusedError, UsageError
from wxpipe.pipeline.gc import Wanted, collect
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.root_checks import look_at_graphs
from wxpipe.pipeline.run import single_handed
from wxpipe.store.root import Root, init_root
from wxpipe.vectors import graph_build
from wxpipe.vectors.answers import SearchRequest
from wxpipe.vectors.graph_build import GraphRequest, build_graph, update_graph
from wxpipe.vectors.graph_episodes import NONE, Edges, exact_edges
from wxpipe.vectors.graph_recall import found_share
from wxpipe.vectors.graph_stats import describe_graph
from wxpipe.vectors.graph_store import (
    Graph,
    GraphPlace,
    GraphRecord,
    graph_of,
    list_graphs,
    put_arrays,
    read_graph,
    require_graph,
)
from wxpipe.vectors.graph_walk import walk
from wxpipe.vectors.memory import load_vectors
from wxpipe.vectors.records import current_release, require_current
from wxpipe.vectors.release import build, maintain, promote
from wxpipe.vectors.search import search
from wxpipe.vectors.sql import run_sql
from wxpipe.vectors.tables import SPECS

CLIPS, FRAMES = GraphPlace(SOURCE, "clip"), GraphPlace(SOURCE, "frame")
REQUEST = GraphRequest(CLIPS, k=6)
AT = datetime(2011, 3, 5, 8, tzinfo=UTC)


@pytest.fixture(scope="session")
def weather_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose release is promoted and has a graph of its clips."""
    folder = tmp_path_factory.mktemp("graphs") / "root"
    root = make_weather_root(folder).root
    build(root)
    build_graph(root, promote(root), REQUEST)
    return folder


@pytest.fixture(scope="session")
def graphed(weather_template: Path) -> TinyRoot:
    """To be read only."""
    return TinyRoot(Root(str(weather_template)))


@pytest.fixture
def weather(weather_template: Path, tmp_path: Path) -> TinyRoot:
    return copy_of(weather_template, tmp_path / "root")


def the_graph(tiny: TinyRoot, place: GraphPlace = CLIPS) -> tuple[GraphRecord, Graph]:
    record = require_graph(tiny.root, require_current(tiny.root), place)
    return record, read_graph(tiny.root, record)


def new_release(tiny: TinyRoot) -> Any:
    build(tiny.root)
    return promote(tiny.root)


def rows_of(tiny: TinyRoot) -> Any:
    part = require_current(tiny.root).part(SOURCE)
    return load_vectors(part.open(tiny.root, SPECS["clip"]), SPECS["clip"], SOURCE)


def sql(tiny: TinyRoot, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in run_sql(tiny.root, query).to_pylist()]


def recall_now(tiny: TinyRoot) -> float:
    record, graph = the_graph(tiny)
    rows = rows_of(tiny)
    everything = np.arange(len(rows))
    return found_share(graph.edges(record.about.k), exact_edges(rows, everything, graph_build.EdgeRule(record.about.k)))


def test_a_graph_is_plain_zarr_that_says_what_it_is(graphed: TinyRoot) -> None:
    record, graph = the_graph(graphed)
    group = zarr.open_group(f"{graphed.root.url}/{record.folder}", mode="r")
    attributes = dict(group.attrs)
    assert attributes["comment"].startswith("The 6 nearest clips of each clip: those that begin within 24 hours")
    about = {"release": 1, "model": MODEL, "k": 6, "rows": DAYS * A_DAY, "unit": "clip", "follows": None}
    assert about.items() <= attributes.items()
    assert attributes["recall"]["overall"] >= 0.98
    indptr, indices = np.asarray(group["indptr"]), np.asarray(group["indices"])
    assert indptr[-1] == len(indices) == record.edges
    assert np.array_equal(np.bincount(indices, minlength=len(graph)), np.asarray(group["in_degree"]))
    assert datetime.fromtimestamp(int(group["starts"][0]), UTC).strftime(attributes["identity"]) == (
        f"{SOURCE}/20110301T0000Z/6h20"
    )
    assert recall_now(graphed) >= 0.98


def test_its_edges_are_what_search_answers(graphed: TinyRoot) -> None:
    _, graph = the_graph(graphed)
    answer = search(graphed.root, SearchRequest(SOURCE, AT, k=6))
    row = graph.row_at(int(AT.timestamp()))
    assert row is not None
    edges = slice(graph.indptr[row], graph.indptr[row + 1])
    assert [int(one.start.timestamp()) for one in answer.analogs] == graph.starts[graph.indices[edges]].tolist()
    np.testing.assert_allclose([one.distance for one in answer.analogs], graph.distances[edges], rtol=1e-5)
    assert graph.novelty[row] == graph.distances[edges][-1]


def test_the_same_rows_are_joined_once(weather: TinyRoot) -> None:
    """Also in a release that upkeep has made of them."""
    first = build_graph(weather.root, require_current(weather.root), REQUEST)
    assert not first.made
    put_day(weather, 3, seed=9)
    new_release(weather)
    put_day(weather, 3)
    new_release(weather)
    maintain(weather.root)
    again = require_current(weather.root)
    assert again.number > 2
    assert build_graph(weather.root, again, REQUEST) == first
    assert update_graph(weather.root, again, REQUEST) == first


def test_an_update_follows_days_that_came_changed_and_went(weather: TinyRoot) -> None:
    put_day(weather, DAYS)
    put_day(weather, 5, seed=4)
    drop_day(weather, 9)
    release = new_release(weather)
    with pytest.raises(NotFoundError, match=r"is of release 1, whose rows are not those of release 2; .*graph update"):
        require_graph(weather.root, release, CLIPS)
    done = update_graph(weather.root, release, REQUEST)
    assert (done.made, done.record.number, done.record.about.follows) == (True, 2, 1)
    assert done.record.about.rows == DAYS * A_DAY
    updated = recall_now(weather)
    shutil.rmtree(Path(weather.root.url, "graphs"))
    build_graph(weather.root, release, REQUEST)
    assert updated >= recall_now(weather) - 0.01
    assert [record.number for record in list_graphs(weather.root, CLIPS)] == [1]


def test_a_new_day_alone_is_cheap(weather: TinyRoot) -> None:
    put_day(weather, DAYS)
    done = update_graph(weather.root, new_release(weather), REQUEST)
    assert done.searched < 0.5 * done.record.about.rows
    assert recall_now(weather) >= 0.98


def test_what_an_update_cannot_begin_with_is_said(weather: TinyRoot) -> None:
    release = require_current(weather.root)
    with pytest.raises(NotFoundError, match=r"has no graph of tiny-ea \(frames\): `wxpipe graph build` first"):
        update_graph(weather.root, release, GraphRequest(FRAMES, k=6))
    with pytest.raises(RefusedError, match=r"graph 1 is of .*, k 6, .* asked for are .*, k 9, 24 hours"):
        update_graph(weather.root, release, replace(REQUEST, k=9))
    for wrong in ({"k": 0}, {"k": 101}, {"exclude_hours": -1}, {"reach": -1}):
        with pytest.raises(UsageError, match="choose"):
            replace(REQUEST, **wrong)


def test_frames_have_graphs_of_their_own(weather: TinyRoot) -> None:
    build_graph(weather.root, require_current(weather.root), GraphRequest(FRAMES, k=3))
    record, graph = the_graph(weather, FRAMES)
    assert record.about.window_hours == 6
    row = graph.row_at(int(AT.timestamp()))
    answer = search(weather.root, SearchRequest(SOURCE, AT, unit="frame", k=3))
    found = graph.starts[graph.indices[graph.indptr[row] : graph.indptr[row + 1]]]
    assert [int(one.start.timestamp()) for one in answer.analogs] == found.tolist()


def test_a_graph_below_the_gate_is_refused_and_leaves_the_one_before(
    weather: TinyRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: a join that forgets one row in ten."""
    honest = graph_build.join

    def forgetful(*arguments: Any) -> Edges:
        edges = honest(*arguments)
        edges.targets[::10], edges.distances[::10] = NONE, np.inf
        return edges

    monkeypatch.setattr(graph_build, "join", forgetful)
    put_day(weather, DAYS)
    release = new_release(weather)
    said: list[str] = []
    with pytest.raises(
        RefusedError, match=r"release 2: too few of the true edges .* expected 0\.98.*nothing was publi"
    ):
        build_graph(weather.root, release, replace(REQUEST, tries=1), say=said.append)
    assert sum("joined again with a reach of" in line for line in said) == 1
    assert [record.number for record in list_graphs(weather.root, CLIPS)] == [1]
    monkeypatch.undo()
    assert build_graph(weather.root, release, REQUEST).made


def test_damage_is_told_and_found_by_validation(weather: TinyRoot) -> None:
    record, _ = the_graph(weather)
    assert list(look_at_graphs(weather.root, Range())) == []
    chunk = Path(weather.root.url, record.folder, "distances/c/0")
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(DamagedError, match="graph build"):
        the_graph(weather)
    (finding,) = look_at_graphs(Root(weather.root.url), Range())
    assert finding.where == f"graphs/{SOURCE}/clip/1.json"
    shutil.rmtree(chunk.parents[2])
    with pytest.raises(DamagedError, match="damaged or gone"):
        the_graph(weather)
    weather.root.objects.put(f"graphs/{SOURCE}/clip/1.json", b"{}")
    with pytest.raises(DamagedError, match=r"1\.json is damaged"):
        list_graphs(weather.root, CLIPS)
    (finding,) = look_at_graphs(Root(weather.root.url), Range())
    assert "damaged" in finding.found


BUILD = """
import sys
from wxpipe.pipeline.run import single_handed
from wxpipe.store.root import Root
from wxpipe.vectors.graph_build import GraphRequest, build_graph
from wxpipe.vectors.graph_store import GraphPlace
from wxpipe.vectors.records import require_current
root, place = Root(sys.argv[1]), GraphPlace("tiny-ea", "clip")
with single_handed(root, place.lease) as lease:
    build_graph(root, require_current(root), GraphRequest(place, k=4), lease)
"""


def run_build(tiny: TinyRoot, **environment: str) -> int:
    command = [sys.executable, "-c", BUILD, tiny.root.url]
    return subprocess.run(command, env={**os.environ, **environment}, check=False, timeout=300).returncode


def killed_and_built_again(template: Path, folder: Path, number: int, prefix: str) -> None:
    """Killed at a write of the graph: the one before is what is seen; built again, the new one is, whole."""
    tiny = copy_of(template, folder)
    status = run_build(tiny, WXPIPE_KILL_AT=f"{number} {prefix}:{folder}.killed")
    assert status == -signal.SIGKILL, f"{number} {prefix} was not reached"
    assert the_graph(tiny)[0].about.k == 6
    assert run_build(tiny) == 0
    record, graph = the_graph(tiny)
    assert (record.about.k, len(graph)) == (4, DAYS * A_DAY)
    collect(tiny.root, Wanted(grace=-1))
    folders = [name for name in tiny.root.objects.names(CLIPS.folder) if name.endswith(".zarr")]
    assert len(folders) == len(list_graphs(tiny.root, CLIPS)) == 1  # nobody goes back to the one before
    assert the_graph(tiny)[0] == record


@pytest.mark.parametrize(
    "point", [pytest.param("5 before put", marks=pytest.mark.slow), "1 before put-if-absent graphs/tiny-ea/clip/2.json"]
)
def test_a_build_that_is_killed_has_made_nothing(weather_template: Path, tmp_path: Path, point: str) -> None:
    number, _, prefix = point.partition(" ")
    killed_and_built_again(weather_template, tmp_path / "root", int(number), prefix)


@pytest.mark.slow
def test_killed_at_every_write_point(weather_template: Path, tmp_path: Path) -> None:
    undisturbed = copy_of(weather_template, tmp_path / "undisturbed")
    assert run_build(undisturbed, WXPIPE_WRITE_POINT_LOG=str(tmp_path / "log")) == 0
    points = [line.split(" ", 2)[2] for line in (tmp_path / "log").read_text().splitlines()]
    ours = [point for point in points if "graphs/" in point]
    assert len(ours) >= 36
    for prefix in ("before put-if-absent graphs/", "before put graphs/", "after put-if-absent graphs/tiny-ea/clip/2"):
        count = sum(point.startswith(prefix) for point in ours)
        for number in range(1, count + 1):
            if prefix.startswith("before") or number < count:
                killed_and_built_again(weather_template, tmp_path / f"{prefix[:12]}{number}".replace(" ", "-"), number,
                                       prefix)  # fmt: skip


def test_of_two_builders_at_once_one_makes_it(weather: TinyRoot) -> None:
    def one(k: int) -> bool:
        root = Root(weather.root.url)
        with single_handed(root, CLIPS.lease) as lease:
            return build_graph(root, require_current(root), replace(REQUEST, k=k), lease).made

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(one, (5, 5, 5))) == [False, False, True]
    assert [record.about.k for record in list_graphs(weather.root, CLIPS)] == [6, 5]


def test_who_lost_the_lease_publishes_nothing(weather: TinyRoot) -> None:
    root = weather.root
    lease = root.leases.try_acquire(CLIPS.lease)
    assert lease is not None
    root.leases.release(lease)
    assert root.leases.try_acquire(CLIPS.lease) is not None
    with pytest.raises(LeaseLostError):
        build_graph(root, require_current(root), replace(REQUEST, k=5), lease)
    assert [record.number for record in list_graphs(root, CLIPS)] == [1]


def test_a_graph_lies_in_a_bucket_as_well(graphed: TinyRoot, s3_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in credentials(s3_port).items():
        monkeypatch.setenv(name, value)
    record, graph = the_graph(graphed)
    root = init_root(f"{make_bucket(s3_port, 'graphs')}/root")
    assert put_arrays(root, record.about, graph) == record.digest
    assert np.array_equal(read_graph(root, record).indices, graph.indices)


def test_walks_find_more_than_a_row_has_edges(graphed: TinyRoot) -> None:
    release = require_current(graphed.root)
    wanted = [one.id for one in search(graphed.root, SearchRequest(SOURCE, AT, k=20)).analogs]
    near = walk(graphed.root, release, CLIPS, AT, k=20, steps=1)
    far = walk(graphed.root, release, CLIPS, AT, k=20, steps=4)
    assert [one.id for one in near.reached] == wanted[:6]
    assert {one.steps for one in near.reached} == {1}
    assert len({one.id for one in far.reached} & set(wanted)) >= 15
    assert [one.distance for one in far.reached] == sorted(one.distance for one in far.reached)
    assert max(one.steps for one in far.reached) > 1
    assert all(abs(one.start - AT).total_seconds() > 86_400 for one in far.reached)
    assert far.looked_at < 0.6 * DAYS * A_DAY
    document = far.document()
    assert document["query"] == {"clip_id": f"{SOURCE}/20110305T0800Z/6h20"}
    assert document["analogs"][0].keys() == {"rank", "clip_id", "start", "end", "distance", "steps", "via"}


def test_a_walk_from_nowhere_says_what_is_near(graphed: TinyRoot) -> None:
    release = require_current(graphed.root)
    with pytest.raises(NotFoundError, match="the nearest begin at"):
        walk(graphed.root, release, CLIPS, datetime(2011, 3, 20, tzinfo=UTC))
    with pytest.raises(UsageError, match="choose 1 to 10 steps"):
        walk(graphed.root, release, CLIPS, AT, steps=0)
    with pytest.raises(NotFoundError, match=r"has no graph of tiny-ea \(frames\)"):
        walk(graphed.root, release, FRAMES, AT)


def test_sql_joins_edges_and_novelty_by_id(graphed: TinyRoot) -> None:
    record, graph = the_graph(graphed)
    assert sql(graphed, "SELECT count(*), max(rank), min(abs(hours)) FROM neighbours") == [(record.edges, 6, 24.25)]
    query = f"""SELECT n.rank, c.clip_id, n.distance FROM neighbours n JOIN clips c ON c.clip_id = n.neighbour
                WHERE n.id = '{SOURCE}/20110305T0800Z/6h20' ORDER BY n.rank"""
    answer = search(graphed.root, SearchRequest(SOURCE, AT, k=6)).analogs
    assert [row[:2] for row in sql(graphed, query)] == [(one.rank, one.id) for one in answer]
    query = """SELECT v.percentile, v.novelty, v.in_degree, v.regime FROM novelty v JOIN clips c ON c.clip_id = v.id
               ORDER BY v.novelty DESC LIMIT 1"""
    ((percentile, novelty, in_degree, _),) = sql(graphed, query)
    row = int(np.nanargmax(graph.novelty))
    assert (percentile, novelty, in_degree) == (1.0, graph.novelty[row], graph.in_degree[row])
    assert sql(graphed, "SELECT count(*) FROM novelty WHERE time >= TIMESTAMP '2011-03-02'") == [((DAYS - 1) * A_DAY,)]


def test_sql_says_what_makes_the_graph_of_a_release(weather: TinyRoot) -> None:
    put_day(weather, DAYS)
    new_release(weather)
    with pytest.raises(UsageError, match=r"view neighbours: the newest graph .* is of release 1, .*graph update"):
        run_sql(weather.root, "SELECT * FROM novelty")


def test_figures_of_a_graph(graphed: TinyRoot) -> None:
    record, graph = the_graph(graphed)
    found = describe_graph(graph, 6, 86_400)
    assert (found.rows, found.edges, found.short) == (DAYS * A_DAY, record.edges, 0)
    assert found.unreached == (graph.in_degree == 0).sum()
    assert (found.cross_year, found.cross_year_by_chance) == (0, 0)
    assert found.hubs[0].in_degree == graph.in_degree.max()
    assert abs(np.diff(graph.starts[[hub.row for hub in found.hubs]])).min() > 86_400
    assert found.novel[0] == np.nanargmax(graph.novelty)
    assert sum(regime.share for regime in found.regimes) <= 1
    assert found.regimes[0].share == max(regime.share for regime in found.regimes)


def test_current_release_of_the_template_is_served(graphed: TinyRoot) -> None:
    release = current_release(graphed.root)
    assert release is not None
    assert graph_of(graphed.root, release, FRAMES) is None
