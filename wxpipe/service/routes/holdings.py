"""What the root holds: sources, releases, coverage, events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from wxpipe.errors import NotFoundError
from wxpipe.satellites.catalog import Source
from wxpipe.service.examples import COVERAGE, EVENTS, RELEASE, RELEASES, SOURCES, answers
from wxpipe.service.images import COMPOSITE, composite
from wxpipe.service.opened import Opened
from wxpipe.service.problems import without_places
from wxpipe.service.state import Here, Open, json_answer
from wxpipe.service.words import Words
from wxpipe.store.root import Root
from wxpipe.vectors.answers import iso
from wxpipe.vectors.events import read_events
from wxpipe.vectors.records import ReleaseRecord, current_number, get_release, list_releases
from wxpipe.vectors.times import parse_time

router = APIRouter(prefix="/v1")
Number = Annotated[int, Path(ge=1, le=10**9, description="Its number.", examples=[1])]


class EventWords(Words):
    """Which events are listed."""

    type: str = Field(default="", max_length=200, description="Of this type alone.", examples=["heavy rain"])
    region: str = Field(default="", max_length=200, description="In this region alone.", examples=["Seoul"])
    start: str = Field(default="", max_length=40, description="Not over before then.", examples=["2011-03-01"])
    end: str = Field(default="", max_length=40, description="Begun before then.", examples=["2011-04-01"])
    limit: int = Field(default=1_000, ge=1, le=10_000, description="How many, the earliest first.")


@router.get("/sources", tags=["holdings"], summary="Satellites and areas",
            responses=answers(SOURCES, "The sources, their channels, and the model that serves each."))  # fmt: skip
async def sources(here: Here, opened: Open) -> Response:
    """What can be named as a source."""

    def tell() -> dict[str, Any]:
        number = None if opened.release is None else opened.release.number
        return {"release": number, "sources": [_source(opened, source) for source in opened.root.sources]}

    return json_answer(await here.searching.do(tell))


@router.get("/releases", tags=["holdings"], summary="Releases",
            responses=answers(RELEASES, "All of them, the oldest first."))  # fmt: skip
async def releases(here: Here, opened: Open) -> Response:
    """What was built; `current` is promoted, `serving` is the one that this answer is of."""

    def tell() -> dict[str, Any]:
        return {
            "current": current_number(opened.root),
            "serving": None if opened.release is None else opened.release.number,
            "releases": [_release(release) for release in list_releases(opened.root)],
        }

    return json_answer(await here.asking.do(tell))


@router.get("/releases/{number}", tags=["holdings"], summary="A release",
            responses=answers(RELEASE, "Its tables and their indexes."))  # fmt: skip
async def release(number: Number, here: Here, opened: Open) -> Response:
    """One release."""

    def tell() -> dict[str, Any]:
        found = get_release(opened.root, number)
        parts = [
            {
                "model": part.model,
                "trained": part.trained,
                "sources": list(part.sources),
                "tables": {
                    name: {"version": table.version, "rows": table.rows, "index": dict(table.index)}
                    for name, table in part.tables.items()
                },
            }
            for part in found.parts
        ]
        return {**_release(found), "days": len(found.days), "parts": parts}

    return json_answer(await here.asking.do(tell))


@router.get("/coverage", tags=["holdings"], summary="Coverage",
            responses=answers(COVERAGE, "As `wxpipe status --json` prints it, and when it was counted."))  # fmt: skip
async def coverage(here: Here, _opened: Open) -> Response:
    """Slots, pictures, clips and stages of each source, its months and holes; counted now and then."""
    document = await here.asking.do(here.surveys.document)
    text = without_places(json.dumps(document, ensure_ascii=False, default=str), here.url)
    return Response(text.encode("utf-8", "backslashreplace"), media_type="application/json")


@router.get("/events", tags=["holdings"], summary="Events",
            responses=answers(EVENTS, "Warnings, observations, tracks: what people brought."))  # fmt: skip
async def events(words: Annotated[EventWords, Query()], here: Here, opened: Open) -> Response:
    """The events in effect. What followed the analogs of a search: `events_within` of /v1/search."""
    return json_answer(await here.asking.do(lambda: _events(opened.root, words)))


def _source(opened: Opened, source: Source) -> dict[str, Any]:
    satellite, area = source.satellite, source.area
    serving: Mapping[str, Any] = {"model": None, "trained": None}
    if opened.release is not None:
        try:
            part = opened.release.part(source.id)
            serving = {"model": part.model, "trained": part.trained}
        except NotFoundError:
            pass
    clip = satellite.clip
    return {
        "source": source.id,
        "satellite": satellite.name,
        "title": satellite.title,
        "area": area.name,
        "imagery": satellite.imagery,
        "cadence_minutes": satellite.cadence_minutes,
        "first_day": satellite.first_day,
        "last_day": satellite.last_day,
        "rows": area.rows,
        "columns": area.columns,
        "title_rows": area.title_rows,
        "reduced": list(area.reduced_shape),
        "clip": None if clip is None else {"hours": clip.hours, "frames": clip.frames},
        "channels": {name: channel.band for name, channel in satellite.channels.items()},
        "composites": {COMPOSITE: list(parts)} if (parts := composite(satellite)) else {},
        **serving,
    }


def _release(found: ReleaseRecord) -> dict[str, Any]:
    return {
        "number": found.number,
        "created": found.created,
        "follows": found.follows,
        "models": found.models,
        "clips": found.rows("clip"),
        "frames": found.rows("frame"),
    }


def _events(root: Root, words: EventWords) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    table = read_events(root)
    wanted = pa.chunked_array([pa.array([True]).take(pa.array([0] * len(table), pa.int64()))])
    for column in ("type", "region"):
        if getattr(words, column):
            wanted = pc.and_(wanted, pc.fill_null(pc.equal(table[column], getattr(words, column)), False))
    if words.start:
        wanted = pc.and_(wanted, pc.greater_equal(pc.coalesce(table["end"], table["start"]), _moment(words.start)))
    if words.end:
        wanted = pc.and_(wanted, pc.less(table["start"], _moment(words.end)))
    found = table.filter(wanted)
    rows = found.slice(0, words.limit).to_pylist()
    return {
        "count": len(found),
        "more": len(found) > words.limit,
        "events": [{name: _plain(value) for name, value in row.items()} for row in rows],
    }


def _moment(text: str) -> Any:
    import pyarrow as pa

    return pa.scalar(parse_time(text), pa.timestamp("us", "UTC"))


def _plain(value: Any) -> Any:
    return iso(value) if isinstance(value, datetime) else value
