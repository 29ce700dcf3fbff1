"""What people see while a run goes on and after it: progress bars, tables, the summary of a report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from wxpipe.pipeline.backfill import Job, Report
    from wxpipe.pipeline.events import Event
    from wxpipe.pipeline.plan import Plan

console = Console(stderr=True)


@contextmanager
def watching() -> Iterator[None]:
    """Shows a progress bar a stage for whatever runs in this process."""
    from wxpipe.cli.show_training import TrainingBars
    from wxpipe.pipeline.events import Note, Result, StageStarted, Waiting, listening

    columns = (SpinnerColumn(), TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(),
               TextColumn("{task.fields[note]}"), TimeRemainingColumn())  # fmt: skip
    bars: dict[str, int] = {}
    with Progress(*columns, console=console, transient=False) as progress:
        training = TrainingBars(progress)

        def show(event: Event) -> None:
            if isinstance(event, StageStarted):
                if event.stage in bars:
                    known = next(task for task in progress.tasks if task.id == bars[event.stage])
                    progress.update(known.id, total=(known.total or 0) + event.partitions)
                elif event.partitions:
                    bars[event.stage] = progress.add_task(event.stage, total=event.partitions, note="")
            elif isinstance(event, Note):
                training.show(event)
            elif isinstance(event, Waiting):
                progress.console.print(f"waiting for {event.lease}, held by {event.holder}")
            elif isinstance(event, Result) and event.stage in bars:
                progress.advance(bars[event.stage])  # type: ignore[arg-type]
                if event.state == "failed":
                    progress.console.print(
                        f"[red]failed[/] {event.stage} {event.partition.key}: {event.error}", markup=True
                    )

        with listening(show):
            yield


def show_plan(plan: Plan) -> None:
    """A table of stages by what is due of them."""
    table = Table("stage", "done", "stale", "missing", "failed", title="plan", title_justify="left")
    for stage, counts in plan.counts().items():
        table.add_row(stage, *(str(counts[reason]) for reason in ("done", "stale", "missing", "failed")))
    console.print(table)


def show_notes(job: Job) -> None:
    """What the plan leaves alone on purpose."""
    from wxpipe.pipeline.plan import notes

    for note in notes(job.context()):
        console.print(f"[yellow]note[/] {note}", highlight=False)


def show_report(report: Report, root: str) -> None:
    """What a run came to, in a few lines; traces of bugs at the end."""
    done = sum(result.state == "done" for result in report.results)
    console.print(f"{done} partitions done, {len(report.failed)} failed, {report.quarantined} files in quarantine")
    if report.promoted is not None:
        console.print(f"release {report.promoted} is current")
    for difference in report.differences:
        console.print(f"[red]does not reconcile[/] {difference}")
    for result in report.failed:
        console.print(f"[red]{result.state}[/] {result.stage} {result.partition.key}: {result.error}")
        if result.trace:
            console.print(result.trace, markup=False, highlight=False)
    if report.quarantined:
        console.print(f'reasons: wxpipe sql --root {root} "SELECT reason, path FROM quarantine"', markup=False)
