"""The `release` flow: builds a release of everything that is embedded, checks it, and promotes it."""

from __future__ import annotations

from prefect import flow

from flows.stages import publish_report, run_stages
from wxpipe.pipeline.backfill import Job, finish
from wxpipe.pipeline.events import Result
from wxpipe.pipeline.plan import Range


@flow(name="release", flow_run_name="release {root}")
def release(root: str) -> dict[str, int]:
    """Builds and promotes a release; nothing changed means no new release.

    Args:
        root: folder or s3:// URL of the root.
    """
    job = Job(root, wanted=Range(stages=("release",)))
    results: list[Result] = []
    run_stages(job, "", results)
    report = finish(job, results)
    publish_report(report)
    return {"promoted": report.promoted or 0, "differences": len(report.differences)}
