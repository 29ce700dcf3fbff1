"""`wxpipe cases`: the case book, searches that are kept with notes and with what people think of each analog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Json, Root, print_json
from wxpipe.errors import UsageError
from wxpipe.vectors.times import parse_time

if TYPE_CHECKING:
    from wxpipe.vectors.case_changes import Again
    from wxpipe.vectors.cases import Case, Verdict

app = typer.Typer(help="The case book: searches that are kept, and judged.", no_args_is_help=True)
Number = Annotated[int, typer.Argument(help="The case's number.")]


@app.command("add")
def add(
    name: Annotated[str, typer.Option("--name", help="What the case is called.")],
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="Start of the query, e.g. 2011-03-03T08:00Z.")],
    satellite: Annotated[str, typer.Option("--satellite", help="A satellite or source, e.g. coms.")],
    root: Root = DEFAULT_ROOT,
    notes: Annotated[str, typer.Option(help="Anything to be remembered.")] = "",
    unit: Annotated[Literal["clip", "frame"], typer.Option(help="What to look for.")] = "clip",
    k: Annotated[int, typer.Option("--k", min=1, help="How many analogs.")] = 10,
    where: Annotated[str, typer.Option(metavar="SQL", help="What analogs must satisfy.")] = "",
    exclude_hours: Annotated[float, typer.Option(min=0, help="Leave out the query's own time, so far around.")] = 24.0,
    episodes: Annotated[Literal["on", "off"], typer.Option(help="on: overlapping clips are one answer.")] = "on",
    rerank: Annotated[str, typer.Option(metavar="MEASURE", help="Order the candidates by a measure.")] = "",
) -> None:
    """Search as `wxpipe search` does, and keep the question and what it found."""
    from wxpipe.store.root import require_root
    from wxpipe.vectors.answers import SearchRequest
    from wxpipe.vectors.cases import add_case
    from wxpipe.vectors.search import search

    opened = require_root(root)
    request = SearchRequest(
        satellite, parse_time(at), None, unit, k, where, exclude_hours, episodes == "on", rerank or None
    )
    case = add_case(opened, name, request, search(opened, request), notes)
    print(f"case {case.number}: {case.name}, {len(case.analogs)} analogs of {case.query} in release {case.release}")


@app.command("list")
def list_all(root: Root = DEFAULT_ROOT, as_json: Json = False) -> None:
    """List the cases, with how many analogs were judged useful and not useful."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from wxpipe.store.root import require_root
    from wxpipe.vectors.cases import list_cases, list_verdicts, standing

    opened = require_root(root)
    cases, verdicts = list_cases(opened), standing(list_verdicts(opened))
    if as_json:
        print_json({"cases": [asdict(case) for case in cases], "verdicts": [asdict(one) for one in verdicts]})
        return
    table = Table("case", "name", "query", "release", "useful", "not useful", "kept by", "when")
    for case in cases:
        own = [one.useful for one in verdicts if one.case == case.number]
        counts = (str(sum(own)), str(len(own) - sum(own)))
        table.add_row(str(case.number), case.name, case.query or "-", str(case.release), *counts, case.who, case.when)
    Console().print(table)


@app.command("show")
def show(number: Number, root: Root = DEFAULT_ROOT, as_json: Json = False) -> None:
    """Ask a case again on the current release, and tell what changed since it was kept."""
    from dataclasses import asdict

    from wxpipe.store.root import require_root
    from wxpipe.vectors.case_changes import ask_again
    from wxpipe.vectors.cases import get_case, list_verdicts, standing

    opened = require_root(root)
    case = get_case(opened, number)
    again, verdicts = ask_again(opened, case), standing(list_verdicts(opened, number))
    if as_json:
        told = [asdict(one) for one in verdicts]
        print_json({"case": asdict(case), "again": again.document(case), "verdicts": told})
        return
    _show(case, again, verdicts)


@app.command("verdict")
def verdict(
    number: Number,
    analog: Annotated[str, typer.Argument(help="Its rank when the case was kept, or its id.")],
    said: Annotated[str, typer.Argument(metavar="useful|not-useful")],
    root: Root = DEFAULT_ROOT,
    note: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Say whether an analog was useful; a later verdict of the same person on it takes the place of this one."""
    from wxpipe.store.root import require_root
    from wxpipe.vectors.case_changes import shown_by
    from wxpipe.vectors.cases import get_case, give_verdict

    if said not in ("useful", "not-useful"):
        raise UsageError(f"{said!r}: expected useful or not-useful")
    opened = require_root(root)
    case = get_case(opened, number)
    name, release = shown_by(opened, case, analog)
    given = give_verdict(opened, case, name, said == "useful", note, release)
    print(f"case {number}: {given.analog} is {said.replace('-', ' ')}, says {given.who}")


@app.command("remove")
def remove(number: Number, root: Root = DEFAULT_ROOT) -> None:
    """Show a case and its verdicts no more; they stay on record."""
    from wxpipe.store.root import require_root
    from wxpipe.vectors.cases import remove_case

    print(f"case {number}, {remove_case(require_root(root), number).name}, is removed")


def _show(case: Case, again: Again, verdicts: list[Verdict]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(f"case {case.number}: {case.name} · kept by {case.who} {case.when}", highlight=False, markup=False)
    if case.notes:
        console.print(case.notes, highlight=False, markup=False)
    table = Table(
        "analog", "now", "then", "distance", "then", "", "verdicts", title=f"analogs of {case.query or 'a vector'}"
    )
    for change in again.changes:
        numbers = [("-" if n is None else str(n)) for n in (change.rank, change.rank_then)]
        far = ["-" if d is None else f"{d:.4f}" for d in (change.distance, change.distance_then)]
        fate = change.fate if change.stands_for is None else f"{change.fate} as {change.stands_for}"
        told = [one for one in verdicts if one.analog in (change.id, change.stands_for)]
        words = ", ".join(f"{'useful' if one.useful else 'not useful'} ({one.who})" for one in told)
        table.add_row(change.id, *numbers, *far, fate, words)
    console.print(table)
    console.print(again.sentence(case), highlight=False, markup=False)
