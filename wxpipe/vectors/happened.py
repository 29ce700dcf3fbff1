"""What happened after the analogs of an answer: the events of the root, against times of the same season and hour."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wxpipe.errors import UsageError
from wxpipe.store.root import Root
from wxpipe.vectors.answers import Answer
from wxpipe.vectors.event_odds import Comparable, EventOdds, Ints, Kind, Mask, merged_spans, odds
from wxpipe.vectors.events import in_effect, read_events
from wxpipe.vectors.records import get_release
from wxpipe.vectors.tables import DAY_SECONDS, SPECS
from wxpipe.vectors.where import checked_where

SEASON_DAYS, HOURS, OWN_HOURS = 45, 3, 24
YEAR_SECONDS = 365.2425 * DAY_SECONDS
LONGEST_HOURS = 24 * 90


def what_happened(root: Root, answer: Answer, within_hours: float, where: str = "") -> tuple[EventOdds, ...]:
    """Odds of every type of event, and of its regions where it has several; none where the root has no events.

    A clip's window begins at its end, a frame's at its time. Analogs are held against the clips (frames) of the same
    source and release of the query's season (45 days before and after, in every year) and time of day (3 hours before
    and after), its own 24 hours left out; a query without a time against all of them.

    Args:
        where: SQL over the view ``events``: only what satisfies it counts as an event, e.g. ``value >= 30``.

    Raises:
        UsageError: a window that is not longer than nothing, or is longer than a season; a filter that is none.
    """
    if not 0 < within_hours <= LONGEST_HOURS:
        raise UsageError(f"events within {within_hours} h: choose more than 0 and at most {LONGEST_HOURS}")
    kinds = list(event_kinds(root, where))
    if not kinds:
        return ()
    moments = [analog.end or analog.start for analog in answer.analogs]
    anchors = np.array([int(moment.timestamp()) for moment in moments], np.int64)
    return odds(kinds, anchors, comparable_times(root, answer), within_hours)


def event_kinds(root: Root, where: str = "") -> Iterator[Kind]:
    """The events in effect, by type, and by region where a type has several.

    A type is recorded for as long as whoever imported it said that a file is complete; of files of which nothing was
    said, from the first event of the type to the last, whatever the filter leaves of them.
    """
    spans, table = _recorded(root), _filtered(root, where)
    (types, type_names), (regions, region_names) = _codes(table["type"]), _codes(table["region"])
    order = np.lexsort((regions, types))
    begins, ends, types, regions = (values[order] for values in (*_times(table), types, regions))
    for low, high in _runs(types):
        name = type_names[types[low]]
        lasting = float((ends[low:high] - begins[low:high]).mean())

        def kind(a: int, b: int, region: str | None, name: str = name, lasting: float = lasting) -> Kind:
            return Kind(name, region, begins[a:b], ends[a:b], spans[name], lasting)

        parts = [(low + a, low + b) for a, b in _runs(regions[low:high])]
        if len(parts) > 1:
            yield kind(low, high, None)
        for a, b in parts:
            region = region_names[regions[a]]
            if region or len(parts) == 1:
                yield kind(a, b, region or None)


def same_season_and_hour(starts: Ints, query: int) -> Mask:
    """(start,): within 45 days of the query's time of the year, and within 3 hours of its time of the day.

    The year is the mean Gregorian one: no table of leap days, and never more than a day off.
    """
    apart = np.abs(starts - query)
    year, day = apart % YEAR_SECONDS, apart % DAY_SECONDS
    season = np.minimum(year, YEAR_SECONDS - year) <= SEASON_DAYS * DAY_SECONDS
    found: Mask = season & (np.minimum(day, DAY_SECONDS - day) <= HOURS * 3600)
    return found


def comparable_times(root: Root, answer: Answer) -> Comparable:
    """What an answer's analogs are held against: ends of clips (times of frames) of its release, in order.

    They are of the query's season and time of day, its own 24 hours left out; all of them where it has no time.
    """
    spec = SPECS[answer.unit]
    starts, anchors = _times_of(root, answer)
    if answer.query.start is None:
        return Comparable(np.sort(anchors), f"all {spec.name}")
    query = int(answer.query.start.timestamp())
    kept = same_season_and_hour(starts, query) & (np.abs(starts - query) > OWN_HOURS * 3600)
    are = f"{spec.name} within {SEASON_DAYS} days of the season and {HOURS} h of the time of day"
    return Comparable(np.sort(anchors[kept]), are)


def _times_of(root: Root, answer: Answer) -> tuple[Ints, Ints]:
    """Epoch seconds at which each clip (frame) of a release begins, and ends."""
    key = ("times", str(answer.release), answer.source, answer.unit)
    if key not in root.memo:
        spec = SPECS[answer.unit]
        table = get_release(root, answer.release).part(answer.source).open(root, spec)
        columns = [spec.epoch, *(["end"] if answer.unit == "clip" else [])]
        rows = table.to_lance().to_table(columns=columns, filter=f"source = '{answer.source}'")
        starts = rows[spec.epoch].to_numpy().astype(np.int64)
        ends = rows["end"].to_numpy().astype("datetime64[s]").astype(np.int64) if answer.unit == "clip" else starts
        root.memo[key] = (starts, ends)
    found: tuple[Ints, Ints] = root.memo[key]
    return found


def _recorded(root: Root) -> dict[str, Ints]:
    """The spans for which each type is recorded."""
    said: dict[str, list[tuple[int, int]]] = {}
    hulls: dict[str, tuple[int, int]] = {}
    for made in in_effect(root):
        for kind, span in made.types.items():
            if made.covers is not None:
                said.setdefault(kind, []).append(made.covers)
            else:
                first, last = hulls.get(kind, (span.first, span.last))
                hulls[kind] = min(first, span.first), max(last, span.last)
    kinds = {*said, *hulls}
    return {kind: merged_spans([*said.get(kind, []), *([hulls[kind]] if kind in hulls else [])]) for kind in kinds}


def _filtered(root: Root, where: str) -> pa.Table:
    table = read_events(root)
    if not where.strip():
        return table
    from wxpipe.vectors.sql import run_sql

    try:
        kept = run_sql(root, f"SELECT event_id FROM events WHERE ({checked_where(where)})")["event_id"]
    except UsageError as error:
        raise UsageError(f"events where {where!r}: {str(error).removeprefix('SQL: ')}") from error
    return table.filter(pc.is_in(table["event_id"], value_set=kept.combine_chunks()))


def _times(table: pa.Table) -> tuple[Ints, Ints]:
    """Begin and end in seconds, never shorter than they are; of a moment the same second twice."""
    begins = table["start"].cast(pa.int64()).to_numpy() // 1_000_000
    ends = -(-pc.coalesce(table["end"], table["start"]).cast(pa.int64()).to_numpy() // 1_000_000)
    return begins, np.where(table["end"].is_null().to_numpy(), begins, ends)


def _runs(codes: Ints) -> list[tuple[int, int]]:
    """[begin, end) of each run of equal numbers."""
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    return [(a, b) for a, b in pairwise(edges) if b > a]


def _codes(column: pa.ChunkedArray) -> tuple[Ints, list[str]]:
    """A number for each text, and the texts by number; none is the empty one."""
    coded = pa.concat_arrays(pc.fill_null(column, "").chunks or [pa.array([], pa.string())]).dictionary_encode()
    return coded.indices.to_numpy(zero_copy_only=False).astype(np.int64), coded.dictionary.to_pylist()
