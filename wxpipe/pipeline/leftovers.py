"""Results that no ledger entry explains: an entry was lost, or a run that never came back left them behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from wxpipe.archive.stored_day import SMALL
from wxpipe.errors import NotFoundError, RefusedError
from wxpipe.pipeline.run import stage_lease
from wxpipe.pipeline.stages import get_stage
from wxpipe.satellites.catalog import Source
from wxpipe.similarity.histograms import histogram_store
from wxpipe.store.frames import frame_store
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Partition

SHARDED = ("picture", "reduced", *SMALL)

Made = Mapping[str, list[str]]
"""Partition keys, and the folders or objects where their results lie."""


@dataclass(frozen=True)
class Stray:
    """Results without an entry.

    Attributes:
        due: whether its stage will make it anew: the next run writes over it.
        lease: what a run holds while it writes there.
        lies_in: folders and objects.
    """

    stage: str
    key: str
    due: bool
    lease: str
    lies_in: tuple[str, ...]

    @property
    def what(self) -> str:
        return f"none, and results in {self.lies_in[0]}" + (" and elsewhere" if len(self.lies_in) > 1 else "")


def unexplained(root: Root) -> Iterator[Stray]:
    """Everything that stages have made and the ledger has no entry of.

    Raises:
        DamagedError: the inventory cannot be read, so that nobody can say what is due.
    """
    due = {partition.key for partition in get_stage("ingest").partitions(Context(root))}
    known = {stage: set(root.ledger.keys(stage)) for stage in ("ingest", "histograms", "clips", "embed")}
    for source in root.sources:
        made = {"ingest": _merged(_frames(root, source), _tables(root, source, "ingested")),
                "histograms": _merged(_histograms(root, source), _tables(root, source, "counted")),
                "clips": _tables(root, source, "clips"), "embed": _vectors(root, source)}  # fmt: skip
        for stage, found in made.items():
            for key in sorted(found.keys() - known[stage]):
                lease = Partition(source.id, date.fromisoformat(key.rpartition("/")[2])).lease_key
                yield Stray(stage, key, key in due, lease, tuple(found[key]))
    yield from _named(root)


def _merged(results: Made, records: Made) -> Made:
    """Results with what is recorded of them."""
    return {key: [*results.get(key, []), *records.get(key, [])] for key in results.keys() | records.keys()}


def _frames(root: Root, source: Source) -> Made:
    frames = frame_store(root, source)
    made = dict(_shards(root, source, [f"{frames.folder}/{name}/c" for name in SHARDED]))
    for key, places in _tables(root, source, "ingested").items():
        made[key] = [*made.get(key, []), *places]
    return made


def _histograms(root: Root, source: Source) -> Made:
    layouts = (histogram_store(root, source, name) for name in root.settings.histograms)
    return _shards(root, source, [f"{store.folder}/cdf/c" for store in layouts])


def _shards(root: Root, source: Source, folders: list[str]) -> Made:
    """Days by their shards: the first number of a shard's position is its day's."""
    made: dict[str, list[str]] = {}
    axis = source.satellite.axis
    for folder in folders:
        for name in root.objects.names(folder):
            if name.isdigit():
                day = axis.day(int(name) * axis.slots_per_day)
                made.setdefault(f"{source.id}/{day}", []).append(f"{folder}/{name}")
    return made


def _tables(root: Root, source: Source, folder: str) -> Made:
    names = root.objects.names(f"{folder}/{source.id}")
    return {f"{source.id}/{name.removesuffix('.parquet')}": [f"{folder}/{source.id}/{name}"] for name in names}


def _vectors(root: Root, source: Source) -> Made:
    """Of the source's latest model: those of others are no loss."""
    from wxpipe.embedding.train_stage import current_model

    model = current_model(root, source.id)
    return _tables(root, source, f"vectors/{model}") if model else {}


def _named(root: Root) -> Iterator[Stray]:
    """What is made once a source, or once a root."""
    for source in root.sources:
        key, models = source.id, _models_of(root, source.id)
        if root.objects.names(f"pairs/{key}") and not root.ledger.has("pairs", key):
            yield Stray("pairs", key, True, stage_lease("pairs", key), (f"pairs/{key}",))
        if models and not root.ledger.has("train", key):
            yield Stray("train", key, True, stage_lease("train", key), models)
    releases = [f"releases/{name}" for name in root.objects.names("releases")]
    if releases and not root.ledger.has("release", "default"):
        yield Stray("release", "default", True, stage_lease("release", "default"), tuple(releases))
    if root.sources and not root.ledger.has("scan", "archive"):
        yield Stray("scan", "archive", True, stage_lease("scan", "archive"), ("inventory",))


def _models_of(root: Root, source: str) -> tuple[str, ...]:
    from wxpipe.embedding.train_stage import read_model_card

    found = []
    for name in root.objects.names("models"):
        for fingerprint in root.objects.names(f"models/{name}"):
            try:
                if read_model_card(root, f"{name}-{fingerprint}").source == source:
                    found.append(f"models/{name}/{fingerprint}")
            except (NotFoundError, RefusedError):
                continue  # no card, no model: a training that has not come so far
    return tuple(found)
