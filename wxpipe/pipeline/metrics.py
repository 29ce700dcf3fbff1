"""Metrics for Prometheus: of a run, counted from its events while it lasts; of a root, from a survey of it."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from wxpipe.config import RunSettings
from wxpipe.errors import WxpipeError
from wxpipe.pipeline.coverage import Fate
from wxpipe.pipeline.events import Event, Result, StageStarted, listening
from wxpipe.pipeline.runs import running
from wxpipe.pipeline.status import Survey
from wxpipe.store.root import Root

SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000)
"""Bounds of the histogram: a partition takes a tenth of a second where nothing changed, hours where one is trained."""
PICTURES = "pictures_"
"""What names of ingest's counts of pictures begin with; their statuses follow."""


class RunMetrics:
    """Counts what runs; `hear` is a listener of events."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.pictures = Counter(
            "wxpipe_pictures", "Pictures of ingested days, by what became of them.", ["source", "status"],
            registry=registry,
        )  # fmt: skip
        self.bytes = Counter("wxpipe_written_bytes", "Bytes put into the root.", ["source", "stage"], registry=registry)
        self.quarantined = Counter(
            "wxpipe_quarantined", "Inputs put into quarantine, by reason.", ["source", "reason"], registry=registry
        )
        self.partitions = Counter(
            "wxpipe_partitions", "Partitions that came to an end: done, failed, or lost to another run.",
            ["stage", "source", "state"], registry=registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "wxpipe_partition_duration_seconds", "How long a partition took where it was done.", ["stage"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.remaining = Gauge(
            "wxpipe_partitions_remaining", "Partitions of begun stages that are still to do.", ["stage"],
            registry=registry,
        )  # fmt: skip

    def hear(self, event: Event) -> None:
        if isinstance(event, StageStarted):
            self.remaining.labels(event.stage).inc(event.partitions)
        elif isinstance(event, Result):
            self._result(event)

    def _result(self, result: Result) -> None:
        source = result.partition.source or result.partition.key
        self.partitions.labels(result.stage, source, result.state).inc()
        if result.state != "lost":  # it stays to be done
            self.remaining.labels(result.stage).dec()
        if result.state != "done":
            return
        self.seconds.labels(result.stage).observe(result.seconds)
        self.bytes.labels(source, result.stage).inc(result.bytes_written)
        for reason, count in result.reasons.items():
            self.quarantined.labels(source, reason).inc(count)
        if result.stage == "ingest":
            for name, count in result.counts.items():
                if name.startswith(PICTURES):
                    self.pictures.labels(source, name.removeprefix(PICTURES)).inc(count)


_serving: list[RunMetrics] = []


@contextmanager
def measured() -> Iterator[None]:
    """Counts what runs in this process while the block lasts, and serves it where the settings name a port; once.

    Raises:
        WxpipeError: the port cannot be had.
    """
    settings = RunSettings()
    if not settings.metrics_port or _serving:
        yield
        return
    metrics = RunMetrics()
    with served(metrics.registry, settings.metrics_port, settings.metrics_address), listening(metrics.hear):
        _serving.append(metrics)
        try:
            yield
        finally:
            _serving.remove(metrics)


@contextmanager
def served(registry: CollectorRegistry, port: int, address: str) -> Iterator[None]:
    """Serves ``/metrics`` of a registry from a thread while the block lasts.

    Raises:
        WxpipeError: the port cannot be had.
    """
    try:
        server, thread = start_http_server(port, address, registry)
    except OSError as error:
        raise WxpipeError(
            f"metrics cannot be served on {address}:{port} ({error.strerror}); is another run served there? Choose "
            "another port, or none"
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class RootMetrics(Collector):
    """Metrics of a root as it was at the last survey; lag and age are those of the moment of the scrape."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._found: list[Metric] = []
        self._newest: dict[str, datetime] = {}
        self._released: datetime | None = None
        self._surveyed: datetime | None = None
        self._works = False
        registry.register(self)

    def take(self, found: Survey) -> None:
        """Takes a survey for what is told from now on."""
        self._newest = {c.source.id: newest for c in found.coverages if (newest := c.newest) is not None}
        self._released = _released(found)
        self._found = list(_of_survey(found))
        self._surveyed, self._works = found.when, True

    def lose(self) -> None:
        """The root could not be looked at: what was known of it is told on, and that it is old."""
        self._works = False

    def collect(self) -> Iterable[Metric]:
        now = datetime.now(UTC)
        yield _gauge("wxpipe_survey_success", "Whether the last look at the root came to an end.", int(self._works))
        if self._surveyed is None:
            return
        yield _gauge("wxpipe_survey_timestamp_seconds", "When the root was looked at last.", self._surveyed.timestamp())
        lag = GaugeMetricFamily("wxpipe_lag_seconds", "Since the newest good frame was taken.", labels=["source"])
        newest = GaugeMetricFamily(
            "wxpipe_newest_frame_timestamp_seconds", "When the newest good frame was taken.", labels=["source"]
        )
        for source, when in self._newest.items():
            lag.add_metric([source], (now - when).total_seconds())
            newest.add_metric([source], when.timestamp())
        yield lag
        yield newest
        if self._released is not None:
            age = (now - self._released).total_seconds()
            yield _gauge("wxpipe_release_age_seconds", "Since the release that serves was built.", age)
        yield from self._found


def _of_survey(found: Survey) -> Iterator[Metric]:
    root = found.root
    slots = GaugeMetricFamily("wxpipe_slots", "Slots by what became of their frames.", labels=["source", "fate"])
    for coverage in found.coverages:
        for fate, days in coverage.counted().items():
            if fate != Fate.NOTHING:
                slots.add_metric([coverage.source.id, fate.name.lower()], float(days.sum()))
    yield slots
    due = Tally((s.partition.source or s.partition.name, s.stage, s.reason) for s in found.plan.work)
    yield _family(
        "wxpipe_due_partitions", "Partitions to do: never done (missing), out of date (stale), or failed.",
        ("source", "stage", "reason"), {(*key,): count for key, count in _with_zeros(due, found).items()},
    )  # fmt: skip
    records = ((source, record) for _, source, _, record in root.quarantine.all())
    aside = Tally((source, record.reason) for source, record in records if record.kind == "quarantined")
    yield _family("wxpipe_quarantined_files", "Inputs in quarantine, by reason.", ("source", "reason"), aside)
    yield _gauge("wxpipe_differences", "Counts that should agree, and do not.", len(found.differences))
    yield _gauge("wxpipe_release_number", "The release that serves; 0 for none.", found.release or 0)
    yield _gauge("wxpipe_running_leases", "Source-months and named things that runs hold.", len(root.leases.held()))
    states = Tally(run.state for run in running(root))
    yield _family("wxpipe_runs", "Runs that have not ended.", ("state",), {("running",): 0, ("silent",): 0} | {
        (state,): count for state, count in states.items()
    })  # fmt: skip


def _with_zeros(due: Tally[tuple[str, str, Any]], found: Survey) -> dict[tuple[str, str, str], int]:
    """With a zero for each source and stage of which nothing failed: an alert needs a number to come back to."""
    zeros = {(s.partition.source or s.partition.name, s.stage, "failed"): 0 for s in found.plan.steps}
    return {**zeros, **due}


def _released(found: Survey) -> datetime | None:
    from wxpipe.vectors.records import get_release

    if found.release is None:
        return None
    created = get_release(found.root, found.release).created
    return datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) if created else None


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=value)


def _family(name: str, help_text: str, labels: tuple[str, ...], values: Any) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(list(key), value)
    return family


def survey_into(metrics: RootMetrics, url: str) -> str:
    """Looks at a root once; answers with what went wrong, in words, or with nothing."""
    from wxpipe.pipeline.status import survey

    try:
        metrics.take(survey(Root(url)))
    except (WxpipeError, OSError) as error:
        metrics.lose()
        return str(error)
    return ""
