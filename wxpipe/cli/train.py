"""`wxpipe train`: a fresh model out of what the root holds now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Root, Satellite, Workers

if TYPE_CHECKING:
    from wxpipe.pipeline.backfill import Job


def command(
    root: Root = DEFAULT_ROOT,
    satellite: Satellite = None,
    workers: Workers = 0,
    epochs: Annotated[int, typer.Option("--epochs", min=0, help="0: as published, 100.")] = 0,
    keep_pairs: Annotated[bool, typer.Option("--keep-pairs", help="Learn from the pairs that are there.")] = False,
    curves: Annotated[str, typer.Option("--curves", metavar="PNG", help="Draw the losses of one satellite's.")] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, whatever checkpoint there is.")] = False,
    patience: Annotated[
        int, typer.Option("--patience", min=0, help="Epochs without a better one, after which it ends; 0: 10.")
    ] = 0,
    rate: Annotated[float, typer.Option("--learning-rate", min=0.0, help="0: as published, 1e-5.")] = 0.0,
    floor: Annotated[
        bool, typer.Option("--floor", help="Learn a floor of distances too; best with hard pairs.")
    ] = False,
) -> None:
    """Draw fresh pairs and train a model anew. Its vectors and release follow with the next backfill.

    A training that was broken off goes on from its latest checkpoint, and comes to the model that it would have made.
    """
    from wxpipe.cli.backfill import run_job
    from wxpipe.cli.show import show_report
    from wxpipe.pipeline.backfill import Job
    from wxpipe.pipeline.plan import Range

    chosen = {"train_epochs": epochs, "train_learning_rate": rate, "train_patience": patience}
    anew = ("train",) if keep_pairs else ("pairs", "train")
    options = {"anew": anew, "fresh": fresh, **{name: value for name, value in chosen.items() if value}}
    if floor:
        options["train_floor"] = True
    job = Job(root, wanted=Range(tuple(satellite or ()), stages=anew), options=options)
    report = run_job(job, "", workers, direct=True)
    show_report(report, root)
    if curves:
        _draw(job, curves)
    raise typer.Exit(report.exit_code)


def _draw(job: Job, path: str) -> None:
    from wxpipe.embedding.curves import draw_curves
    from wxpipe.embedding.train_stage import current_model
    from wxpipe.errors import UsageError
    from wxpipe.pipeline.backfill import check_range

    root = job.context().root
    sources = check_range(job).sources or tuple(source.id for source in root.sources)
    if len(sources) != 1:
        raise UsageError(f"--curves draws one model: name one with --satellite; sources: {', '.join(sources)}")
    draw_curves(root, current_model(root, sources[0]), path)
    print(f"curves: {path}")
