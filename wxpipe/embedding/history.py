"""How a training goes: what it tells while it runs, and the history that is kept beside its model. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class EpochRecord:
    """What an epoch came to; epoch 0 is before training.

    Attributes:
        train_loss: mean over its triples, each by the weights of its step; None for epoch 0.
        validation_loss: by the weights at its end.
        seconds: how long it took, whatever processes it was spread over; two runs' records are equal whatever
            these are.
    """

    epoch: int
    train_loss: float | None
    validation_loss: float
    seconds: float = field(compare=False)

    def __str__(self) -> str:
        learned = "" if self.train_loss is None else f"training {self.train_loss:.5f}, "
        return f"epoch {self.epoch}: {learned}validation {self.validation_loss:.5f}"


@dataclass(frozen=True)
class TrainingHistory:
    """What training came to: all epochs, the one whose weights were kept, and why it ended.

    Attributes:
        floor: the square of the learned floor, at the best epoch; None where none was learned.
    """

    records: tuple[EpochRecord, ...]
    best_epoch: int
    stopped_early: bool
    floor: float | None = None

    @property
    def best(self) -> EpochRecord:
        """The record of the epoch whose weights the encoder has now."""
        return self.records[self.best_epoch]

    def document(self) -> dict[str, Any]:
        """The history as JSON values."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> TrainingHistory:
        """The history that `document` described."""
        records = tuple(EpochRecord(**record) for record in document["records"])
        return cls(records, document["best_epoch"], document["stopped_early"], document.get("floor"))


@dataclass(frozen=True)
class TrainingStarted:
    """Training begins, or goes on where another process left it.

    Attributes:
        triples: of an epoch.
        epochs: at most.
        records: of the epochs that are behind it.
        learned: triples of the next epoch that are behind it.
    """

    triples: int
    epochs: int
    records: tuple[EpochRecord, ...] = ()
    learned: int = 0

    def __str__(self) -> str:
        text = f"training on {self.triples:,} triples, at most {self.epochs} epochs"
        if self.records:
            epoch = self.records[-1].epoch
            text += f"; goes on after epoch {epoch} and {self.learned:,} triples of epoch {epoch + 1}"
        return text


@dataclass(frozen=True)
class StepTaken:
    """So many triples of an epoch were learned from; their mean loss."""

    epoch: int
    learned: int
    train_loss: float
    fleeting: ClassVar[bool] = True


@dataclass(frozen=True)
class EpochEnded:
    """An epoch is over.

    Attributes:
        best: the record of the lowest validation loss so far.
        last: the epoch after which training ends, unless one before it gets better than `best`.
    """

    record: EpochRecord
    best: EpochRecord
    last: int

    def __str__(self) -> str:
        best = f"best {self.best.validation_loss:.5f} of epoch {self.best.epoch}"
        return f"{self.record}, {best}; {self.record.seconds:.1f} s; to end after epoch {self.last}"


@dataclass(frozen=True)
class ClipsRead:
    """Mean pictures of so many clips were made of their frames, before training."""

    done: int
    total: int
    fleeting: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"{self.done:,} of {self.total:,} clips read"


@dataclass(frozen=True)
class Remark:
    """A sentence for whoever watches."""

    text: str

    def __str__(self) -> str:
        return self.text


TrainingEvent = TrainingStarted | StepTaken | EpochEnded | ClipsRead | Remark


def tell_nobody(event: TrainingEvent) -> None:
    """Where nobody watches."""
    del event
