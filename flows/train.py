"""The `train` flow: fresh pairs and a fresh model for some satellites, on request."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows.stages import cluster_address, publish_report, run_stages
from wxpipe.pipeline.backfill import Job, finish
from wxpipe.pipeline.events import Result
from wxpipe.pipeline.plan import Range


@flow(name="train", flow_run_name="train {root}")
def train(
    root: str,
    satellites: list[str] | None = None,
    scheduler: str = "",
    workers: int = 0,
    options: dict[str, Any] | None = None,
) -> dict[str, int]:
    """Draws new triples from what is in the root now and trains a new model; embedding follows by `backfill`.

    Args:
        root: folder or s3:// URL of the root.
        satellites: satellites or sources; all by default.
        scheduler: address of a Dask scheduler; a local cluster by default.
        workers: workers of the local cluster; one a core by default.
        options: of the stages, e.g. {"train_epochs": 20, "pairs_triples": 4000}.
    """
    anew = ("pairs", "train")
    job = Job(root, wanted=Range(tuple(satellites or ()), stages=anew), options={**(options or {}), "anew": anew})
    results: list[Result] = []
    with cluster_address(scheduler, workers) as address:
        run_stages(job, address, results)
    report = finish(job, results)
    publish_report(report)
    return {"quarantined": report.quarantined, "differences": len(report.differences)}
