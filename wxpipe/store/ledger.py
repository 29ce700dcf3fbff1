"""The record of what each stage has done: one small object a partition, written last. Done means readable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Literal

from wxpipe.errors import NotFoundError, WxpipeError
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
        bytes_written, writes, reads: what it put into the root and how often it asked; see `meter`.
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
    bytes_written: int = 0
    writes: int = 0
    reads: int = 0
    request: int = 0
    attempt: int = 0
    by: str = ""

    def content(self) -> dict[str, object]:
        """The part that names content: equal for two runs that made the same thing."""
        keep = ("stage", "partition", "state", "fingerprint", "output", "counts")
        return {name: value for name, value in asdict(self).items() if name in keep}


class Ledger:
    """Entries of every stage. ``preload`` keeps a stage's entries in memory; a plan asks for thousands."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._loaded: dict[str, dict[str, Entry]] = {}

    def get(self, stage: str, partition: str) -> Entry | None:
        if stage in self._loaded:
            return self._loaded[stage].get(partition)
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

    def entries(self, stage: str) -> dict[str, Entry]:
        """All entries of a stage, by partition key."""
        if stage in self._loaded:
            return dict(self._loaded[stage])
        keys = sorted(info.key for info in self._objects.walk(f"ledger/{stage}"))
        with ThreadPoolExecutor(8) as pool:
            found = pool.map(lambda key: _parse(self._objects.get(key), key), keys)
            return {entry.partition: entry for entry in found}

    def stages(self) -> list[str]:
        return self._objects.names("ledger")

    def preload(self, *stages: str) -> None:
        """Reads these stages' entries now, and answers from memory until `forget`."""
        for stage in stages:
            self._loaded[stage] = self.entries(stage)

    def forget(self) -> None:
        self._loaded.clear()


def _key(stage: str, partition: str) -> str:
    return f"ledger/{stage}/{partition}.json"


def _parse(data: bytes, key: str) -> Entry:
    try:
        return Entry(**json.loads(data))
    except (ValueError, TypeError) as error:
        raise WxpipeError(f"{key}: not a ledger entry ({error}); delete it and run the partition again") from error
