"""The report of a run as one page of HTML: what ran, what failed and why, and whether every count agrees."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from wxpipe.archive.analysis_words import bytes_text
from wxpipe.pages import document, table
from wxpipe.pipeline.accounts import Account, accounts
from wxpipe.pipeline.backfill import Report
from wxpipe.pipeline.coverage import Work
from wxpipe.pipeline.coverage_holes import Trouble, all_holes
from wxpipe.pipeline.coverage_page import OWN_STYLE, hole_row, hole_table, quarantine_section, trouble_row
from wxpipe.pipeline.coverage_words import Place
from wxpipe.pipeline.events import Result
from wxpipe.pipeline.pace import in_words
from wxpipe.pipeline.status import Survey
from wxpipe.store.quarantine import Record

HOLES, FAILURES = 10, 30
"""Of the root's holes, and of the run's failures, so many are shown."""


@dataclass(frozen=True)
class Told:
    """What the page is made of."""

    verb: str
    place: Place
    report: Report
    found: Survey
    began: datetime
    ended: datetime


def page(told: Told) -> str:
    """The whole page."""
    return document(
        f"What this {told.verb} did",
        [
            f'<p class="soft">Over {_text(told.place.root)}, from {_minute(told.began)} to {_minute(told.ended)} UTC.'
            "</p>",
            *_verdict(told),
            *_ran(told.report.results),
            *_failures(told),
            *_accounts(told),
            *_holes(told),
            *quarantine_section(_quarantined(told), told.place.root, "What this run put aside, by reason"),
        ],
        OWN_STYLE,
    )


def _verdict(told: Told) -> Iterator[str]:
    report = told.report
    done = sum(result.state == "done" for result in report.results)
    put_aside = sum(result.quarantined for result in report.results)
    yield (
        f"<p><strong>{done:,} partitions done, {len(report.failed):,} failed; {put_aside:,} files put aside "
        f"({report.quarantined:,} in the root).</strong></p>"
    )
    if report.promoted is not None:
        yield f'<p class="calm">Release {report.promoted} was built, checked, and serves now.</p>'
    elif any(result.stage == "release" and result.state == "done" for result in report.results) and report.failed:
        yield (
            '<p class="out">A release was built, and does not serve, since something failed: '
            f"<code>wxpipe release promote --root {_text(told.place.root)}</code> makes it serve as it is.</p>"
        )
    if report.failed:
        yield (
            '<p class="out">What failed stays open: every further run tries it again. What does not depend on it is '
            "done.</p>"
        )
    for difference in report.differences:
        yield f'<p class="out">does not reconcile: {_text(str(difference))}</p>'
    if not report.differences:
        yield '<p class="calm">Every count reconciles with the next.</p>'


def _ran(results: Sequence[Result]) -> Iterator[str]:
    yield "<h2>What ran</h2>"
    stages = list(dict.fromkeys(result.stage for result in results))
    if not stages:
        yield '<p class="calm">Nothing: all was done already.</p>'
        return
    rows = []
    for stage in stages:
        mine = [result for result in results if result.stage == stage]
        done = [result for result in mine if result.state == "done"]
        seconds = [result.seconds for result in done]
        sources = sorted({result.partition.source or result.partition.key for result in mine})
        days = sorted(str(result.partition.day) for result in mine if result.partition.day is not None)
        rows.append(
            [
                stage,
                f'<span class="text">{_text(", ".join(sources))}</span>',
                f"{days[0]} to {days[-1]}" if days else "",
                f"{len(done):,}",
                f"{len(mine) - len(done):,}",
                _made(done),
                bytes_text(sum(result.bytes_written for result in done)),
                in_words(sum(seconds)),
                f"{sum(seconds) / len(done):.2f} s" if done else "–",
            ]
        )
    yield table(["stage", "sources", "days", "done", "failed", "made", "written", "work", "a partition"], rows)


MADE = {"ingest": ("frames_good", "pictures_good", "pictures_missing", "pictures_quarantined"),
        "histograms": ("pictures",), "clips": ("clips",), "embed": ("frame_vectors", "clip_vectors")}  # fmt: skip
"""Counts of each stage that say what it made."""


def _made(results: Sequence[Result]) -> str:
    if not results:
        return ""
    names = MADE.get(results[0].stage, ())
    totals = {name: sum(result.counts.get(name, 0) for result in results) for name in names}
    return "<br>".join(f"{total:,} {name.replace('_', ' ')}" for name, total in totals.items())


def _failures(told: Told) -> Iterator[str]:
    failed = told.report.failed
    if not failed:
        return
    yield "<h2>What failed</h2>"
    rows = [trouble_row(_trouble(result), told.place) for result in failed[:FAILURES]]
    yield hole_table(rows)
    if len(failed) > FAILURES:
        yield f"<p>And {len(failed) - FAILURES:,} more: <code>wxpipe status --root {_text(told.place.root)}</code></p>"


def _trouble(result: Result) -> Trouble:
    day = result.partition.day
    source = result.partition.source or result.partition.key
    return Trouble(source, result.stage, Work.FAILED, day, day, int(day is not None), result.error)


def _accounts(told: Told) -> Iterator[str]:
    yield "<h2>The counts of every stage against the next</h2>"
    yield '<p class="soft">Of the whole root, as it is after the run. Days that the next stage has not done wait.</p>'
    rows = [
        [
            f'<span class="text">{_text(account.what)}</span>',
            f"{account.count:,}",
            _text(account.became),
            _agreement(account),
            f"{account.waiting:,} {'day waits' if account.waiting == 1 else 'days wait'}" if account.waiting else "",
        ]
        for account in accounts(told.found.root)
    ]
    yield table(["what", "count", "became", "", ""], rows)


def _agreement(account: Account) -> str:
    if account.agrees:
        return "✓ all"
    what = "too many" if account.found > account.count else "lost"
    return f"<strong>✗ {abs(account.count - account.found):,} {what}</strong>"


def _quarantined(told: Told) -> dict[str, list[Record]]:
    """Records of the days that this run did."""
    found: dict[str, list[Record]] = {}
    for result in told.report.results:
        partition = result.partition
        if result.quarantined and partition.day is not None:
            records = told.found.root.quarantine.get(result.stage, partition.source, partition.day)
            found.setdefault(partition.source, []).extend(records)
    return found


def _holes(told: Told) -> Iterator[str]:
    holes = all_holes(told.found.coverages)
    yield "<h2>The longest holes that are left</h2>"
    if not holes:
        yield '<p class="calm">None: every scheduled slot has a good frame.</p>'
        return
    yield hole_table([hole_row(number, hole, told.place) for number, hole in enumerate(holes[:HOLES], 1)])
    command = f"wxpipe status --root {told.place.root} --report DIR"
    yield f'<p class="soft">All of them, on a map of every day: <code>{_text(command)}</code></p>'


def _minute(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M}"


def _text(words: str) -> str:
    return html.escape(words)
