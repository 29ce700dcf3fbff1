"""Torch gives the same integers as the CPU's kernels, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest

from wxpipe.errors import UsageError
from wxpipe.similarity import clip_ks, ks, ks_torch

DEVICES = ["torch-cpu", pytest.param("cuda", marks=pytest.mark.skipif(not ks_torch.has_cuda(), reason="no GPU"))]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches so small that every test has several of each kind."""
    monkeypatch.setattr(ks_torch, "PAIRS_AT_ONCE", 50)
    monkeypatch.setattr(ks_torch, "TILE_FRAMES", 3)
    monkeypatch.setattr(ks_torch, "STEP_BYTES", {"cpu": 20_000, "cuda": 20_000})


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_torch_gives_the_same_bits(dtype: type[np.unsignedinteger], device: str) -> None:
    rng = np.random.default_rng(1)
    sizes = None if dtype is np.uint8 else rng.integers(200, 250, 37)
    cdfs = np.sort(rng.integers(0, 200, (9, 4, 19, 37)), axis=2).astype(dtype)
    pairs = rng.integers(0, 9, (120, 2))
    expected = ks.frame_pair_channel_similarities(cdfs, pairs, sizes)
    assert (ks.frame_pair_channel_similarities(cdfs, pairs, sizes, device=device) == expected).all()


@pytest.mark.parametrize("device", DEVICES)
def test_torch_agrees_where_heights_differ(device: str) -> None:
    rng = np.random.default_rng(2)
    sizes = rng.integers(200, 4000, (2, 37))[rng.integers(0, 2, 9)]
    cdfs = np.sort(rng.integers(0, 200, (9, 4, 19, 37)), axis=2).astype(np.uint16)
    pairs = rng.integers(0, 9, (120, 2))
    expected = ks.frame_pair_channel_similarities(cdfs, pairs, sizes)
    found = ks.frame_pair_channel_similarities(cdfs, pairs, sizes, device=device)
    assert np.abs(found - expected).max() <= 1e-12


@pytest.mark.parametrize("device", DEVICES)
def test_torch_counts_and_compares_clips(device: str) -> None:
    rng = np.random.default_rng(3)
    cdfs = np.sort(rng.integers(0, 99, (9, 2, 5, 16)), axis=2).astype(np.uint16)
    sizes, pairs, clips = np.full(16, 99), rng.integers(0, 9, (60, 2)), rng.integers(0, 9, (6, 4))
    counts = ks.frame_pair_count_sums(cdfs, pairs, sizes, device=device)
    assert (counts == ks.frame_pair_count_sums(cdfs, pairs, sizes)).all()
    matrix = clip_ks.clip_similarity_matrix(cdfs, clips, sizes, device=device)
    assert (matrix == clip_ks.clip_similarity_matrix(cdfs, clips, sizes)).all()


def test_auto_takes_what_there_is_and_cuda_only_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ks_torch, "has_cuda", lambda: False)
    assert type(ks.engine_for("auto")).__name__ == "NumbaEngine"
    with pytest.raises(UsageError, match="no GPU"):
        ks.engine_for("cuda")
    monkeypatch.setattr(ks_torch, "has_cuda", lambda: True)
    assert type(ks.engine_for("auto")).__name__ == "TorchEngine"
