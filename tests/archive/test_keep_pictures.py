"""A root that keeps no pictures has everything else that one with pictures has, and says what it has not."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.archive.growing import LATE, Work, content, copied, killed_and_resumed, late, points_of, update, without
from tests.archive.trial import CELL, SLOTS, STAGES, Trial, png
from wxpipe.cli.app import app
from wxpipe.config import DataSettings
from wxpipe.errors import NotFoundError, RefusedError
from wxpipe.pipeline import validate as checks
from wxpipe.pipeline.backfill import Job, plan, run, scan
from wxpipe.pipeline.gc import Wanted, collect
from wxpipe.pipeline.plan import Range
from wxpipe.pipeline.reconcile import reconcile
from wxpipe.pipeline.run import Workers
from wxpipe.similarity.histograms import histogram_store
from wxpipe.store.frames import Status, frame_store
from wxpipe.store.requests import Request
from wxpipe.store.root import Root, init_root

DAY = date(2020, 5, 2)
NONE = DataSettings(keep_pictures=False)


def pictures(trial: Trial) -> list[str]:
    """Objects of stored pictures."""
    return sorted(info.key for info in trial.opened().objects.walk(f"frames/{trial.source.id}.zarr/picture/c"))


def spare(trial: Trial) -> Trial:
    """The trial with a root that keeps no pictures, without files in it yet."""
    init_root(str(trial.root), NONE)
    return trial


@pytest.fixture(scope="session")
def bare(titled: Trial, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """A root of all files that keeps no pictures. To be read only."""
    trial = Trial.of(titled, tmp_path_factory.mktemp("bare"))
    code, _ = trial.backfill("--keep-pictures", "no")
    assert code == 0
    return trial


def test_everything_but_the_pictures_is_what_it_is_with_them(bare: Trial, titled: Trial) -> None:
    assert pictures(bare) == []
    assert len(pictures(titled)) == 4
    ours, theirs = bare.content(), titled.sound
    assert {name for name in ours if ours[name] != theirs[name]} == {f"frames/{bare.source.id}"}
    stores = [frame_store(trial.opened(), trial.source) for trial in (bare, titled)]
    start = stores[0].axis.slot(bare.first)
    slots = np.arange(start, start + SLOTS)
    first, second = (store.reduced(slots, store.channels) for store in stores)
    assert np.array_equal(first, second)
    for name in ("status", "layer", "rows", "time_observed"):
        assert np.array_equal(*(store.slots(name, start, start + SLOTS) for store in stores))
    assert bare.all_good_but()
    assert reconcile(bare.opened()) == []
    assert bare.backfill() == (0, set())


def test_who_wants_a_picture_is_told_what_the_root_keeps(bare: Trial) -> None:
    frames = frame_store(bare.opened(), bare.source)
    slot = frames.axis.slot(bare.first)
    with pytest.raises(NotFoundError, match=r"keeps no pictures, only reduced .* 24x20-exact; .*--keep-pictures yes"):
        frames.picture(slot, "ir01")
    with pytest.raises(NotFoundError, match="keeps no pictures"):
        list(frames.pictures([slot], "ir01"))
    assert "picture" not in frames.dataset()
    assert "reduced" in frames.dataset()
    assert "no pictures are kept" in frames.group.attrs["comment"]


def test_similarity_answers_in_the_layout_that_is_kept_and_refuses_another(bare: Trial) -> None:
    pair = [f"{bare.source.id}/{bare.time(slot):%Y%m%dT%H%MZ}" for slot in (3, 4)]
    command = ["similarity", *pair, "--root", str(bare.root)]
    assert CliRunner().invoke(app, [*command, "--layout", "exact"]).exit_code == 0
    refused = CliRunner().invoke(app, [*command, "--layout", "reference"])
    assert refused.exit_code != 0
    assert "keeps no pictures" in str(refused.exception) + refused.output


def test_a_root_says_so_only_where_it_keeps_none(bare: Trial, titled: Trial) -> None:
    assert "keep_pictures = false" in (bare.root / "wxpipe.toml").read_text()
    assert "keep_pictures" not in (titled.root / "wxpipe.toml").read_text(), "roots of before stay as they are"
    with pytest.raises(RefusedError, match="keep_pictures: asked for True, the root has False"):
        init_root(str(bare.root), DataSettings())


def test_late_files_are_all_that_is_decoded(trial: Trial, bare: Trial, work: Work) -> None:
    kept = {cell: trial.file(*cell).read_bytes() for cell in LATE}
    without(trial, *LATE)
    update(spare(trial))
    for cell, data in kept.items():
        trial.file(*cell).write_bytes(data)
    work.clear()
    update(trial)
    assert work.decoded == late(trial)
    assert len(work.counted) == 2
    assert pictures(trial) == []
    assert trial.content() == bare.sound


def test_other_bytes_of_the_same_pixels_leave_no_picture_behind(trial: Trial, bare: Trial) -> None:
    update(spare(trial))
    trial.put(trial.key(*CELL), png(trial.pixels(*CELL), level=9))
    assert trial.backfill() == (0, {f"ingest {trial.source.id}/{DAY}"})
    assert pictures(trial) == []
    assert trial.content() == bare.sound


def test_other_pixels_are_stored_and_counted(trial: Trial, work: Work) -> None:
    update(spare(trial))
    before = trial.content()
    rgb = trial.pixels(*CELL)
    rgb[60:64, 100:104] = 200
    trial.put(trial.key(*CELL), png(rgb))
    work.clear()
    update(trial)
    assert work.decoded == [trial.key(*CELL)]
    assert len(work.counted) == 1
    assert pictures(trial) == []
    after = trial.content()
    assert {name.partition("/")[0] for name in after if after[name] != before[name]} == {"frames", "histograms"}


def test_a_vanished_file_erases_nothing(trial: Trial, bare: Trial, work: Work) -> None:
    update(spare(trial))
    work.clear()
    for cell in (CELL, (1, 0)):  # the last of a day is looked at by the next
        trial.file(*cell).unlink()
    update(trial)
    assert work.decoded == work.counted == []
    assert trial.all_good_but()
    assert trial.content() == bare.sound
    trial.assert_reconciled()


def test_a_request_reads_all_pictures_again_and_lets_them_go(
    trial: Trial,
    bare: Trial,
    work: Work,
) -> None:
    update(spare(trial))
    work.clear()
    trial.opened().requests.record(Request("reprocess", "a test", stages=("ingest",)))
    update(trial)
    assert len(work.decoded) == 2 * SLOTS + 2
    assert pictures(trial) == []
    assert trial.content() == bare.sound


def test_damaged_counts_are_found_and_made_again(trial: Trial, bare: Trial) -> None:
    update(spare(trial))
    root = trial.opened()
    everything = checks.Wanted(Range(stages=STAGES))
    assert checks.validate(root, everything, Workers()).findings == ()
    damage_counts(trial)
    findings = checks.validate(root, everything, Workers()).findings
    assert [finding.again for finding in findings] == [(("histograms", f"{trial.source.id}/{DAY}"),)]
    asked = checks.repair(root, findings).asked
    assert asked == dict.fromkeys(("ingest", "histograms"), (f"{trial.source.id}/{DAY}",))
    update(trial)
    assert trial.content() == bare.sound
    assert pictures(trial) == []
    assert checks.validate(trial.opened(), everything, Workers()).findings == ()


def test_counts_cannot_be_made_again_without_their_pictures(trial: Trial, bare: Trial) -> None:
    update(spare(trial))
    root = damage_counts(trial)
    root.requests.record(Request("repair", "a test", stages=("histograms",)))
    job = Job(str(trial.root), str(trial.archive), str(trial.site), Range(stages=STAGES))
    failed = run(job, Workers()).failed
    assert failed
    assert "pictures are to be counted" in failed[0].error
    assert "wxpipe reprocess --stage ingest --stage histograms" in failed[0].error
    root.requests.record(Request("reprocess", "a test", stages=("ingest", "histograms")))
    update(trial)
    assert trial.content() == bare.sound
    assert pictures(trial) == []


def test_a_day_whose_record_is_lost_is_found_and_read_again(trial: Trial, bare: Trial) -> None:
    update(spare(trial))
    root = trial.opened()
    root.objects.delete(f"ingested/{trial.source.id}/{DAY}.parquet")
    findings = checks.validate(root, checks.Wanted(Range(stages=STAGES)), Workers()).findings
    assert [finding.again for finding in findings] == [(("ingest", f"{trial.source.id}/{DAY}"),)]
    assert "gone, damaged, or not complete" in findings[0].found
    checks.repair(root, findings)
    update(trial)
    assert trial.content() == bare.sound
    assert pictures(trial) == []
    assert checks.validate(trial.opened(), checks.Wanted(Range(stages=STAGES)), Workers()).findings == ()


def damage_counts(trial: Trial) -> Root:
    """Flips a bit of the second day's counts."""
    root, slots = trial.opened(), trial.source.satellite.axis.slots_per_day
    shard = trial.source.satellite.axis.day_start(DAY) // slots
    key = f"histograms/{trial.source.id}.zarr/24x20-exact/cdf/c/{shard}/0/0/0"
    data = bytearray(root.objects.get(key))
    data[50] ^= 4
    root.objects.put(key, bytes(data))
    return root


# --- a layout more ---------------------------------------------------------------------------------------------------

TWO = ("24x20-exact", "8x20-exact")


def add_layout(trial: Trial) -> None:
    """What a migration does: the root's document names a layout more."""
    path = trial.root / "wxpipe.toml"
    text = path.read_text().replace('"24x20-exact",', '"24x20-exact",\n    "8x20-exact",')
    path.write_text(text)
    assert trial.opened().settings.histograms == TWO


def test_a_layout_more_is_planned_as_a_new_ingest(trial: Trial, work: Work) -> None:
    update(spare(trial))
    add_layout(trial)
    job = Job(str(trial.root), str(trial.archive), str(trial.site), Range(stages=STAGES))
    counts = plan(job).counts()
    assert (counts["ingest"]["stale"], counts["histograms"]["stale"], counts["clips"]["stale"]) == (2, 2, 0)
    work.clear()
    update(trial)
    assert len(work.decoded) == 2 * SLOTS
    assert pictures(trial) == []
    stored = histogram_store(trial.opened(), trial.source, TWO[1]).read(np.asarray([frame_slot(trial)]))
    assert stored.any()
    assert plan(job).work == ()


def test_a_layout_more_cannot_be_counted_of_what_has_vanished(trial: Trial, bare: Trial) -> None:
    update(spare(trial))
    data = trial.file(*CELL).read_bytes()
    trial.file(*CELL).unlink()
    add_layout(trial)
    job = Job(str(trial.root), str(trial.archive), str(trial.site), Range(stages=STAGES))
    assert scan(job).state == "done"
    (failed,) = run(job, Workers()).failed
    assert (failed.stage, failed.partition.day) == ("histograms", DAY)
    assert "ir01 2020-05-02: 1 pictures are to be counted (00:30Z)" in failed.error
    assert trial.all_good_but(), "and what was there is there"
    trial.put(trial.key(*CELL), data)
    update(trial)
    assert trial.content()[f"histograms/{trial.source.id}/{TWO[0]}"] == bare.sound[
        f"histograms/{trial.source.id}/{TWO[0]}"]  # fmt: skip


def frame_slot(trial: Trial) -> int:
    return trial.source.satellite.axis.slot(trial.first)


# --- kills -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_anywhere_ends_without_pictures(
    trial: Trial, bare: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    passed = points_of(spare(trial), tmp_path / "peace", monkeypatch)
    points = [point for point in passed if point.startswith(("before put ", "before delete "))]
    assert sum(point.startswith("before delete") for point in points) == 4
    for number, point in enumerate(points[::-every]):
        killed = copied(trial, tmp_path / str(number))
        killed_and_resumed(killed, point, lambda: None, monkeypatch)
        assert content(killed) == content(bare), f"killed {point}"
        assert killed.all_good_but()
        left = pictures(killed)
        assert not left or point.startswith("before delete"), f"killed {point}"
        collect(killed.opened(), Wanted())
        assert pictures(killed) == []


def test_statuses_stay_those_of_the_pictures(bare: Trial) -> None:
    frames = frame_store(bare.opened(), bare.source)
    assert (frames.day("status", DAY)[:10] == Status.GOOD).all()
