"""Training by mean pictures is the published training, done in the right order and repeatable."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from wxpipe.embedding.channel_linear import ChannelLinear
from wxpipe.embedding.history import EpochEnded, StepTaken, TrainingEvent, TrainingStarted
from wxpipe.embedding.pictures import ClipMeans
from wxpipe.embedding.steps import make_optimizer, training_step
from wxpipe.embedding.training import (
    TrainingSettings,
    Triples,
    train,
)
from wxpipe.errors import RefusedError

CHANNELS = ("ir01", "ir02", "swir", "wv")
CPU = torch.device("cpu")
CLIPS, SHAPE = 60, (9, 11)
PIXELS = SHAPE[0] * SHAPE[1]


def make_pictures(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Frames of smooth change: each clip has a place on a few hidden axes, and its frames scatter about it."""
    rng = np.random.default_rng(seed)
    axes = rng.normal(size=(4, 4 * PIXELS))
    hidden = rng.normal(size=(CLIPS, 4)) * [30, 12, 5, 2]
    frames = 127 + (hidden @ axes)[:, None] + rng.normal(size=(CLIPS, 20, 4 * PIXELS)) * 3
    grey = frames.clip(0, 255).astype(np.uint8).reshape(CLIPS * 20, 4, *SHAPE)
    return grey, np.arange(CLIPS * 20).reshape(CLIPS, 20)


def make_triples(grey: np.ndarray, clips: range, count: int, seed: int) -> Triples:
    """Ground truth that looks at one quarter of one channel, which an untrained projection cannot know."""
    rng = np.random.default_rng(seed)
    drawn = np.array([rng.choice(list(clips), 3, replace=False) for _ in range(count)])
    seen = grey.reshape(CLIPS, 20, 4, PIXELS)[:, :, 3, : PIXELS // 4].mean(axis=1)
    apart = [np.abs(seen[drawn[:, 0]] - seen[drawn[:, i]]).mean(axis=1) for i in (1, 2)]
    return Triples(drawn, (1 - np.stack(apart, axis=1) / 255).astype(np.float32))


@pytest.fixture(scope="module")
def problem() -> tuple[ClipMeans, Triples, Triples]:
    grey, clip_frames = make_pictures()
    learn, judge = make_triples(grey, range(40), 160, 1), make_triples(grey, range(40, 60), 60, 2)
    return ClipMeans(grey, clip_frames), learn, judge


def new_model(seed: int = 5) -> ChannelLinear:
    return ChannelLinear(CHANNELS, PIXELS, 8, seed=seed)


class PublishedWay(nn.Module):
    """Every frame through the linear maps, then the mean: what the published program does, from its formula."""

    def __init__(self, start: ChannelLinear) -> None:
        super().__init__()
        self.maps = nn.ModuleList([nn.Linear(PIXELS, start.width_per_channel) for _ in CHANNELS])
        for layer, name in zip(self.maps, CHANNELS, strict=True):
            layer.weight.data.copy_(start.weights[name])
            layer.bias.data.zero_()

    def loss(self, frames: torch.Tensor, sims: torch.Tensor) -> torch.Tensor:
        """frames: (triple, 3, 20, channel, pixels)."""
        maps = [layer(frames[..., c, :]) for c, layer in enumerate(self.maps)]
        x, y, z = torch.cat(maps, dim=-1).mean(dim=2).unbind(dim=1)
        found = torch.log((x - y).norm(dim=1) / (x - z).norm(dim=1))
        return (found - torch.log((1 - sims[:, 0] + 1e-6) / (1 - sims[:, 1] + 1e-6))).square().mean()


@pytest.mark.parametrize("steps", [1, 3])
def test_a_step_equals_one_taken_the_published_way(problem, steps):
    pictures, learn, _ = problem
    settings = TrainingSettings()
    grey, clip_frames = make_pictures()
    ours = new_model()
    theirs = PublishedWay(ours)
    optimizer = make_optimizer(ours, settings)
    published = torch.optim.AdamW(theirs.parameters(), lr=1e-5, weight_decay=1e-7)
    for i in range(steps):
        batch = learn.take(np.arange(32) + 32 * i)
        value = training_step(ours, optimizer, pictures, batch, settings, CPU)
        frames = torch.from_numpy(grey[clip_frames[batch.clips]]).float().flatten(-2) / 255
        loss = theirs.loss(frames, torch.from_numpy(batch.similarities))
        published.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        published.step()
        assert value == pytest.approx(loss.item(), rel=1e-5)
    start = new_model()
    for layer, name in zip(theirs.maps, CHANNELS, strict=True):
        gradient, expected = ours.weights[name].grad, layer.weight.grad
        assert ((gradient - expected).norm() / expected.norm()).item() < 1e-5
        apart = (ours.weights[name] - layer.weight).norm()
        assert (apart / layer.weight.norm()).item() < 1e-6
        # Steps of 1e-5 are small beside the weights, whose own rounding is 2e-4 of such a step.
        assert (apart / (layer.weight - start.weights[name]).norm()).item() < 1e-3


def test_gradients_are_clipped_before_the_step(problem):
    pictures, learn, _ = problem
    model = new_model()
    for weight in model.parameters():
        weight.data *= 1e-6  # the log of a tiny distance has a huge gradient
    optimizer = make_optimizer(model, TrainingSettings())
    free = new_model()
    free.load_state(model.state())
    loose = make_optimizer(free, TrainingSettings())
    batch = learn.take(np.arange(32))
    training_step(model, optimizer, pictures, batch, TrainingSettings(), CPU)
    training_step(free, loose, pictures, batch, TrainingSettings(max_gradient_norm=1e30), CPU)

    def first_moment(opt: torch.optim.Optimizer) -> float:
        return torch.cat([s["exp_avg"].flatten() for s in opt.state.values()]).norm().item()

    assert first_moment(loose) > 1e3  # the planted gradient is huge
    assert first_moment(optimizer) == pytest.approx(0.1, rel=1e-3)  # 1 - beta1 of a gradient of norm 1


def test_training_lowers_the_loss_of_clips_it_has_not_seen(problem):
    pictures, learn, judge = problem
    settings = TrainingSettings(learning_rate=2e-3, epochs=15)
    told: list[TrainingEvent] = []
    history = train(new_model(), pictures, learn, judge, settings, device="cpu", tell=told.append)
    assert told[0] == TrainingStarted(len(learn), 15)
    epochs = [event for event in told if isinstance(event, EpochEnded)]
    assert tuple(event.record for event in epochs) == history.records
    assert [record.epoch for record in history.records] == list(range(len(epochs)))
    assert epochs[-1].best == history.best
    steps = [event for event in told if isinstance(event, StepTaken) and event.epoch == 3]
    assert [event.learned for event in steps] == [32, 64, 96, 128, 160]
    assert steps[-1].train_loss == history.records[3].train_loss
    assert history.records[0].train_loss is None
    assert history.best.validation_loss < 0.6 * history.records[0].validation_loss
    assert history.records[-1].train_loss < 0.6 * history.records[1].train_loss


def test_two_runs_are_equal_bit_for_bit(problem):
    pictures, learn, judge = problem
    settings = TrainingSettings(learning_rate=1e-3, epochs=3)
    models = [new_model(), new_model(), new_model()]
    histories = [train(m, pictures, learn, judge, settings, device="cpu") for m in models[:2]]
    assert histories[0] == histories[1]
    assert all(torch.equal(t, models[1].state()[name]) for name, t in models[0].state().items())
    other = train(models[2], pictures, learn, judge, dataclasses.replace(settings, seed=1), device="cpu")
    assert other != histories[0]  # another order of the triples


def test_the_best_weights_are_kept_and_training_stops_early(problem):
    pictures, learn, judge = problem
    settings = TrainingSettings(learning_rate=3.0, epochs=30, patience=3)  # too fast to get anywhere
    model = new_model()
    history = train(model, pictures, learn, judge, settings, device="cpu")
    assert history.stopped_early
    assert len(history.records) == history.best_epoch + 1 + 3
    assert history.best.validation_loss == min(record.validation_loss for record in history.records)
    kept = train(model, pictures, learn, judge, dataclasses.replace(settings, epochs=1), device="cpu")
    assert kept.records[0].validation_loss == history.best.validation_loss


def test_threads_are_put_back(problem):
    pictures, learn, judge = problem
    before = torch.get_num_threads()
    train(new_model(), pictures, learn.take(np.arange(3)), judge, TrainingSettings(epochs=1), device="cpu")
    assert torch.get_num_threads() == before


def test_a_loss_that_is_not_finite_stops_without_a_step(problem):
    pictures, learn, _ = problem
    model = new_model()
    model.weights["wv"].data[0, 0] = float("nan")
    kept = model.weights["ir01"].detach().clone()
    with pytest.raises(FloatingPointError, match="loss is nan"):
        training_step(model, make_optimizer(model, TrainingSettings()), pictures, learn, TrainingSettings(), CPU)
    assert torch.equal(model.weights["ir01"], kept)


def test_what_cannot_be_trained_on_is_refused(problem):
    pictures, learn, judge = problem
    none = learn.take(np.arange(0))
    for triples, validation in ((none, judge), (learn, none)):
        with pytest.raises(RefusedError, match="untrained projection"):
            train(new_model(), pictures, triples, validation, TrainingSettings())
    model = new_model()
    model.mean_commutes = False
    with pytest.raises(RefusedError, match="commutes"):
        train(model, pictures, learn, judge, TrainingSettings())
    with pytest.raises(ValueError, match=r"triple 1: similarities expected in 0\.\.1"):
        Triples(np.zeros((2, 3), np.int64), np.array([[0, 1], [0.5, np.nan]], np.float32))
    with pytest.raises(ValueError, match="clips"):
        Triples(np.zeros((2, 2), np.int64), np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match="patience expected more than 0, found 0"):
        TrainingSettings(patience=0)
