"""A Dask cluster of Slurm jobs, as many as there is work for, until it is told to stop; its address is in a file.

Run by wxpipe.sbatch beside the runner, which needs nothing of this but the address.
"""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path


def main() -> None:
    """Starts the scheduler here, lets Slurm start workers, and waits for SIGTERM."""
    from dask_jobqueue import SLURMCluster

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address-file", type=Path, required=True)
    parser.add_argument("--most", type=int, default=20, help="Slurm jobs at a time")
    asked = parser.parse_args()
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    with SLURMCluster() as cluster:  # everything else is in jobqueue.yaml
        cluster.adapt(minimum_jobs=0, maximum_jobs=asked.most)
        part = asked.address_file.with_suffix(".partial")
        part.write_text(cluster.scheduler_address)
        part.replace(asked.address_file)
        told.wait()


if __name__ == "__main__":
    main()
