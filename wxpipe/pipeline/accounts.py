"""The counts of every stage beside those of the next: what came in, what was made of it, and what waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wxpipe.pipeline.reconcile import PAIRS
from wxpipe.store.ledger import Entry
from wxpipe.store.root import Root


@dataclass(frozen=True)
class Account:
    """Two counts that should be equal.

    Attributes:
        waiting: partitions of the first stage that the second has not done; they are in neither count.
    """

    what: str
    count: int
    became: str
    found: int
    waiting: int = 0

    @property
    def agrees(self) -> bool:
        return self.count == self.found


def accounts(root: Root) -> list[Account]:
    """From listed files to rows of the release that serves. `reconcile` has the partitions that differ."""
    return [*_scan(root), *_ingest(root), *_stages(root), *_release(root)]


def _scan(root: Root) -> Iterator[Account]:
    entry = root.ledger.get("scan", "archive")
    if entry is None or entry.state != "done":
        return
    counts = entry.counts
    there = counts["recorded"] - counts["vanished"]
    told = f"{there:,} recorded, {counts['unparsed']:,} unparsed, {counts['unconfigured']:,} of unconfigured areas"
    yield Account("files listed", counts["listed"], told, there + counts["unparsed"] + counts["unconfigured"])


def _ingest(root: Root) -> Iterator[Account]:
    done = _done(root.ledger.entries("ingest"))
    if not done:
        return
    total = {
        name: sum(entry.counts.get(f"files_{name}", 0) for entry in done.values())
        for name in ("stored", "quarantined", "duplicate", "vanished")
    }
    told = ", ".join(f"{count:,} {name}" for name, count in total.items())
    yield Account(
        "files of ingested days", sum(entry.counts.get("files", 0) for entry in done.values()), told,
        sum(total.values()),
    )  # fmt: skip


WORDS = {
    ("ingest", ("pictures_good", "pictures_suspect")): "pictures that ingest stored",
    ("ingest", ("frames_good",)): "good frames of ingest",
    ("clips", ("clips",)): "clips",
}
"""What `reconcile.PAIRS` begin with."""


def _stages(root: Root) -> Iterator[Account]:
    for first, made, second, taken in PAIRS:
        before, after = _done(root.ledger.entries(first)), _done(root.ledger.entries(second))
        if not before:
            continue
        both = before.keys() & after.keys()
        count = sum(before[key].counts.get(name, 0) for key in both for name in made)
        found = sum(after[key].counts.get(taken, 0) for key in both)
        became = f"{found:,} {taken.replace('_', ' ')} of {second}"
        yield Account(WORDS[first, made], count, became, found, len(before.keys() - after.keys()))


def _release(root: Root) -> Iterator[Account]:
    from wxpipe.vectors.records import current_release

    release = current_release(root)
    if release is None:
        return
    embedded = _done(root.ledger.entries("embed"))
    there = [key for key, output in release.days.items() if key in embedded and embedded[key].output == output]
    waiting = len(embedded) - len(there)
    if len(there) < len(release.days):
        return  # its vectors have been made anew: the plan says so
    for unit in ("frame", "clip"):
        count = sum(embedded[key].counts.get(f"{unit}_vectors", 0) for key in there)
        rows = release.rows(unit)
        yield Account(f"{unit} vectors of embed", count, f"{rows:,} rows of release {release.number}", rows, waiting)


def _done(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    return {key: entry for key, entry in entries.items() if entry.state == "done"}
