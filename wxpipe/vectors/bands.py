"""Which channels a search compares: a preset of bands, and the numbers of a vector that are theirs.

At night and in twilight channels that show sunlight make analogs a clock: the same hour looks alike, whatever the
weather. Then only those that show heat are compared, unless a person asks for others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from wxpipe.embedding.cards import ModelCard
from wxpipe.embedding.train_stage import read_model_card
from wxpipe.errors import NotFoundError, UsageError
from wxpipe.satellites.catalog import Source
from wxpipe.satellites.sun import sun_elevation
from wxpipe.store.root import Root

Preset = Literal["auto", "all", "ir+wv", "ir", "swir", "wv"]
BANDS: dict[str, frozenset[str]] = {
    "ir+wv": frozenset({"ir", "ir2", "wv"}),
    "ir": frozenset({"ir", "ir2"}),
    "swir": frozenset({"swir"}),
    "wv": frozenset({"wv"}),
}
SUNLIT = frozenset({"swir", "vis"})
"""Bands that show sunlight: 3.7 um too, by day."""
TWILIGHT = 10.0
"""Degrees of the sun at the middle of an area below which parts of it are in twilight; it is known within five."""
NIGHT = "night or twilight at the middle of the area"
STEP = timedelta(hours=1)


@dataclass(frozen=True)
class Bands:
    """What is compared.

    Attributes:
        preset: ``all``, or a key of `BANDS`.
        channels: compared, in the order of the satellite's; all of them where it is empty.
        columns: [start, stop) of a vector that are theirs, in order, none next to another; None: the whole of it.
        why: that it was chosen, and for what; empty where it was asked for.
    """

    preset: str = "all"
    channels: tuple[str, ...] = ()
    columns: tuple[tuple[int, int], ...] | None = None
    why: str = ""

    def of(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Their numbers of vectors, (..., width) to (..., fewer), contiguous."""
        if self.columns is None:
            return vectors
        parts = [vectors[..., start:stop] for start, stop in self.columns]
        return np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1))

    def places(self, source: Source) -> list[int] | None:
        """Positions of the channels among the source's; None: all of them."""
        names = list(source.satellite.channels)
        return [names.index(channel) for channel in self.channels] if self.channels else None


WHOLE = Bands()


def chosen_bands(
    root: Root, source: Source, model: str, asked: str, start: datetime | None, end: datetime | None
) -> Bands:
    """The bands of a search.

    Args:
        asked: a `Preset`; ``auto`` is ``ir+wv`` where it is night or twilight at the middle of the area at any time of
            the query and something shows sunlight, else ``all``.
        start, end: of the query; None: it has no time (no end).

    Raises:
        UsageError: no such preset, none of its bands is there, or the encoder does not work by channel.
    """
    if asked not in get_args(Preset):
        raise UsageError(f"bands are {asked!r}; choose one of {', '.join(get_args(Preset))}")
    channels = source.satellite.channels
    if asked == "all" or (asked == "auto" and not any(c.band in SUNLIT for c in channels.values())):
        return Bands(channels=tuple(channels))
    card = _card(root, model)
    if asked == "auto":
        if card is None or not _by_channel(card) or start is None or not is_dark(source, start, end or start):
            return Bands(channels=tuple(channels))
        return _preset(source, card, "ir+wv", NIGHT)
    if card is None:
        raise UsageError(f"bands {asked!r}: the card of model {model} is not there; `wxpipe validate` tells more")
    if not _by_channel(card):
        raise UsageError(f"bands {asked!r}: model {model} does not work by channel; its vectors can be compared whole")
    return _preset(source, card, asked, "")


def is_dark(source: Source, start: datetime, end: datetime) -> bool:
    """Whether it is night or twilight at the middle of the area at any time; no where its middle is not known."""
    middle = source.area.middle or source.geography.middle
    return middle is not None and any(sun_elevation(when, *middle) < TWILIGHT for when in _hours(start, end))


def _hours(start: datetime, end: datetime) -> Iterator[datetime]:
    while start < end:
        yield start
        start += STEP
    yield end


def _card(root: Root, model: str) -> ModelCard | None:
    key = ("card", model)
    if key not in root.memo:
        try:
            root.memo[key] = read_model_card(root, model)
        except NotFoundError:
            return None
    found: ModelCard = root.memo[key]
    return found


def _by_channel(card: ModelCard) -> bool:
    return set(card.blocks) == set(card.channels)


def _preset(source: Source, card: ModelCard, preset: str, why: str) -> Bands:
    there: dict[str, Any] = {name: channel.band for name, channel in source.satellite.channels.items()}
    kept = [name for name in there if there[name] in BANDS[preset] and name in card.blocks]
    if not kept:
        offered = [name for name, bands in BANDS.items() if bands & set(there.values())]
        raise UsageError(
            f"bands {preset!r}: {source.id} has none of them; choose one of {', '.join(['all', *offered])}"
        )
    spans = sorted(card.blocks[name] for name in kept)
    if sum(stop - start for start, stop in spans) == card.width:
        return Bands(preset, tuple(kept), None, why)
    return Bands(preset, tuple(kept), tuple(_joined(spans)), why)


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found = [spans[0]]
    for start, stop in spans[1:]:
        if start == found[-1][1]:
            found[-1] = found[-1][0], stop
        else:
            found.append((start, stop))
    return found
