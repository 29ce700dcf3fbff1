"""The numbers of a root as a whole, which take a while to count: looked at now and then, and told with their age."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry

from wxpipe.errors import WxpipeError
from wxpipe.pipeline.metrics import RootMetrics
from wxpipe.pipeline.stages import NAMES
from wxpipe.pipeline.status import status_document, survey
from wxpipe.store.root import Root


class Surveys:
    """One survey at a time, in a thread of its own; `RootMetrics` tells Prometheus of the same one."""

    def __init__(self, url: str, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.url, self.seconds, self.clock = url, seconds, clock
        self.registry = CollectorRegistry()
        self._metrics = RootMetrics(self.registry)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="wxpipe-survey")
        self._lock = threading.Lock()
        self._found: dict[str, Any] | None = None
        self._when = -float("inf")
        self._under_way: Future[dict[str, Any]] | None = None

    def document(self) -> dict[str, Any]:
        """The status document; waits for the first one, and later tells the last one while it looks again.

        Raises:
            WxpipeError: the root cannot be looked at.
        """
        future = self._refreshed()
        found = self._found
        return found if found is not None else future.result() if future is not None else self.document()

    def refresh(self) -> None:
        """Looks again where the last look is too old; does not wait."""
        self._refreshed()

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _refreshed(self) -> Future[dict[str, Any]] | None:
        with self._lock:
            if self._under_way is not None and not self._under_way.done():
                return self._under_way
            if self.clock() - self._when <= self.seconds and self._found is not None:
                return None
            self._under_way = self._pool.submit(self._look)
            return self._under_way

    def _look(self) -> dict[str, Any]:
        root = Root(self.url)
        try:
            with root.ledger.holding(*NAMES):
                found = survey(root)
                document = status_document(found)
            self._metrics.take(found)
        except (WxpipeError, OSError):
            self._metrics.lose()
            raise
        document["root"] = "ROOT"  # whoever asks over the network need not know where it lies
        document["counted"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        self._found, self._when = document, self.clock()
        return document
