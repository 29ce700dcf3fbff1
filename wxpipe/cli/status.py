"""`wxpipe status`: what a root holds, what it lacks, and how far each stage is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Json, Root, print_json

if TYPE_CHECKING:
    from wxpipe.pipeline.status import Survey

MONTHS_SHOWN = 48
"""Up to so many months each is a letter; of longer archives each year is one."""
HOLES_SHOWN = 5
MARKS = {"whole": "█", "part": "▒", "due": "░", "failed": "✗", "none": "·"}


def command(
    root: Root = DEFAULT_ROOT,
    as_json: Json = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="DIR", help="Write the coverage page into DIR: a map of every day, holes and remedies."
        ),
    ] = None,
    archive: Annotated[
        str, typer.Option("--archive", help="Where the raw pictures lie, for the commands that the page gives.")
    ] = "ARCHIVE",
) -> None:
    """Show slots, pictures, clips and stages of every source, the current release, and what does not reconcile."""
    from wxpipe.cli.backfill import check_report_folder
    from wxpipe.pipeline.status import status_document, survey
    from wxpipe.store.root import require_root

    check_report_folder(report)
    found = survey(require_root(root))
    written = _report(found, report, archive) if report is not None else None
    document = status_document(found)
    if as_json:
        print_json(document)
        return
    _show(document)
    if written is not None:
        print(written)


def _report(found: Survey, folder: Path, archive: str) -> Path:
    from wxpipe.pages import write_page
    from wxpipe.pipeline.coverage_page import covered_by, page

    return write_page(folder, page(covered_by(found, archive)))


def _show(document: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    names = ("source", "days", "scheduled", "good frames", "missing slots", "pictures", "clips", "newest")
    table = Table(*names, box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for name, source in document["sources"].items():
        pictures = ", ".join(f"{count:,} {kind}" for kind, count in source["pictures"].items() if count)
        slots, newest = source["slots"], source.get("newest")
        table.add_row(
            name, f"{source['days']:,}", f"{source.get('scheduled', 0):,}", f"{slots['good']:,}",
            f"{slots['missing']:,}", pictures, f"{source['clips']:,}", f"{newest:%Y-%m-%d %H:%M}" if newest else "–",
        )  # fmt: skip
    console.print(table)
    _show_stages(document, console)
    for name, source in document["sources"].items():
        for hole in source.get("holes", {}).get("longest", [])[:HOLES_SHOWN]:
            reason = f" ({hole['reason'].splitlines()[0]})" if hole["reason"] else ""
            console.print(
                f"{name} {hole['from']:%Y-%m-%d %H:%M} to {hole['to']:%Y-%m-%d %H:%M}: "
                f"{hole['slots']:,} slots, {hole['why']}{reason}", highlight=False, markup=False,
            )  # fmt: skip
    console.print(f"release {document['release'] or 'none'} · {document['quarantined']} files in quarantine")
    for difference in document["differences"]:
        console.print(f"[red]does not reconcile[/] {difference}")


def _show_stages(document: dict[str, Any], console: Any) -> None:
    """A line a source and stage: its counts, and a mark a month (or a year)."""
    from rich import box
    from rich.table import Table

    longest = max((len(source.get("months", {})) for source in document["sources"].values()), default=0)
    unit, letters = ("month", 7) if longest <= MONTHS_SHOWN else ("year", 4)
    told = " ".join(f"{mark} {name}" for name, mark in MARKS.items())
    names = ("source", "stage", "done", "stale", "missing", "failed", f"by {unit}")
    table = Table(*names, box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, caption=f"each {unit}: {told}",
                  caption_justify="left")  # fmt: skip
    for name, source in document["sources"].items():
        groups: dict[str, list[dict[str, Any]]] = {}
        for month, counts in source.get("months", {}).items():
            groups.setdefault(month[:letters], []).append(counts)
        first = name
        for stage, counts in source["stages"].items():
            marks = "".join(_mark(months, stage) for months in groups.values())
            by_time = f"{min(groups)} {marks}" if any(stage in m["stages"] for g in groups.values() for m in g) else ""
            table.add_row(first, stage, *(f"{counts[k]:,}" for k in ("done", "stale", "missing", "failed")), by_time)
            first = ""
    console.print(table)


def _mark(months: list[dict[str, Any]], stage: str) -> str:
    """How far a stage is over some months, in a letter."""
    days = sum(month["days"] for month in months)
    counts = {
        work: sum(month["stages"].get(stage, {}).get(work, 0) for month in months)
        for work in ("done", "failed", "stale", "missing")
    }
    if counts["failed"]:
        return MARKS["failed"]
    if counts["done"] == days:
        return MARKS["whole"]
    if counts["done"]:
        return MARKS["part"]
    return MARKS["due"] if counts["stale"] or counts["missing"] else MARKS["none"]
