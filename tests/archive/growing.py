"""A day whose files come bit by bit: updates in this process, what they did, and runs that are stopped half-way."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.archive.trial import SLOTS, STAGES, Trial
from wxpipe.pipeline.backfill import Job, run, scan
from wxpipe.pipeline.digest import root_digest
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers
from wxpipe.store.frames import frame_store

LATE = (SLOTS - 1, 0), (SLOTS - 1, 1)
"""The cells of the trial's last slot."""
WRITE_POINTS = ("wxpipe.store.objects.write_point", "wxpipe.pipeline.execute.write_point")


@dataclass
class Work:
    """What was done to pictures since it was last cleared."""

    decoded: list[str] = field(default_factory=list)
    counted: list[tuple[int, str]] = field(default_factory=list)

    def clear(self) -> None:
        self.decoded.clear()
        self.counted.clear()


def update(trial: Trial, layer: Trial | None = None) -> None:
    """Scans and does what is due up to clips, in this process.

    Args:
        layer: a trial with a root, whose overlay layer is known from the beginning; which sample it would be learned
            of depends on the order of arrival.
    """
    job = Job(str(trial.root), str(trial.archive), str(trial.site), Range(stages=STAGES))
    assert scan(job).state == "done"
    if layer is not None:
        frames = frame_store(trial.opened(), trial.source)
        frames.create()
        frames.register_layer(frame_store(layer.opened(), trial.source).layer(1))
    report = run(job, Workers())
    assert not report.failed, report.failed
    assert report.differences == ()


def content(trial: Trial) -> dict[str, str]:
    parts: dict[str, str] = root_digest(trial.opened())["parts"]
    return parts


def without(trial: Trial, *cells: tuple[int, int]) -> None:
    for cell in cells:
        trial.file(*cell).unlink()


def late(trial: Trial) -> list[str]:
    return [trial.key(*cell) for cell in LATE]


class KilledError(BaseException):
    """Ends a run like a kill: nothing catches it."""


def points_of(trial: Trial, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write points that an update of a copy of the trial's root passes, in order, each once."""
    passed: list[str] = []
    with monkeypatch.context() as patched:
        for name in WRITE_POINTS:
            patched.setattr(name, passed.append)
        update(copied(trial, folder))
    return list(dict.fromkeys(passed))


def copied(trial: Trial, folder: Path) -> Trial:
    """The same archive with a copy of the root."""
    shutil.copytree(trial.root, folder / "root")
    return replace(trial, root=folder / "root")


def killed_and_resumed(trial: Trial, point: str, between: Callable[[], None], patched: pytest.MonkeyPatch) -> None:
    """An update that ends at a write point, and another one after it; leases are given up as if they had run out."""

    def stop(name: str) -> None:
        if name == point:
            raise KilledError(point)

    with patched.context() as killing:
        for name in WRITE_POINTS:
            killing.setattr(name, stop)
        with pytest.raises(KilledError):
            update(trial)
    shutil.rmtree(trial.root / "leases", ignore_errors=True)
    between()
    update(trial)
