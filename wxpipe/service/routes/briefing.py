"""The briefing: a search's answer on one sheet."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from wxpipe.errors import NotFoundError, UsageError
from wxpipe.service.briefing import LEADS, Briefing, SheetForm, draw_briefing
from wxpipe.service.examples import files
from wxpipe.service.images import channels_of
from wxpipe.service.opened import Opened
from wxpipe.service.problems import told
from wxpipe.service.state import Here, Open
from wxpipe.service.words import SearchWords
from wxpipe.store.frames import frame_store
from wxpipe.vectors.ahead import what_came_next
from wxpipe.vectors.answers import Answer, iso
from wxpipe.vectors.happened import what_happened

router = APIRouter(prefix="/v1")
MEDIA_TYPES: dict[SheetForm, str] = {"png": "image/png", "pdf": "application/pdf"}
Form = Annotated[SheetForm, Path(description="One page either way.", examples=["pdf"])]


class BriefingWords(SearchWords):
    """A search, and how its pictures are shown."""

    channel: str = Field(
        default="", max_length=32, examples=["ir01"],
        description="The satellite's own name, or rgb; empty: its infrared.",
    )  # fmt: skip


@router.get("/briefing.{form}", tags=["search"], summary="A search's answer on one sheet", response_class=Response,
            responses=files("A4 across.", *MEDIA_TYPES.values()))  # fmt: skip
async def briefing(
    request: Request, form: Form, words: Annotated[BriefingWords, Query()], here: Here, opened: Open
) -> Response:
    """Query, analogs, quality, what came next and what happened, with a link to the page; the words are a search's."""
    opened.require_release()
    address = str(request.base_url)
    data, name = await here.asking.do(lambda: _drawn(opened, words, form, address))
    headers = {"Content-Disposition": f"attachment; filename={name}.{form}"}
    return Response(data, headers=headers, media_type=MEDIA_TYPES[form])


def _drawn(opened: Opened, words: BriefingWords, form: SheetForm, address: str) -> tuple[bytes, str]:
    """The sheet, and a name for it."""
    answer = opened.search(words.request(opened))
    if words.events_within:
        happened = what_happened(opened.root, answer, words.events_within, words.events_where)
        answer = replace(answer, happened=happened)
    source = opened.root.source(answer.source)
    bands = source.satellite.channels.items()
    channel = words.channel or next((name for name, own in bands if own.band == "ir"), next(iter(bands))[0])
    channels_of(frame_store(opened.root, source), channel)
    ahead, why = None, ""
    try:
        ahead = what_came_next(opened.root, answer, step=LEADS[0])
    except (UsageError, NotFoundError) as error:  # the rest of the sheet is worth having without it
        why = told(error, opened.root.url)
    sheet = Briefing(answer, channel, f"{address}?{_question(words, answer, channel)}", ahead, why)
    begins = answer.query.start
    name = f"wxpipe-{source.id}" + ("" if begins is None else f"-{begins:%Y%m%dT%H%M}")
    return draw_briefing(opened.root, sheet, form), name


def _question(words: BriefingWords, answer: Answer, channel: str) -> str:
    """The words for the page's address: those that were said, and what they came to."""
    said: dict[str, Any] = words.model_dump(exclude_defaults=True, exclude={"satellite", "unit", "channel"})
    begins = answer.query.start
    said |= {"source": answer.source, "channel": channel, "release": answer.release}
    return urlencode(said | ({} if begins is None else {"at": iso(begins)}))
