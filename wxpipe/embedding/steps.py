"""One step of training, and the loss of triples by the weights of the moment."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from wxpipe.embedding.devices import mixed_precision
from wxpipe.embedding.losses import Floor, log_ratio_loss
from wxpipe.embedding.pictures import MeanPictures, SummedMeans, aligned
from wxpipe.embedding.prefetch import Prefetch
from wxpipe.embedding.registry import TrainableEncoder

if TYPE_CHECKING:
    from wxpipe.embedding.training import TrainingSettings, Triples


def make_optimizer(
    encoder: TrainableEncoder, settings: TrainingSettings, floor: Floor | None = None
) -> torch.optim.Optimizer:
    """Return AdamW over the encoder's weights and the floor; fused, which reads and writes each once a step."""
    groups: list[dict[str, Any]] = [{"params": list(encoder.parameters())}]
    if floor is not None:
        groups.append({"params": list(floor.parameters()), "lr": settings.floor_learning_rate, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)


def training_step(
    encoder: TrainableEncoder,
    optimizer: torch.optim.Optimizer,
    pictures: MeanPictures,
    batch: Triples,
    settings: TrainingSettings,
    device: torch.device,
    floor: Floor | None = None,
) -> float:
    """Take one step on a batch of triples and return its loss, as it was before the step.

    Raises:
        FloatingPointError: the loss is not finite; no step was taken.
    """
    optimizer.zero_grad()
    loss = _batch_loss(encoder, pictures, batch, settings, device, floor)
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
    pictures: SummedMeans,
    triples: Triples,
    settings: TrainingSettings,
    device: torch.device,
    floor: Floor | None = None,
) -> float:
    """Return the mean loss of triples by the present weights; each clip is embedded once."""
    with torch.no_grad():
        vectors, places = _vectors(encoder, pictures, triples, settings, device)
        return _loss(vectors, places, triples, floor).item()


def mean_square(
    encoder: TrainableEncoder,
    pictures: SummedMeans,
    triples: Triples,
    settings: TrainingSettings,
    device: torch.device,
) -> float:
    """Return the mean squared distance of x and y of triples by the present weights."""
    with torch.no_grad():
        vectors, places = _vectors(encoder, pictures, triples, settings, device)
        x, y = (vectors[torch.from_numpy(places[:, i]).to(vectors.device)] for i in range(2))
        return (x - y).square().sum(dim=1).mean().item()


def _vectors(
    encoder: TrainableEncoder,
    pictures: SummedMeans,
    triples: Triples,
    settings: TrainingSettings,
    device: torch.device,
) -> tuple[torch.Tensor, npt.NDArray[np.intp]]:
    """Vectors of the clips of triples, and which rows of them each triple is of, (triple, 3)."""
    clips, places = np.unique(triples.clips, return_inverse=True)
    chunk = 3 * settings.batch
    parts = [clips[i : i + chunk] for i in range(0, len(clips), chunk)]
    with Prefetch(pictures, parts, chunk) as coming:
        vectors = torch.cat([_encode(encoder, coming, part, settings, device) for part in parts])
    return vectors, places.reshape(-1, 3)


def _batch_loss(
    encoder: TrainableEncoder,
    pictures: MeanPictures,
    batch: Triples,
    settings: TrainingSettings,
    device: torch.device,
    floor: Floor | None,
) -> torch.Tensor:
    # A clip that is in several triples of the batch is embedded once; its gradients add up.
    clips, places = np.unique(batch.clips, return_inverse=True)
    return _loss(_encode(encoder, pictures, clips, settings, device), places.reshape(-1, 3), batch, floor)


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


def _loss(vectors: torch.Tensor, places: npt.NDArray[np.intp], triples: Triples, floor: Floor | None) -> torch.Tensor:
    """Return the loss of triples whose clips are rows `places` (triple, 3) of `vectors`."""
    x, y, z = (vectors[torch.from_numpy(places[:, i]).to(vectors.device)] for i in range(3))
    similarities = torch.from_numpy(triples.similarities).to(vectors)
    return log_ratio_loss(x, y, z, similarities[:, 0], similarities[:, 1], floor)
