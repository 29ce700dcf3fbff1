"""How fast a stage goes, and when the rest of it will be through: said only where it means something."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

LEAST_DONE, LEAST_SECONDS = 5, 5.0
"""Partitions that must have come, and seconds that must have gone by, before anything is foretold."""
RECENT = 40
"""Partitions of a source that tell how fast it goes now."""
NEARLY, AT_MOST = 1.3, 3.0
"""Two estimates this close are told as one, and this far apart as a range; further apart nothing is."""


@dataclass
class _Measured:
    """Partitions of one source: how many are left, and the seconds of those that came."""

    left: int = 0
    done: int = 0
    seconds: float = 0.0
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))


class Pace:
    """Of one stage in one run. What is left is weighed by measured seconds, source by source, and not by counts:
    a day of sixteen channels is not a day of four.

    Args:
        now: seconds of any clock that only goes forward; all times are of the same.
    """

    def __init__(self, now: float) -> None:
        self._began = now
        self._sources: dict[str, _Measured] = {}

    def more(self, partitions: Mapping[str, int]) -> None:
        """So many partitions of some sources are to be done besides."""
        for source, count in partitions.items():
            self._of(source).left += count

    def came(self, source: str, seconds: float) -> None:
        """A partition came to its end; 0 seconds where that was not measured."""
        measured = self._of(source)
        measured.left = max(0, measured.left - 1)
        if seconds > 0:
            measured.done += 1
            measured.seconds += seconds
            measured.recent.append(seconds)

    def left(self, now: float) -> tuple[float, float] | None:
        """Seconds until the rest is done, at the least and at the most; None where that cannot be told.

        The workers' share of the time that went by (several at once, pauses between) is taken as it was so far.
        """
        done = sum(measured.done for measured in self._sources.values())
        seconds = sum(measured.seconds for measured in self._sources.values())
        elapsed = now - self._began
        remaining = sum(measured.left for measured in self._sources.values())
        if done < LEAST_DONE or elapsed < LEAST_SECONDS or not seconds or not remaining:
            return None
        unknown = sum(m.left for m in self._sources.values() if not m.done)
        if 2 * unknown > remaining:
            return None
        whole, recent = 0.0, 0.0
        for m in self._sources.values():
            whole += m.left * (m.seconds / m.done if m.done else seconds / done)
            recent += m.left * (sum(m.recent) / len(m.recent) if m.recent else seconds / done)
        low, high = sorted((whole * elapsed / seconds, recent * elapsed / seconds))
        return (low, high) if high <= AT_MOST * low else None

    def _of(self, source: str) -> _Measured:
        return self._sources.setdefault(source, _Measured())


def told(left: tuple[float, float] | None) -> str:
    """What is left in a few words, empty where it cannot be told."""
    if left is None:
        return ""
    low, high = left
    if high <= NEARLY * low or high < 90:
        return f"about {in_words(high)} left"
    return f"{in_words(low)} to {in_words(high)} left"


def in_words(seconds: float) -> str:
    """A stretch of time, rounded as people say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"
