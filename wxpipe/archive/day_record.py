"""What every file of a day became, as ingest found it: one Parquet object a day, written before the ledger says done.

It holds what a file is by itself, whatever the files around it are: what it took to read and check it need not be done
again while it stays the same. What only shows among several pictures is never taken from here. Losing a record loses
no result: the next ingest of the day reads every file again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from typing import Literal

import pyarrow as pa

from wxpipe.archive.inventory import RawFile
from wxpipe.archive.quality import Doubt
from wxpipe.store.checked_rows import get_checked_rows, put_checked_rows
from wxpipe.store.root import Root

Became = Literal["stored", "carried over", "quarantined", "duplicate", "unread", "compared"]
"""``compared``: of the day before, only looked at; ``unread``: it vanished, or could not be read now."""

_DOUBT = pa.struct([("reason", pa.string()), ("expected", pa.string()), ("found", pa.string())])
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("version", pa.string()),
        ("time", pa.timestamp("us", "UTC")),
        ("slot", pa.int32()),
        ("channel", pa.string()),
        ("content", pa.string()),  # sha256 of its bytes; empty where they were never read
        ("became", pa.string()),
        ("basis", pa.string()),  # digest of what reading depends on: code's contract, satellite, layers
        ("fault", _DOUBT),  # of a file that is unusable by itself
        ("doubts", pa.list_(_DOUBT)),
        ("layer", pa.int32()),
        ("rows", pa.int32()),
        ("dark", pa.bool_()),
        ("weather", pa.binary()),  # sha256 below the title
        ("picture", pa.binary()),  # sha256
        ("reduced", pa.binary()),  # sha256
        ("picture_chunk", pa.int64()),  # crc32c of the encoded chunk; -1 where it is not the one stored
        ("reduced_chunk", pa.int64()),
        ("pixels", pa.binary()),  # the reduced picture, of a file of the day before
    ]
)


@dataclass(frozen=True)
class Sight:
    """What is recorded of a sound picture; see `picture.SoundPicture`.

    Attributes:
        rows: its height.
        weather, picture, reduced: SHA-256 of the rows below the title, of all, of the reduced picture.
        picture_chunk, reduced_chunk: crc32c of its encoded chunks where it is the one that is stored, else -1.
        pixels: the reduced picture, of a file of the day before alone; else empty.
    """

    layer: int
    rows: int
    dark: bool
    doubts: tuple[Doubt, ...]
    weather: bytes
    picture: bytes
    reduced: bytes
    picture_chunk: int = -1
    reduced_chunk: int = -1
    pixels: bytes = b""

    @property
    def identity(self) -> str:
        """Of what is counted: pixels, height, and the layer that they were filled under."""
        return f"{self.picture.hex()}-{self.rows}-{self.layer}"


@dataclass(frozen=True)
class FileRecord:
    """What one file became.

    Attributes:
        fault: why it is unusable by itself.
        sight: what it shows, where it is sound. Neither is there of a file that was not looked at.
    """

    path: str
    size: int
    version: str
    time: datetime
    slot: int
    channel: str
    content: str
    became: Became
    basis: str
    fault: Doubt | None = None
    sight: Sight | None = None

    @classmethod
    def of(
        cls, file: RawFile, content: str, basis: str, fault: Doubt | None = None, sight: Sight | None = None
    ) -> FileRecord:
        became: Became = "unread" if not content else "duplicate"
        return cls(
            file.path, file.size, file.version, file.time, file.slot, file.channel, content, became, basis, fault, sight
        )  # fmt: skip

    @property
    def read(self) -> bool:
        return self.fault is not None or self.sight is not None

    def is_named_as(self, file: RawFile) -> bool:
        """Whether a file's name says what it said then: another grammar may read another time in it."""
        names = (self.path, self.time, self.slot, self.channel)
        return names == (file.path, file.time, file.slot, file.channel)

    def is_version_of(self, file: RawFile) -> bool:
        return self.is_named_as(file) and (self.size, self.version) == (file.size, file.version)


@dataclass(frozen=True)
class DayRecord:
    """The files of a day, and those of the last slot before it, by path.

    Attributes:
        output: what the ledger says of the ingest that wrote this: a record of another is not of what is stored.
    """

    output: str = ""
    files: Mapping[str, FileRecord] = field(default_factory=dict)

    def stored(self) -> dict[tuple[int, str], FileRecord]:
        """The file of each stored picture, by slot and channel."""
        there = ("stored", "carried over")
        return {(row.slot, row.channel): row for row in self.files.values() if row.became in there}


def read_record(root: Root, source: str, day: date) -> DayRecord:
    """The record of a day; an empty one where there is none that can be believed."""
    found = get_checked_rows(root.objects, _key(source, day), SCHEMA)
    if found is None:
        return DayRecord()
    rows, facts = found
    return DayRecord(facts.get("output", ""), {row["path"]: _parse(row) for row in rows})


def write_record(root: Root, source: str, day: date, output: str, files: Iterable[FileRecord]) -> None:
    rows = [_row(file) for file in sorted(files, key=lambda file: file.path)]
    put_checked_rows(root.objects, _key(source, day), rows, SCHEMA, output=output)


def _key(source: str, day: date) -> str:
    return f"ingested/{source}/{day}.parquet"


def _row(file: FileRecord) -> dict[str, object]:
    whole = asdict(file)
    sight = whole.pop("sight") or {}
    return {**whole, **sight}


def _parse(row: dict[str, object]) -> FileRecord:
    fields = {name: row[name] for name in Sight.__dataclass_fields__}
    doubts = tuple(Doubt(**doubt) for doubt in row["doubts"] or ())  # type: ignore[attr-defined]
    sight = Sight(**{**fields, "doubts": doubts}) if row["picture"] is not None else None  # type: ignore[arg-type]
    fault = Doubt(**row["fault"]) if row["fault"] is not None else None  # type: ignore[arg-type]
    own = {name: row[name] for name in FileRecord.__dataclass_fields__ if name not in ("fault", "sight", "time")}
    time = row["time"].astimezone(UTC)  # type: ignore[attr-defined]
    return FileRecord(**own, time=time, fault=fault, sight=sight)  # type: ignore[arg-type]
