"""The root as the service has it open: one release with its vectors in memory, and the thread that follows promotions.

A request takes what is open when it begins and keeps it to its end. Another release is opened whole, beside the one
that serves, before it takes its place: nobody waits for it, and nobody sees half.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from wxpipe.errors import NotFoundError, UsageError
from wxpipe.pipeline.logs import log_line
from wxpipe.satellites.catalog import Source
from wxpipe.service.problems import busy, without_places
from wxpipe.store.root import Root
from wxpipe.vectors.answers import Answer, SearchRequest
from wxpipe.vectors.candidates import Searcher
from wxpipe.vectors.lance_searcher import open_lance
from wxpipe.vectors.memory import MemorySearcher, load_searcher
from wxpipe.vectors.records import Part, ReleaseRecord, current_number, get_release
from wxpipe.vectors.search import latest, search
from wxpipe.vectors.tables import SPECS, TableSpec, Unit, utc

ROW_BYTES = 64
"""Of a row in memory beside its numbers: identity, times, coverage."""
NUMBER_BYTES = 9
"""Of a number in memory: itself and its share of the sketch, and once more in the copy that is searched by night."""
REOPEN_SECONDS = 60.0
"""How old an opened root may be: its settings and satellites change, too, where somebody extends it."""

Key = tuple[str, int, str]


@dataclass(frozen=True, eq=False)
class Opened:
    """A root, and the release that serves, if there is one.

    Attributes:
        searchers: in memory, by table, version and source; the others are searched where they lie.
    """

    root: Root
    release: ReleaseRecord | None = None
    searchers: Mapping[Key, MemorySearcher] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)

    def require_release(self) -> ReleaseRecord:
        """The release that serves.

        Raises:
            Problem: 503: none was promoted yet.
        """
        if self.release is None:
            raise busy("no release was promoted yet, so there is nothing to search; `wxpipe backfill` makes one", 60)
        return self.release

    def search(self, request: SearchRequest) -> Answer:
        """As `wxpipe.vectors.search.search`, over this release."""
        return search(self.root, request, self._searcher, self.require_release())

    def latest(self, name: str, unit: Unit) -> datetime:
        """When the latest clip or frame of a source begins.

        Raises:
            NotFoundError: the release has none.
        """
        source, spec = self.root.source(name), SPECS[unit]
        part = self.require_release().part(source.id)
        there = self.searchers.get(_key(part, source.id, spec))
        if there is None:
            return latest(self.root, name, unit)
        if not len(there.vectors):
            raise NotFoundError(f"the release has no {spec.name} of {source.id}")
        return utc(there.vectors.starts[-1])

    def _searcher(self, root: Root, part: Part, source: Source, spec: TableSpec) -> Searcher:
        return self.searchers.get(_key(part, source.id, spec)) or open_lance(root, part, source, spec)


class Follower:
    """Keeps what is promoted open.

    Args:
        url: of the root.
        memory: bytes of vectors, over all sources.
        seconds: between two looks.
    """

    def __init__(self, url: str, memory: int, seconds: float) -> None:
        self.url, self.memory, self.seconds = url, memory, seconds
        self.fault = ""
        self._opened: Opened | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="wxpipe-follow", daemon=True)

    @property
    def opened(self) -> Opened:
        """What is open now.

        Raises:
            Problem: 503: nothing is, yet.
        """
        found = self._opened
        if found is None:
            raise busy("the root is being opened; ask again")
        return found

    @property
    def ready(self) -> bool:
        """Whether a release is open; one that could not be followed by a newer one still serves."""
        return self._opened is not None and self._opened.release is not None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, as soon as it has ended what it does."""
        self._stopping.set()

    def look(self) -> None:
        """Opens what is promoted now, where that is another release, or what is open has become old."""
        there = self._opened
        root = Root(self.url)
        number = current_number(root)
        if there is not None and number == (there.release.number if there.release else None):
            if time.monotonic() - there.since > REOPEN_SECONDS:
                self._opened = Opened(root, there.release, there.searchers)
            return
        release = None if number is None else get_release(root, number)
        began = time.monotonic()
        searchers = {} if release is None else dict(self._load(root, release, there.searchers if there else {}))
        opened = Opened(root, release, searchers)
        _warm(opened)
        self._opened = opened
        rows = sum(len(searcher.vectors) for searcher in searchers.values())
        log_line("opened", release=number, vectors=rows, seconds=round(time.monotonic() - began, 3))

    def _load(
        self, root: Root, release: ReleaseRecord, there: Mapping[Key, MemorySearcher]
    ) -> Iterator[tuple[Key, MemorySearcher]]:
        """Vectors as far as memory goes, clips first; what is in memory already, at the same version, is taken over."""
        left = self.memory
        for spec in SPECS.values():
            for part in release.parts:
                size = _bytes(root, part, spec)
                if size > left:
                    log_line("not in memory", logging.WARNING, table=part.tables[spec.name].table, bytes=size)
                    continue
                left -= size
                for name in part.sources:
                    key = _key(part, name, spec)
                    yield key, there.get(key) or load_searcher(root, part, root.source(name), spec)

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
                self.fault = ""
            except Exception as error:  # a bug, too: the release that is open serves on, and the log has it
                fault = without_places(str(error), self.url)
                if fault != self.fault:
                    log_line("not opened", logging.ERROR, error=str(error))
                self.fault = fault
            self._stopping.wait(self.seconds)


def _warm(opened: Opened) -> None:
    """Searches once in everything that is in memory, so that no client waits for what is compiled at first use.

    Two clips are enough: the ground truth of the other one is worked out, too.
    """
    units = {spec.name: unit for unit, spec in SPECS.items()}
    for searcher in opened.searchers.values():
        if len(searcher.vectors):
            source, unit, first = searcher.source.id, units[searcher.spec.name], utc(searcher.vectors.starts[0])
            for bands in ("all", "ir+wv"):
                with suppress(UsageError):  # not every encoder works by channel
                    opened.search(SearchRequest(source, first, unit=unit, k=1, exclude_hours=0, bands=bands))


def _key(part: Part, source: str, spec: TableSpec) -> Key:
    there = part.tables[spec.name]
    return there.table, there.version, source


def _bytes(root: Root, part: Part, spec: TableSpec) -> int:
    width = part.open(root, spec).schema.field("vector").type.list_size
    return int(part.tables[spec.name].rows * (ROW_BYTES + NUMBER_BYTES * width))
