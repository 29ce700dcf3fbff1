"""Distances of clips are sums over frames, whichever way they are added up; products of pixels are exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.evaluation import frame_reader
from wxpipe.evaluation.frame_pairs import add_l1, clip_sums, squared_distances, tell_nobody
from wxpipe.evaluation.frame_reader import histograms, keeping, stretches


def weather_apart(slots: Any) -> Any:
    """A symmetric function of two slots."""
    angle = np.sin(slots * 0.37)
    return np.abs(angle[:, None] - angle[None, :])


@pytest.mark.parametrize("step", [1, 40], ids=["overlapping clips", "clips that share no frame"])
def test_a_clips_distance_is_the_sum_over_its_frames(step: int) -> None:
    slots = 7 + step * np.arange(15)[:, None] + np.array([0, 1, 2, 4, 5])[None, :]
    asked: list[int] = []

    def between(some: Any) -> Any:
        asked.append(len(some))
        return weather_apart(some)

    found = clip_sums(slots, between, tell_nobody)
    literal = [[sum(weather_apart(np.array([a, b]))[0, 1] for a, b in zip(first, second, strict=True))
                for second in slots] for first in slots]  # fmt: skip
    np.testing.assert_allclose(found, literal, rtol=0, atol=1e-12)
    assert asked == ([len(np.unique(slots))] if step == 1 else [15] * 5)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 3000), st.integers(0, 10**6))
def test_squared_distances_are_exact(rows: int, pixels: int, seed: int) -> None:
    drawn = np.random.default_rng(seed).choice(np.array([0, 1, 127, 128, 254, 255], np.uint8), (rows, pixels))
    wide = drawn.astype(np.int64)
    literal = ((wide[:, None] - wide[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(squared_distances(drawn), literal)


@pytest.mark.parametrize("large", [6, 40_000], ids=["narrow sums", "wide sums"])
def test_l1_of_histograms_written_out(large: int) -> None:
    sizes = np.array([4, 9, large, 9])
    draw = np.random.default_rng(2)
    counts = np.stack(
        [[draw.multinomial(size, np.ones(5) / 5) for size in sizes] for _ in range(7)]
    )  # frame, cell, bin
    cdfs = counts.cumsum(axis=2)[:, :, :-1].transpose(0, 2, 1).astype(np.uint16)
    planes = histograms(cdfs, sizes)
    np.testing.assert_array_equal(planes, counts.transpose(0, 2, 1))
    total = np.zeros((7, 7))
    add_l1(planes, sizes, 2, total)
    shares = counts / sizes[None, :, None]
    literal = np.abs(shares[:, None] - shares[None]).sum(axis=(2, 3))
    np.testing.assert_allclose(total, np.triu(literal, 1), atol=1e-12)


@given(st.sets(st.integers(0, 400), max_size=80))
def test_stretches_hold_every_slot_once(chosen: set[int]) -> None:
    slots = np.array(sorted(chosen), np.int64)
    found = [(slot, start, stop) for start, stop, where in stretches(slots) for slot in slots[where].tolist()]
    assert [slot for slot, _, _ in found] == slots.tolist()
    assert all(start <= slot < stop <= start + 96 for slot, start, stop in found)


@pytest.mark.parametrize("room", [0, 1 << 20], ids=["too much to keep", "kept"])
def test_frames_that_fit_are_read_once(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_reader, "WORKING_SET", room)
    slots = np.array([3, 4, 7, 90, 300], np.int64)
    reads: list[int] = []

    def read(some: Any) -> Any:
        reads.append(len(some))
        return np.asarray(some)[:, None] * np.array([[1, 10]])

    reader = keeping(read, slots)
    before = len(reads)
    for wanted in ([300, 3], [7], [4, 90]):
        np.testing.assert_array_equal(reader(np.array(wanted)), np.array(wanted)[:, None] * [[1, 10]])
    assert len(reads) - before == (0 if room else 3)
