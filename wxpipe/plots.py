"""Drawings for pages. Every colour is the page's to choose: a drawing as SVG names them as variables of CSS."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 9.6


@dataclass(frozen=True)
class Palette:
    """Colours of a drawing: text, faint text, grid, and what is whole, in part, or not there."""

    ink: str
    soft: str
    line: str
    full: str
    part: str
    alarm: str


LIGHT = Palette("#17212b", "#5b6773", "#d5dbe1", "#2f6fc4", "#e0a81e", "#c8320c")
DARK = Palette("#e6ebf0", "#9aa7b4", "#36424e", "#5b9bee", "#f2c14e", "#ff6a45")
VARIABLES = Palette("#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04", "#0a0b05", "#0a0b06")
"""Colours that stand for the page's variables of the fields' names, and are replaced by them in an SVG."""


def svg(figure: Figure, palette: Palette = VARIABLES) -> str:
    """A drawing as an SVG element; equal drawings have equal text."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "wxpipe"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    element = text.getvalue()
    element = element[element.index("<svg") :]
    for field in fields(Palette):
        element = element.replace(getattr(palette, field.name), f"var(--{field.name})")
    return element


def many_axes(
    palette: Palette, height: float, rows: int = 1, columns: int = 1, widths: tuple[int, ...] | None = None
) -> tuple[Figure, list[Axes]]:
    """A drawing of some rows and columns of axes, as pages show them; its height in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    grid: Any = figure.subplots(rows, columns, squeeze=False, width_ratios=widths)
    for axes in grid.flat:
        axes.patch.set_visible(False)
        axes.tick_params(colors=palette.soft, labelsize=9)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(palette.line)
        axes.grid(axis="y", color=palette.line, linewidth=0.6)
        axes.set_axisbelow(True)
    return figure, list(grid.flat)
