"""Grid CDFs count what they say, in both layouts, for any sizes and any colours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.errors import UsageError
from wxpipe.similarity.cdf import cdf_dtype, grid_cdf_exact, grid_cdf_reference, reference_bin_table
from wxpipe.similarity.layout import GridSpec, cell_edges, cell_sizes

Seeds = st.integers(0, 2**32 - 1)


def cumulative(values: npt.NDArray[np.integer], bins: int) -> npt.NDArray[np.int64]:
    return np.cumsum(np.bincount(values.ravel(), minlength=bins))[: bins - 1]


@settings(max_examples=40, deadline=None)
@given(Seeds, st.integers(1, 7), st.integers(2, 256), st.integers(7, 31), st.integers(7, 31), st.integers(0, 5))
def test_exact_counts_every_pixel_below_the_title_once(
    seed: int, grid: int, bins: int, height: int, columns: int, title: int
) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (title + height + 3, columns), np.uint8)
    spec, rows = GridSpec(grid, bins), title + height
    counts = grid_cdf_exact(picture, rows, title, spec)
    row_edges, column_edges = cell_edges(spec, rows, columns, title)
    assert counts.shape == (bins - 1, grid * grid)
    for cell in range(grid * grid):
        i, j = divmod(cell, grid)
        part = picture[row_edges[i] : row_edges[i + 1], column_edges[j] : column_edges[j + 1]]
        assert (counts[:, cell] == cumulative(part.astype(np.int64) * bins // 256, bins)).all()


def test_no_colour_reaches_a_bin_past_the_last() -> None:
    for bins in range(2, 257):
        table = reference_bin_table(bins)
        assert table[0, 255] == bins - 1
        assert (np.diff(table.astype(int), axis=1) >= 0).all()


def test_a_fourth_band_is_not_read() -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (12, 11, 3), np.uint8)
    rgba = np.dstack((rgb, np.full(rgb.shape[:2], 7, np.uint8)))
    spec = GridSpec(3, 20, "reference")
    assert (grid_cdf_reference(rgba, spec) == grid_cdf_reference(rgb, spec)).all()


def test_large_cells_are_counted_in_32_bits() -> None:
    picture = np.zeros((300, 240), np.uint8)
    assert cdf_dtype(GridSpec(1, 4), 300, 240, 0) == np.uint32
    assert cdf_dtype(GridSpec(1, 4), 273, 240, 0) == np.uint16
    counts = grid_cdf_exact(picture, 300, 0, GridSpec(1, 4))
    assert counts.dtype == np.uint32
    assert (counts == 72000).all()


def test_other_arrays_layouts_and_heights_are_refused() -> None:
    picture, rgb = np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.uint8)
    exact, reference = GridSpec(3, 20), GridSpec(3, 20, "reference")
    with pytest.raises(UsageError, match="layout exact"):
        grid_cdf_exact(picture, 9, 0, reference)
    with pytest.raises(UsageError, match="layout reference"):
        grid_cdf_reference(rgb, exact)
    with pytest.raises(UsageError, match="expected uint8"):
        grid_cdf_exact(picture.astype(np.float32), 9, 0, exact)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="expected uint8"):
        grid_cdf_reference(picture, reference)
    with pytest.raises(UsageError, match="1 to 9"):
        grid_cdf_exact(picture, 10, 0, exact)


def test_counts_rise_to_the_size_of_the_cell() -> None:
    picture = np.arange(40 * 30, dtype=np.uint16).reshape(40, 30).astype(np.uint8)
    spec = GridSpec(7, 11)
    counts = grid_cdf_exact(picture, 40, 2, spec).astype(int)
    assert (np.diff(counts, axis=0) >= 0).all()
    assert (counts <= cell_sizes(spec, 40, 30, 2)).all()
