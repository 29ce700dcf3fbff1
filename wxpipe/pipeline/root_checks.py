"""Checks of what lies between partitions: the ledger itself, inventory, layout, layers, releases, models, leftovers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import numpy as np

from wxpipe.archive.inventory import SCHEMA, UNPARSED
from wxpipe.errors import DamagedError, NotFoundError, RefusedError, Retry, WxpipeError
from wxpipe.pipeline.findings import REPAIR, Finding, RootCheck, in_range, known_stages
from wxpipe.pipeline.leftovers import unexplained
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.reconcile import reconcile
from wxpipe.pipeline.stages import NAMES
from wxpipe.satellites.catalog import Source
from wxpipe.similarity.histograms import histogram_store
from wxpipe.store.frames import FrameStore, frame_store
from wxpipe.store.root import Root
from wxpipe.store.tables import get_table

LAYER_DAYS = 7
"""Days from which a damaged overlay layer is learned again."""


def look_at_ledger(root: Root, wanted: Range) -> Iterator[Finding]:
    """Entries that cannot be read: the plan takes them for failures, so a backfill makes them again."""
    for stage in known_stages(root.ledger.stages()):
        keys = [key for key in root.ledger.keys(stage) if in_range(root, wanted, stage, key)]
        with ThreadPoolExecutor(8) as pool:
            faults = pool.map(lambda key, stage=stage: _fault_of_entry(root, stage, key), keys)
            for key, fault in zip(keys, faults, strict=True):
                if fault:
                    where = f"ledger/{stage}/{key}.json"
                    yield Finding("ledger", where, "an entry of the ledger", fault, again=((stage, key),))


def _fault_of_entry(root: Root, stage: str, key: str) -> str:
    try:
        root.ledger.read(stage, key)
    except DamagedError as error:
        return str(error)
    except NotFoundError:
        return ""  # removed since it was listed
    return ""


def look_for_results_without_entry(root: Root, wanted: Range) -> Iterator[Finding]:
    """What a stage has made and the ledger does not know of: its entry was lost, or nobody needs it any more."""
    for stray in unexplained(root):
        if not in_range(root, wanted, stray.stage, stray.key) or root.leases.is_held(stray.lease):
            continue  # a run that holds the lease has not come to the ledger yet
        remedy = "`wxpipe backfill` makes it again" if stray.due else "`wxpipe gc` removes it"
        yield Finding("unexplained", f"{stray.stage} {stray.key}", "an entry of the ledger", stray.what, remedy)


def look_at_inventory(root: Root, wanted: Range) -> Iterator[Finding]:
    """Each month's table, whether it can be read, in order, and of its month."""
    for name in root.objects.names("inventory"):
        if "." in name or (wanted.sources and name not in wanted.sources):
            continue
        for month in (n.removesuffix(".parquet") for n in root.objects.names(f"inventory/{name}")):
            yield from _look_at_month(root, name, month)
    try:
        get_table(root.objects, UNPARSED)
    except NotFoundError:
        pass
    except DamagedError as error:
        yield Finding("inventory", UNPARSED, "a table", str(error), remove=(UNPARSED,))


def _look_at_month(root: Root, source: str, month: str) -> Iterator[Finding]:
    key = f"inventory/{source}/{month}.parquet"
    try:
        table = get_table(root.objects, key)
    except DamagedError as error:
        vanished = _vanished(root, source, month)
        if not vanished:
            yield Finding("inventory", key, "a table", str(error), remove=(key,))
            return
        remedy = (
            f"restore it from a backup: {vanished} files that it knows have vanished from the archive; if it is "
            "deleted, `wxpipe backfill` lists the others again, and the pictures of these are erased"
        )
        yield Finding("inventory", key, "a table", str(error), remedy)
        return
    slots = table["slot"].to_numpy() if table.schema.equals(SCHEMA) else np.array([1, 0])
    axis = root.source(source).satellite.axis
    ends = {f"{axis.day(int(slot)):%Y-%m}" for slot in slots[[0, -1]]} if len(slots) else {month}
    if (np.diff(slots) < 0).any() or ends != {month}:
        yield Finding("inventory", key, f"files of {month} in order of slots", f"those of {', '.join(sorted(ends))}")


def _vanished(root: Root, source: str, month: str) -> int:
    entries = root.ledger.entries("ingest")
    return sum(e.counts.get("files_vanished", 0) for key, e in entries.items() if key.startswith(f"{source}/{month}"))


def look_at_layout(root: Root, wanted: Range) -> Iterator[Finding]:
    """Zarr's documents and coordinates, as they were laid out, and as plain xarray reads them."""
    for source in _sources(root, wanted):
        frames = frame_store(root, source)
        if not root.objects.names(f"{frames.folder}/status/c"):
            continue  # a first run has not come so far
        stores: list[Any] = [histogram_store(root, source, name) for name in root.settings.histograms]
        faults = dict(frames.layout_faults())
        for store in stores:
            if root.objects.names(f"{store.folder}/cdf/c"):
                faults.update(store.layout_faults())
        for key, fault in faults.items():
            yield Finding("layout", key, "what was laid out", fault, lay_out=source.id)
        if not faults:
            yield from _look_at_axes(frames)


def _look_at_axes(frames: FrameStore) -> Iterator[Finding]:
    import xarray

    try:
        data = xarray.open_zarr(frames.root.zarr_store(frames.folder), chunks=None, consolidated=False)
        times, channels = data["time"].values, [str(name) for name in data["channel"].values]
    except (ValueError, KeyError, TypeError, RuntimeError, FileNotFoundError) as error:
        yield Finding("layout", frames.folder, "a group that xarray opens", str(error), lay_out=frames.source.id)
        return
    if not np.array_equal(times, frames.axis.times(np.arange(frames.axis.count))):
        yield Finding("layout", f"{frames.folder}/time", "the slots' nominal times", f"{times[:2]} ...")
    if channels != list(frames.channels):
        yield Finding("layout", f"{frames.folder}/channel", ", ".join(frames.channels), ", ".join(channels))


def look_at_layers(root: Root, wanted: Range) -> Iterator[Finding]:
    """Overlay layers, which every source picture needs to come back."""
    for source in _sources(root, wanted):
        frames = frame_store(root, source)
        for number in frames.layer_ids():
            try:
                frames.layer(number)
            except DamagedError as error:
                key = f"{frames.folder}/overlay/c/{number}/0/0"
                days = tuple(("ingest", f"{source.id}/{day}") for day in _days_with_layer(frames, number))
                remedy = f"{REPAIR}, which learns it again from {len(days)} of its days; then `wxpipe validate`"
                yield Finding("layers", key, "a layer", str(error), remedy, days, (key,))


def _days_with_layer(frames: FrameStore, number: int) -> list[date]:
    """Some days whose pictures have a layer, spread over time."""
    entries = frames.root.ledger.entries("ingest")
    done = sorted(key for key, e in entries.items() if e.state == "done" and key.startswith(f"{frames.source.id}/"))
    found: list[date] = []
    for at in sorted(range(len(done)), key=lambda n: (n % max(1, len(done) // LAYER_DAYS), n)):
        day = date.fromisoformat(done[at].rpartition("/")[2])
        if (frames.day("layer", day) == number).any():
            found.append(day)
        if len(found) == LAYER_DAYS:
            break
    return sorted(found)


def look_at_quarantine(root: Root, wanted: Range) -> Iterator[Finding]:
    """Records of what was put aside: whether they can be read, and are as many as the ledger counts."""
    for stage in known_stages(root.objects.names("quarantine")):
        entries = root.ledger.entries(stage)
        for source in root.objects.names(f"quarantine/{stage}"):
            for name in root.objects.names(f"quarantine/{stage}/{source}"):
                key = f"{source}/{name.removesuffix('.json')}"
                yield from _look_at_records(root, stage, key, bool(key in entries))
    for key, entry in root.ledger.entries("ingest").items():
        if entry.state != "done" or not in_range(root, wanted, "ingest", key):
            continue
        source, _, day = key.rpartition("/")
        try:
            records = root.quarantine.get("ingest", source, date.fromisoformat(day))
        except DamagedError:
            continue
        for kind in ("quarantined", "duplicate"):
            counted, there = entry.counts.get(f"files_{kind}", 0), sum(record.kind == kind for record in records)
            if there < counted and root.ledger.get("ingest", key) == entry:
                told = f"{there} records"
                yield Finding("quarantine", f"ingest {key}", f"{counted} {kind} files", told, again=(("ingest", key),))


def _look_at_records(root: Root, stage: str, key: str, has_entry: bool) -> Iterator[Finding]:
    source, _, day = key.rpartition("/")
    try:
        root.quarantine.get(stage, source, date.fromisoformat(day))
    except ValueError:
        yield Finding("quarantine", f"quarantine/{stage}/{key}", "a day", repr(day), "remove it")
    except DamagedError as error:
        path, again = f"quarantine/{stage}/{key}.json", ((stage, key),) if has_entry else ()
        yield Finding("quarantine", path, "the records of a day", str(error), again=again, remove=(path,))


def look_at_requests(root: Root, _: Range) -> Iterator[Finding]:
    """What people asked for."""
    root.requests.forget()
    try:
        root.requests.all()
    except WxpipeError as error:
        yield Finding("requests", "requests", "what people asked for", str(error), "delete it, and ask for that again")


def look_at_counts(root: Root, _: Range) -> Iterator[Finding]:
    """Every count against the next, from listed files to rows of the release (`reconcile`)."""
    for difference in reconcile(root):
        stage, key = difference.where.split(" ", 1) if " " in difference.where else (difference.where, "")
        again = ((stage, key),) if "/" in key else (("release", "default"),) if stage == "release" else ()
        yield Finding("counts", difference.where, difference.expected, difference.found, again=again)


def look_at_releases(root: Root, _: Range) -> Iterator[Finding]:
    """Records of releases and promotions; the tables of the current release, where it is not the newest."""
    from wxpipe.vectors.records import PROMOTIONS, RELEASES, get_release, promotion, promotion_numbers, release_numbers
    from wxpipe.vectors.release import release_digests

    again, broken = (("release", "default"),), set[int]()
    for number in release_numbers(root):
        try:
            get_release(root, number)
        except DamagedError as error:
            broken.add(number)
            key = f"{RELEASES}/{number}.json"
            yield Finding("releases", key, "the record of a release", str(error), again=again, remove=(key,))
    current = None
    for number in promotion_numbers(root):
        key = f"{PROMOTIONS}/{number}.json"
        try:
            current = promotion(root, number)
        except DamagedError as error:
            remedy = f"{REPAIR}: it makes the newest release current, from where `wxpipe release rollback` goes back"
            yield Finding("releases", key, "a promotion", str(error), remedy, remove=(key,))
            continue
        if current not in release_numbers(root):
            remedy = "`wxpipe release promote` one that is there"
            yield Finding("releases", key, f"release {current}", "no such release", remedy)
    if current in broken or current not in release_numbers(root) or current == release_numbers(root)[-1]:
        return  # of the newest, "results" tells
    release = get_release(root, current)
    recorded = {table.table: table.digest for part in release.parts for table in part.tables.values()}
    found = release_digests(root, release)
    for name in recorded:
        if recorded[name] != found[name]:
            remedy = "`wxpipe release promote` the newest, or build one again"
            yield Finding("releases", f"release {current}: {name}", recorded[name], found[name], remedy)


def look_at_models(root: Root, _: Range) -> Iterator[Finding]:
    """Models that no training came to last, but vectors or releases may be of."""
    from wxpipe.embedding.train_stage import read_back_model

    latest = {entry.output for entry in root.ledger.entries("train").values() if entry.state == "done"}
    for name in root.objects.names("models"):
        for fingerprint in root.objects.names(f"models/{name}"):
            model = f"{name}-{fingerprint}"
            if model in latest:
                continue  # "results" tells
            try:
                told = read_back_model(root, model)
            except (Retry, RefusedError):
                raise
            except WxpipeError as error:
                told = str(error)
            if told != model:
                remedy = "embed with another; `wxpipe gc --models` removes it where nothing refers to it"
                yield Finding("models", f"models/{name}/{fingerprint}", model, told, remedy)


def look_at_what_people_added(root: Root, _: Range) -> Iterator[Finding]:
    """Events, their lines in quarantine, cases and verdicts; only who brought them can bring them again."""
    from wxpipe.vectors import cases, events

    readers: dict[str, tuple[Callable[[Root], object], str]] = {
        events.FOLDER: (events.read_events, "`wxpipe events import` the file again"),
        events.REFUSED: (events.read_refused, "`wxpipe events import` the file again"),
        cases.FOLDER: (cases.list_verdicts, "put it back from a backup, or delete it"),
    }
    for where, (read, remedy) in readers.items():
        try:
            read(root)
        except DamagedError as error:
            yield Finding("added", where, "what people added", str(error), remedy)


def look_at_cells(root: Root, wanted: Range) -> Iterator[Finding]:
    """Months of the cell-major copy, read through; stale ones are no fault, a search leaves them out and says so."""
    from wxpipe.similarity.cell_months import FOLDER, read_records, verify_month

    remedy = "`wxpipe cells build --anew` makes it again"
    for source in _sources(root, wanted):
        if not root.objects.names(f"{FOLDER}/{source.id}"):
            continue
        records, damaged = read_records(root, source)
        for month, fault in damaged.items():
            yield Finding("cells", f"{FOLDER}/{source.id} {month}", "a record", fault, "`wxpipe cells update`")
        for record in records.values():
            try:
                verify_month(root, source, record)
            except DamagedError as error:
                yield Finding("cells", record.folder, "a month of cells", str(error), remedy)


def look_at_graphs(root: Root, wanted: Range) -> Iterator[Finding]:
    """Records of graphs, and their arrays, read through."""
    from wxpipe.vectors.graph_store import get_graph, graph_numbers, graph_places, read_graph

    remedy = "delete it, then `wxpipe graph build`; `wxpipe gc` removes what is left of it"
    for place in graph_places(root):
        if wanted.sources and place.source not in wanted.sources:
            continue
        for number in graph_numbers(root, place):
            try:
                read_graph(root, get_graph(root, place, number))
            except DamagedError as error:
                key = f"{place.folder}/{number}.json"
                yield Finding("graphs", key, "a graph", str(error), remedy)


def _sources(root: Root, wanted: Range) -> list[Source]:
    return [source for source in root.sources if not wanted.sources or source.id in wanted.sources]


CHECKS: tuple[RootCheck, ...] = (
    RootCheck("ledger", "every entry of the ledger", "read, its checksum compared", NAMES, look_at_ledger),
    RootCheck("inventory", "the inventory's tables", "read, in order, of their months", ("scan",), look_at_inventory),
    RootCheck("layout", "Zarr's documents and axes", "as laid out; opened by xarray", ("ingest",), look_at_layout),
    RootCheck("layers", "overlay layers", "read, checksums", ("ingest",), look_at_layers),
    RootCheck("quarantine", "records of files put aside", "read, counted", ("ingest",), look_at_quarantine),
    RootCheck("requests", "requests of people", "read", NAMES, look_at_requests),
    RootCheck("counts", "counts of every stage", "against those of the next", NAMES, look_at_counts),
    RootCheck("releases", "releases and promotions", "read; rows of the current one", ("release",), look_at_releases),
    RootCheck("added", "events, cases, verdicts", "read, checksums", NAMES, look_at_what_people_added),
    RootCheck("cells", "cell-major copy", "read, digests", ("histograms",), look_at_cells),
    RootCheck("graphs", "kNN graphs", "read, digests", ("release",), look_at_graphs),
    RootCheck("models", "models of before", "weights against card against name", ("train",), look_at_models),
    RootCheck(
        "unexplained", "results", "against the ledger: is there an entry of each?", NAMES,
        look_for_results_without_entry,
    ),
)  # fmt: skip
