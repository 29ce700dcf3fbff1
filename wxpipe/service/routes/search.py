"""Search and SQL."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from wxpipe.config import RunSettings
from wxpipe.service.examples import AHEAD, ROWS, SEARCH, answers
from wxpipe.service.opened import Opened
from wxpipe.service.problems import without_places
from wxpipe.service.state import Here, Open, Service, json_answer
from wxpipe.service.words import AheadWords, SearchBody, SearchWords, SqlWords
from wxpipe.vectors.ahead import what_came_next
from wxpipe.vectors.happened import what_happened
from wxpipe.vectors.sql import run_sql
from wxpipe.vectors.sql_link import Limits
from wxpipe.vectors.sql_rows import format_rows

router = APIRouter(prefix="/v1")
SEARCHES = answers(SEARCH, "The analogs, as `wxpipe search --json` prints them.")
AHEADS = answers(AHEAD, "The share of analogs with cold cloud, by cell and hour.")
ASKS = answers(ROWS, "The rows, as `wxpipe sql --format json` (or csv) prints them.", kind="array")
MOST_ROWS = 100_000


@router.get("/search", tags=["search"], summary="Analogs of a time", responses=SEARCHES)
async def search_by_address(words: Annotated[SearchWords, Query()], here: Here, opened: Open) -> Response:
    """The past weather that looked like a time in the archive; the words are those of the command line."""
    return await _search(words, here, opened)


@router.post("/search", tags=["search"], summary="Analogs of a time or a vector", responses=SEARCHES)
async def search_by_body(words: SearchBody, here: Here, opened: Open) -> Response:
    """The same with a body, which may be a vector instead of a time."""
    return await _search(words, here, opened)


@router.get("/ahead", tags=["search"], summary="What came after the analogs of a time", responses=AHEADS)
async def ahead_by_address(words: Annotated[AheadWords, Query()], here: Here, opened: Open) -> Response:
    """The share of analogs with cold cloud by cell and hour after their end, against usual times."""
    opened.require_release()

    def found() -> dict[str, Any]:
        answer = opened.search(words.request(opened))
        ahead = what_came_next(opened.root, answer, words.ahead, min(words.step, words.ahead))
        document = answer.document()
        kept = {name: document[name] for name in ("query", "release", "source", "model", "bands", "channels")}
        return kept | ahead.document()

    return json_answer(await here.asking.do(found))


@router.get("/sql", tags=["sql"], summary="A question in SQL", responses=ASKS)
async def sql_by_address(words: Annotated[SqlWords, Query()], here: Here, opened: Open) -> Response:
    """Rows of one SELECT over the views of the root, read only; see `wxpipe sql --help`."""
    return await _sql(words, here, opened)


@router.post("/sql", tags=["sql"], summary="A question in SQL", responses=ASKS)
async def sql_by_body(words: SqlWords, here: Here, opened: Open) -> Response:
    """The same with a body."""
    return await _sql(words, here, opened)


async def _search(words: SearchWords, here: Service, opened: Opened) -> Response:
    opened.require_release()
    # Odds ask the events in SQL, in a process that takes its time to begin: they do not stand in the searches' way.
    lane = here.asking if words.events_within else here.searching
    return json_answer(await lane.do(lambda: _found(words, opened)))


def _found(words: SearchWords, opened: Opened) -> dict[str, Any]:
    answer = opened.search(words.request(opened))
    if words.events_within:
        happened = what_happened(opened.root, answer, words.events_within, words.events_where)
        answer = replace(answer, happened=happened)
    return answer.document()


async def _sql(words: SqlWords, here: Service, opened: Opened) -> Response:
    limits = sql_limits(here.settings)

    def rows() -> str:
        table = run_sql(opened.root, words.query, limits, opened.release)
        return without_places(format_rows(table, words.format), here.url)

    text = await here.asking.do(rows)
    media_type = "text/csv; charset=utf-8" if words.format == "csv" else "application/json"
    return Response(text.encode("utf-8", "backslashreplace"), media_type=media_type)


def sql_limits(settings: RunSettings) -> Limits:
    """This machine's, and no more than a request may take."""
    seconds, rows = min(settings.sql_seconds, settings.service_seconds), min(settings.sql_rows, MOST_ROWS)
    return Limits(settings.sql_memory, seconds, rows)
