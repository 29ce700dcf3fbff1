"""`wxpipe train`: a fresh model out of what the root holds now."""

from __future__ import annotations

from typing import Annotated

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Root, Satellite, Workers


def command(
    root: Root = DEFAULT_ROOT,
    satellite: Satellite = None,
    workers: Workers = 0,
    epochs: Annotated[int, typer.Option("--epochs", min=0, help="0: as published, 100.")] = 0,
    keep_pairs: Annotated[bool, typer.Option("--keep-pairs", help="Learn from the pairs that are there.")] = False,
    rate: Annotated[float, typer.Option("--learning-rate", min=0.0, help="0: as published, 1e-5.")] = 0.0,
) -> None:
    """Draw fresh pairs and train a model anew. Its vectors and release follow with the next backfill."""
    from wxpipe.cli.backfill import run_job
    from wxpipe.cli.show import show_report
    from wxpipe.pipeline.backfill import Job
    from wxpipe.pipeline.plan import Range

    chosen = {"train_epochs": epochs, "train_learning_rate": rate}
    anew = ("train",) if keep_pairs else ("pairs", "train")
    options = {"anew": anew, **{name: value for name, value in chosen.items() if value}}
    job = Job(root, wanted=Range(tuple(satellite or ()), stages=anew), options=options)
    report = run_job(job, "", workers, direct=True)
    show_report(report, root)
    raise typer.Exit(report.exit_code)
