"""The `scan` stage: lists the archive into the inventory, at the beginning of every run, single-handed."""

from __future__ import annotations

from collections.abc import Iterable

from wxpipe.archive.inventory import UNPARSED, inventory_of, scan_archive
from wxpipe.errors import NotFoundError
from wxpipe.satellites.catalog import load_satellites
from wxpipe.satellites.names import NameReader
from wxpipe.store.objects import open_objects
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Outcome, Partition, fingerprint_of


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
        satellites = load_satellites(context.options.get("satellites"))
        reader = NameReader({**root.satellites, **satellites}.values())
        archive = open_objects(context.archive)
        counts = scan_archive(archive, root, reader, context.progress, satellites)
        root.memo.clear()
        return Outcome(
            {
                "listed": counts.listed,
                "unparsed": counts.unparsed,
                "unconfigured": counts.unconfigured,
                "vanished": counts.vanished,
                "recorded": sum(inventory_of(root, source.id).count()["files"] for source in root.sources),
            },
            inventory_digest(root),
        )


def inventory_digest(root: Root) -> str:
    """Digest of the whole inventory, without sizes of Parquet pages or times of writing."""
    months = {
        f"{source.id}/{month}": inventory_of(root, source.id).month_digest(month)
        for source in root.sources
        for month in inventory_of(root, source.id).months()
    }
    try:
        unparsed = fingerprint_of(rows=_unparsed_rows(root))
    except NotFoundError:
        unparsed = ""
    return fingerprint_of(months=months, unparsed=unparsed)


def _unparsed_rows(root: Root) -> list[dict[str, object]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, object]] = pq.read_table(pa.BufferReader(root.objects.get(UNPARSED))).to_pylist()
    return rows
