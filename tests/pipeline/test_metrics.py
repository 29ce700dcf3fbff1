"""Metrics as Prometheus scrapes them, over HTTP: of a run while it lasts, and of a root; and alerts that name them."""

from __future__ import annotations

import re
import socket
import time
import urllib.request
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.mini import Undisturbed
from tests.pipeline.fake_stage import SOURCE, context_of
from wxpipe.errors import WxpipeError
from wxpipe.pipeline import execute as runner
from wxpipe.pipeline.events import Result, StageStarted, tell
from wxpipe.pipeline.metrics import RootMetrics, RunMetrics, measured, served, survey_into
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers, run_stage
from wxpipe.pipeline.runs import registered
from wxpipe.store.quarantine import Record
from wxpipe.store.root import Root, init_root
from wxpipe.store.stage import Partition

RULES = Path(__file__).parents[2] / "deploy" / "prometheus-rules.yaml"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def port() -> int:
    """One that is free."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        number: int = found.getsockname()[1]
    return number


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, port: int) -> int:
    """The port on which runs are told to serve their metrics."""
    monkeypatch.setenv("WXPIPE_METRICS_PORT", str(port))
    monkeypatch.setenv("WXPIPE_METRICS_ADDRESS", "127.0.0.1")
    return port


def scrape(port: int) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return parsed(answer.read().decode())


def parsed(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


@pytest.mark.usefixtures("fake_stages")
def test_a_run_is_counted_and_scraped_while_it_lasts(
    tmp_path: Path, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner.time, "sleep", lambda _: None)
    context = context_of(tmp_path, "ok", "refuses", "quarantines", "ok")
    with measured():
        tell(StageStarted("train", 2))
        run_stage("fake", context, Range(), Workers())
        samples = scrape(asked)
    name = "wxpipe_partitions_total"
    assert value(samples, name, stage="fake", source=SOURCE, state="done") == 3
    assert value(samples, name, stage="fake", source=SOURCE, state="failed") == 1
    assert value(samples, "wxpipe_partitions_remaining", stage="fake") == 0
    assert value(samples, "wxpipe_partitions_remaining", stage="train") == 2
    assert value(samples, "wxpipe_quarantined_total", source=SOURCE, reason="truncated") == 1
    assert value(samples, "wxpipe_written_bytes_total", source=SOURCE, stage="fake") > 0
    assert value(samples, "wxpipe_partition_duration_seconds_count", stage="fake") == 3
    with pytest.raises(OSError):
        scrape(asked)


def test_pictures_are_counted_by_what_became_of_them() -> None:
    metrics = RunMetrics()
    partition = Partition("coms-ea")
    for good in (90, 6):
        counts = {"pictures_good": good, "pictures_missing": 2, "frames_good": 1, "files": 99}
        metrics.hear(Result("ingest", partition, "done", counts))
    metrics.hear(Result("histograms", partition, "done", {"pictures": 96}))
    samples = parsed(generate_latest(metrics.registry).decode())
    assert value(samples, "wxpipe_pictures_total", source="coms-ea", status="good") == 96
    assert value(samples, "wxpipe_pictures_total", source="coms-ea", status="missing") == 4
    assert sum(v for (name, _), v in samples.items() if name == "wxpipe_pictures_total") == 100


def test_what_another_run_took_is_still_to_do() -> None:
    metrics = RunMetrics()
    metrics.hear(StageStarted("ingest", 2))
    metrics.hear(Result("ingest", Partition("coms-ea"), "lost", {}))
    metrics.hear(Result("ingest", Partition("coms-ea"), "failed", {}))
    samples = parsed(generate_latest(metrics.registry).decode())
    assert value(samples, "wxpipe_partitions_remaining", stage="ingest") == 1


def test_nothing_listens_where_nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WXPIPE_METRICS_PORT", raising=False)

    def refuse(*_: object) -> None:
        pytest.fail("a port was opened")

    monkeypatch.setattr("wxpipe.pipeline.metrics.start_http_server", refuse)
    with measured():
        tell(StageStarted("ingest", 1))


def test_a_port_that_is_taken_is_named(asked: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", asked))
        other.listen()
        with pytest.raises(WxpipeError, match=rf"127.0.0.1:{asked} .* another run"), measured():
            pytest.fail("it began")


def test_within_a_run_that_is_measured_nothing_is_counted_twice(asked: int) -> None:
    with measured(), measured():
        tell(Result("ingest", Partition("coms-ea"), "done", {}))
        samples = scrape(asked)
    assert value(samples, "wxpipe_partitions_total", stage="ingest", source="coms-ea", state="done") == 1


@pytest.fixture
def watched(tmp_path: Path, port: int) -> tuple[Root, RootMetrics, CollectorRegistry, int]:
    registry = CollectorRegistry()
    root = init_root(str(tmp_path / "root"))
    return root, RootMetrics(registry), registry, port


def test_a_root_is_scraped(first_run: Undisturbed, watched: tuple[Root, RootMetrics, CollectorRegistry, int]) -> None:
    _, metrics, registry, port = watched
    url = str(first_run.root)
    assert survey_into(metrics, url) == ""
    with served(registry, port, "127.0.0.1"):
        before = datetime.now(UTC)
        samples = scrape(port)
    assert value(samples, "wxpipe_survey_success") == 1
    lag = value(samples, "wxpipe_lag_seconds", source="mini-t")
    newest = datetime.fromtimestamp(value(samples, "wxpipe_newest_frame_timestamp_seconds", source="mini-t"), UTC)
    assert newest == datetime(2020, 3, 2, 23, 45, tzinfo=UTC)
    assert abs(before - newest - timedelta(seconds=lag)) < timedelta(minutes=5)
    assert value(samples, "wxpipe_slots", source="mini-t", fate="good") == 2 * 96 - 1
    assert value(samples, "wxpipe_slots", source="mini-t", fate="missing") == 1
    assert value(samples, "wxpipe_due_partitions", source="mini-t", stage="ingest", reason="failed") == 0
    assert value(samples, "wxpipe_release_number") == 1
    assert value(samples, "wxpipe_release_age_seconds") > 0
    assert value(samples, "wxpipe_differences") == 0
    assert value(samples, "wxpipe_running_leases") == 0


def test_runs_and_leases_that_go_on_are_told(watched: tuple[Root, RootMetrics, CollectorRegistry, int]) -> None:
    root, metrics, registry, _ = watched
    with registered(root, "backfill", {}):
        lease = root.leases.try_acquire("coms-ea/2011-03")
        assert lease is not None
        survey_into(metrics, root.url)
        held = parsed(generate_latest(registry).decode())
        root.leases.release(lease)
    survey_into(metrics, root.url)
    free = parsed(generate_latest(registry).decode())
    assert [value(samples, "wxpipe_running_leases") for samples in (held, free)] == [1, 0]
    assert [value(samples, "wxpipe_runs", state="running") for samples in (held, free)] == [1, 0]


def test_a_root_that_cannot_be_looked_at_says_so_and_keeps_its_age(
    watched: tuple[Root, RootMetrics, CollectorRegistry, int],
) -> None:
    root, metrics, registry, _ = watched
    survey_into(metrics, root.url)
    first = parsed(generate_latest(registry).decode())
    time.sleep(0.01)
    Path(root.url).rename(Path(root.url).with_name("unmounted"))
    assert "is not a wxpipe root" in survey_into(metrics, root.url)
    then = parsed(generate_latest(registry).decode())
    assert [value(samples, "wxpipe_survey_success") for samples in (first, then)] == [1, 0]
    name = "wxpipe_survey_timestamp_seconds"
    assert value(first, name) == value(then, name)


def every_metric(tmp_path: Path) -> Mapping[str, set[str]]:
    """Every metric that is served, by name, with its labels."""
    run, registry = RunMetrics(), CollectorRegistry()
    run.hear(StageStarted("ingest", 1))
    run.hear(Result("ingest", Partition("x-y"), "failed", {}))
    run.hear(Result("ingest", Partition("x-y"), "done", {"pictures_good": 1}, seconds=1, reasons={"torn": 1}))
    opened = init_root(str(tmp_path / "root"))
    opened.quarantine.replace("ingest", "x-y", date(2020, 1, 1), [Record("x.png", "torn")])
    survey_into(RootMetrics(registry), opened.url)
    served = [sample for source in (run.registry, registry) for family in source.collect() for sample in family.samples]
    names: dict[str, set[str]] = {sample.name: set(sample.labels) for sample in served}
    metrics = [*run.registry.collect(), *registry.collect()]
    return {**{metric.name: set() for metric in metrics}, **names}


def test_alerts_name_metrics_and_labels_that_are_there(tmp_path: Path, first_run: Undisturbed) -> None:
    known = dict(every_metric(tmp_path))
    registry = CollectorRegistry()
    metrics = RootMetrics(registry)
    survey_into(metrics, str(first_run.root))
    known |= {sample.name: set(sample.labels) for family in registry.collect() for sample in family.samples}
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert len(rules) > 5
    for rule in rules:
        named = re.findall(r"\bwxpipe_\w+", rule["expr"])
        assert named, rule["alert"]
        for name in named:
            assert name in known, f"{rule['alert']}: no metric {name}"
        labels = set(re.findall(r"\{(\w+)=", rule["expr"])) | set(re.findall(r"\$labels\.(\w+)", str(rule)))
        assert labels <= {label for name in named for label in known[name]} | {"instance"}, rule["alert"]
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert {"summary", "remedy"} == set(rule["annotations"])


def test_names_follow_the_conventions(tmp_path: Path) -> None:
    for name in every_metric(tmp_path):
        assert re.fullmatch(r"wxpipe(_[a-z]+)+", name), name
        assert not re.search(r"_(minutes|hours|ms|kb|mb)\b", name), f"{name}: seconds and bytes only"
