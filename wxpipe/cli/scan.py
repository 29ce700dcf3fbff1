"""`wxpipe scan`: what an archive holds, by its names alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Root, Satellites

if TYPE_CHECKING:
    from wxpipe.archive.analysis import Figures
    from wxpipe.archive.analysis_listing import Listing


def command(
    context: typer.Context,
    archive: Annotated[str, typer.Argument(help="Folder or s3:// URL of the raw pictures.")],
    root: Root = DEFAULT_ROOT,
    satellites: Satellites = "",
    report: Annotated[
        str,
        typer.Option(
            "--report", metavar="DIR", help="Write the data analysis as a page into DIR; without --root, nothing else."
        ),
    ] = "",
) -> None:
    """List an archive into a root's inventory; no picture is opened.

    With --report: gaps, schedules, windows, sizes and an estimate of what a store of it takes, as a page and a table.
    """
    if not report:
        _list_into(root, archive, satellites)
        return
    folder = _report_folder(report, archive)
    named = context.get_parameter_source("root")
    listing = _listing(root if named is not None and named.name == "COMMANDLINE" else "", archive, satellites)
    _report(listing, folder)


def _list_into(root: str, archive: str, satellites: str) -> None:
    from wxpipe.cli.backfill import list_archive
    from wxpipe.pipeline.backfill import Job

    list_archive(Job(root, archive, satellites))


def _report_folder(report: str, archive: str) -> Path:
    """Where the page goes.

    Raises:
        UsageError: a URL, a file, or a folder within the archive, which no command of ours writes into.
    """
    from wxpipe.errors import UsageError

    if "://" in report:
        raise UsageError(f"--report {report}: expected a folder of this machine")
    folder = Path(report).resolve()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--report {report}: is a file; expected a folder, which is made where it is missing")
    if "://" not in archive and folder.is_relative_to(Path(archive).resolve()):
        raise UsageError(f"--report {report}: lies within the archive {archive}; choose a folder elsewhere")
    return folder


def _listing(root: str, archive: str, satellites: str) -> Listing:
    """From the root, which is scanned first; or without one, from the archive itself."""
    from wxpipe.archive.analysis_listing import list_inventory, list_names
    from wxpipe.cli.show import console
    from wxpipe.satellites.catalog import load_satellites
    from wxpipe.store.objects import open_objects
    from wxpipe.store.root import require_root

    if root:
        _list_into(root, archive, satellites)
        return list_inventory(require_root(root), open_objects(archive).url)
    known = load_satellites(satellites)
    with console.status("listing the archive") as status:
        return list_names(
            open_objects(archive), known, lambda count: status.update(f"listing the archive: {count:,} files")
        )


def _report(listing: Listing, folder: Path) -> None:
    from datetime import UTC, datetime

    from wxpipe.archive.analysis import analyse
    from wxpipe.archive.analysis_page import page
    from wxpipe.pages import write_page

    figures = [analyse(source, columns) for source, columns in listing.columns.values()]
    text = page(listing, figures, datetime.now(UTC))
    written = write_page(folder, text)
    _show(listing, figures)
    print(written)


def _show(listing: Listing, every: list[Figures]) -> None:
    """The table on the terminal, what stands out, and the estimate in a line; the page has the rest."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from wxpipe.archive.analysis_capacity import capacity_of, total
    from wxpipe.archive.analysis_words import bytes_text, percent, stands_out

    console = Console(stderr=True)
    names = ("source", "first day", "last day", "files", "bytes", "frames", "of due", "clips", "of all")
    table = Table(*names, box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for figures in every:
        slow = figures.satellite.clip is None
        table.add_row(
            figures.source.id, str(figures.first_day), str(figures.last_day), f"{figures.files:,}",
            bytes_text(figures.bytes), f"{int(figures.frames.sum()):,}", percent(figures.coverage),
            "frames only" if slow else f"{figures.clips:,}", "–" if slow else percent(figures.clip_share),
        )  # fmt: skip
    console.print(table)
    for figures in every:
        for words in stands_out(figures):
            console.print(f"[red]{figures.source.id}[/] {words}", highlight=False)
    for kind in ("unparsed", "unconfigured", "unlistable"):
        groups = [group for group in listing.common() if group.kind == kind]
        for group in groups[:3]:
            console.print(f"{group.files:,} {kind}, e.g. {group.examples[0]}: {group.reason}", markup=False)
        if len(groups) > 3:
            console.print(f"and {listing.count(kind) - sum(g.files for g in groups[:3]):,} more {kind}")
    whole = total(capacity_of(figures) for figures in every)
    console.print(
        f"a store of it: about {bytes_text(whole.store)}, {whole.hours:,.1f} core-hours, {whole.frames:,} frames, "
        f"{whole.clips:,} clips, {whole.vectors:,} vectors"
    )
