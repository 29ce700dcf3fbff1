"""A few days of the synthetic satellite `mini`, and the command line run over them in processes of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from wxpipe.archive.synthetic.archive import write_archive
from wxpipe.archive.synthetic.source import mini_satellite
from wxpipe.pipeline.digest import root_digest
from wxpipe.pipeline.plan import Range, make_plan
from wxpipe.store.root import Root
from wxpipe.store.stage import Context

SOURCE = "mini-t"
FIRST = datetime(2020, 3, 1, tzinfo=UTC)
LATE = datetime(2020, 3, 1, 20, 15, tzinfo=UTC)
"""A slot whose pictures come late: clips of one day hold it, and none of the next."""
DAY = 96
SCRIPT = Path(sys.executable).with_name("wxpipe")


@dataclass(frozen=True)
class Archive:
    """Raw files, and the site's definition of their satellite."""

    pictures: Path
    site: Path

    @property
    def options(self) -> tuple[str, ...]:
        return ("--archive", str(self.pictures), "--satellites", str(self.site))


@dataclass(frozen=True)
class Undisturbed:
    """A root that one direct run made in peace, its digest, and the write points that the run passed."""

    root: Path
    digest: dict[str, str]
    points: Sequence[str]


def make_archive(folder: Path, slots: int, missing: Sequence[datetime] = ()) -> Archive:
    """Slots from the first on; made longer or mended in place, whatever is there keeps its times of writing."""
    made = write_archive(folder, mini_satellite(), "t", FIRST, slots, seed=7, missing=missing)
    return Archive(made.pictures, made.satellite)


def environment(**extra: str) -> dict[str, str]:
    """The environment without settings of whoever runs the tests; leases that do not expire by themselves.

    Lines of programs that are run so are not counted for coverage: it would make them half as slow again, and who is
    killed does not tell.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WXPIPE_", "COVERAGE_PROCESS"))}
    return {**kept, "WXPIPE_LEASE_SECONDS": "600", "COLUMNS": "200", **extra}


def start(*arguments: str, on: Sequence[str] = (), **extra: str) -> subprocess.Popen[str]:
    """`wxpipe` in a process group of its own; both streams are kept, mixed. ``on`` goes before the command."""
    return subprocess.Popen(
        [*on, str(SCRIPT), *arguments], env=environment(**extra), start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def end(process: subprocess.Popen[str], seconds: float = 300) -> tuple[int, str]:
    """Waits for a process; its status and what it said. Nothing of its group is left behind."""
    try:
        said, _ = process.communicate(timeout=seconds)
    finally:
        kill_group(process)
    return process.returncode, said


def kill_group(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def wxpipe(*arguments: str, **extra: str) -> tuple[int, str]:
    """Runs `wxpipe` to its end: (status, what it said)."""
    return end(start(*arguments, **extra))


def backfill(archive: Archive, root: Path, *options: str) -> tuple[str, ...]:
    """Arguments of a backfill without Prefect."""
    return ("backfill", *archive.options, "--root", str(root), "--direct", *options)


def digest_of(root: Path) -> dict[str, str]:
    """Digests of a root's parts: a test that fails tells which part differs."""
    parts: dict[str, str] = root_digest(Root(str(root)))["parts"]
    return parts


def points_of(log: Path) -> list[str]:
    """Write points in a log, in order, without process and number."""
    return [line.split(" ", 2)[2] for line in log.read_text().splitlines()]


UP_TO_CLIPS = tuple(option for name in ("ingest", "histograms", "clips") for option in ("--stage", name))
"""Options of a run that needs neither a model nor tables, and so begins three times as fast."""


def check_up_to_clips(root: Path, peace: Undisturbed) -> None:
    """Everything up to clips is what a run in peace makes of it, and nothing of it is due."""
    names = ("settings", "inventory", "frames", "histograms", "clips", "quarantine")
    found, expected = digest_of(root), peace.digest
    assert {k: v for k, v in found.items() if k.startswith(names)} == {
        k: v for k, v in expected.items() if k.startswith(names)
    }
    stages = ("ingest", "histograms", "clips")
    opened, there = Root(str(root)), Root(str(peace.root))
    assert make_plan(Context(opened), Range(stages=stages)).work == ()
    for stage in stages:
        entries, others = opened.ledger.entries(stage), there.ledger.entries(stage)
        assert {k: e.content() for k, e in entries.items()} == {k: e.content() for k, e in others.items()}


def undisturbed(archive: Archive, root: Path) -> Undisturbed:
    """Runs a backfill in peace."""
    log = root.with_name(f"{root.name}.log")
    status, said = wxpipe(*backfill(archive, root), WXPIPE_WRITE_POINT_LOG=str(log))
    assert status == 0, said
    return Undisturbed(root, digest_of(root), points_of(log))


def check_whole(root: Path, peace: Undisturbed) -> None:
    """The root holds what a run in peace makes, everything once, and nothing is due."""
    assert digest_of(root) == peace.digest
    opened = Root(str(root))
    assert make_plan(Context(opened), Range()).work == ()
    assert opened.objects.names("releases") == Root(str(peace.root)).objects.names("releases")
    check_once(opened)


def check_once(root: Root) -> None:
    """Every clip and vector is there once: in the day files, and in the tables that are searched."""
    import pyarrow.parquet as pq

    from wxpipe.vectors.records import current_release
    from wxpipe.vectors.tables import SPECS

    release = current_release(root)
    assert release is not None
    clips = _rows(root, "clips", pq)
    vectors = _rows(root, f"vectors/{release.parts[0].model}", pq)
    ids = {unit: [row["id"] for row in vectors if row["unit"] == unit] for unit in ("frame", "clip")}
    assert sorted(ids["clip"]) == sorted(row["clip_id"] for row in clips)
    for unit, spec in SPECS.items():
        searched = release.parts[0].open(root, spec).to_arrow()[spec.key].to_pylist()
        assert _doubled(ids[unit]) == _doubled(searched) == []
        assert sorted(searched) == sorted(ids[unit])


def _rows(root: Root, folder: str, pq: Any) -> list[dict[str, Any]]:
    import pyarrow as pa

    keys = sorted(info.key for info in root.objects.walk(folder) if info.key.endswith(".parquet"))
    return [row for key in keys for row in pq.read_table(pa.BufferReader(root.objects.get(key))).to_pylist()]


def _doubled(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


@pytest.fixture(scope="session")
def two_days(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Two days of which one slot has not come yet."""
    return make_archive(tmp_path_factory.mktemp("two-days"), 2 * DAY, [LATE])


@pytest.fixture(scope="session")
def longer(two_days: Archive, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """The same files, the slot that came late, and the beginning of a third day."""
    folder = tmp_path_factory.mktemp("longer")
    shutil.copytree(two_days.site.parent, folder, dirs_exist_ok=True)
    return make_archive(folder, 2 * DAY + 40)


@pytest.fixture(scope="session")
def first_run(two_days: Archive, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A root of two days, from nothing to its release. To be read only."""
    return undisturbed(two_days, tmp_path_factory.mktemp("first") / "root")


@pytest.fixture(scope="session")
def second_run(longer: Archive, first_run: Undisturbed, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """That root after a run over the longer archive: days that are new, changed, and as they were. To be read only."""
    root = tmp_path_factory.mktemp("second") / "root"
    shutil.copytree(first_run.root, root)
    return undisturbed(longer, root)
