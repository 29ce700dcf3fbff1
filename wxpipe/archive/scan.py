"""The `scan` stage: lists the archive into the inventory, at the beginning of every run, single-handed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from wxpipe.archive.choice import GONE, UNREADABLE
from wxpipe.archive.inventory import inventory_of, read_table
from wxpipe.archive.listing import recorded_digest, scan_archive
from wxpipe.archive.recent import Seen, outermost, recent_folders
from wxpipe.errors import NotFoundError
from wxpipe.satellites.catalog import load_satellites, shipped_satellites
from wxpipe.satellites.names import NameReader
from wxpipe.satellites.satellite import Satellite
from wxpipe.store.objects import Objects, open_objects
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Outcome, Partition, fingerprint_of

PUT_ASIDE = ("scan", "archive", date.min)
"""Under which stage, source and day the quarantine holds files whose names give none."""

LISTED_ALL = "listings/all.json"
"""When the whole archive was listed last; no part of the content."""
LIST_ALL_EVERY = timedelta(days=7)
MONTHS_TO_LEARN_FROM = 2


class Scan:
    """Which files there are. It takes the satellites that it finds files of into the root."""

    name = "scan"
    trigger = "every run"
    needs: tuple[str, ...] = ()

    def partitions(self, context: Context) -> Iterable[Partition]:
        yield Partition("", name="archive")

    def fingerprint(self, partition: Partition, context: Context) -> str:
        return fingerprint_of(stage="scan")

    def prepare(self, partitions: list[Partition], context: Context) -> None:
        """Nothing to prepare."""

    def run(self, partition: Partition, context: Context) -> Outcome:
        """Lists the archive; ``options["satellites"]`` names a site's own satellite files.

        With ``options["listing"] == "recent"`` only the folders of recent days are listed, if all of them were
        within the last week.
        """
        root, began = context.root, datetime.now(UTC)
        satellites = known_satellites(root, context.options.get("satellites"))
        archive = open_objects(context.archive)
        folders = folders_of_update(root, began) if context.options.get("listing") == "recent" else [""]
        counts = scan_archive(archive, root, NameReader(satellites.values()), context.progress, satellites, folders)
        if "" in folders:
            root.objects.put(LISTED_ALL, json.dumps({"began": began.isoformat()}).encode())
        root.memo.clear()
        root.quarantine.replace(*PUT_ASIDE, counts.put_aside)
        reopen_days(root, archive)
        return Outcome(
            {
                "listed": counts.listed,
                "unparsed": counts.unparsed,
                "unconfigured": counts.unconfigured,
                "unlistable": counts.unlistable,
                "vanished": counts.vanished,
                "recorded": counts.recorded,
            },
            counts.digest,
        )

    def read_back(self, partition: Partition, context: Context) -> str:
        return recorded_digest(context.root)


def folders_of_update(root: Root, now: datetime) -> list[str]:
    """The folders that an update lists: those of recent days; everything where that was not listed for a week."""
    try:
        listed = datetime.fromisoformat(json.loads(root.objects.get(LISTED_ALL))["began"])
    except (NotFoundError, ValueError, KeyError, TypeError):
        return [""]
    if not timedelta(0) <= now - listed < LIST_ALL_EVERY:
        return [""]
    folders: set[str] = set()
    for source in root.sources:
        inventory = inventory_of(root, source.id)
        months = inventory.months()[-MONTHS_TO_LEARN_FROM:]
        seen = [one for month in months for one in _seen(read_table(root, source.id, month))]
        span = inventory.span()
        if seen and span is not None:
            folders.update(recent_folders(seen, inventory.axis.day(span[1]), now.date()))
    return outermost(folders) or [""]


def _seen(table: pa.Table) -> list[Seen]:
    """Each folder of a month's files, with the times of its first and last."""
    found: dict[str, list[datetime]] = {}
    for path, time in zip(table["path"].to_pylist(), table["time"].to_pylist(), strict=True):
        found.setdefault(path.rpartition("/")[0], []).append(time)
    return [Seen(folder, time) for folder, times in found.items() for time in {min(times), max(times)}]


def known_satellites(root: Root, site: str | None) -> dict[str, Satellite]:
    """The satellites that names are read by: the site's where it gives any, else the root's, else the shipped.

    A root's satellite learns the name grammars that a later version ships for it, after its own.
    """
    shipped = shipped_satellites()
    given = {name: s for name, s in load_satellites(site).items() if s != shipped.get(name)}
    mine = {name: _with_grammars(s, shipped.get(name)) for name, s in root.satellites.items()}
    return {**shipped, **mine, **given}


def _with_grammars(mine: Satellite, shipped: Satellite | None) -> Satellite:
    if shipped is None:
        return mine
    new = tuple(grammar for grammar in shipped.names if grammar not in mine.names)
    return mine.model_copy(update={"names": mine.names + new})


def reopen_days(root: Root, archive: Objects) -> None:
    """Makes days stale whose files could not be read when they were ingested, and now can be.

    Permissions that were given, and a disk that is well again, leave no mark in a listing. A source-month that another
    run holds is left to the next scan.
    """
    held = {
        (source, day)
        for stage, source, day, record in root.quarantine.all()
        if stage == "ingest" and record.reason in (GONE, UNREADABLE) and _readable(archive, record.path)
    }
    for partition in (Partition(source, day) for source, day in sorted(held)):
        lease = root.leases.try_acquire(partition.lease_key)
        if lease is not None:
            entry = root.ledger.get("ingest", partition.key)
            if entry is not None:
                root.ledger.put(replace(entry, fingerprint=""))
            root.leases.release(lease)


def _readable(archive: Objects, path: str) -> bool:
    try:
        archive.get(path)
    except (NotFoundError, OSError):
        return False
    return True
