"""What a root holds now: slots, pictures, clips and stages by source, as the `status` contract has it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from wxpipe.pipeline.backfill import count_quarantined
from wxpipe.pipeline.plan import REASONS, Range, make_plan
from wxpipe.pipeline.reconcile import reconcile
from wxpipe.pipeline.stages import NAMES
from wxpipe.store.ledger import Entry
from wxpipe.store.root import Root
from wxpipe.store.stage import Context


def root_status(root: Root) -> dict[str, Any]:
    """The ``status`` document of CONTRACTS.md; the ledger is read once."""
    with root.ledger.holding(*NAMES):
        return _status(root)


def _status(root: Root) -> dict[str, Any]:
    from wxpipe.vectors.records import current_number

    entries = {stage: root.ledger.entries(stage) for stage in ("ingest", "clips")}
    plan = make_plan(Context(root), Range())
    stages: dict[str, dict[str, Counter[str]]] = {}
    for step in plan.steps:
        source = step.partition.source or step.partition.name
        stages.setdefault(source, {}).setdefault(step.stage, Counter())[step.reason] += 1
    differences = reconcile(root)
    sources = {source.id: _source(source.id, entries, stages.get(source.id, {})) for source in root.sources}
    return {
        "root": root.url,
        "sources": sources,
        "release": current_number(root),
        "quarantined": count_quarantined(root),
        "reconciled": not differences,
        "differences": [str(difference) for difference in differences],
    }


def _source(source: str, entries: dict[str, dict[str, Entry]], stages: dict[str, Counter[str]]) -> dict[str, Any]:
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
