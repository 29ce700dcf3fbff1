"""Checks of one partition's content: reads what is stored, and nothing but reads. They run on workers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial

import numpy as np
import numpy.typing as npt

from wxpipe.archive.quality import BLACK
from wxpipe.archive.stored_day import SMALL, Cell, stored
from wxpipe.errors import DamagedError, RefusedError, Retry, WxpipeError
from wxpipe.pipeline.findings import REPAIR, Finding, PartitionCheck, partition_of
from wxpipe.pipeline.stages import NAMES, get_stage
from wxpipe.store.frames import NEVER, NO_LAYER, UNKNOWN_LAYER, FrameStore, Status, frame_store
from wxpipe.store.root import Root
from wxpipe.store.stage import Context

BEFORE = 4
"""Slots of the day before that a day's pictures are compared with."""
SLOTS_AT_ONCE = 16
FIRST = 5
"""Doubtful places of a day that are named, of each kind; the others are counted."""


def look_at_result(root: Root, stage_name: str, key: str) -> Iterator[Finding]:
    """Reads a result through and compares its digest with the ledger's."""
    entry = root.ledger.get(stage_name, key)
    if entry is None or entry.state != "done":
        return
    try:
        found = get_stage(stage_name).read_back(partition_of(root, stage_name, key), Context(root))
        told = "" if found == entry.output else f"what digests to {found}"
    except (Retry, RefusedError):
        raise  # a store that does not answer, or says no, has lost nothing: there is nothing to make again
    except (WxpipeError, OSError) as error:
        told = str(error)
    if told and root.ledger.get(stage_name, key) == entry:  # else it is being made again just now
        expected = f"what the ledger calls {entry.output}"
        yield Finding("results", f"{stage_name} {key}", expected, told, _remedy(stage_name), ((stage_name, key),))


def _remedy(stage_name: str) -> str:
    if get_stage(stage_name).trigger == "on request":
        return f"{REPAIR}, with the options that it was made with"
    return REPAIR


def look_at_small_arrays(root: Root, stage_name: str, key: str) -> Iterator[Finding]:
    """Statuses, heights, layers and times of a day against one another and against the satellite's definition."""
    partition = partition_of(root, stage_name, key)
    assert partition.day is not None
    frames, day = frame_store(root, partition.source), partition.day
    try:
        small = {name: frames.day(name, day) for name in SMALL}
        layers = [NO_LAYER, UNKNOWN_LAYER, *frames.layer_ids()]
    except DamagedError:
        return  # `look_at_result` tells of it
    there = stored(small["status"])
    axis, slots = frames.axis, frames.axis.day_slots(day)
    nominal = axis.times(np.asarray(slots)).astype(np.int64)[:, np.newaxis]
    late = small["time_observed"] - nominal
    half = axis.cadence.total_seconds() / 2
    heights = frames.source.area.heights
    faults = {
        "a status": ~np.isin(small["status"], [int(s) for s in Status]),
        f"{' or '.join(map(str, heights))} rows": there & ~np.isin(small["rows"], heights),
        "a time of its slot": there & ((late < -half) | (late > half)),
        "a registered layer": there & ~np.isin(small["layer"], layers),
        "no rows, layer or time where no picture is": ~there
        & ((small["rows"] != 0) | (small["layer"] != NO_LAYER) | (small["time_observed"] != NEVER)),
    }
    for expected, wrong in faults.items():
        if wrong.any():
            cells = [(int(s), int(c)) for s, c in np.argwhere(wrong)]
            values = {name: small[name][cells[0]].item() for name in SMALL}
            values["time_observed"] = f"{datetime.fromtimestamp(values['time_observed'], UTC):%Y-%m-%dT%H:%M:%SZ}"
            told = ", ".join(f"{name} {value}" for name, value in values.items())
            where = f"ingest {key}: {_places(frames, slots, cells)}"
            yield Finding("statuses", where, expected, told, again=(("ingest", key),))


def look_at_pictures(root: Root, stage_name: str, key: str) -> Iterator[Finding]:
    """Reduced pictures of a day that are good: one value everywhere, or the pixels of another slot of the channel."""
    partition = partition_of(root, stage_name, key)
    assert partition.day is not None
    frames = frame_store(root, partition.source)
    slots = frames.axis.day_slots(partition.day)
    try:
        for expected, found, index, cells in _strange(frames, slots):
            where = f"ingest {key}: {_places(frames, slots, cells)} {frames.channels[index]}"
            yield Finding("pictures", where, expected, found, again=(("ingest", key),))
    except DamagedError:
        return  # `look_at_result` tells of it


def _strange(frames: FrameStore, slots: range) -> Iterator[tuple[str, str, int, list[Cell]]]:
    """(expected, found, channel, cells) of a day."""
    first = [dict[bytes, int]() for _ in frames.channels]
    even = [list[Cell]() for _ in frames.channels]
    for slot, index, reduced in _good(frames, max(0, slots.start - BEFORE), slots.stop):
        channel = frames.channels[index]
        if frames.source.satellite.channels[channel].reflective and int(reduced.max()) <= BLACK:
            continue  # night
        earlier = first[index].setdefault(hashlib.blake2b(reduced.tobytes()).digest(), slot)
        if slot not in slots:
            continue
        cell = (slot - slots.start, index)
        if reduced.min() == reduced.max() and _one_value(frames, slot, channel):
            even[index].append(cell)
        elif earlier != slot and _same(frames, earlier, slot, channel):
            yield "a picture of its own", f"the pixels of {frames.axis.time(earlier):%Y-%m-%dT%H:%MZ}", index, [cell]
    for index, cells in enumerate(even):
        if cells:
            yield "a picture with contrast", "one value everywhere", index, cells


def _good(frames: FrameStore, start: int, stop: int) -> Iterator[tuple[int, int, npt.NDArray[np.uint8]]]:
    """(slot, channel, reduced) of the good pictures of a stretch, a few slots in memory at a time."""
    for at in range(start, stop, SLOTS_AT_ONCE):
        good = frames.slots("status", at, min(at + SLOTS_AT_ONCE, stop)) == Status.GOOD
        there = np.flatnonzero(good.any(axis=1))
        reduced = frames.reduced(at + there, frames.channels)
        for n, offset in enumerate(there.tolist()):
            for index in np.flatnonzero(good[offset]).tolist():
                yield at + offset, index, reduced[n, index]


def _one_value(frames: FrameStore, slot: int, channel: str) -> bool:
    if not frames.root.settings.keep_pictures:
        return True  # the reduced ones are all that can be asked
    below = _below_title(frames, slot, channel)
    return bool((below == below[0, 0]).all())


def _same(frames: FrameStore, first: int, second: int, channel: str) -> bool:
    if not frames.root.settings.keep_pictures:
        return True
    return np.array_equal(_below_title(frames, first, channel), _below_title(frames, second, channel))


def _below_title(frames: FrameStore, slot: int, channel: str) -> npt.NDArray[np.uint8]:
    if not frames.root.settings.keep_pictures:  # what there is of it: two that are reduced to the same are doubted
        reduced: npt.NDArray[np.uint8] = frames.reduced([slot], [channel])[0, 0]
        return reduced
    return frames.picture(slot, channel)[frames.source.area.title_rows :]


def _places(frames: FrameStore, slots: range, cells: list[Cell]) -> str:
    """Some cells in words: times, and how many more."""
    named = ", ".join(f"{frames.axis.time(slots.start + slot):%H:%MZ}" for slot, _ in cells[:FIRST])
    return named + (f" and {len(cells) - FIRST} more" if len(cells) > FIRST else "")


CHECKS: tuple[PartitionCheck, ...] = (
    PartitionCheck(
        "results", "every result that the ledger calls done", "read through, each chunk's checksum, digested again",
        NAMES, look_at_result,
    ),
    PartitionCheck(
        "statuses", "status, rows, layer and time_observed of a day", "one against the other, and the satellite",
        ("ingest",), look_at_small_arrays,
    ),
    PartitionCheck(
        "pictures", "good pictures of a day and the last hour before", "one value everywhere; pixels of another slot",
        ("ingest",), look_at_pictures,
    ),
)  # fmt: skip


class Looker:
    """Applies the checks that fit to one partition; a class and not a closure, so that workers can unpickle it."""

    def __init__(self, root: Root) -> None:
        self.root = root

    def __call__(self, task: tuple[str, str]) -> list[Finding]:
        stage_name, _ = task
        fitting: Iterable[PartitionCheck] = (check for check in CHECKS if stage_name in check.stages)
        return [finding for check in fitting for finding in guarded(check.name, partial(check.look, self.root, *task))]


def guarded(name: str, look: partial[Iterable[Finding]]) -> list[Finding]:
    """What a check finds; that it could not come to an end is a finding, too."""
    found: list[Finding] = []
    try:
        found.extend(look())
    except (WxpipeError, OSError) as error:
        where = " ".join(str(argument) for argument in look.args[1:] if isinstance(argument, str)) or name
        found.append(Finding(name, where, "something that can be looked at", str(error), "mend that first, then again"))
    return found
