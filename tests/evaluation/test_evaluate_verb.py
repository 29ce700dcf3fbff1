"""`wxpipe evaluate`: the table, the JSON, and a page that needs nothing else."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CommandLine
from wxpipe.evaluation.figures import COLUMNS
from wxpipe.evaluation.judge_words import number
from wxpipe.store.root import Root

VOID = {"meta", "img", "br", "use", "path"}


class Reader(HTMLParser):
    """The links, the text and the headings of a page; fails where tags do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.text = ""
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: Path) -> tuple[Reader, str]:
    source = page.read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(source)
    assert reader.open == []
    return reader, source


def check_alone(reader: Reader, source: str) -> None:
    """The page reaches for nothing outside itself."""
    assert all(link.startswith(("#", "data:")) for link in reader.links), reader.links
    assert not re.findall(r"url\((?!#)[^)]*\)|@import|<script|<link|<iframe", source)


def test_json_and_a_page_of_the_same_judgement(cli: CommandLine, root: Root, truth_file: Path, tmp_path: Path) -> None:
    report = tmp_path / "made" / "report"
    said = cli("evaluate", "--root", root.url, "--truth", truth_file, "--clips", 60, "--report", report, "--json")
    assert said.code == 0, said.err
    document: dict[str, Any] = said.document
    assert document["clips"]["judged"] == 60
    assert document["clips"]["of"] > 60
    assert document["gain"]["of"] == "trained"
    assert [path.name for path in report.iterdir()] == ["index.html"]
    reader, source = read(report / "index.html")
    check_alone(reader, source)
    for row in document["rows"].values():
        for column in COLUMNS:
            assert number(row["figures"][column.name]["value"]) in reader.text
    for figure in document["gain"]["figures"].values():
        assert number(figure["value"], signed=True) in reader.text
        assert figure["verdict"] in reader.text
    assert any(link.startswith("data:image/png;base64,") for link in reader.links), "the curve of the training"
    assert source.count("<svg") == 3
    shown = json.loads(reader.text[reader.text.index('{\n "format"') : reader.text.rindex("}") + 1])
    assert shown == document


def test_a_table_says_what_training_gained(cli: CommandLine, root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = cli("evaluate", "--root", root.url, "--satellite", "mini", "--clips", 60)
    assert said.code == 0, said.err
    words = " ".join(said.out.split())
    for expected in ("oracle", "random", "untrained", "pixel L2", "histogram L1", "trained", "gained", "60 of ",
                     "What training gained", "of distance with distance", "-.955"):  # fmt: skip
        assert expected in words
    lines = said.out.splitlines()
    oracle = next(line for line in lines if line.startswith("oracle"))
    assert oracle.split() == ["oracle", *["1.000"] * len(COLUMNS)], "no column is cut off at 80 characters"
    assert "…" not in said.out
    assert cli("evaluate", "--root", root.url, "--clips", 60).out == said.out


def test_an_untrained_model_is_named_so_everywhere(cli: CommandLine, short_root: Root, tmp_path: Path) -> None:
    said = cli("evaluate", "--root", short_root.url, "--split", "all", "--report", tmp_path)
    assert said.code == 0, said.err
    assert "untrained-projection" in said.out
    assert "not trained" in said.out
    reader, source = read(tmp_path / "index.html")
    check_alone(reader, source)
    assert "untrained-projection is not trained: nothing was gained" in reader.text
    assert "How it was trained" not in reader.text


def test_what_cannot_be_judged_is_refused_in_words(
    cli: CommandLine, root: Root, short_root: Root, truth_file: Path, tmp_path: Path
) -> None:
    short = cli("evaluate", "--root", short_root.url)
    assert short.code == 1
    assert "nothing is held out" in short.words
    assert "--split all" in short.words
    assert cli("evaluate", "--root", tmp_path / "none").code == 2
    assert cli("evaluate", "--root", root.url, "--satellite", "gms5").code == 2
    assert cli("evaluate", "--root", root.url, "--split", "later").code == 2
    assert cli("evaluate", "--root", root.url, "--model", "none-0").code == 1
    assert cli("evaluate", "--root", root.url, "--truth", tmp_path / "none.json").code == 1
    lies_there = cli("evaluate", "--root", root.url, "--report", truth_file)
    assert lies_there.code == 2
    assert "is a file" in lies_there.words


@pytest.mark.parametrize(("value", "text"), [
    (None, "–"), (1.0, "1.000"), (0.99976, "0.99976"), (-0.0314, "-0.031"), (0.5, "0.500"), (0.9999999, "0.9999999"),
])  # fmt: skip
def test_only_what_is_perfect_is_written_so(value: float | None, text: str) -> None:
    assert number(value) == text
