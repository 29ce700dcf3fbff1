"""Whole objects under one URL, local or ``s3://``: get, put, put-if-absent, list, delete, and nothing else.

Races are settled by put-if-absent, which both kinds of store have. A local put is durable when it returns: data,
then the rename, then the folder are synced. Buckets are in `s3`. What the objects mean is the business of the modules
above.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import os
import secrets
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from wxpipe.errors import NotFoundError, StoreError, UsageError, WxpipeError
from wxpipe.store.meter import count_read, count_write
from wxpipe.store.writepoints import write_point

BLOCK = 1 << 20
PARTIAL = ".partial"
"""Ending of a file that is being written; a killed writer leaves it behind, and no reader looks at it."""

BATCH = 64
"""Objects that a thread of `get_many` reads in one go: a hand-over costs what a read from a disk does."""


_ROOM = "make room, and run the same command again: it goes on from there"
_LEAVE = "let this user write there, and run the same command again: it goes on from there"
UNWRITABLE = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), and run the same command again: it goes on from there",
    errno.EROFS: "mount it for writing, and run the same command again: it goes on from there",
    errno.EACCES: _LEAVE,
    errno.EPERM: _LEAVE,
}
"""What a person has to do where a file cannot be written, by the system's error."""


@dataclass(frozen=True)
class ObjectInfo:
    """One listed object; ``version`` is a modification time (ns) or an ETag, whichever the store has."""

    key: str
    size: int
    version: str


@dataclass(frozen=True)
class Partial:
    """A file that a writer began, or left behind.

    Attributes:
        process: of the writer, on whichever host that was; 0 where the name does not tell.
        age: seconds since it was last written to, by the clock of the file system that holds it.
    """

    key: str
    size: int
    process: int
    age: float


class Objects(ABC):
    """A flat space of objects, keyed by relative paths with forward slashes."""

    url: str
    readers = 16
    """How many objects `get_many` asks for at once."""
    far = False
    """Whether answers take their time to come, however small they are."""

    def get(self, key: str) -> bytes:
        """The whole object.

        Raises:
            NotFoundError: there is none.
        """
        count_read()
        return self._get(key)

    def get_range(self, key: str, start: int, stop: int | None = None) -> bytes:
        """Bytes [start, stop) of an object, to its end where no stop is given; then a negative start counts from there.

        What an object does not have is not there: fewer bytes come.

        Raises:
            NotFoundError: there is none.
        """
        count_read()
        return self._get_range(key, start, stop)

    def holds(self, key: str, data: bytes) -> bool:
        """Whether an object is there and is exactly these bytes."""
        count_read()
        try:
            return self._holds(key, data)
        except NotFoundError:
            return False

    def _holds(self, key: str, data: bytes) -> bool:
        return self._get(key) == data

    def get_many(self, keys: Iterable[str]) -> Iterator[bytes | None]:
        """Small objects in the order of their keys, several asked for at once; None where there is none."""

        def read(key: str) -> bytes | None:
            try:
                return self._get(key)
            except NotFoundError:
                return None

        wanted = list(keys)
        count_read(len(wanted))
        if len(wanted) < 2:
            yield from map(read, wanted)
            return
        size = max(1, min(BATCH, -(-len(wanted) // self.readers)))
        batches = [wanted[at : at + size] for at in range(0, len(wanted), size)]
        with ThreadPoolExecutor(self.readers) as pool:
            for found in pool.map(lambda batch: [read(key) for key in batch], batches):
                yield from found

    @abstractmethod
    def _get(self, key: str) -> bytes: ...

    @abstractmethod
    def _get_range(self, key: str, start: int, stop: int | None) -> bytes: ...

    @abstractmethod
    def _put(self, key: str, data: bytes) -> None: ...

    @abstractmethod
    def _put_if_absent(self, key: str, data: bytes) -> bool: ...

    @abstractmethod
    def walk(self, prefix: str = "", on_error: Callable[[str, OSError], None] | None = None) -> Iterator[ObjectInfo]:
        """Every object below a folder, in no particular order.

        A folder or file that cannot be looked at is told to ``on_error`` with its key, and passed over; without
        ``on_error`` the error is raised. A folder that several paths lead to is listed once: by its own path
        where it has one below this folder, else by the first link in alphabetical order.
        """

    @abstractmethod
    def names(self, prefix: str = "") -> list[str]:
        """Names of the objects and folders directly inside a folder, sorted; none if it does not exist."""

    def partials(self) -> Iterator[Partial]:
        """Files that are being written, or were when their writer died; a store that has no such thing has none."""
        yield from ()

    def prune(self, prefix: str) -> None:  # noqa: B027 - a store without folders has nothing to do
        """Removes empty folders below and at a prefix; nobody may be writing there."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Removes an object; one that is not there is no error."""

    def put(self, key: str, data: bytes) -> None:
        """Writes an object, whole or not at all, replacing what was there; durable on return."""
        write_point(f"before put {key}")
        count_write(len(data))
        self._put(key, data)
        write_point(f"after put {key}")

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Writes an object unless there is one; of any number of writers exactly one gets True."""
        write_point(f"before put-if-absent {key}")
        count_write(len(data))
        done = self._put_if_absent(key, data)
        write_point(f"after put-if-absent {key}")
        return done

    def note(self, key: str, data: bytes) -> None:
        """Writes an object that says how things go now. No write point: a run comes to the same with it or without."""
        self._put(key, data)

    @abstractmethod
    def settle(self, prefix: str) -> None:
        """Makes durable what a library of others wrote below a folder: on return a power cut takes none of it."""

    @abstractmethod
    def exists(self, key: str) -> bool: ...

    @abstractmethod
    def require_races_settled(self) -> None:
        """Looks whether put-if-absent does what it says, where a store may not know it.

        Raises:
            RefusedError: it does not.
        """


class LocalObjects(Objects):
    """Objects as files below a folder."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()
        self.url = str(self.folder)

    def path(self, key: str) -> Path:
        return self.folder / key

    def _get(self, key: str) -> bytes:
        try:
            return self.path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFoundError(f"{self.url}/{key}: no such object") from error

    def _get_range(self, key: str, start: int, stop: int | None) -> bytes:
        try:
            with open(self.path(key), "rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                begin = max(0, size + start) if start < 0 else min(start, size)
                return os.pread(file.fileno(), max(0, (size if stop is None else min(stop, size)) - begin), begin)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFoundError(f"{self.url}/{key}: no such object") from error

    def _holds(self, key: str, data: bytes) -> bool:
        """Looks at a block at a time: another shard's memory would be half of what a comparison costs."""
        at = 0
        try:
            with open(self.path(key), "rb", buffering=0) as file:
                while block := file.read(BLOCK):
                    if not data.startswith(block, at):
                        return False
                    at += len(block)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return False
        return at == len(data)

    def exists(self, key: str) -> bool:
        count_read()
        return self.path(key).is_file()

    def note(self, key: str, data: bytes) -> None:
        self._move(self._write_partial(key, data), key)

    def _put(self, key: str, data: bytes) -> None:
        with self._writing(key):
            partial = self._write_partial(key, data)
            try:
                write_point(f"before rename {key}")
            except WxpipeError:  # who writes this finds that it may not, at the last moment
                partial.unlink(missing_ok=True)
                raise
            self._move(partial, key)

    def _move(self, partial: Path, key: str) -> None:
        try:
            os.replace(partial, self.path(key))
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        write_point(f"after rename {key}")  # its name is not synced yet
        _sync(partial.parent)

    def _put_if_absent(self, key: str, data: bytes) -> bool:
        with self._writing(key):
            return self._link_if_absent(key, data)

    @contextlib.contextmanager
    def _writing(self, key: str) -> Iterator[None]:
        """Turns what no later try mends by itself into an error that says what a person has to."""
        try:
            yield
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            remedy = UNWRITABLE[error.errno]
            raise StoreError(f"{self.url}/{key}: cannot be written: {error.strerror}; {remedy}") from error

    def _link_if_absent(self, key: str, data: bytes) -> bool:
        if self.path(key).exists():
            return False
        partial = self._write_partial(key, data)
        try:
            os.link(partial, self.path(key))
        except FileExistsError:
            return False
        finally:
            partial.unlink(missing_ok=True)
        _sync(partial.parent)
        return True

    def _write_partial(self, key: str, data: bytes) -> Path:
        target = self.path(key)
        _make_folder(target.parent)
        partial = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")
        try:
            with open(partial, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
        return partial

    def walk(self, prefix: str = "", on_error: Callable[[str, OSError], None] | None = None) -> Iterator[ObjectInfo]:
        count_write()
        folders, links = [str(self.folder / prefix) if prefix else self.url], list[str]()
        seen: set[tuple[int, int]] = set()
        start = len(self.url) + 1
        while folders or links:
            folder = folders.pop() if folders else heapq.heappop(links)
            try:
                status = os.stat(folder)
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                entries = os.scandir(folder)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                _tell(on_error, folder[start:], error)
                continue
            with entries:
                for entry in entries:
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
                        elif entry.is_dir():
                            heapq.heappush(links, entry.path)
                        elif not entry.name.endswith(PARTIAL):
                            status = entry.stat()
                            if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
                                raise OSError(errno.EINVAL, "not a regular file")
                            yield ObjectInfo(entry.path[start:], status.st_size, str(status.st_mtime_ns))
                    except OSError as error:
                        if isinstance(error, FileNotFoundError) and not entry.is_symlink():
                            continue  # removed since the folder was read
                        _tell(on_error, entry.path[start:], error)

    def names(self, prefix: str = "") -> list[str]:
        count_write()
        try:
            found = os.listdir(self.folder / prefix)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in found if not name.endswith(PARTIAL))

    def partials(self) -> Iterator[Partial]:
        now = self._clock()
        start = len(self.url) + 1
        for folder, _, names in os.walk(self.url):
            for name in names:
                if name.endswith(PARTIAL):
                    with contextlib.suppress(FileNotFoundError):  # its writer has come to the end
                        status = os.stat(f"{folder}/{name}")
                        process = name.removesuffix(PARTIAL).rpartition(".")[2].partition("-")[0]
                        number = int(process) if process.isdigit() else 0
                        yield Partial(f"{folder}/{name}"[start:], status.st_size, number, now - status.st_mtime)

    def _clock(self) -> float:
        """The time as the file system writes it on a file: not this host's clock, where that is another's disk."""
        probe = self.folder / f".clock.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}"
        with self._writing(probe.name):
            try:
                probe.touch()
                return probe.stat().st_mtime
            finally:
                probe.unlink(missing_ok=True)

    def prune(self, prefix: str) -> None:
        for folder, _, _ in os.walk(self.folder / prefix, topdown=False):
            with contextlib.suppress(OSError):  # it is not empty, or it is gone
                os.rmdir(folder)

    def delete(self, key: str) -> None:
        path = self.path(key)
        with self._writing(key):
            try:
                path.unlink()
            except FileNotFoundError:
                return
            _sync(path.parent)

    def settle(self, prefix: str) -> None:
        for folder, _, files in os.walk(self.folder / prefix):
            for name in files:
                with contextlib.suppress(FileNotFoundError):
                    _sync(Path(folder, name))
            _sync(Path(folder))
        if (self.folder / prefix).is_dir():
            _sync((self.folder / prefix).parent)

    def require_races_settled(self) -> None:
        """Every file system knows links."""


def open_objects(url: str) -> Objects:
    """The objects under a URL: a folder, ``file://`` or ``s3://``.

    Raises:
        UsageError: another scheme, or credentials in the URL.
    """
    check_url(url)
    if url.startswith("s3://"):
        from wxpipe.store.s3 import RemoteObjects

        return RemoteObjects(url)
    if url.startswith("file://"):
        return LocalObjects(url.removeprefix("file://"))
    return LocalObjects(url)


def check_url(url: str) -> None:
    """Looks whether a URL can be opened, and may be written down: URLs stand in logs, reports and the ledger.

    Raises:
        UsageError: another scheme, or credentials in the URL, which are not repeated.
    """
    scheme, found, rest = url.partition("://")
    if not found or scheme == "file":
        return
    place, _, _ = rest.partition("/")
    if "@" in place or "?" in rest:
        raise UsageError(
            f"{scheme}://...: expected s3://bucket/folder, found what looks like credentials in it; give them in the "
            "environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or by a role, since URLs are written to logs"
        )
    if scheme != "s3":
        raise UsageError(f"{url}: expected a folder, file:// or s3://")
    if not place:
        raise UsageError(f"{url}: expected s3://bucket/folder, found no bucket")


def _tell(on_error: Callable[[str, OSError], None] | None, key: str, error: OSError) -> None:
    if on_error is None:
        raise error
    on_error(key, error)


def _make_folder(folder: Path) -> None:
    """Makes a folder and its parents, each synced into the one above it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
