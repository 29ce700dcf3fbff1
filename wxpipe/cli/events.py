"""`wxpipe events`: what happened, from files of warnings, observations and tracks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wxpipe.cli.options import DEFAULT_ROOT, DryRun, Json, Root, parse_day, print_json
from wxpipe.errors import UsageError

if TYPE_CHECKING:
    from datetime import date

    from wxpipe.vectors.event_import import Imported
    from wxpipe.vectors.events import Import

app = typer.Typer(help="What happened: warnings, observations, typhoon tracks.", no_args_is_help=True)
DAY_SECONDS = 86_400


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV: start,end,type,region,value,source, and perhaps lat,lon.")],
    root: Root = DEFAULT_ROOT,
    source_name: Annotated[
        str, typer.Option("--source-name", help="What a later import of the same replaces; the file's name by default.")
    ] = "",
    first: Annotated[
        str, typer.Option("--from", metavar="DAY", help="The file is complete from this UTC day on.")
    ] = "",
    last: Annotated[str, typer.Option("--to", metavar="DAY", help="And up to this one.")] = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take a CSV of events in, in place of what came under its name before; exit 3 where lines are quarantined.

    Times are ISO 8601, UTC where they have no zone; end, region and value may be empty. Without --from and --to, a type
    of event is taken to be recorded from the first of the file to the last.
    """
    from wxpipe.store.root import require_root
    from wxpipe.vectors.event_import import import_events

    covers = _covers(parse_day(first, "--from"), parse_day(last, "--to"))
    done = import_events(require_root(root), file, source_name, covers, dry_run)
    if as_json:
        print_json(_document(done))
    else:
        _tell(done, dry_run)
    raise typer.Exit(3 if done.made.quarantined else 0)


@app.command("list")
def list_all(root: Root = DEFAULT_ROOT, as_json: Json = False) -> None:
    """List what is in effect: source names, how many events of which types, and from when to when."""
    from rich.console import Console
    from rich.table import Table

    from wxpipe.store.root import require_root
    from wxpipe.vectors.answers import iso
    from wxpipe.vectors.events import in_effect
    from wxpipe.vectors.tables import utc

    found = in_effect(require_root(root))
    if as_json:
        print_json({"imports": [_facts(made) for made in found]})
        return
    table = Table("source name", "type", "events", "first (UTC)", "last (UTC)", "complete", "quarantined", "imported")
    for made in found:
        covers = "" if made.covers is None else f"{utc(made.covers[0]):%Y-%m-%d} to {utc(made.covers[1] - 1):%Y-%m-%d}"
        tail = (covers, str(made.quarantined), f"{made.when} {made.who}")
        for kind, span in made.types.items() or [("-", None)]:
            cells = [str(span.count), iso(utc(span.first)), iso(utc(span.last))] if span is not None else ["0", "", ""]
            table.add_row(made.name, kind, *cells, *tail)
    Console().print(table)


@app.command("remove")
def remove(
    source_name: Annotated[str, typer.Option("--source-name", help="Whose events; `wxpipe events list` names them.")],
    root: Root = DEFAULT_ROOT,
) -> None:
    """Take the events of a source name out of effect; importing the file again brings them back."""
    from wxpipe.store.root import require_root
    from wxpipe.vectors.events import remove_events

    gone = remove_events(require_root(root), source_name)
    print(f"{gone.name}: {gone.rows} events are no longer in effect")


def _covers(first: date | None, last: date | None) -> tuple[int, int] | None:
    if first is None and last is None:
        return None
    if first is None or last is None or last < first:
        raise UsageError(
            "give --from and --to together, the earlier day first: the days for which the file is complete"
        )
    days = [(day.toordinal() - 719_163) * DAY_SECONDS for day in (first, last)]
    return days[0], days[1] + DAY_SECONDS


def _facts(made: Import) -> dict[str, object]:
    from dataclasses import asdict

    facts = {name: value for name, value in asdict(made).items() if name not in ("parts", "refused", "removed")}
    return {**facts, "rows": made.rows, "quarantined": made.quarantined}


def _document(done: Imported) -> dict[str, object]:
    return {
        **_facts(done.made),
        "changed": done.changed,
        "reasons": done.reasons,
        "examples": list(map(str, done.examples)),
    }


def _tell(done: Imported, dry_run: bool) -> None:
    from rich.console import Console

    console, made = Console(), done.made
    verb = "would bring" if dry_run else "brings" if done.changed else "changes nothing:"
    types = ", ".join(f"{span.count} {kind}" for kind, span in list(made.types.items())[:10])
    more = f", and {len(made.types) - 10} more types" if len(made.types) > 10 else ""
    console.print(f"{made.name} {verb} {made.rows} events ({types or 'none'}{more})", highlight=False, markup=False)
    if made.repeated:
        console.print(f"{made.repeated} rows are there more than once, and count once", highlight=False)
    if made.quarantined:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in done.reasons.items())
        console.print(f"{made.quarantined} lines quarantined: {reasons}", style="yellow", highlight=False, markup=False)
        for example in done.examples:
            console.print(f"  {example}", highlight=False, markup=False)
        if not dry_run:
            query = "SELECT path, reason, found FROM quarantine WHERE stage = 'events'"
            console.print(f'all of them: wxpipe sql "{query}"', highlight=False, markup=False)
