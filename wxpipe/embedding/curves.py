"""How a training went, for a person: its losses by epoch as a picture, as rows, and told in Markdown."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from wxpipe.embedding.cards import ModelCard
from wxpipe.embedding.history import TrainingHistory
from wxpipe.embedding.train_stage import HISTORY, model_folder, read_model_card
from wxpipe.errors import NotFoundError
from wxpipe.store.root import Root

BARS = "▁▂▃▄▅▆▇█"
GREY, BLUE, RED = "#8a8f98", "#1f6feb", "#b3402a"


def read_history(root: Root, model: str) -> TrainingHistory:
    """A trained model's history.

    Raises:
        NotFoundError: there is none: an untrained projection learned nothing.
    """
    try:
        return TrainingHistory.from_document(json.loads(root.objects.get(f"{model_folder(model)}/{HISTORY}")))
    except NotFoundError as error:
        raise NotFoundError(f"model {model or '(none)'} has no history of training: nothing was learned") from error


def draw_curves(root: Root, model: str, path: str | Path) -> None:
    """Writes a PNG of training and validation loss by epoch: the kept epoch marked, and where training stopped early.

    Raises:
        NotFoundError: as `read_history`.
    """
    Path(path).write_bytes(curve_picture(read_history(root, model), model))


def curve_picture(history: TrainingHistory, title: str) -> bytes:
    """A PNG of the losses by epoch, 960 x 540."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    records, best = history.records, history.best
    learned = [(r.epoch, r.train_loss) for r in records if r.train_loss is not None]
    marker = "." if len(records) <= 30 else ""
    axes.plot([e for e, _ in learned], [loss for _, loss in learned], color=GREY, marker=marker, label="training")
    axes.plot([r.epoch for r in records], [r.validation_loss for r in records], color=BLUE, marker=marker,
              label="validation")  # fmt: skip
    axes.axvline(best.epoch, color=BLUE, linewidth=0.8, linestyle=":")
    axes.scatter([best.epoch], [best.validation_loss], color=BLUE, zorder=3,
                 label=f"kept: epoch {best.epoch}, {best.validation_loss:.4f}")  # fmt: skip
    if history.stopped_early:
        last = records[-1].epoch
        axes.axvline(last, color=RED, linewidth=1, linestyle="--",
                     label=f"stopped early: none better in {last - best.epoch} epochs")  # fmt: skip
    axes.set(xlabel="epoch (0: untrained)", ylabel="log-ratio loss", title=f"{title}  ({_end(history)})")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(y=0.15)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def epoch_rows(history: TrainingHistory) -> list[dict[str, Any]]:
    """A row an epoch: its losses, its seconds, and whether its weights were kept."""
    return [
        {
            "epoch": record.epoch,
            "training": None if record.train_loss is None else round(record.train_loss, 6),
            "validation": round(record.validation_loss, 6),
            "seconds": round(record.seconds, 2),
            "kept": "kept" if record.epoch == history.best_epoch else "",
        }
        for record in history.records
    ]


def describe_training(root: Root, model: str) -> str:
    """A trained model in Markdown: what it learned from, what it reached, and its curve as a picture within the text.

    An untrained projection is described as one.

    Raises:
        NotFoundError: there is no such model.
    """
    card = read_model_card(root, model)
    if not card.trained:
        return f"## {card.source}: `{model}`\n\nNothing was learned, for want of days to split: a random projection."
    history = read_history(root, model)
    rows = "\n".join(f"| {name} | {value} |" for name, value in _facts(card, history))
    validation = [record.validation_loss for record in history.records]
    picture = b64encode(curve_picture(history, model)).decode()
    return (
        f"## {card.source}: `{model}`\n\n| what | value |\n|---|---|\n{rows}\n\n"
        f"Validation by epoch: `{sparkline(validation)}`\n\n![losses by epoch](data:image/png;base64,{picture})\n"
    )


def sparkline(values: Sequence[float]) -> str:
    """Values as bars of eight heights, the lowest value the lowest bar."""
    low, high = min(values), max(values)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in values)


def _facts(card: ModelCard, history: TrainingHistory) -> list[tuple[str, str]]:
    triples = card.data.triples if card.data is not None else {}
    best, metrics = history.best, card.metrics
    return [
        ("triples", ", ".join(f"{count:,} {split}" for split, count in triples.items())),
        ("channels", ", ".join(card.channels)),
        ("validation loss, untrained", f"{history.records[0].validation_loss:.5f}"),
        ("validation loss, best", f"{best.validation_loss:.5f}"),
        ("test loss", f"{metrics['test_loss']:.5f}"),
        ("weights kept", f"epoch {best.epoch} of {history.records[-1].epoch}"),
        ("ended", _end(history)),
        ("seconds", f"{sum(record.seconds for record in history.records):.0f}"),
    ]


def _end(history: TrainingHistory) -> str:
    last = history.records[-1].epoch
    return f"stopped early after epoch {last}" if history.stopped_early else f"all {last} epochs"
