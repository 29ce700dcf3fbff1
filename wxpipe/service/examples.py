"""Examples of the OpenAPI document: one answer of each address, as a root of a week of COMS would give it."""

from __future__ import annotations

from typing import Any

CLIP, FRAME = "coms-ea/20110303T0800Z/6h20", "coms-ea/20110303T0800Z"
SEARCH = {
    "query": {"clip_id": CLIP, "start": "2011-03-03T08:00:00Z", "end": "2011-03-03T14:00:00Z"},
    "release": 1, "model": "channel-linear-5f0c2c1a9d3b", "trained": True, "index": "exact", "excluded_hours": 24,
    "analogs": [{
        "rank": 1, "clip_id": "coms-ea/20120312T0715Z/6h20", "start": "2012-03-12T07:15:00Z",
        "end": "2012-03-12T13:15:00Z", "distance": 0.4127, "similarity": 0.9312,
        "episode": ["coms-ea/20120312T0700Z/6h20", "coms-ea/20120312T0715Z/6h20"],
    }],
    "quality": {"percentile": None, "good": None}, "source": "coms-ea", "unit": "clip", "where": "", "filters": {},
    "episodes": True, "rerank": None, "candidates": 80, "matching": 34211, "warning": "",
}  # fmt: skip
AHEAD = {
    "query": {"clip_id": CLIP, "start": "2011-03-03T08:00:00Z", "end": "2011-03-03T14:00:00Z"},
    "release": 1, "source": "coms-ea", "model": "channel-linear-5f0c2c1a9d3b", "bands": "ir+wv",
    "channels": ["ir01", "ir02", "wv"], "channel": "ir01", "grid": 24,
    "cold": {"grey": 205, "kelvin": None, "calibrated": False, "share": 0.5}, "compared": 60,
    "are": "clips within 45 days of the season and 3 h of the time of day",
    "steps": [{"hours": 3, "analogs": 9, "usual_of": 58, "share": [0.1111] * 576, "usual": [0.1897] * 576,
               "came": None}],
}  # fmt: skip
SOURCES = {
    "release": 1,
    "sources": [{
        "source": "coms-ea", "satellite": "coms", "title": "COMS-1 Meteorological Imager", "area": "East Asia",
        "imagery": "KMA NMSC", "cadence_minutes": 15, "first_day": "2010-06-26", "last_day": "2021-06-25",
        "rows": 1300, "columns": 1500, "title_rows": 20, "reduced": [300, 375], "clip": {"hours": 6, "frames": 20},
        "channels": {"ir01": "ir", "ir02": "ir2", "swir": "swir", "wv": "wv"},
        "composites": {"rgb": ["ir01", "swir", "wv"]}, "model": "channel-linear-5f0c2c1a9d3b", "trained": True,
    }],
}  # fmt: skip
FRAME_DOCUMENT = {
    "frame_id": FRAME, "source": "coms-ea", "satellite": "coms", "time": "2011-03-03T08:00:00Z", "slot": 24032,
    "good": True,
    "channels": {"ir01": {
        "band": "ir", "status": "good", "rows": 1300, "overlay": "known", "observed": "2011-03-03T08:00:00Z",
        "picture": f"/v1/frames/{FRAME}/ir01.png",
    }},
}  # fmt: skip
CLIP_DOCUMENT = {
    "clip_id": CLIP, "source": "coms-ea", "satellite": "coms", "start": "2011-03-03T08:00:00Z",
    "end": "2011-03-03T14:00:00Z", "coverage": 1.0,
    "frames": [{"frame_id": FRAME, "time": "2011-03-03T08:00:00Z"}],
    "animations": {"ir01": f"/v1/clips/{CLIP}/ir01.webp"},
}  # fmt: skip
CONTINUATION = {
    "after": "2011-03-03T14:00:00Z", "source": "coms-ea", "every_minutes": 60,
    "frames": [{"frame_id": "coms-ea/20110303T1500Z", "time": "2011-03-03T15:00:00Z", "good": True}],
}  # fmt: skip
RELEASES = {
    "current": 2, "serving": 2,
    "releases": [{"number": 2, "created": "2026-11-21T08:00:00Z", "follows": None,
                  "models": {"coms-ea": "channel-linear-5f0c2c1a9d3b"}, "clips": 34211, "frames": 35096}],
}  # fmt: skip
RELEASE = {
    "number": 2, "created": "2026-11-21T08:00:00Z", "follows": None,
    "models": {"coms-ea": "channel-linear-5f0c2c1a9d3b"}, "clips": 34211, "frames": 35096, "days": 366,
    "parts": [{
        "model": "channel-linear-5f0c2c1a9d3b", "trained": True, "sources": ["coms-ea"],
        "tables": {"clips": {"version": 7, "rows": 34211, "index": {"kind": "ivf_flat"}}},
    }],
}  # fmt: skip
COVERAGE = {
    "root": "ROOT", "counted": "2026-11-21T08:00:00Z", "release": 1, "quarantined": 0, "reconciled": True,
    "differences": [],
    "sources": {"coms-ea": {
        "days": 1, "slots": {"good": 25, "missing": 2},
        "pictures": {"good": 100, "missing": 8, "quarantined": 0, "suspect": 0, "unscheduled": 0}, "clips": 6,
        "stages": {"ingest": {"done": 1, "stale": 0, "missing": 0, "failed": 0}},
    }},
}  # fmt: skip
EVENTS = {
    "count": 1, "more": False,
    "events": [{
        "event_id": "3f0c9d2a", "start": "2011-03-03T15:00:00Z", "end": "2011-03-03T21:00:00Z", "type": "heavy rain",
        "region": "Seoul", "value": 31.5, "source": "KMA", "lat": None, "lon": None, "imported_from": "warnings.csv",
    }],
}  # fmt: skip
ROWS = [{"year": 2011, "clips": 34211}]
METRICS = 'wxpipe_requests_total{method="GET",route="/v1/search",status="200"} 3.0\n'
PROBLEM = {
    "type": "about:blank", "title": "Bad Request", "status": 400,
    "detail": "satellite or source 'goes' is not known; sources: coms-ea", "request": "4f1c0a2b9d3e",
}  # fmt: skip
TELLS = {
    400: "The request cannot be understood.", 401: "The token is missing, or another.", 404: "There is no such thing.",
    413: "It brings too much.", 422: "A parameter is not of its kind.", 429: "Too many requests.",
    503: "Not now; Retry-After says when.",
}  # fmt: skip

Responses = dict[int | str, dict[str, Any]]


def answers(example: Any, tells: str, media_type: str = "application/json", kind: str = "object") -> Responses:
    """Responses of an address: the good one with an example, and what may go wrong."""
    good = {"description": tells, "content": {media_type: {"schema": {"type": kind}, "example": example}}}
    return {200: good, **problems()}


def files(tells: str, *types: str) -> Responses:
    """Responses of an address that gives files: pictures, where nothing else is said."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    good = {"description": tells, "content": dict.fromkeys(types or ("image/png", "image/webp"), binary)}
    return {200: good, 304: {"description": "What the client has is still so."}, **problems()}


def problems() -> Responses:
    schema = {
        "type": "object", "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
            "detail": {"type": "string"}, "request": {"type": "string"},
            "errors": {"type": "array", "items": {"type": "object"}},
        },
    }  # fmt: skip
    content = {"application/problem+json": {"schema": schema, "example": PROBLEM}}
    return {status: {"description": tells, "content": content} for status, tells in TELLS.items()}
