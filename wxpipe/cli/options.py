"""Options that several verbs share, and how they are read."""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Any

import typer

from wxpipe.errors import UsageError

Root = Annotated[
    str, typer.Option("--root", envvar="WXPIPE_ROOT", help="The root: a folder or an s3:// URL.", show_default=True)
]
DEFAULT_ROOT = "./wxpipe-root"
Archive = Annotated[str, typer.Option("--archive", help="The folder or s3:// URL of the raw pictures.")]
Satellites = Annotated[
    str,
    typer.Option(
        "--satellites", envvar="WXPIPE_SATELLITES", help="The site's own satellites: a TOML file or a folder."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Satellite = Annotated[list[str] | None, typer.Option("--satellite", help="A satellite or source; may be repeated.")]
From = Annotated[str, typer.Option("--from", metavar="DAY", help="First UTC day, e.g. 2011-03-01.")]
To = Annotated[str, typer.Option("--to", metavar="DAY", help="Last UTC day.")]
Stage = Annotated[list[str] | None, typer.Option("--stage", help="A stage; may be repeated. All by default.")]
Workers = Annotated[int, typer.Option("--workers", min=0, help="Local Dask workers; 0: one a core.")]
Scheduler = Annotated[str, typer.Option("--scheduler", metavar="ADDRESS", help="A running Dask scheduler instead.")]
Direct = Annotated[bool, typer.Option("--direct", help="Without Prefect; --workers 0 then stays in this process.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]


def parse_day(text: str, option: str) -> date | None:
    """A UTC day, or None for an empty text.

    Raises:
        UsageError: not a day.
    """
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: expected a day such as 2011-03-01") from error


def print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False, default=str))
