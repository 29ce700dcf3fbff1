"""The record of what each stage has done: one small object a partition, written last. Done means readable."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeVar

from wxpipe.errors import NotFoundError, WxpipeError
from wxpipe.store.objects import Objects

Item = TypeVar("Item")
Found = TypeVar("Found")

State = Literal["done", "failed", "running"]
"""``running``: a result that was done is being made again, or that was broken off; it is no longer as recorded."""


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

    def content(self) -> dict[str, object]:
        """The part that names content: equal for two runs that made the same thing."""
        keep = ("stage", "partition", "state", "fingerprint", "output", "counts")
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
            return _parse(self._objects.get(_key(stage, partition)), _key(stage, partition))
        except NotFoundError:
            return None

    def output(self, stage: str, partition: str) -> str:
        """The output digest of a partition that is done, else an empty string."""
        entry = self.get(stage, partition)
        return entry.output if entry is not None and entry.state == "done" else ""

    def put(self, entry: Entry) -> None:
        data = json.dumps(asdict(entry), indent=1, sort_keys=True).encode()
        self._objects.put(_key(entry.stage, entry.partition), data)
        if entry.stage in self._loaded:
            self._loaded[entry.stage][entry.partition] = entry
        self._fetched.pop((entry.stage, entry.partition), None)

    def entries(self, stage: str) -> dict[str, Entry]:
        """All entries of a stage, by partition key; of a stage that was preloaded in part, that part."""
        return dict(self._loaded[stage]) if stage in self._loaded else self._read_all(stage, _every)

    def _read_all(self, stage: str, only: Callable[[str], bool]) -> dict[str, Entry]:
        folder = f"ledger/{stage}"
        keys = sorted(info.key for info in self._objects.walk(folder))
        wanted = [key for key in keys if only(key[len(folder) + 1 : -len(".json")])]
        found = map_batches(lambda key: _parse(self._objects.get(key), key), wanted)
        return {entry.partition: entry for entry in found}

    def stages(self) -> list[str]:
        return self._objects.names("ledger")

    def preload(self, *stages: str, only: Callable[[str], bool] | None = None) -> None:
        """Reads these stages' entries now, and answers from memory until `forget`.

        Args:
            only: tells of a partition's key whether its entry is wanted; the others are as if they were not there.
        """
        for stage in stages:
            if stage not in self._loaded:
                self._loaded[stage] = self._read_all(stage, only or _every)

    def fetch(self, stages: Iterable[str], partitions: Iterable[str]) -> None:
        """Reads these entries now, side by side, and answers from memory for them until `forget`."""
        partitions = list(partitions)
        keys = [(stage, partition) for stage in stages for partition in partitions]
        self._fetched.update(zip(keys, map_batches(lambda key: self._read(*key), keys), strict=True))

    def forget(self) -> None:
        self._loaded.clear()
        self._fetched.clear()


def _every(_: str) -> bool:
    return True


READERS, BATCH = 16, 64
"""Threads that read side by side, each so many objects in one go: a hand-over costs what a read from a disk does."""


def map_batches(work: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found]:
    """What work comes to of each item, in order."""
    if len(items) < 2:
        yield from map(work, items)
        return
    size = max(1, min(BATCH, -(-len(items) // READERS)))
    batches = [items[at : at + size] for at in range(0, len(items), size)]
    with ThreadPoolExecutor(READERS) as pool:
        for found in pool.map(lambda batch: [work(item) for item in batch], batches):
            yield from found


def _key(stage: str, partition: str) -> str:
    return f"ledger/{stage}/{partition}.json"


def _parse(data: bytes, key: str) -> Entry:
    try:
        return Entry(**json.loads(data))
    except (ValueError, TypeError) as error:
        raise WxpipeError(f"{key}: not a ledger entry ({error}); delete it and run the partition again") from error
