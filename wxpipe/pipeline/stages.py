"""All stages, in an order in which each comes after what it needs. A new step of the pipeline is a line here."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from wxpipe.errors import UsageError
from wxpipe.store.stage import Stage

STAGES: tuple[tuple[str, str], ...] = (
    ("scan", "wxpipe.archive.scan:Scan"),
    ("ingest", "wxpipe.archive.ingest:Ingest"),
    ("histograms", "wxpipe.similarity.histograms:Histograms"),
    ("clips", "wxpipe.similarity.clip_stage:Clips"),
    ("pairs", "wxpipe.similarity.pairs:Pairs"),
    ("train", "wxpipe.embedding.train_stage:Train"),
    ("embed", "wxpipe.embedding.embed_stage:Embed"),
    ("release", "wxpipe.vectors.release:Release"),
)
"""(name, where it is): imported when asked for, so that a plan does not load torch, nor a worker LanceDB."""

NAMES = tuple(name for name, _ in STAGES)


@cache
def get_stage(name: str) -> Stage:
    """The stage of a name.

    Raises:
        UsageError: unknown; lists the known ones.
    """
    places = dict(STAGES)
    if name not in places:
        raise UsageError(f"no stage {name!r}; there are {', '.join(NAMES)}")
    module, _, attribute = places[name].partition(":")
    stage: Stage = getattr(import_module(module), attribute)()
    return stage


def chosen(names: tuple[str, ...]) -> tuple[str, ...]:
    """The named stages in the pipeline's order; all of them where none is named.

    Raises:
        UsageError: an unknown name.
    """
    for name in names:
        get_stage(name)
    return tuple(name for name in NAMES if not names or name in names)


def from_on(name: str) -> tuple[str, ...]:
    """A stage and all after it."""
    return NAMES[NAMES.index(name) :]
