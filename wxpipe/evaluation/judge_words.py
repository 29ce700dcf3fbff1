"""A judgement in words and numbers, as the terminal and the page show them alike."""

from __future__ import annotations

from datetime import UTC, datetime

from wxpipe.evaluation.bootstrap import PERCENTILES, VERDICTS, Estimate
from wxpipe.evaluation.figures import COLUMNS
from wxpipe.evaluation.judge import Evaluation

SIGN = (
    "Correlations are of distance with distance: 1 is perfect, 0 is nothing. The published figure, -.955, is of "
    "similarity with distance over all pairs of other clips, so it would stand under Pearson, all pairs, as .955."
)

SHARE = f"{PERCENTILES[1] - PERCENTILES[0]:.0f} %"


def number(value: float | None, signed: bool = False) -> str:
    """A figure in three decimals; a dash where nothing can be told. 1 is written only where it is exact."""
    if value is None:
        return "–"
    if value != 1 and abs(value) >= 0.9995:
        return f"{value:.5f}" if abs(value) < 0.999995 else f"{value:.7f}"
    return f"{value:+.3f}" if signed else f"{value:.3f}"


def interval(found: Estimate) -> str:
    """``0.352 to 0.892``; nothing where there is none."""
    if found.low is None or found.high is None:
        return ""
    return f"{found.low:.3f} to {found.high:.3f}"


def short_interval(found: Estimate) -> str:
    """``.35 .89``, for a terminal."""
    if found.low is None or found.high is None:
        return ""
    return " ".join(f"{edge:.2f}".replace("0.", ".", 1) for edge in (found.low, found.high))


def what_was_judged(judged: Evaluation) -> str:
    """One sentence on the clips, events and pairs."""
    clips, events = judged.clips, judged.events
    first, last = (f"{datetime.fromtimestamp(int(clips.starts[n]), UTC):%Y-%m-%d}" for n in (0, -1))
    kind = "visits of regimes" if events.by == "visit" else "UTC days"
    return (
        f"{len(clips):,} of {clips.of:,} clips of {judged.source}, split {judged.settings.split}: {clips.days} days "
        f"from {first} to {last}, {events.count} events ({kind}), {judged.pairs['all']:,} pairs, "
        f"{judged.pairs['distant']:,} of them of distant events."
    )


def what_training_gained(judged: Evaluation) -> str:
    """The key line: each figure by what became of it."""
    if not judged.gains:
        return f"{judged.card.name} is not trained: nothing was gained."
    parts = []
    for verdict in VERDICTS:
        names = [f"{column.head} ({number(judged.gains[column.name].value, signed=True)})"
                 for column in COLUMNS if judged.gains[column.name].verdict == verdict]  # fmt: skip
        if names:
            parts.append(f"{verdict[0].upper()}{verdict[1:]}: {'; '.join(names)}.")
    return " ".join(parts)
