"""A checkpoint gives back exactly what was kept, or says that it cannot; of several the highest readable one counts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from wxpipe.embedding.checkpoints import CheckpointError, Checkpoints, Position, TrainingState, pack, unpack
from wxpipe.embedding.history import EpochRecord, TrainingEvent
from wxpipe.errors import LeaseLostError, Retry
from wxpipe.store.objects import LocalObjects

FOLDER = "checkpoints/mini-t"
NAMES = st.text("abcdefgh.-_0123456789/", min_size=1, max_size=12)
TENSORS = st.dictionaries(
    NAMES, arrays(np.float32, array_shapes(min_dims=0, max_dims=3, max_side=4)).map(torch.from_numpy), max_size=3
)
RECORDS = st.lists(
    st.builds(EpochRecord, st.integers(0, 1000), st.none() | st.floats(), st.floats(), st.floats()), max_size=4
)
POSITIONS = st.builds(
    Position, RECORDS.map(tuple), st.integers(0, 1000), st.integers(0, 1 << 40), st.floats(), st.floats()
)


def bits(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[object, ...]]:
    return {name: (t.dtype, tuple(t.shape), t.numpy().tobytes()) for name, t in tensors.items()}


@settings(deadline=None, max_examples=30)
@given(POSITIONS, TENSORS, TENSORS, TENSORS, st.text(max_size=40))
def test_what_is_kept_comes_back_bit_for_bit(position, weights, best, optimizer, training):
    kept = TrainingState(position, weights, best, optimizer)
    named, found = unpack(pack(kept, training))
    assert named == training
    assert repr(found.position) == repr(position)  # a loss that is not a number equals none
    for name in ("weights", "best", "optimizer"):
        assert bits(getattr(found, name)) == bits(getattr(kept, name))
        assert all(tensor.data_ptr() % 64 == 0 for tensor in getattr(found, name).values() if tensor.numel())


def state(number: int) -> TrainingState:
    """A state that can be told from others by its number."""
    record = EpochRecord(0, None, 0.5, 1.0)
    position = Position((record,), learned=number, loss_sum=number / 3)
    return TrainingState(position, {"w": torch.full((5, 3), float(number))}, {"w": torch.zeros(5, 3)}, {})


@given(st.data())
def test_bytes_that_are_cut_off_or_changed_are_no_checkpoint(data):
    whole = pack(state(7), "this one")
    at = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(CheckpointError):
        unpack(whole[:at])
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CheckpointError, match="first line expected"):
        unpack(bytes(changed))


Opening = Callable[..., Checkpoints]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def objects(tmp_path: Path) -> LocalObjects:
    return LocalObjects(tmp_path)


@pytest.fixture
def opened(objects: LocalObjects, told: list[str]) -> Opening:
    """(training, check) to its checkpoints, as a process that starts now sees them."""

    def tell(event: TrainingEvent) -> None:
        told.append(str(event))

    def open_(training: str = "this one", check: Callable[[], None] = lambda: None) -> Checkpoints:
        return Checkpoints(objects, FOLDER, training, seconds=math.inf, check=check, tell=tell)

    return open_


def found(checkpoints: Checkpoints) -> int | None:
    latest = checkpoints.latest()
    return None if latest is None else latest.position.learned


def test_the_latest_two_are_kept_and_the_highest_counts(opened: Opening, objects: LocalObjects):
    assert found(opened()) is None
    writer = opened()
    for number in (1, 2, 3):
        writer.save(state(number))
        assert found(opened()) == number
    assert objects.names(FOLDER) == ["00000002.safetensors", "00000003.safetensors"]
    next_process = opened()
    assert found(next_process) == 3
    next_process.save(state(4))
    assert objects.names(FOLDER) == ["00000003.safetensors", "00000004.safetensors"]
    assert [key.rsplit("/")[-1] for key in next_process.keys] == objects.names(FOLDER)


@pytest.mark.parametrize("damage", ["cut off", "empty", "a byte"])
def test_one_that_is_torn_is_passed_over_for_the_one_before(damage, opened, objects, told):
    writer = opened()
    writer.save(state(1))
    writer.save(state(2))
    key = f"{FOLDER}/00000002.safetensors"
    whole = objects.get(key)
    torn = {"cut off": whole[:-9], "empty": b"", "a byte": whole[:-1] + bytes([whole[-1] ^ 1])}[damage]
    objects.put(key, torn)
    reader = opened()
    assert found(reader) == 1
    assert told[0].startswith("checkpoint 2 is passed over: its first line expected 'wxpipe checkpoint 1 ")
    reader.save(state(3))
    assert objects.names(FOLDER) == ["00000001.safetensors", "00000003.safetensors"], "the torn one is gone"
    objects.put(f"{FOLDER}/00000001.safetensors", b"")
    objects.put(f"{FOLDER}/00000003.safetensors", b"")
    assert found(opened()) is None


def test_one_of_another_training_is_not_taken_but_replaced(opened, objects, told):
    other = opened("another one")
    other.save(state(1))
    other.save(state(2))
    mine = opened()
    assert found(mine) is None
    assert told == [f"checkpoint {n} is of a training on other pairs or settings, and is replaced" for n in (2, 1)]
    mine.save(state(3))
    assert objects.names(FOLDER) == ["00000003.safetensors"]
    assert found(opened("another one")) is None


def test_beginning_anew_forgets(opened, objects):
    opened().save(state(1))
    again = opened()
    again.forget()
    assert (objects.names(FOLDER), again.keys, found(again), found(opened())) == ([], (), None, None)


def test_a_ghost_and_its_successor_never_write_over_or_remove_each_others(opened, objects):
    """Both may write, as if neither had noticed the other: every number has one writer."""
    ghost = opened("of the ghost")
    ghost.save(state(1))
    successor = opened()
    successor.save(state(2))
    ghost.save(state(90))  # wants number 2
    successor.save(state(3))  # wants number 3
    ghost.save(state(91))
    ghost.save(state(92))
    ghost.forget()
    assert found(opened()) == 3
    assert set(successor.keys) == {f"{FOLDER}/{name}" for name in objects.names(FOLDER)}


def test_who_has_lost_the_lease_writes_and_removes_nothing(opened):
    def lost() -> None:
        raise LeaseLostError("taken over")

    opened().save(state(1))
    ghost = opened(check=lost)
    for act in (lambda: ghost.save(state(2)), ghost.forget):
        with pytest.raises(LeaseLostError):
            act()
    assert found(opened()) == 1


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Retry("the store is busy")])
def test_a_store_that_cannot_take_one_does_not_end_the_training(error, opened, objects, told, monkeypatch):
    writer = opened()
    writer.save(state(1))

    def refuse(*_: object) -> bool:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(objects, "put_if_absent", refuse)
        writer.save(state(2))
    assert "no checkpoint could be written" in told[-1]
    assert found(opened()) == 1
    writer.save(state(3))
    assert found(opened()) == 3


def test_they_are_due_by_steps_or_by_seconds_whichever_come_first(objects, monkeypatch):
    by_steps = Checkpoints(objects, FOLDER, "x", seconds=math.inf, steps=3)
    assert [by_steps.due() for _ in range(3)] == [False, False, True]
    by_steps.save(state(1))
    assert [by_steps.due() for _ in range(3)] == [False, False, True]
    by_time = Checkpoints(objects, FOLDER, "x", seconds=60)
    assert not by_time.due()
    import time

    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert by_time.due()
    by_time.save(state(2))
    assert not by_time.due()


def test_the_end_is_kept_once(opened, objects):
    writer = opened()
    writer.save(state(1))
    writer.save_last(state(1))
    assert objects.names(FOLDER) == ["00000001.safetensors"]
    reader = opened()
    last = reader.latest()
    assert last is not None
    reader.save_last(last)
    assert objects.names(FOLDER) == ["00000001.safetensors"]
    reader.save_last(replace(last, position=replace(last.position, learned=2)))
    assert len(objects.names(FOLDER)) == 2
