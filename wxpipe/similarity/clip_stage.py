"""The `clips` stage: which clips begin on a day, and their frames, as one Parquet file a source and day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wxpipe.errors import NotFoundError
from wxpipe.satellites.catalog import Source
from wxpipe.similarity.clips import ClipRule, FoundClips, find_clips
from wxpipe.similarity.identity import clip_id
from wxpipe.store.frames import frame_store
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Outcome, Partition, done_partitions, fingerprint_of
from wxpipe.store.tables import get_table, put_table, table_digest

CONTRACT = 1
SCHEMA = pa.schema(
    [
        ("clip_id", pa.string()),
        ("start", pa.timestamp("us", "UTC")),
        ("end", pa.timestamp("us", "UTC")),  # of the window, whether or not its last slot is good
        ("slots", pa.list_(pa.int32())),  # of its frames, in order
        ("coverage", pa.float64()),  # share of the window's nominal slots that were good
    ]
)


class Clips:
    """Finds the clips that begin on a day; they may reach into the next."""

    name = "clips"
    trigger = "by day"
    needs = ("ingest",)

    def partitions(self, context: Context) -> Iterable[Partition]:
        sources = {s.id: s for s in context.root.sources}
        return [p for p in done_partitions(context, "ingest") if sources[p.source].satellite.clip is not None]

    def fingerprint(self, partition: Partition, context: Context) -> str:
        assert partition.day is not None
        rule = clip_rule(context.root, context.root.source(partition.source))
        following = Partition(partition.source, partition.day + timedelta(days=1))
        pictures = [context.root.ledger.output("ingest", p.key) for p in (partition, following)]
        return fingerprint_of(contract=CONTRACT, rule=repr(rule), pictures=pictures)

    def prepare(self, partitions: list[Partition], context: Context) -> None:
        """Nothing to prepare."""

    def run(self, partition: Partition, context: Context) -> Outcome:
        assert partition.day is not None
        source = context.root.source(partition.source)
        table = day_clips(context.root, source, partition.day)
        key = f"clips/{partition.source}/{partition.day}.parquet"
        put_table(context.root.objects, key, table)
        back = read_clips(context.root, partition.source, partition.day)
        return Outcome({"clips": len(back)}, table_digest(back, SCHEMA.names))

    def read_back(self, partition: Partition, context: Context) -> str:
        table = get_table(context.root.objects, f"clips/{partition.source}/{partition.day}.parquet")
        return table_digest(table, SCHEMA.names)


def clip_rule(root: Root, source: Source) -> ClipRule:
    """What a clip of a source is in this root.

    Raises:
        NotFoundError: the satellite is frames only.
    """
    clip = source.satellite.clip
    if clip is None:
        raise NotFoundError(f"{source.id} is frames only: it is too slow for clips")
    return ClipRule(clip.frames, clip.hours, root.settings.clip_choice)


def day_clips(root: Root, source: Source, day: date) -> pa.Table:
    """The clips that begin on a day (`SCHEMA`), by the statuses in the store."""
    rule, axis = clip_rule(root, source), source.satellite.axis
    slots = axis.day_slots(day)
    good = frame_store(root, source).good_frames(slots.start, slots.stop + rule.slots_per_window(axis.cadence))
    found = clips_from(source, rule, slots.start, good, len(slots))
    starts = [axis.time(slot) for slot in found.starts.tolist()]
    columns: dict[str, Any] = {
        "clip_id": [clip_id(source.id, start, rule) for start in starts],
        "start": starts,
        "end": [start + timedelta(hours=rule.hours) for start in starts],
        "slots": found.frames.tolist(),
        "coverage": found.coverage,
    }
    return pa.table(columns, schema=SCHEMA)


def clips_from(source: Source, rule: ClipRule, first: int, good: npt.NDArray[np.bool_], candidates: int) -> FoundClips:
    """The clips of a stretch of slots, by slots of the source.

    Args:
        first: the slot that `good` begins with.
        good: (slot,) which slots have a good frame.
        candidates: so many slots from the first on, as far as `good` goes, may begin a clip.
    """
    axis = source.satellite.axis

    def identity(offset: int) -> str:
        return clip_id(source.id, axis.time(first + offset), rule)

    window = rule.slots_per_window(axis.cadence)
    found = find_clips(good, np.arange(min(candidates, len(good))), window, rule, identity)
    return FoundClips(found.starts + first, found.frames + first, found.coverage)


def read_clips(root: Root, source: str, day: date) -> pa.Table:
    """The clips of a day (`SCHEMA`); none where the stage has not run."""
    try:
        return get_table(root.objects, f"clips/{source}/{day}.parquet")
    except NotFoundError:
        return SCHEMA.empty_table()


def find_clip(root: Root, source: str, start: datetime) -> list[int]:
    """Slots of the frames of the clip that begins at a time.

    Raises:
        NotFoundError: no clip begins there; names those of the day that are nearest.
    """
    table = read_clips(root, source, start.astimezone(UTC).date())
    starts = [value.astimezone(UTC) for value in table["start"].to_pylist()]
    if start in starts:
        slots: list[int] = table["slots"][starts.index(start)].as_py()
        return slots
    near = sorted(starts, key=lambda value: abs(value - start))[:3]
    hint = f"the nearest begin {', '.join(f'{v:%H:%MZ}' for v in near)}" if near else "none begins on that day"
    raise NotFoundError(f"no clip of {source} begins {start:%Y-%m-%dT%H:%MZ}; {hint}")
