"""`wxpipe similarity`: the ground truth between two clips or frames, from files or from the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Json, Root, print_json
from wxpipe.vectors.times import parse_time

if TYPE_CHECKING:
    from wxpipe.similarity.compare import Comparison


def command(
    first: Annotated[str, typer.Argument(metavar="A", help="Clip or frame identity, or a folder of pictures.")] = "",
    second: Annotated[str, typer.Argument(metavar="B", help="The other one.")] = "",
    grid: Annotated[int, typer.Option("--grid", help="Cells along each side.")] = 24,
    bins: Annotated[int, typer.Option("--bins", help="Bins of grey values.")] = 20,
    layout: Annotated[
        Literal["exact", "reference"], typer.Option(help="reference: the published program's.")
    ] = "exact",
    root: Root = DEFAULT_ROOT,
    satellite: Annotated[str, typer.Option("--satellite", help="With --first and --second: whose frames.")] = "coms",
    first_times: Annotated[str, typer.Option("--first", metavar="T,T,...", help="Frames of the store.")] = "",
    second_times: Annotated[str, typer.Option("--second", metavar="T,T,...", help="Frames of the store.")] = "",
    channel: Annotated[str, typer.Option("--channel", help="Only this channel.")] = "",
    as_json: Json = False,
) -> None:
    """Compare two clips or two frames: 1 is the same, 0 shares nothing."""
    from wxpipe.errors import UsageError
    from wxpipe.similarity.compare import compare, compare_frames
    from wxpipe.similarity.layout import GridSpec
    from wxpipe.store.root import open_root

    spec = GridSpec(grid, bins, layout)
    opened = open_root(root)  # two folders are compared without one
    if first_times or second_times:
        if opened is None or first or second:
            raise UsageError(
                f"--first and --second compare frames of a root, without A and B; {root} is the root asked"
            )
        times = [[parse_time(text) for text in option.split(",") if text] for option in (first_times, second_times)]
        found = compare_frames(opened, satellite, times[0], times[1], spec, channel=channel)
    elif first and second:
        found = compare(first, second, spec, opened, channel=channel)
    else:
        raise UsageError("give two clips, frames or folders, or --root with --first and --second")
    if as_json:
        print_json(found.document())
    else:
        _show(found)


def _show(found: Comparison) -> None:
    document = found.document()
    grid, bins = f"{document['grid']} x {document['grid']} cells", f"{document['bins']} bins"
    print(
        f"similarity {document['similarity']:.6f}  ({document['frames']} frames, {grid}, {bins}, {document['layout']})"
    )
    for name, value in document["per_channel"].items():
        print(f"  {name:<8} {value:.6f}")
