"""What a root holds now: slots, pictures, clips and stages by source and month, as the `status` contract has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from wxpipe.pipeline.backfill import count_quarantined
from wxpipe.pipeline.coverage import Coverage, by_month, cover, lag_of
from wxpipe.pipeline.coverage_holes import holes_of
from wxpipe.pipeline.coverage_words import FATES
from wxpipe.pipeline.plan import REASONS, Plan, Range, make_plan
from wxpipe.pipeline.reconcile import Difference, reconcile
from wxpipe.pipeline.stages import NAMES
from wxpipe.store.ledger import Entry
from wxpipe.store.root import Root
from wxpipe.store.stage import Context

HOLES_SHOWN = 20
"""Holes of a source that the document has, the longest ones; the page has more."""


@dataclass(frozen=True)
class Survey:
    """A root, looked at once: what status, the coverage page and the exporter of metrics are made of."""

    root: Root
    plan: Plan
    coverages: tuple[Coverage, ...]
    differences: tuple[Difference, ...]
    release: int | None
    when: datetime = field(default_factory=lambda: datetime.now(UTC))


def survey(root: Root) -> Survey:
    """Plans, reconciles and reads the statuses of a root. Writes nothing."""
    from wxpipe.vectors.records import current_number

    plan = make_plan(Context(root), Range())
    return Survey(root, plan, tuple(cover(root, plan)), tuple(reconcile(root)), current_number(root))


def root_status(root: Root) -> dict[str, Any]:
    """The ``status`` document of CONTRACTS.md; the ledger is read once."""
    with root.ledger.holding(*NAMES):
        return status_document(survey(root))


def status_document(found: Survey) -> dict[str, Any]:
    """The ``status`` document of CONTRACTS.md, with months, lag and holes besides."""
    root = found.root
    entries = {stage: root.ledger.entries(stage) for stage in ("ingest", "clips")}
    stages: dict[str, dict[str, Counter[str]]] = {}
    for step in found.plan.steps:
        source = step.partition.source or step.partition.name
        stages.setdefault(source, {}).setdefault(step.stage, Counter())[step.reason] += 1
    covered = {coverage.source.id: coverage for coverage in found.coverages}
    sources = {
        source.id: _source(source.id, entries, stages.get(source.id, {})) | _covered(covered.get(source.id), found.when)
        for source in root.sources
    }
    return {
        "root": root.url,
        "sources": sources,
        "release": found.release,
        "quarantined": count_quarantined(root),
        "reconciled": not found.differences,
        "differences": [str(difference) for difference in found.differences],
    }


def _source(
    source: str, entries: Mapping[str, Mapping[str, Entry]], stages: Mapping[str, Counter[str]]
) -> dict[str, Any]:
    ingested = [e for key, e in entries["ingest"].items() if key.startswith(f"{source}/") and e.state == "done"]
    clips = [e for key, e in entries["clips"].items() if key.startswith(f"{source}/") and e.state == "done"]
    total: Counter[str] = Counter()
    for entry in ingested:
        total.update(entry.counts)
    return {
        "days": len(ingested),
        "slots": {"good": total["frames_good"], "missing": total["frames_missing"]},
        "pictures": {
            name: total[f"pictures_{name}"] for name in ("good", "missing", "quarantined", "suspect", "unscheduled")
        },
        "files": {name: total[f"files_{name}"] for name in ("stored", "quarantined", "duplicate", "vanished")},
        "clips": sum(entry.counts.get("clips", 0) for entry in clips),
        "stages": {stage: {reason: counter[reason] for reason in REASONS} for stage, counter in stages.items()},
    }


def _covered(coverage: Coverage | None, when: datetime) -> dict[str, Any]:
    """What the arrays tell beside the ledger's counts."""
    if coverage is None:
        return {}
    holes = holes_of(coverage)
    lag = lag_of(coverage, when)
    return {
        "first_day": coverage.first_day,
        "last_day": coverage.last_day,
        "scheduled": coverage.scheduled,
        "newest": coverage.newest,
        "lag_seconds": None if lag is None else round(lag),
        "months": by_month(coverage),
        "holes": {
            "count": len(holes),
            "slots": sum(hole.slots for hole in holes),
            "longest": [
                {"from": hole.first, "to": hole.last, "slots": hole.slots, "hours": hole.hours,
                 "why": FATES[hole.fate][0], "reason": hole.reason}
                for hole in holes[:HOLES_SHOWN]
            ],
        },
    }  # fmt: skip
