"""Cells cover what they say, names read back, and grids that cannot be are refused with the reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxpipe.errors import UsageError
from wxpipe.similarity.layout import GridSpec, cell_edges, cell_sizes, reference_samples


def test_names_read_back() -> None:
    spec = GridSpec(24, 20, "exact")
    assert spec.name == "24x20-exact"
    assert GridSpec.parse("24x20-exact") == spec
    assert GridSpec.parse("13x7-reference") == GridSpec(13, 7, "reference")


@pytest.mark.parametrize("name", ["24x20", "24-20-exact", "ax20-exact", "24x20-Exact", "24x20-other", ""])
def test_a_name_of_another_form_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="exact"):
        GridSpec.parse(name)


@pytest.mark.parametrize(("grid", "bins"), [(0, 20), (5000, 20), (24, 1), (24, 257)])
def test_values_outside_their_limits_are_refused(grid: int, bins: int) -> None:
    with pytest.raises(UsageError, match="choose"):
        GridSpec(grid, bins)


@given(st.integers(1, 40), st.integers(40, 200), st.integers(40, 200), st.integers(0, 20))
def test_exact_cells_part_the_picture_below_the_title(grid: int, rows: int, columns: int, title: int) -> None:
    spec = GridSpec(min(grid, rows - title), 20)
    sizes = cell_sizes(spec, rows, columns, title)
    row_edges, column_edges = cell_edges(spec, rows, columns, title)
    assert sizes.sum() == (rows - title) * columns
    assert sizes.min() >= 1
    assert (row_edges[0], row_edges[-1], column_edges[0], column_edges[-1]) == (title, rows, 0, columns)
    assert np.ptp(np.diff(row_edges)) <= 1
    assert np.ptp(np.diff(column_edges)) <= 1


def test_exact_refuses_more_cells_than_pixels_and_titles_that_leave_nothing() -> None:
    with pytest.raises(UsageError, match="at most 30"):
        cell_sizes(GridSpec(31, 20), 50, 60, 20)
    with pytest.raises(UsageError, match="title_rows"):
        cell_sizes(GridSpec(2, 20), 20, 60, 20)


def test_reference_cells_are_all_of_one_size() -> None:
    sizes = cell_sizes(GridSpec(24, 20, "reference"), 1300, 1500, 20)
    assert set(sizes.tolist()) == {55 * 63}
    assert reference_samples(GridSpec(24, 20, "reference"), 1300, 1500) == 1319 * 1500 + 24 * 63


def test_reference_refuses_the_grids_on_which_the_published_program_reads_outside_its_buffer() -> None:
    def refused(grid: int) -> bool:
        try:
            cell_sizes(GridSpec(grid, 20, "reference"), 1300, 1500, 0)
        except UsageError as error:
            return "would read sample" in str(error)
        return False

    expected = [
        n for n in range(1, 400) if (-(-1300 // n) * n - 1) * 1500 + -(-1500 // n) * n - 1 >= (1500 + 50) * (1300 + 50)
    ]
    assert [n for n in range(1, 400) if refused(n)] == expected
    assert expected[0] == 108


def test_reference_refuses_a_picture_without_pixels() -> None:
    with pytest.raises(UsageError, match="no pixels"):
        cell_sizes(GridSpec(2, 20, "reference"), 0, 5, 0)
