"""What people see while a run goes on and after it: progress bars, tables, the summary of a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from wxpipe.pipeline.pace import Pace, told

if TYPE_CHECKING:
    from wxpipe.pipeline.backfill import Job, Report
    from wxpipe.pipeline.events import Event, Result, StageStarted
    from wxpipe.pipeline.plan import Plan

console = Console(stderr=True)


@contextmanager
def watching() -> Iterator[None]:
    """Shows a progress bar a stage for whatever runs in this process, and logs and measures it as settings ask."""
    from wxpipe.config import RunSettings
    from wxpipe.pipeline.logs import logged
    from wxpipe.pipeline.metrics import measured

    bars = nullcontext() if RunSettings().log == "-" else _bars()  # lines and bars would spoil each other
    with logged(), measured(), bars:
        yield


@contextmanager
def _bars() -> Iterator[None]:
    from wxpipe.cli.show_training import TrainingBars
    from wxpipe.pipeline.events import Note, Waiting, listening

    columns = (SpinnerColumn(), TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn(), TextColumn("{task.fields[note]}"))  # fmt: skip
    with Progress(*columns, console=console, transient=False) as progress:
        stages, training = StageBars(progress), TrainingBars(progress)

        def show(event: Event) -> None:
            if isinstance(event, Note):
                training.show(event)
            elif isinstance(event, Waiting):
                what = "left to" if event.left else "held by"
                progress.console.print(f"waiting for {event.lease}, {what} {event.holder}")
            else:
                stages.show(event)

        with listening(show):
            yield


class StageBars:
    """A bar a stage: partitions that came, how long it took so far, and how long the rest will, once that is known."""

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress, self._clock = progress, clock
        self._bars: dict[str, TaskID] = {}
        self._paces: dict[str, Pace] = {}

    def show(self, event: Result | StageStarted) -> None:
        from wxpipe.pipeline.events import StageStarted

        if event.stage not in self._bars and isinstance(event, StageStarted) and event.partitions:
            self._bars[event.stage] = self._progress.add_task(event.stage, total=0, note="")
            self._paces[event.stage] = Pace(self._clock())
        if event.stage not in self._bars:
            return
        bar, pace = self._bars[event.stage], self._paces[event.stage]
        if isinstance(event, StageStarted):
            known = next(task for task in self._progress.tasks if task.id == bar)
            self._progress.update(bar, total=(known.total or 0) + event.partitions)
            pace.more(event.by_source)
            return
        if event.state != "lost":  # which comes again
            pace.came(event.partition.source, event.seconds)
            self._progress.update(bar, advance=1, note=told(pace.left(self._clock())))
        if event.state == "failed":
            text = f"[red]failed[/] {event.stage} {event.partition.key}: {escape(event.error)}"
            self._progress.console.print(text, highlight=False)


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
