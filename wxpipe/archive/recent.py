"""In which folders of an archive the files of recent days lie, and will lie, told from where those before them lay.

A pattern is a folder with the date written as `strftime` does: ``coms/201103/03`` on 3 March 2011 is ``coms/%Y%m/%d``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import product

TOKENS = ("%Y%m%d%H%M", "%Y%m%d%H", "%Y%m%d", "%Y-%m-%d", "%Y_%m_%d", "%Y.%m.%d", "%Y%j", "%Y%m", "%Y-%m", "%Y_%m",
          "%y%m%d", "%y%m", "%Y")  # fmt: skip
"""Ways to write a date within a folder's name; the first that is found is taken."""

WHOLE = ("%m%d", "%j", "%m", "%d", "%H", "%b")
"""Ways that count only where they are the whole name: two digits are found anywhere."""

RECENT_DAYS = 7
"""Days before today, and before a source's last file, whose folders are listed in every update."""

AHEAD_DAYS = 31
"""Days after a source's last file whose folders are looked for, where it has lagged behind."""


@dataclass(frozen=True)
class Seen:
    """A folder in which files of a time lie; ``""`` is the archive itself."""

    folder: str
    time: datetime


def recent_folders(seen: Iterable[Seen], last: date, today: date) -> list[str]:
    """The folders that an update lists, none inside another; ``[""]`` is everything.

    Args:
        seen: folders of the latest files of a source, with a time of each.
        last: the UTC day of its latest file.
        today: the UTC day now.
    """
    pairs = list(seen)
    patterns, fixed = learn(pairs)
    days = {last + timedelta(days=n) for n in range(-RECENT_DAYS, AHEAD_DAYS + 1)}
    days |= {today + timedelta(days=n) for n in range(-RECENT_DAYS, 2)}
    hours = [
        datetime(d.year, d.month, d.day, hour) for d in days if d <= today + timedelta(days=1) for hour in range(24)
    ]
    written = {moment.strftime(pattern) for pattern in patterns for moment in hours}
    return outermost({*written, *fixed})


def learn(seen: Sequence[Seen]) -> tuple[list[str], list[str]]:
    """Patterns that explain folders, the one that explains most first; and folders that hold no date.

    What a pattern explains it gives back exactly. A folder that no date explains is fixed: it is listed as it is.
    """
    candidates = {pattern for one in seen for pattern in candidates_of(one)}
    left, patterns = list(seen), []
    while left:
        # Of patterns that explain as many, the one that takes most for a date: files of one month fit a fixed one, too.
        best = max(candidates, key=lambda p: (sum(_explains(p, s) for s in left), p.count("%"), p), default=None)
        if best is None or not any(_explains(best, one) for one in left):
            break
        patterns.append(best)
        left = [one for one in left if not _explains(best, one)]
        candidates.remove(best)
    return patterns, sorted({one.folder for one in left})


def candidates_of(seen: Seen) -> list[str]:
    """Every pattern with a date in it that gives this folder for its time."""
    each = [_ways(name, seen.time) for name in seen.folder.split("/")]
    plain = seen.folder.replace("%", "%%")
    return [p for p in ("/".join(names) for names in product(*each)) if p != plain and _explains(p, seen)]


def outermost(folders: Iterable[str]) -> list[str]:
    """Folders without those that lie inside another of them, sorted."""
    kept: list[str] = []
    for folder in sorted(set(folders), key=lambda name: name.split("/") if name else []):
        if not any(above in ("", folder) or folder.startswith(f"{above}/") for above in kept[-1:]):
            kept.append(folder)
    return kept


def _ways(name: str, time: datetime) -> list[str]:
    """A folder's name as it is, and with the date that is in it taken out, in every way that is."""
    escaped = name.replace("%", "%%")
    found = [escaped, *(token for token in WHOLE if time.strftime(token) == name)]
    for token in TOKENS:
        text = time.strftime(token)
        if text in escaped:
            found.append(escaped.replace(text, token, 1))
            break
    return found


def _explains(pattern: str, seen: Seen) -> bool:
    return seen.time.strftime(pattern) == seen.folder
