"""Checkpoints of a training: everything that its next step depends on, so that it can go on as if never broken off.

They lie as numbered objects in a folder of their own, and are no part of what a root holds. Which training they are
of, and who may write, the caller says.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from wxpipe.embedding.history import EpochRecord, Remark, TrainingEvent, tell_nobody
from wxpipe.errors import NotFoundError, Retry, StoreError, WxpipeError
from wxpipe.store.objects import Objects
from wxpipe.store.writepoints import write_point

KEPT = 2
"""Checkpoints that are kept: the latest, and one before it in case the latest cannot be read."""
FIRST_LINE = b"wxpipe checkpoint 1 "
"""What a checkpoint begins with: this, the SHA-256 of all that follows the line, and a newline."""
ENDING = ".safetensors"

Tensors = Mapping[str, torch.Tensor]


class CheckpointError(WxpipeError):
    """An object is no checkpoint, or not the bytes that were written."""


@dataclass(frozen=True)
class Position:
    """How far a training has come.

    Attributes:
        records: of the epochs that are over; the first is epoch 0, before training.
        best: the one of the lowest validation loss.
        learned: triples of the next epoch that are behind it; its order is drawn by number, so that this suffices.
        loss_sum: of the losses of those triples.
        seconds: that were spent on them.
    """

    records: tuple[EpochRecord, ...] = ()
    best: int = 0
    learned: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0

    @property
    def train_loss(self) -> float:
        """The mean loss of the next epoch's triples so far."""
        return self.loss_sum / self.learned


@dataclass(frozen=True, eq=False)
class TrainingState:
    """What the next step depends on, beside the settings and the pictures.

    Attributes:
        weights, best: an encoder's `state()`, now and at the end of the best epoch.
        optimizer: ``<parameter>.<name>``, as `optimizer_tensors` says it.
    """

    position: Position
    weights: Tensors
    best: Tensors
    optimizer: Tensors


class Checkpoints:
    """The checkpoints of one training: ``<folder>/<number>.safetensors``, the highest that can be read counts.

    A number is taken by put-if-absent and written once, so that a process whose lease was lost can write beside its
    successor's, and never over them. A process removes only what it found at its beginning, or wrote itself.

    Args:
        folder: of the root, e.g. ``checkpoints/coms-ea``.
        training: names what is trained, on what, how; a checkpoint of anything else is not taken but replaced.
        seconds: between checkpoints.
        steps: between checkpoints, where these come first; 0: by seconds alone.
        check: is called before each write and removal, and raises where this process may not write any more.
        tell: is told of what was taken, left and not written.
    """

    def __init__(
        self,
        objects: Objects,
        folder: str,
        training: str,
        *,
        seconds: float,
        steps: int = 0,
        check: Callable[[], None] = lambda: None,
        tell: Callable[[TrainingEvent], None] = tell_nobody,
    ) -> None:
        self._objects, self._folder, self._training = objects, folder, training
        self._seconds, self._steps, self._check, self._tell = seconds, steps, check, tell
        names = objects.names(folder)
        self._there = sorted(int(name.removesuffix(ENDING)) for name in names if name.endswith(ENDING))
        self._good: list[int] = []
        self._last: Position | None = None
        self._restart_count()

    @property
    def keys(self) -> tuple[str, ...]:
        """Of every checkpoint that this process knows of, whichever training it is of."""
        return tuple(self._key(number) for number in self._there)

    def latest(self) -> TrainingState | None:
        """The state of the highest checkpoint of this training that can be read; None where there is none."""
        for number in reversed(self._there):
            try:
                state = self._read(number)
            except (NotFoundError, CheckpointError) as error:
                self._tell(Remark(f"checkpoint {number} is passed over: {error}"))
                continue
            if state is not None:
                self._good, self._last = [number], state.position
                return state
            self._tell(Remark(f"checkpoint {number} is of a training on other pairs or settings, and is replaced"))
        return None

    def forget(self) -> None:
        """Remove what is there: the training begins anew."""
        self._remove(self._there)

    def due(self) -> bool:
        """Whether it is time for another, after one more step."""
        self._count += 1
        return 0 < self._steps <= self._count or time.monotonic() - self._since >= self._seconds

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint; where the store cannot take it, say so and go on: the training itself is sound.

        Raises:
            LeaseLostError: another run has taken over (raised by `check`).
        """
        data = pack(state, self._training)
        try:
            self._check()
            number = self._put(data)
            self._there.append(number)
            self._good.append(number)
            self._last = state.position
            self._remove([n for n in self._there if n not in self._good[-KEPT:]])
        except (OSError, Retry, StoreError) as error:
            self._tell(Remark(f"no checkpoint could be written ({error}); the training goes on without"))
        self._restart_count()

    def save_last(self, state: TrainingState) -> None:
        """Write a checkpoint unless the latest is of this position already."""
        if self._last != state.position:
            self.save(state)

    def _restart_count(self) -> None:
        self._count, self._since = 0, time.monotonic()

    def _key(self, number: int) -> str:
        return f"{self._folder}/{number:08d}{ENDING}"

    def _read(self, number: int) -> TrainingState | None:
        training, state = unpack(self._objects.get(self._key(number)))
        return state if training == self._training else None

    def _put(self, data: bytes) -> int:
        number = max(self._there, default=0) + 1
        while not self._objects.put_if_absent(self._key(number), data):
            self._check()  # the number is another process's: this one's successor, or a ghost
            number += 1
        return number

    def _remove(self, numbers: list[int]) -> None:
        self._check()
        for number in list(numbers):
            write_point(f"before delete {self._key(number)}")
            self._objects.delete(self._key(number))
            self._there.remove(number)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The state of an optimiser, ``<parameter>.<name>``, parameters by number; empty before its first step."""
    states = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value for number, state in states.items() for name, value in state.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Give an optimiser the state that `optimizer_tensors` returned; its settings stay its own."""
    states: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        states.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})


def pack(state: TrainingState, training: str) -> bytes:
    """A checkpoint's bytes: a line with their checksum, then safetensors; the rest is JSON in its metadata."""
    from safetensors.torch import save

    groups = {"weights": state.weights, "best": state.best, "optimizer": state.optimizer}
    tensors = {f"{group}/{name}": t.cpu().contiguous() for group, of in groups.items() for name, t in of.items()}
    document = json.dumps({"training": training, "position": asdict(state.position)})
    content = save(tensors, metadata={"wxpipe": document})
    return b"".join((FIRST_LINE, hashlib.sha256(content).hexdigest().encode(), b"\n", content))


def unpack(data: bytes) -> tuple[str, TrainingState]:
    """The training that a checkpoint is of, and its state; tensors are copies in memory that torch aligned.

    Raises:
        CheckpointError: the bytes are not those that `pack` made.
    """
    from safetensors.torch import load

    line, _, content = data.partition(b"\n")
    found = hashlib.sha256(content).hexdigest().encode()
    if line != FIRST_LINE + found:
        expected = line[:100].decode(errors="replace")
        raise CheckpointError(f"its first line expected {(FIRST_LINE + found).decode()!r}, found {expected!r}")
    groups: dict[str, dict[str, torch.Tensor]] = {"weights": {}, "best": {}, "optimizer": {}}
    for key, tensor in load(content).items():
        group, _, name = key.partition("/")
        groups[group][name] = tensor.clone()  # the last digits of a product depend on where its operands begin
    document = _document(content)
    return document["training"], TrainingState(_position(document["position"]), **groups)


def _document(content: bytes) -> dict[str, Any]:
    """The JSON in a safetensors file's metadata: length of the header, header."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    document: dict[str, Any] = json.loads(header["__metadata__"]["wxpipe"])
    return document


def _position(document: dict[str, Any]) -> Position:
    records = tuple(EpochRecord(**record) for record in document["records"])
    return Position(**{**document, "records": records})
