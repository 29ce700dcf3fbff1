"""Splits of an archive into train, validation and test: blocks of time with gaps longer than a clip between them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Literal

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")

_TRAIN: tuple[Split, ...] = ("train",) * 4
CYCLE: tuple[Split, ...] = (*_TRAIN, "valid", *_TRAIN, "test")
"""Ten blocks, then again: every season of every few years is in every split."""
LONGEST_BLOCK = 30
SHORTEST_CYCLED = 20
"""Days from which on the cycle fits with blocks of two days; shorter archives get one block of each split."""
SHORTEST = 5
"""Days below which there is no split: a day of each, and a gap day after the first two."""


def split_days(days: Sequence[date]) -> dict[date, Split]:
    """Assigns the days on which clips begin; days of a gap are left out.

    A clip that begins on a block's last day may reach into the next one, so the last day of a block that is followed
    by another split is a gap.

    Args:
        days: in order, those on which clips begin.

    Returns:
        The split of each day that has one; empty where the archive is too short for any.
    """
    if not days or (days[-1] - days[0]).days + 1 < SHORTEST:
        return {}
    span = (days[-1] - days[0]).days + 1
    plan = _cycled(span) if span >= SHORTEST_CYCLED else _once(span)
    kept = [split if n + 1 == span or plan[n + 1] == split else None for n, split in enumerate(plan)]
    assigned = {day: kept[(day - days[0]).days] for day in days}
    found: dict[date, Split] = {day: split for day, split in assigned.items() if split is not None}
    return found if set(found.values()) == set(SPLITS) else {}


def _cycled(span: int) -> list[Split]:
    block = min(LONGEST_BLOCK, span // len(CYCLE))
    return [CYCLE[(n // block) % len(CYCLE)] for n in range(span)]


def _once(span: int) -> list[Split]:
    held = max(1, span // 7)
    sizes: tuple[tuple[Split, int], ...] = (("train", span - 2 * held - 1), ("valid", held + 1), ("test", held))
    return [split for split, size in sizes for _ in range(size)]
