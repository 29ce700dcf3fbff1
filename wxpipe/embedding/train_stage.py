"""The `train` stage: a model for a source from its triples, or the untrained projection where there is no split."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wxpipe import __version__
from wxpipe.embedding.cards import ClipCard, DataCard, InputCard, ModelCard, model_fingerprint, read_card
from wxpipe.errors import NotFoundError
from wxpipe.satellites.catalog import Source
from wxpipe.similarity.clip_stage import clip_rule, read_clips
from wxpipe.similarity.identity import parse_clip_id
from wxpipe.similarity.pairs import read_triples
from wxpipe.store.frames import frame_store
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Outcome, Partition, fingerprint_of

if TYPE_CHECKING:
    from wxpipe.embedding.channel_linear import ChannelLinear
    from wxpipe.embedding.training import TrainingHistory, TrainingSettings, Triples

CONTRACT = 1
WIDTH = 128
"""Numbers of a frame's vector, as published; channels share them evenly."""
UNTRAINED = "untrained-projection"
TRAINED = "channel-linear"
HISTORY = "history.json"
"""Beside a trained model: its losses by epoch (0 is before training), which was kept, and whether it stopped early."""
FEWEST_TRIPLES = 100
"""Triples of the training split below which there is too little to learn from."""


class Train:
    """Makes a source's model. Frozen: newer data does not make it stale."""

    name = "train"
    trigger = "on request"
    needs = ("pairs",)

    def partitions(self, context: Context) -> Iterable[Partition]:
        return [Partition(source.id, name=source.id) for source in context.root.sources]

    def fingerprint(self, partition: Partition, context: Context) -> str:
        source = context.root.source(partition.name)
        pairs = context.root.ledger.output("pairs", partition.name)
        options = {k: v for k, v in context.options.items() if k.startswith("train_")}
        return fingerprint_of(contract=CONTRACT, pairs=pairs, options=options, channels=_channels(source), width=WIDTH)

    def prepare(self, partitions: list[Partition], context: Context) -> None:
        """Nothing to prepare."""

    def run(self, partition: Partition, context: Context) -> Outcome:
        """Trains and saves; the outcome's output is the model's string, ``<name>-<fingerprint>``."""
        root, source = context.root, context.root.source(partition.name)
        triples = _triples(root, source.id)
        counts = {split: triples["split"].to_pylist().count(split) for split in ("train", "valid", "test")}
        learn = counts["train"] >= FEWEST_TRIPLES and counts["valid"] > 0 and counts["test"] > 0
        files = _trained(root, source, triples, counts, context) if learn else _untrained(root, source)
        card = read_card(files["card.json"])
        model = f"{card.name}-{model_fingerprint(card)}"
        for name in sorted(files, reverse=True):  # the card last: with it a model is there
            root.objects.put(f"{model_folder(model)}/{name}", files[name])
        return Outcome({**counts, "trained": int(card.trained)}, model)


def model_folder(model: str) -> str:
    """Where a model lies: ``models/<name>/<fingerprint>``."""
    name, _, fingerprint = model.rpartition("-")
    return f"models/{name}/{fingerprint}"


def current_model(root: Root, source: str) -> str:
    """The model string of a source's latest training, or an empty string."""
    return root.ledger.output("train", source)


def read_model_card(root: Root, model: str) -> ModelCard:
    """A saved model's card.

    Raises:
        NotFoundError: there is no such model.
    """
    return read_card(root.objects.get(f"{model_folder(model)}/card.json"))


def _channels(source: Source) -> tuple[str, ...]:
    """The channels that every good frame has, in the satellite's order."""
    return tuple(name for name, channel in source.satellite.channels.items() if channel.required)


def _blank_card(root: Root, source: Source, name: str) -> ModelCard:
    channels, area = _channels(source), source.area
    width = WIDTH // len(channels)
    rule = clip_rule(root, source) if source.satellite.clip else None
    return ModelCard(
        name=name,
        kind="channel-linear",
        trained=name != UNTRAINED,
        source=source.id,
        channels=channels,
        width=width * len(channels),
        blocks={channel: (n * width, (n + 1) * width) for n, channel in enumerate(channels)},
        input=InputCard(reduced=area.reduced_shape, crop=(area.crop_rows, area.rows, 0, area.columns)),
        clip=ClipCard(frames=rule.frames, hours=rule.hours, choice=rule.choice) if rule else ClipCard(
            frames=1, hours=0, choice="frames only"),
        seed=1,
        code_version=__version__,
        created=datetime.now(UTC),
    )  # fmt: skip


def _untrained(root: Root, source: Source) -> dict[str, bytes]:
    from wxpipe.embedding.models import save_model

    card = _blank_card(root, source, UNTRAINED)
    return save_model(_encoder(card), card)


def _encoder(card: ModelCard) -> ChannelLinear:
    from wxpipe.embedding.channel_linear import ChannelLinear

    return ChannelLinear.from_card(card)


def _trained(root: Root, source: Source, table: pa.Table, counts: dict[str, int], context: Context) -> dict[str, bytes]:
    from wxpipe.embedding.models import save_model
    from wxpipe.embedding.training import TrainingSettings, train

    fields = TrainingSettings.__dataclass_fields__
    given = {k.removeprefix("train_"): v for k, v in context.options.items() if k.startswith("train_")}
    chosen = {name: value for name, value in given.items() if name in fields}
    settings = TrainingSettings(**chosen)
    card = _blank_card(root, source, TRAINED)
    encoder = _encoder(card)
    names, pictures = _means(root, source, table, card.channels)
    of_split = {split: _indexed(table, names, split) for split in counts}
    history = train(
        encoder, pictures, of_split["train"], of_split["valid"], settings,
        progress=lambda record: context.progress(record.epoch),
    )  # fmt: skip
    card = _signed(
        root, source.id, card, settings, history, counts, _test_loss(encoder, pictures, of_split["test"], settings)
    )
    return {**save_model(encoder, card), HISTORY: json.dumps(asdict(history), indent=1).encode()}


def _signed(
    root: Root, source: str, card: ModelCard, settings: TrainingSettings, history: TrainingHistory,
    counts: dict[str, int], test_loss: float,
) -> ModelCard:  # fmt: skip
    metrics = {
        "validation_loss": history.best.validation_loss,
        "validation_loss_untrained": history.records[0].validation_loss,
        "test_loss": test_loss,
        "best_epoch": float(history.best_epoch),
        "epochs": float(len(history.records) - 1),
    }
    data = DataCard(pairs=source, triples=counts, fingerprint=root.ledger.output("pairs", source))
    return card.model_copy(update={"settings": asdict(settings), "metrics": metrics, "data": data})


def _test_loss(encoder: ChannelLinear, pictures: StoredMeans, test: Triples, settings: TrainingSettings) -> float:
    import torch

    from wxpipe.embedding.training import mean_loss

    return mean_loss(encoder, pictures, test, settings, next(iter(encoder.parameters())).device or torch.device("cpu"))


def _triples(root: Root, name: str) -> pa.Table:
    try:
        return read_triples(root, name)
    except NotFoundError:
        from wxpipe.similarity.pairs import SCHEMA

        return SCHEMA.empty_table()


class StoredMeans:
    """Mean pictures of clips out of the store, with a bounded cache of their exact sums."""

    def __init__(self, root: Root, source: Source, slots: npt.NDArray[np.int64], channels: tuple[str, ...]) -> None:
        from wxpipe.embedding.pictures import ClipMeans

        frames, positions = np.unique(slots, return_inverse=True)
        reduced = frame_store(root, source).reduced(frames, channels)
        self._means = ClipMeans(reduced, positions.reshape(slots.shape))

    def __getitem__(self, clips: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return self._means[clips]


def _means(
    root: Root, source: Source, table: pa.Table, channels: tuple[str, ...]
) -> tuple[dict[str, int], StoredMeans]:
    """Index of every clip of the triples, and their mean pictures."""
    names = sorted({name for column in ("x", "y", "z") for name in table[column].to_pylist()})
    days = sorted({parse_clip_id(name).time.date() for name in names})
    slots = {row["clip_id"]: row["slots"] for day in days for row in read_clips(root, source.id, day).to_pylist()}
    return {name: n for n, name in enumerate(names)}, StoredMeans(
        root, source, np.asarray([slots[name] for name in names], np.int64), channels
    )


def _indexed(table: pa.Table, names: dict[str, int], split: str) -> Triples:
    from wxpipe.embedding.training import Triples

    rows = [row for row in table.to_pylist() if row["split"] == split]
    clips = np.array([[names[row[c]] for c in ("x", "y", "z")] for row in rows], np.int64).reshape(-1, 3)
    truth = np.array([[row["sim_xy"], row["sim_xz"]] for row in rows], np.float32).reshape(-1, 2)
    return Triples(clips, truth)
