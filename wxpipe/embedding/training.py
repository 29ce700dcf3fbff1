"""Training on triples of clips, each seen as its mean picture.

What the published program does, with two differences: a clip costs one product and not 20, since the mean
commutes with the encoder; and gradients are clipped before the step (the published program clips them after
it, where that has no effect).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import numpy.typing as npt
import torch

from wxpipe.draws import derived_seed, permutation
from wxpipe.embedding.devices import fixed_threads, mixed_precision, pick_device
from wxpipe.embedding.losses import log_ratio_loss
from wxpipe.embedding.pictures import MeanPictures, aligned
from wxpipe.embedding.registry import TrainableEncoder
from wxpipe.errors import RefusedError

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

    def __post_init__(self) -> None:
        for name in ("learning_rate", "batch", "max_gradient_norm", "epochs", "patience", "threads"):
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


@dataclass(frozen=True)
class EpochRecord:
    """What an epoch came to; epoch 0 is before training.

    Attributes:
        train_loss: mean over its triples, each by the weights of its step; None for epoch 0.
        validation_loss: by the weights at its end.
        seconds: how long it took; two runs' records are equal whatever these are.
    """

    epoch: int
    train_loss: float | None
    validation_loss: float
    seconds: float = field(compare=False)


@dataclass(frozen=True)
class TrainingHistory:
    """What training came to: all epochs, the one whose weights were kept, and why it ended."""

    records: tuple[EpochRecord, ...]
    best_epoch: int
    stopped_early: bool

    @property
    def best(self) -> EpochRecord:
        """The record of the epoch whose weights the encoder has now."""
        return self.records[self.best_epoch]


def train(
    encoder: TrainableEncoder,
    pictures: MeanPictures,
    triples: Triples,
    validation: Triples,
    settings: TrainingSettings,
    *,
    device: str | None = None,
    progress: Callable[[EpochRecord], None] | None = None,
) -> TrainingHistory:
    """Train an encoder in place and leave it with the weights of the lowest validation loss.

    Two runs with the same arguments on one machine's CPU give equal weights bit for bit.

    Args:
        encoder: one whose mean commutes; is moved to the device and stays there.
        pictures: the clips' mean pictures.
        triples: to learn from.
        validation: to judge by, of clips from other times.
        settings: how.
        device: where to compute; None takes the GPU where there is one.
        progress: is told each epoch's record as it ends.

    Raises:
        RefusedError: there are no triples or none to validate by, or the encoder's mean does not commute.
        FloatingPointError: the loss is not finite.
    """
    _refuse_unfit(encoder, triples, validation)
    target = pick_device(device)
    encoder.to(target)
    tell = progress or _say_nothing
    with fixed_threads(settings.threads):
        optimizer = make_optimizer(encoder, settings)
        began = perf_counter()
        loss = mean_loss(encoder, pictures, validation, settings, target)
        records = [EpochRecord(0, None, loss, perf_counter() - began)]
        tell(records[0])
        best, kept = 0, _copy(encoder.state())
        while len(records) <= settings.epochs and records[-1].epoch - best < settings.patience:
            epoch, began = len(records), perf_counter()
            learned = _epoch(encoder, optimizer, pictures, triples, settings, target, epoch)
            loss = mean_loss(encoder, pictures, validation, settings, target)
            records.append(EpochRecord(epoch, learned, loss, perf_counter() - began))
            tell(records[-1])
            if loss < records[best].validation_loss:
                best, kept = epoch, _copy(encoder.state())
        encoder.load_state(kept)
    return TrainingHistory(tuple(records), best, stopped_early=len(records) <= settings.epochs)


def make_optimizer(encoder: TrainableEncoder, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Return AdamW over the encoder's weights; fused, which reads and writes each of them once a step."""
    return torch.optim.AdamW(
        encoder.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )


def training_step(
    encoder: TrainableEncoder,
    optimizer: torch.optim.Optimizer,
    pictures: MeanPictures,
    batch: Triples,
    settings: TrainingSettings,
    device: torch.device,
) -> float:
    """Take one step on a batch of triples and return its loss, as it was before the step.

    Raises:
        FloatingPointError: the loss is not finite; no step was taken.
    """
    optimizer.zero_grad()
    loss = _batch_loss(encoder, pictures, batch, settings, device)
    value = loss.item()
    if not math.isfinite(value):
        raise FloatingPointError(f"training loss is {value}; a lower learning rate may help")
    loss.backward()  # type: ignore[no-untyped-call]
    # Before the step. After it, where the published program has it, it would change nothing at all.
    torch.nn.utils.clip_grad_norm_(encoder.parameters(), settings.max_gradient_norm)
    optimizer.step()
    return value


def mean_loss(
    encoder: TrainableEncoder,
    pictures: MeanPictures,
    triples: Triples,
    settings: TrainingSettings,
    device: torch.device,
) -> float:
    """Return the mean loss of triples by the present weights; each clip is embedded once."""
    clips, places = np.unique(triples.clips, return_inverse=True)
    chunk = 3 * settings.batch
    with torch.no_grad():
        parts = [
            _encode(encoder, pictures, clips[i : i + chunk], settings, device) for i in range(0, len(clips), chunk)
        ]
        return _loss(torch.cat(parts), places, triples).item()


def _refuse_unfit(encoder: TrainableEncoder, triples: Triples, validation: Triples) -> None:
    if not len(triples) or not len(validation):
        raise RefusedError(
            f"training needs triples and others to validate by, found {len(triples)} and {len(validation)};"
            " use the untrained projection until there are more days"
        )
    if not encoder.mean_commutes:
        raise RefusedError("training on mean pictures needs an encoder whose mean commutes; this one's does not")


def _epoch(
    encoder: TrainableEncoder,
    optimizer: torch.optim.Optimizer,
    pictures: MeanPictures,
    triples: Triples,
    settings: TrainingSettings,
    device: torch.device,
    epoch: int,
) -> float:
    order = permutation(derived_seed(settings.seed, _SHUFFLES, epoch), len(triples))
    total = 0.0
    for begin in range(0, len(order), settings.batch):
        batch = triples.take(order[begin : begin + settings.batch])
        total += len(batch) * training_step(encoder, optimizer, pictures, batch, settings, device)
    return total / len(order)


def _batch_loss(
    encoder: TrainableEncoder,
    pictures: MeanPictures,
    batch: Triples,
    settings: TrainingSettings,
    device: torch.device,
) -> torch.Tensor:
    # A clip that is in several triples of the batch is embedded once; its gradients add up.
    clips, places = np.unique(batch.clips, return_inverse=True)
    return _loss(_encode(encoder, pictures, clips, settings, device), places, batch)


def _encode(
    encoder: TrainableEncoder,
    pictures: MeanPictures,
    clips: npt.NDArray[np.int64],
    settings: TrainingSettings,
    device: torch.device,
) -> torch.Tensor:
    batch = torch.from_numpy(aligned(pictures[clips])).to(device)
    with mixed_precision(device, settings.bf16):
        return encoder.encode(batch).float()


def _loss(vectors: torch.Tensor, places: npt.NDArray[np.intp], triples: Triples) -> torch.Tensor:
    """Return the loss of triples whose clips are rows `places` (triple, 3) of `vectors`."""
    x, y, z = (vectors[torch.from_numpy(places.reshape(-1, 3)[:, i]).to(vectors.device)] for i in range(3))
    similarities = torch.from_numpy(triples.similarities).to(vectors)
    return log_ratio_loss(x, y, z, similarities[:, 0], similarities[:, 1])


def _say_nothing(record: EpochRecord) -> None:
    del record


def _copy(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in state.items()}
