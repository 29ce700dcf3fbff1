"""Objects in an S3 bucket: how clients are set up, which failures are tried again, and what a lost answer means.

The client repeats what it safely can (server errors, connections that fail, reads that time out). The rest is repeated
here: answers that broke off, writes and lists without an answer, and what other stores say for "slow down". A
put-if-absent is told from another's by a mark on the object, so that one whose answer was lost is not taken for
somebody else's. Credentials come from the environment or the provider chain, and are in no message.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from wxpipe.config import RunSettings
from wxpipe.errors import NotFoundError, RefusedError, Retry, StoreError, UsageError, WxpipeError
from wxpipe.store.meter import count_read, count_write
from wxpipe.store.objects import ObjectInfo, Objects

if TYPE_CHECKING:
    from obstore.store import S3Store

T = TypeVar("T")

WRITER = "wxpipe-writer"
"""Name of the mark (user metadata) that an object has which was put by put-if-absent."""
PAGE = 1000
"""Keys of a page of a list: the most that S3 gives."""
FIRST_RETRIES, FIRST_SECONDS = 4, 10.0
"""Patience with a store that has not answered this process yet: it is rather named wrong than busy."""
WHOLE = 10
"""A request may take so many times the silence that is allowed in it: large objects take their time."""
SHORTEST, LONGEST = 0.1, 15.0
"""Pauses between two tries, seconds; each is drawn between the shortest and a limit that doubles."""
BUSY = frozenset({408, 409, 425, 429})
"""Client errors that mean "again, later" (409: another conditional write of the key was under way)."""


@dataclass(frozen=True)
class Patience:
    """How long one request is tried."""

    retries: int
    seconds: float

    def pauses(self) -> Iterator[float]:
        """Seconds to wait before each next try; ends when there is none."""
        begun = time.monotonic()
        for number in range(self.retries):
            if time.monotonic() - begun > self.seconds:
                return
            yield random.uniform(SHORTEST, min(LONGEST, SHORTEST * 2 ** (number + 1)))


def open_s3(url: str, patience: Patience | None = None) -> S3Store:
    """An S3 client for ``s3://bucket/folder``, configured by the environment and `RunSettings`."""
    from obstore.store import S3Store

    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    settings = RunSettings()
    patient = patience or Patience(settings.s3_retries, settings.s3_retry_seconds)
    return S3Store(
        bucket,
        prefix=prefix.strip("/") or None,
        credential_provider=_profile(),
        client_options={
            "allow_http": plain_http(),
            "read_timeout": timedelta(seconds=settings.s3_timeout_seconds),
            "timeout": timedelta(seconds=settings.s3_timeout_seconds * WHOLE),
        },
        retry_config={"max_retries": patient.retries, "retry_timeout": timedelta(seconds=patient.seconds)},
    )


def _profile() -> Any:
    """Credentials of a profile (files, SSO), which the client leaves to boto3; None for all other kinds.

    Raises:
        UsageError: a profile is named, and boto3 is not installed.
    """
    profile = os.environ.get("AWS_PROFILE")
    if not profile or "AWS_ACCESS_KEY_ID" in os.environ:
        return None
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        raise UsageError(
            f"AWS_PROFILE is {profile}, and profiles are read by boto3, which is not there; `pip install boto3`, or "
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from error
    return Boto3CredentialProvider()


def lance_options() -> dict[str, str]:
    """The same settings for Lance's own client; it finds endpoint and credentials in the environment, too."""
    settings = RunSettings()
    silence = settings.s3_timeout_seconds
    return {
        "allow_http": str(plain_http()).lower(),
        "read_timeout": f"{silence}s",
        "timeout": f"{silence * WHOLE}s",
        "client_max_retries": str(settings.s3_retries),
        "client_retry_timeout": str(max(1, round(settings.s3_retry_seconds))),
        "download_retry_count": str(settings.s3_retries),
    }


def lance_fault(error: Exception) -> WxpipeError | None:
    """What an error of Lance's client is to us; None for one that is not about a bucket."""
    _, found, told = str(error).partition("Generic S3 error: ")
    if not found:
        return None
    told = _brief(Exception(told.partition(", /")[0]))  # what follows is a line of Lance's source
    if _status(error) in (401, 403):
        return RefusedError(f"Lance was refused, check the credentials: {told}")
    return Retry(f"Lance's request failed: {told}")


def plain_http() -> bool:
    """Whether the environment names an endpoint without TLS; only then it is allowed."""
    return _endpoint().startswith("http://")


def _endpoint() -> str:
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


_answered: set[tuple[str, str]] = set()
"""Endpoints and buckets that have answered this process."""


class RemoteObjects(Objects):
    """Objects in an S3 bucket.

    Every verb raises Retry where the store stays in trouble. Where it says no, or there is no bucket, they raise
    RefusedError, and StoreError if something was to be written.
    """

    readers = 32
    far = True

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._place = (_endpoint(), self.url.removeprefix("s3://").partition("/")[0])
        self._stores: dict[Patience, S3Store] = {}

    # --- verbs -----------------------------------------------------------------------------------------------

    def _get(self, key: str) -> bytes:
        def read(store: S3Store) -> bytes:
            answer = store.get(key)
            data = bytes(answer.bytes())
            if len(data) != answer.meta["size"]:
                raise OSError(f"the answer broke off: expected {answer.meta['size']} bytes, found {len(data)}")
            return data

        return self._try("read", key, read)

    def _get_range(self, key: str, start: int, stop: int | None) -> bytes:
        def read(store: S3Store) -> bytes:
            to_the_end: Any = {"suffix": -start} if start < 0 else {"offset": start}
            answer = store.get(key, options={"range": to_the_end if stop is None else (start, stop)})
            data, (begin, end) = bytes(answer.bytes()), answer.range
            if len(data) != end - begin:
                raise OSError(f"the answer broke off: expected {end - begin} bytes, found {len(data)}")
            return data

        return self._try("read", key, read)

    def exists(self, key: str) -> bool:
        count_read()
        try:
            self._try("read", key, lambda store: store.head(key))
        except NotFoundError:
            return False
        return True

    def _put(self, key: str, data: bytes) -> None:
        # One request whatever the size: whole or not at all, and a killed writer leaves no parts that are billed.
        self._try("write", key, lambda store: store.put(key, data, use_multipart=False))

    def _put_if_absent(self, key: str, data: bytes) -> bool:
        from obstore.exceptions import AlreadyExistsError

        mark = secrets.token_hex(8)

        def create(store: S3Store) -> bool:
            try:
                store.put(key, data, mode="create", attributes={WRITER: mark})
            except AlreadyExistsError:
                count_read()
                return self._is_marked(store, key, mark)
            return True

        return self._try("write", key, create)

    @staticmethod
    def _is_marked(store: S3Store, key: str, mark: str) -> bool:
        """Whether the object that is there was put by this very call: an earlier try whose answer was lost."""
        try:
            answer = store.get(key, options={"head": True})
        except FileNotFoundError as error:
            raise BlockingIOError("another write of it was under way, and left nothing") from error
        return answer.attributes.get(WRITER) == mark

    def require_races_settled(self) -> None:
        key = f"leases/probe-{secrets.token_hex(8)}"
        settled = self.put_if_absent(key, b"first") and not self.put_if_absent(key, b"second")
        self.delete(key)
        if not settled:
            raise RefusedError(
                f"{self.url}: the store takes a conditional write (If-None-Match: *) over an object that is there, so "
                "two runs would overwrite each other; use one that knows them (AWS S3, a recent MinIO or Ceph)"
            )

    def walk(self, prefix: str = "", on_error: Callable[[str, OSError], None] | None = None) -> Iterator[ObjectInfo]:
        folder, last = prefix.rstrip("/") + "/" if prefix else None, ""
        listing: Any = None

        def page(store: S3Store) -> Any:
            nonlocal listing
            if listing is None:  # the first page, or the one after the last that came
                listing = iter(store.list(folder, offset=last or None, chunk_size=PAGE))
            try:
                return next(listing, ())
            except BaseException:
                listing = None
                raise

        while batch := self._try("list", prefix, page):
            count_write()
            for item in batch:
                yield ObjectInfo(item["path"], item["size"], str(item["e_tag"]))
            last = batch[-1]["path"]

    def names(self, prefix: str = "") -> list[str]:
        count_write()
        folder = prefix.rstrip("/") + "/" if prefix else None
        found = self._try("list", prefix, lambda store: store.list_with_delimiter(folder))
        folders = [path.rstrip("/").rsplit("/", 1)[-1] for path in found["common_prefixes"]]
        return sorted([*folders, *(item["path"].rsplit("/", 1)[-1] for item in found["objects"])])

    def delete(self, key: str) -> None:
        try:
            self._try("delete", key, lambda store: store.delete(key))
        except NotFoundError:
            return

    def settle(self, prefix: str) -> None:
        """An object store has what it acknowledged."""

    # --- trying ----------------------------------------------------------------------------------------------

    def _patience(self) -> Patience:
        settings = RunSettings()
        if self._place in _answered:
            return Patience(settings.s3_retries, settings.s3_retry_seconds)
        return Patience(min(settings.s3_retries, FIRST_RETRIES), min(settings.s3_retry_seconds, FIRST_SECONDS))

    def _client(self, patience: Patience) -> S3Store:
        if patience not in self._stores:
            self._stores[patience] = open_s3(self.url, patience)
        return self._stores[patience]

    def _try(self, action: str, key: str, work: Callable[[S3Store], T]) -> T:
        from obstore.exceptions import BaseError

        patience = self._patience()
        pauses = patience.pauses()
        while True:
            try:
                found = work(self._client(patience))
            except (OSError, BaseError) as error:
                time.sleep(self._pause(error, action, key, pauses))
            else:
                _answered.add(self._place)
                return found

    async def try_async(self, action: str, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """Awaits some work with a client of this bucket until it succeeds, as the verbs do."""
        from obstore.exceptions import BaseError

        pauses = self._patience().pauses()
        while True:
            try:
                return await work()
            except (OSError, BaseError) as error:
                await asyncio.sleep(self._pause(error, action, key, pauses))

    def _pause(self, error: Exception, action: str, key: str, pauses: Iterator[float]) -> float:
        """Seconds until the next try; raises what the error means where there is none."""
        fault = self._fault(error, action, key)
        pause = next(pauses, None) if isinstance(fault, Retry) and _is_momentary(error) else None
        if pause is None:
            raise fault from error
        return pause

    def _fault(self, error: Exception, action: str, key: str) -> Exception:
        """What an error of the client is to us.

        PermissionError is about one object; RefusedError, and StoreError where something was to be written, about all.
        """
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        status, brief = _status(error), _brief(error)
        where = f"{self.url}/{key}"
        refused = StoreError if action in ("write", "delete") else RefusedError
        if status == 404 and "NoSuchBucket" in str(error):
            return refused(f"{where}: no such bucket; make it, or check its name and AWS_ENDPOINT_URL")
        if isinstance(error, FileNotFoundError) and action != "write":
            return NotFoundError(f"{where}: no such object")
        if status == 403 and "InvalidObjectState" in str(error):
            return PermissionError(errno.EACCES, "it is in cold storage, restore it first", where)
        fresh = self._place not in _answered
        # Without credentials the client looks for a role at the address where a cloud's machines find theirs.
        if fresh and re.search(r"169\.254\.|/latest/(api/token|meta-data)", brief):
            return refused(
                f"{where}: {action} needs credentials, and none were found; set AWS_ACCESS_KEY_ID and "
                f"AWS_SECRET_ACCESS_KEY, or run where a role gives them ({brief})"
            )
        if status in (401, 403) or isinstance(error, PermissionError | PermissionDeniedError | UnauthenticatedError):
            return refused(f"{where}: {action} was refused, check the credentials: {brief}")
        if "redirect" in brief:
            return refused(f"{where}: {action} was sent elsewhere, check AWS_REGION: {brief}")
        endpoint = f"; is the store up, and is this its address? ({_endpoint() or 'AWS'})" if fresh else ""
        return Retry(f"{where}: {action} failed: {brief}{endpoint}")


def _is_momentary(error: Exception) -> bool:
    """Whether the same request may succeed later: no answer, half of one, or one that says so."""
    from obstore.exceptions import InvalidPathError, NotSupportedError, UnknownConfigurationKeyError

    if isinstance(error, InvalidPathError | NotSupportedError | UnknownConfigurationKeyError):
        return False
    status = _status(error)
    return status is None or status >= 500 or status in BUSY


def _status(error: Exception) -> int | None:
    """The HTTP status in a client's message; None where no answer came."""
    found = re.search(r"status code: (\d{3})", str(error))
    return int(found[1]) if found else None


def _brief(error: Exception) -> str:
    """The client's message without the dump of its insides and the answer's XML, of which code and message are kept."""
    text = str(error)
    line = re.sub(r"<.*", "", text.partition("\n")[0])
    line = re.sub(r"://[^/@\s]*@", "://", line).strip(" :")
    said = [found[1] for tag in ("Code", "Message") if (found := re.search(rf"<{tag}>([^<]*)</{tag}>", text))]
    return f"{line}: {', '.join(said)}" if said else line
