"""A training that was broken off anywhere, any number of times, ends as the one that nobody disturbed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.embedding.test_training import CLIPS, make_pictures, make_triples, new_model
from wxpipe.embedding.channel_linear import ChannelLinear
from wxpipe.embedding.checkpoints import Checkpoints
from wxpipe.embedding.history import EpochEnded, StepTaken, TrainingEvent, TrainingHistory, TrainingStarted
from wxpipe.embedding.pictures import ClipMeans
from wxpipe.embedding.training import TrainingSettings, Triples, train
from wxpipe.store.objects import LocalObjects

SETTINGS = TrainingSettings(learning_rate=2e-3, epochs=4)
STOPPING = TrainingSettings(learning_rate=0.1, epochs=30, patience=3)
"""Gets better for some epochs, then stops early."""
FOLDERS = count()


class Interrupted(BaseException):
    """Somebody broke the training off."""


@dataclass(frozen=True)
class Trained:
    model: ChannelLinear
    history: TrainingHistory
    steps: int


@dataclass
class Problem:
    """What is trained on, and how it goes undisturbed."""

    pictures: ClipMeans
    learn: Triples
    judge: Triples

    def run(self, how: TrainingSettings, checkpoints: Checkpoints | None = None, until: float = math.inf) -> Trained:
        """Train; broken off after so many steps."""
        told: list[TrainingEvent] = []

        def tell(event: TrainingEvent) -> None:
            told.append(event)
            if sum(isinstance(e, StepTaken) for e in told) >= until:
                raise Interrupted

        model = new_model()
        history = train(
            model, self.pictures, self.learn, self.judge, how, device="cpu", tell=tell, checkpoints=checkpoints
        )
        return Trained(model, history, sum(isinstance(e, StepTaken) for e in told))


@pytest.fixture(scope="module")
def problem() -> Problem:
    grey, clip_frames = make_pictures()
    learn, judge = make_triples(grey, range(40), 150, 1), make_triples(grey, range(40, CLIPS), 60, 2)
    return Problem(ClipMeans(grey, clip_frames), learn, judge)


@pytest.fixture(scope="module")
def peace(problem: Problem) -> Trained:
    return problem.run(SETTINGS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


def opened(folder: Path, steps: int) -> Checkpoints:
    return Checkpoints(LocalObjects(folder), "here", "this", seconds=math.inf, steps=steps)


def check_equal(found: Trained, peace: Trained) -> None:
    assert found.history == peace.history
    for name, tensor in peace.model.state().items():
        assert torch.equal(found.model.state()[name], tensor), name


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(breaks=st.lists(st.integers(1, 20), min_size=1, max_size=4), every=st.integers(1, 7))
def test_broken_off_after_any_step_and_resumed(breaks, every, problem, peace, folder):
    assert peace.steps == 20
    place = folder / str(next(FOLDERS))
    taken = 0
    for until in breaks:
        try:
            taken += problem.run(SETTINGS, opened(place, every), until).steps
        except Interrupted:
            taken += until
    found = problem.run(SETTINGS, opened(place, every))
    check_equal(found, peace)
    assert found.steps + taken <= peace.steps + len(breaks) * (every + 1), "more was done again than lies between two"


@pytest.mark.parametrize("until", [1, 7, 13])
def test_a_floor_is_resumed_with_the_weights(until, problem, folder):
    how = replace(SETTINGS, floor=True)
    peace, place = problem.run(how), folder / str(next(FOLDERS))
    assert peace.history.floor is not None
    assert peace.history.records != problem.run(SETTINGS).history.records
    with pytest.raises(Interrupted):
        problem.run(how, opened(place, 2), until)
    check_equal(problem.run(how, opened(place, 2)), peace)


def test_patience_and_the_best_epoch_survive(problem, folder):
    peace = problem.run(STOPPING)
    assert peace.history.stopped_early
    assert peace.history.best_epoch > 0
    place = folder / str(next(FOLDERS))
    for until in (peace.steps - 7, 4):  # within the epochs of patience, twice
        with pytest.raises(Interrupted):
            problem.run(STOPPING, opened(place, 2), until)
    check_equal(problem.run(STOPPING, opened(place, 2)), peace)


@pytest.mark.parametrize("how", [SETTINGS, STOPPING], ids=["all epochs", "stopped early"])
def test_a_training_that_was_over_trains_no_more(how, problem, folder):
    place = folder / str(next(FOLDERS))
    first = problem.run(how, opened(place, 0))
    assert first.steps > 0
    again = problem.run(how, opened(place, 0))
    assert again.steps == 0
    check_equal(again, first)


def test_what_goes_on_says_where(problem, folder):
    place = folder / str(next(FOLDERS))
    with pytest.raises(Interrupted):
        problem.run(SETTINGS, opened(place, 3), 9)
    told: list[TrainingEvent] = []
    train(new_model(), problem.pictures, problem.learn, problem.judge, SETTINGS, device="cpu", tell=told.append,
          checkpoints=opened(place, 3))  # fmt: skip
    start = told[0]
    assert isinstance(start, TrainingStarted)
    assert (len(start.records), start.learned) == (2, 32)  # after 6 steps: 5 of epoch 1, one of epoch 2
    assert "goes on after epoch 1 and 32 triples of epoch 2" in str(start)
    ended = [event for event in told if isinstance(event, EpochEnded)]
    assert [event.record.epoch for event in ended] == [2, 3, 4]
    assert all(event.last == 4 for event in ended)
