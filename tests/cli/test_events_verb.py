"""`events` and `cases`: what happened, and what people keep, from the command line."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.vectors.conftest import at, served, template  # noqa: F401 - fixtures
from tests.vectors.tiny_root import TinyRoot

HEADER = "start,end,type,region,value,source\n"
QUERY = ("--satellite", "tiny", "--at", "2011-03-03T08:00Z")


@pytest.fixture
def root(served: TinyRoot, tmp_path: Path) -> Path:  # noqa: F811
    return Path(shutil.copytree(served.root.url, tmp_path / "root"))


@pytest.fixture
def warnings(tmp_path: Path) -> Path:
    file = tmp_path / "warnings.csv"
    file.write_text(HEADER + "2011-03-04T15:00Z,2011-03-04T18:00Z,heavy rain,Seoul,31.5,KMA\nnonsense\n")
    return file


def test_events_are_imported_listed_searched_and_removed(cli: CommandLine, root: Path, warnings: Path) -> None:
    days = ("--from", "2011-03-01", "--to", "2011-03-09")
    tried = cli("events", "import", warnings, "--root", root, *days, "--dry-run")
    assert (tried.code, "would bring 1 events" in tried.out) == (3, True)
    assert cli("events", "list", "--root", root, "--json").document == {"imports": []}
    done = cli("events", "import", warnings, "--root", root, *days)
    assert done.code == 3
    assert "warnings.csv line 3: columns; expected 6" in done.out
    again = cli("events", "import", warnings, "--root", root, *days, "--json")
    assert (again.code, again.document["changed"], again.document["rows"]) == (3, False, 1)
    listed = cli("events", "list", "--root", root).out
    assert "heavy rain" in listed
    assert "2011-03-01 to 2011-03-09" in listed
    found = cli("sql", "--root", root, "--format", "csv", "SELECT type, value FROM events")
    assert found.out.splitlines() == ["type,value", "heavy rain,31.5"]
    assert (
        "1 events are no longer in effect"
        in cli("events", "remove", "--source-name", warnings.name, "--root", root).out
    )
    assert cli("events", "remove", "--source-name", warnings.name, "--root", root).code == 2


def test_a_search_tells_what_happened(cli: CommandLine, root: Path, warnings: Path) -> None:
    cli("events", "import", warnings, "--root", root, "--from", "2011-03-01", "--to", "2011-03-09")
    asked = ("search", "--root", root, *QUERY, "--k", 2, "--where", "hour = 8", "--events-within", 6)
    shown = cli(*asked)
    assert shown.code == 0
    assert "what happened within 6 h" in shown.out
    assert "1 of 2" in shown.out
    (told,) = cli(*asked, "--json").document["happened"]
    assert told["sentence"].startswith("heavy rain in Seoul within 6 h after 1 of 2 analogs; climatology ")
    assert 0 < told["interval"][0] < 0.5 < told["interval"][1] < 1
    assert "happened" not in cli(*asked[:-2], "--json").document
    assert cli(*asked, "--events-where", "valu > 3").code == 2
    assert "no events that are imported count" in cli(*asked, "--events-where", "value > 99").out


def test_a_case_is_kept_judged_and_asked_again(cli: CommandLine, root: Path) -> None:
    added = cli("cases", "add", "--root", root, "--name", "[front]", "--notes", "early", *QUERY, "--k", 2)
    assert added.out.startswith("case 1: [front], 2 analogs of tiny-ea/20110303T0800Z/6h20 in release 1")
    assert "is not useful" in cli("cases", "verdict", 1, 2, "not-useful", "--root", root, "--note", "other air").out
    assert cli("cases", "verdict", 1, 2, "perhaps", "--root", root).code == 2
    assert cli("cases", "verdict", 1, 77, "useful", "--root", root).code == 2
    shown = cli("cases", "show", 1, "--root", root)
    assert "[front]" in shown.out
    assert "the same analogs in the same order" in shown.out
    assert "not useful (" in shown.out
    document = cli("cases", "show", 1, "--root", root, "--json").document
    assert document["again"]["same"] is True
    assert document["verdicts"][0]["useful"] is False
    listed = cli("cases", "list", "--root", root, "--json").document
    assert [case["name"] for case in listed["cases"]] == ["[front]"]
    assert "[front], is removed" in cli("cases", "remove", 1, "--root", root).out
    assert cli("cases", "show", 1, "--root", root).code == 1


@pytest.mark.parametrize("days", [("--from", "2011-03-01"), ("--from", "2011-03-02", "--to", "2011-03-01")])
def test_half_a_period_is_refused(cli: CommandLine, root: Path, warnings: Path, days: tuple[str, ...]) -> None:
    said = cli("events", "import", warnings, "--root", root, *days)
    assert said.code == 2
    assert "--from and --to together" in said.words


def test_the_example_of_the_readme_runs(
    cli: CommandLine, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text()
    block = re.search(r"## What happened after\n\n```sh\n(.*?)```", text, re.DOTALL)
    assert block is not None
    written = re.match(r"cat > (\S+) <<'CSV'\n(.*?)CSV\n(.*)", block[1], re.DOTALL)
    assert written is not None
    name, rows, commands = written.groups()
    (tmp_path / name).write_text(rows)
    monkeypatch.chdir(tmp_path)
    for command in commands.replace("ROOT", str(root)).replace("coms", "tiny").splitlines():
        verb, *arguments = shlex.split(command)
        assert verb == "wxpipe"
        said = cli(*arguments)
        assert said.code == 0, (command, said.err)
    assert "tiny-ea/" in said.out  # the verdict's row
