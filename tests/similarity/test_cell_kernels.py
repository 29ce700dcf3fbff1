"""The exact search by cells against brute force through the similarity functions, whatever gaps, cells and shifts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.similarity.cell_kernels import BLOCK, CellQuery, blocks_of, frame_order, scan_cells
from wxpipe.similarity.ks import frame_pair_channel_similarities

BINS = 7


def counts(rng: np.random.Generator, *shape: int) -> Any:
    """Cumulative shares in 255ths, (..., bin, slot): what neighbours in time have is alike."""
    steps = rng.integers(0, 60, (*shape[:-2], BINS, shape[-1]))
    steps = steps + np.cumsum(rng.integers(-2, 3, steps.shape), axis=-1)
    return np.clip(np.cumsum(np.abs(steps), axis=-2), 0, 255).astype(np.uint8)


def brute(cells: Any, channels: Any, clips: Any, query: CellQuery) -> Any:
    """Distances (clip, shift), each pair of frames compared by the ground truth's own function."""
    found = np.empty((len(clips), len(query.pairs)))
    for n, (of_query, of_candidate) in enumerate(query.pairs):
        there = cells[of_candidate][:, channels].transpose(3, 1, 2, 0)  # (slot, channel, bin, cell)
        own = query.frames[:, of_query].transpose(0, 2, 3, 1)
        stacked = np.ascontiguousarray(np.concatenate([own, there]))
        for t, clip in enumerate(clips):
            pairs = np.stack([np.arange(len(own)), len(own) + clip], axis=1)
            found[t, n] = 1 - frame_pair_channel_similarities(stacked, pairs).mean()
    return found


@st.composite
def searches(draw: Any) -> Any:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    frames, slots = draw(st.sampled_from([1, 2, 5])), draw(st.sampled_from([40, 200, 700]))
    cells = counts(rng, 6, 3, BINS, slots)
    channels = np.array(draw(st.sampled_from([[0, 1, 2], [2], [0, 2]])))
    if draw(st.booleans()):  # without gaps: clip after clip begins at the next slot
        offsets = np.sort(rng.choice(8, frames, replace=False))
        clips = np.arange(slots - 8)[:, None] + offsets
    else:
        firsts = np.sort(rng.choice(slots - 12, min(slots - 12, 60), replace=False))
        clips = np.array([first + np.r_[0, 1 + np.sort(rng.choice(10, frames - 1, replace=False))] for first in firsts])
    own = counts(rng, 4, len(channels), BINS, frames).transpose(3, 0, 1, 2)
    shifts = [(np.arange(4), np.arange(4))]
    for _ in range(draw(st.integers(0, 3))):
        kept = np.sort(rng.choice(4, rng.integers(1, 5), replace=False))
        shifts.append((kept, rng.choice(6, len(kept), replace=False)))
    return cells, channels, clips.astype(np.int64), CellQuery(np.ascontiguousarray(own), tuple(shifts))


@settings(max_examples=20, deadline=None)
@given(searches(), st.sampled_from([1.0, 0.2, 0.05]))
def test_the_nearest_are_those_of_brute_force(search: Any, share: float) -> None:
    cells, channels, clips, query = search
    expected = brute(cells, channels, clips, query)
    best = expected.min(axis=1)
    limit = float(np.inf) if share == 1 else float(np.quantile(best, share)) + 1e-9
    distances, shifts = scan_cells(cells, channels, clips, query, limit)
    within = best <= limit
    assert distances[within] == pytest.approx(best[within], abs=1e-12)
    assert np.isinf(distances[~within]).all()
    assert (shifts[within] == np.array([np.flatnonzero(row <= row.min() + 1e-12)[0] for row in expected[within]])).all()


def test_the_limit_itself_is_within_it() -> None:
    rng = np.random.default_rng(1)
    cells = counts(rng, 3, 1, BINS, 300)
    query = CellQuery(
        np.ascontiguousarray(cells[:, :, :, :2].transpose(3, 0, 1, 2)), ((np.arange(3), np.arange(3)),) * 2
    )
    clips = np.arange(290)[:, None] + np.array([0, 3])
    everything, _ = scan_cells(cells, np.array([0]), clips, query, np.inf)
    for limit in np.sort(everything)[[0, 1, 30, 200]]:
        found, shifts = scan_cells(cells, np.array([0]), clips, query, float(limit))
        assert (np.isfinite(found) == (everything <= limit)).all()
        assert (shifts[np.isfinite(found)] == 0).all()  # the first of equal ones


def test_blocks_cover_all_clips_once_and_stay_near() -> None:
    firsts = np.cumsum(np.random.default_rng(3).choice([1, 1, 1, 40, 900], 2000))
    blocks = blocks_of(firsts[:, None])
    assert [start for start, _ in blocks[1:]] == [stop for _, stop in blocks[:-1]]
    assert (blocks[0][0], blocks[-1][1]) == (0, 2000)
    assert all(stop - start <= BLOCK and firsts[stop - 1] - firsts[start] < 2 * BLOCK for start, stop in blocks)


@pytest.mark.parametrize("frames", [1, 2, 3, 19, 20])
def test_every_frame_has_its_turn(frames: int) -> None:
    assert sorted(frame_order(frames).tolist()) == list(range(frames))
