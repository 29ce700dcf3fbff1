"""Cheap checks of a grey picture below its title rows; each answers with a reason, `ingest` draws conclusions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wxpipe.kernels import kernel

Bytes = NDArray[np.uint8]

# In real COMS pictures no row has more than .68 of its pixels equal to the left or .82 equal to the one above.
# A dead row is not wholly even either: the overlay crosses nearly every row, with 53 of 1,500 pixels at most.
_DEAD_ROW = 0.95
_DEAD_SHARE = 0.01


def constant(grey: Bytes, title_rows: int) -> str | None:
    """``constant``, where all pixels below the title rows have one value.

    Args:
        grey: uint8 (y, x), filled under the overlay: drawn lines would hide that the rest is even.
        title_rows: rows at the top that are not looked at.
    """
    below = grey[title_rows:]
    return "constant" if below.size == 0 or below.min() == below.max() else None


def dead_rows(grey: Bytes, title_rows: int) -> str | None:
    """``dead rows``, where over 1 % of the rows are even, or repeat the row above, in 95 % of their pixels.

    Args:
        grey: uint8 (y, x), filled under the overlay or not, of an area that lies wholly on the Earth's disk.
        title_rows: rows at the top that are not looked at.
    """
    below = grey[title_rows:]
    return "dead rows" if _count_dead(below) > _DEAD_SHARE * len(below) else None


def copy_of(previous: Bytes | None, grey: Bytes, title_rows: int) -> str | None:
    """``copy of the previous slot``, where every pixel below the title rows is that of the slot before.

    Args:
        previous: the same channel one slot earlier, uint8 (y, x), or None where there is none.
        grey: uint8 (y, x), treated as `previous` was.
        title_rows: rows at the top that are not looked at: a copy may bear a new title.
    """
    if previous is None or previous.shape != grey.shape:
        return None
    same = np.array_equal(previous[title_rows:], grey[title_rows:])
    return "copy of the previous slot" if same else None


@kernel
def _count_dead(grey: Bytes) -> int:
    dead = 0
    for y in range(grey.shape[0]):
        row, above = grey[y], grey[max(y - 1, 0)]
        left_equal, above_equal = np.int32(0), np.int32(0)
        for x in range(1, grey.shape[1]):
            left_equal += np.int32(row[x] == row[x - 1])
            above_equal += np.int32(row[x] == above[x])
        if y == 0:
            above_equal = np.int32(0)
        dead += max(left_equal, above_equal) > _DEAD_ROW * (grey.shape[1] - 1)
    return dead
