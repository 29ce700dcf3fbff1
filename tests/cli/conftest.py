"""Fixtures of the verbs' tests: the command line in this process, where nothing needs another."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from wxpipe.cli import main


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)

    @property
    def words(self) -> str:
        """Standard error without its line breaks."""
        return " ".join(self.err.split())


@dataclass(frozen=True)
class CommandLine:
    """`wxpipe` in this process."""

    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    def __call__(self, *arguments: object) -> Said:
        self.capture.readouterr()
        self.patch.setattr(sys, "argv", ["wxpipe", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = self.capture.readouterr()
        return Said(code, said.out, said.err)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """(arguments) to how the command ended and what it said; no setting of whoever runs the tests reaches it."""
    for name in ("WXPIPE_ROOT", "WXPIPE_SATELLITES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return CommandLine(capsys, monkeypatch)
