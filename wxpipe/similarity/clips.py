"""Clips: which windows of a record hold enough good frames, and which frames of a window stand for it.

Slots are integers here: what time a slot is, and which slots are good, is the store's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from wxpipe.errors import UsageError
from wxpipe.kernels import kernel

Choice = Literal["even", "published"]
CHOICES: tuple[Choice, ...] = get_args(Choice)

SlotArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClipRule:
    """What a clip is.

    Args:
        frames: pictures times of a clip, at least 2.
        hours: length of its window [t, t + hours], both ends included, at least 1.
        choice: `even` takes the distinct good slots, in order, with the least total distance to
            ``t + i * hours / (frames - 1)``, so that i-th frames are comparable; `published` takes the first
            and draws the others.

    Raises:
        UsageError: a value is outside its limits.
    """

    frames: int = 20
    hours: int = 6
    choice: Choice = "even"

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise UsageError(f"a clip of {self.frames} frames; choose at least 2, e.g. 20")
        if self.hours < 1:
            raise UsageError(f"a clip of {self.hours} hours; choose at least 1, e.g. 6")
        if self.choice not in CHOICES:
            raise UsageError(f"choice is {self.choice!r}; choose one of {', '.join(CHOICES)}")

    @property
    def name(self) -> str:
        """The last part of a clip's identity, e.g. ``6h20``."""
        return f"{self.hours}h{self.frames}"

    def slots_per_window(self, cadence: timedelta) -> int:
        """Slots from the first to the last of a window: 24 for 6 hours of 15 minutes (so 25 slots in all).

        Raises:
            UsageError: the cadence does not divide the window, so that no slot lies on its end.
        """
        slots, rest = divmod(timedelta(hours=self.hours), cadence)
        if rest:
            raise UsageError(
                f"a cadence of {cadence} does not divide clips of {self.hours} hours; choose hours that it divides"
            )
        return slots


@dataclass(frozen=True)
class FoundClips:
    """Clips in the order of their candidates.

    Args:
        starts: (clip,) int64, slot of the first frame.
        frames: (clip, frames) int64, slots, ascending.
        coverage: (clip,) float64, share of the window's nominal slots that were good, 0..1.
    """

    starts: SlotArray
    frames: SlotArray
    coverage: npt.NDArray[np.float64]


def find_clips(
    good: npt.NDArray[np.bool_],
    candidates: npt.NDArray[np.integer[Any]],
    slots_per_window: int,
    rule: ClipRule,
    identity_of: Callable[[int], str],
) -> FoundClips:
    """Find the clips that begin at some slots.

    Args:
        good: (slot,) which slots have a good frame; beyond its end none has. To find all clips of a day it
            must reach `slots_per_window` slots past the day.
        candidates: (n,) slots at which a clip may begin, e.g. those of a day.
        slots_per_window: 24 for 6 hours of 15 minutes.
        rule: what a clip is.
        identity_of: the clip's identity from the slot where it begins; asked only where frames are drawn.

    Returns:
        A clip for each candidate that is good and whose window has at least ``rule.frames`` good slots.

    Raises:
        UsageError: a candidate lies outside `good`.
    """
    candidates = np.asarray(candidates, np.int64)
    if candidates.size and (candidates.min() < 0 or candidates.max() >= good.size):
        raise UsageError(
            f"candidates {candidates.min()}..{candidates.max()} of {good.size} slots; expected 0..{good.size - 1}"
        )
    running = np.concatenate(([0], np.cumsum(good, dtype=np.int64)))
    stops = np.minimum(candidates + slots_per_window + 1, good.size)
    counts = running[stops] - running[candidates]
    kept = good[candidates] & (counts >= rule.frames)
    starts = candidates[kept]
    frames = np.empty((starts.size, rule.frames), np.int64)
    for row, start in enumerate(starts.tolist()):
        slots = start + np.flatnonzero(good[start : start + slots_per_window + 1])
        identity = identity_of(start) if rule.choice == "published" else ""
        frames[row] = select_frames(slots, start, slots_per_window, rule, identity)
    return FoundClips(starts, frames, counts[kept] / (slots_per_window + 1))


def select_frames(
    good_slots: npt.NDArray[np.integer[Any]],
    start_slot: int,
    slots_per_window: int,
    rule: ClipRule,
    identity: str,
) -> SlotArray:
    """Choose a clip's frames.

    Args:
        good_slots: (m,) good slots of the window, ascending, the first of them `start_slot`.
        start_slot: where the window begins.
        slots_per_window: 24 for 6 hours of 15 minutes.
        rule: how many, and how they are chosen.
        identity: the clip's identity, from which `published` draws; `even` does not read it.

    Returns:
        (frames,) slots, ascending. Of several `even` choices with the same total distance, the one whose
        first difference is the earlier slot.

    Raises:
        UsageError: fewer good slots than frames, or slots outside the window or out of order.
    """
    offsets = np.asarray(good_slots, np.int64) - start_slot
    if offsets.size < rule.frames:
        raise UsageError(f"{offsets.size} good slots from slot {start_slot} on; a clip needs {rule.frames}")
    if offsets[0] != 0 or offsets[-1] > slots_per_window or bool((np.diff(offsets) <= 0).any()):
        raise UsageError(
            f"good slots from slot {start_slot} on are {good_slots}; expected them ascending, the first of them "
            f"{start_slot}, the last at most {start_slot + slots_per_window}"
        )
    if rule.choice == "published":
        return start_slot + _drawn(offsets, rule.frames, identity)
    chosen = np.empty(rule.frames, np.int64)
    _choose_even(offsets, slots_per_window, chosen)
    return start_slot + chosen


def _drawn(offsets: SlotArray, frames: int, identity: str) -> SlotArray:
    """The first offset and those ``frames - 1`` others whose hash with the identity is least, ascending."""
    seed = np.uint64(int.from_bytes(blake2b(identity.encode(), digest_size=8).digest(), "little"))
    # Offsets, not slots: a clip keeps its draw when the store's axis is laid out from another day.
    rank = np.argsort(_splitmix64(seed, offsets[1:].astype(np.uint64)), kind="stable")
    return np.concatenate((offsets[:1], np.sort(offsets[1:][rank[: frames - 1]])))


def _splitmix64(seed: np.uint64, counters: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Hash each counter under a seed (Steele, Lea, Flood 2014: the output function of SplitMix64)."""
    z = seed + (counters + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def _choose_even(offsets: SlotArray, span: int, chosen: SlotArray) -> None:
    """Fill `chosen` with the ordered subset of `offsets` nearest to ``i * span / (frames - 1)``, ties earlier.

    A dynamic programme from the end: ``best[i, j]`` is the least cost of targets i.. from offsets j... Distances
    are scaled by ``frames - 1``, which makes them integers.
    """
    frames, count = chosen.size, offsets.size
    unreachable = np.int64(1) << 60
    best = np.full((frames + 1, count + 1), unreachable, np.int64)
    best[frames, :] = 0
    for i in range(frames - 1, -1, -1):
        for j in range(count - (frames - i), -1, -1):
            take = abs((frames - 1) * offsets[j] - i * span) + best[i + 1, j + 1]
            best[i, j] = min(take, best[i, j + 1])
    j = 0
    for i in range(frames):
        # Taking j whenever it costs no more than leaving it out gives the earliest sequence of the cheapest.
        while abs((frames - 1) * offsets[j] - i * span) + best[i + 1, j + 1] > best[i, j + 1]:
            j += 1
        chosen[i] = offsets[j]
        j += 1
