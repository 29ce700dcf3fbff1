"""`wxpipe backfill`: the whole job over an archive, or what is still due of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from wxpipe.cli.options import (
    DEFAULT_ROOT,
    Archive,
    Direct,
    From,
    Root,
    Satellite,
    Satellites,
    Scheduler,
    Stage,
    To,
    Workers,
    parse_day,
)
from wxpipe.errors import UsageError

if TYPE_CHECKING:
    from wxpipe.config import DataSettings
    from wxpipe.pipeline.backfill import Job, Report


def command(
    archive: Archive = "",
    root: Root = DEFAULT_ROOT,
    satellite: Satellite = None,
    first: From = "",
    last: To = "",
    stage: Stage = None,
    workers: Workers = 0,
    scheduler: Scheduler = "",
    satellites: Satellites = "",
    direct: Direct = False,
    epochs: Annotated[int, typer.Option("--epochs", min=0, help="Epochs of training; 0: as published, 100.")] = 0,
    histograms: Annotated[
        list[str] | None,
        typer.Option(
            "--histograms", help="Of a new root: grid CDFs to keep, e.g. 24x20-reference; the first is the truth."
        ),
    ] = None,
    clips: Annotated[
        Literal["even", "published"] | None, typer.Option("--clips", help="Of a new root: how frames are chosen.")
    ] = None,
    keep_pictures: Annotated[
        Literal["yes", "no"] | None,
        typer.Option("--keep-pictures", help="Of a new root; no: reduced pictures and grid CDFs alone are kept."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="Write what the run did into DIR, as a page.")
    ] = None,
) -> None:
    """Scan an archive and do everything that is due: ingest, histograms, clips, a model, vectors, a release.

    Plans first; Prefect and Dask start only if there is work. Done work is never done again.
    """
    from wxpipe.pipeline.backfill import Job
    from wxpipe.pipeline.plan import Range

    wanted = Range(tuple(satellite or ()), parse_day(first, "--from"), parse_day(last, "--to"), tuple(stage or ()))
    options = {"train_epochs": epochs} if epochs else {}
    job = Job(root, archive, satellites, wanted, options, _settings(histograms, clips, keep_pictures))
    check_report_folder(report)
    list_archive(job)
    run_due(job, scheduler, workers, direct, report)


def run_due(job: Job, scheduler: str, workers: int, direct: bool, folder: Path | None = None) -> None:
    """Does what is due of a job, and reports; ends the command with the exit code of what it came to.

    Args:
        folder: where a page about the run is put, too.
    """
    began = datetime.now(UTC)
    from wxpipe.cli.show import console, show_notes, show_plan, show_report
    from wxpipe.pipeline.backfill import finish, plan

    due = plan(job)
    if due.work:
        show_plan(due)
        report = run_job(job, scheduler, workers, direct)
    else:
        console.print(f"nothing to do: all {len(due.steps)} partitions are done")
        show_notes(job)
        report = finish(job, [])
    show_report(report, job.root)
    if folder is not None:
        print(_write_report(job, report, began, folder))
    raise typer.Exit(report.exit_code)


def check_report_folder(report: Path | None) -> None:
    """Raises UsageError where a page cannot be put there."""
    if report is not None and report.exists() and not report.is_dir():
        raise UsageError(f"--report {report}: is a file; expected a folder, which is made where it is missing")


def _write_report(job: Job, report: Report, began: datetime, folder: Path) -> Path:
    from wxpipe.pages import write_page
    from wxpipe.pipeline.coverage_words import ARCHIVE, Place
    from wxpipe.pipeline.run_page import Told, page
    from wxpipe.pipeline.status import survey
    from wxpipe.store.root import require_root

    found = survey(require_root(job.root))
    place = Place(found.root.url, job.archive or ARCHIVE)
    return write_page(folder, page(Told(job.verb, place, report, found, began, found.when)))


def _settings(histograms: list[str] | None, clips: str | None, keep_pictures: str | None) -> DataSettings | None:
    """What a new root is to be made with; None where nothing was said.

    Raises:
        UsageError: a name that is no grid.
    """
    from wxpipe.config import DataSettings
    from wxpipe.similarity.layout import GridSpec

    names = tuple(GridSpec.parse(name).name for name in histograms or ())
    kept = keep_pictures == "yes" if keep_pictures else None
    said = {"histograms": names or None, "clip_choice": clips, "keep_pictures": kept}
    given = {name: value for name, value in said.items() if value is not None}
    return DataSettings.model_validate(given) if given else None


def list_archive(job: Job) -> None:
    """Scans, with a count that runs; a scan that fails ends the command."""
    from wxpipe.cli.show import console
    from wxpipe.errors import WxpipeError
    from wxpipe.pipeline.backfill import scan

    with console.status("listing the archive") as status:
        result = scan(job, lambda count: status.update(f"listing the archive: {count:,} files"))
    if result.state != "done":
        raise WxpipeError(f"scan failed: {result.error}\n{result.trace}".rstrip())
    counts = result.counts
    console.print(
        f"{counts['listed']:,} files listed: {counts['recorded']:,} pictures recorded, {counts['unparsed']:,} unparsed,"
        f" {counts['unconfigured']:,} of unconfigured areas, {counts['vanished']:,} vanished"
    )


def run_job(job: Job, scheduler: str, workers: int, direct: bool) -> Report:
    """Runs a job as a Prefect flow on Dask, or directly; ``--direct --workers 0`` stays in this process."""
    from wxpipe.cli.show import watching
    from wxpipe.pipeline.backfill import run

    if not direct:
        from wxpipe.cli.prefect import run_flow

        return run_flow(job, scheduler, workers)
    from wxpipe.pipeline.cluster import open_cluster, open_workers
    from wxpipe.pipeline.run import Workers

    with watching():
        if not scheduler and not workers:
            return run(job, Workers())
        with open_cluster(scheduler, workers) as address, open_workers(address) as team:
            return run(job, team)
