"""An update lists recent days alone, and comes to what a full listing would, but for what is elsewhere."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from wxpipe.archive.inventory import inventory_of
from wxpipe.archive.scan import LISTED_ALL
from wxpipe.pipeline.backfill import Job, scan
from wxpipe.pipeline.reconcile import reconcile
from wxpipe.store.root import Root

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
"""The clock that an update goes by."""


def file_of(time: datetime, channel: str = "ir105") -> str:
    return f"gk2a/{time:%Y%m}/{time:%d}/gk2a_ami_le1b_{channel}_ea020lc_{time:%Y%m%d%H%M}.png"


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"never opened")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Sixty days of pictures, every 6 hours, and files that are none."""
    folder = tmp_path / "archive"
    touch(folder, *(file_of(NOW - timedelta(hours=6 * n)) for n in range(1, 240)))
    text = files("wxpipe.satellites").joinpath("gk2a.toml").read_text()
    (tmp_path / "gk2a.toml").write_text(re.sub("last_day = .*", "last_day = 2099-12-31", text))
    touch(folder, "readme.txt", file_of(NOW - timedelta(days=30)).replace(".png", "_x.png"))
    return folder


def scanned(root: Path, archive: Path, listing: str = "recent") -> dict[str, int]:
    result = scan(Job(str(root), str(archive), str(archive.with_name("gk2a.toml")), options={"listing": listing}))
    assert result.state == "done", result.error
    return dict(result.counts)


def paths(root: Path) -> dict[str, bool]:
    """Every path of the inventory, and whether it has vanished."""
    opened = Root(str(root))
    inventory = inventory_of(opened, opened.sources[0].id)
    return {file.path: file.vanished for day in inventory.days() for file in inventory.day(day)}


def test_new_and_late_files_of_recent_days_are_found_and_all_counts_agree(archive: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    first = scanned(root, archive)
    assert first["recorded"] == 239, "a root without a listing gets a whole one"
    new = [file_of(NOW), file_of(NOW - timedelta(days=3, hours=1)), file_of(NOW + timedelta(hours=1))]
    touch(archive, *new)
    counts = scanned(root, archive)
    assert set(new) <= set(paths(root))
    whole = tmp_path / "whole"
    assert counts == scanned(whole, archive)
    assert paths(root) == paths(whole)
    assert reconcile(Root(str(root))) == []


def test_what_is_elsewhere_is_left_as_it_was_until_all_is_listed(archive: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    scanned(root, archive)
    old, recent = file_of(NOW - timedelta(days=40)), file_of(NOW - timedelta(days=2))
    (archive / old).unlink()
    (archive / recent).unlink()
    late = file_of(NOW - timedelta(days=40, hours=1))
    touch(archive, late)
    assert scanned(root, archive)["vanished"] == 1
    found = paths(root)
    assert (found[old], found[recent], late in found) == (False, True, False)
    assert scanned(root, archive, "all")["vanished"] == 2
    found = paths(root)
    assert (found[old], found[recent], found[late]) == (True, True, False)


def test_all_is_listed_once_a_week(archive: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    scanned(root, archive)
    late = file_of(NOW - timedelta(days=40, hours=1))
    touch(archive, late)
    scanned(root, archive)
    assert late not in paths(root)
    week_ago = {"began": (NOW - timedelta(days=7, hours=1)).isoformat()}
    Root(str(root)).objects.put(LISTED_ALL, json.dumps(week_ago).encode())
    scanned(root, archive)
    assert late in paths(root)


@pytest.mark.parametrize("record", ["", "{}", '{"began": "tomorrow"}', '{"began": "2999-01-01T00:00:00+00:00"}'])
def test_a_record_that_says_nothing_lists_all(archive: Path, tmp_path: Path, record: str) -> None:
    root = tmp_path / "root"
    scanned(root, archive)
    late = file_of(NOW - timedelta(days=40, hours=1))
    touch(archive, late)
    Root(str(root)).objects.put(LISTED_ALL, record.encode())
    scanned(root, archive)
    assert late in paths(root)


def test_an_archive_that_is_not_mounted_makes_nothing_vanish(archive: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    scanned(root, archive)
    before = paths(root)
    shutil.rmtree(archive)
    archive.mkdir()
    result = scan(Job(str(root), str(archive), options={"listing": "recent"}))
    assert result.state == "failed"
    assert "is the archive mounted" in result.error
    assert paths(root) == before
