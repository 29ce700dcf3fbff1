"""Loads satellites from TOML: those shipped with wxpipe, and a site's own, which add to them or replace them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from wxpipe.errors import UsageError
from wxpipe.satellites.geography import Geography
from wxpipe.satellites.satellite import Area, Satellite


@dataclass(frozen=True)
class Source:
    """A satellite and one of its areas: the unit of every store."""

    satellite: Satellite
    area_name: str

    @property
    def id(self) -> str:
        return f"{self.satellite.name}-{self.area_name}"

    @property
    def area(self) -> Area:
        return self.satellite.areas[self.area_name]

    @property
    def geography(self) -> Geography:
        """Where its pictures lie, and its regions.

        A root that was made before there were regions knows none: those that are shipped then hold, where they are of
        pictures of this size.
        """
        there = self.satellite.geography.get(self.area_name)
        shipped = None if there is not None else _shipped().get(self.satellite.name)
        if shipped is not None and self.area_name in shipped.areas:
            area = shipped.areas[self.area_name]
            if (area.rows, area.columns) == (self.area.rows, self.area.columns):
                there = shipped.geography.get(self.area_name)
        return there or Geography()


def parse_satellite(text: str, origin: str) -> Satellite:
    """Parses one satellite's TOML.

    Raises:
        UsageError: the file is not TOML or breaks the schema; names the file and each field.
    """
    try:
        return Satellite.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{origin}: not TOML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'satellite'}: {e['msg']}" for e in error.errors())
        raise UsageError(f"{origin}: {faults}") from error


def shipped_satellites() -> dict[str, Satellite]:
    """The satellites that come with wxpipe, by name."""
    folder = resources.files("wxpipe.satellites")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return {s.name: s for s in (parse_satellite(f.read_text("utf-8"), f.name) for f in files)}


@cache
def _shipped() -> dict[str, Satellite]:
    return shipped_satellites()


def load_satellites(site: str | Path | None = None) -> dict[str, Satellite]:
    """Shipped satellites, then the site's: a file or a folder of TOML files, each replacing its namesake.

    Raises:
        UsageError: the path does not exist, or a file is wrong.
    """
    found = shipped_satellites()
    if not site:
        return found
    path = Path(site)
    if not path.exists():
        raise UsageError(f"satellites {site}: no such file or folder")
    files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    for file in files:
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{file}: cannot be read: {error}") from error
        satellite = parse_satellite(text, str(file))
        found[satellite.name] = satellite
    return found


def find_source(satellites: Mapping[str, Satellite], name: str) -> Source:
    """The source of a name: a source (`coms-ea`), or a satellite that has one area.

    Raises:
        UsageError: unknown or ambiguous; lists the sources.
    """
    every = {f"{s.name}-{area}": Source(s, area) for s in satellites.values() for area in s.areas}
    if name in every:
        return every[name]
    of_satellite = [source for source in every.values() if source.satellite.name == name]
    if len(of_satellite) == 1:
        return of_satellite[0]
    problem = "has several areas" if of_satellite else "is not known"
    raise UsageError(f"satellite or source {name!r} {problem}; sources: {', '.join(sorted(every))}")
