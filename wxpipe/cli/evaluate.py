"""`wxpipe evaluate`: how well a model's vectors rank held-out clips as the ground truth does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Json, Root, print_json

if TYPE_CHECKING:
    from wxpipe.evaluation.judge import Evaluation
    from wxpipe.satellites.catalog import Source
    from wxpipe.store.root import Root as OpenedRoot


def command(
    root: Root = DEFAULT_ROOT,
    satellite: Annotated[str, typer.Option("--satellite", help="A satellite or source; the root's only one.")] = "",
    model: Annotated[str, typer.Option("--model", metavar="MODEL", help="<name>-<fingerprint>; the current one.")] = "",
    truth: Annotated[
        Path | None, typer.Option("--truth", metavar="FILE", help="What is true of a synthetic archive: its regimes.")
    ] = None,
    clips: Annotated[int, typer.Option("--clips", min=2, help="Judge at most so many.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Of every draw.")] = 1,
    split: Annotated[
        Literal["test", "valid", "train", "all"], typer.Option(help="Whose clips; only test was held out.")
    ] = "test",
    report: Annotated[Path | None, typer.Option("--report", metavar="DIR", help="Write a page into DIR.")] = None,
    as_json: Json = False,
) -> None:
    """Judge a model on clips that it has not learned from, beside rows that keep the figures honest."""
    from wxpipe.errors import UsageError
    from wxpipe.evaluation.judge import EvaluationSettings, evaluate
    from wxpipe.store.root import require_root

    if report is not None and report.exists() and not report.is_dir():
        raise UsageError(f"--report {report}: is a file; expected a folder, which is made where it is missing")
    opened = require_root(root)
    settings = EvaluationSettings(model=model, clips=clips, seed=seed, split=split)
    with _progress() as tell:
        judged = evaluate(opened, _source(opened, satellite), settings, truth, tell)
    if report is not None:
        from wxpipe.evaluation.judge_page import page
        from wxpipe.pages import write_page

        written = write_page(report, page(opened, judged))
    if as_json:
        print_json(judged.document())
        return
    _show(judged)
    if report is not None:
        print(written)


def _source(root: OpenedRoot, satellite: str) -> Source:
    from wxpipe.errors import UsageError

    if satellite:
        return root.source(satellite)
    if len(root.sources) != 1:
        known = ", ".join(source.id for source in root.sources) or "none yet"
        raise UsageError(f"--satellite names the source that is judged; the root's sources: {known}")
    return root.sources[0]


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each row, on standard error."""
    from rich.progress import Progress

    from wxpipe.cli.show import console

    bars = {}
    with Progress(console=console, transient=True) as progress:

        def tell(row: str, done: int, of: int) -> None:
            if row not in bars:
                bars[row] = progress.add_task(row, total=of)
            progress.update(bars[row], completed=done, total=of)

        yield tell


def _show(judged: Evaluation) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from wxpipe.evaluation.figures import COLUMNS
    from wxpipe.evaluation.judge_words import SHARE, SIGN, number, short_interval, what_training_gained, what_was_judged

    console = Console(highlight=False)
    console.print(f"{judged.model}: {what_was_judged(judged)}", markup=False)
    for note in judged.notes:
        console.print(f"[yellow]note[/] {note}")
    table = Table(box=box.SIMPLE, padding=0, show_edge=False)
    table.add_column("", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column.short, justify="right", min_width=10)
    for row in judged.rows.values():
        cells = [row.figures[column.name] for column in COLUMNS]
        table.add_row(row.name, *(number(cell.value) for cell in cells))
        if any(short_interval(cell) for cell in cells):
            table.add_row("", *(f"[dim]{short_interval(cell)}[/]" for cell in cells))
    if judged.gains:
        gains = [judged.gains[column.name] for column in COLUMNS]
        table.add_section()
        table.add_row("[bold]gained[/]", *(f"[bold]{number(cell.value, signed=True)}[/]" for cell in gains))
        table.add_row("", *(f"[dim]{short_interval(cell)}[/]" for cell in gains))
        table.add_row("", *(cell.verdict for cell in gains))
    console.print(table)
    console.print(f"[bold]What training gained[/]  {what_training_gained(judged)}")
    if any(row.figures[COLUMNS[0].name].low is not None for row in judged.rows.values()):
        console.print(f"Under each figure, where {SHARE} of the resamples of the events lie.", style="dim")
    console.print(SIGN, style="dim", markup=False)
