"""Which of the files of one slot and channel is taken, and what is said of the others; bytes are read here, too.

What a file shows, `picture` tells, and what is done with the one that is taken, whoever asks: ingest, or `fresh`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from wxpipe.archive.comparison import Comparable, Comparison
from wxpipe.archive.inventory import RawFile
from wxpipe.errors import NotFoundError, Quarantine
from wxpipe.store.objects import Objects
from wxpipe.store.quarantine import Record

GONE, UNREADABLE = "gone", "unreadable"
"""Reasons that lie not in a file but in the moment: `scan` looks whether they hold still."""

Picture = TypeVar("Picture", bound=Comparable)


@dataclass(frozen=True)
class Choice(Generic[Picture]):
    """Of the files of one slot and channel: the one to take, the other usable ones, and those that are not."""

    best: tuple[RawFile, Picture] | None
    others: list[tuple[RawFile, Picture]]
    faults: list[tuple[RawFile, Quarantine]]


def choose(
    files: Iterable[RawFile], examine: Callable[[RawFile, tuple[RawFile, Picture] | None], Picture]
) -> Choice[Picture]:
    """Takes the first file without a doubt, else the first that is usable.

    Args:
        files: in the order in which they are tried, as `by_size` gives them.
        examine: a file and the best so far to the file's picture; raises Quarantine where it is unusable.
    """
    best: tuple[RawFile, Picture] | None = None
    others: list[tuple[RawFile, Picture]] = []
    faults: list[tuple[RawFile, Quarantine]] = []
    for file in files:
        try:
            found = (file, examine(file, best))
        except Quarantine as fault:
            faults.append((file, fault))
            continue
        if best is not None and best[1].doubts and not found[1].doubts:
            best, found = found, best
        if best is None:
            best = found
        else:
            others.append(found)
    return Choice(best, others, faults)


def by_size(files: Iterable[RawFile]) -> list[RawFile]:
    """Those that are there, in the order in which they are tried: the largest first."""
    return sorted((file for file in files if not file.vanished), key=lambda f: (-f.size, f.path))


def read_raw(archive: Objects, file: RawFile) -> bytes:
    """A raw file's bytes; one that may not be read, or went away since it was listed, is put aside like a damaged one.

    Raises:
        Quarantine: `GONE` or `UNREADABLE`.
    """
    try:
        return archive.get(file.path)
    except NotFoundError as error:
        raise Quarantine(file.path, GONE, "the file that the scan listed", "nothing") from error
    except PermissionError as error:
        raise Quarantine(file.path, UNREADABLE, "a file that may be read", "permission denied") from error
    except OSError as error:
        raise Quarantine(file.path, UNREADABLE, "a file that can be read", str(error.strerror)) from error


def require_new(compared: Comparison, file: RawFile, channel: int, picture: Comparable) -> None:
    """A picture is none of those that its channel had before.

    Raises:
        Quarantine: ``stale copy``.
    """
    if copied := compared.copied(file.slot, channel, picture):
        raise Quarantine(file.path, "stale copy", "a new picture", copied)


def duplicate(other: tuple[RawFile, Picture], taken: tuple[RawFile, Picture], digest: str) -> Record:
    """What is said of another usable file of a slot that has a picture.

    Args:
        digest: of its bytes.
    """
    (file, picture), (best_file, best) = other, taken
    doubtful = bool(picture.doubts) and not best.doubts
    why = f"doubtful: {picture.doubts[0].reason}" if doubtful else "not larger than the file that was taken"
    shows = "the same" if picture.weather == best.weather else f"other pixels than {best_file.path}"
    found = f"{file.size} bytes, {why}; it shows {shows}"
    return Record(file.path, "duplicate", "one file a slot", found, kind="duplicate", digest=digest)
