"""What a run trained, told for whoever asked for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wxpipe.pipeline.events import Result
from wxpipe.store.root import Root


@dataclass(frozen=True)
class Training:
    """A model that a run made.

    Attributes:
        text: Markdown: what it learned from and what it reached, with its curve as a picture within.
        epochs: a row an epoch; none where nothing was learned.
    """

    source: str
    model: str
    text: str
    epochs: tuple[dict[str, Any], ...]


def trainings_of(root: Root, results: Sequence[Result]) -> list[Training]:
    """The models that the results of a run speak of, by source."""
    from wxpipe.embedding.curves import describe_training, epoch_rows, read_history
    from wxpipe.embedding.train_stage import current_model

    sources = sorted({r.partition.name for r in results if r.stage == "train" and r.state == "done"})
    found = []
    for source in sources:
        model = current_model(root, source)
        trained = bool(next(r.counts["trained"] for r in results if r.stage == "train" and r.partition.name == source))
        epochs = epoch_rows(read_history(root, model)) if trained else []
        found.append(Training(source, model, describe_training(root, model), tuple(epochs)))
    return found
