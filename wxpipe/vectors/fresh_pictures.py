"""Pictures that a query is of and no store holds, and what was said of their files when they were checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.store.quarantine import Record

LISTED = 5
"""How many files an error names."""


@dataclass(frozen=True)
class Checked:
    """What became of a folder's files.

    Attributes:
        folder: as it was given.
        pictures: so many were looked at and are sound, doubtful ones too.
        records: what there is to say of single files: refused, doubtful, and doubles.
        others: files of other sources, by source.
        unparsed: files that bear no archive name.
        note: what else a person should know of the query; empty where there is nothing.
    """

    folder: str
    pictures: int = 0
    records: tuple[Record, ...] = ()
    others: Mapping[str, int] = field(default_factory=dict)
    unparsed: int = 0
    note: str = ""

    def of(self, kind: str) -> list[Record]:
        """The records of a kind, by path."""
        return sorted((record for record in self.records if record.kind == kind), key=lambda one: one.path)

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        kinds = {"refused": "quarantined", "suspect": "suspect", "duplicates": "duplicate"}
        said = {
            name: [
                {"path": one.path, "reason": one.reason, "expected": one.expected, "found": one.found}
                for one in self.of(kind)
            ]
            for name, kind in kinds.items()
        }
        others, folder = dict(self.others), self.folder
        return {
            "folder": folder, "pictures": self.pictures, **said, "others": others, "unparsed": self.unparsed,
            "note": self.note,
        }  # fmt: skip

    def refusals(self) -> str:
        """What was not taken, and why, for the end of an error; empty where everything was."""
        lines = [f"{count} files of {name}" for name, count in sorted(self.others.items())]
        found = self.of("quarantined")
        lines += [f"{one.path}: {one.reason}; expected {one.expected}, found {one.found}" for one in found[:LISTED]]
        lines += [f"{len(found) - LISTED} more"] if len(found) > LISTED else []
        return f". Not taken: {'; '.join(lines)}" if lines else ""


@dataclass(frozen=True, eq=False)
class FreshPictures:
    """The pictures of a clip or frame, as measures ask for them.

    Attributes:
        counts: grid CDFs (frame, channel, bin, cell) in the root's first layout.
        rows: heights of the pictures, (frame,).
        there: bool (frame, channel), whether there is a picture.
        reduced: uint8 (frame, channel, y, x).
        captions: of each frame, for a person.
    """

    counts: npt.NDArray[np.unsignedinteger[Any]]
    rows: npt.NDArray[np.int64]
    there: npt.NDArray[np.bool_]
    reduced: npt.NDArray[np.uint8]
    captions: tuple[str, ...]
    checked: Checked
