"""`wxpipe gc`: removes what nobody needs and nobody is writing. It may run beside anything.

What a run may be writing is told by its leases: what lies under one is removed only while this holds it. Files that
are being written have no lease of their own; those of a writer that runs here, or that were touched lately, stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wxpipe.config import RunSettings
from wxpipe.embedding.train_stage import checkpoint_folder, current_model
from wxpipe.errors import DamagedError, NotFoundError
from wxpipe.pipeline.leftovers import unexplained
from wxpipe.pipeline.run import stage_lease
from wxpipe.similarity.histograms import passed_pictures
from wxpipe.store.leases import Heartbeat, runs_here
from wxpipe.store.objects import ObjectInfo
from wxpipe.store.root import Root
from wxpipe.store.stage import Context
from wxpipe.store.writepoints import write_point

if TYPE_CHECKING:
    from wxpipe.vectors.graph_store import GraphPlace

HOUR = 3600.0


@dataclass(frozen=True)
class Wanted:
    """What is to be removed.

    Attributes:
        dry_run: nothing; only say it.
        grace: seconds that a file must have lain untouched that looks as if it were being written.
        models: also models, vectors and pairs that nothing refers to.
    """

    dry_run: bool = False
    grace: float = HOUR
    models: bool = False


@dataclass(frozen=True)
class Waste:
    """One object that nobody needs."""

    kind: str
    key: str
    size: int
    why: str


@dataclass
class Collection:
    """What was removed, or would be, and what was left alone since somebody may be writing it."""

    removed: list[Waste] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Objects and bytes by kind."""
        kinds = sorted({waste.kind for waste in self.removed})
        of = {kind: [waste.size for waste in self.removed if waste.kind == kind] for kind in kinds}
        return {kind: (len(sizes), sum(sizes)) for kind, sizes in of.items()}


def collect(root: Root, wanted: Wanted) -> Collection:
    """Finds what nobody needs, and removes it.

    Raises:
        DamagedError: the inventory cannot be read, so that nobody can say what belongs to the root.
        StoreError: the root cannot be written.
    """
    sweep = _Sweep(root, wanted, Collection())
    sweep.strays()
    sweep.half_layouts()
    sweep.passed_pictures()
    sweep.checkpoints()
    sweep.graphs()
    sweep.cells()
    sweep.partials()
    sweep.spent_leases()
    if wanted.models:
        sweep.unreferred()
    return sweep.done


@dataclass(frozen=True)
class _Sweep:
    root: Root
    wanted: Wanted
    done: Collection

    def strays(self) -> None:
        """Results that no entry explains and that no run will make again."""
        for stray in unexplained(self.root):
            if stray.due:
                continue
            with self._holding([stray.lease], f"{stray.stage} {stray.key}") as held:
                if held and not self.root.ledger.has(stray.stage, stray.key):
                    for place in stray.lies_in:
                        self._remove("orphan", self._under(place), f"no entry of {stray.stage} explains it")
                        self._prune(place)

    def half_layouts(self) -> None:
        """Zarr groups of layouts that the root does not keep, and that hold no data."""
        for group in self.root.objects.names("histograms"):
            for layout in self.root.objects.names(f"histograms/{group}"):
                folder = f"histograms/{group}/{layout}"
                if layout not in self.root.settings.histograms and not self.root.objects.names(f"{folder}/cdf/c"):
                    self._remove("layout", self._under(folder), "laid out for histograms that the root does not keep")
                    self._prune(folder)

    def passed_pictures(self) -> None:
        """Of a root that keeps none: what a run that was killed did not come to let go of."""
        for lease, keys in passed_pictures(self.root).items():
            with self._holding([lease], f"pictures of {lease}") as held:
                for key in keys if held and lease in passed_pictures(self.root) else []:
                    self._remove("picture", self._under(key), "it is counted, and this root keeps no pictures")

    def checkpoints(self) -> None:
        """Of trainings that came to a model."""
        for source in self.root.objects.names("checkpoints"):
            folder, lease = checkpoint_folder(source), stage_lease("train", source)
            with self._holding([lease], folder) as held:
                entry = self.root.ledger.get("train", source)
                if held and entry is not None and entry.state == "done":
                    self._remove("checkpoint", self._under(folder), f"the training came to {entry.output}")
                    self._prune(folder)

    def graphs(self) -> None:
        """Those of releases that nobody goes back to, and what builds left that did not come to a graph."""
        from wxpipe.vectors.graph_store import FOLDER, GraphPlace
        from wxpipe.vectors.tables import SPECS

        for source in self.root.objects.names(FOLDER):
            for place in (GraphPlace(source, unit) for unit in SPECS):
                with self._holding([place.lease], place.folder) as held:
                    if held:
                        self._graphs_of(place)

    def _graphs_of(self, place: GraphPlace) -> None:
        from wxpipe.vectors.graph_store import needed_graphs

        try:
            needed = needed_graphs(self.root, place)
        except (DamagedError, NotFoundError) as error:
            self.done.kept.append(f"{place.folder}: {error}")
            return
        names = [name.rpartition(".") for name in self.root.objects.names(place.folder)]
        for stem in (stem for stem, _, kind in names if kind == "json" and int(stem) not in needed):
            self._remove("graph", self._under(f"{place.folder}/{stem}.json"), "a newer one took its place")
        for stem in (stem for stem, _, kind in names if kind == "zarr" and stem not in needed.values()):
            folder = f"{place.folder}/{stem}.zarr"
            self._remove("graph", self._under(folder), "no graph that is needed has it")
            self._prune(folder)

    def cells(self) -> None:
        """Months of the cell-major copy that newer ones took the place of, and what was left of making them."""
        from wxpipe.similarity.cell_months import FOLDER, lease_of, spent_cells

        for source in [source for source in self.root.sources if self.root.objects.names(f"{FOLDER}/{source.id}")]:
            with self._holding([lease_of(source)], f"{FOLDER}/{source.id}") as held:
                for place, why in list(spent_cells(self.root, source)) if held else ():
                    self._remove("cells", self._under(place), why)
                    self._prune(place)

    def partials(self) -> None:
        """What dead writers left. A file that is still being written, were it removed, fails its writer's put."""
        for partial in self.root.objects.partials():
            if runs_here(partial.process) or abs(partial.age) <= self.wanted.grace:  # clocks jump both ways
                continue
            info = ObjectInfo(partial.key, partial.size, "")
            self._remove("partial", [info], f"process {partial.process} left it {partial.age / HOUR:.1f} hours ago")

    def spent_leases(self) -> None:
        """All epochs but the latest of each lease."""
        for key in self.root.leases.leased():
            spent = [ObjectInfo(name, 0, "") for name in self.root.leases.spent(key)]
            self._remove("lease", spent, f"an epoch of {key} that is over")

    def unreferred(self) -> None:
        """Models, their vectors, and pairs that no release, no ledger entry and no latest model refers to."""
        sources = [source.id for source in self.root.sources]
        leases = [stage_lease("train", s) for s in sources] + [stage_lease("release", "default")]
        writing = [key for key in self.root.leases.leased() if self.root.leases.is_held(key)]
        if writing:
            self.done.kept.append(f"models, vectors and pairs: a run holds {writing[0]}")
            return
        with self._holding(leases, "models, vectors and pairs") as held:
            if not held:
                return
            needed = referred_models(self.root)
            for folder, why in _unreferred_folders(self.root, needed, sources):
                self._remove("model", self._under(folder), why)
                self._prune(folder)

    @contextmanager
    def _holding(self, leases: list[str], what: str) -> Iterator[bool]:
        """Holds leases while the block lasts; False where another run has one. A dry run only looks."""
        if self.wanted.dry_run:
            free = not any(self.root.leases.is_held(lease) for lease in leases)
            self.done.kept += [] if free else [f"{what}: a run holds {' or '.join(leases)}"]
            yield free
            return
        with ExitStack() as stack:
            for key in leases:
                lease = self.root.leases.try_acquire(key)
                if lease is None:
                    self.done.kept.append(f"{what}: a run holds {key}")
                    yield False
                    return
                stack.enter_context(Heartbeat(self.root.leases, lease, RunSettings().lease_seconds / 5))
            yield True

    def _under(self, place: str) -> list[ObjectInfo]:
        """The object of a key, or all below a folder."""
        parent = place.rpartition("/")[0]
        below = list(self.root.objects.walk(place))
        return below or [info for info in self.root.objects.walk(parent) if info.key == place]

    def _remove(self, kind: str, objects: Iterable[ObjectInfo], why: str) -> None:
        for info in objects:
            if not self.wanted.dry_run:
                write_point(f"before delete {info.key}")
                self.root.objects.delete(info.key)
            self.done.removed.append(Waste(kind, info.key, info.size, why))

    def _prune(self, folder: str) -> None:
        if not self.wanted.dry_run:
            self.root.objects.prune(folder)


def referred_models(root: Root) -> set[str]:
    """Models that a release serves, that a training came to last, or that embedded days are of."""
    from wxpipe.embedding.embed_stage import Embed
    from wxpipe.pipeline.findings import partition_of
    from wxpipe.vectors.records import list_releases

    needed = {part.model for release in list_releases(root) for part in release.parts}
    needed |= {current_model(root, source.id) for source in root.sources}
    stage, context = Embed(), Context(root)
    root.ledger.preload("embed", "clips", "ingest", "train")
    try:
        for key, entry in root.ledger.entries("embed").items():
            if entry.state == "done":
                needed.add(stage.recorded_model(partition_of(root, "embed", key), context))
    finally:
        root.ledger.forget()
    return needed - {""}


def _unreferred_folders(root: Root, needed: set[str], sources: list[str]) -> Iterator[tuple[str, str]]:
    """(folder, why)."""
    from wxpipe.embedding.train_stage import model_folder, read_model_card
    from wxpipe.errors import RefusedError

    learned_from = set()
    for model in sorted(needed):
        try:
            card = read_model_card(root, model)
        except (NotFoundError, RefusedError):
            continue
        learned_from |= {card.data.pairs} if card.data else set()
    for name in root.objects.names("models"):
        for fingerprint in root.objects.names(f"models/{name}"):
            if f"{name}-{fingerprint}" not in needed:
                yield model_folder(f"{name}-{fingerprint}"), "a model that nothing refers to"
    for model in root.objects.names("vectors"):
        if model not in needed:
            yield f"vectors/{model}", "vectors of a model that nothing refers to"
    for pairs in root.objects.names("pairs"):
        if pairs not in learned_from and pairs not in sources and not root.ledger.has("pairs", pairs):
            yield f"pairs/{pairs}", "pairs that no model learned from"
