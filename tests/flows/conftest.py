"""A server that is set up as an operator would, and a worker of its pool; on SQLite, and on Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.flows.server import Prefect, postgres
from tests.mini import DAY, UP_TO_CLIPS, Archive, backfill, digest_of, make_archive, wxpipe


@pytest.fixture(
    scope="module", params=["SQLite", pytest.param("Postgres", marks=pytest.mark.slow)], ids=["SQLite", "Postgres"]
)
def prefect(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, two_days: Archive
) -> Iterator[Prefect]:
    """A server with pool, limits, deployments and automations; no worker yet."""
    folder = tmp_path_factory.mktemp("server")
    with ExitStack() as stack:
        on_postgres = request.param == "Postgres"
        database = stack.enter_context(postgres(folder)) if on_postgres else f"sqlite+aiosqlite:///{folder}/prefect.db"
        served = Prefect(folder, database, two_days.pictures, folder / "unnamed root", two_days.site)
        served.start()
        stack.callback(served.stop)
        served.setup()
        yield served


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture(scope="session")
def week(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Enough days that a run can be stopped in the middle of them."""
    return make_archive(tmp_path_factory.mktemp("week"), 7 * DAY)


@pytest.fixture(scope="session")
def week_in_peace(week: Archive, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a direct run makes of the week up to clips: the digests of the root's parts."""
    root = tmp_path_factory.mktemp("peace") / "root"
    status, said = wxpipe(*backfill(week, root, *UP_TO_CLIPS))
    assert status == 0, said
    return digest_of(root)
