"""`wxpipe cancel`: asks a run to end cleanly, or shows which runs there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from wxpipe.cli.options import DEFAULT_ROOT, Json, Root, print_json

if TYPE_CHECKING:
    from wxpipe.pipeline.runs import RunRecord
    from wxpipe.store.root import Root as OpenedRoot

WAIT_SECONDS = 3600.0


def command(
    number: Annotated[int, typer.Argument(help="The run; without one, runs are listed.", show_default=False)] = 0,
    root: Root = DEFAULT_ROOT,
    reason: Annotated[str, typer.Option("--reason", help="Why; the run says it when it ends.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Until it has ended.")] = False,
    as_json: Json = False,
) -> None:
    """Ask a run to stop: it begins nothing more, ends what its workers are doing, and gives its leases back.

    The same command goes on from there later. It works from any machine that reaches the root.
    """
    from dataclasses import asdict

    from wxpipe.cli.show import console
    from wxpipe.pipeline.runs import all_runs, cancel
    from wxpipe.store.root import require_root

    opened = require_root(root)
    if not number:
        runs = all_runs(opened)
        if as_json:
            print_json([asdict(run) for run in runs])
        else:
            _show(runs[-20:])
        return
    cancel(opened, number, reason)
    console.print(f"run {number} was asked to stop")
    if wait:
        _wait_for(opened, number)


def _wait_for(opened: OpenedRoot, number: int) -> None:
    import time

    from wxpipe.cli.show import console
    from wxpipe.errors import WxpipeError
    from wxpipe.pipeline.runs import all_runs

    until = time.monotonic() + WAIT_SECONDS
    with console.status(f"waiting for run {number} to end"):
        while time.monotonic() < until:
            run = next(run for run in all_runs(opened) if run.number == number)
            if run.state == "silent":
                raise WxpipeError(f"run {number} was last heard of at {run.heard}: it has died, and holds nothing")
            if run.ended:
                console.print(f"run {number} ended: {run.state}")
                return
            time.sleep(1)
    raise WxpipeError(f"run {number} goes on after {WAIT_SECONDS:.0f} s: it is in the middle of a long partition")


def _show(runs: Sequence[RunRecord]) -> None:
    from rich.table import Table

    from wxpipe.cli.show import console

    table = Table("run", "verb", "who", "started", "state", "done", title="runs", title_justify="left")
    for run in runs:
        done = ", ".join(f"{stage} {ok + failed} of {due}" for stage, (ok, failed, due) in run.progress.items())
        state = f"{run.state} ({run.cancelled_by})" if run.cancelled_by else run.state
        table.add_row(str(run.number), run.verb, run.who, run.started, state, done or run.message)
    console.print(table)
