"""What `wxpipe train` shows as it goes: bars that end where patience ends, and lines where nobody sees bars move."""

from __future__ import annotations

import io
import re

from rich.console import Console
from rich.progress import Progress, TextColumn

from wxpipe.cli.show_training import TrainingBars
from wxpipe.embedding.history import ClipsRead, EpochEnded, EpochRecord, Remark, StepTaken, TrainingStarted
from wxpipe.pipeline.events import Note
from wxpipe.store.stage import Partition

UNTRAINED = EpochRecord(0, None, 0.5, 1.0)
FIRST = EpochRecord(1, 0.4, 0.3, 60.0)


def shown(*events: object, terminal: bool = False) -> tuple[Progress, str]:
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=terminal)
    progress = Progress(TextColumn("{task.description} {task.fields[note]}"), console=console, auto_refresh=False)
    bars = TrainingBars(progress)
    for event in events:
        bars.show(Note("train", Partition("mini-t", name="mini-t"), event))
    return progress, out.getvalue()


def test_a_bar_is_as_long_as_patience_lets_it() -> None:
    progress, _ = shown(
        TrainingStarted(200, 100),
        EpochEnded(UNTRAINED, UNTRAINED, 10),
        StepTaken(1, 50, 0.45),
    )
    (bar,) = progress.tasks
    assert (bar.description, bar.total, bar.completed) == ("mini-t", 10, 0.25)
    assert bar.fields["note"] == "epoch 1: training 0.45000, validation 0.50000, best 0.50000 (epoch 0)"
    progress, _ = shown(TrainingStarted(200, 100), EpochEnded(UNTRAINED, UNTRAINED, 10), EpochEnded(FIRST, FIRST, 11))
    assert (progress.tasks[0].total, progress.tasks[0].completed) == (11, 1)
    assert progress.tasks[0].fields["note"].endswith("best 0.30000 (epoch 1)")


def test_what_goes_on_begins_where_it_was() -> None:
    progress, said = shown(TrainingStarted(200, 100, (UNTRAINED, FIRST), 100))
    assert progress.tasks[0].completed == 1.5
    assert "train mini-t: training on 200 triples, at most 100 epochs; goes on after epoch 1" in said


def test_each_epoch_is_a_line_where_nobody_sees_bars_move() -> None:
    events = (Remark("a remark"), ClipsRead(3, 9), EpochEnded(UNTRAINED, UNTRAINED, 10), EpochEnded(FIRST, FIRST, 11))
    progress, said = shown(*events)
    assert said.splitlines() == [
        "train mini-t: a remark",
        "epoch 0: validation 0.50000, best 0.50000 of epoch 0; 1.0 s; to end after epoch 10",
        "epoch 1: training 0.40000, validation 0.30000, best 0.30000 of epoch 1; 60.0 s; to end after epoch 11",
    ]
    assert next((bar.description, bar.completed, bar.total) for bar in progress.tasks) == ("mini-t clips", 3, 9)
    _, said = shown(*events, terminal=True)
    assert re.findall("epoch", said) == []
