"""A stage of any number of days that does nothing: what is left is what the runner itself costs.

Dask workers import this module as a preload.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from wxpipe.pipeline import stages
from wxpipe.store.stage import Context, Outcome, Partition, fingerprint_of

FIRST = date(1990, 1, 1)
DAYS = 10_000
"""Of a source: as many as there are in the longest archive."""


class Empty:
    """By day; ``options["empty"]`` says how many."""

    name = "empty"
    trigger = "by day"
    needs: tuple[str, ...] = ()

    def partitions(self, context: Context) -> Iterable[Partition]:
        for n in range(context.options["empty"]):
            yield Partition(f"empty-{n // DAYS}", FIRST + timedelta(days=n % DAYS))

    def fingerprint(self, partition: Partition, context: Context) -> str:
        return fingerprint_of(day=partition.key)

    def prepare(self, partitions: list[Partition], context: Context) -> None:
        """Nothing to prepare."""

    def run(self, partition: Partition, context: Context) -> Outcome:
        return Outcome({}, "nothing")


def register() -> None:
    if "empty" not in dict(stages.STAGES):
        stages.STAGES = (*stages.STAGES, ("empty", "tests.benchmarks.empty_stage:Empty"))
        stages.NAMES = tuple(name for name, _ in stages.STAGES)


def dask_setup(worker: object) -> None:  # noqa: ARG001 - as Dask calls it
    """What Dask calls in each worker that names this module as a preload."""
    register()
