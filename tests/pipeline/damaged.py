"""A root of a trial, the ways to damage it, and the looks at it that the tests of validation share."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from wxpipe.cli.app import app
from wxpipe.pipeline.run import Workers
from wxpipe.pipeline.validate import Validation, Wanted, validate
from wxpipe.store.root import Root

SOURCE, DAY = "trial-ea", "trial-ea/2020-05-02"
FRAMES, CDFS = f"frames/{SOURCE}.zarr", f"histograms/{SOURCE}.zarr/24x20-exact"
SHARD = 122
"""Of 2 May: days since 1 January 2020."""
INGEST, HISTOGRAMS = f"ingest {DAY}", f"histograms {DAY}"


def look(root: Path, wanted: Wanted | None = None) -> Validation:
    return validate(Root(str(root)), wanted or Wanted(), Workers())


def cli(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["validate", *map(str, words)])


def flip(path: Path, share: float = 0.5) -> None:
    """Turns one bit of a file over, at a share of its length."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 16
    path.write_bytes(data)


def cut(path: Path) -> None:
    """Leaves two thirds of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def gone(path: Path) -> None:
    path.unlink()


def early(path: Path) -> None:
    """A bit of the first bytes: of a shard, within its first chunk."""
    flip(path, 0.1)


def late(path: Path) -> None:
    """A bit near the end: of a shard, within its index."""
    flip(path, 1 - 100 / path.stat().st_size)


def digit(path: Path) -> None:
    """Another count, in an entry that can still be read."""
    path.write_bytes(path.read_bytes().replace(b'"pictures_good": 20', b'"pictures_good": 21'))
