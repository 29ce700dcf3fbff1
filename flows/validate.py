"""The `validate` flow: whether what is stored is what it should be; it fails where it is not."""

from __future__ import annotations

from prefect import flow, get_run_logger

from flows.parameters import Root
from flows.reports import publish_findings
from wxpipe.errors import WxpipeError
from wxpipe.pipeline.reconcile import reconcile
from wxpipe.store.root import require_root

TOLD = 10
"""Findings in the message of the failure; all are in the artifact."""


class ValidationFailedError(WxpipeError):
    """The root is not as it should be; the message holds the first findings and what to do."""


@flow(name="validate", flow_run_name="validate {root}", validate_parameters=True)
def validate(root: Root) -> dict[str, int]:
    """Looks for what is damaged or does not add up in a root; writes nothing, and ends Failed where it finds anything.

    Args:
        root: Folder or s3:// URL of the root.
    """
    findings = [str(difference) for difference in reconcile(require_root(root))]
    publish_findings([{"what": "does not reconcile", "count": 1, "detail": finding} for finding in findings])
    for finding in findings:
        get_run_logger().error("%s", finding)
    if findings:
        told = "\n".join(findings[:TOLD])
        raise ValidationFailedError(f"{len(findings)} findings in {root}; the first:\n{told}")
    return {"findings": 0}
