"""A folder of a bucket as a store that zarr reads: the client's errors are steered, and tried again, as elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from zarr.storage import ObjectStore

from wxpipe.store.meter import count_read
from wxpipe.store.s3 import RemoteObjects, open_s3

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype


class BucketFolder(ObjectStore[Any]):
    """Read only; pickled as its URL, so that a Dask graph holds neither a client nor what it is configured with."""

    def __init__(self, url: str) -> None:
        super().__init__(open_s3(url), read_only=True)
        self._objects = RemoteObjects(url)

    def __reduce__(self) -> tuple[type[BucketFolder], tuple[str]]:
        return BucketFolder, (self._objects.url,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BucketFolder) and other._objects.url == self._objects.url

    def __hash__(self) -> int:
        return hash(self._objects.url)

    def __str__(self) -> str:
        return self._objects.url

    def with_read_only(self, read_only: bool = False) -> BucketFolder:
        if not read_only:
            raise ValueError(f"{self}: arrays are written shard by shard through the root's objects, never by zarr")
        return self

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        read = super().get
        count_read()
        return await self._objects.try_async("read", key, lambda: read(key, prototype, byte_range))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        ranges, read = list(key_ranges), super().get_partial_values
        key = ranges[0][0] if ranges else ""
        count_read(len(ranges))
        return await self._objects.try_async("read", key, lambda: read(prototype, ranges))

    async def exists(self, key: str) -> bool:
        look = super().exists
        count_read()
        return await self._objects.try_async("read", key, lambda: look(key))

    async def list_dir(self, prefix: str) -> Any:
        list_dir = super().list_dir

        async def names() -> list[str]:
            return [name async for name in list_dir(prefix)]

        for name in await self._objects.try_async("list", prefix, names):
            yield name
