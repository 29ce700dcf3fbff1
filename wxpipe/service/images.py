"""Stored pictures as files that a browser shows: one picture as PNG or WebP, frames of some hours as an animation.

PNG is exact: with its overlay a picture has the pixels that came, without it those that are stored. WebP is smaller and
for looking at. A picture is never enlarged. Beside its channels a source has the composite ``rgb`` where it has the
bands for it: red is infrared, green is short-wave infrared, blue is water vapour.
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
from wxpipe.errors import NotFoundError, UsageError
from wxpipe.satellites.satellite import Satellite
from wxpipe.store.frames import FrameStore

Form = Literal["png", "webp"]
UInt8 = npt.NDArray[np.uint8]
MEDIA_TYPES: dict[Form, str] = {"png": "image/png", "webp": "image/webp"}
COMPOSITE, COMPOSITE_BANDS = "rgb", ("ir", "swir", "wv")
"""Shown as a colour picture: the bands that are its red, green and blue."""
VERSION = 2
"""Of what a picture looks like; a change makes clients fetch theirs again."""
WEBP_ROWS = 16_383
"""The format has no higher pictures."""
WEBP = {"quality": 88, "method": 2}
PNG = {"compress_level": 3}


@dataclass(frozen=True)
class Look:
    """How pictures are wanted.

    Attributes:
        channel: the satellite's own name of one, or ``rgb``.
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
    return _encoded(pictures(store, [slot], look), look.form, 0)


def draw_animation(store: FrameStore, slots: Sequence[int], look: Look, milliseconds: int) -> bytes:
    """A loop of pictures as a file: an animated WebP, or an animated PNG; for one that is not stored a black one.

    Raises:
        NotFoundError: they are not stored with their overlay, or none of them is.
    """
    return _encoded(pictures(store, slots, look), look.form, milliseconds)


def draw_strip(store: FrameStore, slots: Sequence[int], look: Look) -> bytes:
    """The same pictures below each other in one, for pages that let several clips run in step.

    Raises:
        NotFoundError: as `draw_animation`.
        UsageError: it would be higher than the format's pictures are.
    """
    frames = _of_one_size(pictures(store, slots, look))
    rows = sum(len(frame) for frame in frames)
    if look.form == "webp" and rows > WEBP_ROWS:
        raise UsageError(
            f"a strip of {len(slots)} frames would be {rows:,} pixels high, and WebP ends at {WEBP_ROWS:,}; ask for a "
            "smaller width, for fewer frames, or for png"
        )
    return _encoded([np.concatenate(frames)], look.form, 0)


def composite(satellite: Satellite) -> tuple[str, ...] | None:
    """The channels that are red, green and blue of a satellite's composite; None where it lacks one of their bands."""
    found = [next((n for n, c in satellite.channels.items() if c.band == band), None) for band in COMPOSITE_BANDS]
    names = tuple(name for name in found if name is not None)
    return names if len(names) == len(COMPOSITE_BANDS) and COMPOSITE not in satellite.channels else None


def channels_of(store: FrameStore, name: str) -> tuple[str, ...]:
    """The channels that a picture is made of: itself, or those of the composite.

    Raises:
        NotFoundError: the source has no such channel, or not the bands of the composite.
    """
    parts = composite(store.source.satellite)
    if name == COMPOSITE and parts is not None:
        return parts
    store.channel_index(name)
    return (name,)


def missing(store: FrameStore, slots: Sequence[int], channel: str) -> list[int]:
    """Which of some slots' pictures are not stored, by their place in ``slots``; of a composite, any part of them."""
    indices = [store.channel_index(name) for name in channels_of(store, channel)]
    first = min(slots)
    rows = store.slots("rows", first, max(slots) + 1)[:, indices]
    return [place for place, slot in enumerate(slots) if not rows[slot - first].all()]


def tag_of(*parts: object) -> str:
    """A strong ETag of what a file depends on."""
    return f'"{sha256(repr((VERSION, *parts)).encode()).hexdigest()[:32]}"'


def pictures(store: FrameStore, slots: Sequence[int], look: Look) -> list[UInt8]:
    """Pictures as they are wanted, grey (rows, x) or in colour (rows, x, 3); black ones for those that are not stored.

    Raises:
        NotFoundError: none is stored, or not with its overlay.
    """
    names = channels_of(store, look.channel)
    gone = set(missing(store, slots, look.channel))
    stored = [slot for place, slot in enumerate(slots) if place not in gone]
    if not stored:
        raise NotFoundError(
            f"{store.source.id} {look.channel} {store.axis.time(min(slots)):%Y-%m-%dT%H:%MZ}: no picture is stored"
        )
    if look.takes_reduced(store):
        reduced = _stacked(list(store.reduced(stored, names).swapaxes(0, 1)))
        found = {slot: _scaled(picture, look.width) for slot, picture in zip(stored, reduced, strict=True)}
    else:
        found = {slot: _scaled(_full(store, slot, names, look), look.width) for slot in stored}
    blank = np.zeros_like(found[stored[0]])
    return [found.get(slot, blank) for slot in slots]


def _full(store: FrameStore, slot: int, names: tuple[str, ...], look: Look) -> UInt8:
    """One picture, grey (rows, x), or of a composite or with its overlay in colour (rows, x, 3)."""
    pictures = [store.picture(slot, name) for name in names]
    if not look.overlay:
        return _stacked(_of_one_size(pictures))
    drawn = [source_picture(store, slot, name, picture) for name, picture in zip(names, pictures, strict=True)]
    # What is drawn has one colour in every channel: its red is taken from the red one, and so on, and it comes back.
    return drawn[0] if len(drawn) == 1 else np.stack([part[..., n] for n, part in enumerate(_of_one_size(drawn))], -1)


def _stacked(parts: Sequence[UInt8]) -> UInt8:
    """Channels as colours on a last axis; one channel stays as it is."""
    return parts[0] if len(parts) == 1 else np.stack(parts, -1)


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
