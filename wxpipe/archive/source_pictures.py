"""Stored pictures as their files had them: grey values and layer put together again, bit for bit.

That is: the pixels that `decode` gives of the file, for areas that are drawn on in one colour, or not at all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wxpipe.archive.overlay import restore
from wxpipe.errors import NotFoundError
from wxpipe.store.frames import NO_LAYER, UNKNOWN_LAYER, FrameStore


def source_picture(
    frames: FrameStore, slot: int, channel: str, picture: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """The decoded pixels of the raw file that a stored picture was made of, uint8 (rows, x, 3).

    Args:
        picture: what the store has of it, where the caller has read that already.

    Raises:
        NotFoundError: no picture is stored, or its overlay was not known or of many colours, so that they are lost.
    """
    if picture is None:
        picture = frames.picture(slot, channel)
    number = int(frames.group["layer"][slot, frames.channels.index(channel)])
    if number == UNKNOWN_LAYER:
        raise NotFoundError(
            f"{frames.source.id} {channel} slot {slot}: stored without its overlay, which no registered layer explains"
        )
    area = frames.source.area
    if area.learn_overlay:
        raise NotFoundError(
            f"{frames.source.id} {channel} slot {slot}: its overlay is of many colours, and they are not kept"
        )
    if number == NO_LAYER:
        return restore(picture, np.zeros(picture.shape, np.bool_), area.title_rows, area.overlay_colour or (255,) * 3)
    layer = _layer(frames, number)[: picture.shape[0]]
    return restore(picture, layer, area.title_rows, area.overlay_colour or (255, 255, 255))


def _layer(frames: FrameStore, number: int) -> NDArray[np.bool_]:
    key = ("layer", frames.source.id, str(number))
    if key not in frames.root.memo:
        frames.root.memo[key] = frames.layer(number)
    layer: NDArray[np.bool_] = frames.root.memo[key]
    return layer
