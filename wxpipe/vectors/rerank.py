"""Scores of candidates by a registered measure: what is read of whom, in blocks that fit in memory.

A score is the mean over frames, i-th with i-th, and over the channels that are compared. Of several examples it is the
weighted mean of the scores against those that analogs are to be like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wxpipe.satellites.catalog import Source
from wxpipe.similarity.measures import GROUND_TRUTH, Measure
from wxpipe.store.frames import frame_store, runs
from wxpipe.store.root import Root
from wxpipe.vectors import ground_truth
from wxpipe.vectors.answers import Query
from wxpipe.vectors.candidates import Candidates
from wxpipe.vectors.fresh_pictures import FreshPictures
from wxpipe.vectors.ground_truth import Slots, slots_of

Scores = Mapping[str, float | None]
Channels = Sequence[int] | None
"""Positions of the channels that are compared; None: all of them."""

SLOTS_AT_ONCE = {"cdfs": 1_280, "pictures": 480}
"""Slots that are in memory at once, by what is read of them: of four channels 120 MB of grid CDFs (24 x 20), and 220 MB
of pictures of 300 x 375."""

MOST_PICTURED = 400
"""Candidates, the nearest ones, that a measure scores which reads pictures: 40 s of one core by `ssim`, if no two of
them overlap."""


@dataclass(frozen=True, eq=False)
class Target:
    """What candidates are held against.

    Attributes:
        frames: slots in the store, or pictures that are in none.
    """

    weight: float
    frames: Slots | FreshPictures

    def __len__(self) -> int:
        return len(self.frames) if isinstance(self.frames, np.ndarray) else len(self.frames.counts)


@dataclass(frozen=True, eq=False)
class Material:
    """What a measure reads of some frames: (frame, channel, ...), which of them are whole, and their cells' sizes."""

    values: npt.NDArray[Any]
    whole: npt.NDArray[np.bool_]
    sizes: npt.NDArray[np.int64] | None = None

    def __add__(self, other: Material) -> Material:
        sizes = self.sizes
        if sizes is not None and other.sizes is not None and sizes.ndim > 1:  # of each frame its own
            sizes = np.concatenate([sizes, other.sizes])
        values = np.concatenate([self.values, other.values])
        return Material(values, np.concatenate([self.whole, other.whole]), sizes)


def targets(root: Root, source: Source, query: Query) -> list[Target]:
    """What a query's candidates are held against; nothing where a part of it has no pictures to be compared by."""
    asked = [(one.id, one.start, one.weight) for one in query.examples] or [(query.id, query.start, 1.0)]
    found: list[Target] = []
    for place, (name, start, weight) in enumerate(asked):
        if weight < 0:
            continue
        if place == 0 and query.pictures is not None:
            found.append(Target(weight, query.pictures))
            continue
        if name is None or start is None:
            return []
        slots = slots_of(root, source, query.unit, {name: int(start.timestamp())})
        if name not in slots:
            return []
        found.append(Target(weight, slots[name]))
    return found


def scored(
    root: Root, source: Source, measure: Measure, query: Query, found: Candidates, channels: Channels = None
) -> Scores:
    """The score of each candidate by id; None where something that the measure needs is not there.

    Of pictures those of the nearest `MOST_PICTURED` alone are read; the score of the others is None, too.
    """
    unknown: dict[str, float | None] = dict.fromkeys(found.ids)
    if measure.needs == "pictures":
        found = found.take(range(min(len(found), MOST_PICTURED)))
    aims = targets(root, source, query)
    if not aims or not len(found):
        return unknown
    slots = slots_of(root, source, query.unit, dict(zip(found.ids, found.starts.tolist(), strict=True)))
    parts = [_against(root, source, measure, aim, slots, channels) for aim in aims]
    weights = [aim.weight for aim in aims]
    return {**unknown, **{name: _mean([part[name] for part in parts], weights) for name in slots}}


def _mean(scores: Sequence[float | None], weights: Sequence[float]) -> float | None:
    known = [score for score in scores if score is not None]
    if len(known) < len(scores):
        return None
    return known[0] if len(known) == 1 else float(np.average(known, weights=weights))


def _against(
    root: Root, source: Source, measure: Measure, aim: Target, others: Mapping[str, Slots], channels: Channels
) -> dict[str, float | None]:
    if measure.name == GROUND_TRUTH and isinstance(aim.frames, np.ndarray):
        return ground_truth.similarities(root, source, aim.frames, others, channels)
    result: dict[str, float | None] = dict.fromkeys(others)
    own = _read_target(root, source, measure, aim, channels)
    if own is None or not own.whole.all():
        return result
    fitting = [name for name, slots in others.items() if len(slots) == len(aim)]
    # In order of time, so that overlapping clips share what is read.
    order = sorted(fitting, key=lambda name: int(others[name][0]))
    for names in _blocks({name: others[name] for name in order}, SLOTS_AT_ONCE[measure.needs]):
        members = np.stack([others[name] for name in names])
        result.update(zip(names, _block(root, source, measure, own, members, channels), strict=True))
    return result


def _blocks(others: Mapping[str, Slots], most: int) -> Iterator[list[str]]:
    """Names in their order, as many at once as have no more slots among them."""
    names: list[str] = []
    slots: set[int] = set()
    for name, own in others.items():
        if names and len(slots | set(own.tolist())) > most:
            yield names
            names, slots = [], set()
        names.append(name)
        slots.update(own.tolist())
    if names:
        yield names


def _block(
    root: Root, source: Source, measure: Measure, own: Material, members: Slots, channels: Channels
) -> list[float | None]:
    """Scores of some candidates, whose slots are (candidate, frame); each pair of frames is compared once."""
    slots, positions = np.unique(members, return_inverse=True)
    there = _read(root, source, measure, slots, channels)
    if there is None:
        return [None] * len(members)
    both, frames = own + there, len(own.values)
    places = positions.reshape(members.shape) + frames
    whole = np.asarray(both.whole[places].all(axis=1), np.bool_)
    keys = (np.arange(frames) * len(both.values) + places)[whole]
    occurring, where = np.unique(keys, return_inverse=True)
    pairs = np.stack(np.divmod(occurring, len(both.values)), axis=1)
    values = measure.score(both.values, pairs, both.sizes).mean(axis=1)
    found = iter(values[where.reshape(keys.shape)].mean(axis=1).tolist())
    return [next(found) if known else None for known in whole.tolist()]


def _read_target(root: Root, source: Source, measure: Measure, aim: Target, channels: Channels) -> Material | None:
    if isinstance(aim.frames, np.ndarray):
        return _read(root, source, measure, aim.frames, channels)
    chosen = slice(None) if channels is None else list(channels)
    whole = np.asarray(aim.frames.there[:, chosen].all(axis=1), np.bool_)
    if measure.needs == "pictures":
        return Material(aim.frames.reduced[:, chosen], whole)
    sizes = ground_truth.cell_sizes(root, source, aim.frames.rows.tolist())
    return Material(aim.frames.counts[:, chosen], whole, sizes)


def _read(root: Root, source: Source, measure: Measure, slots: Slots, channels: Channels) -> Material | None:
    """Of slots in ascending order, each once; None where nothing of the kind was ever stored."""
    store = frame_store(root, source)
    if measure.needs == "pictures":
        names = [store.channels[place] for place in (range(len(store.channels)) if channels is None else channels)]
        places = [store.channel_index(name) for name in names]
        there = np.concatenate([store.slots("rows", start, stop) for start, stop, _ in runs(slots)]) > 0
        return Material(store.reduced(slots, names), np.asarray(there[:, places].all(axis=1), np.bool_))
    read = ground_truth.read_counts(root, source, slots, channels)
    return None if read is None else Material(*read, ground_truth.slot_cell_sizes(root, source, slots))
