"""Fixtures of small real roots (see `tiny_root`)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.vectors.tiny_root import TinyRoot, copy_of, make_root


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root of three embedded days without any release; copied by each test that writes."""
    folder = tmp_path_factory.mktemp("vectors") / "root"
    make_root(folder)
    return folder


@pytest.fixture
def tiny(template: Path, tmp_path: Path) -> TinyRoot:
    """A copy of the template of one's own."""
    return copy_of(template, tmp_path / "root")


@pytest.fixture(scope="session")
def served(template: Path, tmp_path_factory: pytest.TempPathFactory) -> TinyRoot:
    """A root whose release is promoted; for tests that only read."""
    from wxpipe.vectors.release import build, promote

    tiny = copy_of(template, tmp_path_factory.mktemp("served") / "root")
    build(tiny.root)
    promote(tiny.root)
    return tiny


@pytest.fixture(scope="session")
def at() -> Callable[[int, int, int], datetime]:
    """(day of March 2011, hour, minute) in UTC."""

    def moment(day: int, hour: int, minute: int = 0) -> datetime:
        return datetime(2011, 3, 1, hour, minute, tzinfo=UTC) + timedelta(days=day - 1)

    return moment
