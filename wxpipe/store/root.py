"""The root: one URL that holds everything. Opens it, knows its settings and satellites, and hands out its parts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from wxpipe.config import FORMAT, DataSettings, RunSettings
from wxpipe.errors import DamagedError, NotFoundError, RefusedError, UsageError, WxpipeError
from wxpipe.satellites.catalog import Source, find_source
from wxpipe.satellites.satellite import Satellite
from wxpipe.store.leases import Leases
from wxpipe.store.ledger import Ledger
from wxpipe.store.objects import LocalObjects, Objects, open_objects
from wxpipe.store.quarantine import QuarantineStore
from wxpipe.store.requests import Requests

if TYPE_CHECKING:
    import zarr

SETTINGS = "wxpipe.toml"
FREE_FIELDS = frozenset({"title", "imagery", "names", "last_day", "unverified", "geography"})
"""Fields of a satellite that may change under a root: they say how files are found and regions called, not what the
data is."""


class Root:
    """An initialised root. Cheap to open, and pickled as its URL, so that workers open their own.

    Args:
        form: the format that it must have; another than this version's is for `migrate` alone.

    Raises:
        NotFoundError: there is no root at the URL.
        RefusedError: it has a format that this version does not read.
    """

    def __init__(self, url: str, form: int = FORMAT) -> None:
        self.objects: Objects = open_objects(url)
        self.url = self.objects.url
        self.ledger = Ledger(self.objects)
        self.quarantine = QuarantineStore(self.objects)
        self.requests = Requests(self.objects)
        self.leases = Leases(self.objects, RunSettings().lease_seconds)
        self.memo: dict[tuple[str, ...], Any] = {}
        """What has been opened or read of this root, for as long as this object lives; a scan clears it."""
        self._read_settings(form)

    def __reduce__(self) -> tuple[type[Root], tuple[str]]:
        return Root, (self.url,)

    def _read_settings(self, form: int) -> None:
        document = read_document(self.objects)
        if document.get("format") != form:
            raise RefusedError(_another_format(self.url, document.get("format")))
        try:
            self.settings = DataSettings.model_validate(document["data"])
            self.satellites = {
                name: Satellite.model_validate(table) for name, table in document.get("satellites", {}).items()
            }
        except (ValidationError, KeyError) as error:
            raise WxpipeError(f"{self.url}/{SETTINGS} is damaged: {error}") from error

    def adopt(self, satellites: Mapping[str, Satellite]) -> None:
        """Takes satellites into the root; those that are there may change in how files are named only.

        Raises:
            RefusedError: a field that defines the data differs.
        """
        for name, satellite in satellites.items():
            if name in self.satellites:
                _refuse_change(name, self.satellites[name], satellite)
        # A definition that was written before the axis was lengthened is none the worse for it.
        longest = {
            name: s.model_copy(update={"last_day": max(s.last_day, self.satellites[name].last_day)})
            if name in self.satellites
            else s
            for name, s in satellites.items()
        }
        merged = {**self.satellites, **longest}
        if merged != self.satellites:
            self.satellites = merged
            self.objects.put(SETTINGS, _document(self.settings, merged))

    def replace_satellite(self, satellite: Satellite) -> None:
        """Takes a changed definition of a satellite that is there; whoever calls has changed what depends on it."""
        self.satellites = {**self.satellites, satellite.name: satellite}
        self.memo.clear()
        self.objects.put(SETTINGS, _document(self.settings, self.satellites))

    def source(self, name: str) -> Source:
        """The source of a name; raises UsageError that lists the root's sources."""
        return find_source(self.satellites, name)

    @property
    def sources(self) -> list[Source]:
        """Every source that has an inventory, by id."""
        names = self.objects.names("inventory")
        return [self.source(name) for name in names if "." not in name]

    def group(self, folder: str) -> zarr.Group:
        """A Zarr group of the root, opened for reading with plain zarr.

        Raises:
            NotFoundError: there is none.
            DamagedError: its document is not one.
        """
        import zarr

        try:
            return zarr.open_group(self.zarr_store(folder), mode="r", zarr_format=3)
        except FileNotFoundError as error:
            raise NotFoundError(f"{self.url}/{folder}: no such Zarr group") from error
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedError(
                f"{self.url}/{folder}/zarr.json: damaged ({error}); `wxpipe validate --repair` writes it again"
            ) from error

    def zarr_store(self, folder: str) -> Any:
        """A folder of the root as a store that zarr and xarray open."""
        if isinstance(self.objects, LocalObjects):
            return str(self.objects.path(folder))
        from wxpipe.store.s3_zarr import BucketFolder

        return BucketFolder(f"{self.url}/{folder}")


def read_document(objects: Objects) -> dict[str, Any]:
    """What a root's settings file says, whatever its format is.

    Raises:
        NotFoundError: there is no root.
    """
    try:
        return tomllib.loads(objects.get(SETTINGS).decode())
    except NotFoundError as error:
        raise NotFoundError(
            f"{objects.url} is not a wxpipe root (it has no {SETTINGS}); `wxpipe backfill` makes one"
        ) from error
    except ValueError as error:
        raise WxpipeError(f"{objects.url}/{SETTINGS} is damaged: {error}") from error


def put_document(objects: Objects, document: Mapping[str, Any]) -> None:
    """Writes a root's settings file."""
    import tomli_w

    objects.put(SETTINGS, tomli_w.dumps(document).encode())


def _another_format(url: str, form: object) -> str:
    older = isinstance(form, int) and 0 < form < FORMAT
    remedy = f"`wxpipe migrate --root {url}` leads to it" if older else "use the version of wxpipe that made it"
    return f"{url} has format {form}, this version reads {FORMAT}; {remedy}"


def init_root(url: str, settings: DataSettings | None = None) -> Root:
    """Opens a root, and makes it first where there is none.

    Raises:
        RefusedError: the root is there with other settings; names them. Or the store settles no races.
    """
    objects = open_objects(url)
    if not objects.exists(SETTINGS):
        objects.require_races_settled()
    objects.put_if_absent(SETTINGS, _document(settings or DataSettings(), {}))
    root = Root(url)
    if settings is not None and settings != root.settings:
        wanted, there = dict(settings), dict(root.settings)
        faults = [
            f"{key}: asked for {wanted[key]}, the root has {there[key]}" for key in wanted if wanted[key] != there[key]
        ]
        raise RefusedError(f"{root.url} was made with other settings ({'; '.join(faults)}); use another root")
    return root


def open_root(url: str) -> Root | None:
    """Opens a root, or answers None where there is none."""
    try:
        return Root(url)
    except NotFoundError:
        return None


def require_root(url: str) -> Root:
    """Opens a root for a reading verb; a missing one is the user's mistake."""
    try:
        return Root(url)
    except NotFoundError as error:
        raise UsageError(str(error)) from error


def _refuse_change(name: str, there: Satellite, wanted: Satellite) -> None:
    old, new = there.model_dump(), wanted.model_dump()
    # Channels are told apart by their place, so their order is data; the dictionaries alone would compare equal.
    old["channels"], new["channels"] = list(old["channels"].items()), list(new["channels"].items())
    different = [key for key in new if key not in FREE_FIELDS and new[key] != old[key]]
    if different:
        key = different[0]
        raise RefusedError(
            f"satellite {name}: {', '.join(different)} differ from what the root was made with "
            f"({key}: {old[key]} there, {new[key]} now); use another root, or `wxpipe extend` to lengthen its life"
        )
    if wanted.last_day > there.last_day:
        raise RefusedError(
            f"satellite {name}: last_day is {there.last_day} in the root and {wanted.last_day} now; "
            "use `wxpipe extend` to lengthen the slot axis"
        )


def _document(settings: DataSettings, satellites: Mapping[str, Satellite]) -> bytes:
    import tomli_w

    document = {
        "format": FORMAT,
        "data": settings.model_dump(mode="json"),
        "satellites": {
            name: satellite.model_dump(mode="json", exclude_none=True) for name, satellite in sorted(satellites.items())
        },
    }
    return tomli_w.dumps(document).encode()
