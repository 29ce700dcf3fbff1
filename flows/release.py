"""The `release` flow: builds a release of everything that is embedded, checks it, and promotes it."""

from __future__ import annotations

from typing import Any

from prefect import State, flow

from flows.parameters import Root
from flows.stages import run_job
from wxpipe.pipeline.backfill import Job
from wxpipe.pipeline.plan import Range


@flow(name="release", flow_run_name="release {root}", validate_parameters=True)
def release(root: Root) -> dict[str, Any] | State[Any]:
    """Builds and promotes a release; nothing changed means no new release.

    Args:
        root: Folder or s3:// URL of the root.
    """
    return run_job(Job(root, wanted=Range(stages=("release",)), verb="release"), None, 0)
