"""`wxpipe search`: the analogs of a time in the archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Json, Root, print_json
from wxpipe.vectors.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wxpipe.store.root import Root as OpenedRoot
    from wxpipe.vectors.answers import Answer, Coming


def command(
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="Its start, e.g. 2011-03-03T08:00Z; or latest.")],
    satellite: Annotated[str, typer.Option("--satellite", help="A satellite or source, e.g. coms.")],
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
        str, typer.Option(metavar="MEASURE", help="Order the candidates by a measure: ground-truth.")
    ] = "",
    bands: Annotated[
        Literal["auto", "all", "ir+wv", "ir", "swir", "wv"],
        typer.Option(help="What is compared; auto: ir+wv by night and in twilight, else all."),
    ] = "auto",
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
    """Find the past weather that looked like a time in the archive."""
    from wxpipe.store.root import require_root
    from wxpipe.vectors.answers import SearchRequest
    from wxpipe.vectors.search import latest, search
    from wxpipe.vectors.times import parse_times

    opened = require_root(root)
    moment = latest(opened, satellite, unit) if at == "latest" else parse_time(at)
    request = SearchRequest(
        satellite,
        moment,
        unit=unit,
        k=k,
        where=where,
        exclude_hours=exclude_hours,
        episodes=episodes == "on",
        rerank=rerank or None,
        times=parse_times(f"{moment:%m-%d}" if season == "own" else season, years, hours),
        coverage=coverage,
        exact=exact,
        bands=bands,
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

    console = Console()
    name = answer.query.id or "a vector"
    table = Table("rank", "start (UTC)", "similarity", "distance", "overlapping", title=f"analogs of {name}")
    for analog in answer.analogs:
        similarity = "-" if analog.similarity is None else f"{analog.similarity:.3f}"
        start = f"{analog.start:%Y-%m-%d %H:%M}"
        table.add_row(str(analog.rank), start, similarity, f"{analog.distance:.4f}", str(len(analog.episode)))
    console.print(table)
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


def _coming(after: Sequence[Coming]) -> str:
    told = [
        f"+{one.hours} h {one.mean:.2f} ({one.low:.2f} to {one.high:.2f}; by chance {one.by_chance:.2f})"
        for one in after
        if None not in (one.mean, one.by_chance)
    ]
    return f"after best analogs like this one, similarity to what came: {', '.join(told) or 'unknown'}"
