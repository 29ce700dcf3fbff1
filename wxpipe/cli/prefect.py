"""Starts a Prefect flow from the command line: quiet, offline, on the server of the environment or an ephemeral one."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wxpipe.errors import Cancelled, WxpipeError

if TYPE_CHECKING:
    from wxpipe.pipeline.backfill import Job, Report

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",  # failures are in the report, without Prefect's stack around them
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}


def run_flow(job: Job, scheduler: str, workers: int) -> Report:
    """Runs a job as a flow in this process, `backfill` or one of its verb's name, and shows its progress.

    Raises:
        Cancelled: the run was asked to stop.
        WxpipeError: the flow failed for a reason that is not a partition's.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from wxpipe.cli.show import console, watching
    from wxpipe.pipeline.backfill import finish
    from wxpipe.pipeline.events import Event, Result, listening

    with console.status("starting Prefect"):
        from prefect import flow

        from flows.backfill import backfill
        from flows.stages import run_job
    results: list[Result] = []

    def collect(event: Event) -> None:
        if isinstance(event, Result):
            results.append(event)

    @flow(name=job.verb, flow_run_name=f"{job.verb} {job.root}")
    def asked() -> Any:
        """A job whose archive was listed and whose request was recorded: its days, and nothing that is not its."""
        return run_job(job, scheduler, workers)

    with watching(), listening(collect):
        state: Any
        if job.verb == "backfill":
            state = backfill(**_parameters(job, scheduler, workers), return_state=True)
        else:
            state = asked(return_state=True)
    if state.name == "Cancelled":
        raise Cancelled(str(state.message))
    report = finish(job, results)
    if state.is_completed():
        told: Any = state.result()
        return replace(report, promoted=told["promoted"] or None)
    if not report.failed:
        raise WxpipeError(f"the flow ended as {state.name}: {state.message}")
    return report


def _parameters(job: Job, scheduler: str, workers: int) -> dict[str, Any]:
    wanted = job.wanted
    return {
        "archive": job.archive,
        "root": job.root,
        "satellites": list(wanted.sources),
        "first": wanted.first,
        "last": wanted.last,
        "stages": list(wanted.stages),
        "site": job.site,
        "scheduler": scheduler,
        "workers": workers,
        "options": dict(job.options),
    }
