"""Which clips are judged: those of a held-out split that the model did not learn from, drawn evenly over its time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wxpipe.draws import derived_seed, splitmix64
from wxpipe.embedding.cards import ModelCard
from wxpipe.errors import RefusedError, UsageError
from wxpipe.satellites.catalog import Source
from wxpipe.similarity.clip_stage import clip_rule, read_clips
from wxpipe.similarity.identity import parse_clip_id
from wxpipe.similarity.pairs import clip_days, read_triples
from wxpipe.similarity.splits import SHORTEST, split_days
from wxpipe.store.frames import content_digest
from wxpipe.store.root import Root

Ints = npt.NDArray[np.int64]
JudgedSplit = Literal["test", "valid", "train", "all"]
JUDGED_SPLITS: tuple[JudgedSplit, ...] = get_args(JudgedSplit)

_DRAW = 0xC11  # the purpose within a seed for which clips are drawn


@dataclass(frozen=True, eq=False)
class JudgedClips:
    """Clips in order of time.

    Attributes:
        ids: (n,) their identities.
        starts: int64 (n,), epoch seconds.
        slots: int64 (n, frames), the slots of their frames.
        of: how many clips the split holds; these were drawn from them.
        days: how many days they were drawn from.
    """

    ids: tuple[str, ...]
    starts: Ints
    slots: Ints
    of: int
    days: int

    def __len__(self) -> int:
        return len(self.ids)

    def digest(self) -> str:
        """Names the clips and their frames."""
        return content_digest({"ids": "\n".join(self.ids).encode(), "slots": self.slots})


@dataclass(frozen=True)
class HeldOut:
    """Days whose clips may be judged.

    Attributes:
        seen: whether the model has learned from them: ``no``, ``yes``, or ``unknown`` where the triples that it
            learned from are there no more.
        left_out: days of the split that are not judged, as the model learned from them or from a day next to them.
    """

    days: tuple[date, ...]
    seen: Literal["no", "yes", "unknown"]
    left_out: int = 0


def held_out(root: Root, source: Source, split: JudgedSplit, card: ModelCard) -> HeldOut:
    """The days of a split, without those that a model learned from where the split promises so.

    The splits of an archive that grows may move, and those of a model stay what they were when its pairs were drawn:
    so a day of today's test split may have been one to learn from then.

    Raises:
        RefusedError: the archive is too short for a split, or nothing is left of it.
    """
    clip_rule(root, source)  # a satellite of frames only has no clips to judge
    days = clip_days(root, source.id)
    if split == "all":
        return HeldOut(tuple(days), "yes" if card.trained else "no")
    splits = split_days(days)
    mine = [day for day in days if splits.get(day) == split]
    if not mine:
        span = (days[-1] - days[0]).days + 1 if days else 0
        raise RefusedError(
            f"{source.id}: nothing is held out to judge by: clips begin on {len(days)} days within {span}, and a split "
            f"needs at least {SHORTEST} days, some of them in each part; ingest more days, or judge with "
            "--split all, which says nothing of weather that the model has not seen"
        )
    if split != "test":
        return HeldOut(tuple(mine), "yes" if card.trained else "no")
    learned = learned_days(root, source.id, card)
    if learned is None:
        return HeldOut(tuple(mine), "unknown")
    touched = {day + timedelta(days=n) for day in learned for n in (-1, 0, 1)}  # clips reach into the next day
    kept = tuple(day for day in mine if day not in touched)
    if not kept:
        raise RefusedError(
            f"{source.id}: model {card.name} learned from days of, or next to, all {len(mine)} days of today's test "
            "split, which moved as the archive grew; `wxpipe train` makes a model of today's split, --split all "
            "judges on days that this one has seen"
        )
    return HeldOut(kept, "no", len(mine) - len(kept))


def learned_days(root: Root, source: str, card: ModelCard) -> set[date] | None:
    """Days on which clips begin that a model was trained or chosen by; None where its triples are there no more."""
    if card.data is None:
        return set()
    if root.ledger.output("pairs", source) != card.data.fingerprint:
        return None
    triples = read_triples(root, source)
    rows = zip(*(triples[name].to_pylist() for name in ("x", "y", "z", "split")), strict=True)
    names = {name for *clips, split in rows if split != "test" for name in clips}
    return {parse_clip_id(name).time.date() for name in names}


def draw_clips(root: Root, source: Source, days: Iterable[date], wanted: int, seed: int) -> JudgedClips:
    """Draws clips that begin on some days, evenly over them.

    Args:
        wanted: how many; all there are where they are fewer.
        seed: which.

    Raises:
        UsageError: fewer than 2 are wanted.
    """
    if wanted < 2:
        raise UsageError(f"{wanted} clips are wanted; a judgement compares at least 2, e.g. 1000")
    tables = [read_clips(root, source.id, day) for day in sorted(days)]
    every = pa.concat_tables(tables)
    chosen = every.take(pa.array(draw_evenly(len(every), wanted, seed)))
    starts = [int(start.timestamp()) for start in chosen["start"].to_pylist()]
    frames = clip_rule(root, source).frames
    slots = np.array(chosen["slots"].to_pylist(), np.int64).reshape(-1, frames)
    return JudgedClips(tuple(chosen["clip_id"].to_pylist()), np.array(starts, np.int64), slots, len(every), len(tables))


def draw_evenly(count: int, wanted: int, seed: int) -> Ints:
    """Draws `wanted` of the numbers 0 to `count` - 1, one from each of as many equal stretches.

    Returns:
        int64, ascending; all numbers where `wanted` is not less than `count`.
    """
    if wanted >= count:
        return np.arange(count, dtype=np.int64)
    edges = np.arange(wanted + 1, dtype=np.int64) * count // wanted
    words = splitmix64(derived_seed(seed, _DRAW), np.arange(wanted, dtype=np.uint64))
    drawn: Ints = edges[:-1] + (words % np.diff(edges).astype(np.uint64)).astype(np.int64)
    return drawn
