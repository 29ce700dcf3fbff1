"""Trainings as processes of their own, forked off one process that has imported everything: half a second each.

    python -m tests.embedding.nursery

reads a JSON line a training, ``{"root", "options", "environment", "kill_at_step"}``, and answers with its exit status,
negative where a signal ended it, and the training steps that it took.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.mini import environment


class Nursery:
    """Starts the process and asks it for trainings."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.embedding.nursery"], text=True,
            env=environment(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2],
        )  # fmt: skip

    def train(
        self, root: Path, options: dict[str, Any], kill_at_step: int = 0, kill_after: float = 0.0, **variables: str
    ) -> tuple[int, int]:
        """Run the `train` stage anew: (exit status, steps taken).

        Args:
            kill_at_step: kills the process (-9) after so many steps; 0: never.
            kill_after: kills it so many seconds after its start, from outside; 0: never.
        """
        order = {"root": str(root), "options": options, "environment": variables, "kill_at_step": kill_at_step,
                 "kill_after": kill_after}  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status, steps = json.loads(self._process.stdout.readline())
        return status, steps

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def serve() -> None:
    """Forks a child an order; this process computes nothing, so that a fork loses no thread of it."""
    _import_everything()
    for line in sys.stdin:
        order = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os._exit(_train(order, writer))
        os.close(writer)
        if order["kill_after"]:
            _kill_later(child, order["kill_after"])
        _, status = os.waitpid(child, 0)
        with open(reader, "rb") as steps:
            print(json.dumps([os.waitstatus_to_exitcode(status), len(steps.read())]), flush=True)


def _import_everything() -> None:
    import numpy as np
    import zarr  # noqa: F401

    import wxpipe.embedding.loader
    import wxpipe.embedding.models
    import wxpipe.embedding.stored_triples
    import wxpipe.embedding.train_stage
    import wxpipe.pipeline.backfill  # noqa: F401
    from wxpipe.embedding.pictures import ClipMeans

    ClipMeans(np.zeros((1, 1, 2, 2), np.uint8), np.zeros((1, 1), np.int64))[np.zeros(1, np.int64)]  # loads kernels


def _kill_later(child: int, seconds: float) -> None:
    import time

    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)


def _train(order: dict[str, Any], writer: int) -> int:
    from wxpipe.embedding.history import StepTaken
    from wxpipe.pipeline.backfill import Job, run
    from wxpipe.pipeline.events import Event, Note, listening
    from wxpipe.pipeline.plan import Range
    from wxpipe.pipeline.run import Workers

    os.environ.update(order["environment"])
    taken = 0

    def count(event: Event) -> None:
        nonlocal taken
        if isinstance(event, Note) and isinstance(event.what, StepTaken):
            os.write(writer, b".")
            taken += 1
            if taken == order["kill_at_step"]:
                os.kill(os.getpid(), signal.SIGKILL)

    options = {**order["options"], "anew": ("train",)}
    with listening(count):
        report = run(Job(order["root"], wanted=Range(stages=("train",)), options=options), Workers())
    for result in report.failed:
        print(result.error, result.trace, file=sys.stderr)
    return report.exit_code


if __name__ == "__main__":
    serve()
