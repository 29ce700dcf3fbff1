"""A training step and the embedding of a clip, against the published way of both, written out in plain torch.

The published program keeps each clip of each triple as 20 float frames, gathers a batch of them, and puts every frame
through the linear maps before it takes the mean (geon0325/weather_similarity, sample_code).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tests.benchmarks.report import Row, Seconds, take_turns
from wxpipe.embedding.channel_linear import ChannelLinear
from wxpipe.embedding.inference import clip_vectors, embed_frames
from wxpipe.embedding.pictures import ClipMeans
from wxpipe.embedding.steps import make_optimizer, training_step
from wxpipe.embedding.training import TrainingSettings, Triples

CHANNELS = ("ir01", "ir02", "swir", "wv")
WIDTH = 32
CPU = torch.device("cpu")
EQUAL = 1e-5
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Week:
    """Reduced frames uint8 (frame, channel, y, x) and clips (clip, 20) of them."""

    frames: Bytes
    clips: npt.NDArray[np.int64]


def moving_frames(count: int, rows: int, columns: int) -> Bytes:
    """A coarse field that drifts by a pixel a frame under a little noise: alike when close in time."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 230, (4, -(-rows // 6), -(-(columns + count) // 6)), np.uint8)
    field = np.kron(coarse, np.ones((1, 6, 6), np.uint8))[:, :rows]
    frames = np.stack([field[:, :, n : n + columns] for n in range(count)])
    return frames + rng.integers(0, 16, frames.shape, np.uint8)


class PublishedWay(nn.Module):
    """Every frame through the maps, then the mean."""

    def __init__(self, start: ChannelLinear) -> None:
        super().__init__()
        self.maps = nn.ModuleList([nn.Linear(start.pixels, start.width_per_channel) for _ in CHANNELS])
        for layer, name in zip(self.maps, CHANNELS, strict=True):
            layer.weight.data.copy_(start.weights[name])
            layer.bias.data.zero_()

    def embed(self, clips: torch.Tensor) -> torch.Tensor:
        """(clip, 20, channel, y, x) float to (clip, width)."""
        flat = clips.flatten(3)
        vectors = torch.cat([layer(flat[:, :, c]) for c, layer in enumerate(self.maps)], dim=2)
        return vectors.mean(dim=1)

    def loss(self, clips: tuple[torch.Tensor, ...], similarities: torch.Tensor) -> torch.Tensor:
        x, y, z = (self.embed(part) for part in clips)
        found = torch.log((x - y).norm(dim=1) / (x - z).norm(dim=1))
        wanted = torch.log((1 - similarities[:, 0] + 1e-6) / (1 - similarities[:, 1] + 1e-6))
        return (found - wanted).square().mean()


def published_step(
    model: PublishedWay, optimizer: torch.optim.Optimizer, data: tuple[torch.Tensor, ...], similarities: torch.Tensor,
    batch: list[int],
) -> float:  # fmt: skip
    """One step as the published loop takes it: gather, forward, loss, backward, step, clip."""
    loss = model.loss(tuple(part[batch] for part in data), similarities[batch])
    value = loss.item()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    return value


def training(week: Week, triples: int, repeats: int) -> list[Row]:
    """Steps of one batch of triples; ours with the clips' sums cached (from the second epoch on), and without.

    Raises:
        AssertionError: loss or gradient of the first step differ by more than 1e-5 of them. (Later steps differ by
            right: the published program clips gradients only after the step.)
    """
    rng = np.random.default_rng(2)
    drawn = np.stack([rng.choice(len(week.clips), 3, replace=False) for _ in range(triples)])
    similarities = rng.uniform(0.3, 0.95, (triples, 2)).astype(np.float32)
    batch, settings = Triples(drawn, similarities), TrainingSettings()
    pixels = week.frames.shape[2] * week.frames.shape[3]
    ours = {name: ChannelLinear(CHANNELS, pixels, WIDTH, seed=3) for name in ("cached", "fresh")}
    means = {name: ClipMeans(week.frames, week.clips, size) for name, size in (("cached", 1 << 30), ("fresh", 0))}
    optimizers = {name: make_optimizer(model, settings) for name, model in ours.items()}
    theirs = PublishedWay(ours["cached"])
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    data = tuple(torch.stack([_floats(week, n) for n in drawn[:, side]]) for side in range(3))
    order = rng.permutation(triples).tolist()

    def step(name: str) -> float:
        return training_step(ours[name], optimizers[name], means[name], batch, settings, CPU)

    def peer_step() -> float:
        return published_step(theirs, optimizer, data, torch.from_numpy(similarities), order)

    works = {"cached": lambda: step("cached"), "fresh": lambda: step("fresh"), "peer": peer_step}
    _, losses = take_turns(works, 1)  # fills the cache, compiles, and is what can be compared
    for name, model in ours.items():
        _check_step(name, float(str(losses[name])), float(str(losses["peer"])), model, theirs)
    samples, _ = take_turns(works, repeats)
    against = "the published way, float frames in memory"
    return [
        Row(f"training step of {triples} triples", samples.median("cached"), samples.median("peer"), against, "6",
            note="sums cached"),
        Row(f"training step of {triples} triples", samples.median("fresh"), samples.median("peer"), against, "6",
            note="first epoch, sums made anew"),
    ]  # fmt: skip


def _check_step(name: str, loss: float, published: float, model: ChannelLinear, theirs: PublishedWay) -> None:
    if not abs(loss - published) <= EQUAL * published:
        raise AssertionError(f"loss of the {name} step {loss}, of the published way {published}")
    for channel, layer in zip(CHANNELS, theirs.maps, strict=True):
        gradient, expected = model.weights[channel].grad, layer.weight.grad
        apart = float((gradient - expected).norm() / expected.norm())
        if not apart <= EQUAL:
            raise AssertionError(f"gradient of {channel}, {name}: {apart} of its norm from the published way's")


def embedding(week: Week, peers: int, repeats: int) -> list[Row]:
    """The vectors of all clips, each, against some of them embedded one by one the published way.

    Raises:
        AssertionError: vectors differ by more than 1e-5.
    """
    pixels = week.frames.shape[2] * week.frames.shape[3]
    ours = ChannelLinear(CHANNELS, pixels, WIDTH, seed=3)
    theirs = PublishedWay(ours)
    chosen = np.linspace(0, len(week.clips) - 1, peers).astype(int).tolist()
    floats = [_floats(week, n) for n in chosen]
    found: dict[str, list[torch.Tensor]] = {}

    def peer(name: str) -> None:
        with torch.inference_mode():
            clips = floats if name == "floats" else [_floats(week, n) for n in chosen]
            found[name] = [theirs.embed(clip[None])[0] for clip in clips]

    works = {
        "ours": lambda: clip_vectors(embed_frames(ours, week.frames, device="cpu"), week.clips),
        "floats": lambda: peer("floats"),
        "bytes": lambda: peer("bytes"),
    }
    for work in works.values():
        work()
    samples, results = take_turns(works, repeats)
    vectors = results["ours"]
    assert isinstance(vectors, np.ndarray)
    for name, published in found.items():
        apart = np.abs(vectors[chosen] - torch.stack(published).numpy()).max()
        if not apart <= EQUAL:
            raise AssertionError(f"vectors differ by {apart} from the published way's, from {name}")
    each, of_peer = 1 / len(week.clips), 1 / peers
    what = f"embedding a clip (of {len(week.clips)} of {len(week.frames)} frames, all from uint8)"
    return [
        _embedding_row(what, samples.median("ours") * each, samples.median(name) * of_peer, against)
        for name, against in (
            ("floats", "the published way, its 20 float frames already in memory"),
            ("bytes", "the published way from the same uint8 frames"),
        )
    ]


def _embedding_row(what: str, ours: Seconds, peer: Seconds, against: str) -> Row:
    return Row(what, ours, peer, against, "20")


def _floats(week: Week, clip: int) -> torch.Tensor:
    """A clip as the published program holds it: float32 (20, channel, y, x), here in 0..1."""
    return torch.from_numpy(week.frames[week.clips[clip]]).float().div_(255)
