"""Clips are as similar as their frames, i-th with i-th, and each pair of frames is compared once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.errors import UsageError
from wxpipe.similarity import clip_ks, ks


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 30), st.sampled_from([0, 4096]))
def test_clips_are_the_mean_over_frames_whichever_way_pairs_are_found(
    seed: int, frames: int, m: int, table: int
) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(50, 60, 11)
    cdfs = np.sort(rng.integers(0, 50, (12, 3, 7, 11)), axis=2).astype(np.uint16)
    clips, pairs = rng.integers(0, 12, (5, frames)), rng.integers(0, 5, (m, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip_ks, "TABLE_FRAMES", table)
        found = clip_ks.clip_similarities(cdfs, clips, pairs, sizes)
    for similarity, (a, b) in zip(found, pairs, strict=True):
        aligned = ks.frame_pair_similarities(cdfs, np.stack((clips[a], clips[b]), axis=1), sizes)
        assert similarity == pytest.approx(aligned.mean(), abs=1e-12)


def test_the_matrix_is_symmetric_with_a_diagonal_of_one() -> None:
    rng = np.random.default_rng(4)
    cdfs = np.sort(rng.integers(0, 256, (30, 2, 7, 11)), axis=2).astype(np.uint8)
    clips = np.arange(20)[np.newaxis, :] + np.arange(8)[:, np.newaxis]
    matrix = clip_ks.clip_similarity_matrix(cdfs, clips)
    assert (matrix == matrix.T).all()
    assert (np.diag(matrix) == 1).all()
    pairs = np.array([[2, 5], [7, 0]])
    assert (clip_ks.clip_similarities(cdfs, clips, pairs) == matrix[pairs[:, 0], pairs[:, 1]]).all()


@pytest.mark.parametrize("table", [0, 4096])
def test_each_pair_of_frames_is_compared_once(monkeypatch: pytest.MonkeyPatch, table: int) -> None:
    compared: list[tuple[int, int]] = []

    def recorded(_cdfs: np.ndarray, pairs: np.ndarray, *_rest: object, **_named: object) -> np.ndarray:
        compared.extend(tuple(sorted(pair)) for pair in pairs.tolist())
        return np.ones(len(pairs))

    monkeypatch.setattr(clip_ks, "TABLE_FRAMES", table)
    monkeypatch.setattr(clip_ks, "frame_pair_similarities", recorded)
    clips = np.arange(4)[np.newaxis, :] + np.arange(5)[:, np.newaxis]
    clip_ks.clip_similarities(np.zeros((8, 1, 2, 3), np.uint8), clips, np.array([[0, 1], [1, 0], [1, 2], [0, 4]]))
    assert sorted(compared) == [(0, 1), (0, 4), (1, 2), (1, 5), (2, 3), (2, 6), (3, 4), (3, 7), (4, 5)]


def test_no_pairs_of_clips_have_no_similarities() -> None:
    cdfs, clips = np.zeros((3, 1, 2, 3), np.uint8), np.array([[0, 1]])
    assert clip_ks.clip_similarities(cdfs, clips, np.empty((0, 2), np.int64)).shape == (0,)
    assert clip_ks.clip_similarity_matrix(cdfs, clips).tolist() == [[1.0]]


def test_what_does_not_fit_together_is_refused() -> None:
    cdfs, clips, pairs = np.zeros((3, 1, 2, 3), np.uint8), np.array([[0, 1], [1, 2]]), np.array([[0, 1]])
    with pytest.raises(UsageError, match=r"expected \(clip, frames\)"):
        clip_ks.clip_similarities(cdfs, clips[0], pairs)
    with pytest.raises(UsageError, match="expected 0 to 2"):
        clip_ks.clip_similarities(cdfs, clips + 1, pairs)
    with pytest.raises(UsageError, match=r"expected \(m, 2\)"):
        clip_ks.clip_similarities(cdfs, clips, pairs[0])
    with pytest.raises(UsageError, match="expected 0 to 1"):
        clip_ks.clip_similarities(cdfs, clips, pairs + 1)
