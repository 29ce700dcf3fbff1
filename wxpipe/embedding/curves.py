"""How a training went: its losses by epoch, kept beside the model, and drawn for a person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wxpipe.embedding.train_stage import HISTORY, model_folder
from wxpipe.errors import NotFoundError
from wxpipe.store.root import Root


def read_history(root: Root, model: str) -> dict[str, Any]:
    """A trained model's history.

    Raises:
        NotFoundError: there is none: an untrained projection learned nothing.
    """
    try:
        document: dict[str, Any] = json.loads(root.objects.get(f"{model_folder(model)}/{HISTORY}"))
    except NotFoundError as error:
        raise NotFoundError(f"model {model or '(none)'} has no history of training: nothing was learned") from error
    return document


def draw_curves(root: Root, model: str, path: str | Path) -> None:
    """Writes a PNG of training and validation loss by epoch, the kept epoch marked.

    Raises:
        NotFoundError: as `read_history`.
    """
    from matplotlib.figure import Figure

    history = read_history(root, model)
    records = history["records"]
    best = records[history["best_epoch"]]
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    learned = [r for r in records if r["train_loss"] is not None]
    axes.plot([r["epoch"] for r in learned], [r["train_loss"] for r in learned], color="#8a8f98", label="training")
    axes.plot([r["epoch"] for r in records], [r["validation_loss"] for r in records], color="#1f6feb",
              label="validation")  # fmt: skip
    kept = (best["epoch"], best["validation_loss"])
    axes.scatter([kept[0]], [kept[1]], color="#1f6feb", zorder=3)
    axes.annotate(f"kept: epoch {kept[0]}, {kept[1]:.4f}", kept, (8, -16), textcoords="offset points")
    end = "stopped early" if history["stopped_early"] else "all epochs"
    axes.set(xlabel="epoch (0: untrained)", ylabel="log-ratio loss", title=f"{model}  ({end})")
    axes.margins(y=0.15)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(path)
