"""`wxpipe synth`: a small made-up archive, for trials and tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wxpipe.cli.options import parse_day


def command(
    folder: Annotated[Path, typer.Argument(help="Where the archive is made.")],
    satellite: Annotated[str, typer.Option(help="mini (small pictures) or coms (real size).")] = "mini",
    days: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    start: Annotated[str, typer.Option("--from", metavar="DAY", help="First UTC day; the satellite's own first.")] = "",
    seed: Annotated[int, typer.Option(help="Of the weather.")] = 1,
) -> None:
    """Make a synthetic archive: raw files of a simple moving cloud field, named and drawn as a satellite's."""
    from datetime import UTC, datetime, time

    from rich.progress import Progress

    from wxpipe.archive.synthetic import mini_satellite, write_archive
    from wxpipe.cli.show import console
    from wxpipe.satellites.catalog import find_source, shipped_satellites

    source = find_source({**shipped_satellites(), "mini": mini_satellite()}, satellite)
    first = datetime.combine(parse_day(start, "--from") or source.satellite.first_day, time(), UTC)
    slots = days * source.satellite.axis.slots_per_day
    with Progress(console=console) as progress:
        bar = progress.add_task("pictures", total=slots * len(source.satellite.channels))
        made = write_archive(
            folder, source.satellite, source.area_name, first, slots, seed,
            progress=lambda count: progress.update(bar, completed=count),
        )  # fmt: skip
    print(f"{made.written} pictures written, {made.kept} were there already: {made.pictures}")
    print(f"next: wxpipe backfill --archive {made.pictures} --satellites {made.satellite}")
