"""Reconciliation: every file that was listed is accounted for, and every stage has what the one before it made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from wxpipe.archive.inventory import inventory_of
from wxpipe.pipeline.plan import reason_of
from wxpipe.pipeline.stages import get_stage
from wxpipe.store.ledger import Entry
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Partition


@dataclass(frozen=True)
class Difference:
    """Two counts that should be equal and are not."""

    where: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, found {self.found}"


def reconcile(root: Root) -> list[Difference]:
    """Every difference between counts that must agree. What has not run, or is due again, is the plan's business."""
    return [*_scan(root), *_files(root), *_stages(root), *_release(root)]


def _scan(root: Root) -> Iterator[Difference]:
    """Listed files = recorded and there + unparsed + unconfigured, at the last scan that ended well."""
    entry = root.ledger.get("scan", "archive")
    if entry is None or entry.state != "done":
        return
    counts = entry.counts
    recorded, listed = sum(inventory_of(root, source.id).count()["files"] for source in root.sources), counts["listed"]
    if counts["recorded"] != recorded:
        yield Difference("scan", f"{recorded} files of the inventory", str(counts["recorded"]))
    there = counts["recorded"] - counts["vanished"]
    if listed != there + counts["unparsed"] + counts["unconfigured"]:
        told = f"{there} recorded + {counts['unparsed']} unparsed + {counts['unconfigured']} unconfigured"
        yield Difference("scan", f"{listed} listed files", told)


def _files(root: Root) -> Iterator[Difference]:
    """Recorded files = pictures of present files + quarantined + duplicates + vanished, day by day."""
    entries = root.ledger.entries("ingest")
    for source in root.sources:
        inventory = inventory_of(root, source.id)
        for day in inventory.days():
            entry = entries.get(f"{source.id}/{day}")
            if entry is None or entry.state != "done":
                continue
            counts = entry.counts
            recorded = inventory.count_day(day)
            if counts["files"] != recorded and not _is_stale(root, entry):
                yield Difference(
                    f"ingest {entry.partition}", f"{recorded} files of the inventory", str(counts["files"])
                )
            parts = ("files_stored", "files_quarantined", "files_duplicate", "files_vanished")
            if counts["files"] != sum(counts[part] for part in parts):
                told = " + ".join(f"{counts[part]} {part.removeprefix('files_')}" for part in parts)
                yield Difference(f"ingest {entry.partition}", f"{counts['files']} files", told)


PAIRS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("ingest", ("pictures_good", "pictures_suspect"), "histograms", "pictures"),
    ("ingest", ("frames_good",), "embed", "frame_vectors"),
    ("clips", ("clips",), "embed", "clip_vectors"),
)
"""What one stage made must be what the next one took, partition by partition."""


def _stages(root: Root) -> Iterator[Difference]:
    for first, made, second, taken in PAIRS:
        before, after = root.ledger.entries(first), root.ledger.entries(second)
        for key in sorted(before.keys() & after.keys()):
            if not _both_done(before[key], after[key]):
                continue
            expected, found = _total(before[key].counts, made), after[key].counts.get(taken, 0)
            if expected != found and not _is_stale(root, after[key]):
                yield Difference(f"{second} {key}", f"{expected} ({' + '.join(made)} of {first})", f"{found} {taken}")


def _release(root: Root) -> Iterator[Difference]:
    """Rows of the current release = vectors of the days that it was built of."""
    from wxpipe.vectors.records import current_number, get_release

    number = current_number(root)
    if number is None:
        return
    release, entries = get_release(root, number), root.ledger.entries("embed")
    if any(key not in entries or entries[key].output != output for key, output in release.days.items()):
        return  # newer vectors wait for the next release: the plan says so
    units: tuple[Literal["frame", "clip"], ...] = ("frame", "clip")
    for unit in units:
        expected = sum(entries[key].counts.get(f"{unit}_vectors", 0) for key in release.days)
        rows = release.rows(unit)
        if expected != rows:
            yield Difference(f"release {number}", f"{expected} {unit} vectors", f"{rows} rows")


def _is_stale(root: Root, entry: Entry) -> bool:
    """Whether an entry tells of what was there before something changed: asked only where counts differ."""
    source, _, day = entry.partition.rpartition("/")
    partition = Partition(source, date.fromisoformat(day))
    return reason_of(get_stage(entry.stage), partition, Context(root), entry) == "stale"


def _both_done(before: Entry, after: Entry) -> bool:
    return before.state == "done" and after.state == "done"


def _total(counts: Mapping[str, int], names: tuple[str, ...]) -> int:
    return sum(counts.get(name, 0) for name in names)
