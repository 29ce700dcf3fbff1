"""Imports of events: nothing is lost, nothing is filled in, the same again changes nothing, two at once do no harm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.s3 import credentials, make_bucket
from tests.vectors.tiny_root import SATELLITE
from wxpipe.errors import DamagedError, RefusedError, UsageError
from wxpipe.satellites.catalog import parse_satellite
from wxpipe.store.root import Root, init_root
from wxpipe.vectors import event_import
from wxpipe.vectors.event_import import import_events
from wxpipe.vectors.events import all_imports, in_effect, read_events, read_refused, record_import, remove_events
from wxpipe.vectors.sql import run_sql

HEADER = "start,end,type,region,value,source\n"


@pytest.fixture
def root(tmp_path: Path) -> Root:
    made = init_root(str(tmp_path / "root"))
    satellite = parse_satellite(SATELLITE, "tiny.toml")
    made.adopt({satellite.name: satellite})
    return made


def hour(n: int) -> str:
    return f"2011-03-{1 + n // 24:02d}T{n % 24:02d}:00Z"


def write(folder: Path, *lines: str, name: str = "warnings.csv") -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(HEADER + "".join(f"{line}\n" for line in lines))
    return file


def rain(n: int, value: float | str = 1) -> str:
    return f"{hour(n)},,rain,Seoul,{value},KMA"


def stored(root: Root) -> dict[str, bytes]:
    return {info.key: root.objects.get(info.key) for info in root.objects.walk("events")}


def sql(root: Root, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in run_sql(root, query).to_pylist()]


def test_events_are_a_view(root: Root, tmp_path: Path) -> None:
    assert sql(root, "SELECT count(*) FROM events") == [(0,)]
    file = write(tmp_path, f"{hour(3)},{hour(5)},gale,,,KMA", rain(2, 12.5))
    import_events(root, file)
    query = """SELECT start, "end", type, region, value, source, imported_from FROM events ORDER BY start"""
    first, second = ((datetime(2011, 3, 1, h, tzinfo=UTC)) for h in (2, 3))
    assert sql(root, query) == [
        (first, None, "rain", "Seoul", 12.5, "KMA", "warnings.csv"),
        (second, datetime(2011, 3, 1, 5, tzinfo=UTC), "gale", None, None, "KMA", "warnings.csv"),
    ]
    assert sql(root, "SELECT type FROM events WHERE start > TIMESTAMP '2011-03-01 02:30:00'") == [("gale",)]


def test_bad_rows_are_put_aside_with_line_and_reason(root: Root, tmp_path: Path) -> None:
    bad = f"{hour(4)},,rain,Seoul,much,KMA"
    done = import_events(root, write(tmp_path, rain(1), bad, "", rain(2), "nonsense"))
    assert (done.made.rows, done.made.quarantined) == (2, 2)
    assert done.reasons == {"value is no number": 1, "columns": 1}
    assert read_refused(root).select(["line", "text"]).to_pylist() == [
        {"line": 3, "text": bad}, {"line": 6, "text": "nonsense"}
    ]  # fmt: skip
    assert sql(root, "SELECT stage, source, path, reason, found FROM quarantine ORDER BY path") == [
        ("events", "warnings.csv", "warnings.csv line 3", "value is no number", bad),
        ("events", "warnings.csv", "warnings.csv line 6", "columns", "nonsense"),
    ]


def test_every_line_is_accounted_for_whatever_is_in_it(root: Root, tmp_path: Path) -> None:
    """An open quote does not swallow what follows, nor do bytes of another encoding, nor a line without end."""
    lines = [rain(1), f'{hour(2)},,"rain,,,KMA', rain(3), "long" * 50_000, rain(4)]
    file = tmp_path / "odd.csv"
    file.write_bytes("\n".join([HEADER.strip(), *lines]).encode() + "\n호우".encode("cp949"))
    done = import_events(root, file)
    assert done.made.rows == 3
    assert done.reasons == {"quotes": 1, "line too long": 1, "encoding": 1}
    assert max(map(len, read_refused(root)["text"].to_pylist())) <= 1_000


def test_the_same_file_again_changes_nothing(root: Root, tmp_path: Path) -> None:
    file = write(tmp_path, rain(1), "bad", rain(2))
    assert import_events(root, file).changed
    before = stored(root)
    assert not import_events(root, file).changed
    assert stored(root) == before


def test_a_dry_run_writes_nothing_and_says_the_same(root: Root, tmp_path: Path) -> None:
    file = write(tmp_path, rain(1), "bad", rain(2))
    tried = import_events(root, file, dry_run=True)
    assert (tried.made.rows, tried.reasons, tried.changed) == (2, {"columns": 1}, True)
    assert stored(root) == {}
    import_events(root, file)
    assert not import_events(root, file, dry_run=True).changed


def test_a_changed_file_takes_the_place_of_the_one_before(root: Root, tmp_path: Path) -> None:
    import_events(root, write(tmp_path, rain(1), rain(2)))
    import_events(root, write(tmp_path / "other", rain(7), name="observations.csv"))
    import_events(root, write(tmp_path, rain(2), rain(3), rain(3)))
    values = read_events(root)["start"].to_pylist()
    assert [moment.hour for moment in values] == [2, 3, 7]
    assert [made.name for made in in_effect(root)] == ["observations.csv", "warnings.csv"]
    assert in_effect(root)[1].repeated == 1


def test_the_same_event_of_two_files_is_one(root: Root, tmp_path: Path) -> None:
    import_events(root, write(tmp_path, rain(1), rain(2), name="a.csv"))
    import_events(root, write(tmp_path, rain(2), rain(3), name="b.csv"))
    assert read_events(root)["imported_from"].to_pylist() == ["a.csv", "a.csv", "b.csv"]
    remove_events(root, "a.csv")
    assert read_events(root)["imported_from"].to_pylist() == ["b.csv", "b.csv"]


def test_what_was_removed_comes_back_by_an_import(root: Root, tmp_path: Path) -> None:
    file = write(tmp_path, rain(1))
    import_events(root, file)
    assert remove_events(root, "warnings.csv").rows == 1
    assert len(read_events(root)) == 0
    with pytest.raises(UsageError, match=r"no events of the source name 'warnings\.csv'; source names: none"):
        remove_events(root, "warnings.csv")
    assert import_events(root, file).changed
    assert len(read_events(root)) == 1


def test_a_file_of_which_nothing_can_be_read_replaces_nothing(root: Root, tmp_path: Path) -> None:
    assert import_events(root, write(tmp_path, "bad")).made.quarantined == 1  # there was nothing to lose
    import_events(root, write(tmp_path, rain(1)))
    with pytest.raises(RefusedError, match=r"none of its 2 rows .*line 2: columns.*would replace 1 events"):
        import_events(root, write(tmp_path, "bad", "worse"))
    assert len(read_events(root)) == 1
    import_events(root, write(tmp_path))  # a file that says that there is nothing is believed
    assert len(read_events(root)) == 0


@pytest.mark.parametrize("text", ["", "\n\n", "a,b\n1,2\n"])
def test_a_file_that_is_none_of_events_is_refused(root: Root, tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.csv"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"x\.csv: "):
        import_events(root, file)
    with pytest.raises(UsageError, match="expected a CSV file, found none"):
        import_events(root, tmp_path / "nowhere.csv")
    assert all_imports(root) == []


def test_a_file_that_grew_shares_the_objects_of_before(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_import, "PART_ROWS", 4)
    first = import_events(root, write(tmp_path, *map(rain, range(10)))).made
    second = import_events(root, write(tmp_path, *map(rain, range(12)))).made
    assert [part.rows for part in first.parts] == [4, 4, 2]
    assert second.parts[:2] == first.parts[:2]
    assert len(read_events(root)) == 12


def test_two_imports_at_once_both_take_effect(root: Root, tmp_path: Path) -> None:
    files = [write(tmp_path, *map(rain, range(10 * n, 10 * n + 5)), name=f"{n}.csv") for n in range(8)]

    def bring(file: Path) -> bool:
        return import_events(Root(root.url), file).changed

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(bring, files))
        assert not any(pool.map(bring, files))
    assert len(read_events(root)) == 40
    assert [made.number for made in all_imports(root)] == list(range(1, 9))


def test_the_same_file_twice_at_once_is_one_import(root: Root, tmp_path: Path) -> None:
    file = write(tmp_path, *map(rain, range(5)))
    with ThreadPoolExecutor(8) as pool:
        changed = list(pool.map(lambda _: import_events(Root(root.url), file).changed, range(8)))
    assert sum(changed) == 1
    assert len(all_imports(root)) == 1


def test_of_two_files_of_one_name_at_once_the_slower_is_told(root: Root, tmp_path: Path) -> None:
    """An older file that took longer to read does not silently undo the newer one."""
    slow = import_events(root, write(tmp_path, rain(1)), dry_run=True).made
    import_events(root, write(tmp_path, rain(1), rain(2)))
    with pytest.raises(RefusedError, match=r"import 1 by .* was made meanwhile"):
        record_import(root, slow, before=None)
    assert len(read_events(root)) == 2


def test_damage_is_told_and_mended_by_the_file(root: Root, tmp_path: Path) -> None:
    file = write(tmp_path, *map(rain, range(20)))
    part = import_events(root, file).made.parts[0]
    key = f"events/rows/{part.digest}.parquet"
    whole = root.objects.get(key)
    for damaged in (whole[: len(whole) // 2], whole[:60] + bytes([whole[60] ^ 255]) + whole[61:]):
        root.objects.put(key, damaged)
        with pytest.raises(DamagedError, match=r"warnings\.csv again"):
            read_events(Root(root.url))
        import_events(root, file)
        assert root.objects.get(key) == whole
    root.objects.put("events/imports/00000001.json", b"[]")
    with pytest.raises(DamagedError, match=r"00000001\.json"):
        in_effect(root)


def test_a_bucket_settles_imports_at_once(s3_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in credentials(s3_port).items():
        monkeypatch.setenv(name, value)
    url = init_root(f"{make_bucket(s3_port, 'events')}/root").url
    files = [write(tmp_path, rain(n), rain(n + 1), "bad", name=f"{n % 3}.csv") for n in (0, 1, 2)]
    with ThreadPoolExecutor(6) as pool:
        changed = list(pool.map(lambda file: import_events(Root(url), file).changed, files * 2))
    assert sum(changed) == 3
    root = Root(url)
    assert [made.number for made in all_imports(root)] == [1, 2, 3]
    assert len(read_events(root)) == 4  # hours 0 to 3: events of two files are there once
    assert len(read_refused(root)) == 3


IMPORT = """
import sys
from pathlib import Path
from wxpipe.store.root import Root
from wxpipe.vectors.event_import import import_events
import_events(Root(sys.argv[1]), Path(sys.argv[2]))
"""


def run_import(root: Root, file: Path, **environment: str) -> int:
    """Imports in a process of its own; its exit status."""
    command = [sys.executable, "-c", IMPORT, root.url, str(file)]
    return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode


def test_an_import_that_is_killed_has_brought_all_or_nothing_and_goes_again(root: Root, tmp_path: Path) -> None:
    file, log = write(tmp_path, *map(rain, range(5)), "bad"), tmp_path / "log"
    empty = stored(root)
    assert run_import(root, file, WXPIPE_WRITE_POINT_LOG=str(log)) == 0
    whole, points = stored(root), [line.split(" ", 2)[2] for line in log.read_text().splitlines()]
    assert points[-1] == "after put-if-absent events/imports/00000001.json"
    for number in [n for n, point in enumerate(points, 1) if point.startswith("before put")] + [len(points)]:
        for key in stored(root).keys() - empty.keys():
            root.objects.delete(key)
        assert run_import(root, file, WXPIPE_KILL_AT=f"{number}:{tmp_path}/token{number}") == -signal.SIGKILL
        assert len(read_events(Root(root.url))) == (5 if number == len(points) else 0)
        import_events(Root(root.url), file)
        assert stored(root).keys() == whole.keys()
        assert len(read_events(Root(root.url))) == 5
        assert len(read_refused(root)) == 1
