"""The `reprocess` flow: records that a range is to be made anew, and why; then does what is due in it."""

from __future__ import annotations

from prefect import flow

from flows.parameters import Root


@flow(name="reprocess", flow_run_name="reprocess {root}", validate_parameters=True)
def reprocess(archive: str, root: Root) -> dict[str, int]:
    """Makes.

    Args:
        archive: a.
        root: r.
    """
    return {}
