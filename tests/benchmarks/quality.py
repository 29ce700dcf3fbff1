"""Whether quality is calibrated: what the reliability table of some blocks of time says of answers of the other blocks.

    python -m tests.benchmarks.quality --root ROOT --satellite mini [--samples 2000] [--block-days 20]

The root has a current release. Blocks take turns: each half of them tells what comes after best analogs of a range of
similarity, and is held against what came in the other half, first one way and then the other. An issue asks for an
error of at most .05. Blocks are longer than weather lasts, so that no sky is in both halves but as an analog.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from tests.benchmarks.report import machine
from wxpipe.store.root import Root
from wxpipe.vectors.quality import GOOD, quality_of, reliability
from wxpipe.vectors.quality_sample import LEADS, Sample, measure

DAY_SECONDS = 86_400


def halves(sample: Sample, block_days: int) -> tuple[Sample, Sample]:
    """Every second block, and the others."""
    odd = (sample.starts // (block_days * DAY_SECONDS)) % 2 == 1
    return sample.take(~odd), sample.take(odd)


def errors(told: Sample, held_out: Sample) -> Iterator[tuple[float, int, int, float, float, float]]:
    """(similarity up to, lead, answers, said, came, by chance) of each row of the table, where enough came to tell."""
    rows, low = reliability(told), -np.inf
    for n, row in enumerate(rows):
        high = row.high if n < len(rows) - 1 else np.inf
        part = held_out.take((held_out.similarity > low) & (held_out.similarity <= high))
        for place, coming in enumerate(row.after):
            came = part.after[:, place][~np.isnan(part.after[:, place])]
            if coming.mean is not None and len(came) >= 10:
                yield row.high, LEADS[place], len(came), coming.mean, float(came.mean()), coming.by_chance or np.nan
        low = high


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.quality", description=__doc__.split("\n")[0])
    parser.add_argument("--root", required=True)
    parser.add_argument("--satellite", required=True)
    parser.add_argument("--samples", type=int, default=2_000)
    parser.add_argument("--block-days", type=int, default=20)
    options = parser.parse_args()
    print(machine())
    sample = measure(Root(options.root), options.satellite, samples=options.samples)
    first, second = halves(sample, options.block_days)
    print(f"{len(sample)} past times, {len(first)} and {len(second)} in blocks of {options.block_days} days")
    found = [*errors(first, second), *errors(second, first)]
    print(f"{'up to':>7} {'lead':>5} {'answers':>8} {'said':>7} {'came':>7} {'error':>7} {'by chance':>10}")
    for high, lead, count, said, came, chance in found:
        print(f"{high:7.3f} {lead:4d}h {count:8d} {said:7.3f} {came:7.3f} {came - said:+7.3f} {chance:10.3f}")
    off = np.array([abs(came - said) for *_, said, came, _ in found])
    weight = np.array([count for _, _, count, *_ in found])
    print(f"error: mean {np.average(off, weights=weight):.3f}, largest {off.max():.3f} (asked: at most .05)")
    judged = [quality_of(first, int(t), float(s)) for t, s in zip(second.starts, second.similarity, strict=True)]
    bad = np.mean([quality.good is False for quality in judged])
    print(f"no good analog: {bad:.1%} of the held-out times ({GOOD:.0%} by definition)")


if __name__ == "__main__":
    main()
