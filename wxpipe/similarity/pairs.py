"""The `pairs` stage: triples of clips with their ground truth, drawn in blocks so that each grid CDF is read once.

The days of a split are dealt into blocks; triples are drawn within a block, whose CDFs fit in memory. A block is read
once and compared at once, on whichever worker takes it. The result is a frozen snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wxpipe.draws import derived_seed, permutation
from wxpipe.errors import NotFoundError
from wxpipe.similarity.clip_ks import clip_similarities
from wxpipe.similarity.clip_stage import read_clips
from wxpipe.similarity.histograms import HistogramStore, histogram_store, stored_cell_sizes
from wxpipe.similarity.ks import round_cdfs
from wxpipe.similarity.splits import SPLITS, split_days
from wxpipe.similarity.strategies import StrategyName, get_strategy
from wxpipe.store.root import Root
from wxpipe.store.stage import Context, Outcome, Partition, fingerprint_of
from wxpipe.store.tables import get_table, put_table, table_digest

CONTRACT = 1
SCHEMA = pa.schema(
    [
        ("x", pa.string()),
        ("y", pa.string()),
        ("z", pa.string()),
        ("sim_xy", pa.float64()),
        ("sim_xz", pa.float64()),
        ("split", pa.string()),
    ]
)


@dataclass(frozen=True)
class PairSettings:
    """How triples are drawn.

    Args:
        triples: how many, over all splits, in proportion to their days.
        days_a_block: days whose CDFs are in memory at once (COMS: 44 kB a frame, 4 MB a day).
        seed: of the counter-based draws.
        strategy: ``random``, as published; ``distant``, those whose y and z are of other events; ``stratified``, even
            over similarity; ``hard``, the most similar clips of other events.
    """

    triples: int = 4000
    days_a_block: int = 64
    seed: int = 1
    strategy: StrategyName = "random"


@dataclass(frozen=True)
class Block:
    """Some days of one split, and how many triples are drawn from them."""

    source: str
    split: str
    days: tuple[date, ...]
    triples: int
    seed: int
    strategy: StrategyName = "random"


class Pairs:
    """Draws triples within the blocks of a split, and computes their similarities."""

    name = "pairs"
    trigger = "on request"
    needs = ("histograms", "clips")

    def partitions(self, context: Context) -> Iterable[Partition]:
        return [Partition(s.id, name=s.id) for s in context.root.sources if s.satellite.clip is not None]

    def fingerprint(self, partition: Partition, context: Context) -> str:
        settings = pair_settings(context)
        return fingerprint_of(contract=CONTRACT, settings=asdict(settings), truth=context.root.settings.histograms[0])

    def prepare(self, partitions: list[Partition], context: Context) -> None:
        """Nothing to prepare."""

    def run(self, partition: Partition, context: Context) -> Outcome:
        root, source = context.root, partition.name
        days = clip_days(root, source)
        blocks = plan_blocks(days, source, pair_settings(context))
        tables = list(context.mapper(_BlockRunner(root), blocks))
        table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
        put_table(root.objects, f"pairs/{source}/triples.parquet", table)
        back = read_triples(root, source)
        digest = table_digest(back, SCHEMA.names)
        splits = back["split"].to_pylist()
        return Outcome({"days": len(days), "triples": len(back), **{s: splits.count(s) for s in SPLITS}}, digest)

    def read_back(self, partition: Partition, context: Context) -> str:
        return table_digest(read_triples(context.root, partition.name), SCHEMA.names)


def newer_days(root: Root, source: str) -> int:
    """Days with clips that a source's frozen triples do not know of."""
    entry = root.ledger.get("pairs", source)
    return max(0, len(clip_days(root, source)) - entry.counts.get("days", 0)) if entry is not None else 0


def pair_settings(context: Context) -> PairSettings:
    """The settings of a run: the defaults, and what its options change."""
    names = PairSettings.__dataclass_fields__
    return PairSettings(**{k.removeprefix("pairs_"): v for k, v in context.options.items()
                           if k.startswith("pairs_") and k.removeprefix("pairs_") in names})  # fmt: skip


def clip_days(root: Root, source: str) -> list[date]:
    """Days on which clips of a source begin, in order."""
    entries = root.ledger.entries("clips")
    return sorted(
        date.fromisoformat(key.partition("/")[2])
        for key, entry in entries.items()
        if key.startswith(f"{source}/") and entry.state == "done" and entry.counts.get("clips", 0) > 0
    )


def plan_blocks(days: list[date], source: str, settings: PairSettings) -> list[Block]:
    """Deals the days of each split into blocks, at random, and the triples to the blocks by their days."""
    splits = split_days(days)
    blocks = []
    for number, split in enumerate(SPLITS):
        mine = [day for day in days if splits.get(day) == split]
        order = permutation(derived_seed(settings.seed, number), len(mine))
        dealt = [mine[n] for n in order.tolist()]
        for at in range(0, len(dealt), settings.days_a_block):
            part = tuple(sorted(dealt[at : at + settings.days_a_block]))
            count = round(settings.triples * len(part) / len(splits))
            seed = derived_seed(settings.seed, number, at)
            blocks.append(Block(source, split, part, count, seed, settings.strategy))
    return blocks


@dataclass(frozen=True)
class _BlockRunner:
    """Computes one block; a class and not a closure, so that workers can unpickle it."""

    root: Root

    def __call__(self, block: Block) -> pa.Table:
        return block_triples(self.root, block)


def block_triples(root: Root, block: Block) -> pa.Table:
    """Draws a block's triples and computes their similarities (`SCHEMA`); each CDF is read once."""
    clips = pa.concat_tables([read_clips(root, block.source, day) for day in block.days])
    if len(clips) < 3 or not block.triples:
        return SCHEMA.empty_table()
    strategy = get_strategy(block.strategy)
    starts = np.array([int(start.timestamp()) for start in clips["start"].to_pylist()], np.int64)
    compared = strategy.compare(starts, block.triples, block.seed)
    used, local = np.unique(compared.pairs, return_inverse=True)
    slots = np.asarray(clips["slots"].take(pa.array(used)).to_pylist(), np.int64)
    cdfs, positions = _rounded_cdfs(root, block.source, slots)
    similarities = clip_similarities(cdfs, positions, local.reshape(-1, 2))
    drawn = strategy.choose(compared, similarities.reshape(compared.partners.shape), starts, block.triples)
    names = clips["clip_id"].to_pylist()
    columns = {
        **{name: [names[n] for n in drawn.triples[:, i].tolist()] for i, name in enumerate("xyz")},
        "sim_xy": drawn.similarities[:, 0],
        "sim_xz": drawn.similarities[:, 1],
        "split": [block.split] * len(drawn.triples),
    }
    return pa.table(columns, schema=SCHEMA)


def _rounded_cdfs(
    root: Root, source: str, slots: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The block's working set, uint8, read a day at a time, and the clips' frames as positions in it."""
    store = histogram_store(root, source)
    frames, positions = np.unique(slots, return_inverse=True)
    step = store.axis.slots_per_day
    parts = [read_rounded(store, frames[at : at + step]) for at in range(0, len(frames), step)]
    return np.concatenate(parts), positions.reshape(slots.shape)


def read_rounded(store: HistogramStore, slots: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """CDFs of some slots, rounded by the cells of each picture's own height, (n, channel, bin, cell)."""
    counts = store.read(slots)
    if len(store.area.heights) == 1:
        return round_cdfs(counts, store.cell_sizes())
    sizes = stored_cell_sizes(store.root, store.source, store.spec, slots)
    each = counts.reshape(-1, 1, *counts.shape[2:])
    return round_cdfs(each, sizes.reshape(len(each), -1)).reshape(counts.shape)


def read_triples(root: Root, name: str) -> pa.Table:
    """A frozen set of triples (`SCHEMA`).

    Raises:
        NotFoundError: there is none of that name.
    """
    try:
        return get_table(root.objects, f"pairs/{name}/triples.parquet")
    except NotFoundError as error:
        raise NotFoundError(f"no pairs named {name!r} in {root.url}; `wxpipe pairs build` makes them") from error
