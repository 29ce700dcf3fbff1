"""`wxpipe pairs`: triples of clips with their ground truth, frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Root, Satellite, Workers

app = typer.Typer(help="Triples of clips with their ground truth.", no_args_is_help=True)


@app.command("build")
def build(
    root: Root = DEFAULT_ROOT,
    satellite: Satellite = None,
    workers: Workers = 0,
    triples: Annotated[int, typer.Option(min=1, help="How many, over all splits.")] = 4000,
    seed: Annotated[int, typer.Option(help="Of the counter-based draws.")] = 1,
    strategy: Annotated[
        Literal["random", "distant", "stratified", "hard"],
        typer.Option(help="random; random of other events; even over similarity; the most similar of other events."),
    ] = "random",
) -> None:
    """Draw triples anew from what is in the root now; train reads them."""
    from wxpipe.cli.backfill import run_job
    from wxpipe.cli.show import show_report
    from wxpipe.pipeline.backfill import Job
    from wxpipe.pipeline.plan import Range

    options = {"anew": ("pairs",), "pairs_triples": triples, "pairs_seed": seed, "pairs_strategy": strategy}
    job = Job(root, wanted=Range(tuple(satellite or ()), stages=("pairs",)), options=options)
    report = run_job(job, "", workers, direct=True)
    show_report(report, root)
    raise typer.Exit(report.exit_code)


@app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="Where train.txt, valid.txt and test.txt are written.")],
    name: Annotated[str, typer.Option(help="Name of the pairs: the source's id.")],
    root: Root = DEFAULT_ROOT,
) -> None:
    """Write a set of triples as tab-separated text: clip x, y, z, sim(x, y), sim(x, z)."""
    from wxpipe.similarity.published_pairs import export_triples
    from wxpipe.store.root import require_root

    counts = export_triples(require_root(root), name, folder)
    print(f"{sum(counts.values())} triples written to {folder}")


@app.command("import")
def import_(
    folder: Annotated[
        Path, typer.Argument(help="Holds train.txt, valid.txt, test.txt; video2image.txt if there is one.")
    ],
    name: Annotated[str, typer.Option(help="What the root calls them, e.g. published-2013.")],
    root: Root = DEFAULT_ROOT,
) -> None:
    """Take the published tab-separated triples in, frozen; their clip numbers stay opaque names."""
    from wxpipe.cli.show import console
    from wxpipe.similarity.published_pairs import import_triples
    from wxpipe.store.root import require_root

    taken = import_triples(require_root(root), name, folder)
    told = ", ".join(f"{count} {split}" for split, count in taken.triples.items())
    print(f"pairs {name}: {told}; {taken.clips} clips listed")
    for warning in taken.warnings:
        console.print(f"[yellow]warning[/] {warning}", highlight=False)
