"""Releases and promotions as objects: which were built, which one serves, and which one served before.

Both are numbered and written by put-if-absent. A release is never changed; the highest promotion names the current one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from wxpipe.errors import DamagedError, NotFoundError, RefusedError, WxpipeError
from wxpipe.store.root import Root
from wxpipe.vectors.content import DayContent
from wxpipe.vectors.tables import SPECS, SourceDay, TableSpec, Unit, open_table, steering_lance

RELEASES, PROMOTIONS = "releases", "promotions"


@dataclass(frozen=True)
class TableVersion:
    """A table as a release has it; ``index`` has its ``kind`` (``exact``, ``ivf_flat``) and what was measured."""

    table: str
    version: int
    rows: int
    digest: str
    index: Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """What a release has of one model: the sources that it embeds, and its tables by ``clips`` and ``frames``."""

    model: str
    trained: bool
    sources: tuple[str, ...]
    tables: Mapping[str, TableVersion]

    def open(self, root: Root, spec: TableSpec) -> Any:
        """A table at its version: a reader never sees what is built meanwhile."""
        there = self.tables[spec.name]
        return open_table(root, there.table, there.version)


@dataclass(frozen=True)
class ReleaseRecord:
    """What was built and checked together.

    Attributes:
        parts: one a model; satellites differ in channels, so each source has its own.
        days: ``<source>/<day>`` to the output of its embedding.
        contents: ``<source>/<day>`` to (rows, digest) by ``clips`` and ``frames``; what the tables are checked by.
        follows: the release whose rows these are, where upkeep made this one.
    """

    number: int
    parts: tuple[Part, ...]
    days: Mapping[str, str]
    contents: Mapping[str, Mapping[str, tuple[int, str]]]
    created: str = ""
    follows: int | None = None

    @property
    def tag(self) -> str:
        return tag_of(self.number)

    @property
    def models(self) -> dict[str, str]:
        """The model of each source."""
        return {source: part.model for part in self.parts for source in part.sources}

    def part(self, source: str) -> Part:
        """The part that a source is in.

        Raises:
            NotFoundError: it is in none; names those that are.
        """
        for part in self.parts:
            if source in part.sources:
                return part
        raise NotFoundError(
            f"release {self.number} has no vectors of {source}; it has {', '.join(sorted(self.models))}"
        )

    def part_of(self, model: str) -> Part | None:
        return next((part for part in self.parts if part.model == model), None)

    def rows(self, unit: Unit) -> int:
        """Rows of all its clip, or frame, tables."""
        return sum(part.tables[SPECS[unit].name].rows for part in self.parts)

    def content_of(self, spec: TableSpec, sources: Collection[str]) -> dict[SourceDay, DayContent]:
        """Rows and digest of each day of some sources, in one kind of table."""
        days = {SourceDay.parse(key): DayContent(*parts[spec.name]) for key, parts in self.contents.items()}
        return {day: content for day, content in days.items() if day.source in sources}


def tag_of(number: int) -> str:
    """The Lance tag that keeps a release's versions from cleanup."""
    return f"release-{number}"


def now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def release_numbers(root: Root) -> list[int]:
    return _numbers(root, RELEASES)


def promotion_numbers(root: Root) -> list[int]:
    return _numbers(root, PROMOTIONS)


def list_releases(root: Root) -> list[ReleaseRecord]:
    """Every release, oldest first."""
    return [get_release(root, number) for number in release_numbers(root)]


def get_release(root: Root, number: int) -> ReleaseRecord:
    """A release by number.

    Raises:
        NotFoundError: there is none; names those that there are.
    """
    try:
        data = root.objects.get(f"{RELEASES}/{number}.json")
    except NotFoundError as error:
        known = ", ".join(map(str, release_numbers(root))) or "none"
        raise NotFoundError(f"{root.url} has no release {number}; releases: {known}") from error
    try:
        return _parse(json.loads(data))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"{RELEASES}/{number}.json is damaged ({error}); delete it and build again") from error


def _parse(document: dict[str, Any]) -> ReleaseRecord:
    parts = tuple(
        Part(
            part["model"],
            part["trained"],
            tuple(part["sources"]),
            {name: TableVersion(**table) for name, table in part["tables"].items()},
        )
        for part in document.pop("parts")
    )
    contents = {
        day: {name: (rows, digest) for name, (rows, digest) in kinds.items()}
        for day, kinds in document.pop("contents").items()
    }
    return ReleaseRecord(parts=parts, contents=contents, **document)


def newest_release(root: Root, model: str | None = None) -> ReleaseRecord | None:
    """The newest release, or the newest with a model: that model's tables stand at or after its versions."""
    for number in reversed(release_numbers(root)):
        release = get_release(root, number)
        if model is None or release.part_of(model) is not None:
            return release
    return None


def put_release(root: Root, release: ReleaseRecord) -> None:
    """Publishes a release under its number.

    Raises:
        RefusedError: another build took the number meanwhile.
    """
    data = json.dumps(asdict(release), indent=1, sort_keys=True).encode()
    if not root.objects.put_if_absent(f"{RELEASES}/{release.number}.json", data):
        raise RefusedError(f"release {release.number} was published by another build meanwhile; build again")


def promoted(root: Root) -> list[int]:
    """The releases that were promoted, in order; the last one is current."""
    numbers = promotion_numbers(root)
    return [promotion(root, number) for number in numbers]


def promotion(root: Root, number: int) -> int:
    """The release that a promotion names.

    Raises:
        DamagedError: it names none.
    """
    key = f"{PROMOTIONS}/{number}.json"
    try:
        return int(json.loads(root.objects.get(key))["release"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{key} is damaged ({error}); delete it and promote again") from error


def current_number(root: Root) -> int | None:
    """The number of the release that serves; None before the first promotion."""
    numbers = _numbers(root, PROMOTIONS)
    return promotion(root, numbers[-1]) if numbers else None


def current_release(root: Root) -> ReleaseRecord | None:
    """The release that serves; None before the first promotion."""
    number = current_number(root)
    return None if number is None else get_release(root, number)


def require_current(root: Root) -> ReleaseRecord:
    """The release that serves.

    Raises:
        NotFoundError: none was promoted yet.
    """
    release = current_release(root)
    if release is None:
        raise NotFoundError(
            f"{root.url} has no current release; `wxpipe backfill` makes one (or `wxpipe release build`, then promote)"
        )
    return release


@steering_lance()
def promote(root: Root, number: int | None = None) -> ReleaseRecord:
    """Makes a release the current one, the newest unless one is named; the current one again changes nothing.

    Raises:
        NotFoundError: no such release, or a version of its tables is gone.
        WxpipeError: a table does not have the rows that the release names.
    """
    numbers = release_numbers(root)
    if number is None and not numbers:
        raise NotFoundError(f"{root.url} has no release to promote; `wxpipe release build` makes one")
    release = get_release(root, numbers[-1] if number is None else number)
    _check_opens(root, release)
    while current_number(root) != release.number:
        following = max(_numbers(root, PROMOTIONS), default=0) + 1
        data = json.dumps({"release": release.number, "promoted": now()}, indent=1).encode()
        if root.objects.put_if_absent(f"{PROMOTIONS}/{following}.json", data):
            break
    return release


def rollback(root: Root) -> ReleaseRecord:
    """Promotes the release that served before; each rollback goes further back.

    Raises:
        RefusedError: no older release was ever promoted.
    """
    serving = require_current(root).number
    older = [number for number in promoted(root) if number < serving]
    if not older:
        raise RefusedError(
            f"release {serving} is current and no older one was ever promoted; there is nothing to go back to"
        )
    return promote(root, max(older))


def _check_opens(root: Root, release: ReleaseRecord) -> None:
    for part in release.parts:
        for spec in SPECS.values():
            there, rows = part.tables[spec.name], part.open(root, spec).count_rows()
            if rows != there.rows:
                raise WxpipeError(
                    f"release {release.number}: table {there.table} expected {there.rows} rows, found {rows}; "
                    "build a new release"
                )


def _numbers(root: Root, folder: str) -> list[int]:
    stems = (name.removesuffix(".json") for name in root.objects.names(folder))
    return sorted(int(stem) for stem in stems if stem.isdigit())
