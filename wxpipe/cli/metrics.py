"""`wxpipe metrics`: a root's state for Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Root


def command(
    root: Root = DEFAULT_ROOT,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Serve /metrics there until stopped.")] = 0,
    address: Annotated[str, typer.Option("--address", help="The address of that port.")] = "0.0.0.0",
    textfile: Annotated[
        Path | None, typer.Option("--textfile", help="Write them into a file, for node_exporter's textfile collector.")
    ] = None,
    every: Annotated[
        float, typer.Option("--every", min=1.0, metavar="SECONDS", help="Between two looks at the root.")
    ] = 60.0,
) -> None:
    """Tell Prometheus of a root: lag, due and failed work, quarantine, release, leases; reads the root alone.

    Without --port and --textfile they are printed, once. The metrics of a run are served by the run, on
    WXPIPE_METRICS_PORT.
    """
    import sys
    import time

    from prometheus_client import CollectorRegistry, generate_latest, write_to_textfile

    from wxpipe.errors import UsageError, WxpipeError
    from wxpipe.pipeline.metrics import RootMetrics, served, survey_into
    from wxpipe.store.root import require_root

    if port and textfile is not None:
        raise UsageError("--port and --textfile exclude each other; give one")
    url = require_root(root).url
    registry = CollectorRegistry()
    metrics = RootMetrics(registry)
    fault = survey_into(metrics, url)
    if not port:
        if fault:
            raise WxpipeError(fault)
        if textfile is not None:
            write_to_textfile(str(textfile), registry)
        else:
            sys.stdout.write(generate_latest(registry).decode())
        return
    with served(registry, port, address):
        print(f"http://{address}:{port}/metrics of {url}, looked at every {every:g} s", file=sys.stderr)
        while True:
            if fault:
                print(f"wxpipe: {fault}", file=sys.stderr)
            time.sleep(every)
            fault = survey_into(metrics, url)
