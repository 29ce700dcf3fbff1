"""`wxpipe synth`: a made-up archive, for trials, tests and training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wxpipe.cli.options import parse_day


def command(
    folder: Annotated[Path, typer.Argument(help="Where the archive is made, or made longer.")],
    satellite: Annotated[
        list[str] | None,
        typer.Option(help="Satellite or source; repeat it for several under one sky. mini and mini2 are small."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    start: Annotated[str, typer.Option("--from", metavar="DAY", help="First UTC day; the satellite's own first.")] = "",
    seed: Annotated[int, typer.Option(help="Of the weather.")] = 1,
    scale: Annotated[int, typer.Option(min=1, help="Makes pictures so many times smaller along each side.")] = 1,
    gaps: Annotated[bool, typer.Option("--gaps", help="Leave out slots, channels, hours and days.")] = False,
    faults: Annotated[int, typer.Option(min=0, help="Plant so many faults of every kind that pictures can show.")] = 0,
    damaged_week: Annotated[
        str, typer.Option("--damaged-week", metavar="DAY", help="From that day on, cut every second file of a week.")
    ] = "",
    satellites: Annotated[str, typer.Option(help="Site TOML, a file or a folder.")] = "",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one a core.")] = 0,
) -> None:
    """Make a synthetic archive: raw files of weather that never was, named and drawn as satellites', and its truth."""
    import os

    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from wxpipe.archive.synthetic.archive import Order, make_archive, pictures_of
    from wxpipe.archive.synthetic.source import scaled, site_satellites
    from wxpipe.cli.show import console
    from wxpipe.satellites.catalog import Source, find_source, load_satellites

    known = {**site_satellites(), **load_satellites(satellites)}
    found = [find_source(known, name) for name in satellite or ["mini"]]
    sources = tuple(Source(scaled(source.satellite, scale), source.area_name) for source in found)
    first = parse_day(start, "--from") or max(source.satellite.first_day for source in sources)
    order = Order(sources, first, days, seed, gaps, faults, parse_day(damaged_week, "--damaged-week"))
    with Progress(
        *Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn(), console=console
    ) as bar:
        task = bar.add_task("pictures", total=pictures_of(order))
        cores = workers or os.cpu_count() or 1
        made = make_archive(folder, order, workers=cores, progress=lambda count: bar.update(task, completed=count))
    for one in made:
        lost = f", {one.missing} slots with gaps" if one.missing else ""
        print(f"{one.source}: {one.written} pictures written, {one.kept} were there already{lost}")
        if one.faults:
            print(f"{one.source}: {one.faults} faults planted")
        for kind, number in one.left_out.items():
            print(f"{one.source}: room for {number} faults of kind {kind!r}, not for {faults}")
    print(f"what is true of it: {folder / 'truth.json'}")
    print(f"next: wxpipe backfill --archive {made[0].pictures} --satellites {folder}")
