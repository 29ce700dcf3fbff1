"""`wxpipe search` asks by a time, fresh pictures, several examples or a vector; the README's examples run."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cli.conftest import CommandLine
from tests.mini import FIRST, SOURCE, Archive, Undisturbed

pytestmark = pytest.mark.slow  # each is a process of its own; what it calls is tested quickly elsewhere
README = Path(__file__).parents[2] / "README.md"
AT = "2020-03-02T02:00Z"


@pytest.fixture
def fresh(two_days: Archive, tmp_path: Path) -> Path:
    """The 25 slots of the clip that begins `AT`, all in one folder."""
    (tmp_path / "fresh").mkdir()
    for n in range(25):
        when = FIRST + timedelta(hours=26, minutes=15 * n)
        for path in two_days.pictures.rglob(f"mini_*_{when:%Y%m%d%H%M}.png"):
            shutil.copyfile(path, tmp_path / "fresh" / path.name)
    return tmp_path / "fresh"


def test_a_folder_answers_as_its_time_does(cli: CommandLine, first_run: Undisturbed, fresh: Path) -> None:
    common = ("search", "--root", first_run.root, "--satellite", "mini", "--json", "--exclude-hours", 3)
    expected = cli(*common, "--at", AT).document
    said = cli(*common, "--like", fresh, "--at", AT)
    assert said.code == 0
    found = said.document
    told = found["query"].pop("fresh")
    assert (told["pictures"], told["note"]) == (50, "")
    assert found["query"] == expected["query"]
    assert [(a["clip_id"], a["distance"]) for a in found["analogs"]] == [
        (a["clip_id"], a["distance"]) for a in expected["analogs"]
    ]
    for more in ((), ("--at", "latest")):  # as in the archive, the last window that holds 20 slots
        latest = cli(*common, "--like", fresh, *more).document["query"]
        assert latest["clip_id"] == f"{SOURCE}/20200302T0315Z/6h20"
        assert "ends 09:15Z, after the last picture" in latest["fresh"]["note"]
        assert latest["fresh"]["note"].endswith("may begin 2020-03-02T02:00Z")
    own = cli(*common, "--like", fresh, "--season", "own").document
    assert own["filters"]["season"] == "03-02"


def test_what_was_refused_is_told_and_ends_with_3(cli: CommandLine, first_run: Undisturbed, fresh: Path) -> None:
    bad = fresh / "mini_ir_t_202003020245.png"
    bad.write_bytes(b"")
    said = cli("search", "--root", first_run.root, "--satellite", "mini", "--like", fresh)
    assert said.code == 3
    assert "49 sound" in said.out
    assert "refused: mini_ir_t_202003020245.png: empty" in said.out
    document = cli("search", "--root", first_run.root, "--satellite", "mini", "--like", fresh, "--json").document
    assert [one["path"] for one in document["query"]["fresh"]["refused"]] == [bad.name]


def test_a_folder_with_too_little_in_it(cli: CommandLine, first_run: Undisturbed, fresh: Path) -> None:
    for path in sorted(fresh.iterdir())[10:]:
        path.unlink()
    said = cli("search", "--root", first_run.root, "--satellite", "mini", "--like", fresh)
    assert said.code == 1
    assert "of the 20 slots within 6 h that one needs, 0 are complete" in said.words
    assert "--unit frame" in said.words


def test_a_vector_comes_from_a_file_or_the_input(
    cli: CommandLine, first_run: Undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wxpipe.store.root import Root
    from wxpipe.vectors.records import require_current
    from wxpipe.vectors.tables import SPECS

    root = Root(str(first_run.root))
    row = require_current(root).part(SOURCE).open(root, SPECS["clip"]).to_arrow().slice(40, 1).to_pylist()[0]
    text = json.dumps(row["vector"])
    (tmp_path / "vector.json").write_text(text)
    common = ("search", "--root", first_run.root, "--satellite", "mini", "--json", "--k", 3)
    by_file = cli(*common, "--vector", tmp_path / "vector.json").document
    assert by_file["analogs"][0]["clip_id"] == row["clip_id"]
    assert by_file["query"] == {"clip_id": None, "start": None, "end": None}
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
    assert cli(*common, "--vector", "-").document == by_file


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"vector": [1]}', "is no list of numbers"),
        ("[1, true]", "is no list of numbers"),
        ('["1"]', "is no list of numbers"),
        (f"[1{'0' * 400}]", "a number that is too large"),
        ("[1, 2]", "expected 128 finite numbers"),
        (str([1e300] * 128), "expected 128 finite numbers"),
        ("[" + "NaN, " * 127 + "1]", "expected 128 finite numbers"),
        ("[" + "1, " * 400_000 + "1]", "more than 1,048,576 bytes"),
    ],
    ids=lambda text: text[:12],
)
def test_what_is_no_vector_is_refused(
    cli: CommandLine, first_run: Undisturbed, tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "vector.json").write_text(text)
    said = cli("search", "--root", first_run.root, "--satellite", "mini", "--vector", tmp_path / "vector.json")
    assert said.code == 2
    assert told in said.words


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "say what to look for: --at TIME"),
        (("--vector", "x.json", "--at", AT), "leave --at and --like out"),
        (("--vector", "missing.json"), "cannot be read"),
        (("--at", AT, "--less", AT), "must outweigh"),
        (("--at", AT, "--more", "soon"), "expected a time such as"),
        (("--at", AT, "--rerank", "taste"), "known measures: ground-truth, hist-bhattacharyya"),
        (("--at", AT, "--season", "own", "--more", f"{AT}*x"), "a time and perhaps its weight"),
    ],
)
def test_what_cannot_be_asked(cli: CommandLine, first_run: Undisturbed, options: tuple[str, ...], told: str) -> None:
    said = cli("search", "--root", first_run.root, "--satellite", "mini", *options)
    assert said.code == 2
    assert told in said.words


def test_examples_and_scores_are_shown(cli: CommandLine, first_run: Undisturbed) -> None:
    options = ("--at", AT, "--more", "2020-03-01T08:00Z*2", "--less", "2020-03-02T12:00Z*.5", "--rerank", "mse")
    said = cli("search", "--root", first_run.root, "--satellite", "mini", "--exclude-hours", 0, *options)
    assert said.code == 0
    assert f"+1 x {SOURCE}/20200302T0200Z/6h20 +2 x {SOURCE}/20200301T0800Z/6h20 -0.5 x" in " ".join(said.out.split())
    assert "mse" in said.out


def commands() -> list[str]:
    """The README's searches under the heading that is about them."""
    section = README.read_text().split("## What can be looked for")[1].split("\n## ")[0]
    joined = section.replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.startswith("wxpipe search")]


def test_the_readme_has_examples() -> None:
    assert len(commands()) >= 5


@pytest.mark.parametrize("command", commands())
def test_an_example_of_the_readme_answers(
    cli: CommandLine, first_run: Undisturbed, fresh: Path, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a small root: its satellite, its folder and its times take the place of the README's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vector.json").write_text(json.dumps([0.5] * 128))
    words = shlex.split(command.partition("   #")[0])[1:]
    places = {"ROOT": str(first_run.root), "coms": "mini", "FOLDER": str(fresh)}
    times = {
        "2011-03-03T08:00Z": AT,
        "2011-03-04T08:00Z": "2020-03-01T08:00Z",
        "2011-03-05T08:00Z": "2020-03-02T12:00Z",
    }
    given = [places.get(word, re.sub(r"2011-03-0\dT08:00Z", lambda found: times[found[0]], word)) for word in words]
    said = cli(*given, "--exclude-hours", 0)
    assert said.code == 0, said.err
    assert "analogs of" in said.out
