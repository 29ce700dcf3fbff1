"""Draws a judgement: figures with intervals, distances against the truth's, recall. Colours are the page's."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from wxpipe.evaluation.events import distant
from wxpipe.evaluation.figures import COLUMNS
from wxpipe.evaluation.judge import Evaluation
from wxpipe.evaluation.rows import ORACLE, UNTRAINED
from wxpipe.plots import Palette, many_axes

HEXAGONS = 42
"""Along a side of a scatter."""
STYLES = ("-", (0, (1, 1)), "-", (0, (4, 1.5)), (0, (4, 1, 1, 1)), "-")


def draw_figures(judged: Evaluation, palette: Palette) -> Figure:
    """A panel a figure, a row a line: the figure and its interval; 1 is perfect."""
    rows = list(judged.rows.values())
    figure, panels = many_axes(palette, 0.7 + 0.44 * len(rows) * 2, 2, 3)
    for n, (axes, column) in enumerate(zip(panels, COLUMNS, strict=True)):
        for y, row in enumerate(rows):
            found, colour = row.figures[column.name], _colour(judged, row.name, palette)
            if found.value is None:
                continue
            if found.low is not None and found.high is not None:
                axes.plot([found.low, found.high], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
            axes.plot([found.value], [y], color=colour, marker="o", markersize=5)
        axes.axvline(1, color=palette.line, linewidth=1)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), [row.name for row in rows] if n % 3 == 0 else [""] * len(rows))
        axes.set_title(column.head, color=palette.ink, fontsize=9.5, loc="left")
        axes.grid(axis="x", color=palette.line, linewidth=0.6)
        axes.set_xlim(right=1.03)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    return figure


def draw_scatter(judged: Evaluation, palette: Palette) -> Figure:
    """Distances of vectors against the truth's, for pairs of distant events: darker where more pairs are."""
    shown = [name for name in (UNTRAINED, judged.model_row) if name in judged.rows]
    figure, panels = many_axes(palette, 3.6, 1, 2)
    pairs = np.nonzero(np.triu(distant(judged.clips.starts, judged.events), k=1))
    for axes, name in zip(panels, shown, strict=False):
        _hexagons(axes, judged.truth[pairs], judged.rows[name].distances[pairs], _colour(judged, name, palette))
        found = judged.rows[name].figures["pearson_distant"].value
        title = name if found is None else f"{name}: Pearson {found:.3f}"
        axes.set_title(title, color=palette.ink, fontsize=9.5, loc="left")
        axes.set_xlabel("ground-truth distance", color=palette.soft, fontsize=9)
        axes.set_ylabel("distance of vectors", color=palette.soft, fontsize=9)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    return figure


def draw_recall(judged: Evaluation, palette: Palette) -> Figure:
    """Recall@k by k, and what answers drawn at random reach."""
    figure, (axes,) = many_axes(palette, 3.2)
    depths = np.arange(1, len(judged.by_chance) + 1)
    for style, row in zip(STYLES, judged.rows.values(), strict=False):
        if row.name == ORACLE:
            continue  # 1 everywhere
        axes.plot(depths, row.recall, color=_colour(judged, row.name, palette), linewidth=1.8, linestyle=style,
                  label=row.name)  # fmt: skip
    axes.plot(depths, judged.by_chance, color=palette.alarm, linewidth=1, linestyle=":", label="by chance")
    axes.set_ylim(0, 1.02)
    axes.set_xlim(1, max(2, depths[-1]))
    axes.set_xlabel("k, neighbours that are asked for", color=palette.soft, fontsize=9)
    axes.set_ylabel("recall@k", color=palette.soft, fontsize=9)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9, labelcolor=palette.ink,
                handlelength=2.6)  # fmt: skip
    return figure


def _hexagons(axes: Axes, x: Any, y: Any, colour: str) -> None:
    cells = axes.hexbin(x, y, gridsize=HEXAGONS, mincnt=1, linewidths=0)
    counts = np.asarray(cells.get_array(), float)
    strength = 0.12 + 0.88 * np.log1p(counts) / np.log1p(counts.max(initial=1))
    # One colour and its opacity, and no colour map: it then fits a light page and a dark one.
    cells.set_array(None)
    cells.set_facecolor([(*to_rgba(colour)[:3], float(share)) for share in strength])
    cells.set_edgecolor("none")


def _colour(judged: Evaluation, name: str, palette: Palette) -> str:
    if name == judged.model_row:
        return palette.full
    return palette.part if name == UNTRAINED else palette.soft
