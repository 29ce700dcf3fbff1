"""Faults of what a sound file shows: lost lines, noise, a wrong title or overlay, weather of elsewhere or of before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import numpy as np

from wxpipe.archive.synthetic.fault_victim import Bytes, Expected, Fault, Layer, Need, UnsuitableError, Victim, png
from wxpipe.archive.truth import Planted
from wxpipe.draws import splitmix64

_OVERLAY_SHARE = 0.03
"""Share of pixels that an overlay's fault may spoil, so that the picture is doubtful and not foreign."""
_UNLIKE = 0.6
"""Correlation under which a picture is surely taken for a stranger."""


def _repaint(change: Callable[[Victim, Bytes], Bytes | None]) -> Callable[[Victim], str]:
    """Changes the file's colours (y, x, 3), in place or into others."""

    def plant(victim: Victim) -> str:
        rgb = victim.rgb()
        changed = change(victim, rgb)
        return victim.write(png(rgb if changed is None else changed))

    return plant


def _below(change: Callable[[Victim, Bytes], None]) -> Callable[[Victim], str]:
    """Changes grey values (y, x) below the title, in place; the overlay is drawn over them."""

    def plant(victim: Victim) -> str:
        grey = victim.grey()
        change(victim, grey[victim.source.area.title_rows :])
        victim.draw(grey)
        return victim.path

    return plant


# --- lines and noise --------------------------------------------------------------------------------------------------


def _dead_rows(_: Victim, grey: Bytes) -> None:
    """A twentieth of the rows black, as a line that dropped out leaves them."""
    grey[10 : 10 + max(3, len(grey) // 20)] = 0


def _white_rows(_: Victim, grey: Bytes) -> None:
    """Bands of three, so that what is filled under the overlay leaves even rows in each."""
    for top in range(5, len(grey) - 3, 20):
        grey[top : top + 3] = 255


def _repeated_rows(_: Victim, grey: Bytes) -> None:
    grey[10 : 11 + max(3, len(grey) // 20)] = grey[10]


def _dead_columns(_: Victim, grey: Bytes) -> None:
    width = grey.shape[1]
    grey[:, width // 3 : width // 3 + max(3, width // 40)] = 77


def _lost_half(_: Victim, grey: Bytes) -> None:
    grey[len(grey) // 2 :] = 128


def _displaced_rows(_: Victim, grey: Bytes) -> None:
    rows = slice(len(grey) // 3, len(grey) // 3 + max(4, len(grey) // 10))
    grey[rows] = np.roll(grey[rows], grey.shape[1] // 3, axis=1)


def _specks(victim: Victim, grey: Bytes) -> None:
    hit = _drawn(victim, grey.shape) < 0.02
    grey[hit] = np.where(grey[hit] > 127, 0, 255)


def _burn(victim: Victim, grey: Bytes) -> None:
    hit = _drawn(victim, grey.shape) < 0.75
    grey[hit] = np.where(grey[hit] > 127, 255, 0)


def _drawn(victim: Victim, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Numbers in [0, 1), (y, x), the same whenever they are asked for."""
    words = splitmix64(int(victim.time.timestamp()), np.arange(shape[0] * shape[1], dtype=np.uint64))
    return ((words >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)


# --- title and overlay ------------------------------------------------------------------------------------------------


def _smudged_title(_: Victim, rgb: Bytes) -> None:
    """A stroke through the title, so that one letter of it cannot be read."""
    rgb[8:14, 12:17, :2] = 90


def _no_title(victim: Victim, rgb: Bytes) -> None:
    rgb[: victim.source.area.title_rows] = 0


def _title_of_another_day(victim: Victim, rgb: Bytes) -> None:
    victim.retitle(rgb, victim.time - timedelta(days=1))


def _logo(victim: Victim, rgb: Bytes) -> None:
    top = victim.source.area.title_rows + 5
    rgb[top : top + 12, 8:30] = (255, 0, 0)


def _other_colours(victim: Victim, rgb: Bytes) -> None:
    rgb[victim.source.area.title_rows :, :, 2] ^= 0x55


def _overlay(change: Callable[[Layer, Bytes, Bytes, Victim], None]) -> Callable[[Victim], str]:
    """Changes the overlay from the lowest row up, for as many pixels as leave the picture usable."""

    def plant(victim: Victim) -> str:
        rgb, layer, grey = victim.rgb(), victim.layer(), victim.grey()
        spoiled = np.repeat(grey[..., np.newaxis], 3, axis=2)
        change(layer, spoiled, rgb, victim)
        wrong = np.cumsum((spoiled != rgb).any(axis=2)[::-1].sum(axis=1))[::-1]
        top = int(np.argmax(wrong <= _OVERLAY_SHARE * layer.size))
        top = max(top, victim.source.area.title_rows)
        rgb[top:] = spoiled[top:]
        if not wrong[top:].any():
            raise UnsuitableError("nothing is drawn where it would be changed")
        return victim.write(png(rgb))

    return plant


def _missing_overlay(_layer: Layer, _spoiled: Bytes, _rgb: Bytes, _victim: Victim) -> None:
    """What is filled stays as it is."""


def _moved_overlay(layer: Layer, spoiled: Bytes, _: Bytes, victim: Victim) -> None:
    spoiled[np.roll(layer, 1, axis=0)] = victim.source.area.overlay_colour or 255


def _recoloured_overlay(layer: Layer, spoiled: Bytes, _: Bytes, victim: Victim) -> None:
    spoiled[layer] = np.roll(np.array(victim.source.area.overlay_colour or (255, 255, 255), np.uint8), 1)


# --- other weather ----------------------------------------------------------------------------------------------------


def _stranger(change: Callable[[Bytes], Bytes]) -> Callable[[Victim], str]:
    """Other weather below the title, that has little in common with the victim's."""

    def plant(victim: Victim) -> str:
        top = victim.source.area.title_rows
        grey = victim.grey()
        grey[top:] = change(grey[top:])
        if victim.likeness(grey) > _UNLIKE:
            raise UnsuitableError("it looks the same that way")
        victim.draw(grey)
        return victim.path

    return plant


def _of_another_day(victim: Victim) -> str:
    """The least alike of a few pictures of the same channel, under this one's title.

    They are of its own hour, so that no two of a day are made copies of one another.
    """
    apart = timedelta(days=2)
    days = sorted(t for c, t in victim.paths if c == victim.channel and not (t - victim.time) % timedelta(days=1))
    far = [time for time in days if abs(time - victim.time) >= apart]
    far = far[:: max(1, len(far) // 12)]
    others = [replace(victim, time=time).grey() for time in far]
    shaped = [grey for grey in others if grey.shape == victim.grey().shape]
    if not shaped or min(victim.likeness(grey) for grey in shaped) > _UNLIKE:
        raise UnsuitableError("all other days are too much alike")
    victim.draw(min(shaped, key=victim.likeness))
    return victim.path


def _other_channel(victim: Victim) -> str:
    """The next channel's picture under this one's name and title."""
    rgb = victim.other_channel().rgb()
    victim.retitle(rgb)
    return victim.write(png(rgb))


def _other_channel_too(victim: Victim, kind: str) -> tuple[Planted, ...]:
    return (victim.other_channel().says(kind, "suspect", "same picture in two channels"),)


def _copy(slots: int, *, retitled: bool) -> Callable[[Victim], str]:
    def plant(victim: Victim) -> str:
        before = victim.at(-slots)
        if before.time.date() != victim.time.date() and slots > 1:
            raise UnsuitableError("of the day before, only the last picture is remembered")
        rgb = before.rgb()
        if retitled:
            victim.retitle(rgb)
        return victim.write(png(rgb) if retitled else before.read())

    return plant


def _black(_: Victim, grey: Bytes) -> None:
    grey[:] = 0


def _flat(_: Victim, grey: Bytes) -> None:
    grey[:] = 77


def _fault(plant: Callable[[Victim], str], expected: Expected, reason: str = "", *needs: Need) -> Fault:
    return Fault(plant, expected, reason, needs=frozenset(needs))


_DOUBTED: Final = "suspect"

PIXELS: dict[str, Fault] = {
    "wrong size": _fault(_repaint(lambda _, rgb: rgb[:-7]), "quarantined", "wrong size"),
    "constant": _fault(_below(_flat), "quarantined", "constant"),
    "black, of a thermal channel": _fault(_below(_black), "quarantined", "constant", "thermal"),
    "black by night": _fault(_below(_black), "good", "", "night"),
    "black by day": _fault(_below(_black), "quarantined", "black by day", "day"),
    "lower half lost": _fault(_below(_lost_half), "quarantined", "lost rows", "thermal"),
    "dead rows": _fault(_below(_dead_rows), _DOUBTED, "dead rows", "thermal"),
    "white rows": _fault(_below(_white_rows), _DOUBTED, "dead rows", "thermal"),
    "repeated rows": _fault(_below(_repeated_rows), _DOUBTED, "dead rows", "thermal"),
    "dead columns": _fault(_below(_dead_columns), _DOUBTED, "dead columns", "thermal"),
    "displaced rows": _fault(_below(_displaced_rows), _DOUBTED, "torn rows", "thermal"),
    "specks": _fault(_below(_specks), _DOUBTED, "specks", "thermal"),
    "saturated": _fault(_below(_burn), _DOUBTED, "saturated", "thermal"),
    "unreadable title": _fault(_repaint(_smudged_title), _DOUBTED, "unreadable title", "title"),
    "without a title": _fault(_repaint(_no_title), _DOUBTED, "unreadable title", "title"),
    "title of another day": _fault(_repaint(_title_of_another_day), "quarantined", "title disagrees", "title"),
    "other colours": _fault(_repaint(_other_colours), "quarantined", "foreign picture", "overlay"),
    "unknown overlay": _fault(_repaint(_logo), _DOUBTED, "unknown overlay", "overlay", "thermal"),
    "overlay missing": _fault(_overlay(_missing_overlay), _DOUBTED, "unknown overlay", "overlay", "thermal"),
    "overlay moved by a pixel": _fault(_overlay(_moved_overlay), _DOUBTED, "unknown overlay", "overlay", "thermal"),
    "overlay of another colour": _fault(
        _overlay(_recoloured_overlay), _DOUBTED, "unknown overlay", "overlay", "thermal"
    ),
    "upside down": _fault(_stranger(np.flipud), _DOUBTED, "unlike its neighbours", "neighbours"),
    "mirrored": _fault(_stranger(np.fliplr), _DOUBTED, "unlike its neighbours", "neighbours"),
    "negative": _fault(_stranger(lambda g: 255 - g), _DOUBTED, "unlike its neighbours", "neighbours"),
    "of another day, retitled": _fault(_of_another_day, _DOUBTED, "unlike its neighbours", "neighbours"),
    "of another channel, retitled": Fault(
        _other_channel, _DOUBTED, "same picture in two channels", needs=frozenset({"channels"}), also=_other_channel_too
    ),
    "copy of the previous slot": _fault(
        _copy(1, retitled=False), "quarantined", "title disagrees", "title", "thermal"
    ),
    "copy of the previous slot, retitled": _fault(_copy(1, retitled=True), "quarantined", "stale copy", "thermal"),
    "copy of two slots before, retitled": _fault(_copy(2, retitled=True), "quarantined", "stale copy", "thermal"),
}  # fmt: skip
