"""Random numbers by position: each is a hash of a seed and a counter, the same on every machine.

numpy does not promise its generators' streams across versions, and these numbers are part of the data.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

GOLDEN = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1
_BLOCK = 1 << 18  # a block of counters stays in cache through the ten passes that it takes


def splitmix64(seed: int, index: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return the outputs at `index` of a SplitMix64 generator that began at `seed`.

    Args:
        seed: any integer; its lowest 64 bits count.
        index: uint64, any shape; 0 is the first output of the generator.

    Returns:
        uint64, the shape of `index`.

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014), with Stafford's
    thirteenth mix.
    """
    z = (index + np.uint64(1)) * np.uint64(GOLDEN) + np.uint64(seed & _WORD)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def derived_seed(seed: int, *path: int) -> int:
    """Return a seed of its own for a purpose within `seed`, e.g. ``derived_seed(seed, SHUFFLE, epoch)``.

    Args:
        seed: the recorded seed.
        path: integers of 0 to 2^64 - 1, read from left to right.
    """
    for step in path:  # `splitmix64` of one number, in Python's integers: ten times as fast as in an array
        z = ((step + 1) * GOLDEN + seed) & _WORD
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _WORD
        seed = z ^ (z >> 31)
    return seed


def uniform(seed: int, start: int, count: int, bound: float) -> npt.NDArray[np.float32]:
    """Return draws `start` to `start + count` of the uniform distribution on [-bound, bound).

    The highest 53 bits of the hash make a float64 in [0, 1); scaling and the cast to float32 are each one
    correctly rounded operation, so that the numbers do not depend on the machine.

    Returns:
        float32 (count,).
    """
    out = np.empty(count, np.float32)
    for begin in range(0, count, _BLOCK):
        end = min(begin + _BLOCK, count)
        words = splitmix64(seed, np.arange(start + begin, start + end, dtype=np.uint64))
        unit = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
        out[begin:end] = (2.0 * unit - 1.0) * bound
    return out


def permutation(seed: int, count: int) -> npt.NDArray[np.int64]:
    """Return the numbers 0 to `count` - 1 in an order drawn by `seed` (sorted by hash, ties by number).

    Returns:
        int64 (count,).
    """
    keys = splitmix64(seed, np.arange(count, dtype=np.uint64))
    return np.argsort(keys, kind="stable").astype(np.int64)
