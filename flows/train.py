"""The `train` flow: fresh pairs and a fresh model for some satellites, on request, and how its training went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect import State, flow

from flows.parameters import Count, Options, Root, Satellites, Scheduler
from flows.reports import publish_trainings
from flows.stages import run_job
from wxpipe.pipeline.backfill import Job
from wxpipe.pipeline.events import Result
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.trainings import trainings_of


@flow(name="train", flow_run_name="train {root}", validate_parameters=True)
def train(
    root: Root,
    satellites: Satellites = (),
    scheduler: Scheduler = "",
    workers: Count = 0,
    epochs: Count = 0,
    options: Options = None,
    keep_pairs: bool = False,
    fresh: bool = False,
    embed: bool = False,
) -> dict[str, Any] | State[Any]:
    """Draws new triples from what is in the root now and trains a new model; embedding follows by `backfill`.

    A training that was broken off goes on where it was. Every model's losses are published as artifacts.

    Args:
        root: Folder or s3:// URL of the root.
        satellites: Satellites or sources, e.g. coms or coms-ea; all by default.
        scheduler: Address of a Dask scheduler; a local cluster by default.
        workers: Workers of the local cluster; 0 means one a core.
        epochs: Epochs of training; 0 means as published, 100.
        options: Of the stages, e.g. {"train_learning_rate": 1e-5, "pairs_triples": 4000}.
        keep_pairs: Learn from the triples that are there, draw none.
        fresh: Begin anew, whatever checkpoint there is.
        embed: Embed every day with the new model too.
    """
    anew = ("train",) if keep_pairs else ("pairs", "train")
    stages = ("pairs", "train", *(("embed",) if embed else ()))
    chosen = {**({"train_epochs": epochs} if epochs else {}), **(options or {}), "anew": anew, "fresh": fresh}
    job = Job(root, wanted=Range(satellites, stages=stages), options=chosen, verb="train")

    def publish(results: Sequence[Result]) -> dict[str, Any]:
        made = trainings_of(job.context().root, results)
        publish_trainings(made)
        return {"models": {training.source: training.model for training in made}}

    return run_job(job, scheduler, workers, publish)
