"""Stored pictures as files that a browser shows: one picture as PNG or WebP, the frames of a clip as an animation.

PNG is exact: with its overlay a picture has the pixels that came, without it those that are stored. WebP is smaller and
for looking at. A picture is never enlarged.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wxpipe.archive.source_pictures import source_picture
from wxpipe.errors import NotFoundError
from wxpipe.store.frames import FrameStore

Form = Literal["png", "webp"]
UInt8 = npt.NDArray[np.uint8]
MEDIA_TYPES: dict[Form, str] = {"png": "image/png", "webp": "image/webp"}
VERSION = 1
"""Of what a picture looks like; a change makes clients fetch theirs again."""
WEBP = {"quality": 88, "method": 2}
PNG = {"compress_level": 3}


@dataclass(frozen=True)
class Look:
    """How pictures are wanted.

    Attributes:
        overlay: with coastline and graticule, as they came, or without.
        width: in pixels, at most; None: as they are.
    """

    channel: str
    form: Form
    overlay: bool = False
    width: int | None = None

    def takes_reduced(self, store: FrameStore) -> bool:
        """Whether the reduced picture is as good: cropped as the model sees it, and read in a tenth of the time."""
        return not self.overlay and self.width is not None and self.width <= store.source.area.reduced_shape[1]


def draw_picture(store: FrameStore, slot: int, look: Look) -> bytes:
    """One picture as a file.

    Raises:
        NotFoundError: it is not stored, or not with its overlay.
    """
    return _encoded(_pictures(store, [slot], look), look.form, 0)


def draw_animation(store: FrameStore, slots: Sequence[int], look: Look, milliseconds: int) -> bytes:
    """A loop of pictures as a file: an animated WebP, or an animated PNG; of one that is not stored a black one.

    Raises:
        NotFoundError: they are not stored with their overlay, or none of them is.
    """
    return _encoded(_pictures(store, slots, look), look.form, milliseconds)


def draw_strip(store: FrameStore, slots: Sequence[int], look: Look) -> bytes:
    """The same pictures below each other in one, for pages that let several clips run in step.

    Raises:
        NotFoundError: as `draw_animation`.
    """
    return _encoded([np.concatenate(_of_one_size(_pictures(store, slots, look)))], look.form, 0)


def tag_of(*parts: object) -> str:
    """A strong ETag of what a file depends on."""
    return f'"{sha256(repr((VERSION, *parts)).encode()).hexdigest()[:32]}"'


def _pictures(store: FrameStore, slots: Sequence[int], look: Look) -> list[UInt8]:
    index, first = store.channel_index(look.channel), min(slots)
    heights = store.slots("rows", first, max(slots) + 1)[:, index]
    stored = [slot for slot in slots if heights[slot - first]]
    if not stored:
        raise NotFoundError(
            f"{store.source.id} {look.channel} {store.axis.time(first):%Y-%m-%dT%H:%MZ}: no picture is stored"
        )
    if look.takes_reduced(store):
        return [_scaled(picture, look.width) for picture in store.reduced(slots, [look.channel])[:, 0]]
    full = {slot: _scaled(_full(store, slot, look), look.width) for slot in stored}
    blank = np.zeros_like(full[stored[0]])
    return [full.get(slot, blank) for slot in slots]


def _full(store: FrameStore, slot: int, look: Look) -> UInt8:
    picture = store.picture(slot, look.channel)
    return source_picture(store, slot, look.channel, picture) if look.overlay else picture


def _scaled(picture: UInt8, width: int | None) -> UInt8:
    rows, columns = picture.shape[:2]
    if width is None or width >= columns:
        return picture
    import cv2

    size = (width, max(1, round(rows * width / columns)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _encoded(frames: Sequence[UInt8], form: Form, milliseconds: int) -> bytes:
    from PIL import Image

    first, *others = [Image.fromarray(np.ascontiguousarray(frame)) for frame in _of_one_size(frames)]
    options: dict[str, Any] = dict(WEBP if form == "webp" else PNG)
    if others:
        options |= {"save_all": True, "append_images": others, "duration": milliseconds, "loop": 0}
    sink = io.BytesIO()
    first.save(sink, form.upper(), **options)
    return sink.getvalue()


def _of_one_size(frames: Sequence[UInt8]) -> list[UInt8]:
    """Pictures of an area may differ in height: the lower ones are filled up below."""
    rows = max(frame.shape[0] for frame in frames)
    return [
        np.pad(frame, ((0, rows - frame.shape[0]), *((0, 0) for _ in frame.shape[1:]))) if len(frame) < rows else frame
        for frame in frames
    ]
