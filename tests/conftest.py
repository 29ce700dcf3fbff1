"""Fixtures that every room's tests share."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numba
import pytest
from filelock import FileLock

from tests.mini import first_run, longer, second_run, two_days  # noqa: F401 - fixtures
from tests.s3 import s3_port  # noqa: F401 - a fixture
from wxpipe.pipeline.backfill import Job, run, scan
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers
from wxpipe.store.root import Root

LONG = (
    "test_s3", "test_compare", "test_kill_runs", "test_kill", "test_deployed", "test_month_of_faults", "test_faults",
    "test_train_kills", "test_judge", "test_spoil", "test_loader", "test_flows", "test_train_flow", "test_ghost",
)  # fmt: skip
"""Files of tests that take a minute or more."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long go first: the last ones of several test processes then end at nearly the same time."""
    place = {name: n for n, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session")
def real_archive() -> Path:
    """Folder of real imagery: ``coms/``, ``coms_events/``, ``coms_reduced/``, ``expected/`` and the others."""
    folder = os.environ.get("WXPIPE_REAL_ARCHIVE")
    if not folder:
        pytest.skip("WXPIPE_REAL_ARCHIVE is not set: it names the folder of real imagery, that holds coms/")
    path = Path(folder).resolve()
    if not (path / "coms").is_dir():
        pytest.fail(f"WXPIPE_REAL_ARCHIVE names {path}, which has no folder coms/")
    return path


@pytest.fixture(scope="session")
def real_root(real_archive: Path, tmp_path_factory: pytest.TempPathFactory, ingested: Callable[..., Root]) -> Root:
    """A root of the 140 pictures of ``coms/`` and ``coms_events/``, whose archive has been moved away since.

    Ingested, counted and searched for clips in this process, to be read; made once, by the first of the test processes
    that needs it.
    """
    if numba.config.DISABLE_JIT:
        pytest.skip("real pictures take hours without compiled kernels")
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "real"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        if not (folder / "moved away").exists():
            archive = folder / "archive"
            archive.mkdir()
            for name in ("coms", "coms_events"):
                (archive / name).symlink_to(real_archive / name, target_is_directory=True)
            ingested(folder / "root", archive)
            archive.rename(folder / "moved away")
    return Root(str(folder / "root"))


@pytest.fixture(scope="session")
def ingested() -> Callable[..., Root]:
    """(folder, archive, site) to a root whose stages up to ``clips`` have run in this process without a failure."""

    def ingest(root: Path, archive: Path, site: Path | None = None) -> Root:
        stages = Range(stages=("ingest", "histograms", "clips"))
        job = Job(str(root), str(archive), str(site or ""), stages)
        assert scan(job).state == "done"
        report = run(job, Workers())
        assert not report.failed, report.failed
        return Root(str(root))

    return ingest


WORD = (1 << 64) - 1


def _splitmix64(seed: int, index: int) -> int:
    """SplitMix64 in Python's integers, which have no width to overflow and no library to change."""
    z = (seed + (index + 1) * 0x9E3779B97F4A7C15) & WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


def _uniform(seed: int, index: int, bound: float) -> float:
    """The draw as a float32 (rounded by `struct`), held in a Python float."""
    unit = math.ldexp(_splitmix64(seed, index) >> 11, -53)
    return struct.unpack("<f", struct.pack("<f", (2 * unit - 1) * bound))[0]


@pytest.fixture(scope="session")
def integer_splitmix64() -> Callable[[int, int], int]:
    """(seed, index) to a word of 64 bits."""
    return _splitmix64


@pytest.fixture(scope="session")
def integer_uniform() -> Callable[[int, int, float], float]:
    """(seed, index, bound) to the draw."""
    return _uniform
