"""Spans of OpenTelemetry: one a partition, where whoever runs this has set a tracer up; else nothing, at no cost.

The API alone is used, which Prefect brings along. ``opentelemetry-instrument wxpipe backfill ...`` of an
environment with an SDK and an exporter sends them; each process of a cluster has spans of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from wxpipe.pipeline.events import Result
from wxpipe.pipeline.logs import without_secrets
from wxpipe.store.stage import Context, Partition

Execute = Callable[[str, Partition, Context], Result]


def traced(execute: Execute) -> Execute:
    """A span around each partition, with its source, day and state."""

    @wraps(execute)
    def traced_execute(stage_name: str, partition: Partition, context: Context) -> Result:
        attributes = {
            "wxpipe.stage": stage_name, "wxpipe.source": partition.source, "wxpipe.partition": partition.key
        }  # fmt: skip
        # Asked for each time: a tracer may be set up after this module was loaded.
        with trace.get_tracer("wxpipe").start_as_current_span(stage_name, attributes=attributes) as span:
            result = execute(stage_name, partition, context)
            span.set_attribute("wxpipe.state", result.state)
            if result.state != "done":
                span.set_status(Status(StatusCode.ERROR, without_secrets(result.error)))
            return result

    return traced_execute
