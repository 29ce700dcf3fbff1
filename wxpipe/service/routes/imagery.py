"""Frames and clips by identity, their pictures and their animations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from wxpipe.errors import NotFoundError, UsageError
from wxpipe.service.examples import CLIP_DOCUMENT, CONTINUATION, FRAME_DOCUMENT, answers, files
from wxpipe.service.images import (
    MEDIA_TYPES,
    Form,
    Look,
    channels_of,
    draw_animation,
    draw_picture,
    draw_strip,
    missing,
    tag_of,
)  # fmt: skip
from wxpipe.service.opened import Opened
from wxpipe.service.state import Here, Open, Service, json_answer
from wxpipe.service.words import OnOff
from wxpipe.similarity.clip_stage import clip_rule, read_clips
from wxpipe.similarity.identity import ClipIdentity, FrameIdentity, clip_id, frame_id, parse_clip_id, parse_frame_id
from wxpipe.store.frames import NO_LAYER, UNKNOWN_LAYER, FrameStore, Status, frame_store
from wxpipe.vectors.answers import iso

router = APIRouter(prefix="/v1")
CACHED = "private, max-age=300"
"""A picture is made again where its day is: that is seldom, and a client that asks again then costs next to nothing."""

SourceName = Annotated[str, Path(description="A source.", max_length=64, examples=["coms-ea"])]
Time = Annotated[str, Path(description="When it begins, UTC.", max_length=16, examples=["20110303T0800Z"])]
Rule = Annotated[str, Path(description="Hours and frames.", max_length=16, examples=["6h20"])]
Channel = Annotated[
    str,
    Path(description="The satellite's own name, or rgb: its bands ir, swir and wv as a colour picture.", max_length=32,
         examples=["ir01"]),
]  # fmt: skip
PictureForm = Annotated[Form, Path(description="png is exact, webp smaller.", examples=["webp"])]
Overlay = Annotated[OnOff, Query(description="on: with coastline and graticule, as the picture came.")]
Width = Annotated[int | None, Query(ge=16, le=4096, description="Pixels, at most; else as it is.", examples=[375])]
Layout = Annotated[Literal["loop", "strip"], Query(description="strip: all frames below each other, in one picture.")]
LoopWidth = Annotated[int, Query(ge=16, le=800, description="Pixels, at most.", examples=[375])]
Milliseconds = Annotated[int, Query(ge=20, le=5000, description="For which a frame is shown.", examples=[150])]
Hours = Annotated[int, Query(ge=1, le=24, description="How far it goes.", examples=[24])]
Every = Annotated[int, Query(ge=30, le=360, description="Minutes between frames, at least the satellite's cadence.")]


@router.get("/frames/{source}/{time}", tags=["imagery"], summary="A frame",
            responses=answers(FRAME_DOCUMENT, "What became of each of its pictures."))  # fmt: skip
async def frame(source: SourceName, time: Time, here: Here, opened: Open) -> Response:
    """A frame by its identity."""
    return json_answer(await here.searching.do(lambda: _frame(*_slot(opened, source, time))))


@router.get("/frames/{source}/{time}/{channel}.{form}", tags=["imagery"], summary="A picture",
            responses=files("The picture."), response_class=Response)  # fmt: skip
async def picture(
    request: Request, source: SourceName, time: Time, channel: Channel, form: PictureForm, here: Here, opened: Open,
    overlay: Overlay = "off", width: Width = None,
) -> Response:  # fmt: skip
    """One channel at one slot.

    As PNG, and without a width, it has the pixels that are stored, or with overlay=on those of the file that came.
    Small and without overlay it is cropped as the model sees it.
    """
    look = Look(channel, form, overlay == "on", width)

    def find() -> tuple[FrameStore, int]:
        store, slot = _slot(opened, source, time)
        channels_of(store, channel)
        return store, slot

    store, slot = await here.searching.do(find)
    return await _file(request, here, store, [slot], look, lambda: draw_picture(store, slot, look), "picture")


@router.get("/clips/{source}/{time}/{rule}", tags=["imagery"], summary="A clip",
            responses=answers(CLIP_DOCUMENT, "When it is, and its frames."))  # fmt: skip
async def clip(source: SourceName, time: Time, rule: Rule, here: Here, opened: Open) -> Response:
    """A clip by its identity."""
    return json_answer(await here.searching.do(lambda: _clip(opened, source, time, rule)))


@router.get("/clips/{source}/{time}/{rule}/{channel}.{form}", tags=["imagery"], summary="An animation",
            responses=files("A loop: an animated WebP, or an animated PNG."), response_class=Response)  # fmt: skip
async def animation(
    request: Request, source: SourceName, time: Time, rule: Rule, channel: Channel, form: PictureForm, here: Here,
    opened: Open, overlay: Overlay = "off", width: LoopWidth = 375, milliseconds: Milliseconds = 150,
    layout: Layout = "loop",
) -> Response:  # fmt: skip
    """The frames of a clip, over and over."""
    look = Look(channel, form, overlay == "on", width)

    def find() -> tuple[FrameStore, list[int]]:
        store, row = _found_clip(opened, source, time, rule)
        channels_of(store, channel)
        return store, list(row["slots"])

    return await _film(request, here, find, look, milliseconds, layout)


@router.get("/continuations/{source}/{time}", tags=["imagery"], summary="What came next",
            responses=answers(CONTINUATION, "The frames that came after a time."))  # fmt: skip
async def continuation(
    source: SourceName, time: Time, here: Here, opened: Open, hours: Hours = 24, every: Every = 60
) -> Response:
    """Frames at regular times after a frame, as far as the archive goes, and which of them are good."""
    return json_answer(await here.searching.do(lambda: _continuation(*_slot(opened, source, time), hours, every)))


@router.get("/continuations/{source}/{time}/{channel}.{form}", tags=["imagery"], summary="What came next, shown",
            responses=files("The frames as a loop, or below each other."), response_class=Response)  # fmt: skip
async def continuation_picture(
    request: Request, source: SourceName, time: Time, channel: Channel, form: PictureForm, here: Here, opened: Open,
    overlay: Overlay = "off", width: LoopWidth = 375, milliseconds: Milliseconds = 150, layout: Layout = "loop",
    hours: Hours = 24, every: Every = 60,
) -> Response:  # fmt: skip
    """The frames that came after a time; the header Wxpipe-Missing counts from 0 those that are black, not stored."""
    look = Look(channel, form, overlay == "on", width)

    def find() -> tuple[FrameStore, list[int]]:
        store, slot = _slot(opened, source, time)
        channels_of(store, channel)
        return store, _after(store, slot, hours, every)

    return await _film(request, here, find, look, milliseconds, layout)


async def _film(
    request: Request, here: Service, find: Callable[[], tuple[FrameStore, list[int]]], look: Look, milliseconds: int,
    layout: Literal["loop", "strip"],
) -> Response:  # fmt: skip
    """Frames one after another, or below each other."""
    store, slots = await here.searching.do(find)

    def make() -> bytes:
        if layout == "strip":
            return draw_strip(store, slots, look)
        return draw_animation(store, slots, look, milliseconds)

    return await _file(request, here, store, slots, look, make, layout, milliseconds)


async def _file(
    request: Request, here: Service, store: FrameStore, slots: Sequence[int], look: Look, make: Callable[[], bytes],
    kind: Literal["picture", "loop", "strip"], *more: object,
) -> Response:  # fmt: skip
    """A file that is made once: the client may have it, or we may."""
    ledger, days = store.root.ledger, sorted({store.axis.day(slot) for slot in slots})

    def tag() -> tuple[str, list[int]]:
        made_of = [ledger.output("ingest", f"{store.source.id}/{day}") for day in days]
        gone = missing(store, slots, look.channel)
        return tag_of(kind, store.source.id, tuple(slots), look, made_of, gone, *more), gone

    found, gone = await here.searching.do(tag)
    headers = {"ETag": found, "Cache-Control": CACHED, "Wxpipe-Missing": " ".join(map(str, gone))}
    if _has(request.headers.get("if-none-match", ""), found):
        return Response(status_code=304, headers=headers)
    data = here.pictures.get(found)
    if data is None:
        data = await here.searching.do(make)
        here.pictures.put(found, data)
    return Response(data, headers=headers, media_type=MEDIA_TYPES[look.form])


def _has(header: str, tag: str) -> bool:
    """Whether ``If-None-Match`` names a tag."""
    return any(part.strip().removeprefix("W/") in (tag, "*") for part in header.split(","))


def _frame(store: FrameStore, slot: int) -> dict[str, Any]:
    time, source = store.axis.time(slot), store.source
    name = frame_id(source.id, time)
    arrays = {key: store.slots(key, slot, slot + 1)[0] for key in ("status", "rows", "layer", "time_observed")}

    def channel(index: int, channel_name: str, band: str) -> dict[str, Any]:
        status, layer = Status(int(arrays["status"][index])), int(arrays["layer"][index])
        observed = int(arrays["time_observed"][index])
        kept = status.stored and store.root.settings.keep_pictures
        return {
            "band": band,
            "status": status.name.lower(),
            "rows": int(arrays["rows"][index]),
            "overlay": {NO_LAYER: "none", UNKNOWN_LAYER: "unknown"}.get(layer, "known") if status.stored else None,
            "observed": iso(datetime.fromtimestamp(observed, UTC)) if status.stored and observed >= 0 else None,
            "picture": f"/v1/frames/{name}/{channel_name}.png" if kept else None,
        }

    return {
        "frame_id": name,
        "source": source.id,
        "satellite": source.satellite.name,
        "time": iso(time),
        "slot": slot,
        "good": bool(store.good_frames(slot, slot + 1)[0]),
        "channels": {
            own: channel(index, own, described.band)
            for index, (own, described) in enumerate(source.satellite.channels.items())
        },
    }


def _clip(opened: Opened, source: str, time: str, rule: str) -> dict[str, Any]:
    store, row = _found_clip(opened, source, time, rule)
    found = store.source
    times = [store.axis.time(slot) for slot in row["slots"]]
    return {
        "clip_id": row["clip_id"],
        "source": found.id,
        "satellite": found.satellite.name,
        "start": iso(row["start"].astimezone(UTC)),
        "end": iso(row["end"].astimezone(UTC)),
        "coverage": row["coverage"],
        "frames": [{"frame_id": frame_id(found.id, moment), "time": iso(moment)} for moment in times],
        "animations": {name: f"/v1/clips/{row['clip_id']}/{name}.webp" for name in store.channels},
    }


def _after(store: FrameStore, slot: int, hours: int, every: int) -> list[int]:
    """Slots at regular times after one, the nearest that the cadence allows.

    Raises:
        NotFoundError: the satellite's time is over by then.
    """
    step = _every(store, every)
    last = min(slot + timedelta(hours=hours) // store.axis.cadence, store.axis.count - 1)
    found = list(range(slot + step, last + 1, step))
    if not found:
        raise NotFoundError(
            f"{store.source.id} has no slot {every} minutes to {hours} h after {store.axis.time(slot):%Y-%m-%dT%H:%MZ}"
        )
    return found


def _every(store: FrameStore, minutes: int) -> int:
    """Slots between two frames that shall be so many minutes apart, or a little more."""
    return max(1, -(-timedelta(minutes=minutes) // store.axis.cadence))


def _continuation(store: FrameStore, slot: int, hours: int, every: int) -> dict[str, Any]:
    source, slots = store.source.id, _after(store, slot, hours, every)
    good = store.good_frames(slots[0], slots[-1] + 1)
    return {
        "after": iso(store.axis.time(slot)),
        "source": source,
        "every_minutes": _every(store, every) * (store.axis.cadence // timedelta(minutes=1)),
        "frames": [
            {
                "frame_id": frame_id(source, store.axis.time(found)),
                "time": iso(store.axis.time(found)),
                "good": bool(good[found - slots[0]]),
            }
            for found in slots
        ],
    }


def _slot(opened: Opened, source: str, time: str) -> tuple[FrameStore, int]:
    """The store and the slot that a frame's identity names.

    Raises:
        NotFoundError: it is none, or of no source or slot that there is.
    """
    try:
        return _place(opened, parse_frame_id(f"{source}/{time}"))
    except UsageError as error:
        raise NotFoundError(str(error)) from error


def _place(opened: Opened, identity: FrameIdentity | ClipIdentity) -> tuple[FrameStore, int]:
    found = opened.root.source(identity.source)
    axis = found.satellite.axis
    try:
        slot = axis.slot(identity.time)
    except ValueError as error:
        raise NotFoundError(f"{found.id}: {error}") from error
    if axis.time(slot) != identity.time:
        cadence = axis.cadence // timedelta(minutes=1)
        nearest = frame_id(found.id, axis.time(slot))
        raise NotFoundError(f"{found.id} has a slot every {cadence} minutes; the nearest is {nearest}")
    return frame_store(opened.root, found), slot


def _found_clip(opened: Opened, source: str, time: str, rule: str) -> tuple[FrameStore, dict[str, Any]]:
    """The store, and the row of the clip that an identity names.

    Raises:
        NotFoundError: it is none, or there is no such clip; names what is near.
    """
    name = f"{source}/{time}/{rule}"
    try:
        identity = parse_clip_id(name)
        store, _ = _place(opened, identity)
    except UsageError as error:
        raise NotFoundError(str(error)) from error
    wanted = clip_id(store.source.id, identity.time, clip_rule(opened.root, store.source))
    table = read_clips(opened.root, store.source.id, identity.time.date())
    rows = table.select(["clip_id", "start"]).to_pylist()
    for place, row in enumerate(rows):
        if row["clip_id"] == name:
            return store, table.slice(place, 1).to_pylist()[0]
    if wanted != name:
        raise NotFoundError(f"{name}: clips of {store.source.id} are named like {wanted}")
    near = sorted(rows, key=lambda row: abs(row["start"] - identity.time))[:3]
    hint = f"the nearest are {', '.join(row['clip_id'] for row in near)}" if near else "none begins on that day"
    raise NotFoundError(f"there is no clip {name}; {hint}")
