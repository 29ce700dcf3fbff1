"""The `maintain` flow: the tables of the newest release put in order; it fails where an index falls behind."""

from __future__ import annotations

from typing import Any

from prefect import flow, get_run_logger

from flows.parameters import Root
from flows.reports import publish_upkeep
from wxpipe.errors import WxpipeError
from wxpipe.pipeline.run import single_handed
from wxpipe.store.root import require_root


class IndexBehindError(WxpipeError):
    """Upkeep is done, and something remains that a person has to do; the message says what."""


@flow(name="maintain", flow_run_name="maintain {root}", validate_parameters=True)
def maintain(root: Root, reindex: bool = False) -> dict[str, Any]:
    """Compacts the tables of the newest release, brings their indexes up to date, and measures them before and after.

    It ends Failed where an index finds less than it did or than it must, or embedded days are in no release; whatever
    could be put in order is, all the same.

    Args:
        root: Folder or s3:// URL of the root.
        reindex: Learn the partitions of indexes again; what an alarm asks for.
    """
    from wxpipe.vectors.release import maintain as put_in_order

    opened = require_root(root)
    with single_handed(opened, "release/default") as lease:
        done = put_in_order(opened, lease=lease, reindex=reindex)
    for alarm in done.alarms:
        get_run_logger().error("%s", alarm)
    publish_upkeep(done)
    if done.alarms:
        raise IndexBehindError("\n".join(done.alarms))
    return {
        "release": done.release or 0,
        "versions_removed": done.versions_removed,
        "bytes_removed": done.bytes_removed,
    }
