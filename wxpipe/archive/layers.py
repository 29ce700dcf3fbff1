"""Registers overlay layers from a sample of pictures, before a range is ingested; ingest then only looks them up."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from wxpipe.archive.decode import require_sane_size
from wxpipe.archive.drawing import draws, learn, part
from wxpipe.archive.inventory import RawFile
from wxpipe.archive.picture import Bytes, PictureReader
from wxpipe.errors import NotFoundError, Quarantine
from wxpipe.store.frames import FrameStore
from wxpipe.store.objects import Objects

SAMPLE = 7
WITNESSES = 2
"""Pictures of a sample that must show the same new layer where layers are known: one alone may be a damaged one."""


def register_layers(frames: FrameStore, archive: Objects, files: Sequence[RawFile]) -> list[int]:
    """Learns the layer of pictures that no registered layer explains, and registers it; returns new ids.

    A layer is registered only if it explains at least half of the sample to the last pixel, and, where layers are
    known already, at least two different pictures: a damaged or foreign picture in the sample cannot make one.
    """
    area = frames.source.area
    if not draws(area):
        return []
    unexplained = [rgb for rgb in _sample(frames, archive, files) if not _explained(frames, rgb)]
    registered = []
    witnesses = WITNESSES if frames.layer_ids() else 1
    for rows in sorted({rgb.shape[0] for rgb in unexplained}):
        sample = [rgb for rgb in unexplained if rgb.shape[0] == rows]
        layer = learn(sample, area)
        exact = sum(part(rgb, layer, area)[1] == 0 for rgb in sample)
        if layer.any() and exact >= max(witnesses, len(sample) / 2):
            full = np.zeros((area.rows, area.columns), np.bool_)
            full[:rows] = layer
            registered.append(frames.register_layer(full))
    return registered


def _explained(frames: FrameStore, rgb: Bytes) -> bool:
    area = frames.source.area
    return any(part(rgb, layer[: rgb.shape[0]], area)[1] == 0 for layer in frames.layers().values())


def _sample(frames: FrameStore, archive: Objects, files: Sequence[RawFile]) -> Iterable[Bytes]:
    """Decodable pictures, all different, spread evenly over the files; for a bad one its neighbour is tried."""
    reader = PictureReader(frames.source, {})
    there = [file for file in files if not file.vanished]
    taken: set[bytes] = set()
    for start in np.linspace(0, len(there), SAMPLE, endpoint=False).astype(int) if there else ():
        for file in there[start : start + 8]:
            try:
                require_sane_size(file.size, file.path, frames.source.area)
                data = archive.get(file.path)
                digest = hashlib.sha256(data).digest()
                if digest in taken:
                    continue
                yield reader.decode(data, file.path)
            except (Quarantine, NotFoundError, OSError):
                continue
            taken.add(digest)
            break
