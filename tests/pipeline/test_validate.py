"""Whatever is damaged in a root is found and named; repaired, and backfilled, the root is what it was before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.archive.trial import Trial
from tests.pipeline.damaged import (
    CDFS,
    DAY,
    FRAMES,
    HISTOGRAMS,
    INGEST,
    SHARD,
    SOURCE,
    cut,
    digit,
    early,
    flip,
    gone,
    late,
    look,
)
from wxpipe.pipeline.digest import root_digest
from wxpipe.pipeline.plan import Range, make_plan
from wxpipe.pipeline.validate import repair
from wxpipe.store.root import Root
from wxpipe.store.stage import Context


@dataclass(frozen=True)
class Damage:
    """What is done to an object of the root, and by which check, where, in which words it is found."""

    key: str
    how: Callable[[Path], None]
    check: str
    where: str
    words: str = ""

    def do(self, root: Path) -> None:
        (path,) = sorted(root.glob(self.key))[:1]
        self.how(path)

    def __str__(self) -> str:
        return f"{getattr(self.how, '__name__', 'flip')} {self.key}"


DAMAGES = (
    Damage(f"{FRAMES}/picture/c/{SHARD}/0/0/0", early, "results", INGEST, "the picture ir01 2020-05-02T00:"),
    Damage(f"{FRAMES}/picture/c/{SHARD}/1/0/0", late, "results", INGEST, "index of 96 chunks"),
    Damage(f"{FRAMES}/picture/c/{SHARD}/1/0/0", cut, "results", INGEST, "cut short"),
    Damage(f"{FRAMES}/picture/c/{SHARD}/1/0/0", gone, "results", INGEST, "gone, with 10 pictures"),
    Damage(f"{FRAMES}/reduced/c/{SHARD}/0/0/0", early, "results", INGEST, "not as its checksum says"),
    Damage(f"{FRAMES}/reduced/c/{SHARD}/0/0/0", gone, "results", INGEST, "gone, with 20 pictures"),
    Damage(f"{FRAMES}/status/c/{SHARD}/0", flip, "results", INGEST, "status"),
    Damage(f"{FRAMES}/status/c/{SHARD}/0", gone, "results", INGEST, "its status says that it is not"),
    Damage(f"{FRAMES}/layer/c/{SHARD}/0", flip, "results", INGEST, "layer"),
    Damage(f"{FRAMES}/rows/c/{SHARD}/0", cut, "results", INGEST, "rows"),
    Damage(f"{FRAMES}/rows/c/{SHARD}/0", gone, "statuses", INGEST, "rows 0"),
    Damage(f"{FRAMES}/time_observed/c/{SHARD}/0", flip, "results", INGEST, "time_observed"),
    Damage(f"{FRAMES}/overlay/c/1/0/0", flip, "layers", f"{FRAMES}/overlay/c/1/0/0", "overlay"),
    Damage(f"{FRAMES}/time/c/0", flip, "layout", f"{FRAMES}/time/c/0"),
    Damage(f"{FRAMES}/channel/c/0", gone, "layout", f"{FRAMES}/channel/c/0", "gone"),
    Damage(f"{FRAMES}/picture/zarr.json", cut, "layout", f"{FRAMES}/picture/zarr.json"),
    Damage(f"{FRAMES}/zarr.json", gone, "layout", f"{FRAMES}/zarr.json", "gone"),
    Damage(f"{CDFS}/cdf/c/{SHARD}/0/0/0", early, "results", HISTOGRAMS, "not as their checksums say"),
    Damage(f"{CDFS}/cdf/c/{SHARD}/0/0/0", cut, "results", HISTOGRAMS, "cut short"),
    Damage(f"{CDFS}/cdf/c/{SHARD}/0/0/0", gone, "results", HISTOGRAMS, "gone"),
    Damage(f"{CDFS}/cdf/zarr.json", gone, "layout", f"{CDFS}/cdf/zarr.json", "gone"),
    Damage(f"clips/{DAY}.parquet", early, "results", f"clips {DAY}"),
    Damage(f"clips/{DAY}.parquet", cut, "results", f"clips {DAY}"),
    Damage(f"clips/{DAY}.parquet", gone, "results", f"clips {DAY}", "no such object"),
    Damage(f"pairs/{SOURCE}/triples.parquet", cut, "results", f"pairs {SOURCE}"),
    Damage("models/*/*/weights.safetensors", flip, "results", f"train {SOURCE}", "weights"),
    Damage("models/*/*/card.json", flip, "results", f"train {SOURCE}"),
    Damage("models/*/*/card.json", gone, "results", f"train {SOURCE}", "no such object"),
    Damage(f"vectors/*/{DAY}.parquet", early, "results", f"embed {DAY}"),
    Damage(f"vectors/*/{DAY}.parquet", gone, "results", f"embed {DAY}", "no such object"),
    Damage("lance/frames-*/data/*", early, "results", "release default"),
    Damage("lance/clips-*/data/*", cut, "results", "release default"),
    Damage("lance/frames-*/data/*", gone, "results", "release default"),
    Damage("releases/1.json", cut, "releases", "releases/1.json"),
    Damage("promotions/1.json", cut, "releases", "promotions/1.json"),
    Damage(f"inventory/{SOURCE}/2020-05.parquet", early, "inventory", f"inventory/{SOURCE}/2020-05.parquet"),
    Damage("inventory/unparsed.parquet", cut, "inventory", "inventory/unparsed.parquet"),
    Damage(f"ledger/ingest/{DAY}.json", flip, "ledger", f"ledger/ingest/{DAY}.json", "not a ledger entry"),
    Damage(f"ledger/ingest/{DAY}.json", digit, "ledger", f"ledger/ingest/{DAY}.json", "checksum"),
    Damage(f"ledger/ingest/{DAY}.json", gone, "unexplained", INGEST, "results in frames/"),
    Damage(f"ledger/histograms/{DAY}.json", gone, "unexplained", HISTOGRAMS, "results in histograms/"),
    Damage(f"ledger/clips/{DAY}.json", gone, "unexplained", f"clips {DAY}", "results in clips/"),
    Damage(f"ledger/embed/{DAY}.json", cut, "ledger", f"ledger/embed/{DAY}.json"),
    Damage(f"ledger/embed/{DAY}.json", gone, "unexplained", f"embed {DAY}", "results in vectors/"),
    Damage(f"ledger/train/{SOURCE}.json", gone, "unexplained", f"train {SOURCE}", "results in models/"),
    Damage("ledger/release/default.json", gone, "unexplained", "release default", "results in releases/"),
)


def test_a_sound_root_is_found_sound(done_trial: Trial) -> None:
    found = look(done_trial.root)
    assert found.findings == ()
    assert found.looked_at == found.there == {
        "scan": 1, "ingest": 2, "histograms": 2, "clips": 2, "pairs": 1, "train": 1, "embed": 2, "release": 1
    }  # fmt: skip
    assert found.exit_code == 0


TOGETHER = (
    Damage(f"{FRAMES}/picture/c/{SHARD}/0/0/0", early, "results", INGEST),
    Damage(f"{FRAMES}/reduced/c/{SHARD - 1}/0/0/0", cut, "results", "ingest trial-ea/2020-05-01"),
    Damage(f"{FRAMES}/layer/zarr.json", flip, "layout", f"{FRAMES}/layer/zarr.json"),
    Damage(f"{CDFS}/cdf/c/{SHARD}/0/0/0", gone, "results", HISTOGRAMS),
    Damage(f"clips/{DAY}.parquet", early, "results", f"clips {DAY}"),
    Damage(f"pairs/{SOURCE}/triples.parquet", gone, "results", f"pairs {SOURCE}"),
    Damage("models/*/*/weights.safetensors", flip, "results", f"train {SOURCE}"),
    Damage("vectors/*/trial-ea/2020-05-01.parquet", cut, "results", "embed trial-ea/2020-05-01"),
    Damage(f"ledger/embed/{DAY}.json", flip, "ledger", f"ledger/embed/{DAY}.json"),
    Damage("lance/frames-*/data/*", early, "results", "release default"),
    Damage("promotions/1.json", cut, "releases", "promotions/1.json"),
)
"""Of each kind one, none of which hides another."""
OFTEN = ("layer", "overlay", "ledger/ingest", "releases/1", "inventory/trial", "train")
"""Damages that every run of the tests tries one by one begin so, or hold such a word; the others seldom."""


def test_damage_of_every_kind_at_once_is_found_and_repaired(trial: Trial, digest: dict[str, str]) -> None:
    for damage in TOGETHER:
        damage.do(trial.root)
    found = look(trial.root)
    assert {(d.check, d.where) for d in TOGETHER} <= {(f.check, f.where) for f in found.findings}
    repair(Root(str(trial.root)), found.findings)
    assert trial.backfill(stages=())[0] == 0
    assert root_digest(trial.opened())["parts"] == digest
    assert look(trial.root).findings == ()


def _often(damage: Damage) -> bool:
    return any(word in damage.key for word in OFTEN) and damage.how is not digit


@pytest.mark.parametrize(
    "damage", [pytest.param(d, marks=[] if _often(d) else [pytest.mark.slow], id=str(d)) for d in DAMAGES]
)
def test_damage_is_found_named_and_repaired(damage: Damage, trial: Trial, digest: dict[str, str]) -> None:
    damage.do(trial.root)
    found = look(trial.root)
    named = [f for f in found.findings if f.check == damage.check and f.where.startswith(damage.where)]
    assert named, [str(f) for f in found.findings]
    assert any(damage.words in f"{f.expected} {f.found}" for f in named), [str(f) for f in named]
    assert found.exit_code == 3
    repair(Root(str(trial.root)), found.findings)
    assert trial.backfill(stages=())[0] == 0
    root = trial.opened()
    assert root_digest(root)["parts"] == digest
    assert make_plan(Context(root), Range()).work == ()
    assert look(trial.root).findings == ()
