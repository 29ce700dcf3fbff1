"""`wxpipe quality`: how good the best analogs of past times were, and what came after them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Json, Root, print_json

if TYPE_CHECKING:
    from wxpipe.vectors.quality_sample import Sample

app = typer.Typer(help="How good best analogs are, and what comes after them.", no_args_is_help=True)
Satellite = Annotated[str, typer.Option("--satellite", help="A satellite or source, e.g. coms.")]
OfUnit = Annotated[Literal["clip", "frame"], typer.Option("--unit", help="What is searched for.")]


@app.command("measure")
def measure_(
    satellite: Satellite,
    root: Root = DEFAULT_ROOT,
    unit: OfUnit = "clip",
    samples: Annotated[int, typer.Option(min=1, help="Past times that are asked for.")] = 2_000,
    seed: Annotated[int, typer.Option(help="Of which times, and of the draws by chance.")] = 1,
    as_json: Json = False,
) -> None:
    """Ask the current release for the best analog of many past times; searches tell their quality by it from then on.

    Once after a model was trained, and again when the archive has grown much: some minutes for 2,000 times.
    """
    from rich.console import Console
    from rich.progress import Progress

    from wxpipe.store.root import require_root
    from wxpipe.vectors.quality_sample import measure

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("past times", total=None)
        sample = measure(
            require_root(root), satellite, unit, samples, seed,
            lambda done, of: progress.update(bar, completed=done, total=of),
        )  # fmt: skip
    _tell(sample, as_json)


@app.command("show")
def show(satellite: Satellite, root: Root = DEFAULT_ROOT, unit: OfUnit = "clip", as_json: Json = False) -> None:
    """Show the reliability table: what came of answers by the similarity of their best analog."""
    from wxpipe.errors import NotFoundError
    from wxpipe.store.root import require_root
    from wxpipe.vectors.quality_sample import read_sample
    from wxpipe.vectors.records import require_current

    opened = require_root(root)
    source = opened.source(satellite).id
    sample = read_sample(opened, require_current(opened).part(source), source, unit)
    if sample is None:
        raise NotFoundError(f"nothing was measured of {source} yet; `wxpipe quality measure` does")
    _tell(sample, as_json)


def _tell(sample: Sample, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from wxpipe.vectors.quality import reliability, table_document
    from wxpipe.vectors.quality_sample import LEADS

    rows = reliability(sample)
    if as_json:
        facts = {"number": sample.number, "release": sample.release, "samples": len(sample)}
        print_json({**facts, "reliability": table_document(rows)})
        return
    table = Table(
        "best analog", "times", *(f"+{lead} h (by chance)" for lead in LEADS),
        title=f"{len(sample)} past times of release {sample.release}: how like what came the analog's sequel was",
    )  # fmt: skip
    for row in rows:
        cells = [
            "-" if one.mean is None else f"{one.mean:.3f} ({'-' if one.by_chance is None else f'{one.by_chance:.3f}'})"
            for one in row.after
        ]
        table.add_row(f"{row.low:.3f} to {row.high:.3f}", str(row.count), *cells)
    Console().print(table)
