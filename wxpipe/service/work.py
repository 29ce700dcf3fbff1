"""Where requests are worked on: a bounded number of threads, a bounded queue before them, and a limit of time.

A thread cannot be stopped; a request that is over time is answered, and its place is given back when the thread ends.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from wxpipe.service.problems import busy

Made = TypeVar("Made")


class Work:
    """Threads of one kind of work.

    Args:
        name: of the threads.
        threads: at work at once.
        queue: requests at work or waiting; one more is sent away.
        seconds: that a request waits for its answer.
    """

    def __init__(self, name: str, threads: int, queue: int, seconds: float) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"wxpipe-{name}")
        self.name, self.queue, self.seconds = name, queue, seconds
        self.inside = 0

    async def do(self, function: Callable[[], Made]) -> Made:
        """Does something in a thread.

        Raises:
            Problem: 503: too many are waiting, or it takes too long.
        """
        if self.inside >= self.queue:
            raise busy(f"{self.inside} requests are waiting already; ask again", 1)
        deadline = time.monotonic() + self.seconds

        def work() -> Made:
            if time.monotonic() > deadline:  # nobody waits for it any more
                raise TimeoutError
            return function()

        loop = asyncio.get_running_loop()
        self.inside += 1
        try:
            future = self._pool.submit(work)
        except RuntimeError:
            self.inside -= 1
            raise busy("the service is being stopped; ask again, or another one") from None
        future.add_done_callback(lambda done: _leave(loop, self, done))
        try:
            async with asyncio.timeout(self.seconds):
                return await asyncio.shield(asyncio.wrap_future(future))
        except TimeoutError:
            raise busy(f"no answer within {self.seconds:g} s; ask for less, or again") from None

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _leave(loop: asyncio.AbstractEventLoop, work: Work, done: Future[Made]) -> None:
    def leave() -> None:
        work.inside -= 1

    if not done.cancelled():
        done.exception()  # looked at, whether or not anybody still waits for it
    if not loop.is_closed():
        loop.call_soon_threadsafe(leave)


@dataclass
class Kept:
    """What was made last, by key, as long as it fits; pictures are asked for by several clients, again and again."""

    limit: int
    size: int = 0
    _made: OrderedDict[str, bytes] = field(default_factory=OrderedDict)

    def get(self, key: str) -> bytes | None:
        if key in self._made:
            self._made.move_to_end(key)
        return self._made.get(key)

    def put(self, key: str, made: bytes) -> None:
        self.size += len(made) - len(self._made.pop(key, b""))
        self._made[key] = made
        while self.size > self.limit:
            _, gone = self._made.popitem(last=False)
            self.size -= len(gone)
