"""`wxpipe graph`: the nearest neighbours of every clip, as a graph: build, update, figures, walks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Json, Root, print_json

if TYPE_CHECKING:
    from wxpipe.store.root import Root as OpenRoot
    from wxpipe.vectors.graph_build import Built
    from wxpipe.vectors.graph_stats import Stats
    from wxpipe.vectors.graph_store import Graph, GraphPlace, GraphRecord
    from wxpipe.vectors.records import ReleaseRecord

app = typer.Typer(help="The kNN graph of a release: who resembles whom, through all years.", no_args_is_help=True)
One = Annotated[str, typer.Option("--satellite", help="A satellite or source, e.g. coms.")]
Unit = Annotated[Literal["clip", "frame"], typer.Option(help="What the rows are.")]
Number = Annotated[int, typer.Option("--release", help="A release by number; 0: the current one.")]
K = Annotated[int, typer.Option("--k", min=1, help="Neighbours of each row, one an episode.")]
Hours = Annotated[float, typer.Option(min=0, help="Neighbours begin further away than this.")]


@app.command("build")
def build(
    satellite: One,
    root: Root = DEFAULT_ROOT,
    unit: Unit = "clip",
    release: Number = 0,
    k: K = 16,
    exclude_hours: Hours = 24.0,
    reach: Annotated[
        float, typer.Option(min=0, help="How far to look, by what was measured as enough; 0: at everything.")
    ] = 1.0,
    as_json: Json = False,
) -> None:
    """Find the neighbours of every clip of a release, check a sample of them, and keep the graph."""
    from wxpipe.vectors.graph_build import GraphRequest, build_graph

    opened, place, of = _opened(root, satellite, unit, release)
    request = GraphRequest(place, k, exclude_hours, reach)
    with _leased(opened, place) as lease:
        _tell(build_graph(opened, of, request, lease, _say(as_json)), as_json)


@app.command("update")
def update(
    satellite: One,
    root: Root = DEFAULT_ROOT,
    unit: Unit = "clip",
    release: Number = 0,
    k: K = 16,
    exclude_hours: Hours = 24.0,
    as_json: Json = False,
) -> None:
    """Bring the newest graph up to a release: only what days that changed have touched is looked for."""
    from wxpipe.vectors.graph_build import GraphRequest, update_graph

    opened, place, of = _opened(root, satellite, unit, release)
    with _leased(opened, place) as lease:
        _tell(update_graph(opened, of, GraphRequest(place, k, exclude_hours), lease, _say(as_json)), as_json)


@app.command("stats")
def stats(
    satellite: One, root: Root = DEFAULT_ROOT, unit: Unit = "clip", release: Number = 0, as_json: Json = False
) -> None:
    """Regimes, hubs, novelty, and how many edges lead into other years."""
    from dataclasses import asdict

    from wxpipe.vectors.graph_stats import describe_graph
    from wxpipe.vectors.graph_store import ids_of, read_graph, require_graph

    opened, place, of = _opened(root, satellite, unit, release)
    record = require_graph(opened, of, place)
    graph = read_graph(opened, record)
    found = describe_graph(graph, record.about.k, round(record.about.exclude_hours * 3600))

    def names(rows: Any) -> list[str]:
        return [str(name) for name in ids_of(record.about.identity, graph.starts[list(rows)]).to_pylist()]

    if as_json:
        document = asdict(found)
        document["hubs"] = [
            {"id": name, "in_degree": hub.in_degree}
            for name, hub in zip(names(hub.row for hub in found.hubs), found.hubs, strict=True)
        ]
        document["novel"] = [
            {"id": name, "novelty": float(graph.novelty[row])}
            for name, row in zip(names(found.novel), found.novel, strict=True)
        ]
        print_json({"graph": record.number, **vars(record.about), "stats": document})
        return
    _show(record, graph, found, names)


@app.command("search")
def search(
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="Where the walk begins, e.g. 2011-03-03T08:00Z.")],
    satellite: One,
    root: Root = DEFAULT_ROOT,
    unit: Unit = "clip",
    release: Number = 0,
    k: Annotated[int, typer.Option("--k", min=1, help="How many analogs.")] = 10,
    steps: Annotated[int, typer.Option(min=1, help="1: neighbours alone; 2: theirs too; and so on.")] = 2,
    as_json: Json = False,
) -> None:
    """Walk from a clip along the edges, and rank what is come to by its distance to the clip."""
    from rich.console import Console
    from rich.table import Table

    from wxpipe.vectors.graph_walk import walk
    from wxpipe.vectors.times import parse_time

    opened, place, of = _opened(root, satellite, unit, release)
    found = walk(opened, of, place, parse_time(at), k, steps)
    if as_json:
        print_json(found.document())
        return
    table = Table("rank", "start (UTC)", "distance", "steps", "by way of", title=f"analogs of {found.query}")
    for one in found.reached:
        way = "" if one.steps == 1 else one.via
        table.add_row(str(one.rank), f"{one.start:%Y-%m-%d %H:%M}", f"{one.distance:.4f}", str(one.steps), way)
    console = Console()
    console.print(table)
    about = found.record.about
    console.print(
        f"graph {found.record.number} of release {about.release} · model {about.model} · {found.looked_at} "
        f"{unit}s looked at", highlight=False,
    )  # fmt: skip


def _opened(root: str, satellite: str, unit: Literal["clip", "frame"], release: int) -> Any:
    """The root, whose graphs, and the release."""
    from wxpipe.store.root import require_root
    from wxpipe.vectors.graph_store import GraphPlace
    from wxpipe.vectors.records import get_release, require_current

    opened: OpenRoot = require_root(root)
    of: ReleaseRecord = get_release(opened, release) if release else require_current(opened)
    place: GraphPlace = GraphPlace(opened.source(satellite).id, unit)
    return opened, place, of


def _leased(root: OpenRoot, place: GraphPlace) -> Any:
    from wxpipe.pipeline.run import single_handed

    return single_handed(root, place.lease)


def _say(as_json: bool) -> Any:
    from wxpipe.cli.show import console

    return (lambda _: None) if as_json else lambda text: console.print(text, highlight=False, markup=False)


def _tell(built: Built, as_json: bool) -> None:
    record, about = built.record, built.record.about
    if as_json:
        facts = {"graph": record.number, "made": built.made, "searched": built.searched, "edges": record.edges}
        print_json({**facts, "folder": record.folder, **vars(about)})
        return
    verb = "made" if built.made else "is there already, of the same rows"
    recall = ", ".join(f"{name} {share}" for name, share in about.recall["strata"].items())
    print(f"graph {record.number} of release {about.release} {verb}: {about.rows} {about.unit}s, {record.edges} edges")
    print(f"recall {about.recall['overall']} ({recall}), against reading everything; arrays in {record.folder}")


def _show(record: GraphRecord, graph: Graph, found: Stats, names: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    about, console = record.about, Console()
    novelty = " / ".join(f"{value:.3f}" for value in found.novelty)
    lines = (
        f"graph {record.number} of release {about.release} · {found.rows} {about.unit}s, {found.edges} edges, "
        f"k {about.k}",
        f"recall {about.recall['overall']} · {found.short} rows with fewer than k edges · {found.unreached} that no "
        "edge leads to",
        f"edges into other years {found.cross_year:.3f}, by chance {found.cross_year_by_chance:.3f}",
        f"hubs: skewness of in-degrees {found.skewness:.2f} · novelty, quantiles .05 .5 .95 .99: {novelty}",
    )
    for line in lines:
        console.print(line, highlight=False)
    months = ("", *"JFMAMJJASOND")
    regimes = Table("regime", "share", "lasts (h)", "half of it in", title="regimes")
    for one in found.regimes[:12]:
        when = " ".join(months[month] for month in one.months)
        regimes.add_row(str(one.number), f"{one.share:.3f}", f"{one.hours:.1f}", when)
    console.print(regimes)
    table = Table(
        "most often a neighbour", "of", "most novel", "distance to the k-th episode", title="hubs and novelty"
    )
    novel = [(name, f"{graph.novelty[row]:.4f}") for name, row in zip(names(found.novel), found.novel, strict=True)]
    for n, (hub, name) in enumerate(zip(found.hubs, names(hub.row for hub in found.hubs), strict=True)):
        table.add_row(name, str(hub.in_degree), *(novel[n] if n < len(novel) else ("", "")))
    console.print(table)
