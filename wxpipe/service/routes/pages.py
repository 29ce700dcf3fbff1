"""The page: files of the package, read once; a name of a request is looked up among them, and never becomes a path."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

from fastapi import APIRouter, Request, Response

from wxpipe.service.images import tag_of
from wxpipe.service.problems import Problem

router = APIRouter()
MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True)
class PageFile:
    """What a browser gets."""

    data: bytes
    media_type: str
    tag: str


@cache
def page_files() -> dict[str, PageFile]:
    """Every file of the page, by name."""
    found = {}
    for file in resources.files("wxpipe.service").joinpath("pages").iterdir():
        ending = file.name.rpartition(".")[2]
        if ending in MEDIA_TYPES:
            data = file.read_bytes()
            found[file.name] = PageFile(data, MEDIA_TYPES[ending], tag_of(data))
    return found


@router.get("/")
async def page(request: Request) -> Response:
    return _answer(request, "index.html")


@router.get("/page/{name}")
async def part(request: Request, name: str) -> Response:
    return _answer(request, name)


def _answer(request: Request, name: str) -> Response:
    file = page_files().get(name)
    if file is None:
        raise Problem(404, f"the page has no file of that name; it has {', '.join(sorted(page_files()))}")
    headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == file.tag:
        # With its type: what a page may load is said of a page alone, and a browser takes what is said last.
        return Response(status_code=304, headers=headers, media_type=file.media_type)
    return Response(file.data, headers=headers, media_type=file.media_type)
