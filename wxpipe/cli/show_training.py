"""A training as it goes, beside the bars of the stages: epoch, losses, the best so far, and when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wxpipe.embedding.history import ClipsRead, EpochEnded, StepTaken, TrainingStarted

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from wxpipe.pipeline.events import Note


class TrainingBars:
    """Bars of the trainings that a run comes to, a source each.

    A bar's length is the epoch after which training ends unless one gets better (patience bounds it, and the most
    epochs): so the time that is left is that until then. Where nobody sees bars move, each epoch is a line.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}
        self._notes: dict[str, str] = {}
        self._triples = 1

    def show(self, note: Note) -> None:
        """Show an event of a training, or print what else a stage says."""
        source, what = note.partition.key, note.what
        if isinstance(what, ClipsRead):
            self._move(f"{source} clips", what.done, what.total, "read")
        elif isinstance(what, StepTaken):
            self._step(source, what)
        elif isinstance(what, EpochEnded):
            self._epoch(source, what)
        else:
            if isinstance(what, TrainingStarted):
                self._triples = what.triples
                self._move(source, max(0, len(what.records) - 1) + what.learned / what.triples, what.epochs, "")
            self._progress.console.print(f"{note.stage} {source}: {what}", highlight=False)

    def _step(self, source: str, step: StepTaken) -> None:
        text = f"epoch {step.epoch}: training {step.train_loss:.5f}{self._notes.get(source, '')}"
        self._move(source, step.epoch - 1 + step.learned / self._triples, None, text)

    def _epoch(self, source: str, epoch: EpochEnded) -> None:
        best = f"best {epoch.best.validation_loss:.5f} (epoch {epoch.best.epoch})"
        self._notes[source] = f", validation {epoch.record.validation_loss:.5f}, {best}"
        learned = epoch.record.train_loss
        training = "untrained" if learned is None else f"epoch {epoch.record.epoch}: training {learned:.5f}"
        self._move(source, epoch.record.epoch, epoch.last, training + self._notes[source])
        if not self._progress.console.is_terminal:
            self._progress.console.print(str(epoch), highlight=False)

    def _move(self, name: str, completed: float, total: float | None, text: str) -> None:
        if name not in self._bars:
            self._bars[name] = self._progress.add_task(name, total=total, completed=completed, note=text)  # type: ignore[arg-type]
        else:
            self._progress.update(self._bars[name], total=total, completed=completed, note=text)
