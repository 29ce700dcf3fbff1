"""A training that is killed (-9) anywhere and started again saves the model of one that nobody disturbed."""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.embedding.conftest import Mapping
from tests.embedding.nursery import Nursery
from tests.mini import SOURCE, digest_of, points_of, wxpipe
from wxpipe.embedding.history import Remark, StepTaken
from wxpipe.embedding.train_stage import Train, checkpoint_folder, current_model, model_folder
from wxpipe.errors import LeaseLostError
from wxpipe.pipeline.backfill import Job, Report
from wxpipe.pipeline.execute import execute
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Partition

OPTIONS = {"train_epochs": 4, "train_learning_rate": 2e-4, "train_patience": 3}
STEPS = {"WXPIPE_CHECKPOINT_STEPS": "5"}
KINDS = ("before put-if-absent checkpoints/", "after put-if-absent checkpoints/", "before delete checkpoints/",
         "before rename models/", "before put ledger/", "after put ledger/")  # fmt: skip
"""Write points that a training passes; the last of its kind is the one where it is killed. All of them: see `slow`."""
ROOTS = count()


@dataclass(frozen=True)
class Peace:
    """What an undisturbed training made, and the write points and steps that it passed."""

    root: Path
    made: dict[str, Any]
    points: list[str]
    steps: int


def made_in(root: Path) -> dict[str, Any]:
    """What a training made, without what may differ: its date, and how long epochs took."""
    opened = Root(str(root))
    model = current_model(opened, SOURCE)
    files = {name: opened.objects.get(f"{model_folder(model)}/{name}") for name in opened.objects.names(
        model_folder(model))}  # fmt: skip
    card, history = json.loads(files["card.json"]), json.loads(files["history.json"])
    for record in history["records"]:
        del record["seconds"]
    del card["created"]
    return {"model": model, "weights": files["weights.safetensors"], "card": card, "history": history}


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    opened = Nursery()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def roots(week: tuple[Job, Report, Mapping], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one root, `week`, to be copied: triples are drawn, another model was trained and embedded."""
    folder = tmp_path_factory.mktemp("roots")
    shutil.copytree(week[0].root, folder / "week")
    return folder


def new_root(roots: Path) -> Path:
    root = roots / str(next(ROOTS))
    shutil.copytree(roots / "week", root)
    return root


@pytest.fixture(scope="module")
def peace(roots: Path, nursery: Nursery) -> Peace:
    root, log = new_root(roots), roots / "log"
    status, steps = nursery.train(root, OPTIONS, WXPIPE_WRITE_POINT_LOG=str(log), **STEPS)
    assert status == 0
    assert steps == 48
    return Peace(root, made_in(root), points_of(log), steps)


def check_whole(root: Path, peace: Peace, left: int = 0) -> None:
    """The model is that of the undisturbed run, the ledger says so, and nothing is left over."""
    assert made_in(root) == peace.made
    opened, there = Root(str(root)), Root(str(peace.root))
    entry, other = opened.ledger.get("train", SOURCE), there.ledger.get("train", SOURCE)
    assert entry is not None
    assert other is not None
    assert entry.content() == other.content()
    assert opened.objects.names("models/channel-linear") == there.objects.names("models/channel-linear")
    assert len(opened.objects.names(checkpoint_folder(SOURCE))) == left


def killed_at(point: int, roots: Path, nursery: Nursery) -> Path:
    """Kill a training at a write point, and run it again; the root."""
    root, token = new_root(roots), roots / f"{next(ROOTS)}.token"
    status, _ = nursery.train(root, OPTIONS, WXPIPE_KILL_AT=f"{point}:{token}", **STEPS)
    assert status == -signal.SIGKILL
    status, _ = nursery.train(root, OPTIONS, **STEPS)
    assert status == 0
    return root


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if n % 4 == 1 else pytest.mark.slow) for n, kind in enumerate(KINDS)]
)
def test_killed_at_a_write_point_of_each_kind(kind, roots, peace, nursery):
    point = max(n for n, name in enumerate(peace.points, 1) if name.startswith(kind))
    check_whole(killed_at(point, roots, nursery), peace)


@pytest.mark.slow
def test_killed_at_every_write_point_there_is(roots, peace, nursery):
    for point in range(1, len(peace.points) + 1):
        root = killed_at(point, roots, nursery)
        check_whole(root, peace)
        shutil.rmtree(root)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_killed_after_random_steps_again_and_again(seed, roots, peace, nursery):
    draw, root, steps = random.Random(seed), new_root(roots), 0
    for _ in range(3):
        status, taken = nursery.train(root, OPTIONS, kill_at_step=draw.randint(6, 15), **STEPS)
        steps += taken
        assert status == -signal.SIGKILL or steps >= peace.steps
    status, taken = nursery.train(root, OPTIONS, **STEPS)
    assert status == 0
    assert steps + taken <= peace.steps + 3 * 5, "more than what lies between two checkpoints was done again"
    check_whole(root, peace)


@pytest.mark.slow
def test_killed_at_random_moments_from_outside(roots, peace, nursery):
    draw = random.Random(4)
    for _ in range(10):
        root, kills = new_root(roots), 0
        for _ in range(3):
            status, _ = nursery.train(root, OPTIONS, kill_after=draw.uniform(0.05, 0.9), **STEPS)
            kills += status == -signal.SIGKILL
        assert kills
        assert nursery.train(root, OPTIONS, **STEPS)[0] == 0
        check_whole(root, peace)
        shutil.rmtree(root)


def test_killed_before_the_model_was_saved_it_trains_no_more(roots, peace, nursery):
    point = next(n for n, name in enumerate(peace.points, 1) if name.startswith("before put models/"))
    root, token = new_root(roots), roots / f"{next(ROOTS)}.token"
    assert nursery.train(root, OPTIONS, WXPIPE_KILL_AT=f"{point}:{token}", **STEPS)[0] == -signal.SIGKILL
    assert nursery.train(root, OPTIONS, **STEPS) == (0, 0)
    check_whole(root, peace)


def digest_of_the_rest(root: Path) -> dict[str, str]:
    """`wxpipe digest` of a root without its large arrays, which take the time."""
    rest = root.parent / f"{next(ROOTS)}"
    shutil.copytree(root, rest, ignore=shutil.ignore_patterns("frames", "histograms"))
    return digest_of(rest)


def test_checkpoints_are_gone_at_the_end_and_part_of_no_digest(roots, peace, nursery):
    assert Root(str(peace.root)).objects.names(checkpoint_folder(SOURCE)) == []
    root = new_root(roots)
    before = digest_of_the_rest(root)
    assert nursery.train(root, OPTIONS, kill_at_step=12, **STEPS)[0] == -signal.SIGKILL
    assert len(Root(str(root)).objects.names(checkpoint_folder(SOURCE))) == 2
    now = digest_of_the_rest(root)
    assert {name for name in before if before[name] != now[name]} == {"ledger"}, "the model is not done at the moment"


def test_other_settings_or_a_fresh_start_take_no_checkpoint(roots, peace, nursery):
    root = new_root(roots)
    assert nursery.train(root, {**OPTIONS, "train_seed": 1}, kill_at_step=22, **STEPS)[0] == -signal.SIGKILL
    assert nursery.train(root, OPTIONS, kill_at_step=22, **STEPS)[0] == -signal.SIGKILL
    assert nursery.train(root, {**OPTIONS, "fresh": True}, **STEPS) == (0, peace.steps)
    check_whole(root, peace)


class Ghost:
    """Looks on as a training goes, and at one of its steps lets another run take its place."""

    def __init__(self, root: Root, step: int) -> None:
        self.root, self.step, self.notes = root, step, list[str]()
        self.steps = 0

    def __call__(self, event: object) -> None:
        if isinstance(event, Remark):
            self.notes.append(event.text)
        if isinstance(event, StepTaken):
            self.steps += 1
            if self.steps == self.step:
                self.successor()

    def successor(self) -> None:
        lease = self.root.leases._take(f"train/{SOURCE}", 2)  # as after a heartbeat that stood still
        context = Context(Root(self.root.url), lease=lease, options={**OPTIONS, "train_seed": 7, "anew": ("train",)})
        self.result = execute("train", Partition(SOURCE, name=SOURCE), context)


def test_a_ghost_leaves_its_successors_model_alone(roots, monkeypatch):
    """It wakes up in the midst of its training, and writes neither a checkpoint nor a model any more."""
    monkeypatch.setenv("WXPIPE_CHECKPOINT_STEPS", "5")
    root = Root(str(new_root(roots)))
    for name in root.objects.names(f"leases/train/{SOURCE}"):
        root.objects.delete(f"leases/train/{SOURCE}/{name}")
    lease = root.leases.acquire(f"train/{SOURCE}")
    ghost = Ghost(root, 13)
    with pytest.raises(LeaseLostError, match="epoch 1 was taken over by epoch 2"):
        Train().run(Partition(SOURCE, name=SOURCE), Context(root, lease=lease, options=OPTIONS, say=ghost))
    assert ghost.result.state == "done"
    assert ghost.steps == 15, "the next checkpoint would have been after step 15"
    made = made_in(Path(root.url))
    assert made["card"]["settings"]["seed"] == 7
    assert len(root.objects.names("models/channel-linear")) == 2, "the one of the fixture, and the successor's"
    assert root.objects.names(checkpoint_folder(SOURCE)) == []


@pytest.mark.parametrize("extra", [(), pytest.param(("--fresh",), marks=pytest.mark.slow)], ids=["", "fresh"])
def test_the_command_goes_on_and_begins_anew_when_asked(extra, roots, peace, nursery):
    """`wxpipe train` takes what the killed training left; with --fresh it does not."""
    root = new_root(roots)
    assert nursery.train(root, OPTIONS, kill_at_step=30, **STEPS)[0] == -signal.SIGKILL
    status, said = wxpipe(
        "train", "--root", str(root), "--keep-pairs", "--epochs", "4", "--learning-rate", "2e-4", "--patience", "3",
        "--curves", str(root / "curves.png"), *extra,
    )  # fmt: skip
    assert status == 0, said
    check_whole(root, peace)
    assert (root / "curves.png").stat().st_size > 10_000
    assert ("goes on after epoch 2 and 32 triples of epoch 3" in said) == (not extra)
    assert "epoch 4: training" in said
