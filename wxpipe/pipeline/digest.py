"""`wxpipe digest`: one name for everything that a root holds, read through and not believed from its records.

Decoded arrays and attributes, rows sorted by key, inventory, ledger keys with state and digests, quarantine with
reasons. Not in it: times of writing, durations, hosts, attempts, leases, leftovers, Lance's own files, dates of cards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import numpy as np

from wxpipe.archive.inventory import UNPARSED, inventory_of
from wxpipe.archive.overlay import layer_digest
from wxpipe.satellites.catalog import Source
from wxpipe.store.frames import READ_AHEAD, FrameStore, Mask, Status, UInt8, content_digest, frame_store
from wxpipe.store.root import Root
from wxpipe.store.stage import fingerprint_of
from wxpipe.store.tables import get_table, table_digest

SMALL = ("status", "rows", "time_observed")


def root_digest(root: Root, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """The digest of a root and of each of its parts: ``{"digest": "sha256:...", "parts": {...}}``."""
    parts: dict[str, str] = {}
    for name, digest in _parts(root):
        progress(name)
        parts[name] = f"sha256:{digest}"
    whole = hashlib.sha256("\n".join(f"{name} {parts[name]}" for name in sorted(parts)).encode()).hexdigest()
    return {"digest": f"sha256:{whole}", "parts": parts}


def _parts(root: Root) -> Iterator[tuple[str, str]]:
    satellites = {name: s.model_dump(mode="json") for name, s in root.satellites.items()}
    yield "settings", fingerprint_of(data=root.settings.model_dump(mode="json"), satellites=satellites)
    for source in root.sources:
        inventory = inventory_of(root, source.id)
        yield (
            f"inventory/{source.id}",
            fingerprint_of(months={m: inventory.month_digest(m) for m in inventory.months()}),
        )
        if root.objects.exists(f"frames/{source.id}.zarr/zarr.json"):
            yield f"frames/{source.id}", _frames(root, source)
        for layout in root.objects.names(f"histograms/{source.id}.zarr"):
            if root.objects.exists(f"histograms/{source.id}.zarr/{layout}/zarr.json"):  # else it is half laid out
                yield f"histograms/{source.id}/{layout}", _histograms(root, source, layout)
        yield f"clips/{source.id}", _parquet_files(root, f"clips/{source.id}")
    yield "inventory/unparsed", _parquet_files(root, "inventory", only=UNPARSED)
    yield "pairs", _parquet_files(root, "pairs")
    yield "models", _models(root)
    yield "vectors", _vectors(root)
    yield from _release(root)
    yield "ledger", _ledger(root)
    yield from _events(root)
    yield "quarantine", fingerprint_of(records=[(s, n, str(d), asdict(r)) for s, n, d, r in root.quarantine.all()])


def _frames(root: Root, source: Source) -> str:
    """Every array of the frame store, decoded; layers by their content, since ids depend on who came first."""
    frames = frame_store(root, source)
    layers = {number: layer_digest(layer) for number, layer in frames.layers().items()}
    digest = hashlib.sha256(fingerprint_of(attributes=_attributes(frames), layers=sorted(layers.values())).encode())
    digest.update(np.asarray(frames.group["time"][:]).tobytes())
    names = ("picture", "reduced") if root.settings.keep_pictures else ("reduced",)
    arrays = [frames.group[name] for name in names]
    for day in _stored_days(root, frames):
        small = {name: frames.day(name, day) for name in SMALL}
        named = [layers.get(int(n), str(n)) for n in frames.day("layer", day).ravel()]
        digest.update(f"{day} {content_digest(small)} {fingerprint_of(layers=named)}".encode())
        stored = np.isin(small["status"], [s for s in Status if s.stored])
        for pixels in _pixels(arrays, frames.axis.day_start(day), stored):
            digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _pixels(arrays: Sequence[Any], day_start: int, stored: Mask) -> Iterator[UInt8]:
    """What is stored of a day's pictures and reduced ones, slot by slot, read a few at a time."""
    for first in range(0, len(stored), READ_AHEAD):
        block = stored[first : first + READ_AHEAD]
        if not block.any():
            continue
        at = day_start + first
        read = [np.asarray(array[at : at + len(block)]) for array in arrays]
        for slot, channel in np.argwhere(block).tolist():
            yield from (pixels[slot, channel] for pixels in read)


def _attributes(frames: FrameStore) -> dict[str, Any]:
    names = sorted(frames.group.array_keys())
    return {"": dict(frames.group.attrs), **{name: dict(frames.group[name].attrs) for name in names}}


def _stored_days(root: Root, frames: FrameStore) -> list[date]:
    shards = sorted(int(name) for name in root.objects.names(f"{frames.folder}/status/c"))
    return [frames.axis.day(shard * frames.axis.slots_per_day) for shard in shards]


def _histograms(root: Root, source: Source, layout: str) -> str:
    array: Any = root.group(f"histograms/{source.id}.zarr/{layout}")["cdf"]
    step = source.satellite.axis.slots_per_day
    digest = hashlib.sha256(fingerprint_of(attributes=dict(array.attrs), shape=array.shape).encode())
    for shard in sorted(int(name) for name in root.objects.names(f"histograms/{source.id}.zarr/{layout}/cdf/c")):
        digest.update(str(shard).encode())
        digest.update(np.ascontiguousarray(array[shard * step : (shard + 1) * step]).data)
    return digest.hexdigest()


def _parquet_files(root: Root, folder: str, only: str = "") -> str:
    """Rows of Parquet files, sorted, whatever their pages and compression are."""
    digest = hashlib.sha256()
    for key in sorted(info.key for info in root.objects.walk(folder)):
        if not key.endswith(".parquet") or (only and key != only):
            continue
        rows = get_table(root.objects, key).to_pylist()
        digest.update(f"{key} {sorted(map(repr, rows))}".encode())
    return digest.hexdigest()


def _models(root: Root) -> str:
    """Cards without their dates; a card holds the digest of its weights, and reading checks it."""
    from wxpipe.embedding.cards import read_card, weights_digest

    found = {}
    for key in sorted(info.key for info in root.objects.walk("models") if info.key.endswith("card.json")):
        card = read_card(root.objects.get(key))
        weights = weights_digest(root.objects.get(key.replace("card.json", "weights.safetensors")))
        found[key] = {"card": card.content(), "weights": weights}
    return fingerprint_of(models=found)


def _vectors(root: Root) -> str:
    from wxpipe.embedding.embed_stage import vectors_digest

    keys = sorted(info.key for info in root.objects.walk("vectors") if info.key.endswith(".parquet"))
    return fingerprint_of(files={key: vectors_digest(get_table(root.objects, key)) for key in keys})


def _release(root: Root) -> Iterator[tuple[str, str]]:
    """What the current release's tables hold; its number is history, not content."""
    from wxpipe.vectors.release import current_release, release_digests

    release = current_release(root)
    if release is None:
        return
    for name, digest in release_digests(root, release).items():
        yield f"lance/{name}", digest


def _events(root: Root) -> Iterator[tuple[str, str]]:
    """The events in effect, whichever files brought them; the case book is people's, and no content."""
    from wxpipe.vectors.events import SCHEMA, read_events

    events = read_events(root)
    if len(events):
        yield "events", table_digest(events, SCHEMA.names)


def _ledger(root: Root) -> str:
    entries = {f"{s}/{k}": entry.content() for s in root.ledger.stages() for k, entry in root.ledger.entries(s).items()}
    return fingerprint_of(entries=entries)
