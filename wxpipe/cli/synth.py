"""`wxpipe synth`: a small made-up archive, for trials and tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    folder: Annotated[Path, typer.Argument(help="Where the archive is made.")],
) -> None:
    """Make a small synthetic archive."""
    raise NotImplementedError(folder)
