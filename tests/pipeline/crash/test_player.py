"""The crash that tests play: what was synced is there afterwards, and what was not may be gone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.crash.player import Recorder

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc, to record what processes sync")

CARELESS = """
import os, pathlib
folder = pathlib.Path(os.environ["FOLDER"])
(folder / "synced").write_bytes(b"whole")
for path in (folder / "synced", folder):
    file = os.open(path, os.O_RDONLY); os.fsync(file); os.close(file)
(folder / "loose").write_bytes(b"x" * 1000)
(folder / "new").write_bytes(b"newer")
os.replace(folder / "new", folder / "synced")
(folder / "deep").mkdir()
(folder / "deep" / "file").write_bytes(b"y")
"""


def recorded(recorder: Recorder, program: str) -> None:
    subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **recorder.environment, "FOLDER": str(recorder.folder)},
        check=True,
    )


def test_what_was_not_synced_may_be_lost_and_what_was_stays(tmp_path: Path) -> None:
    outcomes = set()
    for seed in range(20):
        scratch = tmp_path / str(seed)
        scratch.mkdir()
        recorder = Recorder.of(scratch / "root", scratch)
        recorded(recorder, CARELESS)
        recorder.crash(seed)
        synced, loose = recorder.folder / "synced", recorder.folder / "loose"
        assert synced.exists(), "a name that was synced is gone"
        outcomes.add(("loose", loose.stat().st_size if loose.exists() else None))
        outcomes.add(("replaced", synced.read_bytes()))
        outcomes.add(("deep", (recorder.folder / "deep").exists()))
    assert {("loose", None), ("loose", 1000), ("loose", 0), ("replaced", b"whole")} <= outcomes
    assert len({what for kind, what in outcomes if kind == "replaced"}) > 2, "it is never the newer file, whole or cut"
    assert {("deep", True), ("deep", False)} <= outcomes


def test_an_object_that_was_put_outlives_every_crash(tmp_path: Path) -> None:
    program = """
import os
from wxpipe.store.objects import LocalObjects
objects = LocalObjects(os.environ["FOLDER"])
objects.put("a/b/c", b"1" * 5000)
objects.put("a/b/c", b"2" * 5000)
assert objects.put_if_absent("n/1", b"taken")
objects.put("gone", b"x")
objects.delete("gone")
"""
    for seed in range(4):
        scratch = tmp_path / str(seed)
        scratch.mkdir()
        recorder = Recorder.of(scratch / "root", scratch)
        recorded(recorder, program)
        recorder.crash(seed)
        assert (recorder.folder / "a/b/c").read_bytes() == b"2" * 5000
        assert (recorder.folder / "n/1").read_bytes() == b"taken"
        assert not (recorder.folder / "gone").exists()
