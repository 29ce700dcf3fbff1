"""A query out of a folder of fresh pictures: checked and reduced as ingest does, counted and embedded as the archive's.

A folder that holds an archive's own files gives the archive's own vector. Nothing is written to the root.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wxpipe.errors import NotFoundError, UsageError
from wxpipe.similarity.folders import numbered_folders
from wxpipe.similarity.histograms import HistogramStore, histogram_store
from wxpipe.store.frames import frame_store
from wxpipe.store.root import Root
from wxpipe.vectors.answers import Query
from wxpipe.vectors.fresh_choice import Chosen, Folder, named_pictures
from wxpipe.vectors.fresh_numbered import numbered_pictures
from wxpipe.vectors.fresh_pictures import FreshPictures
from wxpipe.vectors.records import require_current
from wxpipe.vectors.tables import Unit


@dataclass(frozen=True, eq=False)
class Fresh:
    """A query of pictures that are in no store.

    Attributes:
        source: whose they are.
        query: what it is called, and its pictures; without a name and time where the files' names tell none.
        vector: float32 (width,), of ``model``.
    """

    source: str
    query: Query
    vector: npt.NDArray[np.float32]
    model: str


def read_fresh(
    root: Root, name: str, folder: str | Path, unit: Unit = "clip", at: datetime | None = None, model: str = ""
) -> Fresh:
    """The query that a folder of pictures shows.

    Pictures bear the source's archive names, at any depth, or lie as ``image_<i>/<channel>.png``, as `wxpipe
    similarity` takes them: of these no time is known, and so neither title bars nor copies are checked.

    Args:
        name: whose pictures they are, a satellite or source; others in the folder are left out.
        unit: the query is the clip that begins latest, by the source's clip rule; or the latest complete frame.
        at: or the one that begins at this time.
        model: that embeds them; by default that of the current release.

    Raises:
        NotFoundError: there is no folder, no picture of the source in it, or none that make a clip (frame): says how
            many there are of how many, and what was not taken and why.
        UsageError: a time is asked for of pictures that have none.
    """
    source, path = root.source(name), Path(folder)
    used = model or require_current(root).part(source.id).model
    if not path.is_dir():
        raise NotFoundError(f"{folder} is no folder; give one of pictures of {source.id}")
    histograms = histogram_store(root, source)
    asked = Folder(root, source, path, unit, lambda made, rgb: histograms.count_pixels(made.picture, rgb))
    numbered = bool(numbered_folders(path))
    if numbered and at is not None:
        raise UsageError(f"{folder}: its names image_<i> tell no times; leave the time out")
    chosen = numbered_pictures(asked) if numbered else named_pictures(asked, at)
    pictures = _stacked(asked, histograms, chosen)
    return Fresh(source.id, replace(chosen.query, pictures=pictures), _vector(asked, pictures, used), used)


def _stacked(asked: Folder, histograms: HistogramStore, chosen: Chosen) -> FreshPictures:
    """What measures ask of the pictures; zeros where an optional channel has none, as in a store."""
    spec, channels = histograms.array_spec, len(asked.source.satellite.channels)
    shape = (len(chosen.pictures), channels)
    reduced = np.zeros((*shape, *asked.source.area.reduced_shape), np.uint8)
    counts = np.zeros((*shape, *spec.shape[2:]), spec.dtype)
    rows = np.zeros(shape, np.int64)
    for frame, row in enumerate(chosen.pictures):
        for channel, picture in enumerate(row):
            if picture is not None:
                reduced[frame, channel], counts[frame, channel] = picture.reduced, picture.counts
                rows[frame, channel] = picture.rows
    return FreshPictures(counts, rows.max(axis=1), rows > 0, reduced, chosen.captions, chosen.checked)


def _vector(asked: Folder, pictures: FreshPictures, model: str) -> npt.NDArray[np.float32]:
    """The vector of a clip or frame, in the batches of the `embed` stage."""
    from wxpipe.embedding.embed_stage import loaded_model
    from wxpipe.embedding.inference import clip_vectors, embed_frames

    encoder, card = loaded_model(asked.root, model)
    frames = frame_store(asked.root, asked.source)
    found = embed_frames(encoder, pictures.reduced[:, [frames.channel_index(name) for name in card.channels]])
    if asked.unit == "clip":
        found = clip_vectors(found, np.arange(len(found))[np.newaxis])
    vector: npt.NDArray[np.float32] = found[0]
    return vector
