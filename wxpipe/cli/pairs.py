"""`wxpipe pairs`: triples of clips with their ground truth, frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
) -> None:
    """Draw triples anew from what is in the root now; train reads them."""
    from wxpipe.cli.backfill import run_job
    from wxpipe.cli.show import show_report
    from wxpipe.pipeline.backfill import Job
    from wxpipe.pipeline.plan import Range

    options = {"anew": ("pairs",), "pairs_triples": triples, "pairs_seed": seed}
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
    from wxpipe.similarity.pairs import read_triples
    from wxpipe.similarity.splits import SPLITS
    from wxpipe.store.root import require_root

    rows = read_triples(require_root(root), name).to_pylist()
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        lines = [
            "\t".join(str(row[c]) for c in ("x", "y", "z", "sim_xy", "sim_xz")) for row in rows if row["split"] == split
        ]
        (folder / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines))
    print(f"{len(rows)} triples written to {folder}")
