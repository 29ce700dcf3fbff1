"""Similarity is 1 - the Kolmogorov-Smirnov statistic, averaged over cells and channels; counts add up exactly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import imagecodecs
import numba
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from wxpipe.errors import UsageError
from wxpipe.similarity import ks
from wxpipe.similarity.cdf import grid_cdf_exact
from wxpipe.similarity.ks_kernels import aligned_plane, tile_order
from wxpipe.similarity.layout import GridSpec, cell_edges, cell_sizes

Seeds = st.integers(0, 2**32 - 1)


def random_cdfs(
    rng: np.random.Generator,
    frames: int,
    sizes: npt.NDArray[np.int64],
    dtype: type[np.unsignedinteger] = np.uint16,
    channels: int = 3,
    bins: int = 6,
) -> npt.NDArray[np.unsignedinteger]:
    """Valid cumulative counts (frame, channel, bin, cell) for sizes (cell,) or (frame, cell)."""
    shares = np.sort(rng.random((frames, channels, bins, sizes.shape[-1])), axis=2)
    per_frame = np.broadcast_to(sizes, (frames, sizes.shape[-1]))
    return np.floor(shares * (per_frame[:, np.newaxis, np.newaxis] + 1)).astype(dtype)


def plainly(
    cdfs: npt.NDArray[np.unsignedinteger], pairs: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Similarities (n, channel) as the definition has them."""
    per_frame = np.broadcast_to(sizes, (len(cdfs), cdfs.shape[3]))
    shares = cdfs / per_frame[:, np.newaxis, np.newaxis]
    return (1 - np.abs(shares[pairs[:, 0]] - shares[pairs[:, 1]]).max(axis=2)).mean(axis=2)


@pytest.mark.filterwarnings("ignore:divide by zero")  # of the p-value, which is not read
@settings(max_examples=30, deadline=None)
@given(Seeds, st.integers(1, 5), st.integers(2, 40), st.tuples(*[st.integers(5, 29)] * 3), st.integers(0, 4))
def test_exact_agrees_with_scipy_on_odd_sizes_unequal_cells_and_unequal_heights(
    seed: int, grid: int, bins: int, size: tuple[int, int, int], title: int
) -> None:
    rng, spec = np.random.default_rng(seed), GridSpec(grid, bins)
    heights, columns = (title + size[0], title + size[1]), size[2]
    pictures = [rng.integers(0, rng.integers(2, 257), (rows, columns), np.uint8) for rows in heights]
    cdfs = np.stack([grid_cdf_exact(p, len(p), title, spec)[np.newaxis] for p in pictures])
    sizes = np.stack([cell_sizes(spec, rows, columns, title) for rows in heights])
    statistics = []
    edges = [cell_edges(spec, rows, columns, title) for rows in heights]
    for cell in range(spec.cells):
        i, j = divmod(cell, grid)
        a, b = (
            (p[r[i] : r[i + 1], c[j] : c[j + 1]].astype(int) * bins // 256).ravel()
            for p, (r, c) in zip(pictures, edges, strict=True)
        )
        statistics.append(ks_2samp(a, b, method="asymp").statistic)
    similarity = ks.frame_pair_similarities(cdfs, np.array([[0, 1]]), sizes)
    assert similarity == pytest.approx(1 - np.mean(statistics), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    Seeds,
    st.sampled_from([np.uint16, np.uint32]),
    st.integers(1, 9),
    st.integers(1, 70),
    st.integers(1, 60),
    st.booleans(),
)
def test_every_path_agrees_with_the_definition(
    seed: int, dtype: type[np.unsignedinteger], bins: int, cells: int, n: int, equal: bool
) -> None:
    rng = np.random.default_rng(seed)
    largest = 65535 if dtype is np.uint16 else 3_000_000
    sizes = rng.integers(1, largest, cells) if not equal else np.full(cells, rng.integers(1, largest))
    cdfs = random_cdfs(rng, 7, sizes, dtype, bins=bins)
    pairs = rng.integers(0, 7, (n, 2))
    found = ks.frame_pair_channel_similarities(cdfs, pairs, sizes)
    assert found == pytest.approx(plainly(cdfs, pairs, sizes), abs=1e-12)
    assert ks.frame_pair_similarities(cdfs, pairs, sizes) == pytest.approx(found.mean(axis=1), abs=1e-15)
    if equal:
        counts = ks.frame_pair_count_sums(cdfs, pairs, sizes)
        assert 1 - counts / (cells * sizes[0]) == pytest.approx(found, abs=1e-12)
        wide = cdfs.astype(np.int64)
        expected = np.abs(wide[pairs[:, 0]] - wide[pairs[:, 1]]).max(axis=2).sum(axis=2)
        assert (counts == expected).all()


@settings(max_examples=20, deadline=None)
@given(Seeds)
def test_frames_of_different_heights_compare_by_shares(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = rng.integers(1, 4000, (2, 13))
    sizes = kinds[rng.integers(0, 2, 9)]
    cdfs = random_cdfs(rng, 9, sizes)
    pairs = rng.integers(0, 9, (50, 2))
    found = ks.frame_pair_channel_similarities(cdfs, pairs, sizes)
    assert found == pytest.approx(plainly(cdfs, pairs, sizes), abs=1e-12)
    rounded = ks.frame_pair_channel_similarities(ks.round_cdfs(cdfs, sizes), pairs)
    assert np.abs(rounded - found).max() <= 1 / 255


def test_similarity_is_symmetric_and_one_with_itself() -> None:
    rng = np.random.default_rng(5)
    sizes = rng.integers(1, 4000, 31)
    cdfs = random_cdfs(rng, 5, sizes)
    pairs = rng.integers(0, 5, (40, 2))
    forth = ks.frame_pair_similarities(cdfs, pairs, sizes)
    assert (forth == ks.frame_pair_similarities(cdfs, pairs[:, ::-1], sizes)).all()
    assert (ks.frame_pair_similarities(cdfs, np.array([[3, 3]]), sizes) == 1).all()


def test_rounding_moves_a_distance_by_at_most_1_in_255() -> None:
    rng = np.random.default_rng(6)
    sizes = rng.integers(1, 65536, 200)
    cdfs = random_cdfs(rng, 6, sizes)
    rounded = ks.round_cdfs(cdfs, sizes)
    assert rounded.dtype == np.uint8
    assert np.abs(rounded / 255 - cdfs / sizes).max() <= 1 / 510 + 1e-12
    full = np.broadcast_to(sizes.astype(np.uint16), cdfs.shape)
    assert (ks.round_cdfs(full, sizes) == 255).all()
    pairs = np.stack(np.triu_indices(6), axis=1)
    moved = ks.frame_pair_similarities(rounded, pairs) - ks.frame_pair_similarities(cdfs, pairs, sizes)
    assert np.abs(moved).max() <= 1 / 255


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="takes hours without compiled kernels")
def test_rounding_moves_real_similarities_by_at_most_1_4e_4(real_archive: Path) -> None:
    spec = GridSpec(24, 20)
    files = sorted(real_archive.glob("coms*/*/*/coms_mi_le1b_ir01_*.png"))[::3]
    grey = (np.ascontiguousarray(imagecodecs.png_decode(path.read_bytes())[..., 0]) for path in files)
    cdfs = np.stack([grid_cdf_exact(picture, 1300, 20, spec)[np.newaxis] for picture in grey])
    sizes = cell_sizes(spec, 1300, 1500, 20)
    pairs = np.stack(np.triu_indices(len(cdfs), k=1), axis=1)
    exact = ks.frame_pair_similarities(cdfs, pairs, sizes)
    assert np.abs(ks.frame_pair_similarities(ks.round_cdfs(cdfs, sizes), pairs) - exact).max() <= 2e-4


def test_views_that_are_not_contiguous_compare_the_same() -> None:
    rng = np.random.default_rng(7)
    sizes = rng.integers(1, 4000, 21)
    cdfs = random_cdfs(rng, 8, sizes, channels=4)
    pairs = rng.integers(0, 4, (5, 2))
    view = cdfs[::2, 1:3]
    expected = ks.frame_pair_similarities(view.copy(), pairs, sizes)
    assert (ks.frame_pair_similarities(view, pairs, sizes) == expected).all()


def test_tile_order_visits_every_pair_once() -> None:
    pairs = np.random.default_rng(8).integers(0, 100, (300, 2))
    order = tile_order(pairs, 16)
    assert sorted(order.tolist()) == list(range(300))
    tiles = (pairs[order] // 16).tolist()
    assert tiles == sorted(tiles)


def test_planes_begin_on_cache_lines() -> None:
    cdfs = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)
    plane = aligned_plane(cdfs, 1)
    assert plane.ctypes.data % 64 == 0
    assert plane.shape == (2, 1, 4, 32)
    assert (plane[:, 0, :, :5] == cdfs[:, 1]).all()
    assert not plane[..., 5:].any()


def test_no_pairs_have_no_similarities() -> None:
    cdfs, none = np.zeros((2, 3, 4, 5), np.uint16), np.empty((0, 2), np.int64)
    assert ks.frame_pair_channel_similarities(cdfs, none, np.full(5, 9)).shape == (0, 3)


def test_the_cpu_path_does_not_load_torch() -> None:
    code = (
        "import sys, numpy as np; from wxpipe.similarity import ks;"
        "ks.frame_pair_similarities(np.zeros((2, 1, 3, 4), np.uint8), np.array([[0, 1]]));"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_does_not_fit_together_is_refused() -> None:
    cdfs, pairs, sizes = np.zeros((2, 3, 4, 5), np.uint16), np.array([[0, 1]]), np.full(5, 9)
    rounded = cdfs.astype(np.uint8)
    similar = ks.frame_pair_similarities
    with pytest.raises(UsageError, match="expected uint8, 16 or 32"):
        similar(cdfs[0], pairs, sizes)
    with pytest.raises(UsageError, match=r"expected \(n, 2\)"):
        similar(cdfs, pairs[0], sizes)
    with pytest.raises(UsageError, match="expected 0 to 1"):
        similar(cdfs, np.array([[0, 2]]), sizes)
    with pytest.raises(UsageError, match="5 cells"):
        similar(cdfs, pairs, sizes[:4])
    with pytest.raises(UsageError, match="none with rounded"):
        similar(rounded, pairs, sizes)
    with pytest.raises(UsageError, match="give sizes"):
        similar(cdfs, pairs)
    with pytest.raises(UsageError, match="cpu, cuda, auto, torch-cpu"):
        similar(cdfs, pairs, sizes, device="gpu")
    with pytest.raises(UsageError, match="rounded already"):
        ks.round_cdfs(rounded, sizes)
    with pytest.raises(UsageError, match="9 to 10 pixels"):
        ks.frame_pair_count_sums(cdfs, pairs, np.array([9, 9, 9, 9, 10]))
