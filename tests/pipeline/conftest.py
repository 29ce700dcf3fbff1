"""Fixtures of the runner's tests: stages that do what they are told to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pipeline import fake_stage
from wxpipe.pipeline import stages


@pytest.fixture
def fake_stages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The pipeline has two stages more, ``fake`` and ``wish``."""
    every = fake_stage.registered()
    monkeypatch.setattr(stages, "STAGES", every)
    monkeypatch.setattr(stages, "NAMES", tuple(name for name, _ in every))
    yield
    stages.get_stage.cache_clear()
