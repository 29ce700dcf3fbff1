"""A source's triples as training takes them: clips by number, and the frames of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wxpipe.embedding.training import Triples
from wxpipe.errors import RefusedError
from wxpipe.similarity.clip_stage import read_clips
from wxpipe.similarity.identity import parse_clip_id
from wxpipe.similarity.splits import SPLITS
from wxpipe.store.root import Root


@dataclass(frozen=True, eq=False)
class StoredTriples:
    """Triples of a source whose clips are numbered in the order of their names, which is that of time.

    Attributes:
        slots: int64 (clip, frames a clip), where each clip's frames are in the store.
        of: the triples of each split.
    """

    slots: npt.NDArray[np.int64]
    of: Mapping[str, Triples]


def stored_triples(root: Root, source: str, table: pa.Table) -> StoredTriples:
    """Number the clips of triples (`similarity.pairs.SCHEMA`), and look up their frames.

    Raises:
        RefusedError: a triple names a clip that the root does not have.
    """
    names = pc.unique(pa.chunked_array([chunk for c in "xyz" for chunk in table[c].chunks])).sort()
    clips = np.stack([pc.index_in(table[c], value_set=names).to_numpy() for c in "xyz"], axis=1).astype(np.int64)
    truth = np.stack([table[c].to_numpy() for c in ("sim_xy", "sim_xz")], axis=1).astype(np.float32)
    rows = {split: np.flatnonzero(pc.equal(table["split"], split).to_numpy()) for split in SPLITS}
    of: dict[str, Triples] = {split: Triples(clips[at], truth[at]) for split, at in rows.items()}
    return StoredTriples(_slots(root, source, names), of)


def count_splits(table: pa.Table) -> dict[str, int]:
    """How many triples each split has."""
    return {split: int(pc.sum(pc.equal(table["split"], split)).as_py() or 0) for split in SPLITS}


def _slots(root: Root, source: str, names: pa.Array) -> npt.NDArray[np.int64]:
    """Slots of the frames of named clips, int64 (clip, frames a clip)."""
    parts: list[npt.NDArray[np.int64]] = []
    found = pa.chunked_array([], pa.string())
    for day in sorted({parse_clip_id(name).time.date() for name in names.to_pylist()}):
        clips = read_clips(root, source, day)
        clips = clips.filter(pc.is_in(clips["clip_id"], value_set=names)).sort_by("clip_id")
        parts.append(np.asarray(clips["slots"].to_pylist(), np.int64))
        found = pa.chunked_array([*found.chunks, *clips["clip_id"].chunks], pa.string())
    absent = names.filter(pc.invert(pc.is_in(names, value_set=found)))
    if len(absent):
        raise RefusedError(
            f"pairs of {source} name {len(absent)} clips that the root does not have, the first of them {absent[0]}; "
            "`wxpipe pairs build` draws them anew"
        )
    return np.concatenate([part for part in parts if len(part)])
