"""The `train` stage: a model for a source from its triples, or the untrained projection where there is no split.

A training that is broken off goes on from its latest checkpoint, ``checkpoints/<source>/<number>.safetensors``, when
the stage runs again; what it comes to is bit for bit what it would have been.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from wxpipe import __version__
from wxpipe.config import RunSettings
from wxpipe.embedding.cards import (
    CARD,
    WEIGHTS,
    ClipCard,
    DataCard,
    InputCard,
    ModelCard,
    model_fingerprint,
    read_card,
    weights_digest,
)
from wxpipe.embedding.history import TrainingHistory
from wxpipe.errors import DamagedError, NotFoundError, RefusedError
from wxpipe.satellites.catalog import Source
from wxpipe.similarity.clip_stage import clip_rule
from wxpipe.similarity.pairs import SCHEMA, read_triples
from wxpipe.store.frames import content_digest, frame_store
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Outcome, Partition, fingerprint_of

if TYPE_CHECKING:
    from wxpipe.embedding.channel_linear import ChannelLinear
    from wxpipe.embedding.checkpoints import Checkpoints
    from wxpipe.embedding.stored_triples import StoredTriples
    from wxpipe.embedding.training import TrainingSettings

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
        """Trains and saves; the outcome's output is the model's string, ``<name>-<fingerprint>``.

        A checkpoint of the end stays until the ledger has the model: a run that is killed in between has it to save
        the same model again.
        """
        from wxpipe.embedding.stored_triples import count_splits

        root, source = context.root, context.root.source(partition.name)
        triples = _triples(root, source.id)
        counts = count_splits(triples)
        learn = counts["train"] >= FEWEST_TRIPLES and counts["valid"] > 0 and counts["test"] > 0
        files, checkpoints = _trained(context, source, triples) if learn else (_untrained(root, source), ())
        card = read_card(files[CARD])
        model = f"{card.name}-{model_fingerprint(card)}"
        context.check_lease()
        for name in sorted(files, reverse=True):  # the card last: with it a model is there
            root.objects.put(f"{model_folder(model)}/{name}", files[name])
        return Outcome({**counts, "trained": int(card.trained)}, model, obsolete=checkpoints)

    def read_back(self, partition: Partition, context: Context) -> str:
        return read_back_model(context.root, current_model(context.root, partition.name))


def model_folder(model: str) -> str:
    """Where a model lies: ``models/<name>/<fingerprint>``."""
    name, _, fingerprint = model.rpartition("-")
    return f"models/{name}/{fingerprint}"


def current_model(root: Root, source: str) -> str:
    """The model string of a source's latest training, or an empty string."""
    return root.ledger.output("train", source)


def read_back_model(root: Root, model: str) -> str:
    """The string of a model by what is stored of it: its weights, its card, and a trained one's history.

    Raises:
        NotFoundError: a file of it is gone.
        DamagedError: one is not what was written.
    """
    folder = model_folder(model)
    try:
        card = read_card(root.objects.get(f"{folder}/{CARD}"))
        found = weights_digest(root.objects.get(f"{folder}/{WEIGHTS}"))
        if card.trained:
            json.loads(root.objects.get(f"{folder}/{HISTORY}"))
        fingerprint = model_fingerprint(card)
    except (RefusedError, ValueError) as error:
        raise DamagedError(f"{folder}: {error}") from error
    if found != card.weights:
        raise DamagedError(f"{folder}: the card expects weights {card.weights}, found {found}")
    return f"{card.name}-{fingerprint}"


def read_model_card(root: Root, model: str) -> ModelCard:
    """A saved model's card.

    Raises:
        NotFoundError: there is no such model.
    """
    return read_card(root.objects.get(f"{model_folder(model)}/{CARD}"))


def checkpoint_folder(source: str) -> str:
    """Where the checkpoints of a source's training lie while it goes on."""
    return f"checkpoints/{source}"


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


def _trained(context: Context, source: Source, table: pa.Table) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The files of a trained model, and what checkpoints it leaves."""
    from wxpipe.embedding.loader import stored_means
    from wxpipe.embedding.models import save_model
    from wxpipe.embedding.stored_triples import stored_triples
    from wxpipe.embedding.training import train, unseen_loss

    settings, card = _settings(context), _blank_card(context.root, source, TRAINED)
    encoder, stored = _encoder(card), stored_triples(context.root, source.id, table)
    checkpoints = _checkpoints(context, source, card, settings, stored)
    frames, limit = frame_store(context.root, source), RunSettings().clip_cache_bytes
    with stored_means(frames, stored.slots, card.channels, limit, context.say) as pictures:
        history = train(
            encoder, pictures, stored.of["train"], stored.of["valid"], settings,
            tell=context.say, checkpoints=checkpoints,
        )  # fmt: skip
        loss = unseen_loss(encoder, pictures, stored.of["test"], settings, history)
    counts = {split: len(triples) for split, triples in stored.of.items()}
    data = DataCard(pairs=source.id, triples=counts, fingerprint=context.root.ledger.output("pairs", source.id))
    told = {"settings": asdict(settings), "metrics": _metrics(history, loss), "data": data}
    files = save_model(encoder, card.model_copy(update=told))
    return {**files, HISTORY: json.dumps(history.document(), indent=1).encode()}, checkpoints.keys


def _settings(context: Context) -> TrainingSettings:
    """The settings of a run: the defaults, and what its options change."""
    from wxpipe.embedding.training import TrainingSettings

    given = {k.removeprefix("train_"): v for k, v in context.options.items() if k.startswith("train_")}
    fields = TrainingSettings.__dataclass_fields__
    return TrainingSettings(**{name: value for name, value in given.items() if name in fields})


def _metrics(history: TrainingHistory, test_loss: float) -> dict[str, float]:
    return {
        "validation_loss": history.best.validation_loss,
        "validation_loss_untrained": history.records[0].validation_loss,
        "test_loss": test_loss,
        "best_epoch": float(history.best_epoch),
        "epochs": float(len(history.records) - 1),
    }


def _checkpoints(
    context: Context, source: Source, card: ModelCard, settings: TrainingSettings, stored: StoredTriples
) -> Checkpoints:
    """The checkpoints of just this training: these pairs and pictures, this encoder, these settings, this code."""
    from wxpipe.embedding.checkpoints import Checkpoints

    ledger, axis = context.root.ledger, source.satellite.axis
    midnights = np.unique(stored.slots // axis.slots_per_day) * axis.slots_per_day
    training = fingerprint_of(
        contract=CONTRACT,
        pairs=ledger.output("pairs", source.id),
        clips=content_digest({"slots": stored.slots}),
        pictures=[ledger.output("ingest", Partition(source.id, axis.day(slot)).key) for slot in midnights.tolist()],
        card=card.content(),
        settings=asdict(settings),
    )
    run = RunSettings()
    checkpoints = Checkpoints(
        context.root.objects, checkpoint_folder(source.id), training, seconds=run.checkpoint_seconds,
        steps=run.checkpoint_steps, check=context.check_lease, tell=context.say,
    )  # fmt: skip
    if context.options.get("fresh"):
        checkpoints.forget()
    return checkpoints


def _triples(root: Root, name: str) -> pa.Table:
    try:
        return read_triples(root, name)
    except NotFoundError:
        return SCHEMA.empty_table()
