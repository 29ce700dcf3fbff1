"""Pages of HTML that need nothing else: no network, no fonts, no scripts. Light and dark as the reader's machine is."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

PAGE = "index.html"

STYLE = """
:root { --paper: #ffffff; --ink: #17212b; --soft: #5b6773; --line: #d5dbe1; --full: #2f6fc4; --part: #e0a81e;
  --alarm: #c8320c; --pale: #f4f6f8; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --paper: #12181e; --ink: #e6ebf0; --soft: #9aa7b4; --line: #36424e;
  --full: #5b9bee; --part: #f2c14e; --alarm: #ff6a45; --pale: #1a222a; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; max-width: 62rem;
  margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { margin: 0; } h2 { margin: 3rem 0 .5rem; border-top: 2px solid var(--line); padding-top: 1rem; }
h3 { margin: 2rem 0 .3rem; }
p { margin: .3rem 0; } .soft, figcaption, dt { color: var(--soft); }
figure { margin: .6rem 0 0; } figure svg { width: 100%; height: auto; }
.out { border-left: 4px solid var(--alarm); padding: .1rem 0 .1rem .7rem; margin: .4rem 0; }
.calm { border-left: 4px solid var(--full); padding: .1rem 0 .1rem .7rem; margin: .4rem 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; margin: .6rem 0; }
th, td { padding: .25rem .55rem .25rem 0; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { color: var(--soft); font-weight: 500; } th:first-child, td:first-child, .text { text-align: left; }
.path { font: .8rem ui-monospace, monospace; white-space: normal; overflow-wrap: anywhere; text-align: left; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; } dd { margin: 0; }
"""


def document(title: str, parts: Iterable[str], style: str = "") -> str:
    """A whole page out of parts that are HTML already; ``style`` is its own CSS, beside that of all pages."""
    head = html.escape(title)
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{head}</title><style>{STYLE}{style}</style></head><body>",
            f"<h1>{head}</h1>",
            *parts,
            "</body></html>\n",
        ]
    )


def write_page(folder: Path, text: str) -> Path:
    """Puts a page into a folder, which is made where it is missing; answers with where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PAGE).write_text(text, encoding="utf-8")
    return folder / PAGE


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'
