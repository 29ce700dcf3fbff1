"""The `validate` flow: whether what is stored is what was written, and all of it is there; it fails where it is not."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import flow, get_run_logger

from flows.parameters import Count, Day, Root, Satellites, Scheduler, Stages
from flows.reports import publish_findings
from wxpipe.errors import WxpipeError
from wxpipe.pipeline.cluster import open_cluster, open_workers
from wxpipe.pipeline.plan import Range
from wxpipe.store.root import require_root

TOLD = 10
"""Findings in the message of the failure; all are in the artifact."""


class ValidationFailedError(WxpipeError):
    """The root is not as it should be; the message holds the first findings and what to do."""


@flow(name="validate", flow_run_name="validate {root}", validate_parameters=True)
def validate(
    root: Root,
    satellites: Satellites = (),
    first: Day = None,
    last: Day = None,
    stages: Stages = (),
    sample: Count = 0,
    scheduler: Scheduler = "",
    workers: Count = 0,
) -> dict[str, int]:
    """Reads a root through and tells what is damaged, lost, doubled or does not add up.

    It writes nothing, and ends Failed where it finds anything. What is in quarantine is counted, and no finding.

    Args:
        root: Folder or s3:// URL of the root.
        satellites: Satellites or sources, e.g. coms or coms-ea; all by default.
        first: First UTC day; the first by default.
        last: Last UTC day, included; the last by default.
        stages: Whose results to look at; all by default.
        sample: So many partitions of each stage, others every day; 0 means all.
        scheduler: Address of a Dask scheduler; a local cluster by default.
        workers: Workers of the local cluster; 0 means one a core.
    """
    from wxpipe.pipeline.validate import Wanted, check_range
    from wxpipe.pipeline.validate import validate as look

    opened = require_root(root)
    seed = datetime.now(UTC).date().toordinal() if sample else 0
    wanted = Wanted(check_range(opened, Range(satellites, first, last, stages)), sample, seed)
    with open_cluster(scheduler, workers) as address, open_workers(address) as team:
        found = look(opened, wanted, team)
    logger = get_run_logger()
    for stage, number in found.looked_at.items():
        logger.info("%s: looked at %d of %d partitions", stage, number, found.there[stage])
    for finding in found.findings:
        logger.error("%s: %s", finding.check, finding)
    publish_findings([finding.document() for finding in found.findings])
    if found.findings:
        told = "\n".join(str(finding) for finding in found.findings[:TOLD])
        raise ValidationFailedError(f"{len(found.findings)} findings in {root}; the first of them:\n{told}")
    return {"findings": 0, "looked_at": sum(found.looked_at.values()), "quarantined": found.quarantined}
