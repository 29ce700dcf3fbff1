"""The `train` flow: fresh pairs and a fresh model for some satellites, on request, and how its training went."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.stages import cluster_address, publish_report, run_stages
from wxpipe.pipeline.backfill import Job, finish
from wxpipe.pipeline.events import Result
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.trainings import Training, trainings_of


@flow(name="train", flow_run_name="train {root}")
def train(
    root: str,
    satellites: list[str] | None = None,
    scheduler: str = "",
    workers: int = 0,
    options: dict[str, Any] | None = None,
    keep_pairs: bool = False,
    fresh: bool = False,
    embed: bool = False,
) -> dict[str, Any]:
    """Draws new triples from what is in the root now and trains a new model; embedding follows by `backfill`.

    A training that was broken off goes on where it was. Every model's losses are published as artifacts.

    Args:
        root: folder or s3:// URL of the root.
        satellites: satellites or sources; all by default.
        scheduler: address of a Dask scheduler; a local cluster by default.
        workers: workers of the local cluster; one a core by default.
        options: of the stages, e.g. {"train_epochs": 20, "pairs_triples": 4000}.
        keep_pairs: learn from the triples that are there.
        fresh: begin anew, whatever checkpoint there is.
        embed: embed every day with the new model too.
    """
    anew = ("train",) if keep_pairs else ("pairs", "train")
    stages = ("pairs", "train", *(("embed",) if embed else ()))
    chosen = {**(options or {}), "anew": anew, "fresh": fresh}
    job = Job(root, wanted=Range(tuple(satellites or ()), stages=stages), options=chosen)
    results: list[Result] = []
    try:
        with cluster_address(scheduler, workers) as address:
            run_stages(job, address, results)
    finally:
        made = trainings_of(job.context().root, results)
        publish_trainings(made)
        report = finish(job, results)
        publish_report(report)
    return {
        "models": {training.source: training.model for training in made},
        "quarantined": report.quarantined,
        "differences": len(report.differences),
    }


def publish_trainings(made: Sequence[Training]) -> None:
    """Each model as an artifact of the flow run, and its epochs as another."""
    for training in made:
        key = "wxpipe-training-" + re.sub("[^a-z0-9]+", "-", training.source)
        create_markdown_artifact(training.text, key=key, description=f"How {training.model} was trained")
        if training.epochs:
            create_table_artifact(
                list(training.epochs), key=f"{key}-epochs", description=f"Losses of {training.model} by epoch"
            )
