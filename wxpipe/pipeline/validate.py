"""`wxpipe validate`: is what is stored what was written, and is everything there? Content, read through; no presence.

Checks are data (`CHECKS`). Those of single partitions are spread over workers; each finding says where, what was
expected, what is there, and what to do. A repair asks for the damaged partitions by a request; a backfill makes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from wxpipe.draws import derived_seed, permutation
from wxpipe.errors import UsageError, WxpipeError
from wxpipe.pipeline import partition_checks, root_checks
from wxpipe.pipeline.backfill import count_quarantined
from wxpipe.pipeline.findings import Check, Due, Finding, in_range, known_stages
from wxpipe.pipeline.partition_checks import Looker, guarded
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.run import Workers
from wxpipe.pipeline.stages import NAMES
from wxpipe.store.root import Root

CHECKS: tuple[Check, ...] = (*partition_checks.CHECKS, *root_checks.CHECKS)
AT_ONCE = 64
"""Partitions that go to workers together: a progress bar moves when they are back."""

Progress = Callable[[int, int, str], None]
"""Is told how many of how many steps are done, and what comes next."""


@dataclass(frozen=True)
class Wanted:
    """What a validation looks at.

    Attributes:
        range: sources, days and stages.
        sample: so many partitions of each stage, drawn; 0: all.
        seed: of the draw.
    """

    range: Range = field(default_factory=Range)
    sample: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sample < 0:
            raise UsageError(f"--sample {self.sample}: expected the number of partitions of each stage, or 0 for all")


@dataclass(frozen=True)
class Validation:
    """What a validation came to.

    Attributes:
        looked_at: partitions by stage, and `there`, how many of them the ledger calls done.
        quarantined: inputs that are put aside in the root; no damage, and yet not all is there.
    """

    wanted: Wanted
    findings: tuple[Finding, ...]
    checks: tuple[Check, ...]
    looked_at: Mapping[str, int]
    there: Mapping[str, int]
    quarantined: int

    @property
    def differences(self) -> tuple[str, ...]:
        """What does not reconcile, as `status` says it."""
        counts = (finding for finding in self.findings if finding.check == "counts")
        return tuple(f"{f.where}: expected {f.expected}, found {f.found}" for f in counts)

    @property
    def exit_code(self) -> int:
        return 3 if self.findings or self.quarantined else 0

    def document(self) -> dict[str, Any]:
        """The ``validate`` document of CONTRACTS.md."""
        found = Counter(finding.check for finding in self.findings)
        return {
            "reconciled": not self.differences,
            "differences": list(self.differences),
            "quarantined": self.quarantined,
            "sound": not self.findings,
            "findings": [finding.document() for finding in self.findings],
            "checks": [
                {"name": c.name, "looks_at": c.looks_at, "how": c.how, "findings": found[c.name]} for c in self.checks
            ],
            "partitions": {name: {"looked_at": n, "of": self.there[name]} for name, n in self.looked_at.items()},
            "sample": self.wanted.sample or None,
            "seed": self.wanted.seed if self.wanted.sample else None,
        }


def ignore_steps(done: int, total: int, what: str) -> None:
    """Tells nobody."""


def validate(root: Root, wanted: Wanted, workers: Workers, progress: Progress = ignore_steps) -> Validation:
    """Looks at a root, and writes nothing."""
    stages = wanted.range.stages or NAMES
    checks = tuple(check for check in CHECKS if set(check.stages) & set(stages))
    there = {stage: _done(root, wanted.range, stage) for stage in known_stages(stages)}
    drawn = {stage: _draw(keys, wanted, number) for number, (stage, keys) in enumerate(there.items())}
    tasks = [(stage, key) for stage, keys in drawn.items() for key in keys]
    of_root = [check for check in root_checks.CHECKS if check in checks]
    total = len(of_root) + len(tasks)
    findings: list[Finding] = []
    for number, check in enumerate(of_root):
        progress(number, total, check.name)
        findings += guarded(check.name, partial(check.look, root, wanted.range))
    for done, found in _looked(root, tasks, workers):
        findings += found
        progress(len(of_root) + done, total, tasks[min(done, len(tasks) - 1)][0])
    return Validation(
        wanted, tuple(_once(findings)), checks, {stage: len(keys) for stage, keys in drawn.items()},
        {stage: len(keys) for stage, keys in there.items()}, count_quarantined(root),
    )  # fmt: skip


def _done(root: Root, wanted: Range, stage: str) -> list[str]:
    """Keys of a stage's partitions that the ledger calls done, in order."""
    entries = root.ledger.entries(stage)
    return sorted(k for k, entry in entries.items() if entry.state == "done" and in_range(root, wanted, stage, k))


def _draw(keys: list[str], wanted: Wanted, number: int) -> list[str]:
    if not wanted.sample or len(keys) <= wanted.sample:
        return keys
    order = permutation(derived_seed(wanted.seed, number), len(keys))[: wanted.sample]
    return [keys[n] for n in sorted(order.tolist())]


def _looked(root: Root, tasks: Sequence[tuple[str, str]], workers: Workers) -> Iterator[tuple[int, list[Finding]]]:
    """How many tasks are done so far, and what the last of them found."""
    for at in range(0, len(tasks), AT_ONCE):
        group = tasks[at : at + AT_ONCE]
        yield from enumerate(workers.map(Looker(root), group), at + 1)


def _once(findings: Sequence[Finding]) -> list[Finding]:
    """Findings without repetition: several checks may come upon one damaged object."""
    return list({(f.check, f.where, f.found): f for f in findings}.values())


@dataclass(frozen=True)
class Repair:
    """What was done for a repair.

    Attributes:
        requests: numbers of the requests that ask for damaged partitions to be made again.
        asked: the partitions, by stage.
        removed, restored: objects.
    """

    requests: tuple[int, ...]
    asked: Mapping[str, tuple[str, ...]]
    removed: tuple[str, ...]
    restored: tuple[str, ...]


def repair(root: Root, findings: Sequence[Finding]) -> Repair:
    """Restores what is laid out, removes damaged objects that nothing writes over, and asks for the rest."""
    from wxpipe.similarity.histograms import histogram_store
    from wxpipe.store.frames import frame_store
    from wxpipe.store.requests import Request

    restored: list[str] = []
    for source in sorted({finding.lay_out for finding in findings if finding.lay_out}):
        restored += frame_store(root, source).restore_layout()
        for name in root.settings.histograms:
            store = histogram_store(root, source, name)
            if root.objects.names(f"{store.folder}/cdf/c"):
                restored += store.restore_layout()
    removed = sorted({key for finding in findings for key in finding.remove})
    for key in removed:
        root.objects.delete(key)
    due: set[Due] = {pair for finding in findings for pair in finding.again}
    if not root.settings.keep_pictures:  # what is counted again has to be read again before
        due |= {("ingest", key) for stage, key in due if stage == "histograms"}
    asked = {stage: tuple(sorted(key for name, key in due if name == stage)) for stage in NAMES}
    asked = {stage: keys for stage, keys in asked.items() if keys}
    numbers = []
    for stage, keys in asked.items():
        why = f"`wxpipe validate` found {len(keys)} partitions of {stage} damaged"
        numbers.append(root.requests.record(Request("repair", why, (stage,), partitions=keys)).number)
    root.memo.clear()
    return Repair(tuple(numbers), asked, tuple(removed), tuple(restored))


def check_range(root: Root, wanted: Range) -> Range:
    """The range with its sources resolved.

    Raises:
        UsageError: an unknown source or stage, or a range that ends before it begins.
    """
    from wxpipe.pipeline.backfill import Job, check_range

    try:
        return check_range(Job(root.url, wanted=wanted)) if wanted != Range() else wanted
    except WxpipeError as error:
        raise UsageError(str(error)) from error
