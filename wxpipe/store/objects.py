"""Whole objects under one URL, local or ``s3://``: get, put, put-if-absent, list, delete, and nothing else.

Races are settled by put-if-absent, which both kinds of store have. A local put is durable when it returns: data,
then the rename, then the folder are synced. What the objects mean is the business of the modules above.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wxpipe.errors import NotFoundError, Retry, UsageError
from wxpipe.store.writepoints import write_point

PARTIAL = ".partial"
"""Ending of a file that is being written; a killed writer leaves it behind, and no reader looks at it."""


@dataclass(frozen=True)
class ObjectInfo:
    """One listed object; ``version`` is a modification time (ns) or an ETag, whichever the store has."""

    key: str
    size: int
    version: str


class Objects(ABC):
    """A flat space of objects, keyed by relative paths with forward slashes."""

    url: str

    @abstractmethod
    def get(self, key: str) -> bytes:
        """The whole object.

        Raises:
            NotFoundError: there is none.
        """

    @abstractmethod
    def _put(self, key: str, data: bytes) -> None: ...

    @abstractmethod
    def _put_if_absent(self, key: str, data: bytes) -> bool: ...

    @abstractmethod
    def walk(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object below a folder, in no particular order."""

    @abstractmethod
    def names(self, prefix: str = "") -> list[str]:
        """Names of the objects and folders directly inside a folder, sorted; none if it does not exist."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Removes an object; one that is not there is no error."""

    def put(self, key: str, data: bytes) -> None:
        """Writes an object, whole or not at all, replacing what was there; durable on return."""
        write_point(f"before put {key}")
        self._put(key, data)
        write_point(f"after put {key}")

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Writes an object unless there is one; of any number of writers exactly one gets True."""
        write_point(f"before put-if-absent {key}")
        done = self._put_if_absent(key, data)
        write_point(f"after put-if-absent {key}")
        return done

    @abstractmethod
    def exists(self, key: str) -> bool: ...


class LocalObjects(Objects):
    """Objects as files below a folder."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()
        self.url = str(self.folder)

    def path(self, key: str) -> Path:
        return self.folder / key

    def get(self, key: str) -> bytes:
        try:
            return self.path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFoundError(f"{self.url}/{key}: no such object") from error

    def exists(self, key: str) -> bool:
        return self.path(key).is_file()

    def _put(self, key: str, data: bytes) -> None:
        partial = self._write_partial(key, data)
        write_point(f"before rename {key}")
        os.replace(partial, self.path(key))
        _sync_folder(partial.parent)

    def _put_if_absent(self, key: str, data: bytes) -> bool:
        if self.path(key).exists():
            return False
        partial = self._write_partial(key, data)
        try:
            os.link(partial, self.path(key))
        except FileExistsError:
            return False
        finally:
            partial.unlink()
        _sync_folder(partial.parent)
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

    def walk(self, prefix: str = "") -> Iterator[ObjectInfo]:
        stack = [self.folder / prefix if prefix else self.folder]
        start = len(self.url) + 1
        while stack:
            try:
                entries = os.scandir(stack.pop())
            except (FileNotFoundError, NotADirectoryError):
                continue
            with entries:
                for entry in entries:
                    if entry.is_dir():
                        stack.append(Path(entry.path))
                    elif not entry.name.endswith(PARTIAL):
                        stat = entry.stat()
                        yield ObjectInfo(entry.path[start:], stat.st_size, str(stat.st_mtime_ns))

    def names(self, prefix: str = "") -> list[str]:
        try:
            found = os.listdir(self.folder / prefix)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in found if not name.endswith(PARTIAL))

    def delete(self, key: str) -> None:
        self.path(key).unlink(missing_ok=True)


class RemoteObjects(Objects):
    """Objects in an S3 bucket; credentials come from the environment or the provider chain."""

    def __init__(self, url: str) -> None:
        from obstore.store import S3Store

        self.url = url.rstrip("/")
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        options: dict[str, Any] = {"allow_http": True} if endpoint.startswith("http://") else {}
        self._store = S3Store.from_url(self.url, client_options=options or None)  # type: ignore[arg-type]

    def get(self, key: str) -> bytes:
        try:
            return bytes(self._store.get(key).bytes())
        except FileNotFoundError as error:
            raise NotFoundError(f"{self.url}/{key}: no such object") from error
        except OSError as error:
            raise Retry(f"{self.url}/{key}: read failed: {error}") from error

    def exists(self, key: str) -> bool:
        try:
            self._store.head(key)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise Retry(f"{self.url}/{key}: read failed: {error}") from error
        return True

    def _put(self, key: str, data: bytes) -> None:
        try:
            self._store.put(key, data)
        except OSError as error:
            raise Retry(f"{self.url}/{key}: write failed: {error}") from error

    def _put_if_absent(self, key: str, data: bytes) -> bool:
        from obstore.exceptions import AlreadyExistsError

        try:
            self._store.put(key, data, mode="create")
        except AlreadyExistsError:
            return False
        except OSError as error:
            raise Retry(f"{self.url}/{key}: write failed: {error}") from error
        return True

    def walk(self, prefix: str = "") -> Iterator[ObjectInfo]:
        for batch in self._store.list(prefix.rstrip("/") + "/" if prefix else None):
            for item in batch:
                yield ObjectInfo(item["path"], item["size"], str(item["e_tag"]))

    def names(self, prefix: str = "") -> list[str]:
        found = self._store.list_with_delimiter(prefix.rstrip("/") + "/" if prefix else None)
        folders = [path.rstrip("/").rsplit("/", 1)[-1] for path in found["common_prefixes"]]
        return sorted([*folders, *(item["path"].rsplit("/", 1)[-1] for item in found["objects"])])

    def delete(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._store.delete(key)


def open_objects(url: str) -> Objects:
    """The objects under a URL: a folder, ``file://`` or ``s3://``.

    Raises:
        UsageError: another scheme.
    """
    if url.startswith("s3://"):
        return RemoteObjects(url)
    if url.startswith("file://"):
        return LocalObjects(url.removeprefix("file://"))
    if "://" in url:
        raise UsageError(f"{url}: expected a folder, file:// or s3://")
    return LocalObjects(url)


def _make_folder(folder: Path) -> None:
    """Makes a folder and its parents, each synced into the one above it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
