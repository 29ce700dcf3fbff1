"""What a root covers as one page of HTML: a map of every day, the holes with their reasons and remedies, progress."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from wxpipe.archive.analysis_words import days_text, duration, percent
from wxpipe.pages import document, table
from wxpipe.pipeline.coverage import Coverage, Fate, Work, lag_of
from wxpipe.pipeline.coverage_holes import Hole, Trouble, all_holes, pauses_of, troubles_of
from wxpipe.pipeline.coverage_plots import (
    COLOURS,
    NOT_YET,
    PAUSE,
    SLOT_DAYS,
    WORK_COLOURS,
    draw_days,
    draw_slots,
    draw_stages,
    kinds_in,
)
from wxpipe.pipeline.coverage_words import (
    ARCHIVE,
    FATES,
    WORKS,
    Place,
    Remedy,
    detail_of,
    missing_of,
    pause_words,
    reason_of_hole,
    reason_of_trouble,
    remedy_of,
    remedy_of_trouble,
)
from wxpipe.pipeline.status import Survey
from wxpipe.plots import VARIABLES, svg
from wxpipe.store.quarantine import Record

SHOWN = 60
"""Holes that have a row of their own; shorter ones are counted."""
EXAMPLES = 2
ARCHIVE_WORDS = f" {ARCHIVE} stands for the archive: a folder or an s3:// URL."
OWN_STYLE = f"""
.legend {{ display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: .5rem 0; }}
.legend i {{ display: inline-block; width: .9em; height: .9em; margin-right: .4em; vertical-align: -.1em;
  border: 1px solid var(--line); }}
.holes td, .holes th {{ white-space: normal; text-align: left; }} .holes td.n {{ white-space: nowrap; }}
.holes td {{ padding-bottom: .5rem; }} .holes code {{ display: block; margin-top: .2rem; white-space: pre-wrap; }}
code {{ font: .8rem ui-monospace, monospace; background: var(--pale); padding: .1rem .3rem; overflow-wrap: anywhere; }}
tr:target {{ outline: 2px solid var(--alarm); }} td small {{ display: block; color: var(--soft);
  overflow-wrap: anywhere; }}
{"".join(f".c{kind + 1} {{ background: {colour}; }}" for kind, colour in COLOURS.items())}
{"".join(f".w{work} {{ background: {colour}; }}" for work, colour in WORK_COLOURS.items())}
.w{Work.NONE} {{ background: {NOT_YET}; }} .c{Fate.NOTHING + 1} {{ background: transparent; }}
"""


@dataclass(frozen=True)
class Covered:
    """What the page is made of.

    Attributes:
        quarantine: records of what was put aside, by source.
        differences: what does not reconcile, in words.
    """

    place: Place
    coverages: Sequence[Coverage]
    troubles: Sequence[Trouble]
    quarantine: Mapping[str, Sequence[Record]]
    differences: Sequence[str]
    release: int | None
    when: datetime

    @cached_property
    def holes(self) -> list[Hole]:
        """Longest first."""
        return all_holes(self.coverages)


def covered_by(found: Survey, archive: str = ARCHIVE) -> Covered:
    """What a survey of a root makes of its page."""
    root = found.root
    quarantine: dict[str, list[Record]] = {}
    for _, source, _, record in root.quarantine.all():
        quarantine.setdefault(source, []).append(record)
    return Covered(
        Place(root.url, archive), found.coverages, troubles_of(found.coverages, found.plan), quarantine,
        [str(difference) for difference in found.differences], found.release, found.when,
    )  # fmt: skip


def page(covered: Covered) -> str:
    """The whole page."""
    numbered = dict(enumerate(covered.holes[:SHOWN], 1))
    return document(
        f"What {covered.place.root} covers",
        [
            f'<p class="soft">As the root was on {covered.when.astimezone(UTC):%Y-%m-%d at %H:%M} UTC. All times are '
            "UTC.</p>",
            *_overview(covered),
            *_map(covered, numbered),
            *_holes(covered, numbered),
            *_pauses(covered),
            *_stages(covered),
            *quarantine_section(covered.quarantine, covered.place.root),
        ],
        OWN_STYLE,
    )


def _overview(covered: Covered) -> Iterator[str]:
    rows = []
    for coverage in covered.coverages:
        counted = {fate: int(days.sum()) for fate, days in coverage.counted().items()}
        lag = lag_of(coverage, covered.when)
        share = percent(coverage.good / coverage.scheduled) if coverage.scheduled else ""
        newest = "none"
        if coverage.newest is not None and lag is not None:
            newest = f"{coverage.newest:%Y-%m-%d %H:%M}<small>{duration(lag / 3600)} ago</small>"
        rows.append(
            [
                f'<a href="#{coverage.source.id}">{_text(coverage.source.id)}</a>',
                days_text(coverage.first_day, coverage.last_day),
                f"{coverage.scheduled:,}",
                f"{counted[Fate.GOOD]:,}<small>{share}</small>",
                *(f"{counted[fate]:,}" for fate in (Fate.MISSING, Fate.QUARANTINED, Fate.WAITING)),
                f"{sum(counted[fate] for fate in (Fate.VANISHED, Fate.STALE, Fate.FAILED)):,}",
                newest,
            ]
        )
    head = ["source", "days", "scheduled slots", "good", "no file came", "quarantined", "not ingested", "other",
            "newest good frame"]  # fmt: skip
    yield table(head, rows)
    yield f"<p>{_release(covered.release)}</p>"
    for difference in covered.differences:
        yield f'<p class="out">does not reconcile: {_text(difference)}</p>'
    if not covered.differences:
        yield '<p class="calm">Every count reconciles with the next.</p>'


def _release(number: int | None) -> str:
    return "No release serves yet." if number is None else f"Release {number} serves."


def _map(covered: Covered, numbered: Mapping[int, Hole]) -> Iterator[str]:
    if not covered.coverages:
        yield '<p class="out">No source has a file yet: scan an archive first.</p>'
        return
    span = min(c.first_day for c in covered.coverages), max(c.last_day for c in covered.coverages)
    yield "<h2>Where the holes are</h2>"
    yield (
        "<p>A row is a year, a bar a day: as high as its scheduled slots, in blue the share that has a good frame, "
        "above it what became of the rest. A single slot is drawn high enough to be seen. Numbers name the longest "
        "holes, in the table below.</p>"
    )
    yield _legend(kinds_in(covered.coverages), any(t.work == Work.FAILED for t in covered.troubles))
    for coverage in covered.coverages:
        mine = {number: hole for number, hole in numbered.items() if hole.source == coverage.source.id}
        satellite = coverage.satellite
        yield f'<h3 id="{coverage.source.id}">{_text(coverage.source.id)}</h3>'
        yield f'<p class="soft">{_text(satellite.title)}, {_text(coverage.source.area.name)}</p>'
        yield f"<figure>{svg(draw_days(coverage, span, mine, VARIABLES))}</figure>"
        if coverage.days <= SLOT_DAYS:
            yield '<p class="soft">The same, a cell a slot:</p>'
            yield f"<figure>{svg(draw_slots(coverage, mine, VARIABLES))}</figure>"


def _legend(kinds: Sequence[int], failed_stage: bool) -> str:
    words = {**{int(fate): f"{name}: {meaning}" for fate, (name, meaning) in FATES.items()},
             PAUSE: "a pause: no file came at a time of the day at which hardly ever one comes"}  # fmt: skip
    items = [f'<span><i class="c{kind + 1}"></i>{_text(words[kind])}</span>' for kind in [*kinds, Fate.NOTHING]]
    if failed_stage and Fate.FAILED not in kinds:
        items.append(f'<span><i class="c{Fate.FAILED + 1}"></i>a line under a day: a later stage failed</span>')
    return f'<div class="legend soft">{"".join(items)}</div>'


def _holes(covered: Covered, numbered: Mapping[int, Hole]) -> Iterator[str]:
    yield "<h2>Holes, longest first</h2>"
    failed = [trouble for trouble in covered.troubles if trouble.work == Work.FAILED]
    if not covered.holes and not failed:
        yield '<p class="calm">None: every scheduled slot has a good frame.</p>'
        return
    yield (
        '<p class="soft">A hole is a stretch of slots without a good frame, for one reason; a good slot or two may lie '
        f"within.{ARCHIVE_WORDS if covered.place.archive == ARCHIVE else ''}</p>"
    )
    rows = [trouble_row(trouble, covered.place) for trouble in failed]
    rows += [hole_row(number, hole, covered.place) for number, hole in numbered.items()]
    yield hole_table(rows)
    rest = covered.holes[SHOWN:]
    if rest:
        counted = Counter((hole.source, hole.fate, hole.reason) for hole in rest)
        slots: Counter[tuple[str, Fate, str]] = Counter()
        for hole in rest:
            slots[hole.source, hole.fate, hole.reason] += hole.slots
        yield f"<p>And {len(rest):,} shorter ones:</p>"
        yield table(
            ["source", "why", "holes", "slots"],
            [[_text(key[0]), _text(f"{FATES[key[1]][0]} {key[2]}"), f"{count:,}", f"{slots[key]:,}"]
             for key, count in counted.most_common()],
        )  # fmt: skip


def hole_table(rows: Sequence[str]) -> str:
    """Holes and troubles, out of `hole_row` and `trouble_row`."""
    head = "".join(f"<th>{name}</th>" for name in ("", "source", "from, to", "what is missing", "why, and what to do"))
    return f'<div class="wide"><table class="holes"><tr>{head}</tr>{"".join(rows)}</table></div>'


def hole_row(number: int, hole: Hole, place: Place) -> str:
    cells = (
        f"<strong>{number}</strong>",
        _text(hole.source),
        f"{hole.first:%Y-%m-%d %H:%M}<br>{hole.last:%Y-%m-%d %H:%M}",
        f"{_text(missing_of(hole))}<small>{duration(hole.hours)} in all</small>",
        _why(reason_of_hole(hole), detail_of(hole), remedy_of(hole, place)),
    )
    return f'<tr id="hole-{number}">{_cells(cells)}</tr>'


def trouble_row(trouble: Trouble, place: Place) -> str:
    days = f"{trouble.days:,} {'day' if trouble.days == 1 else 'days'} of {trouble.stage}" if trouble.days else ""
    between = "<br>".join(str(day) for day in (trouble.first, trouble.last) if day is not None)
    sign = "<strong>!</strong>" if trouble.work == Work.FAILED else ""
    why = _why(reason_of_trouble(trouble), trouble.error, remedy_of_trouble(trouble, place))
    return f"<tr>{_cells((sign, _text(trouble.source), between, _text(days), why))}</tr>"


def _cells(cells: Sequence[str]) -> str:
    return "".join(f'<td class="n">{cell}</td>' if n < 4 else f"<td>{cell}</td>" for n, cell in enumerate(cells))


def _why(reason: str, detail: str, remedy: Remedy) -> str:
    said = f"<strong>{_text(reason)}</strong>" + (f"<small>{_text(detail)}</small>" if detail else "")
    return f"{said}<div>{_text(remedy.words)}<code>{_text(remedy.command)}</code></div>"


def _pauses(covered: Covered) -> Iterator[str]:
    pauses = [pause for coverage in covered.coverages for pause in pauses_of(coverage)]
    if pauses:
        yield "<h2>Pauses</h2>"
        yield from (f"<p>{_text(pause_words(pause))}</p>" for pause in pauses)


def _stages(covered: Covered) -> Iterator[str]:
    if not covered.coverages:
        return
    yield "<h2>Progress by stage and month</h2>"
    words = {**{int(work): name for work, (name, _) in WORKS.items()}}
    there = [work for work in [*WORK_COLOURS, Work.NONE] if _occurs(covered, work)]
    items = [f'<span><i class="w{work}"></i>{_text(words[work])}</span>' for work in there]
    yield f'<div class="legend soft">{"".join(items)}</div>'
    for coverage in covered.coverages:
        yield f"<h3>{_text(coverage.source.id)}</h3>"
        yield f"<figure>{svg(draw_stages(coverage, VARIABLES))}</figure>"
    others = [t for t in covered.troubles if t.work != Work.FAILED]
    if others:
        yield "<h3>What is due</h3>"
        yield hole_table([trouble_row(trouble, covered.place) for trouble in others[:SHOWN]])


def _occurs(covered: Covered, work: int) -> bool:
    return any((states == work).any() for coverage in covered.coverages for states in coverage.work.values())


def quarantine_section(
    quarantine: Mapping[str, Sequence[Record]], root: str, title: str = "What was put aside, by reason"
) -> Iterator[str]:
    """What was put aside, by source and reason, with examples."""
    yield f"<h2>{title}</h2>"
    groups: dict[tuple[str, str], list[Record]] = {}
    for source, records in quarantine.items():
        for record in records:
            if record.kind == "quarantined":
                groups.setdefault((source, record.reason), []).append(record)
    if not groups:
        yield '<p class="calm">Nothing.</p>'
        return
    rows = [
        [_text(source), _text(reason), f"{len(found):,}", "".join(_example(record) for record in found[:EXAMPLES])]
        for (source, reason), found in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    yield table(["source", "reason", "files", '<span class="text">examples</span>'], rows)
    command = f'wxpipe sql --root {root} "SELECT reason, path, expected, found FROM quarantine"'
    yield f'<p class="soft">All of them: <code>{_text(command)}</code></p>'


def _example(record: Record) -> str:
    said = f"expected {record.expected or '–'}, found {record.found or '–'}"
    return f'<div class="path">{_text(record.path)}<small>{_text(said)}</small></div>'


def _text(words: str) -> str:
    return html.escape(words)
