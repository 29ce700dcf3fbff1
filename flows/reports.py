"""What a flow run leaves to be read in Prefect: tables of counts, failures and findings, and how trainings went."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from wxpipe.config import RunSettings
from wxpipe.pipeline.backfill import Job, Report
from wxpipe.pipeline.trainings import Training

if TYPE_CHECKING:
    from wxpipe.vectors.upkeep import Upkeep

MOST_ROWS = 500
"""Of a table; the rest is counted in its last row, and is in the ledger."""


def publish_report(report: Report) -> None:
    """Counts of each stage, failures and differences as an artifact of the flow run."""
    rows = [*_counts(report), {"what": "files in quarantine", "count": report.quarantined, "detail": ""}]
    rows += [_row(f"failed {r.stage}", f"{r.partition.key}: {r.error}") for r in report.failed]
    rows += [_row("does not reconcile", str(difference)) for difference in report.differences]
    create_table_artifact(_shortened(rows), key="wxpipe-report", description="What the run came to")


def publish_coverage(job: Job) -> None:
    """Writes the coverage page where `RunSettings.pages` says, and links it from the flow run."""
    settings = RunSettings()
    if not settings.pages:
        return
    from wxpipe.pages import write_page
    from wxpipe.pipeline.coverage_page import covered_by, page
    from wxpipe.pipeline.status import survey

    written = write_page(Path(settings.pages), page(covered_by(survey(job.context().root), job.archive)))
    link = f"{settings.pages_url.rstrip('/')}/{written.name}" if settings.pages_url else written.resolve().as_uri()
    create_link_artifact(link, "Coverage", key="wxpipe-coverage", description="Every day of the archive, and its holes")


def publish_trainings(made: Sequence[Training]) -> None:
    """Each model as an artifact of the flow run, and its epochs as another."""
    for training in made:
        key = "wxpipe-training-" + re.sub("[^a-z0-9]+", "-", training.source)
        create_markdown_artifact(training.text, key=key, description=f"How {training.model} was trained")
        if training.epochs:
            create_table_artifact(
                list(training.epochs), key=f"{key}-epochs", description=f"Losses of {training.model} by epoch"
            )


def publish_findings(findings: Sequence[dict[str, Any]]) -> None:
    """What a validation found, as an artifact; a table that says so where it found nothing."""
    rows = list(findings) or [_row("nothing", "everything that was looked at is as it should be", 0)]
    create_table_artifact(_shortened(rows), key="wxpipe-findings", description="What the validation found")


def publish_upkeep(done: Upkeep) -> None:
    """Figures of each table before and after, and what a person has to do, as an artifact of the flow run."""
    rows = [_row(f"alarm {number}", alarm) for number, alarm in enumerate(done.alarms, 1)]
    for table in done.tables:
        for when, found in (("before", table.before), ("after", table.after)):
            outside = "no index" if found.unindexed is None else f"{found.unindexed} rows outside the index"
            shares = ", ".join(f"recall {share} {name}" for name, share in found.recalls.items())
            told = ", ".join(filter(None, (f"{found.fragments} fragments", outside, shares)))
            rows.append(_row(f"{table.table} {when}", told, table.rows))
    rows = rows or [_row("nothing", "there is no release", 0)]
    create_table_artifact(_shortened(rows), key="wxpipe-upkeep", description="The tables before and after upkeep")


def _counts(report: Report) -> list[dict[str, Any]]:
    """Of each stage that ran: partitions done, and the sums of what they counted."""
    rows = []
    for stage in dict.fromkeys(result.stage for result in report.results):
        done = [result for result in report.results if result.stage == stage and result.state == "done"]
        total: Counter[str] = Counter()
        for result in done:
            total.update(result.counts)
        told = ", ".join(f"{name} {count}" for name, count in total.items() if count)
        rows.append({"what": f"done {stage}", "count": len(done), "detail": told})
    return rows or [_row("nothing was due", "", 0)]


def _row(what: str, detail: str, count: int = 1) -> dict[str, Any]:
    return {"what": what, "count": count, "detail": detail}


def _shortened(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(rows) <= MOST_ROWS:
        return rows
    return [*rows[:MOST_ROWS], _row("and more", "see `wxpipe status` and `wxpipe validate`", len(rows) - MOST_ROWS)]
