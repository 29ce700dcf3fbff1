"""The record of what each stage has done: one small object a partition, written last. Done means readable.

An entry carries a checksum of itself. One that is damaged counts as failed, so that its partition is due again and
the rest of the root goes on; `read` says what is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from google_crc32c import value as crc32c

from wxpipe.errors import DamagedError, NotFoundError
from wxpipe.store.objects import Objects

State = Literal["done", "failed", "running"]
"""``running``: is being made, or that was broken off; what was recorded before no longer holds."""


@dataclass(frozen=True)
class Entry:
    """What one stage did with one partition.

    Attributes:
        fingerprint: of everything the result depends on, at the time of the run.
        output: digest of what was made; the fingerprints of later stages are made of it.
        inputs: digest of the raw content that was read, where a stage can tell it; else empty.
        seconds: of one core, for a stage whose partition is one thread's work.
        processor: seconds that the process computed meanwhile; the rest it waited for disks, networks and others.
        bytes_written, writes, reads: what it put into the root and how often it asked; see `meter`.
        parts: short digests of what the fingerprint is made of, by name; none before version 2 of the root's format.
        request: number of the newest request that this was made for; 0 if nobody asked for it anew.
        attempt: how many were begun at this partition; ``by``: who made, or makes, this one. See `attempts`.
    """

    stage: str
    partition: str
    state: State
    fingerprint: str
    output: str = ""
    inputs: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    epoch: int = 0
    finished: str = ""
    seconds: float = 0.0
    processor: float = 0.0
    bytes_written: int = 0
    writes: int = 0
    reads: int = 0
    request: int = 0
    parts: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 0
    by: str = ""

    def content(self) -> dict[str, object]:
        """The part that names content: equal for two runs that made the same thing.

        A stage that tells the digest of its raw content is named by that: its fingerprint knows files by their
        times of writing, or by ETags, which differ between copies of one archive.
        """
        origin = "inputs" if self.inputs else "fingerprint"
        keep = ("stage", "partition", "state", origin, "output", "counts")
        return {name: value for name, value in asdict(self).items() if name in keep}


class Ledger:
    """Entries of every stage. ``preload`` keeps a stage's entries in memory; a plan asks for thousands."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._loaded: dict[str, dict[str, Entry]] = {}
        self._fetched: dict[tuple[str, str], Entry | None] = {}

    def get(self, stage: str, partition: str) -> Entry | None:
        if stage in self._loaded:
            return self._loaded[stage].get(partition)
        if (stage, partition) in self._fetched:
            return self._fetched[stage, partition]
        return self._read(stage, partition)

    def _read(self, stage: str, partition: str) -> Entry | None:
        try:
            return _read_or_fail(self._objects.get(_key(stage, partition)), stage, partition)
        except NotFoundError:
            return None

    def read(self, stage: str, partition: str) -> Entry:
        """An entry as it lies there now.

        Raises:
            NotFoundError: there is none.
            DamagedError: it is not as it was written.
        """
        return _parse(self._objects.get(_key(stage, partition)), stage, partition)

    def output(self, stage: str, partition: str) -> str:
        """The output digest of a partition that is done, else an empty string."""
        entry = self.get(stage, partition)
        return entry.output if entry is not None and entry.state == "done" else ""

    def put(self, entry: Entry) -> None:
        self._objects.put(_key(entry.stage, entry.partition), _document(entry))
        if entry.stage in self._loaded:
            self._loaded[entry.stage][entry.partition] = entry
        self._fetched.pop((entry.stage, entry.partition), None)

    def entries(self, stage: str) -> dict[str, Entry]:
        """All entries of a stage, by partition key; of a stage that was preloaded in part, that part."""
        return dict(self._loaded[stage]) if stage in self._loaded else self._read_all(stage, _every)

    def _read_all(self, stage: str, only: Callable[[str], bool]) -> dict[str, Entry]:
        wanted = [partition for partition in self.keys(stage) if only(partition)]
        found = self._objects.get_many(_key(stage, partition) for partition in wanted)
        entries = (_read_or_fail(data, stage, p) for p, data in zip(wanted, found, strict=True) if data is not None)
        return {entry.partition: entry for entry in entries}

    def keys(self, stage: str) -> list[str]:
        """The partitions that have an entry, in order."""
        start = len(f"ledger/{stage}/")
        return sorted(info.key[start:].removesuffix(".json") for info in self._objects.walk(f"ledger/{stage}"))

    def has(self, stage: str, partition: str) -> bool:
        """Whether a partition has an entry, sound or not."""
        return self._objects.exists(_key(stage, partition))

    def stages(self) -> list[str]:
        return self._objects.names("ledger")

    def preload(self, *stages: str) -> None:
        """Reads these stages' entries now, and answers from memory until `forget`."""
        for stage in stages:
            self._loaded[stage] = self.entries(stage)

    @contextmanager
    def holding(self, *stages: str, only: Callable[[str], bool] | None = None) -> Iterator[None]:
        """Reads these stages' entries now, and answers from memory while the block lasts; blocks may lie in others.

        Args:
            only: tells of a partition's key whether its entry is wanted; the others are as if they were not there.
        """
        new = [stage for stage in dict.fromkeys(stages) if stage not in self._loaded]
        for stage in new:
            self._loaded[stage] = self._read_all(stage, only or _every)
        try:
            yield
        finally:
            for stage in new:
                self._loaded.pop(stage, None)

    def fetch(self, stages: Iterable[str], partitions: Iterable[str]) -> None:
        """Reads these entries now, side by side, and answers from memory for them until `forget`."""
        partitions = list(partitions)
        keys = [(stage, partition) for stage in stages for partition in partitions]
        for key, data in zip(keys, self._objects.get_many(_key(*key) for key in keys), strict=True):
            self._fetched[key] = None if data is None else _read_or_fail(data, *key)

    def forget(self) -> None:
        self._loaded.clear()
        self._fetched.clear()


def _every(_: str) -> bool:
    return True


def _key(stage: str, partition: str) -> str:
    return f"ledger/{stage}/{partition}.json"


def _read_or_fail(data: bytes, stage: str, partition: str) -> Entry:
    """An entry; one that is damaged as a failure, which the plan holds open."""
    try:
        return _parse(data, stage, partition)
    except DamagedError as error:
        return Entry(stage, partition, "failed", "", error=str(error))


def _document(entry: Entry) -> bytes:
    fields = asdict(entry)
    return json.dumps({**fields, "checksum": _checksum(fields)}, indent=1, sort_keys=True).encode()


def _checksum(fields: Mapping[str, Any]) -> str:
    """crc32c of an entry's fields as canonical JSON."""
    return f"{crc32c(json.dumps(fields, sort_keys=True, separators=(',', ':')).encode()):08x}"


def _parse(data: bytes, stage: str, partition: str) -> Entry:
    try:
        fields = json.loads(data)
        told = fields.pop("checksum", None)  # entries of before had none
        if told not in (None, _checksum(fields)):
            raise ValueError(f"its checksum says {told}, its content {_checksum(fields)}")
        entry = Entry(**fields)
        if (entry.stage, entry.partition) != (stage, partition) or entry.state not in get_args(State):
            raise ValueError(f"it tells of {entry.stage} {entry.partition}, {entry.state}")
    except (ValueError, TypeError, AttributeError) as error:
        key = _key(stage, partition)
        raise DamagedError(f"{key}: not a ledger entry ({error}); run `wxpipe backfill` to make it again") from error
    return entry
