"""PNG bytes to a stored frame with all that ingest makes of it, against decoding the same bytes alone."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import imagecodecs

from tests.benchmarks.report import Row, Samples
from wxpipe.archive.comparison import Comparison
from wxpipe.archive.overlay import learn_layer
from wxpipe.archive.picture import PictureReader
from wxpipe.archive.png import decode_png
from wxpipe.satellites.catalog import Source
from wxpipe.satellites.names import Named, NameReader
from wxpipe.store.frames import DayFrames, FrameStore, Status, frame_store
from wxpipe.store.root import init_root


@dataclass(frozen=True)
class RawPicture:
    name: str
    data: bytes
    channel: str
    time: datetime
    slot: int


def read_pictures(source: Source, folders: Sequence[Path]) -> list[RawPicture]:
    """All pictures of a source below some folders, channel by channel in time order, in memory."""
    reader = NameReader([source.satellite])
    found = []
    for path in (path for folder in folders for path in sorted(folder.rglob("*.png"))):
        named = reader.read(path.name)
        if isinstance(named, Named):
            found.append(RawPicture(path.name, path.read_bytes(), named.channel, named.time, named.slot))
    return sorted(found, key=lambda picture: (picture.channel, picture.slot))


def picture_to_frame(source: Source, pictures: Sequence[RawPicture], folder: Path, repeats: int) -> Row:
    """Times the whole way of each picture and its plain decoding in turns; a repeat ends with the days' write."""
    area = source.area
    sample = [decode_png(p.data, p.name) for p in pictures[:: max(1, len(pictures) // 7)]]
    layer = learn_layer(sample, area.title_rows, area.overlay_colour or (255, 255, 0))
    root = init_root(str(folder / "root"))
    root.adopt({source.satellite.name: source.satellite})
    frames = frame_store(root, source)
    frames.create()
    reader = PictureReader(source, {frames.register_layer(layer): layer})
    totals = Samples()
    for repeat in range(repeats + 1):
        samples = Samples()
        _once(frames, reader, pictures, samples)
        if repeat:  # the first one compiles
            totals.of.setdefault("ours", []).append(samples.total("ours") + samples.total("write"))
            totals.of.setdefault("peer", []).append(samples.total("peer"))
    share = 1 / len(pictures)
    return Row(
        f"PNG to stored frame, {len(pictures)} pictures, each", totals.median("ours") * share,
        totals.median("peer") * share, "imagecodecs decoding the same bytes", "at most 1.6", faster=False,
    )  # fmt: skip


def _once(frames: FrameStore, reader: PictureReader, pictures: Sequence[RawPicture], samples: Samples) -> None:
    days: dict[date, DayFrames] = defaultdict(lambda: DayFrames.empty(frames.axis.slots_per_day, len(frames.channels)))
    compared = Comparison(frames.source)
    for n, picture in enumerate(pictures):
        day = days[frames.axis.day(picture.slot)]
        # Whoever comes first fetches the bytes into the cache: they take turns.
        for work in ("ours", "peer") if n % 2 else ("peer", "ours"):
            if work == "ours":
                samples.time("ours", lambda p=picture, d=day: _ingest(frames, reader, p, d, compared))
            else:
                samples.time("peer", lambda p=picture: imagecodecs.png_decode(p.data))
    for when, made in days.items():
        samples.time("write", lambda w=when, m=made: frames.write_day(w, m))


def _ingest(
    frames: FrameStore,
    reader: PictureReader,
    raw: RawPicture,
    day: DayFrames,
    compared: Comparison,
) -> Mapping[str, str]:
    """What the ingest stage does with the bytes of one file, in its order."""
    digests = {"file": hashlib.sha256(raw.data).hexdigest()}
    made = reader.read(raw.data, raw.name, raw.channel, raw.time)
    channel = frames.channels.index(raw.channel)
    copied = compared.copied(raw.slot, channel, made)
    if made.doubts or copied:
        raise AssertionError(f"{raw.name}: expected a good picture, found {made.doubts or copied}")
    compared.add(raw.slot, channel, made)
    at = (raw.slot - frames.axis.day_start(frames.axis.day(raw.slot)), channel)
    day.pictures[at], day.reduced[at] = frames.encode_picture(made.picture), frames.encode_reduced(made.reduced)
    day.status[at], day.layer[at], day.rows[at] = Status.GOOD, made.layer, made.picture.shape[0]
    day.time_observed[at] = int(raw.time.timestamp())
    for name, array in (("picture", made.picture), ("reduced", made.reduced)):
        digests[name] = hashlib.sha256(memoryview(array)).hexdigest()
    return digests
