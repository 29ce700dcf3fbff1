"""`wxpipe search`: the analogs of a time in the archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Json, Root, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wxpipe.store.root import Root as OpenedRoot
    from wxpipe.vectors.answers import Answer, Coming, Query


def command(
    satellite: Annotated[str, typer.Option("--satellite", help="A satellite or source, e.g. coms.")],
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="Its start, e.g. 2011-03-03T08:00Z; or latest.")] = "",
    like: Annotated[
        Path | None, typer.Option("--like", metavar="FOLDER", help="Fresh pictures instead: the latest, or as of --at.")
    ] = None,
    vector: Annotated[
        str, typer.Option("--vector", metavar="FILE", help="The query itself instead, a JSON list; - reads the input.")
    ] = "",
    more: Annotated[
        list[str] | None,
        typer.Option("--more", metavar="TIME[*WEIGHT]", help="Also like this time; the query counts 1. Repeatable."),
    ] = None,
    less: Annotated[
        list[str] | None, typer.Option("--less", metavar="TIME[*WEIGHT]", help="And unlike this time. Repeatable.")
    ] = None,
    root: Root = DEFAULT_ROOT,
    unit: Annotated[Literal["clip", "frame"], typer.Option(help="What to look for.")] = "clip",
    k: Annotated[int, typer.Option("--k", min=1, help="How many analogs.")] = 10,
    where: Annotated[str, typer.Option(metavar="SQL", help="What analogs must satisfy, e.g. 'month in (6, 7)'.")] = "",
    exclude_hours: Annotated[float, typer.Option(min=0, help="Leave out the query's own time, so far around.")] = 24.0,
    season: Annotated[
        str, typer.Option(metavar="MM-DD", help="Analogs within 45 days of this day of any year; own: the query's day.")
    ] = "",
    years: Annotated[str, typer.Option(metavar="FROM-TO", help="Analogs of these years, e.g. 2011-2014.")] = "",
    hours: Annotated[
        str, typer.Option(metavar="FROM-TO", help="Analogs that begin in these hours, UTC; 21-3 runs over midnight.")
    ] = "",
    coverage: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least share of a clip's slots that were good.")
    ] = None,
    episodes: Annotated[Literal["on", "off"], typer.Option(help="on: overlapping clips are one answer.")] = "on",
    rerank: Annotated[
        str, typer.Option(metavar="MEASURE", help="Order the candidates by a measure, e.g. ground-truth, ssim.")
    ] = "",
    bands: Annotated[
        Literal["auto", "all", "ir+wv", "ir", "swir", "wv"],
        typer.Option(help="What is compared; auto: ir+wv by night and in twilight, else all."),
    ] = "auto",
    region: Annotated[str, typer.Option(metavar="NAME", help="Compare a region alone, e.g. yellow-sea.")] = "",
    cells: Annotated[
        str, typer.Option(metavar="CELLS", help="Compare some cells of the grid alone, e.g. 3.9-6.14 (row.column).")
    ] = "",
    shift: Annotated[int, typer.Option(min=0, max=2, help="Cells by which an analog's region may lie elsewhere.")] = 0,
    exact: Annotated[
        bool, typer.Option("--exact", help="Read all vectors, where an index would find .99 of all.")
    ] = False,
    picture: Annotated[Path | None, typer.Option(help="Write the query above its analogs as a PNG.")] = None,
    ahead: Annotated[
        Path | None, typer.Option(help="Write maps of what came next after the analogs, by hour, as a PNG.")
    ] = None,
    events_within: Annotated[
        float, typer.Option(metavar="HOURS", min=0, help="Also: what happened within so many hours after the analogs.")
    ] = 0.0,
    events_where: Annotated[
        str, typer.Option(metavar="SQL", help="What counts as an event, e.g. \"type = 'rain' and value >= 30\".")
    ] = "",
    as_json: Json = False,
) -> None:
    """Find the past weather that looked like a time in the archive, like fresh pictures, or like several examples."""
    from wxpipe.cli.search_query import asked_for
    from wxpipe.store.root import require_root
    from wxpipe.vectors.answers import SearchRequest
    from wxpipe.vectors.examples import parse_examples
    from wxpipe.vectors.search import search
    from wxpipe.vectors.times import parse_times

    opened = require_root(root)
    asked = asked_for(opened, satellite, unit, at, like, vector)
    request = SearchRequest(
        satellite,
        asked.at,
        asked.vector,
        like=asked.like,
        more=parse_examples(more or [], less or []),
        unit=unit,
        k=k,
        where=where,
        exclude_hours=exclude_hours,
        episodes=episodes == "on",
        rerank=rerank or None,
        times=parse_times(asked.own_day() if season == "own" else season, years, hours),
        coverage=coverage,
        exact=exact,
        bands=bands,
        region=region or None,
        cells=cells,
        shift=shift,
    )
    answer = search(opened, request)
    if events_within:
        from dataclasses import replace

        from wxpipe.vectors.happened import what_happened

        answer = replace(answer, happened=what_happened(opened, answer, events_within, events_where))
    if picture is not None:
        from wxpipe.vectors.answer_picture import draw_answer

        draw_answer(opened, answer, picture)
    if ahead is not None:
        answer = _look_ahead(opened, answer, ahead)
    if as_json:
        print_json(answer.document())
    else:
        _show(answer, picture)
        if ahead is not None:
            typer.echo(f"what came next: {ahead}")
    if asked.like is not None and asked.checked.of("quarantined"):
        raise typer.Exit(3)


def _look_ahead(root: OpenedRoot, answer: Answer, picture: Path) -> Answer:
    from dataclasses import replace

    from wxpipe.vectors.ahead import what_came_next
    from wxpipe.vectors.ahead_picture import draw_ahead, sentence

    found = what_came_next(root, answer)
    draw_ahead(answer, found, picture)
    return replace(answer, ahead={**found.document(), "told": sentence(found)})


def _show(answer: Answer, picture: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from wxpipe.vectors.answers import shift_text

    console = Console()
    columns = ["rank", "start (UTC)", "similarity", *([answer.rerank] if answer.rerank else []), "distance"]
    moved = ["shifted"] if answer.cells else []
    table = Table(*columns, "overlapping", *moved, title=f"analogs of {_name(answer.query)}")
    for analog in answer.analogs:
        similarity = "-" if analog.similarity is None else f"{analog.similarity:.3f}"
        start = f"{analog.start:%Y-%m-%d %H:%M}"
        score = ["-" if analog.score is None else f"{analog.score:.4g}"] if answer.rerank else []
        shift = [] if analog.shift is None else [shift_text(analog.shift)]
        row = [str(analog.rank), start, similarity, *score, f"{analog.distance:.4f}", str(len(analog.episode)), *shift]
        table.add_row(*row)
    console.print(table)
    if answer.cells:
        where = f"{answer.region}, " if answer.region else ""
        console.print(f"compared over {where}{len(answer.cells)} cells of the grid alone", highlight=False)
    if answer.query.pictures is not None:
        from wxpipe.cli.search_query import show_checked

        show_checked(console, answer.query.pictures.checked)
    bands = f"bands {answer.bands}{f' ({answer.bands_why})' if answer.bands_why else ''}"
    console.print(f"release {answer.release} · model {answer.model} · index {answer.index} · {bands}", highlight=False)
    console.print(
        answer.quality.sentence(), style="" if answer.quality.good is not False else "bold red", highlight=False
    )
    if answer.quality.after:
        console.print(_coming(answer.quality.after), highlight=False)
    if answer.ahead is not None:
        console.print(answer.ahead["told"], highlight=False)
    if answer.warning:
        console.print(f"[yellow]note[/] {answer.warning}")
    if answer.happened is not None:
        from wxpipe.cli.show_events import show_happened

        show_happened(console, answer.happened)
    if picture is not None:
        console.print(f"picture: {picture}", highlight=False)


def _name(query: Query) -> str:
    if query.examples:
        return " ".join(f"{one.weight:+g} x {one.id or 'fresh pictures'}" for one in query.examples)
    return query.id or ("a vector" if query.pictures is None else "fresh pictures")


def _coming(after: Sequence[Coming]) -> str:
    told = [
        f"+{one.hours} h {one.mean:.2f} ({one.low:.2f} to {one.high:.2f}; by chance {one.by_chance:.2f})"
        for one in after
        if None not in (one.mean, one.by_chance)
    ]
    return f"after best analogs like this one, similarity to what came: {', '.join(told) or 'unknown'}"
