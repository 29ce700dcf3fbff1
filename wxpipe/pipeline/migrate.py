"""Leads a root from an older format to this version's, a format at a time. Each step can be killed and run again.

What changed:

- 1 to 2: ingest's fingerprints name the rows of the inventory by columns, not by spelled-out rows, so that a plan of
  millions of files takes seconds. Nothing else of a root differs.

A step rewrites what it must under the leases of all that it touches, so that no run writes meanwhile, and changes the
format's number last: until then the root is of the old format, and the step goes again over what is left. A run of the
older version that waited for a lease all the while may still record a day in the old way after it; that day is then
planned once more, and comes out of one look at its files as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date

from wxpipe.archive.ingest_day import satellite_digest
from wxpipe.archive.inventory import UNPARSED, RawFile, inventory_of, read_month
from wxpipe.archive.listing import known_months, recorded_digest
from wxpipe.config import FORMAT, RunSettings
from wxpipe.errors import NotFoundError, RefusedError, UsageError
from wxpipe.store.leases import Heartbeat
from wxpipe.store.ledger import Entry
from wxpipe.store.objects import Objects, open_objects
from wxpipe.store.root import Root, put_document, read_document
from wxpipe.store.stage import fingerprint_of
from wxpipe.store.tables import get_table

Listener = Callable[[str], None]
AT_ONCE = 16
"""Ledger entries that are written side by side; each waits for its disk."""


@dataclass(frozen=True)
class Migration:
    """What a migration did, or would do.

    Attributes:
        found: the root's format before.
        renamed: recorded results whose fingerprint was, or would be, written in the new form.
        kept: results that were due again already, or are in the new form: they stay as they are.
    """

    found: int
    to: int
    renamed: int = 0
    kept: int = 0


def migrate(url: str, dry_run: bool = False, tell: Listener = lambda _: None) -> Migration:
    """Brings a root to this version's format; one that has it is left as it is.

    Args:
        dry_run: only looks, and writes nothing.
        tell: is told whom it waits for and what it goes through.

    Raises:
        UsageError: there is no root.
        RefusedError: the root's format is newer, or none that ever was.
    """
    objects = open_objects(url)
    found = _format(objects)
    renamed = kept = 0
    for form in range(found, FORMAT):
        root = Root(url, form)
        if dry_run:
            changes = STEPS[form](root, tell)
        else:
            with _nobody_writes(root, tell):
                if _format(objects) != form:  # another migration was faster
                    continue
                changes = STEPS[form](root, tell)
                _put_all(root, changes.entries)
                put_document(objects, {**read_document(objects), "format": form + 1})
        renamed, kept = renamed + len(changes.entries), kept + changes.kept
    return Migration(found, FORMAT, renamed, kept)


def _format(objects: Objects) -> int:
    try:
        form = read_document(objects).get("format")
    except NotFoundError as error:
        raise UsageError(str(error)) from error
    if isinstance(form, int) and (form == FORMAT or form in STEPS):
        return form
    known = ", ".join(map(str, sorted({*STEPS, FORMAT})))
    raise RefusedError(
        f"{objects.url} has format {form}; this version knows {known}; use the version of wxpipe that made it"
    )


@contextmanager
def _nobody_writes(root: Root, tell: Listener) -> Iterator[None]:
    """Holds the scan and every source-month for the block, waiting for the runs that have them."""
    keys = ["scan", *(f"{source}/{month}" for source, month in sorted(known_months(root)))]
    with ExitStack() as held:
        for key in keys:
            lease = root.leases.acquire(key, lambda holder, key=key: tell(f"waiting for {key}, held by {holder}"))  # type: ignore[misc]
            held.enter_context(Heartbeat(root.leases, lease, RunSettings().lease_seconds / 5))
        yield


@dataclass(frozen=True)
class Changes:
    """Ledger entries to be written, and how many are left as they are."""

    entries: Sequence[Entry]
    kept: int


def _put_all(root: Root, entries: Sequence[Entry]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(root.ledger.put, entries))


def _from_1(root: Root, tell: Listener) -> Changes:
    """Fingerprints of ingest that hold against the present inventory, and the scan's digest of it, in the new form."""
    renamed, kept = list[Entry](), 0
    entries = root.ledger.entries("ingest")
    for source in root.sources:
        inventory = inventory_of(root, source.id)
        tell(f"{source.id}: {len(inventory.months())} months")
        for day in inventory.days():
            entry = entries.get(f"{source.id}/{day}")
            old = _ingest(root, source.id, day, _rows_1(inventory.day(day)), _rows_1(inventory.before(day)))
            if entry is None or entry.state != "done" or entry.fingerprint != old:
                kept += entry is not None
                continue
            renamed.append(replace(entry, fingerprint=_ingest(root, source.id, day, *inventory.digests(day))))
    scan = root.ledger.get("scan", "archive")
    if scan is not None and scan.output == _inventory_1(root):
        renamed.append(replace(scan, output=recorded_digest(root)))
    return Changes(renamed, kept)


def _ingest(root: Root, source: str, day: date, files: str, before: str) -> str:
    """A day's fingerprint of the stage's first contract: a later one makes it stale, as it should, in either form."""
    expected = inventory_of(root, source).expected(day)
    satellite = satellite_digest(root, source)
    return fingerprint_of(
        contract=1, satellite=satellite, files=files, before=before, expected=(expected.start, expected.stop)
    )


def _rows_1(rows: Sequence[RawFile]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(
            f"{row.slot} {row.channel} {row.path} {row.size} {row.version} {row.time} {row.vanished}\n".encode()
        )
    return digest.hexdigest()[:32]


def _inventory_1(root: Root) -> str:
    """The digest of the whole inventory that a scan of format 1 recorded."""
    months = {f"{source}/{month}": _rows_1(read_month(root, source, month)) for source, month in known_months(root)}
    try:
        unparsed = fingerprint_of(rows=get_table(root.objects, UNPARSED).to_pylist())
    except NotFoundError:
        unparsed = ""
    return fingerprint_of(months=months, unparsed=unparsed)


STEPS: Mapping[int, Callable[[Root, Listener], Changes]] = {1: _from_1}
"""What leads from a format to the next one. It only says what is to be written."""
