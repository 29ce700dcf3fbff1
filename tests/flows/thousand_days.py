"""A thousand source-days of a stage that does nothing, through the flow `backfill`'s tasks; prints the flow run's id.

PREFECT_API_URL=... python tests/flows/thousand_days.py ROOT
"""

from __future__ import annotations

import json
import sys

import dask
from prefect import flow
from prefect.runtime import flow_run

from flows.stages import run_stages
from tests.pipeline import fake_stage
from wxpipe.pipeline import stages
from wxpipe.pipeline.backfill import Job
from wxpipe.pipeline.cluster import open_cluster
from wxpipe.pipeline.plan import Range
from wxpipe.store.root import init_root


@flow(name="thousand")
def thousand(root: str, address: str) -> str:
    job = Job(root, wanted=Range(stages=("fake",)), options={"fake": fake_stage.days(*["ok"] * 1000)})
    run_stages(job, lambda: address, [])
    return str(flow_run.id)


def main() -> None:
    init_root(sys.argv[1])
    stages.STAGES = fake_stage.registered()
    stages.NAMES = tuple(name for name, _ in stages.STAGES)
    stages.get_stage.cache_clear()
    with (
        dask.config.set({"distributed.worker.preload": [fake_stage.__name__]}),
        open_cluster(workers=1) as address,
    ):
        state = thousand(sys.argv[1], address, return_state=True)
    print(json.dumps({"run": state.result(), "state": state.type.value}))


if __name__ == "__main__":
    main()
