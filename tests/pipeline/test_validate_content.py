"""What checksums cannot tell: pictures that were stored so, what is lost for good; and how a validation is asked."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.archive.trial import Trial
from tests.pipeline.damaged import DAY, FRAMES, INGEST, SHARD, SOURCE, cli, early, gone, look
from wxpipe.archive.reduction import block_mean
from wxpipe.archive.stored_day import read_back_day
from wxpipe.pipeline.digest import root_digest
from wxpipe.pipeline.partition_checks import Looker
from wxpipe.pipeline.validate import repair
from wxpipe.store.arrays import parse_shard, shard_key, write_chunk, write_shard
from wxpipe.store.frames import Status, frame_store

# --- what is lost for good -------------------------------------------------------------------------------------------


def spoil_picture(trial: Trial, slot: int, channel: int) -> None:
    """Turns a bit over within the stored chunk of one picture of the second day."""
    frames = frame_store(trial.opened(), SOURCE)
    spec, at = frames.specs["picture"], frames.axis.slot(trial.time(slot))
    path = trial.root / shard_key(FRAMES, spec, (SHARD, channel, 0, 0))
    data = bytearray(path.read_bytes())
    chunk = parse_shard(spec, bytes(data))[0][at % 96]
    data[bytes(data).index(chunk) + len(chunk) // 2] ^= 1
    path.write_bytes(data)


def test_a_picture_whose_file_is_away_too_is_named_as_lost_and_nothing_else_is(
    trial: Trial, digest: dict[str, str]
) -> None:
    kept = trial.picture(7, 0)
    for slot in (5, 7):
        trial.file(slot, 0).unlink()
    spoil_picture(trial, 5, 0)
    assert [f.where for f in look(trial.root).findings] == [INGEST]
    repair(trial.opened(), look(trial.root).findings)
    assert trial.backfill(stages=())[0] == 3
    (record,) = trial.records().values()
    assert (record.reason, record.path, record.channel) == ("lost", trial.key(5, 0), "ir01")
    assert "damaged where it lies" in record.found
    assert trial.all_good_but(missing=[(5, 0)])
    assert np.array_equal(trial.picture(7, 0), kept)
    assert [f for f in look(trial.root).findings if f.check != "quarantine"] == []
    trial.repair()
    assert trial.backfill(stages=())[0] == 0
    assert root_digest(trial.opened())["parts"]["frames/trial-ea"] == digest["frames/trial-ea"]


def test_vanished_files_that_a_damaged_inventory_knew_are_not_given_up(trial: Trial) -> None:
    """The inventory alone knows of files that are away: a new listing would erase their pictures."""
    trial.file(5, 0).unlink()
    assert trial.backfill(stages=())[0] == 0
    key = f"inventory/{SOURCE}/2020-05.parquet"
    early(trial.root / key)
    (finding,) = [f for f in look(trial.root).findings if f.where == key]
    assert finding.remove == ()
    assert "restore it from a backup: 1 files" in finding.remedy


# --- what was written so ---------------------------------------------------------------------------------------------


def forge(trial: Trial, slot: int, channel: int, picture: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """Stores another picture for a slot of the second day, and a ledger that agrees with it."""
    root = trial.opened()
    frames = frame_store(root, SOURCE)
    area, day = frames.source.area, trial.time(slot).date()
    at = frames.axis.slot(trial.time(slot)) - frames.axis.day_start(day)
    key = shard_key(FRAMES, frames.specs["picture"], (SHARD, channel, 0, 0))
    chunks, _ = parse_shard(frames.specs["picture"], root.objects.get(key))
    frames.write_pictures(day, channel, {**chunks, at: frames.encode_picture(picture)})
    spec, place = frames.specs["reduced"], (SHARD, 0, 0, 0)
    reduced, _ = parse_shard(spec, root.objects.get(shard_key(FRAMES, spec, place)))
    small = frames.encode_reduced(block_mean(picture, area.crop_rows, area.reduce))
    write_shard(root.objects, FRAMES, spec, place, {**reduced, at * 2 + channel: small})
    entry = root.ledger.get("ingest", DAY)
    assert entry is not None
    root.ledger.put(replace(entry, output=read_back_day(frames, day)))


@pytest.mark.parametrize(("slot", "of"), [(8, 4), (2, 1)], ids=["within a day", "across midnight"])
def test_one_picture_at_two_slots_is_found(trial: Trial, digest: dict[str, str], slot: int, of: int) -> None:
    forge(trial, slot, 1, trial.picture(of, 1))
    found = [f for f in look(trial.root).findings if f.check == "pictures"]
    (finding,) = [f for f in found if f"{trial.time(slot):%H:%MZ}" in f.where]
    assert finding.found == f"the pixels of {trial.time(of):%Y-%m-%dT%H:%MZ}"
    assert "wv" in finding.where
    repair(trial.opened(), found)
    assert trial.backfill(stages=())[0] == 0
    assert root_digest(trial.opened())["parts"] == digest


def test_a_picture_of_one_value_is_found(trial: Trial) -> None:
    even = trial.picture(6, 0).copy()
    even[trial.source.area.title_rows :] = 77
    forge(trial, 6, 0, even)
    (finding,) = [f for f in look(trial.root).findings if f.check == "pictures"]
    assert (finding.expected, finding.found) == ("a picture with contrast", "one value everywhere")
    assert f"{trial.time(6):%H:%MZ} ir01" in finding.where


def test_statuses_that_contradict_the_other_arrays_are_found(trial: Trial) -> None:
    """One array of a day was written anew without the others."""
    root = trial.opened()
    frames = frame_store(root, SOURCE)
    status = frames.day("status", trial.time(5).date())
    at = frames.axis.slot(trial.time(5)) % 96
    status[at, 0] = Status.MISSING
    write_chunk(root.objects, FRAMES, frames.specs["status"], (SHARD, 0), status)
    found = look(trial.root).findings
    assert any(f.check == "statuses" and "00:45Z" in f.where and "status 2" in f.found for f in found)
    assert any(f.check == "results" and "its status says that it is not" in f.found for f in found)


# --- how it is asked -------------------------------------------------------------------------------------------------


def test_a_sample_is_drawn_by_its_seed(done_trial: Trial) -> None:
    def drawn(*words: str) -> dict[str, object]:
        document: dict[str, object] = json.loads(cli("--root", done_trial.root, "--json", *words).stdout)
        return document

    one = drawn("--sample", "1", "--seed", "5")
    assert (one["sample"], one["seed"]) == (1, 5)
    assert one["partitions"]["ingest"] == {"looked_at": 1, "of": 2}  # type: ignore[index]
    assert one == drawn("--sample", "1", "--seed", "5")
    assert isinstance(drawn("--sample", "1")["seed"], int)
    assert drawn()["seed"] is None


def test_a_range_is_kept_to(trial: Trial) -> None:
    gone(trial.root / f"clips/{DAY}.parquet")
    assert cli("--root", trial.root, "--to", "2020-05-01").exit_code == 0
    assert cli("--root", trial.root, "--stage", "ingest", "--stage", "embed").exit_code == 0
    assert cli("--root", trial.root, "--satellite", "trial", "--stage", "clips").exit_code == 3
    assert cli("--root", trial.root, "--satellite", "other").exit_code != 0


def test_what_is_found_is_said_with_what_to_do(trial: Trial, tmp_path: Path) -> None:
    gone(trial.root / f"clips/{DAY}.parquet")
    said = cli("--root", trial.root, "--report", tmp_path / "report.md")
    words = " ".join(said.stdout.split())
    assert said.exit_code == 3
    assert f"results: clips {DAY}: expected what the ledger calls" in words
    assert "`wxpipe validate --repair`, then `wxpipe backfill`" in words
    page = (tmp_path / "report.md").read_text()
    assert f"## results: clips {DAY}" in page
    assert "| clips | 2 | 2 |" in page
    mended = cli("--root", trial.root, "--repair", "--json")
    document = json.loads(mended.stdout)
    assert mended.exit_code == 3
    assert document["repair"]["asked"] == {"clips": [DAY]}
    assert document["sound"] is False
    assert [f["where"] for f in document["findings"]] == [f"clips {DAY}"]
    code, ran = trial.backfill(stages=())
    assert (code, ran) == (0, {f"clips {DAY}", "scan archive"} & ran | {f"clips {DAY}"})
    assert cli("--root", trial.root).exit_code == 0
    (asked,) = trial.opened().requests.all()
    assert (asked.kind, asked.stages, asked.partitions) == ("repair", ("clips",), (DAY,))


def test_what_travels_to_a_worker_looks_at_a_root_of_its_own(trial: Trial) -> None:
    gone(trial.root / f"clips/{DAY}.parquet")
    looker = pickle.loads(pickle.dumps(Looker(trial.opened())))
    assert [f.where for f in looker(("clips", DAY))] == [f"clips {DAY}"]
    assert looker(("ingest", DAY)) == []


@pytest.mark.slow
def test_workers_find_what_one_process_finds(trial: Trial) -> None:
    for key in (f"clips/{DAY}.parquet", f"{FRAMES}/picture/c/{SHARD}/1/0/0"):
        gone(trial.root / key)
    alone, many = (
        json.loads(cli("--root", trial.root, "--json", "--workers", str(n)).stdout)["findings"] for n in (0, 2)
    )
    assert alone == many
    assert len(alone) == 2
