"""Building a release: which days are wanted, the writes (by `writes`), the gate, and the release's publication."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from wxpipe.embedding.train_stage import read_model_card
from wxpipe.errors import NotFoundError, RefusedError, WxpipeError
from wxpipe.store.leases import Lease
from wxpipe.store.ledger import Entry
from wxpipe.store.root import Root
from wxpipe.vectors.content import DayContent, check_rows, combined_digest
from wxpipe.vectors.index import EXACT_BELOW, ensure_index
from wxpipe.vectors.records import (
    Part,
    ReleaseRecord,
    TableVersion,
    newest_release,
    now,
    put_release,
    release_numbers,
)
from wxpipe.vectors.tables import (
    FOLDER,
    SPECS,
    SourceDay,
    Unit,
    empty_day,
    open_table,
    read_day,
    steering_lance,
    vectors_key,
)
from wxpipe.vectors.writes import Changes, Contents, DayRows, Tables, apply, set_tag, tables_at


@steering_lance()
def build(
    root: Root,
    model: str | None = None,
    *,
    lease: Lease | None = None,
    exact_below: int = EXACT_BELOW,
    anew: bool = False,
) -> ReleaseRecord:
    """Builds, checks and publishes a release of all that is embedded; where nothing changed, returns the newest one.

    One build at a time: the caller holds the lease. It is not promoted.

    Args:
        root: where the vectors are.
        model: ``<name>-<fingerprint>`` for every source; None takes what each source's training came to.
        lease: checked again before the release is published.
        exact_below: rows from which on a table gets an index.
        anew: nothing of the tables that are there is taken over; older releases keep their versions of them.

    Raises:
        NotFoundError: no model, or nothing is embedded.
        WxpipeError: a gate: counts, content or recall are not what they must be; nothing is released.
    """
    entries = embedded(root)
    models = models_of(root, entries, model)
    wanted = {key: entry.output for key, entry in entries.items()}
    newest = newest_release(root)
    if newest is not None and not anew and newest.models == models and dict(newest.days) == wanted:
        return newest
    parts, contents = [], Contents()
    for name in sorted(set(models.values())):
        sources = tuple(sorted(source for source in models if models[source] == name))
        of_model = {key: entry for key, entry in entries.items() if SourceDay.parse(key).source in sources}
        base = None if anew else newest_release(root, name)
        part, content = _build_part(root, name, sources, of_model, base, exact_below)
        parts.append(part)
        contents.update(content)
    release = ReleaseRecord(
        number=max(release_numbers(root), default=0) + 1,
        parts=tuple(parts),
        days=wanted,
        contents={day.key: {name: (c.rows, c.digest) for name, c in kinds.items()} for day, kinds in contents.items()},
        created=now(),
    )
    publish(root, release, lease)
    return release


def models_of(root: Root, days: Iterable[str], model: str | None = None) -> dict[str, str]:
    """The model of each source that has embedded days: the one named, or the output of its training.

    Raises:
        NotFoundError: a source has none.
    """
    sources = sorted({SourceDay.parse(key).source for key in days})
    found = {source: model or root.ledger.output("train", source) for source in sources}
    for source, name in found.items():
        if not name:
            raise NotFoundError(f"{root.url} has no model for {source}; run `wxpipe train` (`wxpipe backfill` does it)")
    return found


def embedded(root: Root) -> dict[str, Entry]:
    """The ledger's done entries of `embed`, by ``<source>/<day>``.

    Raises:
        NotFoundError: there is none.
    """
    entries = {key: entry for key, entry in root.ledger.entries("embed").items() if entry.state == "done"}
    if not entries:
        raise NotFoundError(f"{root.url} has no vectors; `wxpipe embed` (or `wxpipe backfill`) makes them")
    return entries


def publish(root: Root, release: ReleaseRecord, lease: Lease | None) -> None:
    """Tags the versions and writes the release, which nobody sees before everything else is there.

    Raises:
        LeaseLostError: another run took over; nothing is published.
        RefusedError: another build took the number.
    """
    if lease is not None:
        root.leases.check(lease)
    if release.number in release_numbers(root):
        raise RefusedError(f"release {release.number} was published by another build meanwhile; build again")
    for part in release.parts:
        for there in part.tables.values():
            set_tag(open_table(root, there.table), release.number, there.version)
    root.objects.settle(FOLDER)
    put_release(root, release)


def _build_part(
    root: Root,
    model: str,
    sources: tuple[str, ...],
    entries: Mapping[str, Entry],
    base: ReleaseRecord | None,
    exact_below: int,
) -> tuple[Part, Contents]:
    """Brings a model's tables to what is wanted, and checks them."""
    card = read_model_card(root, model)
    width = card.width
    _check_present(root, model, entries)
    there, content = _held(base, model)
    wanted = {key: entry.output for key, entry in entries.items()}
    changes = Changes.between(there, wanted)
    tables = tables_at(root, model, width, base.part_of(model) if base is not None else None)

    def read(day: SourceDay) -> DayRows:
        return _read_checked(root, model, width, day, entries[day.key])

    content.update(apply(tables, changes, read))
    content = {day: kinds for day, kinds in content.items() if day.key in wanted}
    part = base.part_of(model) if base is not None else None
    before = {} if part is None else {name: there.index for name, there in part.tables.items()}
    versions = _checked_versions(tables, changes, content, exact_below, before)
    return Part(model, card.trained, sources, versions), content


def _held(base: ReleaseRecord | None, model: str) -> tuple[dict[str, str], Contents]:
    """What a model's tables hold in a release: outputs by day, and contents."""
    part = base.part_of(model) if base is not None else None
    if base is None or part is None:
        return {}, {}
    days = {key: output for key, output in base.days.items() if SourceDay.parse(key).source in part.sources}
    content: Contents = {SourceDay.parse(key): {} for key in days}
    for spec in SPECS.values():
        for day, found in base.content_of(spec, part.sources).items():
            content[day][spec.name] = found
    return days, content


def _check_present(root: Root, model: str, entries: Mapping[str, Entry]) -> None:
    """Vectors of another model leave entries that look done, too."""
    there = {info.key for info in root.objects.walk(f"vectors/{model}")}
    days = (SourceDay.parse(key) for key, entry in entries.items() if _needed(entry))
    absent = sorted(day.key for day in days if vectors_key(model, day) not in there)
    if absent:
        raise WxpipeError(
            f"model {model}: {len(absent)} of {len(entries)} embedded days have no vectors of it (first: {absent[0]}); "
            "nothing was released: run `wxpipe embed`"
        )


def _needed(entry: Entry) -> bool:
    """Whether a day must have an object: one that was embedded to nothing need not."""
    return not entry.counts or any(entry.counts.values())


def _read_checked(root: Root, model: str, width: int, day: SourceDay, entry: Entry) -> dict[Unit, Any]:
    """A day's rows; as many as the ledger says."""
    try:
        rows = read_day(root, model, day, width)
    except NotFoundError:
        if _needed(entry):
            raise
        rows = empty_day(width)
    for unit, spec in SPECS.items():
        said = entry.counts.get(spec.counted, len(rows[unit]))
        if said != len(rows[unit]):
            raise WxpipeError(
                f"{vectors_key(model, day)}: the ledger says {said} {spec.name}, the file has {len(rows[unit])}; "
                f"nothing was released: run `wxpipe embed` for {day.key} again"
            )
    return rows


def _checked_versions(
    tables: Tables, changes: Changes, content: Contents, exact_below: int, before: Mapping[str, Mapping[str, Any]]
) -> dict[str, TableVersion]:
    """The gate: counts, keys, what was written read back, recall of the index."""
    versions = {}
    for spec, table in tables.items():
        expected: dict[SourceDay, DayContent] = {day: kinds[spec.name] for day, kinds in content.items()}
        check_rows(table, spec, expected, changes.written)
        rows = sum(found.rows for found in expected.values())
        index = ensure_index(table, rows, exact_below, before.get(spec.name))
        versions[spec.name] = TableVersion(table.name, table.version, rows, combined_digest(expected), index)
    return versions
