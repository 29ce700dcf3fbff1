"""`scan --report` writes a page and nothing else; with a root that was asked for, it scans into that one too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from wxpipe.satellites.catalog import shipped_satellites
from wxpipe.store.root import Root


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two hours of COMS by name, a slot missing, a double, and two files that are none of ours."""
    folder = tmp_path / "archive"
    for hour, minute in [(h, m) for h in (6, 7) for m in (0, 15, 30, 45) if (h, m) != (7, 15)]:
        for channel in shipped_satellites()["coms"].channels:
            path = folder / "201103" / "03" / f"coms_mi_le1b_{channel}_ea040ps_20110303{hour:02}{minute:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"never opened")
    for name in (
        "notes.txt",
        "coms_mi_le1b_ir01_ea040ps_201103030600.png",
        "coms_mi_le1b_ir01_cn010lc_201103030600.png",
    ):
        (folder / name).write_bytes(b"never opened")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_report_alone_writes_nothing_but_its_page(
    cli: CommandLine, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    before = files(tmp_path)
    said = cli("scan", archive, "--report", tmp_path / "a" / "report")
    assert said.code == 0, said
    assert said.out.strip() == str(tmp_path / "a" / "report" / "index.html")
    after = files(tmp_path)
    assert set(after) - set(before) == {"a/report/index.html"}
    assert {name: after[name] for name in before} == before
    for words in ("coms-ea", "2011-03-03", "88 %", "1 double at 1 slot", "1 unparsed, e.g. notes.txt", "1 unconfigured",
                  "area 'cn' of coms is not configured", "a store of it: about"):  # fmt: skip
        assert words in said.words, words


def test_a_root_of_the_environment_is_not_written_by_a_report(
    cli: CommandLine, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WXPIPE_ROOT", str(tmp_path / "root"))
    assert cli("scan", archive, "--report", tmp_path / "report").code == 0
    assert not (tmp_path / "root").exists()


def test_a_report_with_a_root_scans_into_it_and_says_the_same(cli: CommandLine, archive: Path, tmp_path: Path) -> None:
    alone = cli("scan", archive, "--report", tmp_path / "alone")
    both = cli("scan", archive, "--root", tmp_path / "root", "--report", tmp_path / "both")
    assert (alone.code, both.code) == (0, 0)
    assert [source.id for source in Root(str(tmp_path / "root")).sources] == ["coms-ea"]
    assert "31 files listed: 29 pictures recorded" in both.words
    assert alone.words in both.words
    pages = [(tmp_path / name / "index.html").read_text().splitlines() for name in ("alone", "both")]
    assert [line for line in pages[0] if "listed 20" not in line] == [
        line for line in pages[1] if "listed 20" not in line
    ]


def test_a_second_report_replaces_the_first(cli: CommandLine, archive: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert cli("scan", archive, "--report", tmp_path / "report").code == 0
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["index.html"]


def test_an_archive_without_a_picture_has_a_report_too(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "notes.txt").write_text("nothing")
    said = cli("scan", tmp_path / "archive", "--report", tmp_path / "report")
    assert said.code == 0
    assert "1 unparsed, e.g. notes.txt" in said.words


def test_mistakes_are_told_in_words(cli: CommandLine, archive: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("taken")
    for report, words in (
        (archive / "report", "lies within the archive"),
        (tmp_path / "file", "is a file; expected a folder"),
        ("s3://bucket/report", "expected a folder of this machine"),
    ):
        said = cli("scan", archive, "--report", report)
        assert said.code == 2, said
        assert words in said.words
    nothing = cli("scan", tmp_path / "nothing", "--report", tmp_path / "report")
    assert nothing.code == 1
    assert "lists no files" in nothing.words
    assert not (tmp_path / "report").exists()
