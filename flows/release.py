"""The `release` flow: builds a release of everything that is embedded, checks it, and promotes it."""

from __future__ import annotations

from prefect import flow

from flows.parameters import Root
from flows.stages import run_job
from flows.stopping import cancellable
from wxpipe.pipeline.backfill import Job
from wxpipe.pipeline.plan import Range


@flow(name="release", flow_run_name="release {root}", validate_parameters=True)
@cancellable
def release(root: Root) -> dict[str, int]:
    """Builds and promotes a release; nothing changed means no new release.

    Args:
        root: Folder or s3:// URL of the root.
    """
    report = run_job(Job(root, wanted=Range(stages=("release",)), verb="release"), None, 0)
    return {"promoted": report.promoted or 0, "differences": len(report.differences)}
