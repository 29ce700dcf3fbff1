"""The `embed` stage: vectors of a day's frames and clips, one Parquet file a model, source and day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wxpipe.embedding.train_stage import current_model, model_folder
from wxpipe.errors import DamagedError, NotFoundError
from wxpipe.satellites.catalog import Source
from wxpipe.similarity.clip_stage import read_clips
from wxpipe.similarity.identity import frame_id
from wxpipe.store.frames import Status, content_digest, frame_store
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Outcome, Partition, done_partitions, fingerprint_of
from wxpipe.store.tables import get_table, put_table

if TYPE_CHECKING:
    from wxpipe.embedding.cards import ModelCard
    from wxpipe.embedding.registry import Encoder

CONTRACT = 1


def vector_schema(width: int) -> pa.Schema:
    """Rows of a vector file: frames and clips of one day, told apart by ``unit``."""
    return pa.schema(
        [
            ("unit", pa.string()),  # frame | clip
            ("id", pa.string()),
            ("time", pa.timestamp("us", "UTC")),  # of a clip: its start
            ("end", pa.timestamp("us", "UTC")),  # null for a frame
            ("frames", pa.int32()),
            ("coverage", pa.float64()),  # share of the window's nominal slots (a frame: of the channels) that is good
            ("channels_good", pa.int32()),
            ("vector", pa.list_(pa.float32(), width)),
        ]
    )


class Embed:
    """Embeds every good frame of a day once, and its clips as the means of theirs."""

    name = "embed"
    trigger = "by day"
    needs = ("ingest", "clips", "train")

    def partitions(self, context: Context) -> Iterable[Partition]:
        return done_partitions(context, "ingest")

    def fingerprint(self, partition: Partition, context: Context) -> str:
        assert partition.day is not None
        ledger = context.root.ledger
        following = Partition(partition.source, partition.day + timedelta(days=1))
        return fingerprint_of(
            contract=CONTRACT,
            model=model_of(context, partition.source),
            clips=ledger.output("clips", partition.key),
            pictures=[ledger.output("ingest", p.key) for p in (partition, following)],
        )

    def prepare(self, partitions: list[Partition], context: Context) -> None:
        """Nothing to prepare."""

    def run(self, partition: Partition, context: Context) -> Outcome:
        assert partition.day is not None
        root, model = context.root, model_of(context, partition.source)
        table = embed_day(root, root.source(partition.source), partition.day, model)
        put_table(root.objects, vector_key(model, partition.source, partition.day), table)
        back = read_vectors(root, model, partition.source, partition.day)
        units = back["unit"].to_pylist()
        counts = {"frame_vectors": units.count("frame"), "clip_vectors": units.count("clip")}
        return Outcome(counts, vectors_digest(back))

    def read_back(self, partition: Partition, context: Context) -> str:
        assert partition.day is not None
        model = self.recorded_model(partition, context)
        table = read_vectors(context.root, model, partition.source, partition.day)
        try:
            return vectors_digest(table)
        except (KeyError, AttributeError, pa.ArrowException) as error:
            key = vector_key(model, partition.source, partition.day)
            raise DamagedError(f"{key}: not a table of vectors ({error})") from error

    def recorded_model(self, partition: Partition, context: Context) -> str:
        """The model that the ledger's entry is of, where it can be told; else the one that a run would take."""
        entry = context.root.ledger.get(self.name, partition.key)
        usual = model_of(context, partition.source)
        for model in (usual, *context.root.objects.names("vectors")):
            named = replace(context, options={**context.options, "model": model})
            if entry is not None and entry.fingerprint == self.fingerprint(partition, named):
                return model
        return usual


def model_of(context: Context, source: str) -> str:
    """The model that a run embeds a source with: the one it names, else the source's latest."""
    return str(context.options.get("model") or current_model(context.root, source))


def vector_key(model: str, source: str, day: date) -> str:
    return f"vectors/{model}/{source}/{day}.parquet"


def read_vectors(root: Root, model: str, source: str, day: date) -> pa.Table:
    """The vectors of a day (`vector_schema`).

    Raises:
        NotFoundError: the day was not embedded with this model.
    """
    return get_table(root.objects, vector_key(model, source, day))


def vectors_digest(table: pa.Table) -> str:
    """Digest of rows of vectors, whatever order they are in."""
    table = table.sort_by([("unit", "ascending"), ("id", "ascending")])
    vectors = table["vector"].combine_chunks().flatten().to_numpy()
    names = [name for name in table.column_names if name != "vector"]
    return content_digest({"vector": vectors, **{name: str(table[name].to_pylist()).encode() for name in names}})


def embed_day(root: Root, source: Source, day: date, model: str) -> pa.Table:
    """Vectors of the good frames of a day and of the clips that begin on it.

    Frames of the next hours that the day's clips reach into are embedded too, and kept by their own day only.
    """
    from wxpipe.embedding.inference import clip_vectors, embed_frames

    encoder, card = loaded_model(root, model)
    frames = frame_store(root, source)
    slots = frames.axis.day_slots(day)
    clips = read_clips(root, source.id, day)
    clip_slots = np.asarray(clips["slots"].to_pylist(), np.int64).reshape(len(clips), -1 if len(clips) else 0)
    mine = slots.start + np.flatnonzero(frames.good_frames(slots.start, slots.stop))
    every = np.union1d(mine, clip_slots).astype(np.int64)
    vectors = (
        embed_frames(encoder, frames.reduced(every, card.channels))
        if len(every)
        else np.zeros((0, card.width), np.float32)
    )
    of_clips = (
        clip_vectors(vectors, np.searchsorted(every, clip_slots))
        if len(clips)
        else np.zeros((0, card.width), np.float32)
    )
    status = frames.day("status", day)
    rows = [_frame_rows(source, mine, status, slots), _clip_rows(clips, card.channels)]
    matrix = np.concatenate([vectors[np.searchsorted(every, mine)], of_clips])
    columns: dict[str, Any] = {name: [*rows[0][name], *rows[1][name]] for name in rows[0]}
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1), pa.float32()), card.width)
    return pa.table(columns, schema=vector_schema(card.width))


def _frame_rows(
    source: Source, slots: npt.NDArray[np.int64], status: npt.NDArray[np.uint8], day: range
) -> dict[str, list[Any]]:
    times = [source.satellite.axis.time(slot) for slot in slots.tolist()]
    good = np.isin(status, [s for s in Status if s.stored]).sum(axis=1)[slots - day.start]
    return {
        "unit": ["frame"] * len(times),
        "id": [frame_id(source.id, time) for time in times],
        "time": times,
        "end": [None] * len(times),
        "frames": [1] * len(times),
        "coverage": (good / status.shape[1]).tolist(),
        "channels_good": good.tolist(),
    }


def _clip_rows(clips: pa.Table, channels: tuple[str, ...]) -> dict[str, list[Any]]:
    return {
        "unit": ["clip"] * len(clips),
        "id": clips["clip_id"].to_pylist(),
        "time": clips["start"].to_pylist(),
        "end": clips["end"].to_pylist(),
        "frames": [len(slots) for slots in clips["slots"].to_pylist()],
        "coverage": clips["coverage"].to_pylist(),
        "channels_good": [len(channels)] * len(clips),
    }


def loaded_model(root: Root, model: str) -> tuple[Encoder, ModelCard]:
    """A model by ``<name>-<fingerprint>``, loaded once a process: a worker embeds many days with it.

    Raises:
        NotFoundError: none is named, or there is no such model.
    """
    from wxpipe.embedding.models import load_model

    if not model:
        raise NotFoundError(f"{root.url} has no model for this source yet; run the `train` stage")
    if model not in _models:
        folder = model_folder(model)
        _models.clear()
        _models[model] = load_model(
            {n: root.objects.get(f"{folder}/{n}") for n in ("weights.safetensors", "card.json")}
        )
    return _models[model]


_models: dict[str, tuple[Encoder, ModelCard]] = {}
