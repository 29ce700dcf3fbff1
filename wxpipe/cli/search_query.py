"""What `wxpipe search` is to look for, by the words of its options: a time, a folder of fresh pictures, or a vector."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wxpipe.errors import UsageError
from wxpipe.vectors.times import parse_time

if TYPE_CHECKING:
    from rich.console import Console

    from wxpipe.store.root import Root
    from wxpipe.vectors.fresh import Fresh
    from wxpipe.vectors.fresh_pictures import Checked
    from wxpipe.vectors.tables import Unit

LARGEST_VECTOR = 1 << 20
"""Bytes of JSON."""


@dataclass(frozen=True)
class Asked:
    """One of the three is there, as `SearchRequest` wants it."""

    at: datetime | None = None
    like: Fresh | None = None
    vector: list[float] | None = None

    @property
    def checked(self) -> Checked:
        assert self.like is not None
        assert self.like.query.pictures is not None
        return self.like.query.pictures.checked

    def own_day(self) -> str:
        """The query's day of the year, ``07-15``.

        Raises:
            UsageError: it has no time.
        """
        moment = self.at if self.like is None else self.like.query.start
        if moment is None:
            raise UsageError("--season own: the query has no time; give a day, e.g. 07-15")
        return f"{moment:%m-%d}"


def asked_for(root: Root, satellite: str, unit: Unit, at: str, like: Path | None, vector: str) -> Asked:
    """Reads what is asked for.

    Raises:
        UsageError: nothing, or more than one thing is asked for, or the vector is none.
        NotFoundError: the folder holds no clip (frame), or the release has nothing of the source.
    """
    if vector:
        if at or like is not None:
            raise UsageError("--vector is the query itself; leave --at and --like out")
        return Asked(vector=read_vector(vector))
    if like is not None:
        from wxpipe.vectors.fresh import read_fresh

        moment = parse_time(at) if at and at != "latest" else None
        return Asked(like=read_fresh(root, satellite, like, unit, moment))
    if not at:
        raise UsageError("say what to look for: --at TIME, --at latest, --like FOLDER or --vector FILE")
    if at == "latest":
        from wxpipe.vectors.search import latest

        return Asked(latest(root, satellite, unit))
    return Asked(parse_time(at))


def read_vector(file: str) -> list[float]:
    """A JSON list of numbers from a file; ``-`` is standard input.

    Raises:
        UsageError: it cannot be read, or is something else.
    """
    name = "standard input" if file == "-" else file
    try:
        if file == "-":
            data = sys.stdin.buffer.read(LARGEST_VECTOR + 1)
        else:
            with Path(file).open("rb") as stream:
                data = stream.read(LARGEST_VECTOR + 1)
    except OSError as error:
        raise UsageError(f"--vector {file}: cannot be read: {error.strerror}") from error
    if len(data) > LARGEST_VECTOR:
        raise UsageError(f"--vector {file}: {name} has more than {LARGEST_VECTOR:,} bytes; a vector is one JSON list")
    try:
        found: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--vector {file}: {name} is no JSON ({error}); expected a list of numbers") from error
    if not isinstance(found, list) or not all(type(number) in (int, float) for number in found):
        raise UsageError(f"--vector {file}: {name} is no list of numbers, e.g. [0.25, -1.5, ...]")
    try:
        return [float(number) for number in found]
    except OverflowError as error:
        raise UsageError(f"--vector {file}: {name} has a number that is too large") from error


def show_checked(console: Console, checked: Checked) -> None:
    """What became of the files of a folder."""
    said = {"refused": checked.of("quarantined"), "doubtful": checked.of("suspect"), "double": checked.of("duplicate")}
    counts = [f"{len({one.path for one in records})} {name}" for name, records in said.items() if records]
    counts += [f"{count} of {source}" for source, count in sorted(checked.others.items())]
    counts += [f"{checked.unparsed} without an archive name"] if checked.unparsed else []
    console.print(
        f"pictures: {checked.pictures} sound in {checked.folder}{', '.join(['', *counts])}",
        highlight=False,
        markup=False,
    )
    if checked.note:
        console.print(f"  {checked.note}", style="yellow", highlight=False, markup=False)
    for name, records in said.items():
        for one in records if name != "double" else []:
            style = "red" if name == "refused" else "yellow"
            console.print(
                f"  {name}: {one.path}: {one.reason}; expected {one.expected}, found {one.found}",
                style=style, highlight=False, markup=False, soft_wrap=True,
            )  # fmt: skip
