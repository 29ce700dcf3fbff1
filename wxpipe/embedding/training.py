"""Training on triples of clips, each seen as its mean picture.

What the published program does, with three differences: a clip costs one product and not 20, since the mean commutes
with the encoder; gradients are clipped before the step (the published program clips them after it, where that has no
effect); and on request a `Floor` is learned beside the weights. A training goes on from a checkpoint as
if it had never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
import numpy.typing as npt
import torch

from wxpipe.draws import derived_seed, permutation
from wxpipe.embedding.checkpoints import (
    Checkpoints,
    Position,
    TrainingState,
    optimizer_tensors,
    restore_optimizer,
)
from wxpipe.embedding.devices import fixed_threads, pick_device
from wxpipe.embedding.history import (
    EpochEnded,
    EpochRecord,
    StepTaken,
    TrainingEvent,
    TrainingHistory,
    TrainingStarted,
    tell_nobody,
)
from wxpipe.embedding.losses import MIN_SQUARED_DISTANCE, Floor
from wxpipe.embedding.pictures import SummedMeans
from wxpipe.embedding.prefetch import Prefetch
from wxpipe.embedding.registry import TrainableEncoder
from wxpipe.embedding.steps import make_optimizer, mean_loss, mean_square, training_step
from wxpipe.errors import RefusedError

FIRST_FLOOR = 2.0
"""What a floor begins with, in mean squares of the distances of untrained vectors; measured, and not critical."""

_FLOOR = "floor.logarithm"  # beside the encoder's weights, in checkpoints
_SHUFFLES = 0x5F1E  # the purpose within a seed for which shuffles are drawn


@dataclass(frozen=True)
class TrainingSettings:
    """How to train; the published values are the defaults where it has them.

    Attributes:
        learning_rate, weight_decay: AdamW's.
        batch: triples a step.
        max_gradient_norm: the gradient of all weights together is scaled down to this norm before a step.
        epochs: passes over the triples, at most.
        patience: epochs in a row without a lower validation loss, after which training ends.
        seed: of the order of the triples (the first weights are the encoder's own affair).
        threads: of the CPU; part of the result's last digits.
        bf16: on a GPU, compute products in bf16 autocast.
        floor: whether a `Floor` is learned with the weights; the published program has none.
        floor_learning_rate: of its logarithm.
    """

    learning_rate: float = 1e-5
    weight_decay: float = 1e-7
    batch: int = 32
    max_gradient_norm: float = 1.0
    epochs: int = 100
    patience: int = 10
    seed: int = 0
    threads: int = 1
    bf16: bool = False
    floor: bool = False
    floor_learning_rate: float = 0.02

    def __post_init__(self) -> None:
        for name in (
            "learning_rate",
            "floor_learning_rate",
            "batch",
            "max_gradient_norm",
            "epochs",
            "patience",
            "threads",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} expected more than 0, found {getattr(self, name)}")


@dataclass(frozen=True, eq=False)
class Triples:
    """Triples of clips and their ground truth: (x, y, z, sim(x, y), sim(x, z)).

    Attributes:
        clips: int64 (triple, 3), indexes of x, y, z as `MeanPictures` knows them.
        similarities: float32 (triple, 2), sim(x, y) and sim(x, z), 0..1.

    Raises:
        ValueError: shapes differ from these, or a similarity is outside 0..1 or not a number.
    """

    clips: npt.NDArray[np.int64]
    similarities: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        n = len(self.clips)
        if self.clips.shape != (n, 3) or self.similarities.shape != (n, 2):
            found = f"{self.clips.shape} and {self.similarities.shape}"
            raise ValueError(f"triples expected clips (n, 3) and similarities (n, 2), found {found}")
        sound = (self.similarities >= 0) & (self.similarities <= 1)  # False for NaN
        if not sound.all():
            row = int(np.argmin(sound.all(axis=1)))
            raise ValueError(f"triple {row}: similarities expected in 0..1, found {self.similarities[row]}")

    def __len__(self) -> int:
        return len(self.clips)

    def take(self, rows: npt.NDArray[np.int64]) -> Triples:
        """Return the triples of these rows, in this order."""
        return Triples(self.clips[rows], self.similarities[rows])


def train(
    encoder: TrainableEncoder,
    pictures: SummedMeans,
    triples: Triples,
    validation: Triples,
    settings: TrainingSettings,
    *,
    device: str | None = None,
    tell: Callable[[TrainingEvent], None] = tell_nobody,
    checkpoints: Checkpoints | None = None,
) -> TrainingHistory:
    """Train an encoder in place and leave it with the weights of the lowest validation loss.

    Two runs with the same arguments on one machine's CPU give equal weights bit for bit, however often they were
    broken off and went on from a checkpoint.

    Args:
        encoder: one whose mean commutes; is moved to the device and stays there.
        pictures: the clips' mean pictures; read by a thread of its own until this returns.
        triples: to learn from.
        validation: to judge by, of clips from other times.
        settings: how.
        device: where to compute; None takes the GPU where there is one.
        tell: is told of the start, each step and each epoch.
        checkpoints: of this training; it goes on from the latest, and leaves one of its end. None keeps none.

    Raises:
        RefusedError: there are no triples or none to validate by, or the encoder's mean does not commute.
        FloatingPointError: the loss is not finite.
    """
    _refuse_unfit(encoder, triples, validation)
    target = pick_device(device)
    encoder.to(target)
    with fixed_threads(settings.threads):
        floor = Floor(1.0).to(target) if settings.floor else None
        optimizer = make_optimizer(encoder, settings, floor)
        run = _Run(encoder, floor, optimizer, pictures, triples, validation, settings, target, tell, checkpoints)
        run.begin()
        while not run.ended:
            run.epoch()
        return run.finish()


def unseen_loss(
    encoder: TrainableEncoder,
    pictures: SummedMeans,
    test: Triples,
    settings: TrainingSettings,
    history: TrainingHistory,
) -> float:
    """Return the mean loss of triples that a training has not seen, where and as it computed."""
    device = next(iter(encoder.parameters())).device
    floor = None if history.floor is None else Floor(history.floor).to(device)
    with fixed_threads(settings.threads):
        return mean_loss(encoder, pictures, test, settings, device, floor)


def _refuse_unfit(encoder: TrainableEncoder, triples: Triples, validation: Triples) -> None:
    if not len(triples) or not len(validation):
        raise RefusedError(
            f"training needs triples and others to validate by, found {len(triples)} and {len(validation)};"
            " use the untrained projection until there are more days"
        )
    if not encoder.mean_commutes:
        raise RefusedError("training on mean pictures needs an encoder whose mean commutes; this one's does not")


@dataclass
class _Run:
    """A training that goes on.

    Attributes:
        position: how far it has come.
        best: the weights of the best epoch so far.
        moment: when the seconds of `position` were counted last.
    """

    encoder: TrainableEncoder
    floor: Floor | None
    optimizer: torch.optim.Optimizer
    pictures: SummedMeans
    triples: Triples
    validation: Triples
    settings: TrainingSettings
    device: torch.device
    tell: Callable[[TrainingEvent], None]
    checkpoints: Checkpoints | None
    position: Position = field(default_factory=Position)
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    moment: float = field(default_factory=perf_counter)

    @property
    def ended(self) -> bool:
        """Whether all epochs are over, or `patience` of them without a better one."""
        return self.position.records[-1].epoch >= self._last

    @property
    def _last(self) -> int:
        return min(self.position.best + self.settings.patience, self.settings.epochs)

    def begin(self) -> None:
        """Go on from the latest checkpoint, or begin with the loss of the untrained weights."""
        state = self.checkpoints.latest() if self.checkpoints is not None else None
        if state is not None:
            self._restore(state)
        elif self.floor is not None:
            square = mean_square(self.encoder, self.pictures, self.validation, self.settings, self.device)
            with torch.no_grad():
                self.floor.logarithm.fill_(math.log(FIRST_FLOOR * max(square, MIN_SQUARED_DISTANCE)))
        position = self.position
        self.tell(TrainingStarted(len(self.triples), self.settings.epochs, position.records, position.learned))
        if state is None:
            self._end_epoch(None)

    def epoch(self) -> None:
        """Learn from the triples of an epoch that are not behind it, and validate."""
        epoch = len(self.position.records)
        rows = 3 * self.settings.batch
        with Prefetch(self.pictures, (np.unique(batch.clips) for batch in self._batches(epoch)), rows) as coming:
            for batch in self._batches(epoch):
                loss = training_step(
                    self.encoder, self.optimizer, coming, batch, self.settings, self.device, self.floor
                )
                self._count(len(batch), loss)
                self.tell(StepTaken(epoch, self.position.learned, self.position.train_loss))
                self._keep_if_due()
        self._end_epoch(self.position.train_loss)

    def finish(self) -> TrainingHistory:
        """Leave the encoder with its best weights; a checkpoint of the end is kept until the model is saved."""
        if self.checkpoints is not None:
            self.checkpoints.save_last(self._state())
        self._load(self.best)
        position = self.position
        stopped = position.records[-1].epoch < self.settings.epochs
        floor = None if self.floor is None else self.floor.square.item()
        return TrainingHistory(position.records, position.best, stopped_early=stopped, floor=floor)

    def _batches(self, epoch: int) -> Iterator[Triples]:
        """The batches of an epoch that come after its position, in an order drawn by seed and epoch."""
        order = permutation(derived_seed(self.settings.seed, _SHUFFLES, epoch), len(self.triples))
        for begin in range(self.position.learned, len(order), self.settings.batch):
            yield self.triples.take(order[begin : begin + self.settings.batch])

    def _count(self, triples: int, loss: float) -> None:
        position = self.position
        self.position = replace(
            position,
            learned=position.learned + triples,
            loss_sum=position.loss_sum + triples * loss,
            seconds=position.seconds + self._lap(),
        )

    def _end_epoch(self, train_loss: float | None) -> None:
        loss = mean_loss(self.encoder, self.pictures, self.validation, self.settings, self.device, self.floor)
        position, epoch = self.position, len(self.position.records)
        record = EpochRecord(epoch, train_loss, loss, position.seconds + self._lap())
        best = position.best
        if not position.records or loss < position.records[best].validation_loss:
            best, self.best = epoch, {name: tensor.clone() for name, tensor in self._weights().items()}
        self.position = Position((*position.records, record), best)
        self.tell(EpochEnded(record, self.position.records[best], self._last))

    def _lap(self) -> float:
        before, self.moment = self.moment, perf_counter()
        return self.moment - before

    def _keep_if_due(self) -> None:
        if self.checkpoints is not None and self.checkpoints.due():
            self.checkpoints.save(self._state())

    def _state(self) -> TrainingState:
        return TrainingState(self.position, self._weights(), self.best, optimizer_tensors(self.optimizer))

    def _weights(self) -> dict[str, torch.Tensor]:
        """All that is learned: the encoder's state, and the floor's."""
        own = {} if self.floor is None else {_FLOOR: self.floor.logarithm.detach()}
        return {**self.encoder.state(), **own}

    def _load(self, weights: Mapping[str, torch.Tensor]) -> None:
        self.encoder.load_state({name: tensor for name, tensor in weights.items() if name != _FLOOR})
        if self.floor is not None:
            with torch.no_grad():
                self.floor.logarithm.copy_(weights[_FLOOR])

    def _restore(self, state: TrainingState) -> None:
        self._load(state.weights)
        restore_optimizer(self.optimizer, state.optimizer)
        self.position, self.best = state.position, dict(state.best)
