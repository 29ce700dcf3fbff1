"""Events and the case book belong to a root: the digest names events by their content, validation reads all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from wxpipe.pipeline.digest import root_digest
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.root_checks import look_at_what_people_added
from wxpipe.store.root import Root, init_root
from wxpipe.vectors.event_import import import_events

ROWS = ("2011-03-03T08:00Z,,rain,Seoul,1,KMA\n", "2011-03-04T08:00Z,,gale,,,KMA\n")


def rooted(folder: Path, rows: tuple[str, ...], name: str = "a.csv") -> Root:
    root = init_root(str(folder / "root"))
    file = folder / name
    file.write_text("start,end,type,region,value,source\n" + "".join(rows))
    import_events(root, file)
    return root


def test_the_digest_names_events_by_content_whichever_files_brought_them(tmp_path: Path) -> None:
    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
    one = root_digest(rooted(tmp_path / "first", ROWS))
    other = root_digest(rooted(tmp_path / "second", (*ROWS[::-1], "bad\n"), "b.csv"))
    assert one == other
    assert root_digest(rooted(tmp_path / "third", ROWS[:1]))["parts"]["events"] != one["parts"]["events"]
    empty = root_digest(init_root(str(tmp_path / "empty")))
    assert "events" not in empty["parts"]


@pytest.mark.parametrize(
    ("folder", "found"), [("events/rows", "events"), ("events/refused", "events/refused"), ("cases", "cases")]
)
def test_what_is_damaged_is_found_and_has_a_remedy(tmp_path: Path, folder: str, found: str) -> None:
    root = rooted(tmp_path, (*ROWS, "bad\n"))
    root.objects.put("cases/00000001/removed.json", b"{}")  # a case that is half there is none
    assert list(look_at_what_people_added(root, Range())) == []
    keys = [info.key for info in root.objects.walk(folder) if "removed" not in info.key]
    for key in keys or ["cases/00000002/case.json"]:
        root.objects.put(key, b"nonsense")
    (finding,) = look_at_what_people_added(Root(root.url), Range())
    assert finding.where == found
    assert finding.remedy
