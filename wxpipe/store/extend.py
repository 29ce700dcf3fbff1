"""`extend`: lengthens the slot axis of a satellite's sources to a later last day, in place; no shard is touched.

Slots keep their numbers, so that every shard, fingerprint and ledger entry stays what it is. Coordinates get chunks
more, then each array its new shape, and the root's settings come last: what was killed is ended by the same again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from wxpipe.errors import RefusedError, UsageError
from wxpipe.satellites.catalog import Source
from wxpipe.satellites.satellite import Satellite
from wxpipe.store.arrays import ArraySpec, encode_chunk
from wxpipe.store.frames import FrameStore
from wxpipe.store.root import Root


@dataclass(frozen=True)
class Extension:
    """What is to be lengthened.

    Attributes:
        slots: of the axis, before and after.
        arrays: keys of the documents of the arrays that are shorter than that.
    """

    satellite: str
    last_day: tuple[date, date]
    slots: tuple[int, int]
    arrays: tuple[str, ...]


def plan_extension(root: Root, satellite: str, last_day: date) -> Extension:
    """What an extension would change; writes nothing.

    Raises:
        UsageError: the root has no such satellite.
        RefusedError: the new last day is before the present one: slots that are there would be lost.
    """
    there = _satellite(root, satellite)
    if last_day < there.last_day:
        raise RefusedError(
            f"satellite {satellite}: its slot axis ends with {there.last_day}, asked for was {last_day}; an axis is"
            " lengthened and never shortened"
        )
    longer = there.model_copy(update={"last_day": last_day})
    arrays = tuple(key for key in _slot_arrays(root, satellite) if _document(root, key)["shape"][0] < longer.axis.count)
    return Extension(satellite, (there.last_day, last_day), (there.axis.count, longer.axis.count), arrays)


def extend(root: Root, satellite: str, last_day: date) -> Extension:
    """Lengthens a satellite's slot axis. Nothing may run on the root meanwhile; the same again changes nothing.

    Raises:
        UsageError, RefusedError: see `plan_extension`.
    """
    planned = plan_extension(root, satellite, last_day)
    longer = _satellite(root, satellite).model_copy(update={"last_day": last_day})
    for key in planned.arrays:
        if key.endswith("/time/zarr.json"):
            _write_times(root, key, longer)
        document = _document(root, key)
        document["shape"][0] = planned.slots[1]
        root.objects.put(key, json.dumps(document, indent=2).encode())
    root.replace_satellite(longer)
    return planned


def _write_times(root: Root, key: str, satellite: Satellite) -> None:
    """Writes the chunks of the time coordinate that the longer axis has more, in the size that the array has."""
    source = key.split("/")[1].removesuffix(".zarr")
    spec = FrameStore(root, Source(satellite, source.partition("-")[2])).specs["time"]
    size = int(_document(root, key)["chunk_grid"]["configuration"]["chunk_shape"][0])
    chunked = replace(spec, chunk=(size,))
    for at in range(size, len(_times(spec)), size):
        block = np.zeros(size, spec.dtype)
        values = _times(spec)[at : at + size]
        block[: len(values)] = values
        data = encode_chunk(chunked, block)
        root.objects.put(f"{key.removesuffix('zarr.json')}c/{at // size}", data)


def _times(spec: ArraySpec) -> Any:
    assert spec.data is not None
    return spec.data


def _slot_arrays(root: Root, satellite: str) -> list[str]:
    """Documents of every array along the slot axis; coordinates first, so that none is ever shorter than the others."""
    found: list[str] = []
    for source in root.sources:
        if source.satellite.name != satellite:
            continue
        groups = [f"frames/{source.id}.zarr"]
        groups += [f"histograms/{source.id}.zarr/{n}" for n in root.objects.names(f"histograms/{source.id}.zarr")]
        for group in groups:
            keys = [f"{group}/{name}/zarr.json" for name in root.objects.names(group) if name != "zarr.json"]
            there = [key for key in keys if root.objects.exists(key)]
            found += [key for key in there if _document(root, key).get("dimension_names", [""])[0] == "slot"]
    return sorted(found, key=lambda key: (not key.endswith("/time/zarr.json"), key))


def _document(root: Root, key: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(root.objects.get(key))
    return found


def _satellite(root: Root, name: str) -> Satellite:
    if name not in root.satellites:
        raise UsageError(f"{root.url} has no satellite {name!r}; it has {', '.join(root.satellites) or 'none yet'}")
    return root.satellites[name]
