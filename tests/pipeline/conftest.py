"""Fixtures of the runner's tests: stages that do what they are told to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archive.trial import Trial, titled_trial
from tests.pipeline import fake_stage
from wxpipe.pipeline import stages
from wxpipe.pipeline.digest import root_digest


@pytest.fixture
def fake_stages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The pipeline has two stages more, ``fake`` and ``wish``."""
    every = fake_stage.registered()
    monkeypatch.setattr(stages, "STAGES", every)
    monkeypatch.setattr(stages, "NAMES", tuple(name for name, _ in every))
    yield
    stages.get_stage.cache_clear()


@pytest.fixture(scope="session")
def done_trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """An archive that was done to the end. To be read only."""
    trial = titled_trial(tmp_path_factory.mktemp("done"))
    assert trial.backfill(stages=())[0] == 0
    return trial


@pytest.fixture(scope="session")
def digest(done_trial: Trial) -> dict[str, str]:
    """Of its root, by parts."""
    parts: dict[str, str] = root_digest(done_trial.opened())["parts"]
    return parts


@pytest.fixture
def trial(done_trial: Trial, tmp_path: Path) -> Trial:
    """A copy of the root and the archive, to be damaged."""
    shutil.copytree(done_trial.root, tmp_path / "root")
    shutil.copytree(done_trial.archive, tmp_path / "archive", copy_function=shutil.copy2)
    return Trial(done_trial.source, done_trial.name, done_trial.first, done_trial.slots, done_trial.pristine,
                 tmp_path / "archive", tmp_path / "root", done_trial.site)  # fmt: skip
