"""A build that is killed at any write, and begun again, ends with the rows of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from tests.vectors.tiny_root import DAYS, TinyRoot, copy_of
from wxpipe.vectors.release import build, current_release, list_releases, promote, release_digests
from wxpipe.vectors.tables import SPECS

BUILD = """
import sys
from wxpipe.store.root import Root
from wxpipe.vectors.release import build, promote
root = Root(sys.argv[1])
build(root)
promote(root)
"""


def run_build(tiny: TinyRoot, **environment: str) -> int:
    """Builds and promotes in a new process; its exit status."""
    command = [sys.executable, "-c", BUILD, tiny.root.url]
    return subprocess.run(command, env={**os.environ, **environment}, check=False, timeout=120).returncode


def write_points(tiny: TinyRoot, log: Path) -> list[str]:
    """The write points that a build and a promotion pass."""
    assert run_build(tiny, WXPIPE_WRITE_POINT_LOG=str(log)) == 0
    return [line.split(" ", 2)[2] for line in log.read_text().splitlines()]


def kill_at(template: Path, folder: Path, number: int) -> TinyRoot:
    """A copy of a root whose build was killed at a write point."""
    tiny = copy_of(template, folder)
    status = run_build(tiny, WXPIPE_KILL_AT=f"{number}:{folder}.killed")
    assert status == -signal.SIGKILL, f"write point {number} was not reached"
    return tiny


def check_whole(tiny: TinyRoot, expected: dict[str, str]) -> None:
    """Building again comes to the expected rows, each id once, and serves them."""
    release = build(tiny.root)
    promote(tiny.root)
    assert release_digests(tiny.root, release) == expected
    for unit, spec in SPECS.items():
        ids = release.parts[0].open(tiny.root, spec).to_arrow()[spec.key].to_pylist()
        assert sorted(ids) == tiny.expected_ids(unit)
    assert current_release(tiny.root) == release
    assert build(tiny.root) == release


@pytest.mark.parametrize("kind", ["first build", pytest.param("update", marks=pytest.mark.slow)])
def test_killed_at_every_write_point(kind: str, template: Path, tmp_path: Path) -> None:
    start = tmp_path / "start"
    tiny = copy_of(template, start)
    if kind == "update":
        build(tiny.root)
        promote(tiny.root)
        tiny.write_vectors(DAYS[0], seed=5, clips=11)
        tiny.remove_day(DAYS[1])
        tiny.add_day(date(2011, 3, 9))
    undisturbed = copy_of(start, tmp_path / "undisturbed")
    points = write_points(undisturbed, tmp_path / "log")
    served = current_release(undisturbed.root)
    assert served is not None
    expected = release_digests(undisturbed.root, served)
    words = {point.split(" ")[1] for point in points}
    assert words >= ({"create", "add", "tag"} if kind == "first build" else {"merge", "delete", "add", "tag"})

    def one(number: int) -> None:
        check_whole(kill_at(start, tmp_path / f"at-{number}", number), expected)

    # Nothing is written between "after" one write and "before" the next: the same state, tried once.
    numbers = [n for n, point in enumerate(points, 1) if point.startswith("before")]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(one, [*numbers, len(points)]))


def test_what_a_killed_build_left_is_undone_before_anything_else(template: Path, tmp_path: Path) -> None:
    """A killed build wrote a day; then the day went back to what it was: nothing of the killed build may stay."""
    tiny = copy_of(template, tmp_path / "root")
    first = build(tiny.root)
    tiny.write_vectors(DAYS[0], seed=5)
    assert run_build(tiny, WXPIPE_KILL_AT=f"2:{tmp_path}/killed") == -signal.SIGKILL
    assert len(list_releases(tiny.root)) == 1
    tiny.write_vectors(DAYS[0], seed=0)
    tiny.write_vectors(DAYS[1], seed=6)
    second = build(tiny.root)
    day = f"tiny-ea/{DAYS[0]}"
    assert second.contents[day] == first.contents[day]
    assert release_digests(tiny.root, second) != release_digests(tiny.root, first)
