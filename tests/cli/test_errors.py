"""Mistakes are answered in plain words, with what is known and what to do, and never with a trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.mini import SOURCE, Archive, Undisturbed
from wxpipe.pipeline.stages import NAMES

AT = "2020-03-01T03:00Z"


def test_no_root(cli: CommandLine, tmp_path: Path) -> None:
    """Every verb that reads one says that there is none, and which verb makes one."""
    at = ("--root", tmp_path / "nothing")
    verbs = (("status",), ("plan",), ("validate",), ("digest",), ("release", "list"), ("sql", "SELECT 1"),
             ("search", "--satellite", "mini", "--at", AT), ("embed",), ("train",), ("pairs", "build"),
             ("release", "build"), ("release", "promote"), ("backfill",),
             ("pairs", "export", tmp_path / "out", "--name", SOURCE))  # fmt: skip
    for verb in verbs:
        said = cli(*verb, *at)
        assert said.code == 2, f"{verb}: {said}"
        assert "is not a wxpipe root" in said.words, verb
        assert "wxpipe backfill" in said.words, verb
        assert "Traceback" not in said.err, verb
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("search", "--satellite", "mini", "--at", "yesterday"), 2, ["yesterday: expected a time such as"]),
        (("search", "--satellite", "goms", "--at", AT), 2, ["goms", SOURCE]),
        (
            ("search", "--satellite", "mini", "--at", "2020-03-09T03:00Z"),
            1,
            ["no clip of mini-t begins at 2020-03-09T03:00:00Z", "the nearest begin at 2020-03-02T"],
        ),
        (
            ("search", "--satellite", "mini", "--at", AT, "--unit", "hour"),
            2,
            ["--unit", "hour", "clip", "frame"],
        ),
        (("search", "--satellite", "mini", "--at", AT, "--episodes", "some"), 2, ["--episodes", "some", "on", "off"]),
        (("search", "--satellite", "mini", "--at", AT, "--where", "moon = 3"), 2, ["moon"]),
        (("plan", "--satellite", "goms"), 2, ["goms", SOURCE]),
        (("plan", "--stage", "polish"), 2, ["polish", ", ".join(NAMES)]),
        (("plan", "--from", "March"), 2, ["--from March: expected a day such as 2011-03-01"]),
        (("plan", "--to", "2020-02-31"), 2, ["--to 2020-02-31: expected a day"]),
        (("sql", "SELECT 1", "--format", "xml"), 2, ["--format", "xml", "csv", "json"]),
        (("sql", "DROP TABLE clips"), 2, ["SELECT"]),
        (("sql", "SELECT * FROM moons"), 2, ["moons"]),
        (("similarity", f"{SOURCE}/20200309T0300Z/6h20", f"{SOURCE}/20200301T0300Z/6h20"), 1, ["2020-03-09T03:00Z"]),
        (("similarity",), 2, ["give two clips"]),
        (("release", "promote", "7"), 1, ["no release 7", "releases: 1"]),
        (("release", "rollback"), 1, ["nothing to go back to"]),
        (("pairs", "export", "somewhere", "--name", "goms-ea"), 1, ["goms-ea"]),
    ],
    ids=lambda value: " ".join(map(str, value))[:60] if isinstance(value, tuple) else None,
)
def test_a_mistake_is_told_in_words(
    arguments: tuple[str, ...], code: int, words: list[str], cli: CommandLine, first_run: Undisturbed, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    said = cli(*arguments, "--root", first_run.root)
    assert said.code == code, said
    assert said.err.startswith(("wxpipe: ", "Usage: "))
    for word in words:
        assert word in said.words
    assert "Traceback" not in said.err
    assert said.out == ""


@pytest.mark.parametrize("arguments", [("backfill", "--stage"), ("nothing",), ("search",), ("plan", "--workers", "2")],
                         ids=" ".join)  # fmt: skip
def test_a_command_that_cannot_be_read_is_a_usage_error(arguments: tuple[str, ...], cli: CommandLine) -> None:
    assert cli(*arguments).code == 2


def test_an_archive_that_is_not_there(cli: CommandLine, two_days: Archive, tmp_path: Path) -> None:
    for verb in (("backfill", "--archive", tmp_path / "typo"), ("scan", tmp_path / "typo")):
        said = cli(*verb, "--root", tmp_path / "root", "--satellites", two_days.site)
        assert said.code in (1, 2), said
        assert "typo" in said.words
        assert "Traceback" not in said.err


def test_an_archive_that_went_away_does_not_empty_the_inventory(
    cli: CommandLine, two_days: Archive, tmp_path: Path
) -> None:
    root, archive = tmp_path / "root", tmp_path / "archive"
    archive.symlink_to(two_days.pictures)
    assert cli("scan", archive, "--root", root, "--satellites", two_days.site).code == 0
    archive.unlink()
    archive.mkdir()
    said = cli("scan", archive, "--root", root, "--satellites", two_days.site)
    assert said.code == 1
    assert "is the archive mounted" in said.words
    assert "Traceback" not in said.err
    assert cli("status", "--root", root).code == 0, "a scan that failed is no reason not to look"


def test_an_unknown_stage_is_told_before_anything_is_made(cli: CommandLine, two_days: Archive, tmp_path: Path) -> None:
    said = cli("backfill", *two_days.options, "--root", tmp_path / "root", "--stage", "polish")
    assert said.code == 2
    assert "polish" in said.words
    assert not (tmp_path / "root").exists()


def test_an_unknown_satellite_is_told_with_those_that_there_are(
    cli: CommandLine, two_days: Archive, tmp_path: Path
) -> None:
    said = cli("backfill", *two_days.options, "--root", tmp_path / "root", "--satellite", "goms", "--direct")
    assert said.code == 2
    assert "goms" in said.words
    assert SOURCE in said.words


def test_a_satellite_definition_that_cannot_be_read(cli: CommandLine, two_days: Archive, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('name = "x"\nmoons = 3\n')
    said = cli("scan", two_days.pictures, "--root", tmp_path / "root", "--satellites", site)
    assert said.code in (1, 2)
    assert "site.toml" in said.words
    assert "moons" in said.words
    assert "Traceback" not in said.err
