"""`wxpipe cells`: the copy of the grid CDFs by which searches of regions read them: build, update, figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Json, Root, print_json

if TYPE_CHECKING:
    from wxpipe.satellites.catalog import Source
    from wxpipe.similarity.cell_months import Copied
    from wxpipe.store.root import Root as OpenRoot

app = typer.Typer(help="The cell-major copy of the histograms, for searches by region and cells.", no_args_is_help=True)
One = Annotated[str, typer.Option("--satellite", help="A satellite or source, e.g. coms.")]
Several = Annotated[
    list[str] | None, typer.Option("--satellite", help="A satellite or source; by default all that have a copy.")
]


@app.command("build")
def build(
    satellite: One,
    root: Root = DEFAULT_ROOT,
    anew: Annotated[bool, typer.Option("--anew", help="Make months again that are there, too.")] = False,
    as_json: Json = False,
) -> None:
    """Copy the histograms of a source, month by month; those that are there as they should be stay."""
    from wxpipe.store.root import require_root

    opened = require_root(root)
    source = opened.source(satellite)
    _tell({source.id: _made(opened, source, anew, as_json)}, as_json)


@app.command("update")
def update(satellite: Several = None, root: Root = DEFAULT_ROOT, as_json: Json = False) -> None:
    """Make months that are new, or whose histograms have changed, and remove what took up room before them."""
    from wxpipe.similarity.cell_months import FOLDER
    from wxpipe.store.root import require_root

    opened = require_root(root)
    names = satellite or opened.objects.names(FOLDER)
    sources = [opened.source(name) for name in names]
    _tell({source.id: _made(opened, source, False, as_json) for source in sources}, as_json)


@app.command("stats")
def stats(satellite: One, root: Root = DEFAULT_ROOT, as_json: Json = False) -> None:
    """Months that are copied, stale and missing, how large they are, and the regions of the source."""
    from wxpipe.similarity.cell_months import cells_stats
    from wxpipe.store.root import require_root

    opened = require_root(root)
    found = cells_stats(opened, opened.source(satellite))
    if as_json:
        print_json(found)
        return
    print(f"{found['source']}: {found['months']} months copied, {found['bytes'] / 1e6:,.1f} MB, "
          f"{found['bytes_per_full_day'] * 365 / 1e9:.2f} GB a year; layout {found['layout']}")  # fmt: skip
    for name, why in (
        ("stale", "their histograms changed"),
        ("missing", "never copied"),
        ("damaged", "not to be read"),
    ):
        if found[name]:
            print(f"{name} ({why}): {', '.join(found[name])}; `wxpipe cells update` makes them")
    for name, region in found["regions"].items():
        print(f"region {name}: {region['title']}, {region['cells']} cells")


def _made(root: OpenRoot, source: Source, anew: bool, as_json: bool) -> Copied:
    from wxpipe.cli.show import console
    from wxpipe.pipeline.run import single_handed
    from wxpipe.similarity.cell_months import lease_of, remove_spent, update_cells

    def say(text: str) -> None:
        if not as_json:
            console.print(text, highlight=False, markup=False)

    with single_handed(root, lease_of(source)) as lease:
        made = update_cells(root, source, lease, anew, say)
        remove_spent(root, source, lease)
        return made


def _tell(made: dict[str, Copied], as_json: bool) -> None:
    if as_json:
        documents: dict[str, Any] = {
            name: {"made": list(one.made), "kept": len(one.kept), "bytes_written": one.bytes_written}
            for name, one in made.items()
        }
        print_json(documents)
        return
    for name, one in made.items():
        print(f"{name}: {len(one.made)} months made, {len(one.kept)} were as they should be")
    if not made:
        print("no source has a copy; `wxpipe cells build --satellite ...` makes one")
