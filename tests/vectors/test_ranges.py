"""Ranges are sets of rows: whatever is done with them is what numpy does with masks."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wxpipe.vectors.ranges import Ranges

masks = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60)


@settings(deadline=None)  # the first example compiles
@given(masks)
def test_set_operations_are_those_of_masks(pairs: list[tuple[bool, bool]]) -> None:
    a, b = (np.array([pair[n] for pair in pairs], np.bool_) for n in (0, 1))
    left, right = Ranges.from_mask(a), Ranges.from_mask(b)
    for found, expected in ((left, a), (left & right, a & b), (left | right, a | b), (left - right, a & ~b)):
        assert found == Ranges.from_mask(expected)
        assert found.count == expected.sum()
        assert found.rows().tolist() == np.flatnonzero(expected).tolist()
        assert found.mask(len(a)).tolist() == expected.tolist()
        assert found.bitmap(len(a)).tolist() == np.packbits(expected, bitorder="little").tolist()


@settings(deadline=None)  # the first example compiles
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12))
def test_ranges_in_any_order_become_their_union(pairs: list[tuple[int, int]]) -> None:
    mask = np.zeros(40, np.bool_)
    for start, stop in pairs:
        mask[start:stop] = True
    found = Ranges.of([start for start, _ in pairs], [stop for _, stop in pairs])
    assert found == Ranges.from_mask(mask)
    assert hash(found) == hash(Ranges.from_mask(mask))


def test_a_slice_that_ends_before_it_begins_is_empty() -> None:
    assert Ranges.one(5, 5) == Ranges.one(7, 3) == Ranges.none()
    assert Ranges.none().count == len(Ranges.none()) == 0
