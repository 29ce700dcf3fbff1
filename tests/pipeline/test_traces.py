"""Spans: one a partition for whoever set a tracer up, and nothing but the result for everybody else."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Status, StatusCode, Tracer, TracerProvider

from tests.pipeline.fake_stage import SOURCE, context_of
from wxpipe.pipeline.execute import execute
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers, run_stage


class Kept(NonRecordingSpan):
    """A span that keeps what it is told."""

    def __init__(self, name: str, attributes: dict[str, Any]) -> None:
        super().__init__(trace.INVALID_SPAN_CONTEXT)
        self.name, self.attributes, self.status = name, dict(attributes), StatusCode.UNSET

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def set_status(self, status: Any, description: str | None = None) -> None:
        assert isinstance(status, Status)
        self.status = status.status_code


class KeepingTracer(Tracer):
    def __init__(self, kept: list[Kept]) -> None:
        self.kept = kept

    def start_span(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    @contextmanager
    def start_as_current_span(self, name: str, *_: Any, attributes: Any = None, **__: Any) -> Iterator[Kept]:  # type: ignore[override]
        span = Kept(name, attributes)
        self.kept.append(span)
        yield span


class KeepingProvider(TracerProvider):
    def __init__(self) -> None:
        self.kept: list[Kept] = []

    def get_tracer(self, *_: Any, **__: Any) -> Tracer:
        return KeepingTracer(self.kept)


@pytest.mark.usefixtures("fake_stages")
def test_each_partition_is_a_span_with_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = KeepingProvider()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    run_stage("fake", context_of(tmp_path, "ok", "refuses"), Range(), Workers())
    done, failed = provider.kept
    assert done.name == "fake"
    assert done.attributes == {
        "wxpipe.stage": "fake", "wxpipe.source": SOURCE, "wxpipe.partition": f"{SOURCE}/2020-01-01",
        "wxpipe.state": "done",
    }  # fmt: skip
    assert (done.status, failed.status) == (StatusCode.UNSET, StatusCode.ERROR)


def test_what_workers_are_sent_is_the_function_itself() -> None:
    assert pickle.loads(pickle.dumps(execute)) is execute
