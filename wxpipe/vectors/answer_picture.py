"""An answer as one picture for a person: the query's row above its analogs' rows, each a few pictures of its hours."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from wxpipe.satellites.catalog import Source
from wxpipe.store.frames import frame_store
from wxpipe.store.root import Root
from wxpipe.vectors.answer_marks import Marks, draw_marks, marks_of
from wxpipe.vectors.answers import Analog, Answer, Query, shift_text
from wxpipe.vectors.fresh_pictures import FreshPictures
from wxpipe.vectors.ground_truth import slots_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOCAL = ZoneInfo("Asia/Seoul")
PICTURES = 5
ANALOGS = 5
LABEL, PICTURE, GAP, HEAD, CAPTION, FOOT, EDGE = 190, 250, 6, 82, 20, 34, 16
"""Pixels: the label beside a row, a picture's width, the space between, and what is above and below."""
NARROWEST, LINE, LETTER = 1000, 18, 8.2
"""Pixels: of the whole picture, and of a line and a letter of its smaller text."""
INK, SOFT, ALARM, PAPER, EMPTY = "#16202a", "#5b6773", "#b3261e", "#ffffff", "#e4e8ec"


@dataclass(frozen=True)
class Row:
    """One row: its label (the first line is the heading) and its pictures with their captions."""

    label: tuple[str, ...]
    pictures: tuple[npt.NDArray[np.uint8] | None, ...]
    captions: tuple[str, ...]
    query: bool = False
    marks: Marks | None = None


def draw_answer(root: Root, answer: Answer, path: str | Path, analogs: int = ANALOGS) -> None:
    """Writes a PNG of the query and its best analogs: clips over time in one channel, frames in several channels."""
    source = root.source(answer.source)
    channels = _channels(source, answer)
    rows = _marked(root, source, answer, _rows(root, source, channels, answer, analogs))
    figure = _figure(source, channels, answer, rows, analogs)
    figure.savefig(path, dpi=100, facecolor=PAPER)


def _channels(source: Source, answer: Answer) -> tuple[str, ...]:
    """What is shown: of a clip the first channel of the band ``ir``, of a frame all of them, as far as they fit."""
    channels = source.satellite.channels
    if answer.unit == "frame":
        return tuple(channels)[:PICTURES]
    return (next((name for name, channel in channels.items() if channel.band == "ir"), next(iter(channels))),)


def _rows(root: Root, source: Source, channels: tuple[str, ...], answer: Answer, analogs: int) -> list[Row]:
    shown = answer.analogs[:analogs]
    epochs = {analog.id: int(analog.start.timestamp()) for analog in shown}
    asked = [(one.id, one.start) for one in answer.query.examples] or [(answer.query.id, answer.query.start)]
    epochs |= {name: int(start.timestamp()) for name, start in asked if name is not None and start is not None}
    slots = slots_of(root, source, answer.unit, epochs)

    def row(name: str, label: tuple[str, ...], query: bool = False) -> Row:
        chosen = _spread(slots.get(name, np.empty(0, np.int64)))
        pictures, captions = _pictures(root, source, channels, chosen)
        return Row(label, pictures, captions, query)

    rows: list[Row] = []
    for name, label in _asked_labels(answer.query):
        fresh = answer.query.pictures if not rows else None
        if fresh is not None:
            rows.append(Row(label, *_fresh_pictures(source, fresh, channels), query=True))
        elif name is not None:
            rows.append(row(name, label, query=True))
    return [*rows, *(row(analog.id, _label(analog, answer.rerank)) for analog in shown)]


def _marked(root: Root, source: Source, answer: Answer, rows: list[Row]) -> list[Row]:
    """Rows with the cells by which they were found, where it was by some alone."""
    if not answer.cells:
        return rows
    shifts = [(0, 0)] * any(row.query for row in rows) + [analog.shift or (0, 0) for analog in answer.analogs]
    return [
        replace(row, marks=marks_of(root, source, answer.cells, shift))
        for row, shift in zip(rows, shifts, strict=False)
    ]


def _asked_labels(query: Query) -> list[tuple[str | None, tuple[str, ...]]]:
    """The identity and the label of what was looked for, or of each of several examples."""
    times = () if query.start is None else _times(query.start, query.end)
    if not query.examples:
        return [(query.id, ("Query", *times))]
    return [
        (one.id, ("Like" if one.weight > 0 else "Unlike", *(() if one.start is None else _times(one.start, one.end)),
                  f"weight {abs(one.weight):g}"))
        for one in query.examples
    ]  # fmt: skip


def _fresh_pictures(
    source: Source, fresh: FreshPictures, channels: Sequence[str]
) -> tuple[tuple[npt.NDArray[np.uint8] | None, ...], tuple[str, ...]]:
    """As `_pictures`, of pictures that are in no store."""
    names = list(source.satellite.channels)
    pictures: list[npt.NDArray[np.uint8] | None] = []
    captions = []
    for frame in _spread(np.arange(len(fresh.captions))):
        for channel in channels:
            place = names.index(channel)
            pictures.append(fresh.reduced[frame, place] if fresh.there[frame, place] else None)
            captions.append(channel if len(channels) > 1 else fresh.captions[frame])
    return tuple(pictures), tuple(captions)


def _label(analog: Analog, measure: str | None) -> tuple[str, ...]:
    truth = "not known" if analog.similarity is None else f"{analog.similarity:.3f}"
    lines = [f"Analog {analog.rank}", *_times(analog.start, analog.end)]
    lines += [f"similarity {truth}", f"distance {analog.distance:.4g}"]
    lines += [f"{measure} {analog.score:.4g}"] if analog.score is not None and analog.score != analog.similarity else []
    if analog.shift is not None and any(analog.shift):
        lines.append(f"{shift_text(analog.shift)} (cells)")
    if len(analog.episode) > 1:
        lines.append(f"stands for {len(analog.episode)} that overlap")
    return tuple(lines)


def _times(start: datetime, end: datetime | None) -> tuple[str, ...]:
    local = start.astimezone(LOCAL)
    if end is None:
        return f"{start:%Y-%m-%d}", f"{start:%H:%M} UTC", f"{local:%H:%M} KST"
    last = end.astimezone(LOCAL)
    return f"{start:%Y-%m-%d}", f"{start:%H:%M} to {end:%H:%M} UTC", f"{local:%H:%M} to {last:%H:%M} KST"


def _spread(slots: npt.NDArray[np.int64]) -> list[int]:
    """A handful of slots from first to last."""
    if len(slots) <= PICTURES:
        return [int(slot) for slot in slots]
    return [int(slots[n]) for n in np.linspace(0, len(slots) - 1, PICTURES).round().astype(int)]


def _pictures(
    root: Root, source: Source, channels: Sequence[str], slots: Sequence[int]
) -> tuple[tuple[npt.NDArray[np.uint8] | None, ...], tuple[str, ...]]:
    """Reduced pictures (None where nothing is stored), and their captions."""
    store = frame_store(root, source)
    pictures: list[npt.NDArray[np.uint8] | None] = []
    captions = []
    for slot in slots:
        stored = store.slots("rows", slot, slot + 1)[0] > 0
        for channel in channels:
            there = bool(stored[store.channels.index(channel)])
            pictures.append(store.reduced([slot], [channel])[0, 0] if there else None)
            captions.append(channel if len(channels) > 1 else f"{store.axis.time(slot):%d %b %H:%M} UTC")
    return tuple(pictures), tuple(captions)


def _figure(source: Source, channels: tuple[str, ...], answer: Answer, rows: Sequence[Row], analogs: int) -> Figure:
    from matplotlib.figure import Figure

    height, width = source.area.reduced_shape
    tall = round(PICTURE * height / width)
    step = max(tall, 124) + CAPTION + 12
    columns = max((len(row.pictures) for row in rows), default=0)
    wide = max(2 * EDGE + LABEL + columns * (PICTURE + GAP), NARROWEST)
    warning = textwrap.wrap(answer.warning, int((wide - 2 * EDGE) / LETTER))
    head = HEAD + LINE * len(warning)
    total = head + step * max(1, len(rows)) + FOOT
    figure = Figure(figsize=(wide / 100, total / 100), dpi=100)
    canvas = _Canvas(figure, wide, total)
    _header(canvas, answer, warning)
    for number, row in enumerate(rows):
        top = head + number * step
        if row.query:
            canvas.band(top - 6, step - 6)
        _draw_row(canvas, row, top, tall)
    if not answer.analogs:
        canvas.text(EDGE, head + step * len(rows) + 4, "No analog satisfies the filter.", 13, ALARM)
    _footer(canvas, source, channels, answer, analogs)
    return figure


@dataclass(frozen=True)
class _Canvas:
    """A figure that is drawn on in pixels from its upper left corner."""

    figure: Any
    width: int
    height: int

    def text(self, x: float, y: float, text: str, size: float = 10, colour: str = INK, weight: str = "normal") -> None:
        place = (x / self.width, 1 - y / self.height)
        self.figure.text(*place, text, fontsize=size, color=colour, weight=weight, va="top", ha="left")

    def picture(
        self, x: float, y: float, tall: float, picture: npt.NDArray[np.uint8] | None, marks: Marks | None
    ) -> None:
        box = (x / self.width, 1 - (y + tall) / self.height, PICTURE / self.width, tall / self.height)
        axes = self.figure.add_axes(box, xticks=[], yticks=[], facecolor=EMPTY)
        for spine in axes.spines.values():
            spine.set(color=EMPTY, linewidth=0.8)
        if picture is None:
            axes.text(0.5, 0.5, "no picture", ha="center", va="center", color=SOFT, fontsize=9)
        else:
            axes.imshow(picture, cmap="gray", vmin=0, vmax=255, aspect="auto", interpolation="antialiased")
            if marks is not None:
                draw_marks(axes, marks, picture.shape)

    def band(self, y: float, tall: float) -> None:
        from matplotlib.patches import Rectangle

        place = (0, 1 - (y + tall) / self.height)
        self.figure.patches.append(
            Rectangle(place, 1, tall / self.height, transform=self.figure.transFigure, color="#eef3f8", zorder=-1)
        )


def _header(canvas: _Canvas, answer: Answer, warning: Sequence[str]) -> None:
    kind = "hours" if answer.unit == "clip" else "moments"
    canvas.text(EDGE, 14, f"Past {kind} of {answer.source} that looked like this", 15, weight="bold")
    trained = "trained" if answer.trained else "NOT TRAINED"
    facts = f"release {answer.release}  ·  model {answer.model} ({trained})  ·  index {answer.index}"
    left_out = f"analogs within {answer.excluded_hours:g} h of the query left out" if answer.excluded_hours else ""
    where = f"{answer.region}, " if answer.region else ""
    within = f"within the outline alone: {where}{len(answer.cells)} cells" if answer.cells else ""
    canvas.text(EDGE, 44, "  ·  ".join(part for part in (within, facts, left_out) if part), 9.5, SOFT)
    for number, line in enumerate(warning):
        canvas.text(EDGE, 66 + number * LINE, line if number else line[0].upper() + line[1:], 9.5, ALARM)


def _draw_row(canvas: _Canvas, row: Row, top: float, tall: float) -> None:
    for line, text in enumerate(row.label):
        heading = line == 0
        y = top + (0 if heading else 8 + line * 18)
        emphasis = text.startswith("similarity")
        canvas.text(EDGE, y, text, 12 if heading else 9.5, INK, "bold" if heading or emphasis else "normal")
    for column, (picture, caption) in enumerate(zip(row.pictures, row.captions, strict=True)):
        x = EDGE + LABEL + column * (PICTURE + GAP)
        canvas.picture(x, top, tall, picture, row.marks)
        canvas.text(x, top + tall + 3, caption, 8.5, SOFT)


def _footer(canvas: _Canvas, source: Source, channels: tuple[str, ...], answer: Answer, analogs: int) -> None:
    credit = source.satellite.imagery
    parts = [
        f"Imagery: {credit}" if credit else "",
        f"{source.satellite.title}, {source.area.name}, {', '.join(channels)}",
    ]
    parts.append("grey values, not temperatures; similarity: ground truth of grid histograms, 0 to 1")
    if len(answer.analogs) > analogs:
        parts.append(f"first {analogs} of {len(answer.analogs)} analogs")
    canvas.text(EDGE, canvas.height - 24, "  ·  ".join(part for part in parts if part), 8.5, SOFT)
