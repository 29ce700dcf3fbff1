"""Triples as the published tab-separated files: ``train.txt``, ``valid.txt`` and ``test.txt``, in and out.

A line is ``x y z sim(x, y) sim(x, z)``. The published clips are bare numbers without dates: they are kept as opaque
names, which nothing here can look up; ``video2image.txt``, one line a clip, says which frame numbers each one had.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from wxpipe.errors import RefusedError, UsageError
from wxpipe.similarity.pairs import SCHEMA, read_triples
from wxpipe.similarity.splits import SPLITS
from wxpipe.store.root import Root
from wxpipe.store.tables import put_table

CLIP_SCHEMA = pa.schema([("clip", pa.string()), ("frames", pa.list_(pa.int32()))])
COLUMNS = ("x", "y", "z", "sim_xy", "sim_xz")


@dataclass(frozen=True)
class Imported:
    """What was taken in, and what a person should know of it."""

    triples: dict[str, int]
    clips: int
    warnings: tuple[str, ...]


def import_triples(root: Root, name: str, folder: Path) -> Imported:
    """Takes a folder of published files into the root, as ``pairs/<name>``, frozen.

    Raises:
        UsageError: a file is missing, or a line is not five fields with similarities of 0..1; names file and line.
        RefusedError: the root has pairs of that name, or the name is a source's, whose pairs are the pipeline's.
    """
    _check_name(root, name)
    rows = {split: _read_split(folder / f"{split}.txt") for split in SPLITS}
    table = pa.Table.from_pylist([{**row, "split": split} for split in SPLITS for row in rows[split]], SCHEMA)
    listing = folder / "video2image.txt"
    clips = _read_clips(listing) if listing.exists() else CLIP_SCHEMA.empty_table()
    put_table(root.objects, f"pairs/{name}/clips.parquet", clips)
    put_table(root.objects, f"pairs/{name}/triples.parquet", table)
    warnings = [
        f"{a}.txt and {b}.txt hold the same triples: what is learned from one is no test by the other"
        for n, a in enumerate(SPLITS)
        for b in SPLITS[n + 1 :]
        if rows[a] and rows[a] == rows[b]
    ]
    return Imported({split: len(rows[split]) for split in SPLITS}, len(clips), tuple(warnings))


def export_triples(root: Root, name: str, folder: Path) -> dict[str, int]:
    """Writes a root's triples as published files; returns how many of each split.

    Raises:
        NotFoundError: there are no pairs of that name.
    """
    rows = read_triples(root, name).to_pylist()
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        lines = ["\t".join(str(row[column]) for column in COLUMNS) for row in rows if row["split"] == split]
        (folder / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines))
    return {split: sum(row["split"] == split for row in rows) for split in SPLITS}


def _check_name(root: Root, name: str) -> None:
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name) is None:
        raise UsageError(f"pairs {name!r}: expected a name of small letters, digits, - and _, e.g. published-2013")
    if name in {source.id for source in root.sources}:
        raise RefusedError(f"pairs {name} are those that the pipeline draws of source {name}; choose another name")
    if root.objects.exists(f"pairs/{name}/triples.parquet"):
        raise RefusedError(f"{root.url} has pairs named {name} already, and pairs are frozen; choose another name")


def _read_split(file: Path) -> list[dict[str, Any]]:
    return [_triple(file, number, line) for number, line in _lines(file)]


def _triple(file: Path, number: int, line: str) -> dict[str, Any]:
    fields = line.split("\t")
    try:
        x, y, z, first, second = fields
        row = {"x": x, "y": y, "z": z, "sim_xy": float(first), "sim_xz": float(second)}
    except ValueError as error:
        raise UsageError(
            f"{file}, line {number}: expected clip, clip, clip, similarity, similarity between tabs, found {line!r}"
        ) from error
    if not all(0 <= row[column] <= 1 for column in ("sim_xy", "sim_xz")):  # type: ignore[operator]
        raise UsageError(f"{file}, line {number}: expected similarities of 0 to 1, found {first} and {second}")
    return row


def _read_clips(file: Path) -> pa.Table:
    rows = []
    for number, line in _lines(file):
        try:
            rows.append({"clip": str(number), "frames": [int(field) for field in line.split(",")]})
        except ValueError as error:
            raise UsageError(f"{file}, line {number}: expected frame numbers between commas, found {line!r}") from error
    return pa.Table.from_pylist(rows, CLIP_SCHEMA)


def _lines(file: Path) -> list[tuple[int, str]]:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: cannot be read as text ({error}); expected a published file of triples") from error
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
