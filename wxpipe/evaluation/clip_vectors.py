"""Vectors of the judged clips: as the root has stored them, or embedded now, by any model or its untrained form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wxpipe.embedding.cards import CARD, WEIGHTS, ModelCard
from wxpipe.embedding.embed_stage import read_vectors
from wxpipe.embedding.registry import get_encoder
from wxpipe.embedding.train_stage import model_folder
from wxpipe.errors import NotFoundError
from wxpipe.evaluation.judged import JudgedClips
from wxpipe.satellites.catalog import Source
from wxpipe.store.frames import frame_store
from wxpipe.store.root import Root

if TYPE_CHECKING:
    from wxpipe.embedding.registry import Encoder

Vectors = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

FRAMES_AT_ONCE = 512
"""Reduced frames in memory at once: 230 MB for COMS."""


def model_vectors(root: Root, source: Source, clips: JudgedClips, model: str, width: int) -> Vectors:
    """Vectors of clips by a saved model: stored ones, and those that are not stored embedded now.

    Returns:
        float32 (clip, width).
    """
    vectors = np.zeros((len(clips), width), np.float32)
    there = np.zeros(len(clips), np.bool_)
    places = {name: n for n, name in enumerate(clips.ids)}
    for day in sorted({datetime.fromtimestamp(start, UTC).date() for start in clips.starts.tolist()}):
        try:
            table = read_vectors(root, model, source.id, day)
        except NotFoundError:
            continue
        matrix = table["vector"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
        for row, name in enumerate(table["id"].to_pylist()):
            if name in places:
                vectors[places[name]], there[places[name]] = matrix[row], True
    if not there.all():
        from wxpipe.embedding.models import load_model

        folder = model_folder(model)
        encoder, card = load_model({name: root.objects.get(f"{folder}/{name}") for name in (WEIGHTS, CARD)})
        vectors[~there] = embed(root, source, encoder, card.channels, clips.slots[~there])
    return vectors


def untrained_vectors(root: Root, source: Source, clips: JudgedClips, card: ModelCard) -> Vectors:
    """Vectors of clips by the encoder that a card describes with the weights that its training began from."""
    encoder = get_encoder(card.kind).load().from_card(card)
    return embed(root, source, encoder, card.channels, clips.slots)


def embed(root: Root, source: Source, encoder: Encoder, channels: tuple[str, ...], slots: Ints) -> Vectors:
    """Vectors of clips: each frame is embedded once, a few hundred in memory at a time.

    Args:
        slots: int64 (clip, frames).

    Returns:
        float32 (clip, width).
    """
    from wxpipe.embedding.inference import clip_vectors, embed_frames

    store = frame_store(root, source)
    every, places = np.unique(slots, return_inverse=True)
    parts = [every[at : at + FRAMES_AT_ONCE] for at in range(0, len(every), FRAMES_AT_ONCE)]
    frames = np.concatenate([embed_frames(encoder, store.reduced(part, channels)) for part in parts])
    return clip_vectors(frames, places.reshape(slots.shape))
