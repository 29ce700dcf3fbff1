"""What was put aside, and why: one object a stage, source and day. Nothing that came is ever just dropped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Literal

from wxpipe.errors import DamagedError, NotFoundError
from wxpipe.store.objects import Objects

DAMAGED = "damaged records"
"""Reason of the record that stands for those of a day that cannot be read."""


@dataclass(frozen=True, order=True)
class Record:
    """One input that is not in the store, or is there with a doubt.

    ``kind`` is ``quarantined`` (unusable), ``suspect`` (stored, doubtful) or ``duplicate`` (a better file of the
    same slot and channel was taken).
    """

    path: str
    reason: str
    expected: str = ""
    found: str = ""
    kind: Literal["quarantined", "suspect", "duplicate"] = "quarantined"
    channel: str = ""
    slot: int = -1
    digest: str = ""


class QuarantineStore:
    """Records by stage, source and day."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def replace(self, stage: str, source: str, day: date, records: Sequence[Record]) -> None:
        """Writes the day's records anew; a day without any has no object."""
        key = f"quarantine/{stage}/{source}/{day}.json"
        if records:
            data = json.dumps([asdict(record) for record in sorted(records)], indent=1, ensure_ascii=False)
            self._objects.put(key, data.encode("utf-8", "surrogatepass"))
        elif self._objects.exists(key):
            self._objects.delete(key)

    def get(self, stage: str, source: str, day: date) -> list[Record]:
        """A day's records.

        Raises:
            DamagedError: they are not as they were written.
        """
        key = f"quarantine/{stage}/{source}/{day}.json"
        try:
            return _parse(key, self._objects.get(key))
        except NotFoundError:
            return []

    def all(self, source: str | None = None) -> Iterator[tuple[str, str, date, Record]]:
        """(stage, source, day, record) of everything that was put aside, in order.

        Records that are damaged stand as one that says so: they are not passed over in silence.
        """
        keys = sorted(info.key for info in self._objects.walk("quarantine"))
        wanted = [key for key in keys if source is None or key.split("/")[2] == source]
        for key, data in zip(wanted, self._objects.get_many(wanted), strict=True):
            _, stage, name, file = key.split("/")
            for record in _read_or_tell(key, data or b"[]"):
                yield stage, name, date.fromisoformat(file.removesuffix(".json")), record


def _read_or_tell(key: str, data: bytes) -> list[Record]:
    try:
        return _parse(key, data)
    except DamagedError as error:
        return [Record(key, DAMAGED, "the records of a day", str(error))]


def _parse(key: str, data: bytes) -> list[Record]:
    try:
        return [Record(**item) for item in json.loads(data)]
    except (ValueError, TypeError) as error:
        raise DamagedError(f"{key}: not a list of records ({error}); see `wxpipe validate`") from error
