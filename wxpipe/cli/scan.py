"""`wxpipe scan`: what an archive holds, by its names alone."""

from __future__ import annotations

from typing import Annotated

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Root, Satellites


def command(
    archive: Annotated[str, typer.Argument(help="Folder or s3:// URL of the raw pictures.")],
    root: Root = DEFAULT_ROOT,
    satellites: Satellites = "",
) -> None:
    """List an archive into a root's inventory; no picture is opened."""
    from wxpipe.cli.backfill import list_archive
    from wxpipe.pipeline.backfill import Job

    list_archive(Job(root, archive, satellites))
