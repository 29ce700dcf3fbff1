"""Judges whether an ingest said of planted faults what the truth says, and of nothing else anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from wxpipe.archive.inventory import UNPARSED
from wxpipe.archive.synthetic.fault_victim import Paths
from wxpipe.archive.truth import Planted
from wxpipe.satellites.catalog import Source
from wxpipe.store.frames import Status, frame_store
from wxpipe.store.root import Root
from wxpipe.store.tables import get_table


def found_of(
    root: Root, source: Source, paths: Paths
) -> tuple[dict[tuple[str, datetime], str], dict[str, set[str]], dict[str, str]]:
    """Status of every picture; reasons of the records by path; kind of every file that is no picture's, by path."""
    frames = frame_store(root, source.id)
    start, stop = (frames.axis.slot(edge(time for _, time in paths)) for edge in (min, max))
    status = frames.slots("status", start, stop + 1)
    channels = list(source.satellite.channels)
    pictures = {
        (channel, time): Status(status[frames.axis.slot(time) - start, channels.index(channel)]).name.lower()
        for channel, time in paths
    }
    reasons: dict[str, set[str]] = {}
    for *_, record in root.quarantine.all():
        reasons.setdefault(record.path, set()).add(record.reason)
    files = {row["path"]: row["kind"] for row in get_table(root.objects, UNPARSED).to_pylist()}
    return pictures, reasons, files


def table_of(root: Root, source: Source, paths: Paths, planted: Sequence[Planted]) -> tuple[str, list[str]]:
    """A line for each kind: how many were planted, how many found; and what was found wrong beside them."""
    pictures, reasons, files = found_of(root, source, paths)
    total, right, wrong = Counter[str](), Counter[str](), list[str]()
    spoiled = {(told.channel, told.time): told for told in planted if told.channel is not None}
    for told in planted:
        said = reasons.get(told.path, set())
        wanted = {told.reason} if told.reason else set()
        if told.channel is not None and told.time is not None:
            status = pictures[told.channel, told.time]
        elif told.expected in ("unparsed", "unconfigured"):
            status = files.get(told.path, "not listed")
        else:
            status = told.expected if wanted <= said else "nothing said"
        total[told.kind] += 1
        fine = status == told.expected and said == wanted
        right[told.kind] += fine
        wrong += (
            [] if fine else [f"{told.kind} at {told.path}: expected {told.expected} {wanted}, found {status} {said}"]
        )
    known = {told.path for told in planted}
    wrong += [f"{path}: {said}, nothing was planted" for path, said in reasons.items() if path not in known]
    wrong += [
        f"{cell} is {status}, nothing was planted"
        for cell, status in pictures.items()
        if cell not in spoiled and status != "good"
    ]
    lines = [f"{kind:36}{total[kind]:8}{right[kind]:8}" for kind in sorted(total)]
    return "\n".join([f"{'kind':36}{'planted':>8}{'found':>8}", *lines]), wrong


def assert_all_told(root: Root, source: Source, paths: Paths, planted: Sequence[Planted]) -> None:
    """Every planted fault was found as it is said, and nothing beside them."""
    table, wrong = table_of(root, source, paths, planted)
    assert not wrong, "\n".join([table, *wrong[:20]])
