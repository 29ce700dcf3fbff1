"""The `release` stage, and the verbs of a release: build, promote, rollback, list, maintain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from wxpipe.errors import NotFoundError
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Outcome, Partition, fingerprint_of
from wxpipe.vectors.build import build, embedded, models_of
from wxpipe.vectors.content import table_digest
from wxpipe.vectors.records import (
    ReleaseRecord,
    current_number,
    current_release,
    get_release,
    list_releases,
    newest_release,
    promote,
    rollback,
)
from wxpipe.vectors.tables import SPECS, telling_damage
from wxpipe.vectors.upkeep import Upkeep, maintain

__all__ = [
    "Release",
    "ReleaseRecord",
    "Upkeep",
    "build",
    "current_number",
    "current_release",
    "get_release",
    "list_releases",
    "maintain",
    "promote",
    "release_digests",
    "rollback",
]

CONTRACT = 1
"""Version of what the tables hold; a change makes every release stale."""


class Release:
    """Builds a release out of everything that is embedded; promotion is the caller's decision."""

    name = "release"
    trigger = "single-handed"
    needs = ("embed",)

    def partitions(self, context: Context) -> Iterable[Partition]:
        """One, as soon as a day is embedded and each source that has such days has a model."""
        with suppress(NotFoundError):  # a model's entry was lost: its training comes first, and makes it again
            models_of(context.root, embedded(context.root), _model(context))
            yield Partition("", name="default")

    def fingerprint(self, partition: Partition, context: Context) -> str:
        outputs = {key: entry.output for key, entry in embedded(context.root).items()}
        models = models_of(context.root, outputs, _model(context))
        return fingerprint_of(contract=CONTRACT, partition=partition.key, models=models, embed=outputs)

    def prepare(self, partitions: list[Partition], context: Context) -> None:
        """Nothing to prepare: tables are made by `run`, single-handed."""

    def run(self, partition: Partition, context: Context) -> Outcome:
        # The release's number is not in the outcome: a resumed run may come to another number for the same rows.
        release = build(context.root, _model(context), lease=context.lease, anew=context.anew)
        counts = {spec.name: release.rows(unit) for unit, spec in SPECS.items()}
        digests = {part.model: [part.tables[spec.name].digest for spec in SPECS.values()] for part in release.parts}
        return Outcome(counts, _output(partition, digests))

    def read_back(self, partition: Partition, context: Context) -> str:
        """Of the newest release, whichever is current."""
        release = newest_release(context.root)
        if release is None:
            raise NotFoundError(f"{context.root.url} has no release")
        found = release_digests(context.root, release)
        digests = {
            part.model: [found[part.tables[spec.name].table] for spec in SPECS.values()] for part in release.parts
        }
        return _output(partition, digests)


def release_digests(root: Root, release: ReleaseRecord) -> dict[str, str]:
    """Digests of a release's tables by name, read through now and not believed from its record.

    Raises:
        DamagedError: a table cannot be read.
    """
    digests = {}
    for part in release.parts:
        for spec in SPECS.values():
            name = part.tables[spec.name].table
            with telling_damage(f"lance/{name}.lance"):
                digests[name] = table_digest(part.open(root, spec), spec)
    return digests


def _output(partition: Partition, digests: Mapping[str, Sequence[str]]) -> str:
    """The outcome's digest, of the digests of each model's tables."""
    return fingerprint_of(partition=partition.key, tables=digests)


def _model(context: Context) -> str | None:
    named = context.options.get("model")
    return str(named) if named else None
