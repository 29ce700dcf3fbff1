"""An answer on one sheet, A4 across, as PNG or PDF: what a forecaster takes into a briefing.

The query's strip of pictures above those of its best analogs, how good they are, what came next as maps, what happened,
and by what it was all found. matplotlib draws it; its text is Latin, since no other font can be counted on.
"""

from __future__ import annotations

import io
import textwrap
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from wxpipe.errors import NotFoundError
from wxpipe.satellites.catalog import Source
from wxpipe.service.images import Look, missing, pictures
from wxpipe.store.frames import FrameStore, frame_store
from wxpipe.store.root import Root
from wxpipe.vectors.ahead import Ahead
from wxpipe.vectors.answers import Answer, Quality
from wxpipe.vectors.ground_truth import slots_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SheetForm = Literal["png", "pdf"]
WIDTH, HEIGHT, EDGE = 11.69, 8.27, 0.4
"""Inches: A4 across, and the margin."""
LABEL, PICTURE, GAP, SPLIT = 1.35, 0.93, 0.05, 7.65
"""Inches: the label beside a strip, a picture, the space between two, and where the right part begins."""
ANALOGS, PICTURES, EVENTS = 5, 6, 6
"""Of each at most so many."""
LEADS = (6, 12, 24)
DPI = 150
INK, SOFT, ALARM, EMPTY, QUERY = "#14202b", "#51606e", "#9c2a0b", "#e4e9ee", "#e8eff7"
LESS, NONE, MORE = "#2b6cb0", "#f7f7f7", "#d9590f"
LOCAL = ZoneInfo("Asia/Seoul")
_DRAWING = threading.Lock()
"""matplotlib's fonts are not made for several threads."""


@dataclass(frozen=True)
class Briefing:
    """What is on the sheet.

    Attributes:
        channel: that pictures are shown in; `rgb` for the composite.
        link: to the page, with the same question.
        ahead: the ensemble; None where it cannot be told, and ``why``.
    """

    answer: Answer
    channel: str
    link: str
    ahead: Ahead | None = None
    why: str = ""
    made: datetime = field(default_factory=lambda: datetime.now(UTC))


def draw_briefing(root: Root, briefing: Briefing, form: SheetForm) -> bytes:
    """The sheet as a file."""
    store = frame_store(root, root.source(briefing.answer.source))
    with _DRAWING:
        sheet = _Sheet.blank()
        _head(sheet, store.source, briefing)
        _strips(sheet, root, store, briefing)
        below = _quality(sheet, briefing.answer.quality, EDGE + 0.62)
        below = _ahead(sheet, store.source, briefing, below + 0.14)
        _events(sheet, briefing.answer, below + 0.14)
        _foot(sheet, store.source, briefing)
        sink = io.BytesIO()
        sheet.figure.savefig(sink, format=form, dpi=DPI, metadata={"Title": "Analogs of past weather"})
    return sink.getvalue()


@dataclass(frozen=True)
class _Sheet:
    """A page that is drawn on in inches from its upper left corner."""

    figure: Figure

    @classmethod
    def blank(cls) -> _Sheet:
        from matplotlib.figure import Figure

        return cls(Figure(figsize=(WIDTH, HEIGHT), facecolor="#ffffff"))

    def text(self, x: float, y: float, text: str, size: float = 8, **look: Any) -> None:
        """One line; what is no Latin letter is a question mark, and a dollar is a dollar."""
        shown = " ".join(text.split()).encode("latin-1", "replace").decode("latin-1")
        self.figure.text(
            x / WIDTH, 1 - y / HEIGHT, shown, fontsize=size, va="top", parse_math=False, **{"color": INK, **look}
        )

    def lines(self, x: float, y: float, text: str, width: float, size: float = 8, **look: Any) -> float:
        """Text in lines of a width; returns where the next line would be."""
        for line in textwrap.wrap(text, max(10, int(width * 128 / size))):
            self.text(x, y, line, size, **look)
            y += size * 0.0185
        return y

    def axes(self, x: float, y: float, wide: float, high: float) -> Any:
        place = (x / WIDTH, 1 - (y + high) / HEIGHT, wide / WIDTH, high / HEIGHT)
        made = self.figure.add_axes(place, xticks=[], yticks=[], facecolor=EMPTY)
        for spine in made.spines.values():
            spine.set(color=EMPTY, linewidth=0.6)
        return made

    def band(self, y: float, high: float, wide: float) -> None:
        axes = self.axes(EDGE - 0.08, y, wide, high)
        axes.set(facecolor=QUERY, zorder=-1)


def _head(sheet: _Sheet, source: Source, briefing: Briefing) -> None:
    answer = briefing.answer
    sheet.text(EDGE, EDGE, "Which past weather looked like this, and what came next?", 14, weight="bold")
    begins = answer.query.start
    when = "" if begins is None else f"{begins:%Y-%m-%d %H:%M} UTC = {begins.astimezone(LOCAL):%Y-%m-%d %H:%M} KST"
    sheet.text(EDGE, EDGE + 0.3, f"{source.satellite.title}, {source.area.name}   {when}", 9.5, color=SOFT)
    sheet.text(
        WIDTH - EDGE, EDGE + 0.04, f"made {briefing.made:%Y-%m-%d %H:%M} UTC", 8, color=SOFT, ha="right"
    )  # fmt: skip


def _strips(sheet: _Sheet, root: Root, store: FrameStore, briefing: Briefing) -> None:
    """The query's row, and a row an analog: a label and some pictures from first to last."""
    answer = briefing.answer
    query, analogs = answer.query, answer.analogs[:ANALOGS]
    rows: list[tuple[str, datetime, tuple[str, ...]]] = []
    if query.id is not None and query.start is not None:
        rows.append((query.id, query.start, ("Query",)))
    rows += [(analog.id, analog.start, _label(analog.rank, analog.similarity, analog.distance)) for analog in analogs]
    epochs = {name: int(start.timestamp()) for name, start, _ in rows}
    slots = slots_of(root, store.source, answer.unit, epochs)
    shape = store.source.area.reduced_shape
    high = min(PICTURE * shape[0] / shape[1], 0.93)
    y = EDGE + 0.72
    for name, start, label in rows:
        if label == ("Query",):
            sheet.band(y - 0.06, high + 0.3, SPLIT - EDGE)
        times = (f"{start:%Y-%m-%d}", f"{start:%H:%M} UTC", f"{start.astimezone(LOCAL):%H:%M} KST")
        for number, text in enumerate((label[0], *times, *label[1:])):
            sheet.text(EDGE, y + number * 0.15, text, 9.5 if not number else 8, weight="normal" if number else "bold")
        _strip(sheet, store, [int(slot) for slot in slots.get(name, [])], briefing.channel, (y, high))
        y += high + 0.29
    if not analogs:
        sheet.text(EDGE, y + 0.1, "No analog satisfies the filter.", 11, color=ALARM, weight="bold")


def _label(rank: int, similarity: float | None, distance: float) -> tuple[str, ...]:
    known = "similarity not known" if similarity is None else f"similarity {similarity:.3f}"
    return f"Analog {rank}", known, f"distance {distance:.4g}"


def _strip(sheet: _Sheet, store: FrameStore, slots: Sequence[int], channel: str, place: tuple[float, float]) -> None:
    y, high = place
    places = np.linspace(0, len(slots) - 1, PICTURES).round().astype(int)
    chosen = [slots[n] for n in np.unique(places)] if slots else []
    found: Sequence[npt.NDArray[np.uint8] | None] = [None] * len(chosen)
    if chosen:
        try:
            gone = missing(store, chosen, channel)
            drawn = pictures(store, chosen, Look(channel, "png", False, store.source.area.reduced_shape[1]))
            found = [None if number in gone else picture for number, picture in enumerate(drawn)]
        except NotFoundError:
            pass  # none of them is stored, and each place says so
    for number, (slot, picture) in enumerate(zip(chosen, found, strict=True)):
        x = EDGE + LABEL + number * (PICTURE + GAP)
        axes = sheet.axes(x, y, PICTURE, high)
        if picture is None:
            axes.text(0.5, 0.5, "no picture", ha="center", va="center", color=SOFT, fontsize=7)
        else:
            axes.imshow(picture, cmap="gray", vmin=0, vmax=255, aspect="auto", interpolation="antialiased")
        sheet.text(
            x + PICTURE / 2, y + high + 0.03, f"{store.axis.time(slot):%d %b %H:%M}", 6.5, color=SOFT, ha="center"
        )


def _quality(sheet: _Sheet, quality: Quality, y: float) -> float:
    """The sentence and the table of what such analogs were worth; returns where they end."""
    x, width = SPLIT + 0.15, WIDTH - EDGE - SPLIT - 0.15
    sheet.text(x, y, "How good is this?", 10, weight="bold")
    bad = quality.good is False
    sentence = quality.sentence()
    y = sheet.lines(x, y + 0.2, sentence[:1].upper() + sentence[1:] + ".", width, 8.5 if bad else 8,
                    color=ALARM if bad else INK, weight="bold" if bad else "normal")  # fmt: skip
    known = [coming for coming in quality.after if coming.mean is not None]
    if known:
        y = sheet.lines(x, y + 0.03, "After such analogs, similarity to what came:", width, 8, color=SOFT)
        for coming in known:
            chance = "" if coming.by_chance is None else f", by chance {coming.by_chance:.2f}"
            sheet.text(x, y, f"+{coming.hours} h   {coming.mean:.2f}{chance}", 8)
            y += 0.15
    return y


def _ahead(sheet: _Sheet, source: Source, briefing: Briefing, y: float) -> float:
    """Maps of the difference between the analogs' and the usual share of cold cloud; returns where they end."""
    x, width = SPLIT + 0.15, WIDTH - EDGE - SPLIT - 0.15
    sheet.text(x, y, "What came next: cold cloud against usual", 10, weight="bold")
    y += 0.2
    ahead = briefing.ahead
    moments = [] if ahead is None else [moment for moment in ahead.moments if moment.hours in LEADS]
    if ahead is None or not any(moment.share is not None for moment in moments):
        return sheet.lines(x, y, f"Not known: {briefing.why or 'nothing came next in the archive'}.", width, color=SOFT)
    wide = (width - 0.2) / len(LEADS)
    high = min(wide * source.area.rows / source.area.columns, 1.3)
    for number, moment in enumerate(moments):
        left = x + number * (wide + 0.1)
        axes = sheet.axes(left, y, wide, high)
        if moment.share is not None and moment.usual is not None:
            difference = (moment.share - moment.usual).reshape(ahead.grid, ahead.grid)
            axes.imshow(difference, cmap=_colours(), vmin=-0.5, vmax=0.5, aspect="auto", interpolation="nearest")
        if moment.came is not None and moment.came.any() and not moment.came.all():
            axes.contour(moment.came.reshape(ahead.grid, ahead.grid), levels=[0.5], colors=INK, linewidths=0.7)
        sheet.text(left, y + high + 0.04, f"+{moment.hours} h, {moment.analogs} analogs", 7.5)
    y += high + 0.24
    _legend(sheet, x, y, width)
    told = f"against {ahead.compared} {ahead.are}" + (
        "; outlined: where it came after the query itself" if any(m.came is not None for m in moments) else ""
    )
    return sheet.lines(x, y + 0.27, told, width, 7, color=SOFT)


def _legend(sheet: _Sheet, x: float, y: float, width: float) -> None:
    ramp = sheet.axes(x, y, width, 0.08)
    ramp.imshow(np.linspace(-0.5, 0.5, 101)[None], cmap=_colours(), aspect="auto")
    sheet.text(x, y + 0.11, "rarer (-50 %)", 7, color=SOFT)
    sheet.text(x + width / 2, y + 0.11, "as usual", 7, color=SOFT, ha="center")
    sheet.text(x + width, y + 0.11, "more often (+50 %)", 7, color=SOFT, ha="right")


def _colours() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("difference", [LESS, NONE, MORE]).with_extremes(bad="#c4ccd4")


def _events(sheet: _Sheet, answer: Answer, y: float) -> None:
    if answer.happened is None:
        return
    x, width = SPLIT + 0.15, WIDTH - EDGE - SPLIT - 0.15
    sheet.text(x, y, "What happened after", 10, weight="bold")
    y += 0.2
    if not answer.happened:
        sheet.text(x, y, "No events are recorded.", color=SOFT)
    for one in answer.happened[:EVENTS]:
        sure = "" if one.interval is None else f" (95 % interval {one.interval[0]:.0%} to {one.interval[1]:.0%})"
        y = sheet.lines(x, y, f"{one.sentence()}{sure}", width, 8) + 0.03
        if y > HEIGHT - 1.05:
            break


def _foot(sheet: _Sheet, source: Source, briefing: Briefing) -> None:
    answer, width = briefing.answer, WIDTH - 2 * EDGE
    trained = "trained" if answer.trained else "NOT TRAINED"
    facts = [f"release {answer.release}", f"model {answer.model} ({trained})", f"index {answer.index}",
             f"pictures: {briefing.channel}", "grey values, not temperatures",
             f"first {ANALOGS} of {len(answer.analogs)} analogs" if len(answer.analogs) > ANALOGS else "",
             f"imagery: {source.satellite.imagery}" if source.satellite.imagery else ""]  # fmt: skip
    y = HEIGHT - 0.83
    if answer.warning:
        shown = textwrap.shorten(answer.warning, 195, placeholder=" ...")
        sheet.text(EDGE, y, shown, 7.5, color=ALARM)
    y = sheet.lines(EDGE, y + 0.16, " · ".join(part for part in facts if part), width, 7.5, color=SOFT)
    fits = int(width * 128 / 7.5)
    shown = briefing.link if len(briefing.link) <= fits else f"{briefing.link[: fits - 4]} ..."
    sheet.text(EDGE, y + 0.02, shown, 7.5, color=LESS, url=briefing.link)
