"""Whatever is damaged in a root is found and named; repaired, and backfilled, the root is what it was before."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.archive.trial import Trial, titled_trial
from wxpipe.cli.app import app
from wxpipe.pipeline.digest import root_digest
from wxpipe.pipeline.plan import Range, make_plan
from wxpipe.pipeline.run import Workers
from wxpipe.pipeline.validate import Validation, Wanted, repair, validate
from wxpipe.store.root import Root
from wxpipe.store.stage import Context

SOURCE, DAY, BEFORE = "trial-ea", "trial-ea/2020-05-02", "trial-ea/2020-05-01"
FRAMES, CDFS = f"frames/{SOURCE}.zarr", f"histograms/{SOURCE}.zarr/24x20-exact"
SHARD = 122
"""Of 2 May: days since 1 January 2020."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """An archive that was done to the end. To be read only."""
    trial = titled_trial(tmp_path_factory.mktemp("whole"))
    assert trial.backfill(stages=())[0] == 0
    return trial


@pytest.fixture(scope="module")
def digest(whole: Trial) -> dict[str, str]:
    parts: dict[str, str] = root_digest(whole.opened())["parts"]
    return parts


@pytest.fixture
def trial(whole: Trial, tmp_path: Path) -> Trial:
    """The root and the archive, to be damaged."""
    shutil.copytree(whole.root, tmp_path / "root")
    shutil.copytree(whole.archive, tmp_path / "archive", copy_function=shutil.copy2)
    return Trial(whole.source, whole.name, whole.first, whole.slots, whole.pristine, tmp_path / "archive",
                 tmp_path / "root", whole.site)  # fmt: skip


def look(root: Path, wanted: Wanted | None = None) -> Validation:
    return validate(Root(str(root)), wanted or Wanted(), Workers())


def cli(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["validate", *map(str, words)])


def flip(path: Path, share: float = 0.5) -> None:
    """Turns one bit of a file over, at a share of its length."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 16
    path.write_bytes(data)


def cut(path: Path) -> None:
    """Leaves two thirds of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


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


def gone(path: Path) -> None:
    path.unlink()


def early(path: Path) -> None:
    """A bit of the first bytes: of a shard, within its first chunk."""
    flip(path, 0.1)


def late(path: Path) -> None:
    """A bit near the end: of a shard, within its index."""
    flip(path, 1 - 100 / path.stat().st_size)


def digit(path: Path) -> None:
    """Another count, in an entry that can still be read."""
    path.write_bytes(path.read_bytes().replace(b'"pictures_good": 20', b'"pictures_good": 21'))


INGEST, HISTOGRAMS = f"ingest {DAY}", f"histograms {DAY}"
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


def test_a_sound_root_is_found_sound(whole: Trial) -> None:
    found = look(whole.root)
    assert found.findings == ()
    assert found.looked_at == found.there == {
        "scan": 1, "ingest": 2, "histograms": 2, "clips": 2, "pairs": 1, "train": 1, "embed": 2, "release": 1
    }  # fmt: skip
    assert found.exit_code == 0


@pytest.mark.parametrize("damage", DAMAGES, ids=str)
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
