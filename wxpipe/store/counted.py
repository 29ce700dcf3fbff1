"""Which stored pictures the grid CDFs of a day were counted from: written by `histograms`, read by whoever reuses them.

A root that keeps no pictures lets go of one only once it is named here, in every layout that the root keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa

from wxpipe.store.checked_rows import get_checked_rows, put_checked_rows
from wxpipe.store.root import Root

Cell = tuple[int, int]
"""A slot of the axis and the number of a channel."""

SCHEMA = pa.schema(
    [
        ("layout", pa.string()),
        ("slot", pa.int32()),
        ("channel", pa.int32()),
        ("picture", pa.string()),  # identity of the picture's pixels, height and layer
        ("checksum", pa.int64()),  # crc32c of its counts
    ]
)


@dataclass(frozen=True)
class CountedDay:
    """What was counted of a day.

    Attributes:
        basis: digest of what counts depend on beside the picture: the code's contract, the area.
        pictures: by layout and cell, the picture's identity and the crc32c of its counts.
    """

    basis: str = ""
    pictures: Mapping[str, Mapping[Cell, tuple[str, int]]] = field(default_factory=dict)

    def holds(self, layout: str, cell: Cell, picture: str) -> bool:
        """Whether a picture's counts are kept in a layout."""
        return self.pictures.get(layout, {}).get(cell, ("", 0))[0] == picture


def read_counted(root: Root, source: str, day: date) -> CountedDay:
    """What is recorded of a day; nothing where there is no record, or none that can be believed."""
    found = get_checked_rows(root.objects, _key(source, day), SCHEMA)
    if found is None:
        return CountedDay()
    rows, facts = found
    pictures: dict[str, dict[Cell, tuple[str, int]]] = {}
    for row in rows:
        pictures.setdefault(row["layout"], {})[row["slot"], row["channel"]] = row["picture"], row["checksum"]
    return CountedDay(facts.get("basis", ""), pictures)


def write_counted(root: Root, source: str, day: date, counted: CountedDay) -> None:
    rows = [
        {"layout": layout, "slot": slot, "channel": channel, "picture": picture, "checksum": checksum}
        for layout, cells in sorted(counted.pictures.items())
        for (slot, channel), (picture, checksum) in sorted(cells.items())
    ]
    put_checked_rows(root.objects, _key(source, day), rows, SCHEMA, basis=counted.basis)


def _key(source: str, day: date) -> str:
    return f"counted/{source}/{day}.parquet"
