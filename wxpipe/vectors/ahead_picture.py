"""What came next as one picture: maps of the analogs' cold cloud by hour, and of how it differs from what is usual."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wxpipe.vectors.ahead import Ahead, Moment
from wxpipe.vectors.answer_picture import ALARM, EMPTY, INK, PAPER, SOFT
from wxpipe.vectors.answers import Answer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAPS = 4
WIDTH = 2.6
"""Inches of a map."""


def draw_ahead(answer: Answer, ahead: Ahead, path: str | Path) -> None:
    """Writes a PNG: columns are hours after the end of the analogs, at most four of them."""
    moments = _chosen(ahead.moments)
    figure = _figure(answer, ahead, moments)
    figure.savefig(path, dpi=110, facecolor=PAPER)


def _chosen(moments: tuple[Moment, ...]) -> list[Moment]:
    places = np.unique(np.linspace(len(moments) - 1, 0, min(MAPS, len(moments))).round().astype(int))
    return [moments[place] for place in places.tolist()]


def _figure(answer: Answer, ahead: Ahead, moments: list[Moment]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH * len(moments) + 1.6, 2 * WIDTH + 1.5), layout="constrained")
    axes: Any = figure.subplots(2, len(moments), squeeze=False)
    shares = changes = None
    for column, moment in enumerate(moments):
        above, below = axes[0, column], axes[1, column]
        above.set_title(f"+{moment.hours} h · {moment.analogs} of {len(answer.analogs)} analogs", fontsize=9, color=INK)
        share = _map(ahead, moment.share)
        usual = _map(ahead, moment.usual)
        shares = above.imshow(share, cmap="Blues", vmin=0, vmax=1) if share is not None else shares
        if share is not None and usual is not None:
            changes = below.imshow(share - usual, cmap="RdBu_r", vmin=-1, vmax=1)
        if moment.came is not None:
            above.contour(moment.came.reshape(ahead.grid, ahead.grid), levels=[0.5], colors=ALARM, linewidths=1)
        for each, drawn in ((above, share), (below, changes)):
            _bare(each, drawn is None)
    _bars(figure, axes, shares, changes)
    name = answer.query.id or "a vector"
    figure.suptitle(f"cold cloud after the analogs of {name}", fontsize=12, color=INK, x=0.01, ha="left")
    figure.supxlabel(_words(ahead), fontsize=8, color=SOFT, x=0.01, ha="left")
    return figure


def _map(ahead: Ahead, values: Any) -> Any:
    return None if values is None else values.reshape(ahead.grid, ahead.grid)


def _bare(axes: Any, empty: bool) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor(EMPTY)
    if empty:
        axes.text(0.5, 0.5, "no frames", transform=axes.transAxes, ha="center", va="center", color=SOFT)


def _bars(figure: Figure, axes: Any, shares: Any, changes: Any) -> None:
    for row, drawn, words in ((0, shares, "share of analogs"), (1, changes, "share less the usual one")):
        if drawn is not None:
            bar = figure.colorbar(drawn, ax=axes[row].tolist(), shrink=0.8)
            bar.set_label(words, fontsize=8, color=SOFT)
            bar.ax.tick_params(labelsize=7, colors=SOFT)


def _words(ahead: Ahead) -> str:
    told = f"{ahead.channel}, grey {ahead.grey} and above (not calibrated) in half of a cell; usual: {ahead.compared} "
    return f"{told}{ahead.are}. Red: where it came after the query itself."


def sentence(ahead: Ahead) -> str:
    """For a person: how much of the picture had cold cloud, by hour."""
    told = [
        f"+{moment.hours} h {moment.share.mean():.0%} (usual {moment.usual.mean():.0%})"
        for moment in ahead.moments
        if moment.share is not None and moment.usual is not None
    ]
    return f"cold cloud after the analogs, of the picture: {', '.join(told) or 'no frames'}"
