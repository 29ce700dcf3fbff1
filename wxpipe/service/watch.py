"""What is known of the requests themselves: counted for Prometheus, and a line of the log each."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from wxpipe.pipeline.logs import log_line

SECONDS = (0.003, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2, 0.5, 1, 3, 10, 30)
"""Bounds of the histogram, close to each other around the goal of a search, 40 ms."""
METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})
LONGEST_PATH = 200


@dataclass
class Asked:
    """One request, as it is known when it ends.

    Attributes:
        route: the template of its address, so that there are few; empty where nothing answers there.
        error: in words, where it is a fault of the service.
    """

    number: str
    client: str
    method: str
    path: str
    route: str = ""
    status: int = 0
    sent: int = 0
    release: int | None = None
    error: str = ""
    began: float = field(default_factory=time.perf_counter)


class Watch:
    """Counts and logs requests."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "wxpipe_requests", "Requests that were answered.", ["route", "method", "status"], registry=registry
        )
        self.seconds = Histogram(
            "wxpipe_request_duration_seconds", "From the end of a request's head to the end of its answer.", ["route"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.under_way = Gauge("wxpipe_requests_under_way", "Requests that are being answered.", registry=registry)

    def begins(self) -> None:
        self.under_way.inc()

    def ends(self, asked: Asked) -> None:
        seconds = time.perf_counter() - asked.began
        self.under_way.dec()
        method = asked.method if asked.method in METHODS else "other"
        self.requests.labels(asked.route or "none", method, str(asked.status)).inc()
        if asked.route:
            self.seconds.labels(asked.route).observe(seconds)
        level = logging.ERROR if asked.error else logging.DEBUG if asked.route.startswith("/health") else logging.INFO
        facts = {
            "request": asked.number, "client": asked.client, "method": method, "path": asked.path[:LONGEST_PATH],
            "status": asked.status, "seconds": round(seconds, 6), "bytes_sent": asked.sent, "release": asked.release,
        }  # fmt: skip
        log_line("request", level, **facts, **({"error": asked.error} if asked.error else {}))
