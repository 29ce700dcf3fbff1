"""What nobody needs is removed; what a run may be writing, or anybody needs, never is."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.archive.trial import Trial
from tests.mini import Archive, Undisturbed, backfill, check_whole, end, start
from wxpipe.cli.app import app
from wxpipe.embedding.train_stage import current_model, model_folder
from wxpipe.pipeline.digest import root_digest
from wxpipe.pipeline.gc import Collection, Wanted, collect
from wxpipe.pipeline.run import Workers
from wxpipe.pipeline.validate import Wanted as Look
from wxpipe.pipeline.validate import validate
from wxpipe.store.leases import Lease
from wxpipe.store.root import Root

SOURCE = "trial-ea"
NO_PROCESS = 4_194_305
"""Above the highest number that Linux gives a process."""
LONG_AGO = 100 * 86_400.0


@pytest.fixture
def root(done_trial: Trial, tmp_path: Path) -> Root:
    shutil.copytree(done_trial.root, tmp_path / "root")
    opened = Root(str(tmp_path / "root"))
    collect(opened, Wanted())  # leases of the run that made it
    return opened


def keys(root: Root) -> set[str]:
    return {info.key for info in root.objects.walk()}


def kinds(done: Collection) -> dict[str, set[str]]:
    return {kind: {w.key for w in done.removed if w.kind == kind} for kind in done.sizes()}


def leave_partial(root: Root, key: str, process: int = NO_PROCESS, age: float = LONG_AGO) -> Path:
    path = Path(root.url) / f"{key}.{process}-0a1b2c3d.partial"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_a_root_in_order_has_no_waste(root: Root, done_trial: Trial) -> None:
    before = keys(root)
    assert collect(root, Wanted(models=True)) == Collection([], [])
    assert {key for key in before if not key.startswith("leases/")} <= keys(root)
    assert root_digest(root) == root_digest(done_trial.opened())


def test_half_written_files_of_dead_writers_go_and_others_stay(root: Root) -> None:
    folder = f"frames/{SOURCE}.zarr/picture/c/122/0/0"
    dead = leave_partial(root, f"{folder}/.0")
    future = leave_partial(root, f"{folder}/.1", age=-LONG_AGO)  # the clock was put back since
    living = leave_partial(root, f"{folder}/.2", process=os.getpid())
    young = leave_partial(root, f"{folder}/.3", age=60)
    done = collect(root, Wanted())
    assert kinds(done) == {"partial": {str(p.relative_to(root.url)) for p in (dead, future)}}
    assert done.sizes() == {"partial": (2, 8)}
    assert [p.exists() for p in (dead, future, living, young)] == [False, False, True, True]
    assert collect(root, Wanted(grace=30)).sizes() == {"partial": (1, 4)}


def test_a_dry_run_tells_and_removes_nothing(root: Root) -> None:
    dead = leave_partial(root, "clips/trial-ea/.2020-05-02.parquet")
    plant_orphan(root)
    before = keys(root)
    said = CliRunner().invoke(app, ["gc", "--root", root.url, "--dry-run", "--json"])
    document = json.loads(said.stdout)
    assert (said.exit_code, document["dry_run"]) == (0, True)
    told = {waste["key"] for waste in document["removed"]}
    assert keys(root) == before
    assert dead.exists()
    real = json.loads(CliRunner().invoke(app, ["gc", "--root", root.url, "--json"]).stdout)
    assert {waste["key"] for waste in real["removed"] if waste["kind"] != "lease"} == told
    assert {key for key in before - keys(root) if not key.startswith("leases/")} == told - {told_of(dead, root)}
    assert not dead.exists()


def told_of(path: Path, root: Root) -> str:
    return str(path.relative_to(root.url))


def plant_orphan(root: Root) -> set[str]:
    """Shards, clips and vectors of a day that no file is of; returns their keys."""
    model, frames = current_model(root, SOURCE), f"frames/{SOURCE}.zarr"
    planted = {f"{frames}/picture/c/300/0/0/0", f"ingested/{SOURCE}/2020-10-27.parquet", f"{frames}/status/c/300/0",
               f"histograms/{SOURCE}.zarr/24x20-exact/cdf/c/300/0/0/0",
               f"clips/{SOURCE}/2020-10-27.parquet", f"vectors/{model}/{SOURCE}/2020-10-27.parquet"}  # fmt: skip
    for key in planted:
        root.objects.put(key, b"left behind")
    return planted


def test_results_that_nothing_explains_go(root: Root, done_trial: Trial) -> None:
    planted = plant_orphan(root)
    found = validate(root, Look(), Workers()).findings
    assert {f.where for f in found} == {f"{s} {SOURCE}/2020-10-27" for s in ("ingest", "histograms", "clips", "embed")}
    assert {f.remedy for f in found} == {"`wxpipe gc` removes it"}
    assert kinds(collect(root, Wanted()))["orphan"] == planted
    assert validate(root, Look(), Workers()).findings == ()
    assert root_digest(root) == root_digest(done_trial.opened())
    assert not (Path(root.url) / f"frames/{SOURCE}.zarr/picture/c/300").exists()


def test_what_a_run_holds_is_left_alone(root: Root) -> None:
    planted = plant_orphan(root)
    lease = root.leases.try_acquire(f"{SOURCE}/2020-10")
    assert lease is not None
    done = collect(root, Wanted())
    assert planted <= keys(root)
    assert {told.partition(":")[0] for told in done.kept} == {
        f"{s} {SOURCE}/2020-10-27" for s in ("ingest", "histograms", "clips", "embed")
    }
    root.leases.release(lease)
    assert kinds(collect(root, Wanted()))["orphan"] == planted


def test_what_a_lost_entry_leaves_is_due_and_stays(root: Root) -> None:
    """A run makes it again; until then readers have it."""
    before = keys(root)
    lost = {f"ledger/{stage}/{SOURCE}/2020-05-02.json" for stage in ("ingest", "histograms", "clips", "embed")}
    for key in lost:
        root.objects.delete(key)
    collect(root, Wanted())
    assert keys(root) == before - lost


def test_leases_keep_their_latest_epoch(root: Root) -> None:
    key = f"{SOURCE}/2020-05"
    for _ in range(3):
        lease = root.leases.try_acquire(key)
        assert lease is not None
        root.leases.beat(lease, 1)
        root.leases.release(lease)
    names = root.objects.names(f"leases/{key}")
    assert len(names) >= 9
    latest = root.leases.latest(key)
    assert len(kinds(collect(root, Wanted()))["lease"]) == len(names) - 3
    assert root.objects.names(f"leases/{key}") == [f"{latest:08d}.{end}" for end in ("beat", "done", "json")]
    assert root.leases.latest(key) == latest


def test_an_epoch_that_was_removed_cannot_be_taken_again(root: Root) -> None:
    """A process looked for a free lease, stood still, and takes the number that it saw then."""
    key = f"{SOURCE}/2020-05"
    seen = root.leases.latest(key)
    for _ in range(2):
        lease = root.leases.try_acquire(key)
        assert lease is not None
        root.leases.release(lease)
    collect(root, Wanted())
    assert root.leases._take(key, seen + 1) is None
    assert root.leases.try_acquire(key) == Lease(key, seen + 3)


def test_checkpoints_of_a_training_that_came_to_a_model_go(root: Root) -> None:
    root.objects.put(f"checkpoints/{SOURCE}/00000001.safetensors", b"of a training that was killed at its end")
    root.objects.put("checkpoints/other-ea/00000001.safetensors", b"of one that goes on")
    assert kinds(collect(root, Wanted()))["checkpoint"] == {f"checkpoints/{SOURCE}/00000001.safetensors"}


def test_models_go_only_where_nothing_refers_to_them_and_only_on_request(root: Root, done_trial: Trial) -> None:
    used = model_folder(current_model(root, SOURCE))
    name = current_model(root, SOURCE).rpartition("-")[0]
    for file in ("card.json", "weights.safetensors"):
        root.objects.put(f"models/{name}/0123456789ab/{file}", root.objects.get(f"{used}/{file}"))
    root.objects.put(f"vectors/{name}-0123456789ab/{SOURCE}/2020-05-02.parquet", b"of that model")
    root.objects.put("pairs/of-nobody/triples.parquet", b"which no model learned from")
    assert "model" not in kinds(collect(root, Wanted()))
    lease = root.leases.try_acquire(f"{SOURCE}/2020-05")
    assert lease is not None
    assert collect(root, Wanted(models=True)).kept == [f"models, vectors and pairs: a run holds {SOURCE}/2020-05"]
    root.leases.release(lease)
    assert kinds(collect(root, Wanted(models=True)))["model"] == {
        f"models/{name}/0123456789ab/card.json", f"models/{name}/0123456789ab/weights.safetensors",
        f"vectors/{name}-0123456789ab/{SOURCE}/2020-05-02.parquet", "pairs/of-nobody/triples.parquet",
    }  # fmt: skip
    assert root_digest(root) == root_digest(done_trial.opened())


def test_histograms_of_another_layout_go_where_they_hold_nothing(root: Root) -> None:
    folder = f"histograms/{SOURCE}.zarr/8x4-exact"
    root.objects.put(f"{folder}/cdf/zarr.json", b"{}")
    assert kinds(collect(root, Wanted())) == {"layout": {f"{folder}/cdf/zarr.json"}}
    assert root.objects.names(f"histograms/{SOURCE}.zarr") == ["24x20-exact"]


def test_a_root_whose_inventory_is_damaged_loses_nothing(root: Root) -> None:
    key = f"inventory/{SOURCE}/2020-05.parquet"
    root.objects.put(key, root.objects.get(key)[:100])
    root.objects.delete(f"ledger/ingest/{SOURCE}/2020-05-02.json")
    before = keys(root)
    said = CliRunner().invoke(app, ["gc", "--root", root.url])
    assert said.exit_code == 1
    assert keys(root) == before


@pytest.mark.slow
def test_gc_beside_a_backfill_changes_nothing_of_what_it_makes(
    longer: Archive, first_run: Undisturbed, second_run: Undisturbed, tmp_path: Path
) -> None:
    """Without any grace: what protects a write is that its process lives, and the leases."""
    folder = tmp_path / "root"
    shutil.copytree(first_run.root, folder)
    run, rounds = start(*backfill(longer, folder)), 0
    while run.poll() is None:
        collect(Root(str(folder)), Wanted(grace=0, models=True))
        rounds += 1
    status, said = end(run)
    assert status == 0, said
    assert rounds > 2
    check_whole(folder, second_run)
