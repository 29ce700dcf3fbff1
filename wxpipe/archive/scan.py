"""The `scan` stage: lists the archive into the inventory, at the beginning of every run, single-handed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from wxpipe.archive.ingest_day import GONE, UNREADABLE
from wxpipe.archive.listing import scan_archive
from wxpipe.errors import NotFoundError
from wxpipe.satellites.catalog import load_satellites, shipped_satellites
from wxpipe.satellites.names import NameReader
from wxpipe.satellites.satellite import Satellite
from wxpipe.store.objects import Objects, open_objects
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Outcome, Partition, fingerprint_of

PUT_ASIDE = ("scan", "archive", date.min)
"""Under which stage, source and day the quarantine holds files whose names give none."""


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
        """Lists everything; ``options["satellites"]`` names a site's own satellite files."""
        root = context.root
        satellites = known_satellites(root, context.options.get("satellites"))
        archive = open_objects(context.archive)
        counts = scan_archive(archive, root, NameReader(satellites.values()), context.progress, satellites)
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
